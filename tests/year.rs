//! The year: the figures that the README and the page about it give, against a short run; and that the run is what it says.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use support::year::{ALL, Name, Run, Tally};

/// Minutes lost in trading hours beyond the perfect keeper's, and the calls: needed, needless, missed; evictions, wedges.
const FIGURES: usize = 6;

#[test]
fn the_figures_of_the_readme_are_those_of_a_short_run() {
    let readme = table(&text("README.md"), "keeper (a simulation)");
    let run = Run::years(2);
    let mut best = None;
    for name in [Name::Perfect, Name::Tickled, Name::Recipe, Name::Tickler, Name::IBeam, Name::Nothing] {
        let tally = run.live(name);
        let (_, trading) = *best.get_or_insert(tally.minutes());
        let seen = figures(&tally, trading);
        let said = readme.get(name.title()).unwrap_or_else(|| panic!("{} is not in {readme:?}", name.title()));
        for (nth, (said, seen)) in said.iter().zip(seen).enumerate() {
            // Two years are few: by half, and by a little where there is nearly nothing.
            let apart = (said - seen).abs();
            let allowed = if nth == 0 { 45.0 } else { 3.0 } + 0.5 * said.max(seen);
            assert!(apart <= allowed, "{} figure {nth}: README {said}, a short run {seen}", name.title());
        }
        if name == Name::Tickled {
            assert_eq!((tally.needless, tally.missed, tally.locks), (0, 0, 0), "{tally:?}");
            assert_eq!((tally.evictions, tally.wedges), (0, 0), "{tally:?}");
            let beyond = tally.minutes().1 - trading;
            assert!(beyond < 0.1 * trading, "{beyond} minutes beyond {trading}");
        }
    }
}

#[test]
fn equal_seeds_give_equal_years_and_the_stretches_left_out_change_nothing() {
    let run = Run { days: 30, ..Run::years(1) };
    for name in [Name::Tickled, Name::Recipe] {
        let (short, again) = (run.live(name), run.live(name));
        assert_eq!(short, again, "{}", name.title());
        let full = Run { in_full: true, days: 10, ..run.clone() }.live(name);
        let short = Run { days: 10, ..run.clone() }.live(name);
        assert_eq!(
            (short.needs, short.needed, short.missed),
            (full.needs, full.needed, full.missed),
            "{}",
            name.title()
        );
        let (a, b) = (short.lost.as_secs_f64(), full.lost.as_secs_f64());
        assert!((a - b).abs() < 0.02 * a, "{}: {a} {b}", name.title());
        assert!((short.requests - full.requests).abs() < 0.1 * full.requests, "{short:?} {full:?}");
    }
}

#[test]
fn with_hours_no_call_comes_at_night() {
    let tally = Run { days: 90, ..Run::years(1) }.live(Name::Hours);
    assert!(tally.needed > 40, "{tally:?}");
    assert_eq!((tally.at_night, tally.missed), (0, 0), "{tally:?}");
}

#[test]
fn the_page_names_every_assumption_and_its_figures_are_those_of_the_readme() {
    let page = text("docs/the-year.md");
    for row in ALL {
        let line = format!("| {} | {} {} | {} |", row.meaning, row.value, row.unit, row.source);
        assert!(page.contains(&line), "docs/the-year.md needs\n{line}");
    }
    let (readme, page) = (table(&text("README.md"), "keeper (a simulation)"), table(&page, "keeper"));
    for (name, figures) in readme {
        assert_eq!(page.get(&name).map(|row| &row[..FIGURES]), Some(&figures[..]), "{name}");
    }
}

fn figures(tally: &Tally, best: f64) -> [f64; FIGURES] {
    let a_year = |count: u64| tally.a_year(count as f64);
    [
        tally.minutes().1 - best,
        a_year(tally.needed),
        a_year(tally.needless),
        a_year(tally.missed),
        a_year(tally.evictions),
        a_year(tally.wedges),
    ]
}

/// The rows of the table whose head begins so, by their first cell.
fn table(page: &str, head: &str) -> BTreeMap<String, Vec<f64>> {
    let rows = page.lines().skip_while(|line| !line.starts_with(&format!("| {head} |"))).skip(2);
    let rows = rows.take_while(|line| line.starts_with('|'));
    rows.map(|line| {
        let mut cells = line.trim_matches('|').split('|').map(str::trim);
        let name = cells.next().unwrap_or_default().to_owned();
        (name, cells.map(|cell| cell.parse().unwrap_or(f64::NAN)).collect())
    })
    .collect()
}

fn text(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect("a file of the repository")
}
