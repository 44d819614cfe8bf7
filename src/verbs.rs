//! What asks a gateway once or a running daemon, and the exit codes that all verbs share.

pub mod asking;
mod cert;
mod fold;
mod glance;
pub mod login;
mod past;

pub use asking::Form;
pub use cert::cert;
pub use fold::folded;

use serde_json::json;

use crate::gateway::{Client, Target};
use crate::recipes::{Looked, look};
use crate::session::{Because, Cause, State, Step, Trouble};

/// How a verb ended. The numbers are an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Live, or done.
    Live = 0,
    /// Not live, and being handled, or it passes by itself.
    NotLive = 1,
    /// A human is needed.
    HumanNeeded = 2,
    /// No daemon or gateway answers.
    NothingAnswers = 3,
    /// The command line is wrong.
    Usage = 64,
    /// Another keeper already holds this gateway.
    AnotherKeeper = 69,
    /// A fault of this program.
    Internal = 70,
    /// Ended at once by a second signal.
    SecondSignal = 75,
    /// The configuration is wrong.
    Configuration = 78,
}

impl Exit {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 9] = [
        Self::Live,
        Self::NotLive,
        Self::HumanNeeded,
        Self::NothingAnswers,
        Self::Usage,
        Self::AnotherKeeper,
        Self::Internal,
        Self::SecondSignal,
        Self::Configuration,
    ];

    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// What the number says.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Live => "live; for other verbs: done",
            Self::NotLive => "not live, being handled",
            Self::HumanNeeded => "a human is needed",
            Self::NothingAnswers => "no daemon or gateway answers",
            Self::Usage => "the command line is wrong",
            Self::AnotherKeeper => "another keeper already holds this gateway",
            Self::Internal => "a fault of this program",
            Self::SecondSignal => "ended at once by a second signal",
            Self::Configuration => "the configuration is wrong",
        }
    }

    /// The table of all codes, one a line.
    #[must_use]
    pub fn table() -> String {
        Self::ALL.iter().map(|exit| format!("{:>4}  {}\n", exit.code(), exit.meaning())).collect()
    }
}

/// Asks the gateway once what its session is, and changes nothing.
///
/// # Errors
/// When no client can be made for the target.
pub async fn check(target: Target, as_json: bool) -> Result<(String, Exit), crate::gateway::BuildError> {
    let client = Client::new(target)?;
    let looked = look(&client).await;
    let exit = exit(&looked);
    Ok((if as_json { machine_line(&looked, exit) } else { line(&looked) }, exit))
}

fn exit(looked: &Looked) -> Exit {
    match looked.snapshot.state {
        State::Live => Exit::Live,
        State::LoginRequired(_)
        | State::Unavailable(Trouble::Certificate | Trouble::Tls | Trouble::AddressRefused | Trouble::EdgeRefused) => {
            Exit::HumanNeeded
        }
        State::Unavailable(Trouble::NothingListens | Trouble::NoAnswer | Trouble::NotAGateway | Trouble::Network) => {
            Exit::NothingAnswers
        }
        State::Starting
        | State::Recovering { .. }
        | State::Contested
        | State::Unavailable(
            Trouble::IbkrSilent | Trouble::IbkrError | Trouble::TooManyRequests { .. } | Trouble::Nonsense,
        )
        | State::Paused { .. } => Exit::NotLive,
    }
}

/// One line that a person understands.
fn line(looked: &Looked) -> String {
    let snapshot = &looked.snapshot;
    let url = &snapshot.url;
    let detail = looked.error.as_ref().map(|error| format!(" [{error}]")).unwrap_or_default();
    match snapshot.state {
        State::Live => format!("live: {url} is authenticated and connected, and account data comes"),
        // One look cannot tell an expired login from one that never was.
        State::LoginRequired(Cause::Expired) => format!("manual login required: nobody is logged in; log in at {url}"),
        State::LoginRequired(cause) => format!("manual login required: {}; log in at {url}", cause.sentence()),
        State::Contested => format!("contested: somebody else uses the brokerage session of {url}"),
        State::Recovering { step: Step::Check, .. } | State::Starting => {
            format!("not live: {} at {url}", snapshot.because.sentence())
        }
        State::Recovering { .. } if snapshot.because == Because::NoData => {
            format!("not live: {url} is authenticated, and account data does not come")
        }
        State::Recovering { .. } => {
            format!("not live: {} ({url}); the login stands, so it can be taken back", snapshot.because.sentence())
        }
        State::Unavailable(trouble) => format!("unavailable: {} ({url}){detail}", trouble.sentence()),
        State::Paused { .. } => format!("paused: {url}"),
    }
}

/// The same for programs, one object on one line.
fn machine_line(looked: &Looked, exit: Exit) -> String {
    let snapshot = &looked.snapshot;
    let because = match snapshot.state {
        State::Unavailable(trouble) => trouble.code(),
        State::LoginRequired(cause) => cause.code(),
        State::Starting | State::Live | State::Recovering { .. } | State::Contested | State::Paused { .. } => {
            snapshot.because.code()
        }
    };
    json!({
        "url": snapshot.url,
        "state": snapshot.state.name(),
        "because": because,
        "paper": snapshot.known.is_paper,
        "detail": looked.error.as_ref().map(ToString::to_string),
        "exit": exit.code(),
    })
    .to_string()
}
