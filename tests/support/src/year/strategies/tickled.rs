//! `tickled`: its session machine and its alert tracker, driven as its driver and its daemon do. A call is an alert of
//! severity `error`, which asks a human to act.

use std::sync::Arc;
use std::time::Duration;

use ::tickled::alert::schedule::Hours;
use ::tickled::alert::{self, AlertPhase, Code, Severity, Tracker};
use ::tickled::calendar::{Maintenance, Region};
use ::tickled::driver::{StreamListener, Turn};
use ::tickled::gateway::SessionId;
use ::tickled::gateway::stream::{Push, StreamDown};
use ::tickled::session::{
    CALM, ClientId, Competing, Input as Step, Jitter, Machine, Now, Plan, Policy, RateLimitState, Request,
    SharedBudget, State, Status, Unavailability,
};
use ::tickled::simulator::world::{Answer, AuthStatus};
use ::tickled::status::{Place, Snapshot};

use super::{Act, Input, Name, Outcome, Strategy, second};
use crate::{Said, port, said};
use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;

pub(super) struct Tickled {
    seed: u64,
    policy: Policy,
    place: Place,
    settings: alert::Settings,
    has_stream: bool,
    process: Process,
    starts: u64,
    /// The five minutes that were last looked up in the calendar, and whether IBKR is in maintenance in them: all windows
    /// begin and end at such times.
    window: (i64, bool),
}

/// What lives as long as the daemon's process.
struct Process {
    machine: Machine,
    budget: SharedBudget,
    client: ClientId,
    plan: Option<Plan>,
    listening: StreamListener,
    refutations: u32,
    tracker: Tracker,
    alarm: Duration,
    /// What the tracker was last shown, and when.
    shown: Option<(Shown, Duration)>,
    tag: u64,
    /// The requests that are not answered, with their tags, the oldest first.
    in_flight: Vec<(u64, Request)>,
    /// A call for a login has been sent, and the machine does not know of it yet.
    expects_login: bool,
}

type Shown = (State, bool, bool, Option<Unavailability>, bool);

impl Tickled {
    pub(super) fn new(seed: u64, region: Region, name: Name) -> Self {
        let competing = if name == Name::TakeOver { Competing::TakeOver } else { Competing::Yield };
        let has_stream = name == Name::Stream;
        // As the daemon does for a gateway on its own host.
        let policy = Policy { competing, knows_ibkr_host: true, ..Policy::default() };
        let place = Place { region, maintenance: Arc::new(Maintenance::default()) };
        let now = Now { mono: Duration::ZERO, wall: jiff::Timestamp::UNIX_EPOCH };
        let hours = (name == Name::Hours).then(|| hours(region));
        let settings = alert::Settings { hours, ..alert::Settings::default() };
        let process = Process::start(&policy, seed, now, &settings, has_stream, &RateLimitState::default());
        Self { seed, policy, place, settings, has_stream, process, starts: 0, window: (0, false) }
    }

    fn machine(&mut self, now: Now, input: Step, acts: &mut Vec<Act>) {
        let span = now.wall.as_second() / 300;
        if self.window.0 != span {
            self.window = (span, self.place.maintenance.at(self.place.region, now.wall).is_some());
        }
        let process = &mut self.process;
        process.machine.in_maintenance(self.window.1);
        let plan = process.machine.step_shared(now, input, &mut process.budget, process.client);
        if let Some(transition) = &plan.transition {
            acts.push(Act::Note(format!("{:?} -> {:?}: {:?}", transition.from, transition.to, transition.reason)));
        }
        let refutations = process.machine.refutations();
        if std::mem::replace(&mut process.refutations, refutations) != refutations {
            process.listening.refuted(now.mono);
        }
        process.hang_up(&plan, acts);
        process.plan = Some(plan);
        self.show(now, &plan, acts);
        let process = &mut self.process;
        if let Some(request) = plan.request {
            process.tag += 1;
            let tag = process.tag;
            process.in_flight.push((tag, request));
            acts.push(match request {
                Request::HandshakeIbkr => Act::Handshake { tag },
                Request::ProbeWebsocket => Act::ProbeWebsocket { tag },
                request => {
                    let within = if request.is_proxied() { None } else { Some(second(3)) };
                    Act::Send { tag, call: port::call(request), within }
                }
            });
        }
        match process.listening.turn(now.mono, process.machine.state()) {
            Turn::Stay => {}
            Turn::Close => acts.push(Act::CloseStream),
            Turn::Open(session) => acts.push(Act::OpenStream(Some(session.expose().to_owned()))),
        }
    }

