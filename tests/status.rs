//! What is said about a gateway: the summary's words, the window it is in, and when its login will end.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use support::{Said, said};
use tickled::calendar::{Maintenance, Region};
use tickled::driver::{Clock, Driver, DriverCommand, Flow, Port, Received};
use tickled::session::{
    Accounts, Input, Machine, Now, Plan, Policy, Request, Sso, State, Status, Unavailability, WakeReason,
};
use tickled::status::{Place, Snapshot, summary};
use tokio::sync::mpsc;

fn at(text: &str) -> Timestamp {
    let (civil, zone) = text.split_once(' ').expect("a time and a zone");
    let civil: jiff::civil::DateTime = civil.parse().expect("a time");
    let zone = jiff::tz::TimeZone::get(zone).expect("a zone");
    zone.to_ambiguous_timestamp(civil).unambiguous().expect("a time that is there, once")
}

fn place(region: Region) -> Place {
    Place { region, maintenance: Arc::new(Maintenance::default()) }
}

/// What a healthy gateway with a login of that time says.
fn well(request: Request, login: Option<Timestamp>) -> Said {
    match request {
        Request::Ping | Request::Check | Request::OpenBrokerage { .. } => {
            Said::Status(Status { authenticated: true, connected: true, competing: false, established: None })
        }
        Request::Reauthenticate => Said::Accepted,
        Request::ValidateSso => Said::Sso(Sso { valid: true, borrowed: false, auth_time: login }),
        Request::Accounts => Said::Accounts(Accounts { usable: true, is_paper: None }),
        Request::IsListening => Said::Listening,
        Request::EndSession => Said::Ended,
        Request::HandshakeIbkr | Request::ProbeWebsocket => Said::Unavailable(Unavailability::NoAnswer),
    }
}

/// A machine with its time and its last plan.
struct Watched {
    machine: Machine,
    now: Now,
    plan: Plan,
}

impl Watched {
    fn start(wall: Timestamp) -> Self {
        let now = Now { mono: Duration::ZERO, wall };
        let mut machine = Machine::new(Policy::default(), 1, now);
        let plan = machine.step(now, Input::Wake);
        Self { machine, now, plan }
    }

    /// Lets time pass, and every request be answered by `world`, until `enough`.
    fn until(mut self, world: impl Fn(Request) -> Said, enough: impl Fn(&Machine) -> bool) -> Self {
        for _ in 0..10_000 {
            if enough(&self.machine) {
                return self;
            }
            let input = match self.plan.request {
                Some(request) => said(request, world(request)),
                None => {
                    let left = self.plan.wake_at.saturating_sub(self.now.mono);
                    self.now = Now { mono: self.now.mono + left, wall: self.now.wall + left };
                    Input::Wake
                }
            };
            self.plan = self.machine.step(self.now, input);
        }
        panic!("never seen; it is {:?}", self.machine.state());
    }

    fn step(mut self, input: Input) -> Self {
        self.plan = self.machine.step(self.now, input);
        self
    }

    fn snapshot_at(&self, wall: Timestamp, place: Option<&Place>) -> Snapshot {
        let now = Now { wall, ..self.now };
        Snapshot::of("main", "https://localhost:5000", &self.machine, &self.plan, now, place)
    }
}

/// Live, with a login whose age is known.
fn live(wall: Timestamp, login: Timestamp) -> Watched {
    Watched::start(wall).until(
        |request| well(request, Some(login)),
        |machine| machine.state() == State::Live && machine.facts().auth_time.is_some(),
    )
}

fn unavailable(wall: Timestamp) -> Watched {
    let world = |_| Said::Unavailable(Unavailability::IbkrError);
    Watched::start(wall).until(world, |machine| matches!(machine.state(), State::Unavailable(_)))
}

