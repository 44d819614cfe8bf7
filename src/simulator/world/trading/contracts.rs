//! Contracts: every symbol of one to five letters is a stock, and its number is made of its letters.

use serde_json::{Map, Value, json};

use super::reply::{bad, marked, ok};
use crate::simulator::world::answer::Answer;
use crate::simulator::world::call::{Call, Method};

/// The number of the stock with this symbol; `None` unless it has one to five letters.
pub(super) fn conid(symbol: &str) -> Option<u32> {
    let fits = (1..=5).contains(&symbol.len()) && symbol.bytes().all(|letter| letter.is_ascii_alphabetic());
    fits.then(|| {
        let letters = symbol.bytes().map(|letter| u32::from(letter.to_ascii_uppercase() - b'A') + 1);
        FIRST + letters.fold(0, |number, letter| number * LETTERS + letter)
    })
}

/// The symbol of the stock with this number. A number of IBKR's own, as programs have them in their settings, is a
/// stock too, whose symbol is made of the number.
pub(super) fn symbol(conid: u32) -> String {
    let mut rest = match conid.checked_sub(FIRST) {
        Some(rest) if rest > 0 && rest < LETTERS.pow(5) => rest,
        Some(_) | None => return format!("SIM{conid}"),
    };
    let mut letters = Vec::new();
    while rest > 0 {
        let letter = (rest % LETTERS).checked_sub(1).and_then(|letter| u8::try_from(letter).ok()).unwrap_or(0);
        letters.push(char::from(b'A' + letter));
        rest /= LETTERS;
    }
    letters.iter().rev().collect()
}

/// The name of the company.
pub(super) fn name(conid: u32) -> String {
    format!("SIMULATED {}", symbol(conid))
}

/// `/trsrv`: what needs no brokerage session.
pub(super) fn answer_trsrv(call: &Call, parts: &[&str]) -> Option<Answer> {
    match (call.method, parts) {
        (Method::Get, ["stocks"]) => {
            let symbols = call.param("symbols").unwrap_or_default();
            let known = symbols.split(',').map(|symbol| (symbol.to_owned(), stocks(symbol)));
            Some(ok(Value::Object(known.collect::<Map<String, Value>>())))
        }
        (Method::Get, ["secdef"]) => {
            let conids = call.param("conids").unwrap_or_default();
            let numbers = conids.split(',').filter_map(|conid| conid.trim().parse().ok());
            Some(ok(json!({"secdef": numbers.map(definition).collect::<Vec<Value>>()})))
        }
        _ => None,
    }
}

/// `/iserver/secdef/search`: by symbol, in the query or in the body.
pub(super) fn search(call: &Call) -> Answer {
    let symbol = call.param("symbol").or_else(|| call.body["symbol"].as_str().map(str::to_owned));
    let Some(symbol) = symbol.filter(|symbol| !symbol.is_empty()) else {
        return bad("symbol is required");
    };
    let Some(conid) = conid(&symbol) else {
        return ok(json!({"error": "No symbol found"}));
    };
    ok(json!([marked(json!({
        "conid": conid.to_string(),
        "companyHeader": format!("{} - {EXCHANGE}", name(conid)),
        "companyName": name(conid),
        "symbol": symbol.to_ascii_uppercase(),
        "description": EXCHANGE,
        "restricted": null,
        "sections": [{"secType": "STK"}],
    }))]))
}

/// `/iserver/contract/{conid}/info`.
pub(super) fn info(conid: &str) -> Answer {
    let Ok(conid) = conid.parse() else {
        return bad("conid must be a number");
    };
    ok(marked(json!({
        "con_id": conid,
        "symbol": symbol(conid),
        "company_name": name(conid),
        "instrument_type": "STK",
        "currency": "USD",
        "exchange": EXCHANGE,
        "valid_exchanges": EXCHANGE,
    })))
}

fn stocks(symbol: &str) -> Value {
    let Some(conid) = conid(symbol) else {
        return json!([]);
    };
    json!([marked(json!({
        "name": name(conid),
        "chineseName": null,
        "assetClass": "STK",
        "contracts": [{"conid": conid, "exchange": EXCHANGE, "isUS": true}],
    }))])
}

fn definition(conid: u32) -> Value {
    marked(json!({
        "conid": conid,
        "currency": "USD",
        "name": name(conid),
        "assetClass": "STK",
        "ticker": symbol(conid),
        "listingExchange": EXCHANGE,
    }))
}

/// The exchange of every contract: programs choose by it.
pub(super) const EXCHANGE: &str = "NASDAQ";
const FIRST: u32 = 900_000_000;
const LETTERS: u32 = 27;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symbol_and_its_number_lead_to_each_other() {
        for text in ["A", "Z", "AA", "AAPL", "ZZZZZ", "SIM"] {
            assert_eq!(symbol(conid(text).unwrap()), text);
        }
        assert_eq!(conid("aapl"), conid("AAPL"));
        assert_ne!(conid("A"), conid("AA"));
        for not_one in ["", "ABCDEF", "A1", "Ä"] {
            assert_eq!(conid(not_one), None, "{not_one}");
        }
        assert_eq!(symbol(265_598), "SIM265598");
    }
}
