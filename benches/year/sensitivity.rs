//! Whether the order of the rows depends on the assumptions.

use support::year::{ALL, Assumptions, Name, Run};

/// Those whose order is compared; the variants of `tickled` differ too little.
const COMPARED: [Name; 6] = [Name::Perfect, Name::Tickled, Name::Recipe, Name::Tickler, Name::IBeam, Name::Nothing];

/// Prints, for each of the wanted assumptions halved and doubled, the minutes that each strategy loses in trading hours beyond the perfect
/// keeper's, and what changes in the order of the rows.
pub(crate) fn print(years: u64, is_wanted: impl Fn(&str) -> bool) {
    let titles = COMPARED[1..].iter().map(|name| name.title()).collect::<Vec<_>>().join(", ");
    println!("Minutes lost in trading hours beyond the perfect keeper's, per year, over {years} years: {titles}.\n");
    println!("| what happens | how much | source | halved | doubled | order |\n|---|---|---|--:|--:|---|");
    let usual = minutes(years, Assumptions::default());
    println!("| as assumed | | | {} | | {} |", figures(&usual), titles_of(&order(&usual)));
    for row in ALL.iter().filter(|row| is_wanted(&format!("{:?}", row.key))) {
        let [halved, doubled] = [0.5, 2.0].map(|factor| minutes(years, Assumptions::default().times(row.key, factor)));
        let order = match (changed(&halved, &usual), changed(&doubled, &usual)) {
            (None, None) => "the same".to_owned(),
            (halved, doubled) => {
                let halved = halved.map(|order| format!("halved: {order}"));
                let doubled = doubled.map(|order| format!("doubled: {order}"));
                halved.into_iter().chain(doubled).collect::<Vec<_>>().join("; ")
            }
        };
        println!(
            "| {} | {} {} | {} | {} | {} | {order} |",
            row.meaning,
            row.value,
            row.unit,
            row.source,
            figures(&halved),
            figures(&doubled)
        );
    }
}

fn minutes(years: u64, assumptions: Assumptions) -> Vec<f64> {
    let run = Run { assumptions, ..Run::years(years) };
    let all: Vec<f64> = COMPARED.iter().map(|name| run.live(*name).minutes().1).collect();
    all[1..].iter().map(|minutes| minutes - all[0]).collect()
}

fn figures(minutes: &[f64]) -> String {
    minutes.iter().map(|minutes| format!("{:.0}", minutes.round() + 0.0)).collect::<Vec<_>>().join(", ")
}

/// The order of the rows where it is another than usual.
fn changed(minutes: &[f64], usual: &[f64]) -> Option<String> {
    let order = order(minutes);
    (order != self::order(usual)).then(|| titles_of(&order))
}

/// The rows, the best first.
fn order(minutes: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..minutes.len()).collect();
    order.sort_by(|a, b| minutes[*a].total_cmp(&minutes[*b]));
    order
}

fn titles_of(order: &[usize]) -> String {
    order.iter().map(|nth| COMPARED[nth + 1].title()).collect::<Vec<_>>().join(", ")
}
