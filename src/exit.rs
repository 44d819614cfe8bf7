//! The exit codes, and the mapping of session states to them. Pure.

use crate::session::{StateKind, StateReason, Unavailability};

/// How a verb ended. The numbers are an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::VariantArray, strum::IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Exit {
    /// Live, or done.
    Live = 0,
    /// Not live, but recovery is under way, or the fault may pass by itself.
    NotLive = 1,
    /// A human is needed.
    HumanNeeded = 2,
    /// No daemon or gateway answers.
    NothingAnswers = 3,
    /// The command line is wrong.
    Usage = 64,
    /// Another instance already manages this gateway.
    AnotherInstance = 69,
    /// A fault of this program.
    Internal = 70,
    /// Ended at once by a second signal.
    SecondSignal = 75,
    /// The configuration is wrong.
    Configuration = 78,
}

impl Exit {
    /// All of them, in the order of their numbers.
    pub const ALL: &'static [Self] = <Self as strum::VariantArray>::VARIANTS;

    /// The code for a session in this state, entered for this reason.
    #[must_use]
    pub const fn of(state: StateKind, reason: StateReason) -> Self {
        match state {
            StateKind::Live => Self::Live,
            StateKind::LoginRequired => Self::HumanNeeded,
            StateKind::Unavailable => {
                let StateReason::Trouble(trouble) = reason else { return Self::NotLive };
                match trouble {
                    Unavailability::Certificate
                    | Unavailability::Tls
                    | Unavailability::AddressRefused
                    | Unavailability::EdgeRefused
                    | Unavailability::GatewayWedged => Self::HumanNeeded,
                    Unavailability::NothingListens
                    | Unavailability::NoAnswer
                    | Unavailability::NotAGateway
                    | Unavailability::Network => Self::NothingAnswers,
                    Unavailability::IbkrSilent
                    | Unavailability::IbkrUnreachable
                    | Unavailability::IbkrError
                    | Unavailability::TooManyRequests { .. }
                    | Unavailability::Nonsense => Self::NotLive,
                }
            }
            StateKind::Starting | StateKind::Recovering | StateKind::Contested | StateKind::Paused => Self::NotLive,
        }
    }

    /// The worst of several, or [`Exit::Live`] if there are none.
    #[must_use]
    pub fn worst(exits: impl IntoIterator<Item = Self>) -> Self {
        exits.into_iter().max_by_key(|exit| exit.weight()).unwrap_or(Self::Live)
    }

    const fn weight(self) -> u8 {
        match self {
            Self::Live => 0,
            Self::NotLive => 1,
            Self::HumanNeeded => 2,
            Self::AnotherInstance => 3,
            Self::NothingAnswers => 4,
            Self::Configuration => 5,
            Self::Usage | Self::Internal | Self::SecondSignal => 6,
        }
    }

    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The meaning of the code.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Live => "live; for other verbs: done",
            Self::NotLive => "not live, being handled",
            Self::HumanNeeded => "a human is needed",
            Self::NothingAnswers => "no daemon or gateway answers",
            Self::Usage => "usage error",
            Self::AnotherInstance => "another instance already manages this gateway",
            Self::Internal => "internal error",
            Self::SecondSignal => "ended at once by a second signal",
            Self::Configuration => "configuration error",
        }
    }

    /// The table of all codes, one per line.
    #[must_use]
    pub fn table() -> String {
        Self::ALL.iter().map(|exit| format!("{:>4}  {}\n", exit.code(), exit.meaning())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unavailable_means_what_its_reason_means() {
        let of = |reason: &str| {
            Exit::of(StateKind::Unavailable, serde_json::from_value::<StateReason>(reason.into()).unwrap())
        };
        assert_eq!(of("nothing-listens"), Exit::NothingAnswers);
        assert_eq!(of("tls"), Exit::HumanNeeded);
        assert_eq!(of("gateway-wedged"), Exit::HumanNeeded);
        assert_eq!(of("too-many-requests"), Exit::NotLive);
        assert_eq!(of("a-later-reason"), Exit::NotLive);
        assert_eq!(Exit::of(StateKind::LoginRequired, StateReason::Other), Exit::HumanNeeded);
    }

    #[test]
    fn the_worst_of_several_counts() {
        assert_eq!(Exit::worst([]), Exit::Live);
        assert_eq!(Exit::worst([Exit::HumanNeeded, Exit::Live, Exit::NotLive]), Exit::HumanNeeded);
        assert_eq!(Exit::worst([Exit::NothingAnswers, Exit::HumanNeeded]), Exit::NothingAnswers);
    }
}
