//! One life: a machine and a world, a human and a host, in simulated time.

mod disturbances;

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use support::flights::{self, Flights};
use support::port;
use tickled::alert::{self, AlertPhase, Code, Settings, Tracker};
use tickled::calendar::{Maintenance, Region};
use tickled::session::{
    Cause, ClientId, Competing, Input, Machine, Method, Now, Plan, Policy, Recovery, Request, SharedBudget, State,
    Unavailability, WakeReason,
};
use tickled::simulator::world::{Call, Control, Frame, Options, Push, RequestId, Route, StreamId, Unanswered, World};
use tickled::status::{Place, Snapshot};

use crate::fate::{Event, Weather};
use crate::reach::Reach;
use support::chance::Chance;
use support::rules::{Rules, Sky, Tally, hour, minute, second};

/// Lives one life, and says what was wrong with it.
pub(crate) fn live_through(seed: u64, span: Duration, trace: bool) -> Result<Tally, String> {
    let mut life = Life::new(seed, Rc::default(), trace);
    while life.next() < span {
        life.go_on().map_err(|what| life.story(&what))?;
    }
    Ok(life.rules.tally)
}

pub(crate) struct Life {
    chance: Chance,
    weather: Weather,
    pub(crate) world: World,
    pub(crate) machine: Machine,
    address: Rc<RefCell<SharedBudget>>,
    client: ClientId,
    pub(crate) plan: Plan,
    tracker: Tracker,
    /// When the desk has something to say, and what it was last shown.
    alarm: Duration,
    shown: Option<(State, bool, bool, Option<Unavailability>)>,
    steps: u64,
    place: Option<Place>,
    pub(crate) rules: Rules,
    /// Time since the world began.
    pub(crate) at: Duration,
    /// How much of it the host has slept.
    slept: Duration,
    /// How far the wall clock is off.
    off: SignedDuration,
    pub(crate) flights: Flights,
    /// The gateway's stream, if it is listened to, and its messages on their way.
    stream: Option<StreamId>,
    pushes: VecDeque<Push>,
    agenda: BinaryHeap<Reverse<(Duration, u64)>>,
    events: Vec<Option<Event>>,
    /// A disturbance is under way that the truth does not show.
    murky: bool,
    /// IBKR is silent, and what happens to what it left unanswered once it is not.
    pub(crate) silence: Option<Unanswered>,
    pub(crate) reach: Reach,
    /// The trading program's requests: when each is answered, or which late answer it waits for.
    program: Vec<Program>,
    /// How many of them the program keeps under way.
    pub(crate) program_asks: usize,
    daemons: u64,
    human: Option<Duration>,
    /// No human reacts to alerts.
    is_unattended: bool,
    pub(crate) notices: Vec<(Duration, Code, AlertPhase)>,
    trace: VecDeque<String>,
    tracing: bool,
}

/// A request of the trading program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Program {
    Lands(Duration),
    Waits(RequestId),
}

impl Life {
    /// A life at its beginning, of a gateway behind that public address.
    pub(crate) fn new(seed: u64, address: Rc<RefCell<SharedBudget>>, tracing: bool) -> Self {
        let mut chance = Chance(seed);
        let weather = Weather::of(&mut chance);
        let policy = policy(&mut chance);
        let published = Place { region: Region::NorthAmerica, maintenance: Arc::new(Maintenance::default()) };
        let place = chance.one_in(2).then_some(published);
        let is_logged_in = chance.one_in(2);
        let mut life = Self::of(seed, (chance, weather, policy, place), address, tracing);
        if is_logged_in {
            life.world.set(Duration::ZERO, Control::LogIn);
        }
        if seed.is_multiple_of(2) {
            life.listen();
        }
        life.later(Duration::ZERO, Event::Midnight);
        let first = life.chance.span(minute(1), life.weather.every * 2);
        life.later(first, Event::Begins);
        life
    }

    /// A live session, to which only that happens which a test has happen.
    pub(crate) fn calm(seed: u64, policy: Policy) -> Self {
        let weather = Weather { every: hour(1), adversary: false, laptop: false };
        let mut life = Self::of(seed, (Chance(seed), weather, policy, None), Rc::default(), true);
        life.world.set(Duration::ZERO, Control::LogIn);
        life.is_unattended = true;
        life.until(minute(10));
        assert_eq!(life.machine.state(), State::Live);
        life
    }

