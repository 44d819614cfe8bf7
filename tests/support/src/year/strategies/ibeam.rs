//! IBeam 0.5 with its defaults, described from its documentation and its public source (`strategy_handler.py`, strategy B,
//! `http_handler.py`, `login_handler.py`, `var.py`): every 60 s a tickle decides. Without a session, which is also what an
//! error and silence mean to it, it types the password into a browser. A session that competes or is not connected is logged
//! out and reauthenticated, one that is not authenticated is reauthenticated. Then it asks once a second, three rounds of 120
//! times, and if that fails it kills the gateway. A refused password is typed again at once; after five of them without a
//! success it shuts itself down. Its second factor is taken to be automated, which is the best case.

use std::time::Duration;

use tickled::session::Now;
use tickled::simulator::world::{Answer, AuthStatus, Call, Route};

use super::{Act, Input, Outcome, Strategy, second};

#[derive(Debug)]
pub(super) struct IBeam {
    step: Step,
    wake_at: Duration,
    /// When the next maintenance is due.
    next: Duration,
    refused: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Waits for the next maintenance.
    Rest,
    /// The tickle that decides.
    Tickle,
    /// Waits for the login page.
    Page,
    /// Types.
    Types,
    LogIn,
    LogOut,
    Reauthenticate {
        round: u32,
    },
    /// Waits a second before it asks, or for the answer.
    Ask {
        round: u32,
        count: u32,
    },
    Asked {
        round: u32,
        count: u32,
    },
    ShutDown,
}

impl IBeam {
    pub(super) const fn new() -> Self {
        Self { step: Step::Rest, wake_at: Duration::ZERO, next: Duration::ZERO, refused: 0 }
    }

    fn send(&mut self, step: Step, call: Call, acts: &mut Vec<Act>) {
        (self.step, self.wake_at) = (step, Duration::MAX);
        acts.push(Act::send(call, ANSWER_WITHIN));
    }

    fn sleep(&mut self, now: Now, step: Step, pause: Duration) {
        (self.step, self.wake_at) = (step, now.mono + pause);
    }

    /// The maintenance is over; the next one comes at its time, and what was missed meanwhile is left out.
    fn rest(&mut self, now: Now) {
        while self.next <= now.mono {
            self.next += EVERY;
        }
        (self.step, self.wake_at) = (Step::Rest, self.next);
    }

    fn decide(&mut self, now: Now, seen: Seen, acts: &mut Vec<Act>) {
        match seen {
            Seen::Session(flags) if flags.authenticated && !flags.competing => self.rest(now),
            Seen::Session(flags) if !flags.connected || flags.competing => {
                self.send(Step::LogOut, Call::post(Route::Logout), acts);
            }
            Seen::Session(_) => {
                self.send(Step::Reauthenticate { round: 1 }, Call::post(Route::Reauthenticate), acts);
            }
            Seen::NoSession => self.send(Step::Page, Call::get(Route::LoginPage), acts),
            Seen::NotRunning => self.rest(now),
        }
    }

    fn asked(&mut self, now: Now, round: u32, count: u32, seen: Seen, acts: &mut Vec<Act>) {
        match seen {
            Seen::Session(flags) if flags.authenticated && flags.connected && !flags.competing => self.rest(now),
            Seen::Session(flags) if !flags.authenticated && count < ASKS => {
                self.sleep(now, Step::Ask { round, count: count + 1 }, second(1));
            }
            Seen::Session(flags) if !flags.authenticated && round < ROUNDS => {
                self.send(Step::Reauthenticate { round: round + 1 }, Call::post(Route::Reauthenticate), acts);
            }
            Seen::Session(_) | Seen::NoSession | Seen::NotRunning => {
                acts.push(Act::RestartGateway);
                self.rest(now);
            }
        }
    }
}

