//! The gateway's own process: whether it runs, whether a login went through it, and what it does by itself.

use std::time::Duration;

use super::answer::{Answer, Verdict, What};
use super::call::{Call, Route};
use super::control::Times;

/// The gateway's process.
#[derive(Clone, Debug)]
pub(super) struct Process {
    /// Which one it is, counted from 1.
    pub(super) number: u32,
    /// When it will listen; none when it does.
    pub(super) listens_at: Option<Duration>,
    /// A browser login went through this process.
    pub(super) logged_in: bool,
    /// The next reauthentications come to nothing.
    pub(super) failing: Times,
    /// `authDelay` of conf.yaml.
    pub(super) auth_delay: Duration,
    runs: Vec<Run>,
    timers: Option<Timers>,
}

/// Why the gateway asked IBKR something by itself.
#[derive(Clone, Copy, Debug)]
pub(super) enum Errand {
    /// A step on the way to a brokerage session, or away from one.
    Step(Step),
    /// The tickle of every 30 s.
    Tickle,
    /// The ping of every 5 minutes, whose answer changes nothing.
    Ping,
}

/// The way to a brokerage session, as far as it is gone.
#[derive(Clone, Copy, Debug)]
struct Run {
    due: Duration,
    step: Step,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Validate { failed: u32 },
    OpenBridge,
    St,
    Status,
    Init,
    Accounts { authenticated: bool },
    LogOut,
}

/// They run only while the gateway believes in its brokerage session.
#[derive(Clone, Copy, Debug)]
struct Timers {
    tickle_at: Duration,
    ping_at: Duration,
}

impl Process {
    pub(super) fn new(auth_delay: Duration) -> Process {
        Process {
            number: 1,
            listens_at: None,
            logged_in: false,
            failing: Times::NEVER,
            auth_delay,
            runs: Vec::new(),
            timers: None,
        }
    }

    /// Ends this process and starts the next, which remembers nothing.
    pub(super) fn restart(&mut self, at: Duration, down: Duration) {
        *self = Process {
            number: self.number + 1,
            listens_at: (!down.is_zero()).then(|| at + down),
            failing: self.failing,
            ..Process::new(self.auth_delay)
        };
    }

    /// What POST, or any other method, on reauthenticate is answered, by the gateway itself.
    pub(super) fn reauthenticate(&mut self, at: Duration) -> Answer {
        if !self.logged_in {
            return Answer::NotLoggedIn;
        }
        if !self.failing.take() {
            self.begin(at);
        }
        Answer::Triggered
    }

    /// A browser login went through.
    pub(super) fn log_in(&mut self, at: Duration) {
        self.logged_in = true;
        self.timers = None;
        self.begin(at);
    }

    /// When it does something by itself.
    pub(super) fn next(&self) -> Option<Duration> {
        let runs = self.runs.iter().map(|run| run.due).min();
        let timers = self.timers.map(|timers| timers.tickle_at.min(timers.ping_at));
        [self.listens_at, runs, timers].into_iter().flatten().min()
    }

    /// Handles everything that is due. Returns the request that it sends, if any.
    pub(super) fn advance(&mut self, at: Duration) -> Option<(Errand, Call)> {
        if self.listens_at.is_some_and(|when| when <= at) {
            self.listens_at = None;
        }
        if let Some(due) = self.runs.iter().position(|run| run.due <= at) {
            let run = self.runs.swap_remove(due);
            return Some((Errand::Step(run.step), run.step.call()));
        }
        let timers = self.timers.as_mut()?;
        if timers.tickle_at <= at {
            timers.tickle_at = at + TICKLE_EVERY;
            Some((Errand::Tickle, Call::get(Route::Tickle)))
        } else if timers.ping_at <= at {
            timers.ping_at = at + PING_EVERY;
            Some((Errand::Ping, Call::get(Route::SsoPing)))
        } else {
            None
        }
    }

    /// Takes the outcome of a request it made, which is known at `known`. What hangs leads nowhere.
    pub(super) fn take(&mut self, known: Duration, errand: Errand, what: &What) {
        let What::Answer(answer) = what else {
            return;
        };
        match errand {
            Errand::Step(step) => self.take_step(known, step, answer),
            Errand::Tickle => self.take_tickle(known, answer),
            Errand::Ping => {}
        }
    }

    fn begin(&mut self, at: Duration) {
        self.runs.push(Run { due: at, step: Step::Validate { failed: 0 } });
    }

    fn take_step(&mut self, known: Duration, step: Step, answer: &Answer) {
        let next = match step {
            Step::Validate { failed } => {
                if matches!(answer, Answer::Validate(validate) if validate.result == Verdict::True) {
                    Some((known, Step::OpenBridge))
                } else {
                    let again = (known + VALIDATE_AGAIN, Step::Validate { failed: failed + 1 });
                    (failed < VALIDATE_RETRIES).then_some(again)
                }
            }
            Step::OpenBridge => is_ok(answer).then_some((known, Step::St)),
            Step::St => is_ok(answer).then_some((known + self.auth_delay, Step::Status)),
            Step::Status => {
                if matches!(answer, Answer::Status(flags) if flags.authenticated && !flags.competing) {
                    Some((known, Step::Accounts { authenticated: true }))
                } else {
                    is_ok(answer).then_some((known, Step::Init))
                }
            }
            Step::Init => {
                let authenticated = matches!(answer, Answer::Status(flags) if flags.authenticated);
                is_ok(answer).then_some((known, Step::Accounts { authenticated }))
            }
            Step::Accounts { authenticated } => {
                self.finish(known, authenticated);
                return;
            }
            Step::LogOut => return,
        };
        match next {
            Some((due, step)) => self.runs.push(Run { due, step }),
            None => self.timers = None,
        }
    }

    /// A brokerage login that succeeded starts the timers, one that failed stops them.
    fn finish(&mut self, at: Duration, authenticated: bool) {
        if !authenticated {
            self.timers = None;
        } else if self.timers.is_none() {
            self.timers = Some(Timers { tickle_at: at + TICKLE_EVERY, ping_at: at + PING_EVERY });
        }
    }

    /// A tickle that fails starts the way to a session; one that shows a lapse makes the gateway log itself out.
    fn take_tickle(&mut self, known: Duration, answer: &Answer) {
        if !is_ok(answer) {
            self.timers = None;
            self.begin(known);
        } else if matches!(answer, Answer::Tickle(tickle) if tickle.status.connected && !tickle.status.authenticated) {
            self.timers = None;
            self.runs.push(Run { due: known, step: Step::LogOut });
        }
    }
}

impl Step {
    fn call(self) -> Call {
        match self {
            Step::Validate { .. } => Call::get(Route::Validate),
            Step::OpenBridge => Call::get(Route::Init),
            Step::St => Call::get(Route::St),
            Step::Status => Call::get(Route::Status),
            Step::Init => Call::init(true),
            Step::Accounts { .. } => Call::get(Route::Accounts),
            Step::LogOut => Call::get(Route::Logout),
        }
    }
}

fn is_ok(answer: &Answer) -> bool {
    answer.status() == 200
}

const TICKLE_EVERY: Duration = Duration::from_secs(30);
const PING_EVERY: Duration = Duration::from_secs(5 * 60);
const VALIDATE_AGAIN: Duration = Duration::from_secs(3);
const VALIDATE_RETRIES: u32 = 5;