    /// Opens the gateway's stream anew, and listens to it from then on.
    pub(crate) fn listen(&mut self) {
        if let Some(stream) = self.stream {
            self.world.close_stream(stream);
        }
        self.stream = Some(self.world.open_stream(self.at, None));
        self.pushes.clear();
        self.listen_on();
    }

    /// Lives on until then.
    pub(crate) fn until(&mut self, at: Duration) {
        while self.next() < at {
            self.go_on().unwrap_or_else(|what| panic!("{}", self.story(&what)));
        }
        self.at = at;
        self.advance();
    }

    /// Lives on until it is so, and says how long that took.
    pub(crate) fn until_it_is(&mut self, within: Duration, is_so: impl Fn(&Self) -> bool) -> Duration {
        let since = self.at;
        while !is_so(self) {
            assert!(self.next() <= since + within, "{}", self.story(&format!("not within {within:?}")));
            self.go_on().unwrap_or_else(|what| panic!("{}", self.story(&what)));
        }
        self.at - since
    }

    fn of(
        seed: u64,
        (chance, weather, policy, place): (Chance, Weather, Policy, Option<Place>),
        address: Rc<RefCell<SharedBudget>>,
        tracing: bool,
    ) -> Self {
        let options = Options { epoch_ms: EPOCH_MS, seed, login_lasts: None, ..Options::default() };
        let world = World::new(&options);
        let start = Now { mono: Duration::ZERO, wall: epoch() };
        let machine = Machine::new(policy, seed, start);
        let client = address.borrow_mut().register();
        let plan = Plan {
            request: None,
            awaiting: false,
            wake_at: Duration::ZERO,
            reason: WakeReason::CheckDue,
            standing: 0,
            transition: None,
            jumped: None,
        };
        Self {
            chance,
            weather,
            world,
            machine,
            address,
            client,
            plan,
            tracker: Tracker::new(Settings::default(), "host"),
            alarm: Duration::MAX,
            shown: None,
            steps: 0,
            place,
            rules: Rules::default(),
            at: Duration::ZERO,
            slept: Duration::ZERO,
            off: SignedDuration::ZERO,
            flights: Flights::default(),
            stream: None,
            pushes: VecDeque::new(),
            agenda: BinaryHeap::new(),
            events: Vec::new(),
            murky: false,
            silence: None,
            reach: Reach::default(),
            program: Vec::new(),
            program_asks: 0,
            daemons: 0,
            human: None,
            is_unattended: false,
            notices: Vec::new(),
            trace: VecDeque::new(),
            tracing,
        }
    }

    /// Has the host it lives on never sleep, so that others can live beside it.
    pub(crate) const fn awake(mut self) -> Self {
        self.weather.laptop = false;
        self
    }

    /// When something happens next.
    pub(crate) fn next(&self) -> Duration {
        let next = self.wake().min(self.next_event()).min(self.landing()).min(self.alert()).min(self.answered());
        self.at.max(next.min(self.pushed()))
    }

    /// Has it happen.
    pub(crate) fn go_on(&mut self) -> Result<(), String> {
        let (event, landing, wake, alert) = (self.next_event(), self.landing(), self.wake(), self.alert());
        let next = wake.min(event).min(landing).min(alert).min(self.answered()).min(self.pushed());
        self.at = self.at.max(next);
        self.advance();
        self.reach.watch(&self.world, self.at, self.silence.is_some())?;
        if next == event {
            if let Some(Reverse((_, i))) = self.agenda.pop()
                && let Some(event) = self.events[usize::try_from(i).unwrap()].take()
            {
                self.happens(event)?;
            }
            Ok(())
        } else if self.pushes.front().is_some_and(|push| push.at <= self.at) {
            let Some(Push { frame: Frame::Sts { flags, .. }, .. }) = self.pushes.pop_front() else { return Ok(()) };
            self.rules.pushed(self.now().mono, port::status(flags));
            self.step(Input::Push(port::status(flags)))
        } else if next == landing {
            let Some((request, answer)) = self.flights.land(self.at) else { return Ok(()) };
            self.rules.ended(self.now().mono, request, answer);
            self.step(flights::input(request, answer))
        } else if next == wake {
            self.step(Input::Wake)
        } else if next == alert {
            self.tell(alert::AlertInput::Wake)
        } else {
            Ok(())
        }
    }

