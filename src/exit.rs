//! The exit codes, and the mapping of session states to them. Pure.

use crate::session::{State, StateKind, Unavailability};

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

    /// The code for a session in this state, with or without a daemon.
    #[must_use]
    pub const fn of(state: State) -> Self {
        match state {
            State::Live => Self::Live,
            State::LoginRequired(_) => Self::HumanNeeded,
            State::Unavailable(trouble) => match trouble {
                Unavailability::Certificate
                | Unavailability::Tls
                | Unavailability::AddressRefused
                | Unavailability::EdgeRefused => Self::HumanNeeded,
                Unavailability::NothingListens
                | Unavailability::NoAnswer
                | Unavailability::NotAGateway
                | Unavailability::Network => Self::NothingAnswers,
                Unavailability::IbkrSilent
                | Unavailability::IbkrUnreachable
                | Unavailability::GatewayWedged
                | Unavailability::IbkrError
                | Unavailability::TooManyRequests { .. }
                | Unavailability::Nonsense => Self::NotLive,
            },
            State::Starting | State::Recovering { .. } | State::Contested | State::Paused { .. } => Self::NotLive,
        }
    }

    /// Like [`Exit::of`] for a state that a daemon reports, with the code of its reason. The unknown reason of a later
    /// version means [`Exit::NotLive`].
    #[must_use]
    pub fn named(state: StateKind, because: &str) -> Self {
        match state {
            StateKind::Live => Self::Live,
            StateKind::LoginRequired => Self::HumanNeeded,
            StateKind::Unavailable => {
                let trouble = TROUBLES.into_iter().find(|trouble| trouble.code() == because);
                trouble.map_or(Self::NotLive, |trouble| Self::of(State::Unavailable(trouble)))
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

/// Every kind of unavailability, one per code.
const TROUBLES: [Unavailability; 14] = [
    Unavailability::NothingListens,
    Unavailability::NoAnswer,
    Unavailability::NotAGateway,
    Unavailability::Certificate,
    Unavailability::Tls,
    Unavailability::AddressRefused,
    Unavailability::Network,
    Unavailability::IbkrSilent,
    Unavailability::IbkrUnreachable,
    Unavailability::GatewayWedged,
    Unavailability::IbkrError,
    Unavailability::EdgeRefused,
    Unavailability::TooManyRequests { retry_after: None },
    Unavailability::Nonsense,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Cause;

    #[test]
    fn a_state_means_the_same_code_with_and_without_a_daemon() {
        let unavailable = TROUBLES.map(State::Unavailable);
        let others = [
            State::Starting,
            State::Live,
            State::Contested,
            State::LoginRequired(Cause::Expired),
            State::Paused { until: None },
        ];
        for state in unavailable.into_iter().chain(others) {
            let because = match state {
                State::Unavailable(trouble) => trouble.code(),
                State::Starting
                | State::Live
                | State::Recovering { .. }
                | State::Contested
                | State::LoginRequired(_)
                | State::Paused { .. } => "another reason",
            };
            assert_eq!(Exit::named(state.kind(), because), Exit::of(state), "{state:?}");
        }
        assert_eq!(Exit::named(StateKind::Unavailable, "nothing-listens"), Exit::NothingAnswers);
        assert_eq!(Exit::named(StateKind::Unavailable, "a-later-reason"), Exit::NotLive);
    }

    #[test]
    fn the_worst_of_several_counts() {
        assert_eq!(Exit::worst([]), Exit::Live);
        assert_eq!(Exit::worst([Exit::HumanNeeded, Exit::Live, Exit::NotLive]), Exit::HumanNeeded);
        assert_eq!(Exit::worst([Exit::NothingAnswers, Exit::HumanNeeded]), Exit::NothingAnswers);
    }
}