impl Strategy for IBeam {
    fn step(&mut self, now: Now, input: Input, acts: &mut Vec<Act>) {
        let outcome = match (input, self.step) {
            (Input::Start, _) | (Input::OwnerCame, Step::ShutDown) => {
                (self.step, self.refused) = (Step::Rest, 0);
                (self.next, self.wake_at) = (now.mono, now.mono);
                return;
            }
            (Input::Wake, Step::Rest) => {
                self.send(Step::Tickle, Call::post(Route::Tickle), acts);
                return;
            }
            (Input::Wake, Step::Types) => {
                self.send(Step::LogIn, Call::post(Route::Dispatcher), acts);
                return;
            }
            (Input::Wake, Step::Ask { round, count }) => {
                self.send(Step::Asked { round, count }, Call::post(Route::Tickle), acts);
                return;
            }
            (Input::Answer(_, outcome), _) => outcome,
            (
                Input::Wake
                | Input::Ready
                | Input::Heartbeat
                | Input::Flags(_)
                | Input::StreamDown
                | Input::OwnerCame
                | Input::Truth(_),
                _,
            ) => return,
        };
        match self.step {
            Step::Tickle => self.decide(now, Seen::of(&outcome), acts),
            Step::Page if outcome == Outcome::Answer(Answer::LoginPage) => self.sleep(now, Step::Types, TYPING),
            Step::Page => self.rest(now),
            Step::LogIn if outcome == Outcome::Answer(Answer::LoginSucceeds) => {
                self.refused = 0;
                self.sleep(now, Step::Ask { round: 1, count: 1 }, second(1));
            }
            Step::LogIn if outcome == Outcome::PasswordRefused => {
                self.refused += 1;
                if self.refused >= MOST_REFUSED {
                    acts.push(Act::Note("IBeam shuts itself down".to_owned()));
                    (self.step, self.wake_at) = (Step::ShutDown, Duration::MAX);
                } else {
                    self.sleep(now, Step::Types, TYPING);
                }
            }
            Step::LogIn => self.rest(now),
            Step::LogOut => self.send(Step::Reauthenticate { round: 1 }, Call::post(Route::Reauthenticate), acts),
            // Without an answer it gives this maintenance up.
            Step::Reauthenticate { .. } if !matches!(outcome, Outcome::Answer(_)) => self.rest(now),
            Step::Reauthenticate { round } => self.sleep(now, Step::Ask { round, count: 1 }, Duration::ZERO),
            Step::Asked { round, count } => self.asked(now, round, count, Seen::of(&outcome), acts),
            Step::Rest | Step::Types | Step::Ask { .. } | Step::ShutDown => {}
        }
    }

    fn wake_at(&self) -> Duration {
        self.wake_at
    }

    fn period(&self) -> Duration {
        EVERY
    }

    fn is_settled(&self, _now: Now) -> bool {
        matches!(self.step, Step::Rest | Step::ShutDown)
    }
}

/// What a tickle means to it.
#[derive(Debug, Clone, Copy)]
enum Seen {
    NotRunning,
    /// 401, an error of the server, silence.
    NoSession,
    Session(AuthStatus),
}

impl Seen {
    const fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Answer(Answer::Tickle(tickle)) => Self::Session(tickle.status),
            Outcome::Answer(_) | Outcome::Timeout | Outcome::PasswordRefused | Outcome::Refused => Self::NoSession,
            Outcome::Reset | Outcome::Host(_) | Outcome::Websocket(_) => Self::NotRunning,
        }
    }
}

/// `IBEAM_MAINTENANCE_INTERVAL`.
const EVERY: Duration = second(60);
/// `IBEAM_REQUEST_TIMEOUT`. `IBEAM_REQUEST_RETRIES` is 1, which is one request in all.
const ANSWER_WITHIN: Duration = second(15);
/// `IBEAM_MAX_STATUS_CHECK_RETRIES`, one a second.
const ASKS: u32 = 120;
/// `IBEAM_MAX_REAUTHENTICATE_RETRIES`.
const ROUNDS: u32 = 3;
/// `IBEAM_MAX_FAILED_AUTH`. `IBEAM_MAX_IMMEDIATE_ATTEMPTS` is 10, so all of them can come within one maintenance.
const MOST_REFUSED: u32 = 5;
/// How long a login in its browser takes until the form is sent: assumed. At least `IBEAM_MIN_PRESUBMIT_BUFFER` of 5 s, the
/// start of the browser and the loading of the page.
const TYPING: Duration = second(15);