    /// Shows the tracker the gateway. The daemon does so after each step; here, for speed, when something has changed
    /// and every so often.
    fn show(&mut self, now: Now, plan: &Plan, acts: &mut Vec<Act>) {
        let process = &mut self.process;
        let machine = &process.machine;
        let (_, held) = self.window;
        let shown =
            (machine.state(), machine.is_flapping(), machine.is_out_of_attempts(), machine.facts().trouble, held);
        let is_known = process.shown.is_some_and(|(last, at)| last == shown && now.mono < at + SHOWN_EVERY);
        if is_known && plan.jumped.is_none() {
            return;
        }
        process.shown = Some((shown, now.mono));
        let snapshot = Snapshot::of("main", "https://localhost:5000", machine, plan, now, Some(&self.place));
        self.track(now, alert::AlertInput::Snapshot(&snapshot), acts);
    }

    fn track(&mut self, now: Now, input: alert::AlertInput<'_>, acts: &mut Vec<Act>) {
        let plan = self.process.tracker.step(now, input);
        self.process.alarm = plan.wake_at;
        for notice in plan.notices {
            acts.push(Act::Note(format!("{} {:?} {:?}: {}", notice.code, notice.phase, notice.severity, notice.title)));
            if (notice.code, notice.phase) == (Code::LoginRequired, AlertPhase::Raised) {
                self.process.expects_login = true;
            }
            let name = notice.code.name();
            acts.push(match notice.phase {
                AlertPhase::Raised if notice.severity == Severity::Error => Act::Call(name),
                AlertPhase::Repeated if notice.severity == Severity::Error => Act::Repeat(name),
                AlertPhase::Raised
                | AlertPhase::Repeated
                | AlertPhase::Resolved
                | AlertPhase::Withdrawn
                | AlertPhase::Replaced
                | AlertPhase::Acknowledged
                | AlertPhase::Test => Act::Message(name),
            });
        }
    }

    fn hears(&mut self, now: Now, heard: Result<Push, StreamDown>, flags: Option<Status>, acts: &mut Vec<Act>) {
        if heard.is_ok() {
            self.process.machine.on_sign_of_life(now);
        }
        let change = self.process.listening.heard(now.mono, heard);
        if let Some(flags) = flags {
            self.machine(now, Step::Push(flags), acts);
        } else if change.is_some() {
            self.machine(now, Step::Wake, acts);
        }
    }
}

impl Process {
    /// Hangs up on the requests whose answers are not awaited, as the driver does.
    fn hang_up(&mut self, plan: &Plan, acts: &mut Vec<Act>) {
        let drops_own = plan.request.is_some_and(|request| !request.is_proxied()) || !plan.awaiting;
        let new = usize::from(plan.request.is_some_and(Request::is_proxied));
        let standing = self.in_flight.iter().filter(|(_, request)| request.is_proxied()).count();
        let mut excess = (standing + new).saturating_sub(plan.standing);
        self.in_flight.retain(|(tag, request)| {
            let is_dropped = if request.is_proxied() { excess > 0 } else { drops_own };
            if is_dropped {
                excess -= usize::from(request.is_proxied());
                acts.push(Act::HangUp { tag: *tag });
            }
            !is_dropped
        });
    }

    fn start(
        policy: &Policy,
        seed: u64,
        now: Now,
        settings: &alert::Settings,
        has_stream: bool,
        kept: &RateLimitState,
    ) -> Self {
        let mut machine = Machine::new(policy.clone(), seed, now);
        machine.restore_limits(now, kept);
        let mut budget = SharedBudget::default();
        let client = budget.register();
        Self {
            machine,
            budget,
            client,
            plan: None,
            listening: StreamListener::new(has_stream.then(|| Jitter::new(seed))),
            refutations: 0,
            tracker: Tracker::new(settings.clone(), "host"),
            alarm: Duration::MAX,
            shown: None,
            tag: 0,
            in_flight: Vec::new(),
            expects_login: false,
        }
    }
}