    /// Handles what has happened to the world, and lets the trading program go on.
    fn advance(&mut self) {
        self.world.advance(self.at);
        for late in self.flights.update(&mut self.world, self.at) {
            if let Some(waiting) = self.program.iter_mut().find(|waiting| **waiting == Program::Waits(late.id)) {
                *waiting = Program::Lands(late.at);
            }
        }
        self.listen_on();
        let at = self.at;
        self.program.retain(|request| !matches!(request, Program::Lands(lands) if *lands <= at));
        while self.program.len() < self.program_asks {
            let reply = self.world.handle(at, &Call::get(Route::parse(PROGRAM)));
            self.program.push(match reply.awaits {
                Some(id) => Program::Waits(id),
                None => Program::Lands(at + reply.after.max(Duration::from_millis(1))),
            });
        }
    }

    fn listen_on(&mut self) {
        if self.stream.is_some() {
            self.pushes.extend(self.world.pushes());
        }
    }

    /// When the stream's next message comes. Until the world knows of it, that may be at each of the world's events.
    fn pushed(&self) -> Duration {
        let world = self.world.next_event().filter(|_| self.stream.is_some());
        self.pushes.front().map(|push| push.at).into_iter().chain(world).min().unwrap_or(Duration::MAX)
    }

    /// When the next request of the trading program is answered.
    fn answered(&self) -> Duration {
        let lands = self.program.iter().filter_map(|request| match request {
            Program::Lands(at) => Some(*at),
            Program::Waits(_) => None,
        });
        let world = self.world.next_event().filter(|_| self.program.iter().any(|p| matches!(p, Program::Waits(_))));
        lands.chain(world).min().unwrap_or(Duration::MAX)
    }

    /// Has another daemon take over, which knows what stands on disk.
    fn restart(&mut self) -> Result<(), String> {
        let now = self.now();
        let kept = self.machine.rate_limit_state(now);
        let state = self.machine.state();
        self.reach.restarted(&self.world, self.flights.standing().saturating_sub(kept.unanswered.len()));
        self.daemons += 1;
        self.machine = Machine::new(self.machine.policy().clone(), self.daemons, now);
        self.machine.restore_limits(now, &kept);
        let has_no_way = self.flights.has_no_way;
        self.flights = Flights::default();
        self.flights.has_no_way = has_no_way;
        self.rules.restarted();
        self.step(match state {
            State::Paused { until } => Input::Pause { until },
            State::LoginRequired(Cause::ByOperator) => Input::LoggedOut,
            State::Starting
            | State::Live
            | State::Recovering { .. }
            | State::Contested
            | State::Unavailable(_)
            | State::LoginRequired(_) => Input::Wake,
        })
    }

    /// What went wrong, and what led there.
    pub(crate) fn story(&self, what: &str) -> String {
        let lines: Vec<&str> = self.trace.iter().map(String::as_str).collect();
        let (at, wall) = (self.at, self.now().wall);
        format!("after {at:?}, at {wall}: {what}\npolicy {:?}\n{}", self.machine.policy(), lines.join("\n"))
    }

    fn wake(&self) -> Duration {
        self.plan.wake_at + self.slept
    }

    fn next_event(&self) -> Duration {
        self.agenda.peek().map_or(Duration::MAX, |Reverse((at, _))| *at)
    }

    fn landing(&self) -> Duration {
        self.flights.next(&self.world)
    }

    fn alert(&self) -> Duration {
        self.alarm.saturating_add(self.slept)
    }

    fn tell(&mut self, input: alert::AlertInput<'_>) -> Result<(), String> {
        let plan = self.tracker.step(self.now(), input);
        self.alarm = plan.wake_at;
        plan.notices.iter().try_for_each(|notice| self.hears(notice))
    }

    fn sky(&self) -> Sky {
        let truth = self.world.truth();
        Sky { truth, clear: !self.murky && !truth.wedged && self.silence.is_none() }
    }

    fn now(&self) -> Now {
        let wall = epoch() + self.at;
        Now { mono: self.at - self.slept, wall: wall.saturating_add(self.off).unwrap_or(wall) }
    }

