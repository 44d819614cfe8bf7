//! The year: what each strategy achieves in the same simulated years. Prints the table, and writes it as JSON and as a
//! picture to `target/tmp`. `docs/the-year.md` says what it means.
//!
//! `cargo bench --bench year` takes a few minutes; `BENCH=short` some seconds. `SENSITIVITY=1` prints how the result changes
//! with each assumption halved and doubled. `STORY="17 tickled"` prints what happened in the year of that seed.
#![expect(clippy::unwrap_used, reason = "a measurement that fails ends")]
#![expect(clippy::print_stdout, reason = "the table is what it is for")]

mod picture;
mod sensitivity;

use std::fs;

use serde_json::{Value, json};
use support::year::{Name, Run, Tally};

fn main() {
    let is_short = std::env::var("BENCH").is_ok_and(|size| size == "short");
    if let Ok(story) = std::env::var("STORY") {
        let (seed, title) = story.split_once(' ').unwrap();
        let name = Name::ALL.into_iter().find(|name| name.title() == title).unwrap();
        println!("{}", Run::years(1).story(seed.parse().unwrap(), name).join("\n"));
        return;
    }
    if std::env::var("SENSITIVITY").is_ok() {
        sensitivity::print(if is_short { 2 } else { 12 });
        return;
    }
    let run = Run::years(if is_short { 4 } else { 200 });
    println!("{} years of one gateway; figures are per year\n\n{HEAD}", run.years);
    let mut rows = Vec::new();
    let mut best = None;
    for name in Name::ALL {
        let tally = run.live(name);
        let (_, trading) = *best.get_or_insert(tally.minutes());
        println!("{}", line(name, &tally, trading));
        rows.push((name, row(name, &tally, trading)));
    }
    let folder = env!("CARGO_TARGET_TMPDIR");
    let all = json!({ "years": run.years, "strategies": rows.iter().map(|(_, row)| row).collect::<Vec<_>>() });
    fs::write(format!("{folder}/year.json"), serde_json::to_string_pretty(&all).unwrap() + "\n").unwrap();
    fs::write(format!("{folder}/year.svg"), picture::svg(&rows)).unwrap();
    println!("\nwritten to {folder}/year.json and {folder}/year.svg");
}

/// One row for programs.
fn row(name: Name, tally: &Tally, best: f64) -> Value {
    let (all, trading) = tally.minutes();
    let a_year = |count: u64| rounded(tally.a_year(count as f64), 10.0);
    let late = tally.lateness().map(|late| {
        let minutes = |late: std::time::Duration| rounded(late.as_secs_f64() / 60.0, 10.0);
        json!({ "median": minutes(late.median), "p95": minutes(late.p95) })
    });
    json!({
        "strategy": name.title(),
        "trading_minutes_beyond_perfect": rounded(trading - best, 1.0),
        "trading_minutes": rounded(trading, 1.0),
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
        "requests_in_penalty": a_year(tally.in_penalty),
        "evictions": a_year(tally.evictions),
        "wedges": rounded(tally.a_year(tally.wedges as f64), 100.0),
        "logins": a_year(tally.logins),
        "locks": rounded(tally.a_year(tally.locks as f64), 100.0),
        "visits_in_vain": a_year(tally.in_vain),
    })
}

fn rounded(value: f64, to: f64) -> f64 {
    // Zero has no sign.
    (value * to).round() / to + 0.0
}

const HEAD: &str = "\
                   |  minutes without a session |              calls to the owner, a year             |   requests to IBKR   |                                
strategy           | trading  beyond  all hours | needed needless missed night   late: median and 95% | a year  busy penalty | evictions wedges logins locks";

/// One row for people.
fn line(name: Name, tally: &Tally, best: f64) -> String {
    let (all, trading) = tally.minutes();
    let a_year = |count: u64| tally.a_year(count as f64);
    let late = tally.lateness().map_or_else(
        || "                  -".to_owned(),
        |late| format!("{:>9.1} {:>9.1}", late.median.as_secs_f64() / 60.0, late.p95.as_secs_f64() / 60.0),
    );
    format!(
        "{:<18} | {trading:>7.0} {:>7.0} {all:>10.0} | {:>6.0} {:>8.1} {:>6.1} {:>5.0} {late} min | {:>5.0}k {:>5} {:>7.0} | {:>9.1} {:>6.2} {:>6.0} {:>5.2}",
        name.title(),
        trading - best,
        a_year(tally.needed),
        a_year(tally.needless),
        a_year(tally.missed),
        a_year(tally.at_night),
        tally.a_year(tally.requests) / 1000.0,
        tally.busiest,
        a_year(tally.in_penalty),
        a_year(tally.evictions),
        a_year(tally.wedges),
        a_year(tally.logins),
        a_year(tally.locks),
    )
}