#[test]
fn a_gateway_that_is_not_live_is_said_to_be_in_its_window() {
    let began = at("2026-11-24T00:20 America/New_York");
    let watched = unavailable(began);
    let said = |time: &str, region| summary(&[&watched.snapshot_at(at(time), Some(&place(region)))]);
    let since = watched.machine.since().wall.strftime("%Y-%m-%d %H:%M UTC");
    let plain = format!("unavailable: main since {since} ({})", watched.machine.reason().sentence());

    let held = format!("{plain}, in maintenance until 01:45 America/New_York");
    assert_eq!(said("2026-11-24T00:30 America/New_York", Region::NorthAmerica), held);
    assert_eq!(said("2026-11-24T01:44:59 America/New_York", Region::NorthAmerica), held);
    // The grace period holds alerts, and is not maintenance.
    assert_eq!(said("2026-11-24T01:45 America/New_York", Region::NorthAmerica), plain);
    assert_eq!(said("2026-11-24T12:00 America/New_York", Region::NorthAmerica), plain);
    assert_eq!(said("2026-11-24T00:30 America/New_York", Region::Asia), plain);
    assert_eq!(
        said("2026-11-28T01:00 America/New_York", Region::Asia),
        format!("{plain}, in maintenance until 03:00 America/New_York")
    );
    // In summer as in winter by the clocks of the window's own zone.
    assert_eq!(
        said("2026-07-01T07:00 Europe/Zurich", Region::Europe),
        format!("{plain}, in maintenance until 07:45 Europe/Zurich")
    );
    assert_eq!(summary(&[&watched.snapshot_at(at("2026-11-24T00:30 America/New_York"), None)]), plain);
}

#[test]
fn a_gateway_that_is_live_in_a_window_is_just_live() {
    let watched = live(at("2026-11-24T00:20 America/New_York"), at("2026-11-24T00:10 America/New_York"));
    let snapshot = watched.snapshot_at(watched.now.wall, Some(&place(Region::NorthAmerica)));
    assert!(snapshot.maintenance.is_some());
    assert_eq!(summary(&[&snapshot]), "live: main");
    assert_eq!(summary(&[]), "no gateway answered yet");

    let away = unavailable(at("2026-11-24T00:20 America/New_York"));
    let away = Snapshot { gateway: "desk".to_owned(), ..away.snapshot_at(watched.now.wall, None) };
    let told = summary(&[&away, &snapshot]);
    assert!(told.starts_with("live: main; unavailable: desk since 2026-11-24 05:20 UTC ("), "{told}");
}

#[test]
fn alerts_wait_through_the_window_and_the_grace() {
    let watched = unavailable(at("2026-11-24T00:20 America/New_York"));
    let place = place(Region::NorthAmerica);
    let seen = |time: &str| watched.snapshot_at(at(time), Some(&place));
    let hold_until = Some(at("2026-11-24T01:55 America/New_York"));
    for (time, in_window, held) in [
        ("2026-11-23T23:44 America/New_York", false, None),
        ("2026-11-23T23:45 America/New_York", true, hold_until),
        ("2026-11-24T01:44 America/New_York", true, hold_until),
        ("2026-11-24T01:45 America/New_York", false, hold_until),
        ("2026-11-24T01:54 America/New_York", false, hold_until),
        ("2026-11-24T01:55 America/New_York", false, None),
    ] {
        let snapshot = seen(time);
        assert_eq!((snapshot.maintenance.is_some(), place.hold_until(at(time))), (in_window, held), "{time}");
    }
}

#[test]
fn the_end_of_the_login_is_foretold_while_it_lies_ahead() {
    let login = at("2026-11-24T09:00 America/New_York");
    let watched = live(at("2026-11-24T12:00 America/New_York"), login);
    let place = place(Region::NorthAmerica);
    let ends = |watched: &Watched, time: &str| watched.snapshot_at(at(time), Some(&place)).login_ends_at;
    let midnight = Some(at("2026-11-25T00:00 America/New_York"));
    assert_eq!(ends(&watched, "2026-11-24T12:00 America/New_York"), midnight);
    assert_eq!(ends(&watched, "2026-11-24T23:59:59 America/New_York"), midnight);
    assert_eq!(ends(&watched, "2026-11-25T00:00 America/New_York"), None, "a login that lives longer");
    let asia = Place { region: Region::Asia, ..place.clone() };
    let evening = watched.snapshot_at(at("2026-11-24T09:30 America/New_York"), Some(&asia));
    assert_eq!(evening.login_ends_at, Some(at("2026-11-25T00:00 Asia/Hong_Kong")));
    assert_eq!(watched.snapshot_at(watched.now.wall, None).login_ends_at, None);

    // A login of unknown age.
    let unknown = Watched::start(watched.now.wall).until(|r| well(r, None), |m| m.state() == State::Live);
    assert_eq!(ends(&unknown, "2026-11-24T12:00 America/New_York"), None);

    // IBKR is away, and the login is where it was.
    let away = live(at("2026-11-24T12:00 America/New_York"), login)
        .until(|_| Said::Unavailable(Unavailability::IbkrError), |m| matches!(m.state(), State::Unavailable(_)));
    assert_eq!(ends(&away, "2026-11-24T12:30 America/New_York"), midnight);

    let paused = live(at("2026-11-24T12:00 America/New_York"), login).step(Input::Pause { until: None });
    assert!(matches!(paused.machine.state(), State::Paused { .. }));
    assert_eq!(ends(&paused, "2026-11-24T12:30 America/New_York"), None);

    // The login stands and no attempt leads to a session: its end is nobody's concern.
    let lost = Said::Status(Status { connected: true, ..Status::default() });
    let wedged = live(at("2026-11-24T12:00 America/New_York"), login).until(
        |request| if well(request, None) == well(Request::Check, None) { lost } else { well(request, Some(login)) },
        |m| matches!(m.state(), State::LoginRequired(_)),
    );
    assert!(wedged.machine.facts().auth_time.is_some());
    assert_eq!(ends(&wedged, "2026-11-24T12:30 America/New_York"), None);

    let gone = live(at("2026-11-24T12:00 America/New_York"), login)
        .until(|_| Said::Unauthorized, |m| matches!(m.state(), State::LoginRequired(_)));
    assert_eq!(ends(&gone, "2026-11-24T12:30 America/New_York"), None);
}

