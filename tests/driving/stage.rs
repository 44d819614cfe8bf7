//! A driver, a world and a desk on one clock.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use tickled::alert::{AlertInput, AlertPhase, Code, Settings, Tracker};
use tickled::driver::{Clock, Driver, Flow, Port, Received, Report};
use tickled::session::{Now, Policy, Request, SharedBudget, State};
use tickled::simulator::world::{Control, Options, World};
use tickled::status::Place;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep, sleep_until};

use support::port;

/// The notifications of a human, and when they were sent.
pub(crate) type Told = Vec<((Code, AlertPhase), Duration)>;

pub(crate) struct Stage {
    origin: Instant,
    starts: Timestamp,
    world: RefCell<World>,
    asked: RefCell<Vec<(Duration, Request)>>,
    tracker: RefCell<Tracker>,
    alarm: Cell<Duration>,
    /// The desk wants to be woken at another time.
    moved: Notify,
    told: RefCell<Told>,
    state: Cell<State>,
}

impl Port for &Stage {
    async fn ask(&self, request: Request) -> Received {
        let at = self.time();
        self.asked.borrow_mut().push((at, request));
        let outcome = {
            let mut world = self.world.borrow_mut();
            world.advance(at);
            port::send(&mut world, at, request)
        };
        let (after, observation) = match outcome {
            port::Outcome::Answered(after, observation) => (after, observation),
            port::Outcome::Broken(after) => (after, port::SILENCE),
            port::Outcome::Stands(_) => std::future::pending().await,
        };
        sleep(after).await;
        Received { answer: observation.to(request).unwrap(), error: None, session: None }
    }
}

impl Clock for &Stage {
    fn now(&self) -> Now {
        let mono = self.time();
        Now { mono, wall: self.starts + mono }
    }
}

impl Stage {
    /// A stage that begins at this time in New York.
    pub(crate) fn new(starts: &str) -> Self {
        let civil: DateTime = starts.parse().unwrap();
        let zone = TimeZone::get("America/New_York").unwrap();
        let starts = zone.to_ambiguous_timestamp(civil).compatible().unwrap();
        let epoch_ms = u64::try_from(starts.as_millisecond()).unwrap();
        Self {
            origin: Instant::now(),
            starts,
            world: RefCell::new(World::new(&Options { epoch_ms, login_lasts: None, ..Options::default() })),
            asked: RefCell::default(),
            tracker: RefCell::new(Tracker::new(Settings::default(), "host")),
            alarm: Cell::new(Duration::MAX),
            moved: Notify::new(),
            told: RefCell::default(),
            state: Cell::new(State::Starting),
        }
    }

    pub(crate) fn set(&self, control: Control) {
        let at = self.time();
        let mut world = self.world.borrow_mut();
        world.advance(at);
        world.set(at, control);
    }

    /// Drives a machine against this world while the test does its part.
    pub(crate) async fn watched(&self, policy: Policy, place: Option<Place>, part: impl AsyncFnOnce()) {
        tokio::select! {
            () = self.driven(policy, place, Rc::default()) => panic!("the driver ended"),
            () = part() => {}
        }
    }

    /// Drives a machine against this world, and shows its desk all it reports.
    pub(crate) async fn driven(&self, policy: Policy, place: Option<Place>, address: Rc<RefCell<SharedBudget>>) {
        let mut driver = Driver::new("main", "https://localhost:5000", policy, 7, self, self).sharing(address);
        if let Some(place) = place {
            driver = driver.at(place);
        }
        let (_commands, inbox) = mpsc::channel(1);
        let report = |report: Report| {
            self.state.set(report.snapshot.state);
            self.tell(AlertInput::Snapshot(&report.snapshot));
            Flow::GoOn
        };
        tokio::select! {
            _ = driver.run(inbox, report) => {}
            () = self.woken() => {}
        }
    }

    async fn woken(&self) {
        loop {
            let alarm = self.origin + self.alarm.get().min(Duration::from_secs(86_400 * 365));
            tokio::select! {
                () = sleep_until(alarm) => self.tell(AlertInput::Wake),
                () = self.moved.notified() => {}
            }
        }
    }

    fn tell(&self, input: AlertInput<'_>) {
        let plan = self.tracker.borrow_mut().step(self.clock_now(), input);
        self.alarm.set(plan.wake_at);
        self.moved.notify_one();
        let at = self.time();
        self.told.borrow_mut().extend(plan.notices.into_iter().map(|notice| ((notice.code, notice.phase), at)));
    }

    fn clock_now(&self) -> Now {
        (&self).now()
    }

    fn time(&self) -> Duration {
        self.origin.elapsed()
    }

    pub(crate) async fn until(&self, at: Duration) {
        sleep_until(self.origin + at).await;
    }

    pub(crate) fn state(&self) -> State {
        self.state.get()
    }

    pub(crate) fn asked(&self) -> Vec<Request> {
        self.asked.borrow().iter().map(|(_, request)| *request).collect()
    }

    pub(crate) fn times(&self) -> Vec<Duration> {
        self.asked.borrow().iter().map(|(at, _)| *at).collect()
    }

    pub(crate) fn pings(&self) -> Vec<Duration> {
        self.asked.borrow().iter().filter(|(_, request)| *request == Request::Ping).map(|(at, _)| *at).collect()
    }

    pub(crate) fn told(&self) -> Told {
        self.told.borrow().clone()
    }
}

pub(crate) const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub(crate) const fn minutes(n: u64) -> Duration {
    Duration::from_secs(60 * n)
}
