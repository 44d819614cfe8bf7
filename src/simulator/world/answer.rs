//! What comes back: typed, so that millions of answers cost nothing; [`Answer::render`] writes the bytes.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

/// What becomes of a request, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Reply {
    /// When it happens, counted from the moment the request was handled.
    pub after: Duration,
    /// What happens.
    pub what: What,
    /// Set when nothing happens for the present: IBKR does not answer, or the gateway has no connection to it free.
    /// What comes of it later is among [`World::late_answers`](super::World::late_answers).
    pub awaits: Option<RequestId>,
}

impl Reply {
    pub(super) fn new(after: Duration, what: What) -> Reply {
        Reply { after, what, awaits: None }
    }
}

/// A request that waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// An answer that comes late, to a client that stayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Late {
    /// Which request it answers.
    pub id: RequestId,
    /// When it comes, since the world began.
    pub at: Duration,
    /// What happens.
    pub what: What,
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Nothing listens: connection refused.
    Refused,
    /// Accepted, then no byte and no close: what the gateway does while IBKR does not answer. A late answer ends it
    /// where [`Reply::awaits`] is set, and the end of the gateway's process.
    Hang,
    /// The connection is reset.
    Reset,
    /// A whole answer.
    Answer(Answer),
    /// The first half of an answer, then the connection closes.
    Cut(Answer),
    /// An answer whose body comes one byte at a time and never ends.
    Drip(Answer),
}

/// An answer, by what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 200 to a tickle.
    Tickle(Tickle),
    /// 200 `{"error":"no session"}` to a tickle: proves nothing about the login.
    NoSession,
    /// 200 with the flags of the brokerage session: auth/status, ssodh/init and ssodh/st.
    Status(AuthStatus),
    /// 200 to a validate.
    Validate(Validate),
    /// 200 `{"result":"true"}` to the gateway's own ping.
    SsoPing,
    /// 200 with the accounts.
    Accounts {
        /// `isPaper`, and the account's number begins with D.
        paper: bool,
    },
    /// 200 `{}` where accounts were asked for: competing, or not yet established.
    EmptyAccounts,
    /// 200 with the accounts of the portfolio, which need no brokerage session.
    PortfolioAccounts {
        /// The account's number begins with D.
        paper: bool,
    },
    /// 200 `{"message":"triggered"}`: the gateway will try, which says nothing of the outcome.
    Triggered,
    /// 200 `{"error":"not logged in"}`: no browser login went through this gateway process.
    NotLoggedIn,
    /// 200 `{"status":true}` to a logout.
    LoggedOut,
    /// 200 `Client login succeeds`.
    LoginSucceeds,
    /// 200 with IBKR's login page.
    LoginPage,
    /// 302 to the login page.
    LoginRedirect,
    /// 302 to the same path on IBKR's host.
    IbkrRedirect(String),
    /// 101: the websocket is open; [`World::open_stream`](super::World::open_stream) comes next.
    Upgrade,
    /// 400 `{"error":"Bad Request: no bridge"}`: no brokerage session.
    NoBridge,
    /// 401 with an empty body: no login.
    Unauthorized,
    /// 403 with the HTML of IBKR's edge: no User-Agent.
    EdgeDenied,
    /// 404 `Access Denied` of the gateway itself: the address is not in its list.
    AccessDenied,
    /// 404 of IBKR: logged in, but no such path.
    NotFound,
    /// 405 of IBKR: the path does not take this method.
    MethodNotAllowed,
    /// 411: a POST without Content-Length.
    LengthRequired,
    /// 429: too fast, or still within the penalty.
    TooManyRequests,
    /// 500: an init without `publish:true`.
    PublishMissing,
    /// An answer to a trading program: invented data, marked as such.
    Program {
        /// The status.
        status: u16,
        /// The body.
        body: Value,
    },
    /// A status of IBKR's own trouble (500, 503, 429, 601) with a body that is not JSON.
    Trouble(u16),
    /// An answer written out by a script.
    Raw(Arc<Raw>),
}

impl Answer {
    /// The HTTP status it goes out with.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Answer::Tickle(_)
            | Answer::NoSession
            | Answer::Status(_)
            | Answer::Validate(_)
            | Answer::SsoPing
            | Answer::Accounts { .. }
            | Answer::EmptyAccounts
            | Answer::PortfolioAccounts { .. }
            | Answer::Triggered
            | Answer::NotLoggedIn
            | Answer::LoggedOut
            | Answer::LoginSucceeds
            | Answer::LoginPage => 200,
            Answer::LoginRedirect | Answer::IbkrRedirect(_) => 302,
            Answer::Upgrade => 101,
            Answer::NoBridge => 400,
            Answer::Unauthorized => 401,
            Answer::EdgeDenied => 403,
            Answer::AccessDenied | Answer::NotFound => 404,
            Answer::MethodNotAllowed => 405,
            Answer::LengthRequired => 411,
            Answer::TooManyRequests => 429,
            Answer::PublishMissing => 500,
            Answer::Trouble(status) | Answer::Program { status, .. } => *status,
            Answer::Raw(raw) => raw.status,
        }
    }
}

/// The flags of the brokerage session as IBKR reports them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuthStatus {
    /// The brokerage session is authenticated.
    pub authenticated: bool,
    /// Another client competes for it. `false` is no information.
    pub competing: bool,
    /// The bridge to the backend is up, authenticated or not.
    pub connected: bool,
    /// The login message came and the account data is loaded. `None`: an older build, which has no such field.
    pub established: Option<bool>,
}

impl AuthStatus {
    /// All that a client may call a usable session.
    #[must_use]
    pub fn is_usable(self) -> bool {
        self.authenticated && self.connected && !self.competing && self.established != Some(false)
    }
}

/// The body of a tickle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tickle {
    /// `session`: the value of the websocket's cookie `api`.
    pub session: SessionId,
    /// `ssoExpires`, in milliseconds: a sawtooth below 600000, no countdown to anything.
    pub sso_expires_ms: u64,
    /// `iserver.authStatus`.
    pub status: AuthStatus,
}

/// The body of a validate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validate {
    /// `RESULT`.
    pub result: Verdict,
    /// `AUTH_TIME`: when the human logged in, epoch milliseconds.
    pub auth_time_ms: u64,
    /// `EXPIRES`, in milliseconds from now.
    pub expires_ms: u64,
    /// `lastAccessed`, epoch milliseconds.
    pub last_accessed_ms: u64,
    /// `LOGIN_TYPE`: 2 when paper, else 1.
    pub paper: bool,
    /// `CLIENT_APP` names another application: the session is borrowed.
    pub borrowed: bool,
}

/// `RESULT` of a validate, as builds write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// `true`.
    True,
    /// `false`, which also comes now and then while the login is good.
    False,
    /// `0`: what some builds write for false.
    Zero,
}

/// The id of a login's session; another one after each login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionId(pub u64);

impl SessionId {
    /// The id of the `nth` login of a world with this seed.
    pub(super) fn new(seed: u64, nth: u32) -> SessionId {
        SessionId(mix(seed ^ u64::from(nth).rotate_left(32)))
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:016x}", self.0, mix(self.0))
    }
}

/// An answer written out by a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raw {
    /// The status, 100 to 999: IBKR does send a 601.
    pub status: u16,
    /// The Content-Type; none when empty.
    pub content_type: String,
    /// More headers, for instance `Retry-After`.
    pub headers: Vec<(String, String)>,
    /// The body: cut JSON, HTML, bytes that are no text.
    pub body: Vec<u8>,
}

fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
