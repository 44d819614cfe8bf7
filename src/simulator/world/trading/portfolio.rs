//! Positions and cash: a hundred shares of SIM and 100,000 dollars at first, then what the orders make of them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::reply::{bad, marked, ok, units};
use super::{contracts, market};
use crate::simulator::world::answer::Answer;
use crate::simulator::world::call::{Call, Method};

/// What the account holds.
#[derive(Clone, Debug)]
pub(super) struct Portfolio {
    cash: f64,
    positions: BTreeMap<u32, Position>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Position {
    quantity: f64,
    /// What was paid for it, all in all.
    cost: f64,
}

impl Portfolio {
    pub(super) fn new() -> Portfolio {
        let mut portfolio = Portfolio { cash: 100_000.0, positions: BTreeMap::new() };
        if let Some(conid) = contracts::conid("SIM") {
            let quantity = 100.0;
            portfolio.positions.insert(conid, Position { quantity, cost: quantity * units(market::base(conid)) });
        }
        portfolio
    }

    /// An order was filled. Sold quantities are negative.
    pub(super) fn fill(&mut self, conid: u32, quantity: f64, cents: i64) {
        let amount = quantity * units(cents);
        self.cash -= amount;
        let position = self.positions.entry(conid).or_default();
        position.quantity += quantity;
        position.cost += amount;
    }

    /// `/portfolio` and `/portfolio2`, which need no brokerage session.
    pub(super) fn answer(
        &self,
        call: &Call,
        account: &str,
        at: Duration,
        epoch_s: u64,
        parts: &[&str],
    ) -> Option<Answer> {
        let now_s = epoch_s + at.as_secs();
        Some(match (call.method, parts) {
            (Method::Post, [_, "positions", "invalidate"]) => ok(json!({"message": "success"})),
            (Method::Get, [given, ..]) if *given != account => bad("account not found"),
            (Method::Get, [_, "positions"] | [_, "positions", "0"]) => ok(self.rows(account, at)),
            (Method::Get, [_, "positions", _]) => ok(json!([])),
            (Method::Get, [_, "position", conid]) => {
                let conid = conid.parse().ok();
                let found = self.positions.iter().find(|(number, _)| Some(**number) == conid);
                ok(found.map(|(conid, position)| row(*conid, *position, account, at)).into_iter().collect())
            }
            (Method::Get, [_, "ledger"]) => ok(self.ledger(account, at, now_s)),
            (Method::Get, [_, "summary"]) => ok(self.summary(at, now_s * 1_000)),
            (Method::Get, [_, "meta"]) => ok(marked(json!({
                "id": account, "accountId": account, "accountTitle": "SIMULATED", "currency": "USD",
            }))),
            _ => return None,
        })
    }

    /// What the account is worth, by the names of the summary.
    pub(super) fn summary(&self, at: Duration, wall_ms: u64) -> Value {
        let value = |amount: f64| {
            json!({
                "amount": amount, "currency": "USD", "isNull": false, "timestamp": wall_ms, "value": null, "severity": 0,
            })
        };
        marked(json!({
            "netliquidation": value(self.cash + self.worth(at)),
            "totalcashvalue": value(self.cash),
            "grosspositionvalue": value(self.worth(at)),
            "availablefunds": value(self.cash),
            "buyingpower": value(self.cash),
        }))
    }

    /// Profit and loss by account, as `spl` and `/iserver/account/pnl/partitioned` have it.
    pub(super) fn profit(&self, account: &str, at: Duration) -> Value {
        let cost: f64 = self.positions.values().map(|position| position.cost).sum();
        let (worth, cash) = (self.worth(at), self.cash);
        json!({format!("{account}.Core"): {
            "rowType": 1, "dpl": worth - cost, "nl": cash + worth, "upl": worth - cost, "el": cash, "mv": worth,
        }})
    }

    fn ledger(&self, account: &str, at: Duration, now_s: u64) -> Value {
        let row = |key: &str| {
            marked(json!({
                "acctcode": account,
                "cashbalance": self.cash,
                "settledcash": self.cash,
                "stockmarketvalue": self.worth(at),
                "netliquidationvalue": self.cash + self.worth(at),
                "exchangerate": 1,
                "currency": key,
                "secondkey": key,
                "key": "LedgerList",
                "timestamp": now_s,
                "severity": 0,
            }))
        };
        json!({"USD": row("USD"), "BASE": row("BASE")})
    }

    fn rows(&self, account: &str, at: Duration) -> Value {
        self.positions.iter().map(|(conid, position)| row(*conid, *position, account, at)).collect()
    }

    fn worth(&self, at: Duration) -> f64 {
        self.positions.iter().map(|(conid, position)| position.quantity * units(market::last(*conid, at))).sum()
    }
}

fn row(conid: u32, position: Position, account: &str, at: Duration) -> Value {
    let last = units(market::last(conid, at));
    let average = if position.quantity == 0.0 { 0.0 } else { position.cost / position.quantity };
    marked(json!({
        "acctId": account,
        "conid": conid,
        "contractDesc": contracts::symbol(conid),
        "ticker": contracts::symbol(conid),
        "name": contracts::name(conid),
        "assetClass": "STK",
        "listingExchange": contracts::EXCHANGE,
        "currency": "USD",
        "position": position.quantity,
        "mktPrice": last,
        "mktValue": position.quantity * last,
        "avgCost": average,
        "avgPrice": average,
        "realizedPnl": 0.0,
        "unrealizedPnl": position.quantity * last - position.cost,
    }))
}
