//! The year: what each strategy achieves in the same simulated years. Prints the table.
#![expect(clippy::print_stdout, reason = "the table is what it is for")]

use support::year::{Name, Run};

fn main() {
    let years = std::env::var("YEARS").ok().and_then(|years| years.parse().ok()).unwrap_or(200);
    let run = Run { in_full: std::env::var("FULL").is_ok(), ..Run::years(years) };
    if let Ok(story) = std::env::var("STORY") {
        let name = Name::ALL.into_iter().find(|name| name.title() == story).unwrap_or(Name::Tickled);
        for line in run.story(0, name) {
            println!("{line}");
        }
        return;
    }
    for name in Name::ALL {
        let start = std::time::Instant::now();
        let tally = run.live(name);
        println!(
            "{:20} {:?} {:?} late {:?} {:?}",
            name.title(),
            tally.minutes(),
            start.elapsed(),
            tally.lateness(),
            support::year::Tally { late: Vec::new(), ..tally }
        );
    }
}
