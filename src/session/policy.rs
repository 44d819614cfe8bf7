//! The operator's choices for one gateway's session, and their defaults.

use std::time::Duration;

/// The operator's choices for one gateway. [`Policy::default`] is the documented default of every key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Which kind of account the login should be for.
    pub account: Account,
    /// Longest time between two pings (POST /tickle) while live.
    pub ping_every: Duration,
    /// Longest time between two polls (check or ping) while live.
    pub check_every: Duration,
    /// Longest time between two proofs by a data call (GET /iserver/accounts) while live; zero is off.
    pub confirm_every: Duration,
    /// How long the client waits for one answer, head and body together.
    pub answer_within: Duration,
    /// Longest time between two polls while only a human, another client or IBKR can change the state.
    pub watch_every: Duration,
    /// What to do while another client uses the brokerage session.
    pub competing: Competing,
    /// Whether a handshake with IBKR's own host is possible: one that the gateway reaches by the same network.
    pub knows_ibkr_host: bool,
    /// How a lapsed session is recovered.
    pub recovery: Recovery,
}

/// How a lapsed session is recovered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// The methods, tried in turn, one per attempt.
    pub methods: Vec<Method>,
    /// Attempts in one outage before a human is called.
    pub attempts: u8,
    /// Attempts in any hour, over all outages.
    pub max_per_hour: u8,
}

/// Which kind of account a login is expected to be for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::VariantArray, strum::IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Account {
    /// Either kind.
    Any,
    /// A live account: `isPaper` false.
    Live,
    /// A paper account: `isPaper` true.
    Paper,
}

/// What to do while another client uses the brokerage session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::VariantArray, strum::IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Competing {
    /// Leave them alone, wait, and tell the operator.
    Yield,
    /// Take the session back, at most three times an hour.
    TakeOver,
}

/// A way to ask IBKR for the brokerage session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::VariantArray, strum::IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
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
            knows_ibkr_host: false,
            recovery: Recovery::default(),
        }
    }
}

impl Default for Recovery {
    fn default() -> Self {
        Self { methods: vec![Method::Direct, Method::Gateway], attempts: 3, max_per_hour: 6 }
    }
}

/// How long one attempt waits for the session to become live.
pub const CONFIRM_WITHIN: Duration = Duration::from_secs(30);
/// Pause after the first failed attempt. It doubles after each further one.
pub const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// Longest pause between two attempts.
pub const LONGEST_PAUSE: Duration = Duration::from_mins(5);
/// A session is flapping when more state changes than this fall within [`FLAPPING_WINDOW`].
pub const FLAPPING_CHANGES: usize = 6;
/// The time in which state changes are counted.
pub const FLAPPING_WINDOW: Duration = Duration::from_mins(30);
