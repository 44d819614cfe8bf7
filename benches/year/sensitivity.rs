//! Whether the order of the rows depends on the assumptions.

use support::year::{ALL, Assumptions, Name, Run};

/// Those whose order is compared; the variants of `tickled` differ too little.
const COMPARED: [Name; 6] = [Name::Perfect, Name::Tickled, Name::Recipe, Name::Tickler, Name::IBeam, Name::Nothing];

/// Prints, for each assumption halved and doubled, the minutes lost in trading hours beyond the perfect keeper's, and whether
/// the order of the rows is another.
pub(crate) fn print(years: u64) {
    println!("minutes lost in trading hours beyond the perfect keeper's, a year, over {years} years\n");
    let mut head = format!("{:<22}", "assumption");
    for name in &COMPARED[1..] {
        head += &format!(" {:>8}", name.title());
    }
    println!("{head}   order");
    let usual = minutes(years, Assumptions::default());
    show("as assumed", &usual, &usual);
    for row in ALL {
        for (factor, word) in [(0.5, "halved"), (2.0, "doubled")] {
            let changed = minutes(years, Assumptions::default().times(row.key, factor));
            show(&format!("{:?} {word}", row.key), &changed, &usual);
        }
    }
}

fn minutes(years: u64, assumptions: Assumptions) -> Vec<f64> {
    let run = Run { assumptions, ..Run::years(years) };
    let all: Vec<f64> = COMPARED.iter().map(|name| run.live(*name).minutes().1).collect();
    all[1..].iter().map(|minutes| minutes - all[0]).collect()
}

fn show(what: &str, minutes: &[f64], usual: &[f64]) {
    let figures: String = minutes.iter().map(|minutes| format!(" {minutes:>8.0}")).collect();
    let order = if order(minutes) == order(usual) { "the same" } else { "another" };
    println!("{what:<22}{figures}   {order}");
}

/// The rows, the best first.
fn order(minutes: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..minutes.len()).collect();
    order.sort_by(|a, b| minutes[*a].total_cmp(&minutes[*b]));
    order
}
