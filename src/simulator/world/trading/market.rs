//! Prices: computed from the contract's number and the time, so that they move and can be predicted.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::contracts;
use super::reply::{bad, marked, ok, price, units};
use crate::simulator::world::answer::Answer;
use crate::simulator::world::call::Call;
use crate::simulator::world::millis;

/// The last price in hundredths, at `at` since the world began. It moves by less than 2 % within ten minutes.
pub(super) fn last(conid: u32, at: Duration) -> i64 {
    let base = base(conid);
    let seconds = i64::try_from(at.as_secs()).unwrap_or(0);
    base + base * wave(seconds, 600) / 10_000 + wave(seconds, 20) / 10
}

/// A fixed price; the contract trades within 2 % of it.
pub(super) fn base(conid: u32) -> i64 {
    2_000 + i64::from(conid) * 7_919 % 48_000
}

/// An entry of a snapshot or a frame of `smd`, with these of the fields that there are.
pub(super) fn entry(conid: u32, fields: &[&str], at: Duration, epoch_ms: u64) -> Value {
    let mut entry = Map::new();
    entry.insert("conid".to_owned(), json!(conid));
    entry.insert("conidEx".to_owned(), json!(conid.to_string()));
    entry.insert("_updated".to_owned(), json!(epoch_ms + millis(at)));
    entry.insert("server_id".to_owned(), json!("q0"));
    if !fields.is_empty() {
        entry.insert("6119".to_owned(), json!("q0"));
        entry.insert("6509".to_owned(), json!("DPB"));
    }
    for field in fields {
        if let Some(value) = value(field, conid, at) {
            entry.insert((*field).to_owned(), json!(value));
        }
    }
    marked(Value::Object(entry))
}

/// `/iserver/marketdata/history`: thirty bars of a minute, whatever is asked for.
pub(super) fn history(call: &Call, at: Duration, epoch_ms: u64) -> Answer {
    let Some(conid) = call.param("conid").and_then(|conid| conid.parse().ok()) else {
        return bad("conid is required");
    };
    let bars = (0..30_u64).rev().map(|ago| {
        let end = at.saturating_sub(Duration::from_secs(60 * ago));
        let (open, close) = (last(conid, end.saturating_sub(Duration::from_secs(60))), last(conid, end));
        let time = epoch_ms.saturating_add(millis(at)).saturating_sub(60_000 * ago);
        let (low, high) = (open.min(close), open.max(close));
        json!({
            "t": time, "o": units(open), "c": units(close),
            "h": units(high), "l": units(low), "v": 100,
        })
    });
    ok(marked(json!({
        "symbol": contracts::symbol(conid),
        "text": contracts::name(conid),
        "points": 29,
        "mktDataDelay": 0,
        "data": bars.collect::<Vec<Value>>(),
    })))
}

/// The value of a market data field. The numbers are IBKR's.
fn value(field: &str, conid: u32, at: Duration) -> Option<String> {
    let last = last(conid, at);
    let change = last - base(conid);
    Some(match field {
        "31" => price(last),
        "55" => contracts::symbol(conid),
        "82" => price(change),
        "83" => price(change * 10_000 / base(conid)),
        "84" => price(last - 1),
        "85" | "88" | "7059" => "100".to_owned(),
        "86" => price(last + 1),
        "87" => "100K".to_owned(),
        "7051" => contracts::name(conid),
        _ => return None,
    })
}

/// From -100 to 100 and back within so many seconds.
fn wave(seconds: i64, period: i64) -> i64 {
    let phase = seconds % period * 400 / period;
    if phase < 200 { phase - 100 } else { 300 - phase }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_moves_every_few_seconds_and_stays_near_its_base() {
        for conid in [contracts::conid("AAPL").unwrap(), 265_598, 0, u32::MAX] {
            let prices: Vec<i64> = (0..1_200).map(|second| last(conid, Duration::from_secs(second))).collect();
            let base = base(conid);
            assert!(base >= 2_000 && prices.iter().all(|price| (price - base).abs() <= base / 50), "{conid}");
            let moves = prices.windows(2).filter(|pair| pair[0] != pair[1]).count();
            assert!(moves > 600, "{moves} moves");
        }
    }
}
