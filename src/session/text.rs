//! Codes for programs and sentences for people, for the machine's values.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use strum::IntoEnumIterator;

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
        self.words().0
    }

    /// The same as part of a sentence.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        self.words().1
    }

    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::NothingListens => ("nothing-listens", "nothing listens on the gateway's port"),
            Self::NoAnswer => ("no-answer", "the gateway does not answer"),
            Self::NotAGateway => ("not-a-gateway", "what answers is not a gateway"),
            Self::Certificate => ("certificate", "the gateway's certificate is not trusted"),
            Self::Tls => ("tls", "no TLS connection to the gateway can be established"),
            Self::AddressRefused => {
                ("address-refused", "the gateway refuses this host's address (ips.allow in its conf.yaml)")
            }
            Self::Network => ("network", "the gateway's host cannot be reached"),
            Self::IbkrSilent => ("ibkr-silent", "the gateway answers, but IBKR behind it does not"),
            Self::IbkrUnreachable => {
                ("ibkr-unreachable", "IBKR does not answer the gateway, and this host cannot reach IBKR")
            }
            Self::GatewayWedged => ("gateway-wedged", "IBKR answers, but the gateway's requests to it stay unanswered"),
            Self::IbkrError => ("ibkr-error", "IBKR answers with an error"),
            Self::EdgeRefused => ("edge-refused", "IBKR's edge refuses this host"),
            Self::TooManyRequests { .. } => {
                ("too-many-requests", "IBKR reported too many requests (429); no requests for a while")
            }
            Self::Nonsense => ("nonsense", "the answer cannot be interpreted"),
        }
    }
}

impl Cause {
    /// A stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.words().0
    }

    /// The same as part of a sentence.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        self.words().1
    }

    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Expired => ("login-expired", "the login has expired"),
            Self::NeverLoggedIn => ("never-logged-in", "no login since the gateway started"),
            Self::LoggedOut => ("logged-out", "the session was logged out"),
            Self::Borrowed => ("login-borrowed", "another application holds the login"),
            Self::NotEnabled => ("not-enabled", "the login works, but IBKR grants it no brokerage session"),
            Self::Exhausted => ("attempts-exhausted", "the login is valid, but every recovery attempt failed"),
            Self::ByOperator => ("by-operator", "the operator logged it out"),
        }
    }
}

impl StateReason {
    /// A stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.words().0
    }

    /// The same as part of a sentence.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        self.words().1
    }

    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Started => ("started", "just started"),
            Self::DataConfirmed => ("data-confirmed", "authenticated, confirmed by a data call"),
            Self::FlagsAlone => {
                ("flags-alone", "authenticated; not confirmed, because the gateway does not support the data call")
            }
            Self::SessionLapsed => ("session-lapsed", "the session lapsed; the login may still be valid"),
            Self::NotEstablished => ("not-established", "authenticated, but not established yet"),
            Self::NoData => ("no-data", "authenticated, but no account data"),
            Self::NoLogin => ("no-login", "the gateway answers as if there were no login"),
            Self::OtherClient => ("other-client", "another client uses the brokerage session"),
            Self::Outfought => {
                ("outfought", "another client keeps taking the session, so tickled no longer takes it back")
            }
            Self::TakenOver => ("taking-over", "another client used the session; taking it back as configured"),
            Self::LoginSeen => ("login-seen", "a login was seen, but no session followed"),
            Self::Trouble(trouble) => trouble.words(),
            Self::Cause(cause) => cause.words(),
            Self::Operator => ("operator", "requested by the operator"),
            Self::PauseOver => ("pause-over", "the pause is over"),
            Self::Outdated => ("outdated", "the last check is too old: the host slept, or the driver is late"),
            Self::Other => ("other", "for a reason that this version does not know"),
        }
    }
}

impl Serialize for StateReason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for StateReason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = Cow::<str>::deserialize(deserializer)?;
        let troubles = Unavailability::iter().map(Self::Trouble);
        let mut all = Self::iter().chain(troubles).chain(Cause::iter().map(Self::Cause));
        Ok(all.find(|reason| reason.code() == code).unwrap_or(Self::Other))
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
            Self::LoginAge => "checking the age of the login",
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
