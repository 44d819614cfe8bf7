//! The topics that a program subscribes to on a websocket: `smd`, `sor` and `spl`.
//!
//! A subscription belongs to the brokerage session. When the session ends, the data stops without a message.

use std::time::Duration;

use serde_json::{Value, json};

use super::reply::marked;
use super::{Trading, market};

/// What a websocket sees of the trading side.
#[derive(Clone, Copy, Debug)]
pub(in crate::simulator::world) struct View<'a> {
    pub(in crate::simulator::world) trading: &'a Trading,
    pub(in crate::simulator::world) account: &'a str,
    /// There is a brokerage session. Without one nothing can be subscribed to.
    pub(in crate::simulator::world) live: bool,
}

/// The subscriptions of one websocket.
#[derive(Clone, Debug, Default)]
pub(in crate::simulator::world) struct Subscriptions {
    session: u64,
    market: Vec<Market>,
    /// How many changes of orders were sent, where `sor` is subscribed.
    orders: Option<usize>,
    profit: bool,
}

/// A subscription to a contract's market data.
#[derive(Clone, Debug)]
struct Market {
    conid: u32,
    fields: Vec<String>,
    ends_at: Duration,
}

impl Subscriptions {
    pub(in crate::simulator::world) fn is_empty(&self) -> bool {
        self.market.is_empty() && self.orders.is_none() && !self.profit
    }

    /// Reads a message of the client, such as `smd+265598+{"fields":["31"]}` or `uor+{}`. Returns the frame that is sent at once.
    pub(in crate::simulator::world) fn hear(
        &mut self,
        text: &str,
        view: View<'_>,
        at: Duration,
        refused: bool,
    ) -> Option<Value> {
        self.forget_other_sessions(view);
        let View { trading, account, live } = view;
        let mut parts = text.splitn(3, '+');
        let (verb, first, rest) = (parts.next()?, parts.next(), parts.next());
        match verb {
            "smd" | "sor" | "spl" if refused || !live => Some(refusal(text, verb)),
            "smd" => {
                let conid = first?.split('@').next()?.parse().ok()?;
                let options: Value = serde_json::from_str(rest.unwrap_or("{}")).unwrap_or_default();
                let fields = options["fields"].as_array().map(|fields| fields.iter().filter_map(Value::as_str));
                let fields = fields.map(|fields| fields.map(str::to_owned).collect()).unwrap_or_default();
                self.market.retain(|market| market.conid != conid);
                if self.market.len() == MOST_MARKETS {
                    return Some(refusal(text, verb));
                }
                self.market.push(Market { conid, fields, ends_at: at + MARKET_DATA_LASTS });
                self.market.last().map(|market| market.frame(trading, at))
            }
            "umd" => {
                let conid: Option<u32> = first?.parse().ok();
                self.market.retain(|market| Some(market.conid) != conid);
                None
            }
            "sor" => {
                self.orders = Some(trading.orders.changes());
                Some(json!({"topic": "sor", "args": trading.orders.rows(account)}))
            }
            "uor" => {
                self.orders = None;
                None
            }
            "spl" => {
                self.profit = true;
                Some(profit(trading, account, at))
            }
            "upl" => {
                self.profit = false;
                None
            }
            _ => None,
        }
    }

    /// The frames of every second.
    pub(in crate::simulator::world) fn tick(&mut self, view: View<'_>, at: Duration) -> Vec<Value> {
        self.forget_other_sessions(view);
        self.market.retain(|market| at < market.ends_at);
        let mut frames: Vec<Value> = self.market.iter().map(|market| market.frame(view.trading, at)).collect();
        if self.profit {
            frames.push(profit(view.trading, view.account, at));
        }
        frames
    }

    /// The frame of changed orders, if any.
    pub(in crate::simulator::world) fn changed(&mut self, view: View<'_>) -> Option<Value> {
        self.forget_other_sessions(view);
        let seen = self.orders.as_mut()?;
        let rows = view.trading.orders.changed_since(*seen, view.account);
        *seen = view.trading.orders.changes();
        (!rows.is_empty()).then(|| json!({"topic": "sor", "args": rows}))
    }

    fn forget_other_sessions(&mut self, view: View<'_>) {
        let session = view.trading.session.number;
        if !view.live || self.session != session {
            *self = Subscriptions { session, ..Subscriptions::default() };
        }
    }
}

impl Market {
    fn frame(&self, trading: &Trading, at: Duration) -> Value {
        let fields: Vec<&str> = self.fields.iter().map(String::as_str).collect();
        let mut frame = market::entry(self.conid, &fields, at, trading.epoch_ms);
        frame["topic"] = json!(format!("smd+{}", self.conid));
        frame
    }
}

fn profit(trading: &Trading, account: &str, at: Duration) -> Value {
    marked(json!({"topic": "spl", "args": trading.portfolio.profit(account, at)}))
}

fn refusal(text: &str, verb: &str) -> Value {
    let topic = if verb == "smd" { text.split("+{").next().unwrap_or(verb) } else { verb };
    json!({"error": "unable to subscribe", "code": 500, "topic": topic})
}

/// IBKR ends a subscription to market data after ten minutes, whatever the session does.
const MARKET_DATA_LASTS: Duration = Duration::from_secs(10 * 60);
const MOST_MARKETS: usize = 100;
