//! What a trading program asks of IBKR: contracts, market data, orders and their questions, positions.
//!
//! All data are invented: every object has `"simulated": true`, and names begin with SIMULATED. As at IBKR, some state
//! ends with the brokerage session: the priming by `/iserver/accounts`, suppressed questions, questions that wait for a
//! reply, and everything that a first request prepares for a second. Orders and positions stay.

mod contracts;
mod market;
mod orders;
mod portfolio;
mod questions;
mod reply;
mod topics;

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::answer::Answer;
use super::call::{Call, Method};
use super::millis;

use orders::{Orders, Ticket};
use portfolio::Portfolio;
use questions::{Pending, Purpose, Questions};
use reply::{bad, marked, not_primed, ok};
pub(super) use topics::{Subscriptions, View};

/// The trading side of one account.
#[derive(Clone, Debug)]
pub(super) struct Trading {
    epoch_ms: u64,
    session: Session,
    orders: Orders,
    portfolio: Portfolio,
}

/// What ends with the brokerage session.
#[derive(Clone, Debug, Default)]
struct Session {
    number: u64,
    primed: bool,
    questions: Questions,
    /// The contracts whose snapshot was asked for once, which is what makes the next one complete.
    prepared: BTreeSet<u32>,
    /// The list of orders was asked for once.
    listed: bool,
}

impl Trading {
    pub(super) fn new(epoch_ms: u64) -> Trading {
        Trading { epoch_ms, session: Session::default(), orders: Orders::default(), portfolio: Portfolio::new() }
    }

    /// The brokerage session ended.
    pub(super) fn end_session(&mut self) {
        let questions = self.session.questions.of_the_next_session();
        self.session = Session { number: self.session.number + 1, questions, ..Session::default() };
    }

    /// `/iserver/accounts` was answered.
    pub(super) fn prime(&mut self) {
        self.session.primed = true;
    }

    /// When an order changes by itself.
    pub(super) fn next(&self) -> Option<Duration> {
        self.orders.next()
    }

    /// Lets the orders change that are due.
    pub(super) fn advance(&mut self, at: Duration) {
        let wall_ms = self.wall_ms(at);
        for fill in self.orders.advance(at, wall_ms) {
            self.portfolio.fill(fill.conid, fill.quantity, fill.cents);
        }
    }

    /// Answers a request of a trading program that has an account and, for `/iserver`, a brokerage session.
    pub(super) fn answer(&mut self, at: Duration, call: &Call, account: &str) -> Answer {
        let path = call.route.path();
        let path = path.strip_prefix("/v1/api/").or_else(|| path.strip_prefix("/v1/portal/")).unwrap_or(path);
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let answered = match parts.first() {
            Some(&"iserver") => self.answer_iserver(at, call, account, &parts[1..]),
            Some(&"trsrv") => contracts::answer_trsrv(call, &parts[1..]),
            Some(&("portfolio" | "portfolio2")) => {
                self.portfolio.answer(call, account, at, self.epoch_ms / 1000, &parts[1..])
            }
            Some(_) | None => None,
        };
        answered.unwrap_or(Answer::NotFound)
    }