    pub(crate) fn step(&mut self, input: Input) -> Result<(), String> {
        let now = self.now();
        self.plan = self.machine.step_shared(now, input, &mut self.address.borrow_mut(), self.client);
        let plan = self.plan;
        let state = self.machine.state();
        self.log(|| format!("{input:?} -> {state:?} {plan:?}"));
        self.flights.keep(&plan);
        if self.stream.is_some() && plan.transition.is_some_and(|transition| transition.to == State::Live) {
            self.listen();
        }
        let machine = &self.machine;
        let showing = (machine.state(), machine.is_flapping(), machine.is_out_of_attempts(), machine.facts().trouble);
        // The daemon shows the desk every step; here, for speed, what is new and every so often the rest.
        self.steps += 1;
        if self.shown != Some(showing) || plan.jumped.is_some() || self.steps.is_multiple_of(32) {
            self.shown = Some(showing);
            let place = self.place.clone();
            let snapshot = Snapshot::of("g", "https://localhost:5000", &self.machine, &plan, now, place.as_ref());
            self.tell(alert::AlertInput::Snapshot(&snapshot))?;
        }
        let sky = self.sky();
        let told = self.tracker.is_notified(Code::LoginRequired);
        let held = || {
            let window = self.place.as_ref()?.maintenance.at(self.place.as_ref()?.region, now.wall)?;
            Duration::try_from(window.hold_until.duration_since(now.wall)).ok()
        };
        self.rules.stepped(now.mono, &self.machine, &plan, sky, told, held)?;
        let is_excused = matches!(state, State::Paused { .. } | State::LoginRequired(Cause::ByOperator | Cause::Borrowed))
                || now.mono < self.rules.silence_until
                || !self.rules.others.is_zero()
            // An adversary answers in IBKR's place.
            || (self.murky && self.program_asks == 0);
        self.reach.recognised(&self.world, self.at, &self.machine, is_excused)?;
        match plan.request {
            Some(request) => self.send(request),
            None => Ok(()),
        }
    }

    fn send(&mut self, request: Request) -> Result<(), String> {
        self.rules.sending(self.now().mono, request, &self.machine)?;
        self.flights.send(&mut self.world, self.at, request);
        self.listen_on();
        Ok(())
    }

    /// A human hears of it, and comes to the keyboard when it suits them.
    fn hears(&mut self, notice: &alert::Notice) -> Result<(), String> {
        self.notices.push((self.at, notice.code, notice.phase));
        self.log(|| format!("told: {} {:?}", notice.code, notice.phase));
        let sky = self.sky();
        self.rules.told(self.now().mono, sky, notice)?;
        if self.is_unattended {
            return Ok(());
        }
        if notice.code == Code::LoginRequired && notice.phase == AlertPhase::Raised && self.human.is_none() {
            let delay = self.chance.span(minute(1), hour(8));
            self.human = Some(self.at + delay);
            self.later(delay, Event::HumanLogsIn);
        }
        if notice.code == Code::GatewayWedged && notice.phase == AlertPhase::Raised && self.chance.one_in(2) {
            let delay = self.chance.span(minute(1), hour(3));
            let down = self.chance.span(second(2), minute(1));
            self.later(delay, Event::World(Control::Restart { down }));
        }
        Ok(())
    }

    pub(crate) fn later(&mut self, after: Duration, event: Event) {
        self.agenda.push(Reverse((self.at + after, self.events.len() as u64)));
        self.events.push(Some(event));
    }

    fn log(&mut self, line: impl FnOnce() -> String) {
        if self.tracing {
            if self.trace.len() == 80 {
                self.trace.pop_front();
            }
            let line = format!("{:?}: {}", self.at, line());
            self.trace.push_back(line);
        }
    }
}

/// The operator's choices of this life; every second one leaves them all alone.
fn policy(chance: &mut Chance) -> Policy {
    // A gateway on another host, or `[ibkr] host = ""`.
    let knows_ibkr_host = !chance.one_in(4);
    if chance.one_in(2) {
        return Policy { knows_ibkr_host, ..Policy::default() };
    }
    let methods = [
        vec![Method::Gateway, Method::Direct],
        vec![Method::Direct],
        vec![Method::Gateway],
        vec![Method::Direct, Method::Gateway],
    ];
    let check_every = *chance.pick(&[second(10), second(30), second(60), second(1)]);
    Policy {
        check_every,
        ping_every: *chance.pick(&[second(60), minute(2), minute(4)]),
        confirm_every: *chance.pick(&[minute(5), Duration::ZERO, minute(1)]),
        watch_every: *chance.pick(&[second(30), second(10), minute(2)]),
        competing: if chance.one_in(3) { Competing::TakeOver } else { Competing::Yield },
        recovery: Recovery {
            methods: chance.pick(&methods).clone(),
            attempts: *chance.pick(&[3, 3, 1, 6]),
            ..Recovery::default()
        },
        knows_ibkr_host,
        ..Policy::default()
    }
}

/// What the trading program asks for.
const PROGRAM: &str = "/v1/api/iserver/marketdata/history";

fn epoch() -> Timestamp {
    Timestamp::from_millisecond(i64::try_from(EPOCH_MS).unwrap()).unwrap()
}

const EPOCH_MS: u64 = 1_767_243_600_000;