/// A gateway that answers at once, and stops answering well at an hour.
struct Scripted<'a> {
    clock: Hands<'a>,
    until: Timestamp,
}

impl Port for Scripted<'_> {
    async fn ask(&self, request: Request) -> Received {
        let well = self.clock.now().wall < self.until;
        let login = at("2026-11-23T09:00 America/New_York");
        let observation =
            if well { self::well(request, Some(login)) } else { Said::Unavailable(Unavailability::IbkrError) };
        Received { answer: observation.to(request).unwrap(), error: None, session: None }
    }
}

/// Clocks that go with the simulated time.
#[derive(Clone, Copy)]
struct Hands<'a> {
    began: tokio::time::Instant,
    wall: &'a Cell<Timestamp>,
}

impl Clock for Hands<'_> {
    fn now(&self) -> Now {
        let mono = self.began.elapsed();
        Now { mono, wall: self.wall.get() + mono }
    }
}

#[tokio::test(start_paused = true)]
async fn the_driver_passes_a_night_on_the_calendar() {
    let wall = Cell::new(at("2026-11-23T23:00 America/New_York"));
    let clock = Hands { began: tokio::time::Instant::now(), wall: &wall };
    let port = Scripted { clock, until: at("2026-11-24T00:10 America/New_York") };
    let driver = Driver::new("main", "https://localhost:5000", Policy::default(), 1, port, clock)
        .at(place(Region::NorthAmerica));
    let (_commands, inbox) = mpsc::channel::<DriverCommand>(1);
    let mut told: Vec<(String, bool)> = Vec::new();
    driver
        .run(inbox, |report| {
            let said = summary(&[&report.snapshot]);
            let said = said.split_once(')').map_or(said.as_str(), |(_, window)| window).to_owned();
            let seen = (said, report.snapshot.login_ends_at.is_some());
            if report.snapshot.state != State::Starting && told.last() != Some(&seen) {
                told.push(seen);
            }
            if clock.now().wall < at("2026-11-24T02:30 America/New_York") { Flow::GoOn } else { Flow::End }
        })
        .await;
    let window = ", in maintenance until 01:45 America/New_York".to_owned();
    // At midnight the forecast has come true, or not: it is gone.
    let live = "live: main".to_owned();
    assert_eq!(
        told,
        [(live.clone(), false), (live.clone(), true), (live, false), (window, false), (String::new(), false)]
    );
}

/// The machine looks at the clock every minute during a pause; what is said of it is the end of the pause.
#[test]
fn a_pause_is_said_to_end_when_it_ends() {
    let began = at("2026-11-24T12:00 America/New_York");
    let until = at("2026-11-24T12:30 America/New_York");
    let mut paused = live(began, began).step(Input::Pause { until: Some(until) });
    for minutes in [0, 10, 29] {
        paused.now = Now { wall: began + Duration::from_secs(60 * minutes), ..paused.now };
        let snapshot = paused.snapshot_at(paused.now.wall, None);
        assert_eq!((snapshot.next_at, snapshot.next), (until, WakeReason::PauseOver), "after {minutes} minutes");
        assert!(paused.plan.wake_at - paused.now.mono <= Duration::from_secs(60));
    }
}