    fn answer_iserver(&mut self, at: Duration, call: &Call, account: &str, parts: &[&str]) -> Option<Answer> {
        use Method::{Delete, Get, Post};
        let primed = self.session.primed;
        Some(match (call.method, parts) {
            (Post, ["questions", "suppress"]) => self.session.questions.suppress(&call.body),
            (Post, ["questions", "suppress", "reset"]) => self.session.questions.reset(),
            (Get | Post, ["secdef", "search"]) => contracts::search(call),
            (Get, ["contract", conid, "info"]) => contracts::info(conid),
            (Get, ["marketdata", "history"]) => market::history(call, at, self.epoch_ms),
            (_, ["marketdata" | "account" | "reply", ..]) if !primed => not_primed(),
            (Get, ["marketdata", "snapshot"]) => self.snapshot(at, call),
            (Get, ["marketdata", "unsubscribeall"]) => ok(json!({"unsubscribed": true})),
            (Post, ["marketdata", "unsubscribe"]) => ok(json!({"success": true})),
            (Post, ["account"]) => ok(json!({"set": true, "acctId": account})),
            (Post, ["reply", id]) => self.reply(at, account, id, &call.body),
            (Get, ["account", "orders"]) => {
                let complete = std::mem::replace(&mut self.session.listed, true);
                ok(self.orders.list(account, complete && call.param("force").as_deref() != Some("true")))
            }
            (Get, ["account", "trades"]) => ok(self.orders.trades(account)),
            (Get, ["account", "order", "status", id]) => self.orders.status(id, account),
            (Get, ["account", "pnl", "partitioned"]) => ok(marked(json!({"upnl": self.portfolio.profit(account, at)}))),
            (_, ["account", given, ..]) if *given != account => bad("account not found"),
            (Get, ["account", _, "summary"]) => ok(self.portfolio.summary(at, self.wall_ms(at))),
            (Post, ["account", _, "orders"]) => self.place(at, account, &call.body),
            (Post, ["account", _, "orders", "whatif"]) => orders::preview(&call.body, at),
            (Post, ["account", _, "order", id]) => self.modify(at, account, id, &call.body),
            (Delete, ["account", _, "order", id]) => self.orders.cancel(at, id, account),
            _ => return None,
        })
    }

    fn snapshot(&mut self, at: Duration, call: &Call) -> Answer {
        let fields = call.param("fields").unwrap_or_default();
        let fields: Vec<&str> = fields.split(',').collect();
        let conids = call.param("conids").unwrap_or_default();
        let conids: Option<Vec<u32>> = conids.split(',').map(|conid| conid.trim().parse().ok()).collect();
        let Some(conids) = conids else {
            return bad("conids must be numbers");
        };
        let mut entries = Vec::new();
        for conid in conids {
            let complete = !self.session.prepared.insert(conid);
            let fields = if complete { fields.as_slice() } else { &[] };
            entries.push(market::entry(conid, fields, at, self.epoch_ms));
        }
        ok(Value::Array(entries))
    }

    fn place(&mut self, at: Duration, account: &str, body: &Value) -> Answer {
        let tickets = match Ticket::read_all(body) {
            Ok(tickets) => tickets,
            Err(fault) => return bad(&fault),
        };
        if let Some(taken) = tickets.iter().find(|ticket| self.orders.knows(ticket)) {
            let name = taken.reference.clone().unwrap_or_default();
            let fault = format!("Order couldn't be submitted: Local order ID={name} is already registered.");
            return ok(marked(json!({"error": fault})));
        }
        self.proceed(at, account, Pending::new(Purpose::Place, tickets, at))
    }

    fn modify(&mut self, at: Duration, account: &str, id: &str, body: &Value) -> Answer {
        let ticket = match Ticket::read(body) {
            Ok(ticket) => ticket,
            Err(fault) => return bad(&fault),
        };
        match self.orders.open(id) {
            Some(order) => self.proceed(at, account, Pending::new(Purpose::Modify(order), vec![ticket], at)),
            None => ok(marked(json!({"error": format!("OrderID {id} doesn't exist")}))),
        }
    }

    fn reply(&mut self, at: Duration, account: &str, id: &str, body: &Value) -> Answer {
        match self.session.questions.take(id) {
            None => bad(&format!("there is no question {id}")),
            Some(_) if body["confirmed"] != Value::Bool(true) => ok(json!([])),
            Some(pending) => self.proceed(at, account, pending),
        }
    }

    /// Asks the next question about these orders, or does what was asked for.
    fn proceed(&mut self, at: Duration, account: &str, pending: Pending) -> Answer {
        match self.session.questions.ask(pending) {
            Err(question) => ok(question),
            Ok(Pending { purpose: Purpose::Place, tickets, .. }) => ok(self.orders.place(at, tickets)),
            Ok(Pending { purpose: Purpose::Modify(order), tickets, .. }) => {
                ok(self.orders.modify(at, order, tickets, account))
            }
        }
    }

    fn wall_ms(&self, at: Duration) -> u64 {
        self.epoch_ms + millis(at)
    }
}
