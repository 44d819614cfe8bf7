//! Orders: a market order, or a limit that the price has reached already, is filled after a second; others stay open.

use std::time::Duration;

use serde_json::{Value, json};

use super::reply::{bad, marked, ok, price, units};
use super::{contracts, market};
use crate::simulator::world::answer::Answer;

/// An order's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OrderId(u64);

/// What a program asks for.
#[derive(Clone, Debug)]
pub(super) struct Ticket {
    pub(super) conid: u32,
    pub(super) buys: bool,
    pub(super) quantity: f64,
    /// The price of a limit order, in hundredths.
    pub(super) limit: Option<i64>,
    /// `cOID`.
    pub(super) reference: Option<String>,
    kind: String,
    tif: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    PendingSubmit,
    Submitted,
    PendingCancel,
    Cancelled,
    Filled,
}

#[derive(Clone, Debug)]
struct Order {
    id: OrderId,
    ticket: Ticket,
    status: Status,
    /// The status that comes next, and when.
    due: Option<(Duration, Status)>,
    /// The price at which it was filled, in hundredths, and when, in epoch milliseconds.
    filled: Option<(i64, u64)>,
}

/// A fill, for the positions. Sold quantities are negative.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fill {
    pub(super) conid: u32,
    pub(super) quantity: f64,
    pub(super) cents: i64,
}

/// All orders of the account.
#[derive(Clone, Debug, Default)]
pub(super) struct Orders {
    list: Vec<Order>,
    placed: u64,
    /// The orders that changed, oldest first, for the topic `sor`, and how many were forgotten before them.
    changed: Vec<OrderId>,
    forgotten: usize,
}

impl Ticket {
    /// Reads `{"orders": [...]}`.
    pub(super) fn read_all(body: &Value) -> Result<Vec<Ticket>, String> {
        let orders = body["orders"].as_array().filter(|orders| !orders.is_empty()).ok_or("orders are required")?;
        orders.iter().map(Ticket::read).collect()
    }

    /// Reads one order.
    pub(super) fn read(order: &Value) -> Result<Ticket, String> {
        let number = |value: &Value| value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
        let conid = match (&order["conid"], &order["conidex"]) {
            (Value::Null, Value::String(conidex)) => conidex.split('@').next().and_then(|conid| conid.parse().ok()),
            (Value::String(conid), _) => conid.parse().ok(),
            (conid, _) => conid.as_u64().and_then(|conid| u32::try_from(conid).ok()),
        };
        let kind = order["orderType"].as_str().unwrap_or_default().to_ascii_uppercase();
        let limit = number(&order["price"]).and_then(cents);
        if kind == "LMT" && limit.is_none() {
            return Err("a limit order needs a price".to_owned());
        }
        Ok(Ticket {
            conid: conid.ok_or("conid or conidex is required")?,
            buys: match order["side"].as_str() {
                Some("BUY" | "B") => true,
                Some("SELL" | "S") => false,
                _ => return Err("side must be BUY or SELL".to_owned()),
            },
            quantity: number(&order["quantity"])
                .filter(|quantity| quantity.is_finite() && *quantity > 0.0)
                .ok_or("quantity must be more than 0")?,
            limit: limit.filter(|_| kind == "LMT"),
            reference: order["cOID"].as_str().map(str::to_owned),
            kind: match kind.as_str() {
                "MKT" => "Market".to_owned(),
                "LMT" => "Limit".to_owned(),
                "" => return Err("orderType is required".to_owned()),
                _ => kind,
            },
            tif: order["tif"].as_str().unwrap_or("DAY").to_owned(),
        })
    }

    /// The price at which it is filled at once; none where it stays open.
    fn fills_at(&self, at: Duration) -> Option<i64> {
        let last = market::last(self.conid, at);
        let reached = |limit: i64| if self.buys { limit > last } else { limit < last };
        match self.limit {
            Some(limit) => reached(limit).then_some(last),
            None => (self.kind == "Market").then_some(last),
        }
    }
}

impl Orders {
    pub(super) fn next(&self) -> Option<Duration> {
        self.list.iter().filter_map(|order| order.due.map(|(at, _)| at)).min()
    }

    /// Lets the orders change that are due; returns what was filled.
    pub(super) fn advance(&mut self, at: Duration, wall_ms: u64) -> Vec<Fill> {
        let mut fills = Vec::new();
        let mut changed = Vec::new();
        for order in &mut self.list {
            let Some((_, status)) = order.due.filter(|(due, _)| *due <= at) else {
                continue;
            };
            order.status = status;
            order.due = None;
            changed.push(order.id);
            match (status, order.ticket.fills_at(at)) {
                (Status::Submitted, Some(_)) => order.due = Some((at + FILLED_AFTER, Status::Filled)),
                (Status::Filled, filled) => {
                    let cents = filled.unwrap_or_else(|| market::last(order.ticket.conid, at));
                    order.filled = Some((cents, wall_ms));
                    let quantity = if order.ticket.buys { order.ticket.quantity } else { -order.ticket.quantity };
                    fills.push(Fill { conid: order.ticket.conid, quantity, cents });
                }
                (Status::Submitted | Status::PendingSubmit | Status::PendingCancel | Status::Cancelled, _) => {}
            }
        }
        changed.into_iter().for_each(|id| self.note(id));
        fills
    }

