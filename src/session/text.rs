//! Codes for programs and sentences for people, for the machine's values.

use std::fmt;

use super::{Cause, State, StateReason, Step, Unavailability, WakeReason};

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Step {
    /// The step's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Reauthenticate => "reauthenticate",
            Self::ValidateSso => "validate_sso",
            Self::Confirm => "confirm",
            Self::Pause => "pause",
        }
    }
}

impl Unavailability {
    /// A stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NothingListens => "nothing-listens",
            Self::NoAnswer => "no-answer",
            Self::NotAGateway => "not-a-gateway",
            Self::Certificate => "certificate",
            Self::Tls => "tls",
            Self::AddressRefused => "address-refused",
            Self::Network => "network",
            Self::IbkrSilent => "ibkr-silent",
            Self::IbkrUnreachable => "ibkr-unreachable",
            Self::GatewayWedged => "gateway-wedged",
            Self::IbkrError => "ibkr-error",
            Self::EdgeRefused => "edge-refused",
            Self::TooManyRequests { .. } => "too-many-requests",
            Self::Nonsense => "nonsense",
        }
    }

    /// What it is, as part of a sentence.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::NothingListens => "nothing listens on the gateway's port",
            Self::NoAnswer => "the gateway does not answer",
            Self::NotAGateway => "what answers is not a gateway",
            Self::Certificate => "the gateway's certificate is not trusted",
            Self::Tls => "no TLS connection with the gateway can be agreed upon",
            Self::AddressRefused => "the gateway refuses this host's address (ips.allow in its conf.yaml)",
            Self::Network => "the gateway's host cannot be reached",
            Self::IbkrSilent => "the gateway answers, but IBKR behind it does not",
            Self::IbkrUnreachable => "IBKR does not answer the gateway, and this host cannot reach IBKR",
            Self::GatewayWedged => {
                "the gateway is wedged: IBKR answers, but the gateway's requests to it stay unanswered"
            }
            Self::IbkrError => "IBKR answers with an error of its own",
            Self::EdgeRefused => "IBKR's edge refuses this host",
            Self::TooManyRequests { .. } => "IBKR answered too many requests; no requests for a while",
            Self::Nonsense => "the answer cannot be interpreted",
        }
    }
}

impl Cause {
    /// A stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Expired => "login-expired",
            Self::NeverLoggedIn => "never-logged-in",
            Self::LoggedOut => "logged-out",
            Self::Borrowed => "login-borrowed",
            Self::NotEnabled => "not-enabled",
            Self::Exhausted => "attempts-exhausted",
            Self::ByOperator => "by-operator",
        }
    }

    /// What it is, as part of a sentence.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Expired => "the login has expired",
            Self::NeverLoggedIn => "no login since the gateway started",
            Self::LoggedOut => "the session was logged out",
            Self::Borrowed => "another application holds the login",
            Self::NotEnabled => "the login works, but IBKR grants it no brokerage session",
            Self::Exhausted => "the login is valid, but every recovery attempt failed",
            Self::ByOperator => "the operator logged it out",
        }
    }
}

impl StateReason {
    /// A stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::DataConfirmed => "data-confirmed",
            Self::FlagsAlone => "flags-alone",
            Self::SessionLapsed => "session-lapsed",
            Self::NotEstablished => "not-established",
            Self::NoData => "no-data",
            Self::NoLogin => "no-login",
            Self::OtherClient => "other-client",
            Self::Outfought => "outfought",
            Self::TakenOver => "taking-over",
            Self::LoginSeen => "login-seen",
            Self::Trouble(trouble) => trouble.code(),
            Self::Cause(cause) => cause.code(),
            Self::Operator => "operator",
            Self::PauseOver => "pause-over",
        }
    }

    /// What it is, as part of a sentence.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Started => "just started",
            Self::DataConfirmed => "authenticated, confirmed by a data call",
            Self::FlagsAlone => "authenticated; not confirmed, because the gateway does not support the data call",
            Self::SessionLapsed => "the session lapsed; the login may still be valid",
            Self::NotEstablished => "authenticated, but not established yet",
            Self::NoData => "authenticated, but no account data",
            Self::NoLogin => "the gateway answers as if there were no login",
            Self::OtherClient => "another client uses the brokerage session",
            Self::Outfought => "another client keeps taking the session; gave up taking it back",
            Self::TakenOver => "another client used the session; taking it back as configured",
            Self::LoginSeen => "a login was seen, but no session followed",
            Self::Trouble(trouble) => trouble.sentence(),
            Self::Cause(cause) => cause.sentence(),
            Self::Operator => "requested by the operator",
            Self::PauseOver => "the pause is over",
        }
    }
}

impl WakeReason {
    /// What it is, as part of a sentence.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::AnswerDue => "an answer is due",
            Self::PingDue => "the next ping is due",
            Self::CheckDue => "the next check is due",
            Self::ProofDue => "the next data call is due",
            Self::LoginAge => "the login's age is due",
            Self::AskAgain => "confirming an unexpected answer",
            Self::NextStep => "the next step of the recovery",
            Self::ConfirmDue => "checking whether the session is back",
            Self::AttemptDue => "the next attempt",
            Self::OutOfAttempts => "no attempts left this hour; only checking",
            Self::RetryDue => "the next try",
            Self::Quiet => "no requests after 429",
            Self::OthersFirst => "other gateways behind the same public address go first",
            Self::WatchDue => "checking for a login",
            Self::OtherDue => "checking whether the other client has left",
            Self::Operator => "requested by the operator",
            Self::ClockJumped => "the clock jumped",
            Self::PauseOver => "the pause ends",
        }
    }
}
