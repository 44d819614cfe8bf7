//! The questions that IBKR asks before it takes an order, and the suppression of questions.
//!
//! Every order causes at least one question, unless that question is suppressed. So a program that relies on
//! suppressions notices when a new session has lost them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use super::market;
use super::orders::{OrderId, Ticket};
use super::reply::{bad, marked, ok, units};
use crate::simulator::world::answer::Answer;

/// The suppressed questions, and those that wait for a reply.
#[derive(Clone, Debug, Default)]
pub(super) struct Questions {
    suppressed: BTreeSet<String>,
    pending: BTreeMap<String, Pending>,
    asked: u64,
}

/// Orders that wait for the answers to questions.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) purpose: Purpose,
    pub(super) tickets: Vec<Ticket>,
    /// The questions that are still to be asked, the next one last.
    left: Vec<Question>,
}

/// What the orders are for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    /// They are new.
    Place,
    /// They replace this one.
    Modify(OrderId),
}

#[derive(Clone, Copy, Debug)]
struct Question {
    id: &'static str,
    text: &'static str,
}

impl Pending {
    pub(super) fn new(purpose: Purpose, tickets: Vec<Ticket>, at: Duration) -> Pending {
        let asks = |question: fn(&Ticket, Duration) -> bool| tickets.iter().any(|ticket| question(ticket, at));
        let mut left = Vec::new();
        if asks(|ticket, at| ticket.quantity * units(market::last(ticket.conid, at)) > 100_000.0) {
            left.push(VALUE_LIMIT);
        }
        if asks(|ticket, _| ticket.quantity > 500.0) {
            left.push(SIZE_LIMIT);
        }
        if asks(|ticket, at| {
            let last = market::last(ticket.conid, at);
            ticket.limit.is_some_and(|limit| (limit - last).abs() * 100 > last * 3)
        }) {
            left.push(PRICE_LIMIT);
        }
        left.push(NO_MARKET_DATA);
        Pending { purpose, tickets, left }
    }
}

impl Questions {
    /// `/iserver/questions/suppress`.
    pub(super) fn suppress(&mut self, body: &Value) -> Answer {
        let ids = body["messageIds"].as_array().map(|ids| ids.iter().filter_map(Value::as_str));
        match ids {
            None => bad("messageIds is required"),
            Some(ids) if ids.clone().count() > MOST_SUPPRESSED => bad("more than 51 messageIds"),
            Some(ids) => {
                self.suppressed.extend(ids.map(str::to_owned));
                ok(json!({"status": "submitted"}))
            }
        }
    }

    /// `/iserver/questions/suppress/reset`.
    pub(super) fn reset(&mut self) -> Answer {
        self.suppressed.clear();
        ok(json!({"status": "submitted"}))
    }

    /// Without suppressions and waiting questions; ids are not reused.
    pub(super) fn of_the_next_session(&self) -> Questions {
        Questions { asked: self.asked, ..Questions::default() }
    }

    /// Asks the next question that is not suppressed, as the body of the answer; or returns what may go on.
    pub(super) fn ask(&mut self, mut pending: Pending) -> Result<Pending, Value> {
        while let Some(question) = pending.left.pop() {
            if self.suppressed.contains(question.id) {
                continue;
            }
            self.asked += 1;
            let id = format!("00000000-0000-4000-8000-{:012x}", self.asked);
            let body = json!([marked(json!({
                "id": id,
                "message": [question.text],
                "isSuppressed": false,
                "messageIds": [question.id],
            }))]);
            if self.pending.len() == MOST_PENDING {
                self.pending.pop_first();
            }
            self.pending.insert(id, pending);
            return Err(body);
        }
        Ok(pending)
    }

    /// Takes the orders that wait for the answer to this question.
    pub(super) fn take(&mut self, id: &str) -> Option<Pending> {
        self.pending.remove(id)
    }
}

const NO_MARKET_DATA: Question = Question {
    id: "o354",
    text: "You are submitting an order without market data. We strongly recommend against this as it may result in \
           erroneous and unexpected trades.\nAre you sure you want to submit this order?",
};
const PRICE_LIMIT: Question = Question {
    id: "o163",
    text: "The following order price exceeds the Percentage constraint of 3%.\n\
           Are you sure you want to submit this order?",
};
const SIZE_LIMIT: Question = Question {
    id: "o383",
    text: "The following order size exceeds the Size Limit of 500.\nAre you sure you want to submit this order?",
};
const VALUE_LIMIT: Question = Question {
    id: "o451",
    text: "The following order value estimate exceeds the Total Value Limit of 100,000 USD.\n\
           Are you sure you want to submit this order?",
};
const MOST_SUPPRESSED: usize = 51;
const MOST_PENDING: usize = 1_000;
