//! Everything that can be done to the world from outside, by what happened.

use std::sync::Arc;
use std::time::Duration;

use super::answer::Raw;
use super::call::{Call, Method};

/// Something that happens to the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// A human logs in in the browser. Comes to nothing while the gateway is down or IBKR away.
    LogIn,
    /// The login ends: 401 on everything that is proxied.
    ExpireLogin,
    /// The login that stands now will end at this time since the world began, for instance at a midnight.
    ExpireLoginAt(Duration),
    /// The brokerage session is lost; the login stands and `connected` stays true.
    Lapse,
    /// The brokerage session is ended from elsewhere, as in the nightly kick: all three flags false, the login stands.
    LogOutElsewhere,
    /// Another client (TWS, a phone) takes the brokerage session.
    Compete(Competitor),
    /// The other client leaves. A lost session does not come back by itself.
    Leave,
    /// How IBKR's servers answer. Every value but [`Reach::Away`] also closes the connections that wait for an answer.
    Ibkr(Reach),
    /// IBKR answers again. The field says what happens to the requests that it left unanswered.
    Return(Unanswered),
    /// IBKR, or the network, closes the gateway's connections that wait for an answer. Their requests get nothing, and
    /// what waits in the gateway is sent.
    CloseConnections,
    /// `authDelay` of conf.yaml, for the runs that are to come.
    AuthDelay(Duration),
    /// The gateway's process restarts and has forgotten the login.
    Restart {
        /// How long nothing listens; the real one takes 2 to 6 s.
        down: Duration,
    },
    /// The next reauthentications are answered "triggered" and nothing follows.
    FailReauthentications(Times),
    /// The next inits do not authenticate, the gateway's own too.
    FailInits {
        /// How many.
        times: Times,
        /// The status they answer, for instance 503; none for a 200 with `authenticated:false`.
        status: Option<u16>,
    },
    /// From now on, what an [`Rule`] matches is answered as it says.
    Script(Rule),
    /// Forget all scripts and all counted faults.
    Clear,
    /// The rate limits that IBKR enforces from now on. A penalty that stands is forgotten.
    Pacing(Limits),
    /// How long IBKR takes to answer.
    Latency(Duration),
    /// Another application holds the login itself: validate is good, and no init ever authenticates. `false` is
    /// that application logging out, which frees the login only after a restart of the gateway, or six silent minutes.
    Borrow(bool),
    /// Logins succeed in the browser and are refused everywhere else.
    RefuseLogins(Option<LoginFault>),
    /// The next validates of the client say `false` or `0` although the login stands.
    FalseResults {
        /// How many.
        times: Times,
        /// `0` instead of `false`.
        zero: bool,
    },
    /// The next tickles of the client are answered `{"error":"no session"}`.
    NoSession(Times),
    /// The next auth/status of the client say `authenticated:false` although it is so.
    FalseStatuses(Times),
    /// What becomes of the field `established`.
    Established(Established),
    /// How long after an init things become true.
    Settle {
        /// Until `authenticated`.
        authenticated: Duration,
        /// From then until `established`.
        established: Duration,
    },
    /// A paper account, or a live one.
    Paper(bool),
    /// Whether the client's address is refused by the gateway's own list.
    Deny(bool),
    /// What the websocket does.
    Streams(Streaming),
    /// The next subscriptions on websockets are refused, as IBKR now and then does with a good session.
    RefuseSubscriptions(Times),
}

/// How often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// This many times.
    Next(u32),
    /// Until [`Control::Clear`].
    Always,
}

impl Times {
    /// Never.
    pub const NEVER: Times = Times::Next(0);

    pub(super) fn take(&mut self) -> bool {
        match self {
            Times::Next(0) => false,
            Times::Next(left) => {
                *left -= 1;
                true
            }
            Times::Always => true,
        }
    }

    pub(super) fn is_over(self) -> bool {
        self == Times::NEVER
    }
}

/// Another client with the same user name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Competitor {
    /// How it shows.
    pub shows: Shows,
    /// An init with `compete:true` does not evict it.
    pub stubborn: bool,
    /// Once evicted, it takes the session back after this long.
    pub returns_after: Option<Duration>,
}

