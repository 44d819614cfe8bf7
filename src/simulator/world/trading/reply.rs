//! The form of the answers: status codes, the mark on invented data, and amounts.

use serde_json::{Value, json};

use crate::simulator::world::answer::Answer;

/// 200 with this body.
pub(super) fn ok(body: Value) -> Answer {
    Answer::Program { status: 200, body }
}

/// 400 with the reason.
pub(super) fn bad(fault: &str) -> Answer {
    Answer::Program { status: 400, body: marked(json!({"error": fault, "statusCode": 400})) }
}

/// The answer of an account's path before the first request for `/iserver/accounts` in this session.
pub(super) fn not_primed() -> Answer {
    Answer::Program { status: 500, body: marked(json!({"error": "Please query /accounts first", "statusCode": 500})) }
}

/// Marks an object as invented data.
pub(super) fn marked(mut object: Value) -> Value {
    object["simulated"] = Value::Bool(true);
    object
}

/// Hundredths as the number that they are hundredths of.
#[expect(clippy::cast_precision_loss, reason = "an amount of money that a program shows")]
pub(super) fn units(cents: i64) -> f64 {
    cents as f64 / 100.0
}

/// Hundredths as IBKR writes prices: text with two places.
pub(super) fn price(cents: i64) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", cents.abs() / 100, cents.abs() % 100)
}
