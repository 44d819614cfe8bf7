//! What the operator may choose about one gateway's session, and what is chosen when nobody says.

use std::time::Duration;

/// The operator's choices for one gateway. [`Policy::default`] is the documented default of every key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Which kind of account the login should be for.
    pub account: Account,
    /// Longest time between two pings (POST /tickle) while live.
    pub ping_every: Duration,
    /// Longest time between two questions about the session (check or ping) while live.
    pub check_every: Duration,
    /// Longest time between two proofs by a data call (GET /iserver/accounts) while live; zero is off.
    pub confirm_every: Duration,
    /// How long the client waits for one answer, head and body together.
    pub answer_within: Duration,
    /// Longest time between two questions while only somebody else can help.
    pub watch_every: Duration,
    /// What to do while somebody else uses the brokerage session.
    pub competing: Competing,
    /// How a lapsed session is taken back.
    pub recovery: Recovery,
    /// When a session that comes and goes counts as flapping.
    pub flapping: Flapping,
}

/// How a lapsed session is taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// The ways to ask for the session, tried in turn, one an attempt.
    pub methods: Vec<Method>,
    /// How long one attempt waits for the session to become live.
    pub confirm_within: Duration,
    /// Attempts in one incident before a human is told.
    pub attempts: u8,
    /// Pause after the first failed attempt; it doubles from there.
    pub first_pause: Duration,
    /// The longest such pause.
    pub last_pause: Duration,
    /// Attempts in any hour, over all incidents.
    pub max_per_hour: u8,
}

/// When a session that comes and goes counts as flapping: more than `changes` transitions `within`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flapping {
    /// Transitions that are still not flapping.
    pub changes: u8,
    /// The time in which they are counted.
    pub within: Duration,
}

/// Which kind of account a login is expected to be for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Account {
    /// Either kind.
    Any,
    /// A live account: `isPaper` false.
    Live,
    /// A paper account: `isPaper` true.
    Paper,
}

/// What to do while somebody else uses the brokerage session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Competing {
    /// Leave them alone, wait, and tell the operator.
    Yield,
    /// Take the session back, at most three times an hour.
    TakeOver,
}

/// A way to ask IBKR for the brokerage session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// POST /iserver/reauthenticate: the gateway does it by itself, in about three seconds, and competes.
    Gateway,
    /// POST /iserver/auth/ssodh/init: asked of IBKR directly, at once, competing only if the policy says so.
    Direct,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            account: Account::Any,
            ping_every: Duration::from_secs(60),
            check_every: Duration::from_secs(10),
            confirm_every: Duration::from_secs(300),
            answer_within: Duration::from_secs(15),
            watch_every: Duration::from_secs(30),
            competing: Competing::Yield,
            recovery: Recovery::default(),
            flapping: Flapping::default(),
        }
    }
}

impl Default for Recovery {
    fn default() -> Self {
        Self {
            methods: vec![Method::Gateway, Method::Direct],
            confirm_within: Duration::from_secs(30),
            attempts: 3,
            first_pause: Duration::from_secs(5),
            last_pause: Duration::from_secs(300),
            max_per_hour: 6,
        }
    }
}

impl Default for Flapping {
    fn default() -> Self {
        Self { changes: 6, within: Duration::from_secs(30 * 60) }
    }
}
