//! One life: a machine and a world, a human and a host, in simulated time.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use support::flights::{self, Flights};
use tickled::alert::{self, AlertPhase, Code, Settings, Tracker};
use tickled::calendar::{Maintenance, Region};
use tickled::session::{
    ClientId, Competing, Input, Machine, Method, Now, Plan, Policy, Recovery, Request, SharedBudget, State,
    Unavailability, WakeReason,
};
use tickled::simulator::world::{Control, Options, Times, World};
use tickled::status::{Place, Snapshot};

use crate::fate::{self, Event, Weather};

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
    world: World,
    machine: Machine,
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
    flights: Flights,
    agenda: BinaryHeap<Reverse<(Duration, u64)>>,
    events: Vec<Option<Event>>,
    /// A disturbance is under way that the truth does not show.
    murky: bool,
    human: Option<Duration>,
    trace: VecDeque<String>,
    tracing: bool,
}

impl Life {
    /// A life at its beginning, of a gateway behind that public address.
    pub(crate) fn new(seed: u64, address: Rc<RefCell<SharedBudget>>, tracing: bool) -> Self {
        let mut chance = Chance(seed);
        let weather = Weather::of(&mut chance);
        let policy = policy(&mut chance);
        let published = Place { region: Region::NorthAmerica, maintenance: Arc::new(Maintenance::default()) };
        let place = chance.one_in(2).then_some(published);
        let options = Options { epoch_ms: EPOCH_MS, seed, login_lasts: None, ..Options::default() };
        let mut world = World::new(&options);
        if chance.one_in(2) {
            world.set(Duration::ZERO, Control::LogIn);
        }
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
        let mut life = Self {
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
            agenda: BinaryHeap::new(),
            events: Vec::new(),
            murky: false,
            human: None,
            trace: VecDeque::new(),
            tracing,
        };
        life.later(Duration::ZERO, Event::Midnight);
        let first = life.chance.span(minute(1), life.weather.every * 2);
        life.later(first, Event::Begins);
        life
    }

    /// Has the host it lives on never sleep, so that others can live beside it.
    pub(crate) const fn awake(mut self) -> Self {
        self.weather.laptop = false;
        self
    }

    /// When something happens next.
    pub(crate) fn next(&self) -> Duration {
        let next = self.wake().min(self.next_event()).min(self.landing()).min(self.alert());
        self.at.max(next)
    }

    /// Has it happen.
    pub(crate) fn go_on(&mut self) -> Result<(), String> {
        let (event, landing, wake, alert) = (self.next_event(), self.landing(), self.wake(), self.alert());
        let next = wake.min(event).min(landing).min(alert);
        self.at = self.at.max(next);
        self.world.advance(self.at);
        self.flights.update(&mut self.world, self.at);
        if next == event {
            if let Some(Reverse((_, i))) = self.agenda.pop()
                && let Some(event) = self.events[usize::try_from(i).unwrap()].take()
            {
                self.happens(event)?;
            }
            Ok(())
        } else if next == landing {
            let Some((request, answer)) = self.flights.land(self.at) else { return Ok(()) };
            if let Some(answer) = answer {
                self.rules.answered(self.now().mono, request, answer);
            }
            self.step(flights::input(request, answer))
        } else if next == wake {
            self.step(Input::Wake)
        } else {
            self.tell(alert::AlertInput::Wake)
        }
    }

    /// What went wrong, and what led there.
    pub(crate) fn story(&self, what: &str) -> String {
        let lines: Vec<&str> = self.trace.iter().map(String::as_str).collect();
        format!("after {:?}: {what}\npolicy {:?}\n{}", self.at, self.machine.policy(), lines.join("\n"))
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
        Sky { truth: self.world.truth(), clear: !self.murky }
    }

    fn now(&self) -> Now {
        let wall = epoch() + self.at;
        Now { mono: self.at - self.slept, wall: wall.saturating_add(self.off).unwrap_or(wall) }
    }

    fn step(&mut self, input: Input) -> Result<(), String> {
        let now = self.now();
        self.plan = self.machine.step_shared(now, input, &mut self.address.borrow_mut(), self.client);
        let plan = self.plan;
        let state = self.machine.state();
        self.log(|| format!("{input:?} -> {state:?} {plan:?}"));
        self.flights.keep(&plan);
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
        let held = || self.place.as_ref().is_some_and(|place| place.maintenance.at(place.region, now.wall).is_some());
        self.rules.stepped(now.mono, &self.machine, &plan, sky, told, held)?;
        match plan.request {
            Some(request) => self.send(request),
            None => Ok(()),
        }
    }