impl Strategy for Tickled {
    fn step(&mut self, now: Now, input: Input, acts: &mut Vec<Act>) {
        match input {
            Input::Start => {
                let kept = self.process.machine.rate_limit_state(now);
                let tracked = self.process.tracker.snapshot(now);
                self.starts += 1;
                let seed = self.seed.wrapping_mul(1000).wrapping_add(self.starts);
                self.process = Process::start(&self.policy, seed, now, &self.settings, self.has_stream, &kept);
                drop(self.process.tracker.restore(tracked, now, |_| true));
                self.machine(now, Step::Wake, acts);
            }
            Input::Wake => {
                if now.mono >= self.process.alarm {
                    self.track(now, alert::AlertInput::Wake, acts);
                }
                let listening = self.process.listening.wake_at();
                if self.process.plan.is_none_or(|plan| now.mono >= plan.wake_at)
                    || listening.is_some_and(|at| now.mono >= at)
                {
                    self.machine(now, Step::Wake, acts);
                }
            }
            Input::Answer(tag, outcome) => {
                let Some(nth) = self.process.in_flight.iter().position(|(other, _)| *other == tag) else { return };
                let (_, request) = self.process.in_flight.remove(nth);
                if let Outcome::Answer(Answer::Tickle(tickle)) = &outcome {
                    let id = serde_json::Value::String(tickle.session.to_string());
                    let session: SessionId = serde_json::from_value(id).unwrap();
                    self.process.listening.pinged(session);
                }
                let input = match outcome {
                    Outcome::Answer(answer) => said(request, port::quickly(request, &answer)),
                    Outcome::Refused => said(request, Said::Unavailable(Unavailability::NothingListens)),
                    Outcome::Host(host) => said(request, Said::Host(host)),
                    Outcome::Websocket(Some(speaks)) => said(request, Said::Websocket(speaks)),
                    Outcome::Reset if request.is_proxied() => Step::Unanswered(request),
                    Outcome::Reset | Outcome::Timeout | Outcome::PasswordRefused | Outcome::Websocket(None) => {
                        said(request, port::SILENCE)
                    }
                };
                self.machine(now, input, acts);
            }
            Input::Ready => self.hears(now, Ok(Push::Ready), None, acts),
            Input::Heartbeat => self.hears(now, Ok(Push::Heartbeat), None, acts),
            Input::Flags(flags) => self.hears(now, Ok(Push::Heartbeat), Some(status(flags)), acts),
            Input::StreamDown => self.hears(now, Err(StreamDown::Silent), None, acts),
            Input::OwnerCame | Input::Truth(_) => {}
        }
        if std::mem::take(&mut self.process.expects_login) {
            self.machine(now, Step::ExpectLogin, acts);
        }
    }

    fn wake_at(&self) -> Duration {
        let machine = self.process.plan.map_or(Duration::ZERO, |plan| plan.wake_at);
        let listening = self.process.listening.wake_at().unwrap_or(Duration::MAX);
        machine.min(listening).min(self.process.alarm)
    }

    fn period(&self) -> Duration {
        self.policy.ping_every
    }

    fn is_settled(&self, now: Now) -> bool {
        let machine = &self.process.machine;
        matches!(machine.state(), State::Live | State::LoginRequired(_)) && now.mono >= machine.since().mono + CALM
    }

    fn alarm(&self) -> Duration {
        self.process.alarm
    }
}

/// The working days of the owner, and a quarter of an hour before the stock exchange opens.
fn hours(region: Region) -> Hours {
    let ready_by = match region {
        Region::NorthAmerica | Region::Asia => Time::constant(9, 15, 0, 0),
        Region::Europe => Time::constant(8, 45, 0, 0),
    };
    Hours {
        zone: TimeZone::get(region.zone()).unwrap(),
        days: vec![Weekday::Monday, Weekday::Tuesday, Weekday::Wednesday, Weekday::Thursday, Weekday::Friday],
        from: Time::constant(7, 30, 0, 0),
        to: Time::constant(17, 0, 0, 0),
        ready_by: Some(ready_by),
        except: Vec::new(),
    }
}

const fn status(flags: AuthStatus) -> Status {
    Status {
        authenticated: flags.authenticated,
        connected: flags.connected,
        competing: flags.competing,
        established: flags.established,
    }
}

const SHOWN_EVERY: Duration = second(60);
