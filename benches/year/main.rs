//! The year: what each strategy achieves in the same simulated years. Prints the tables of `docs/the-year.md`, which says what
//! they mean, and writes them as JSON and as a picture to `target/tmp`.
//!
//! `cargo bench --bench year` runs 200 years; `YEARS=8` runs fewer, `ONLY="tickled; recipe"` only these strategies beside the
//! perfect keeper. `SENSITIVITY=1` prints how the result changes with each assumption halved and doubled, or with those that
//! `ONLY` names. `STORY="17 tickled"` prints what happened in the year of that seed.
#![expect(clippy::unwrap_used, reason = "a measurement that fails ends")]
#![expect(clippy::print_stdout, reason = "the table is what it is for")]

mod picture;
mod sensitivity;

use std::fs;
use std::time::Duration;

use serde_json::{Map, Value, json};
use support::year::{Name, Run, Tally, Wait};

fn main() {
    let years = std::env::var("YEARS").ok().map(|years| years.parse().unwrap());
    if let Ok(story) = std::env::var("STORY") {
        let (seed, title) = story.split_once(' ').unwrap();
        let name = Name::ALL.into_iter().find(|name| name.title() == title).unwrap();
        println!("{}", Run::years(1).story(seed.parse().unwrap(), name).join("\n"));
        return;
    }
    let only = std::env::var("ONLY").ok();
    let is_wanted = |title: &str| only.as_ref().is_none_or(|only| only.split("; ").any(|only| only == title));
    if std::env::var("SENSITIVITY").is_ok() {
        sensitivity::print(years.unwrap_or(5), is_wanted);
        return;
    }
    let run = Run::years(years.unwrap_or(200));
    let names = Name::ALL.into_iter().filter(|name| *name == Name::Perfect || is_wanted(name.title()));
    println!("Figures are per year, over {} years.\n\n{}", run.years, head(COLUMNS.map(|(title, _)| title)));
    let mut rows = Vec::new();
    let mut best = None;
    for name in names {
        let tally = run.live(name);
        let (_, trading) = *best.get_or_insert(tally.minutes());
        let row = row(name, &tally, trading);
        println!("| {} | {} |", name.title(), COLUMNS.map(|(_, cell)| cell(&row)).join(" | "));
        rows.push((name, row));
    }
    println!("\n{}", head(Wait::ALL.map(Wait::title)));
    for (name, row) in &rows {
        let minutes = Wait::ALL.map(|wait| row["trading_minutes_by_wait"][wait.title()].to_string());
        println!("| {} | {} |", name.title(), minutes.join(" | "));
    }
    let folder = env!("CARGO_TARGET_TMPDIR");
    let all = json!({ "years": run.years, "strategies": rows.iter().map(|(_, row)| row).collect::<Vec<_>>() });
    fs::write(format!("{folder}/year.json"), serde_json::to_string_pretty(&all).unwrap() + "\n").unwrap();
    fs::write(format!("{folder}/year.svg"), picture::svg(run.years, &rows)).unwrap();
    println!("\nwritten to {folder}/year.json and {folder}/year.svg");
}

/// The head of a table.
fn head<const N: usize>(titles: [&str; N]) -> String {
    format!("| keeper | {} |\n|---|{}", titles.join(" | "), "--:|".repeat(N))
}

/// A cell of the table, from a strategy's row for programs.
type Cell = fn(&Value) -> String;

const COLUMNS: [(&str, Cell); 15] = [
    ("trading minutes lost beyond perfect", |row| row["trading_minutes_beyond_perfect"].to_string()),
    ("calls needed", |row| row["calls_needed"].to_string()),
    ("needless", |row| row["calls_needless"].to_string()),
    ("missed", |row| row["calls_missed"].to_string()),
    ("evictions", |row| row["evictions"].to_string()),
    ("wedges", |row| row["wedges"].to_string()),
    ("trading minutes lost", |row| row["trading_minutes"].to_string()),
    ("all hours lost", |row| format!("{:.0}", row["minutes"].as_f64().unwrap_or_default() / 60.0)),
    ("calls at night", |row| row["calls_at_night"].to_string()),
    ("late: median and 95 %, min", |row| {
        let late = &row["calls_late_minutes"];
        if late.is_null() { "none".to_owned() } else { format!("{}, {}", late["median"], late["p95"]) }
    }),
    ("requests", |row| row["requests"].to_string()),
    ("in a penalty", |row| row["requests_in_penalty"].to_string()),
    ("busiest second, with the gateway's own", |row| {
        format!("{}, {}", row["busiest_second_own"], row["busiest_second"])
    }),
    ("logins", |row| row["logins"].to_string()),
    ("accounts locked", |row| row["locks"].to_string()),
];

/// One row for programs.
fn row(name: Name, tally: &Tally, best: f64) -> Value {
    let (all, trading) = tally.minutes();
    let a_year = |count: u64| rounded(tally.a_year(count as f64), 10.0);
    let minutes = |span: Duration| span.as_secs_f64() / 60.0;
    let late = tally
        .lateness()
        .map(|late| json!({ "median": rounded(minutes(late.median), 10.0), "p95": rounded(minutes(late.p95), 10.0) }));
    let waits: Map<_, _> = Wait::ALL
        .into_iter()
        .map(|wait| {
            let lost = rounded(tally.a_year(minutes(tally.lost_to[wait as usize])), 10.0);
            (wait.title().to_owned(), lost)
        })
        .collect();
    json!({
        "strategy": name.title(),
        "trading_minutes_beyond_perfect": rounded(trading - best, 1.0),
        "trading_minutes": rounded(trading, 1.0),
        "trading_minutes_by_wait": waits,
        "minutes": rounded(all, 1.0),
        "needs": a_year(tally.needs),
        "calls_needed": a_year(tally.needed),
        "calls_needless": a_year(tally.needless),
        "calls_missed": a_year(tally.missed),
        "calls_at_night": a_year(tally.at_night),
        "calls_late_minutes": late,
        "messages": a_year(tally.messages),
        "requests": rounded(tally.a_year(tally.requests), 1.0),
        "busiest_second": tally.busiest,
        "busiest_second_own": tally.busiest_own,
        "requests_in_penalty": a_year(tally.in_penalty),
        "evictions": a_year(tally.evictions),
        "wedges": rounded(tally.a_year(tally.wedges as f64), 100.0),
        "logins": a_year(tally.logins),
        "locks": rounded(tally.a_year(tally.locks as f64), 100.0),
        "visits_in_vain": a_year(tally.in_vain),
    })
}

/// A figure with so many parts to one; without a fraction where it has none.
fn rounded(value: f64, to: f64) -> Value {
    // Zero has no sign.
    ((value * to).round() / to + 0.0).to_string().parse().unwrap()
}