/// How a competitor shows in the flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shows {
    /// `authenticated:false, competing:true`. Within 30 s the gateway sees the loss and logs itself out: then
    /// `competing` is false as well, and the other one is still there.
    Taken,
    /// `authenticated:true, competing:true`, and accounts `{}`: authenticated alone is a false green.
    Both,
    /// `authenticated:false, competing:false`, until an init meets it: the flag shows a fight, not a holder.
    Quiet,
}

/// How IBKR's servers answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// As they should.
    Here,
    /// Not at all: everything proxied hangs, and keeps its connection.
    Away,
    /// With trouble of their own, the gateway's own requests too.
    Failing {
        /// 500, 503, 429, 601.
        status: u16,
        /// How long they take for it; a 503 often takes 10 s.
        after: Duration,
    },
}

/// What happens, when IBKR comes back, to the requests that it left unanswered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// Their connections are closed: they get nothing, and the queue is sent.
    Closed,
    /// They are answered late.
    Answered,
    /// They are never answered and keep their connections, so that a gateway all of whose connections they have stays
    /// wedged.
    Kept,
}

/// IBKR's rate limits. Exceeding one gets 429 for 15 minutes, for every request from the same address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limits {
    /// None.
    Off,
    /// 10 requests in any second, of the clients and the gateway together.
    Second,
    /// These, and for clients those of single paths: one tickle a second, one validate a minute, one of the portfolio's
    /// accounts in 5 s.
    All,
}

/// Why a login that succeeded in the browser is worth nothing: 401 on everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginFault {
    /// The account is not enabled for the API. When IBKR opens it, the login that stands becomes good.
    NotEnabled,
    /// IBKR waits for a confirmation that only its website shows. After it, one more login is needed.
    Unconfirmed,
}

/// What becomes of the field `established`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Established {
    /// It follows `authenticated`.
    Follows,
    /// It stays false, and accounts stay empty.
    Never,
    /// The field is missing, as in older builds.
    Absent,
}

/// What the websocket does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Streaming {
    /// Serves.
    Serves,
    /// Opens and then sends nothing: no heartbeat, no status.
    Silent,
    /// Opens and closes with code 1000, each time.
    Closes,
}

/// Whose requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The client's.
    Client,
    /// The gateway's own.
    Gateway,
}

/// A scripted answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The path it matches, as [`Route::path`](super::Route::path) writes it; a `*` at the end matches any rest.
    pub path: String,
    /// The method it matches; none for any.
    pub method: Option<Method>,
    /// Whose requests it matches. None for both: then it counts the client's only, and holds for the gateway's own
    /// as long as it stands.
    pub who: Option<Who>,
    /// How often.
    pub times: Times,
    /// How long it takes; none for the usual time.
    pub after: Option<Duration>,
    /// What happens.
    pub does: Does,
}

/// What a scripted answer does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Does {
    /// Says this.
    Say(Arc<Raw>),
    /// Says what would be said anyway; for the sake of [`Rule::after`].
    Delay,
    /// Never answers: IBKR is silent, and the request keeps its connection.
    Hang,
    /// Resets the client's connection. The gateway's own requests get nothing.
    Reset,
    /// Closes the connection half way through the usual answer.
    Cut,
    /// Sends the usual head, then one byte at a time, without end; the request keeps its connection.
    Drip,
}

/// The scripts that stand.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    list: Vec<Rule>,
}

impl Rules {
    pub(super) fn add(&mut self, rule: Rule) {
        if !rule.times.is_over() {
            self.list.push(rule);
        }
    }

    pub(super) fn clear(&mut self) {
        self.list.clear();
    }

    /// What the first matching script does to this request, and after how long.
    pub(super) fn take(&mut self, who: Who, call: &Call) -> Option<(Does, Option<Duration>)> {
        let at = self.list.iter().position(|rule| rule.matches(who, call))?;
        let rule = &mut self.list[at];
        let found = (rule.does.clone(), rule.after);
        if rule.who.unwrap_or(Who::Client) == who {
            rule.times.take();
        }
        if rule.times.is_over() {
            self.list.remove(at);
        }
        Some(found)
    }
}

impl Rule {
    fn matches(&self, who: Who, call: &Call) -> bool {
        let path = call.route.path();
        let same_path = match self.path.strip_suffix('*') {
            Some(start) => path.starts_with(start),
            None => path == self.path,
        };
        same_path && self.method.is_none_or(|method| method == call.method) && self.who.is_none_or(|whose| whose == who)
    }
}
