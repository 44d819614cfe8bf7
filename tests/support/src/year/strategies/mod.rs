//! The strategies, each a small pure policy against the same world.

mod ibeam;
mod perfect;
mod recipe;
mod tickled;
mod tickler;

use std::time::Duration;

use ::tickled::calendar::Region;
use ::tickled::session::{HostFailure, Now};
use ::tickled::simulator::world::{Answer, AuthStatus, Call, Truth, What};

/// A strategy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    /// Knows the truth, and acts at once.
    Perfect,
    /// `tickled` with its defaults.
    Tickled,
    /// `tickled` with the stream.
    Stream,
    /// `tickled` with `competing = "take-over"`.
    TakeOver,
    /// `tickled` with `[alerts.hours]`.
    Hours,
    /// A ping every five minutes, and a recipe when it fails.
    Recipe,
    /// A tickle every minute, whatever the answer.
    Tickler,
    /// IBeam with its defaults.
    IBeam,
    /// Nothing at all.
    Nothing,
}

impl Name {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 9] = [
        Self::Perfect,
        Self::Tickled,
        Self::Stream,
        Self::TakeOver,
        Self::Hours,
        Self::Recipe,
        Self::Tickler,
        Self::IBeam,
        Self::Nothing,
    ];

    /// How it is shown.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Perfect => "perfect",
            Self::Tickled => "tickled",
            Self::Stream => "tickled, stream",
            Self::TakeOver => "tickled, take-over",
            Self::Hours => "tickled, hours",
            Self::Recipe => "recipe",
            Self::Tickler => "tickler",
            Self::IBeam => "IBeam",
            Self::Nothing => "nothing",
        }
    }

    pub(super) fn strategy(self, seed: u64, region: Region) -> Box<dyn Strategy> {
        match self {
            Self::Perfect => Box::new(perfect::Perfect::default()),
            Self::Tickled | Self::Stream | Self::TakeOver | Self::Hours => {
                Box::new(tickled::Tickled::new(seed, region, self))
            }
            Self::Recipe => Box::new(recipe::Recipe::default()),
            Self::Tickler => Box::new(tickler::Tickler::default()),
            Self::IBeam => Box::new(ibeam::IBeam::new()),
            Self::Nothing => Box::new(Nothing),
        }
    }
}

/// What keeps a session alive, or tries to.
pub(super) trait Strategy {
    /// Handles an event.
    fn step(&mut self, now: Now, input: Input, acts: &mut Vec<Act>);

    /// When it is to be woken, by [`Now::mono`].
    fn wake_at(&self) -> Duration;

    /// The longest time between two things that it does regularly.
    fn period(&self) -> Duration;

    /// Whether it does the same thing again and again.
    fn is_settled(&self, _now: Now) -> bool {
        true
    }

    /// When it will do something else.
    fn alarm(&self) -> Duration {
        Duration::MAX
    }

    /// Whether it sees what no program can see.
    fn knows_the_truth(&self) -> bool {
        false
    }
}

/// What a strategy sees.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Input {
    /// Its process starts.
    Start,
    Wake,
    /// The outcome of a request.
    Answer(u64, Outcome),
    /// The stream listens.
    Ready,
    /// The stream says that it is alive.
    Heartbeat,
    /// The stream pushes the session's flags.
    Flags(AuthStatus),
    /// The stream is gone.
    StreamDown,
    /// The owner is at the keyboard, and starts what has stopped.
    OwnerCame,
    /// What is true.
    Truth(Truth),
}

/// The outcome of a request.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Outcome {
    Answer(Answer),
    Refused,
    Reset,
    Timeout,
    /// What a handshake with IBKR's host showed.
    Host(Result<(), HostFailure>),
    /// Whether a websocket through the gateway spoke; none if it could not be opened.
    Websocket(Option<bool>),
    /// A login that got as far as a password, which was refused.
    PasswordRefused,
}

impl Outcome {
    pub(super) fn of(what: What) -> Self {
        match what {
            What::Answer(answer) => Self::Answer(answer),
            What::Refused => Self::Refused,
            What::Reset | What::Cut(_) | What::Hang | What::Drip(_) => Self::Reset,
        }
    }
}

/// What a strategy does.
#[derive(Debug, Clone)]
pub(super) enum Act {
    /// Sends a request, and waits so long for its answer.
    Send {
        tag: u64,
        call: Call,
        within: Option<Duration>,
    },
    /// Hangs up on a request that is not answered.
    HangUp {
        tag: u64,
    },
    /// Makes a handshake with IBKR's host, past the gateway.
    Handshake {
        tag: u64,
    },
    /// Opens a websocket through the gateway, to see whether anything is said on it.
    ProbeWebsocket {
        tag: u64,
    },
    /// Calls the owner about something of this name.
    Call(&'static str),
    /// Calls the owner again.
    Repeat(&'static str),
    /// Sends the owner a message that asks for nothing. It takes the place of a call of this name that has not arrived.
    Message(&'static str),
    OpenStream(Option<String>),
    CloseStream,
    RestartGateway,
    /// Says something for the story.
    Note(String),
}

impl Act {
    pub(super) const fn send(call: Call, within: Duration) -> Self {
        Self::Send { tag: 0, call, within: Some(within) }
    }
}

/// No program keeps the session, and the owner logs in when a look shows that it is gone.
#[derive(Debug)]
struct Nothing;

impl Strategy for Nothing {
    fn step(&mut self, _now: Now, _input: Input, _acts: &mut Vec<Act>) {}

    fn wake_at(&self) -> Duration {
        Duration::MAX
    }

    fn period(&self) -> Duration {
        Duration::from_secs(60)
    }
}

const fn second(n: u64) -> Duration {
    Duration::from_secs(n)
}
