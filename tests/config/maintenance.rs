//! The maintenance windows in the configuration: the published ones, the operator's own, and none.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use jiff::civil::{Weekday, time};
use tickled::calendar::{Maintenance, Region, Window};
use tickled::config::{self, Config, DEFAULT, Diagnostics};

use crate::{TWO_LINES, parse_with};

fn parse(text: &str, environment: &[(&str, &str)]) -> Result<Config, Diagnostics> {
    parse_with(&format!("{TWO_LINES}{text}"), environment)
}

/// What the text says of maintenance, which must be what it says again when shown.
fn maintenance(text: &str) -> Maintenance {
    let config = parse(text, &[]).unwrap_or_else(|faults| panic!("{faults}"));
    let shown = config::show(&config);
    assert_eq!(config::parse(&shown, Path::new("shown.toml"), &BTreeMap::new()), Ok(config.clone()), "{shown}");
    config.maintenance
}

#[test]
fn without_a_word_it_is_what_ibkr_publishes() {
    assert_eq!(maintenance(""), Maintenance::default());
    assert_eq!(maintenance("[maintenance]\n"), Maintenance::default());
}

#[test]
fn the_shipped_file_shows_the_published_windows_in_full() {
    let shown = DEFAULT.split_once("#[maintenance]").unwrap().1.split_once("\n# ----").unwrap().0;
    let keys = shown.lines().filter_map(|line| line.strip_prefix('#')).filter(|line| !line.starts_with(' '));
    let text = format!("[maintenance]\n{}\n", keys.collect::<Vec<_>>().join("\n"));
    assert_eq!(text.matches("[[maintenance.window]]").count(), Maintenance::default().windows.len(), "{text}");
    assert_eq!(maintenance(&text), Maintenance::default());
}

#[test]
fn the_operators_windows_replace_the_published_ones() {
    let text = r#"
        [[maintenance.window]]
        days = ["sun", "mon"]
        from = "23:45"
        to = "01:05"
        zone = "Asia/Tokyo"
        regions = ["asia", "europe"]
        [[maintenance.window]]
        zone = "UTC"
        to = "00:00"
        from = "00:00"
        days = ["sat"]
    "#;
    let tokyo = Window {
        days: vec![Weekday::Sunday, Weekday::Monday],
        from: time(23, 45, 0, 0),
        to: time(1, 5, 0, 0),
        zone: "Asia/Tokyo".to_owned(),
        regions: vec![Region::Asia, Region::Europe],
    };
    let saturday = Window {
        days: vec![Weekday::Saturday],
        from: time(0, 0, 0, 0),
        to: time(0, 0, 0, 0),
        zone: "UTC".to_owned(),
        regions: Region::ALL.to_vec(),
    };
    let grace = Maintenance::default().grace;
    assert_eq!(maintenance(text), Maintenance { windows: vec![tokyo, saturday], grace });

    let inline = "[maintenance]\nwindow = [{ from = \"01:00\", to = \"02:00\", zone = \"UTC\" }]\n";
    let nightly = maintenance(inline);
    assert_eq!(nightly.windows.len(), 1);
    assert_eq!(nightly.windows[0].days.len(), 7);
}

#[test]
fn an_empty_list_is_none_and_the_grace_stands_alone() {
    let none = maintenance("[maintenance]\nwindow = []\n");
    assert_eq!(none, Maintenance { windows: Vec::new(), ..Maintenance::default() });
    let grace = Duration::from_secs(1_800);
    assert_eq!(maintenance("[maintenance]\ngrace = \"30m\"\n"), Maintenance { grace, ..Maintenance::default() });
    let grace = Duration::ZERO;
    assert_eq!(maintenance("[maintenance]\ngrace = \"0s\"\n"), Maintenance { grace, ..Maintenance::default() });
}

#[test]
fn the_environment_sets_the_grace_and_no_windows() {
    let config = parse("[maintenance]\ngrace = \"1m\"\n", &[("TICKLED_MAINTENANCE__GRACE", "20m")]).unwrap();
    assert_eq!(config.maintenance, Maintenance { grace: Duration::from_secs(1_200), ..Maintenance::default() });
    for name in ["TICKLED_MAINTENANCE__WINDOW", "TICKLED_MAINTENANCE__WINDOW[]__FROM"] {
        assert_eq!(
            parse("", &[(name, "23:45")]).unwrap_err().to_string(),
            format!(
                "environment variable {name}: maintenance.window is a list of tables, which no variable can hold; \
                 write [[maintenance.window]] in the file"
            )
        );
    }
}

#[test]
fn each_published_zone_and_each_city_may_be_meant() {
    for (written, meant) in [
        ("et", "America/New_York"),
        ("EDT", "America/New_York"),
        ("CEST", "Europe/Zurich"),
        ("HKT", "Asia/Hong_Kong"),
        ("New York", "America/New_York"),
        ("zurich", "Europe/Zurich"),
        ("hong kong", "Asia/Hong_Kong"),
        ("america/new_york", "America/New_York"),
        ("Asia/Hongkong", "Asia/Hong_Kong"),
    ] {
        let window = format!("[[maintenance.window]]\nfrom = \"01:00\"\nto = \"02:00\"\nzone = \"{written}\"\n");
        let told = parse(&window, &[]).unwrap_err().to_string();
        assert!(told.ends_with(&format!("; did you mean \"{meant}\"?")), "{told}");
    }
}

#[test]
fn windows_are_not_without_number() {
    let windows = |count| "[[maintenance.window]]\nfrom = \"01:00\"\nto = \"02:00\"\nzone = \"UTC\"\n".repeat(count);
    assert_eq!(maintenance(&windows(50)).windows.len(), 50);
    let told = parse(&windows(51), &[]).unwrap_err().to_string();
    assert_eq!(told, "tickled.toml:3:15: maintenance.window: 51 windows are too many; at most 50");
}
