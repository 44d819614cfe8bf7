//! The page and the timelines, for a history whose outages are known.

use std::time::Duration;

use jiff::Timestamp;
use tickled::endpoint::{Timelines, html};
use tickled::history::chart::{characters, svg};
use tickled::history::report::{HistoryReport, percent, report};
use tickled::history::{Row, What};
use tickled::session::{StateKind, StateReason};

use crate::exposition::{gateway, view};

/// A day: live, one hour of login required from hour 6, paused from hour 12 to 18, nothing known in the first hour.
fn day() -> HistoryReport {
    let end: Timestamp = "2026-11-25T12:00:00Z".parse().unwrap();
    let begin = end - Duration::from_secs(24 * 3600);
    let at = |hour: u64| begin + Duration::from_secs(hour * 3600);
    let changed = |hour, to| {
        let what = What::Changed {
            gateway: "main".into(),
            from: StateKind::Live,
            to,
            because: StateReason::DataConfirmed,
            session: None,
        };
        Row::new(at(hour), what)
    };
    let rows = [
        Row::new(at(1), What::Watched { gateway: "main".into() }),
        changed(1, StateKind::Live),
        changed(6, StateKind::LoginRequired),
        changed(7, StateKind::Live),
        changed(12, StateKind::Paused),
        changed(18, StateKind::Live),
    ];
    report(&rows, begin, end)
}

#[test]
fn the_timeline_in_characters_is_what_was() {
    let day = day();
    let line = characters(&day, &day.gateways[0], 24);
    assert_eq!(line, " █████×█████------██████");
    // What is shorter than a character is still seen.
    assert_eq!(characters(&day, &day.gateways[0], 4), "█×-█");
}

#[test]
fn the_picture_has_a_bar_for_each_stretch_where_it_belongs() {
    let drawn = svg(&day(), &jiff::tz::TimeZone::UTC);
    let bars: Vec<(&str, f64, f64)> = drawn
        .lines()
        .filter_map(|line| {
            let (class, rest) = line.strip_prefix("<rect class=\"")?.split_once("\" x=\"")?;
            let number = |text: &str| text.split('"').next()?.parse().ok();
            let x: f64 = number(rest)?;
            let width = number(rest.split_once("width=\"")?.1)?;
            line.contains("<title>").then_some((class, x - 20.0, width))
        })
        .collect();
    let hour = 720.0 / 24.0;
    assert_eq!(
        bars,
        [
            ("live", hour, 5.0 * hour),
            ("login-required", 6.0 * hour, hour),
            ("live", 7.0 * hour, 5.0 * hour),
            ("paused", 12.0 * hour, 6.0 * hour),
            ("live", 18.0 * hour, 6.0 * hour),
        ]
    );
    assert!(drawn.contains("<title>login-required, 2026-11-24 18:00 UTC to 2026-11-24 19:00 UTC"), "{drawn}");
    assert!(drawn.contains("main: known for 23h: 94.1 % live, 1 outage of 1h from 2026-11-24 12:00 UTC to"), "{drawn}");
}

#[test]
fn a_part_of_a_hundred_is_never_rounded_up_to_all() {
    let shown = [100.0, 99.9999, 99.95, 99.0, 0.0].map(percent);
    assert_eq!(shown, ["100 %", "99.999 %", "99.950 %", "99.0 %", "0.0 %"]);
}

#[test]
fn the_page_says_how_each_gateway_is_without_script_or_foreign_markup() {
    let pictures = Timelines { day: day(), month: day() };
    let mut view = view();
    view.gateways.push("young".to_owned());
    let page = html(&view, Some(&pictures)).unwrap();
    for part in [
        "<h1>1 of 3 live, 1 needs you</h1>",
        "<title>1 needs you - 1 of 3 live - tickled</title>",
        "fill='%23cf222e'",
        "<details open>\n<summary>paper ",
        "<details>\n<summary>main ",
        "<div class=\"alert error\">",
        "a reason of &quot;its&quot; own",
        "the next ping is due, in 9s",
        "in 2h",
        "<strong>login-required</strong>, for 1m<p>a login is &lt;required&gt;.</p><p>log in at",
        "<h2>young</h2><p>Nothing is known of it yet.",
        "<b>24 hours</b> known for 23h: 94.1 % live, 1 outage of 1h",
        "prefers-color-scheme:dark",
        "width=device-width",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
    for part in ["<script", "http://", "src=", "<link rel=\"s", "url("] {
        assert!(!page.contains(part), "{part}\n{page}");
    }
    assert_eq!(page.matches("<svg class=\"band\"").count(), 3, "paper has no history in it");
    assert!(html(&view, None).unwrap().contains("No history is kept"));

    view.late.insert("main".to_owned());
    let page = html(&view, Some(&pictures)).unwrap();
    assert!(page.contains("<h1>0 of 3 live, 1 needs you</h1>") && page.contains("what is shown here is old"), "{page}");

    view.status.gateways = vec![gateway("<b>", StateKind::Live, view.now.wall)];
    let page = html(&view, None).unwrap();
    assert!(page.contains("<summary>&lt;b&gt; "), "{page}");
}