    pub(super) fn place(&mut self, at: Duration, tickets: Vec<Ticket>) -> Value {
        let mut placed = Vec::new();
        for ticket in tickets {
            self.placed += 1;
            let id = OrderId(FIRST + self.placed);
            if self.list.len() == MOST_KEPT {
                self.list.remove(0);
            }
            let due = Some((at + SUBMITTED_AFTER, Status::Submitted));
            placed.push(marked(json!({
                "order_id": id.0.to_string(),
                "local_order_id": ticket.reference,
                "order_status": Status::PendingSubmit.name(),
                "encrypt_message": "1",
            })));
            self.list.push(Order { id, ticket, status: Status::PendingSubmit, due, filled: None });
            self.note(id);
        }
        Value::Array(placed)
    }

    /// Replaces an open order. One that was filled meanwhile stays as it is.
    pub(super) fn modify(&mut self, at: Duration, id: OrderId, tickets: Vec<Ticket>, account: &str) -> Value {
        let found = self.list.iter_mut().find(|order| order.id == id && order.is_open());
        let (Some(order), Some(ticket)) = (found, tickets.into_iter().next()) else {
            return marked(json!({"error": format!("OrderID {} is not open", id.0)}));
        };
        order.ticket = ticket;
        order.status = Status::PendingSubmit;
        order.due = Some((at + SUBMITTED_AFTER, Status::Submitted));
        let body = json!([marked(json!({
            "order_id": id.0.to_string(),
            "local_order_id": order.ticket.reference,
            "order_status": order.status.name(),
            "account": account,
        }))]);
        self.note(id);
        body
    }

    /// Cancels one order, or with -1 all that are open.
    pub(super) fn cancel(&mut self, at: Duration, id: &str, account: &str) -> Answer {
        let all = id == "-1";
        let mut cancelled = Vec::new();
        for order in &mut self.list {
            if order.is_open() && (all || order.id.0.to_string() == id) {
                order.status = Status::PendingCancel;
                order.due = Some((at + CANCELLED_AFTER, Status::Cancelled));
                cancelled.push((order.id, order.ticket.conid));
            }
        }
        cancelled.iter().for_each(|(order, _)| self.note(*order));
        match cancelled.first() {
            None if !all => ok(marked(json!({"error": format!("OrderID {id} doesn't exist")}))),
            first => ok(marked(json!({
                "msg": "Request was submitted",
                "order_id": id.parse::<i64>().unwrap_or(-1),
                "order_status": null,
                "conid": first.map_or(-1, |(_, conid)| i64::from(*conid)),
                "account": account,
            }))),
        }
    }

    /// `/iserver/account/orders`. The first list of a session is empty.
    pub(super) fn list(&self, account: &str, complete: bool) -> Value {
        let orders: Vec<Value> = self.list.iter().filter(|_| complete).map(|order| order.row(account)).collect();
        marked(json!({"orders": orders, "snapshot": complete}))
    }

    /// `/iserver/account/order/status/{orderId}`.
    pub(super) fn status(&self, id: &str, account: &str) -> Answer {
        let Some(order) = self.list.iter().find(|order| order.id.0.to_string() == id) else {
            return bad(&format!("OrderID {id} doesn't exist"));
        };
        let ticket = &order.ticket;
        ok(marked(json!({
            "order_id": order.id.0,
            "conid": ticket.conid,
            "symbol": contracts::symbol(ticket.conid),
            "side": if ticket.buys { "B" } else { "S" },
            "order_status": order.status.name(),
            "order_status_description": format!("Order {}", order.status.name()),
            "size": order.remaining().to_string(),
            "total_size": ticket.quantity.to_string(),
            "cum_fill": (ticket.quantity - order.remaining()).to_string(),
            "currency": "USD",
            "account": account,
            "order_type": ticket.kind.to_ascii_uppercase(),
            "limit_price": ticket.limit.map(price),
            "average_price": order.filled.map(|(cents, _)| price(cents)),
            "tif": ticket.tif,
        })))
    }

    /// `/iserver/account/trades`.
    pub(super) fn trades(&self, account: &str) -> Value {
        let trade = |order: &Order| {
            let (cents, time) = order.filled?;
            Some(marked(json!({
                "execution_id": format!("00000000.{:08x}.01.01", order.id.0),
                "symbol": contracts::symbol(order.ticket.conid),
                "conid": order.ticket.conid,
                "conidEx": order.ticket.conid.to_string(),
                "side": if order.ticket.buys { "B" } else { "S" },
                "order_ref": order.ticket.reference,
                "order_id": order.id.0,
                "size": order.ticket.quantity,
                "price": price(cents),
                "trade_time_r": time,
                "exchange": contracts::EXCHANGE,
                "account": account,
                "sec_type": "STK",
            })))
        };
        self.list.iter().filter_map(trade).collect()
    }