    fn send(&mut self, request: Request) -> Result<(), String> {
        self.rules.sending(self.now().mono, request, &self.machine)?;
        self.flights.send(&mut self.world, self.at, request);
        Ok(())
    }

    fn happens(&mut self, event: Event) -> Result<(), String> {
        self.log(|| format!("{event:?}"));
        match event {
            Event::World(control) => self.world.set(self.at, control),
            Event::Midnight => self.midnight(),
            Event::HumanLogsIn => {
                self.world.set(self.at, Control::LogIn);
                let in_vain = !self.world.truth().login;
                self.human = in_vain.then_some(self.at + minute(10));
                if in_vain {
                    self.later(minute(10), Event::HumanLogsIn);
                }
            }
            Event::Sleep(span) => {
                self.at += span;
                self.slept += span;
                self.world.advance(self.at);
            }
            Event::ClockSet(seconds) => self.off += SignedDuration::from_secs(seconds),
            Event::Pause(span) => {
                let until = self.now().wall.saturating_add(span).unwrap_or(Timestamp::MAX);
                self.step(Input::Pause { until: Some(until) })?;
            }
            Event::Check => self.step(Input::Check)?,
            Event::Resume => self.step(Input::Resume)?,
            Event::Logout => {
                self.step(Input::Logout)?;
                let back = self.chance.span(minute(10), hour(6));
                self.later(back, Event::HumanLogsIn);
            }
            Event::Begins => self.begins()?,
            Event::Over => self.over(),
        }
        Ok(())
    }

    /// The disturbance is over, and the next one is drawn.
    fn over(&mut self) {
        self.murky = false;
        let end = [
            Control::Clear,
            Control::Leave,
            Control::Borrow(false),
            Control::RefuseLogins(None),
            Control::FailReauthentications(Times::NEVER),
            Control::FailInits { times: Times::NEVER, status: None },
            Control::Ibkr(tickled::simulator::world::Reach::Here),
        ];
        for control in end {
            self.world.set(self.at, control);
        }
        // What is refused or borrowed stays so until a human has been at it.
        if !self.world.truth().login && self.human.is_none() {
            let delay = self.chance.span(minute(5), hour(20));
            self.human = Some(self.at + delay);
            self.later(delay, Event::HumanLogsIn);
        }
        let pause = self.chance.span(second(30), self.weather.every * 2);
        self.later(pause, Event::Begins);
    }

    /// The next disturbance is drawn, and begins.
    fn begins(&mut self) -> Result<(), String> {
        let soon = minute(1) + Duration::from_millis(self.chance.below(1000));
        let (events, lasts) = fate::disturbance(&mut self.chance, self.weather);
        let needs_no_confirmation = matches!(
            events[..],
            [Event::World(Control::Lapse | Control::LogOutElsewhere | Control::ExpireLogin | Control::Restart { .. })]
        );
        self.murky = !needs_no_confirmation;
        self.later(lasts.max(soon), Event::Over);
        for event in events {
            self.happens(event)?;
        }
        Ok(())
    }

    fn midnight(&mut self) {
        if self.chance.below(10) < 8 {
            self.world.set(self.at, Control::ExpireLogin);
        }
        if self.chance.one_in(4) {
            self.world.set(self.at, Control::LogOutElsewhere);
        }
        let tomorrow = Region::NorthAmerica.login_ends(epoch() + self.at).unwrap_or(Timestamp::MAX);
        let left = Duration::try_from(tomorrow.duration_since(epoch() + self.at)).unwrap_or(hour(24));
        self.later(left.max(minute(1)), Event::Midnight);
    }

    /// A human hears of it, and comes to the keyboard when it suits them.
    fn hears(&mut self, notice: &alert::Notice) -> Result<(), String> {
        self.log(|| format!("told: {} {:?}", notice.code, notice.phase));
        let sky = self.sky();
        self.rules.told(self.now().mono, sky, notice)?;
        if notice.code == Code::LoginRequired && notice.phase == AlertPhase::Raised && self.human.is_none() {
            let delay = self.chance.span(minute(1), hour(8));
            self.human = Some(self.at + delay);
            self.later(delay, Event::HumanLogsIn);
        }
        Ok(())
    }

    fn later(&mut self, after: Duration, event: Event) {
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
    if chance.one_in(2) {
        return Policy { knows_ibkr_host: true, ..Policy::default() };
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
        knows_ibkr_host: true,
        ..Policy::default()
    }
}

fn epoch() -> Timestamp {
    Timestamp::from_millisecond(i64::try_from(EPOCH_MS).unwrap()).unwrap()
}

const EPOCH_MS: u64 = 1_767_243_600_000;