    /// An order with the same `cOID` was placed before.
    pub(super) fn knows(&self, ticket: &Ticket) -> bool {
        ticket.reference.is_some() && self.list.iter().any(|order| order.ticket.reference == ticket.reference)
    }

    /// The open order of this number.
    pub(super) fn open(&self, id: &str) -> Option<OrderId> {
        self.list.iter().find(|order| order.is_open() && order.id.0.to_string() == id).map(|order| order.id)
    }

    /// How many changes there were so far.
    pub(super) fn changes(&self) -> usize {
        self.forgotten + self.changed.len()
    }

    /// The orders that changed since there were `seen` changes, as `sor` shows them.
    pub(super) fn changed_since(&self, seen: usize, account: &str) -> Vec<Value> {
        let late = self.changed.iter().skip(seen.saturating_sub(self.forgotten));
        late.filter_map(|id| self.list.iter().find(|order| order.id == *id)).map(|order| order.row(account)).collect()
    }

    /// All orders, as a new subscription to `sor` shows them.
    pub(super) fn rows(&self, account: &str) -> Vec<Value> {
        self.list.iter().map(|order| order.row(account)).collect()
    }

    fn note(&mut self, id: OrderId) {
        if self.changed.len() == MOST_KEPT {
            self.changed.remove(0);
            self.forgotten += 1;
        }
        self.changed.push(id);
    }
}

impl Order {
    fn is_open(&self) -> bool {
        match self.status {
            Status::PendingSubmit | Status::Submitted => true,
            Status::PendingCancel | Status::Cancelled | Status::Filled => false,
        }
    }

    fn remaining(&self) -> f64 {
        if self.filled.is_some() { 0.0 } else { self.ticket.quantity }
    }

    /// A row of the list of orders and of `sor`.
    fn row(&self, account: &str) -> Value {
        let ticket = &self.ticket;
        let symbol = contracts::symbol(ticket.conid);
        let side = if ticket.buys { "Buy" } else { "Sell" };
        let limit = ticket.limit.map(|limit| format!(" {}", price(limit))).unwrap_or_default();
        marked(json!({
            "acct": account,
            "account": account,
            "conid": ticket.conid,
            "conidex": ticket.conid.to_string(),
            "orderId": self.id.0,
            "order_ref": ticket.reference,
            "orderDesc": format!("{side} {} {}{limit}, {}", ticket.quantity, ticket.kind, ticket.tif),
            "description1": symbol,
            "ticker": symbol,
            "companyName": contracts::name(ticket.conid),
            "secType": "STK",
            "listingExchange": contracts::EXCHANGE,
            "cashCcy": "USD",
            "side": side.to_ascii_uppercase(),
            "orderType": ticket.kind,
            "price": ticket.limit.map(price),
            "timeInForce": ticket.tif,
            "status": self.status.name(),
            "order_ccp_status": self.status.name(),
            "totalSize": ticket.quantity,
            "remainingQuantity": self.remaining(),
            "filledQuantity": ticket.quantity - self.remaining(),
            "avgPrice": self.filled.map(|(cents, _)| price(cents)),
            "lastExecutionTime_r": self.filled.map(|(_, time)| time),
        }))
    }
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Status::PendingSubmit => "PendingSubmit",
            Status::Submitted => "Submitted",
            Status::PendingCancel => "PendingCancel",
            Status::Cancelled => "Cancelled",
            Status::Filled => "Filled",
        }
    }
}

/// `/iserver/account/{accountId}/orders/whatif`.
pub(super) fn preview(body: &Value, at: Duration) -> Answer {
    let tickets = match Ticket::read_all(body) {
        Ok(tickets) => tickets,
        Err(fault) => return bad(&fault),
    };
    let amount: f64 = tickets.iter().map(|ticket| ticket.quantity * units(market::last(ticket.conid, at))).sum();
    ok(marked(json!({
        "amount": {"amount": format!("{amount:.2} USD"), "commission": "1 USD", "total": format!("{:.2} USD", amount + 1.0)},
        "error": null,
    })))
}

/// A price in hundredths; `None` when it is out of range.
#[expect(clippy::cast_possible_truncation, reason = "the number is bounded")]
fn cents(price: f64) -> Option<i64> {
    let cents = (price * 100.0).round();
    (cents.is_finite() && cents.abs() < 1e12).then_some(cents as i64)
}

const SUBMITTED_AFTER: Duration = Duration::from_millis(200);
const FILLED_AFTER: Duration = Duration::from_secs(1);
const CANCELLED_AFTER: Duration = Duration::from_millis(200);
const FIRST: u64 = 1_000_000_000;
const MOST_KEPT: usize = 1_000;
