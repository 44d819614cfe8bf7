//! The driver with the gateway's stream beside its requests, both in memory and in simulated time.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::cell::{Cell, RefCell};
use std::time::Duration;

use futures_util::{Stream, stream};
use jiff::Timestamp;
use serde_json::json;
use support::Said;
use tickled::driver::{Clock, Driver, DriverCommand, Flow, Port, Received, Report, StreamChange};
use tickled::gateway::stream::{Push, StreamDown};
use tickled::gateway::{AuthStatus, SessionId};
use tickled::session::{Accounts, Now, Policy, Request, Sso, State, StateReason, Status, Unavailability};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

/// What a gateway in memory was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Request(Request),
    /// For a stream, with the id of the ping of this number.
    Stream(usize),
}

type Pushes = mpsc::UnboundedSender<Result<Push, StreamDown>>;

/// A gateway and its world, as simple as can be: no session is given back by anybody but the test.
struct Gateway {
    origin: Instant,
    flags: Cell<Status>,
    trouble: Cell<Option<Unavailability>>,
    pings: Cell<usize>,
    asked: RefCell<Vec<(Duration, Asked)>>,
    streams: RefCell<Vec<Pushes>>,
    reports: RefCell<Vec<Report>>,
}

const GOOD: Status = Status { authenticated: true, connected: true, competing: false, established: Some(true) };
const LAPSED: Status = Status { authenticated: false, ..GOOD };
const TAKEN: Status = Status { authenticated: false, competing: true, ..GOOD };
const DIRECT: Request = Request::OpenBrokerage { compete: false };
const CHECK: Asked = Asked::Request(Request::Check);
const LATENCY: Duration = Duration::from_millis(20);

impl Port for &Gateway {
    async fn ask(&self, request: Request) -> Received {
        self.asked.borrow_mut().push((self.time(), Asked::Request(request)));
        sleep(LATENCY).await;
        let mut session = None;
        let observation = match (self.trouble.get(), request) {
            (Some(trouble), request) if request != Request::IsListening => Said::Unavailable(trouble),
            (_, Request::IsListening) => Said::Listening,
            (_, Request::Ping) => {
                self.pings.set(self.pings.get() + 1);
                session = Some(id(self.pings.get()));
                Said::Status(self.flags.get())
            }
            (_, Request::Check | Request::OpenBrokerage { .. }) => Said::Status(self.flags.get()),
            (_, Request::Reauthenticate) => Said::Accepted,
            (_, Request::ValidateSso) => {
                Said::Sso(Sso { valid: true, borrowed: false, auth_time: Some(Timestamp::UNIX_EPOCH) })
            }
            (_, Request::Accounts) => Said::Accounts(Accounts { usable: self.flags.get() == GOOD, is_paper: None }),
            (_, Request::EndSession) => Said::Ended,
            (_, Request::HandshakeIbkr | Request::ProbeWebsocket) => Said::Unavailable(Unavailability::NoAnswer),
        };
        Received { answer: observation.to(request).unwrap(), error: None, session }
    }

    fn listen(&self, session: SessionId) -> impl Stream<Item = Result<Push, StreamDown>> {
        let number = (1..=self.pings.get()).find(|number| id(*number) == session).expect("an id that a ping gave");
        self.asked.borrow_mut().push((self.time(), Asked::Stream(number)));
        let (pushes, receiver) = mpsc::unbounded_channel();
        self.streams.borrow_mut().push(pushes);
        stream::unfold(receiver, async |mut receiver| receiver.recv().await.map(|push| (push, receiver)))
    }
}

impl Clock for &Gateway {
    fn now(&self) -> Now {
        let mono = self.time();
        Now { mono, wall: Timestamp::UNIX_EPOCH + mono }
    }
}

fn id(number: usize) -> SessionId {
    serde_json::from_value(json!(format!("session-{number}"))).expect("an id")
}

impl Gateway {
    fn new() -> Self {
        Self {
            origin: Instant::now(),
            flags: Cell::new(GOOD),
            trouble: Cell::new(None),
            pings: Cell::new(0),
            asked: RefCell::default(),
            streams: RefCell::default(),
            reports: RefCell::default(),
        }
    }

    /// Drives a machine against this gateway while the test does its part.
    async fn watched<T>(&self, policy: Policy, part: impl AsyncFnOnce(&mpsc::Sender<DriverCommand>) -> T) -> T {
        let driver = Driver::new("main", "memory", policy, 7, self, self).listening(7);
        let (commands, inbox) = mpsc::channel(1);
        tokio::select! {
            _ = driver.run(inbox, |report| { self.reports.borrow_mut().push(report); Flow::GoOn }) => {
                panic!("the driver ended")
            }
            seen = part(&commands) => seen,
        }
    }

    fn time(&self) -> Duration {
        self.origin.elapsed()
    }

    async fn until(&self, seconds: f64) {
        sleep_until(self.origin + Duration::from_secs_f64(seconds)).await;
    }

    /// Has the last stream say something.
    fn push(&self, push: Result<Push, StreamDown>) {
        let streams = self.streams.borrow();
        streams.last().expect("a stream").send(push).expect("a stream that is listened to");
    }

    fn say(&self, status: Status) {
        let Status { authenticated, connected, competing, established } = status;
        self.push(Ok(Push::Status(AuthStatus {
            authenticated,
            connected,
            competing,
            established,
            ..AuthStatus::default()
        })));
    }

    /// The streams that are listened to.
    fn listened(&self) -> usize {
        self.streams.borrow().iter().filter(|stream| !stream.is_closed()).count()
    }

    /// What was asked since, in order.
    fn asked_since(&self, since: Duration) -> Vec<(Duration, Asked)> {
        self.asked.borrow().iter().filter(|(at, _)| *at >= since).copied().collect()
    }

    fn opened(&self) -> Vec<usize> {
        let number = |(_, asked): &(Duration, Asked)| match asked {
            Asked::Stream(number) => Some(*number),
            Asked::Request(_) => None,
        };
        self.asked.borrow().iter().filter_map(number).collect()
    }

    fn state(&self) -> State {
        self.reports.borrow().last().expect("a report").snapshot.state
    }

    /// What was said of the stream.
    fn changes(&self) -> Vec<StreamChange> {
        self.reports.borrow().iter().filter_map(|report| report.stream.clone()).collect()
    }
}

fn requests(asked: &[(Duration, Asked)]) -> Vec<Request> {
    let request = |(_, asked): &(Duration, Asked)| match asked {
        Asked::Request(request) => Some(*request),
        Asked::Stream(_) => None,
    };
    asked.iter().filter_map(request).collect()
}

#[tokio::test(start_paused = true)]
async fn a_pushed_lapse_is_answered_in_the_same_instant() {
    // Between two checks, and with a check in flight that was asked before the lapse.
    for in_flight in [false, true] {
        let gateway = Gateway::new();
        let (at, asked) = gateway
            .watched(Policy::default(), async |_| {
                gateway.until(1.5).await;
                gateway.push(Ok(Push::Ready));
                gateway.say(GOOD);
                gateway.until(11.0).await;
                if in_flight {
                    while !matches!(gateway.asked.borrow().last(), Some((at, _)) if *at + LATENCY > gateway.time()) {
                        sleep(Duration::from_millis(1)).await;
                    }
                }
                let at = gateway.time();
                gateway.flags.set(LAPSED);
                gateway.say(LAPSED);
                sleep(Duration::from_secs(1)).await;
                (at, gateway.asked_since(at))
            })
            .await;
        let asked: Vec<_> = asked.into_iter().skip_while(|(_, asked)| in_flight && *asked == CHECK).collect();
        // One check decides, and one that is in flight already will do.
        let all = [Request::Check, DIRECT];
        let expected = if in_flight { &all[1..] } else { &all };
        assert_eq!(requests(&asked)[..expected.len()], *expected, "in flight: {in_flight}");
        let reauthenticated = asked.iter().find(|(_, asked)| *asked == Asked::Request(DIRECT));
        let within = reauthenticated.unwrap().0 - at;
        assert!(within <= Duration::from_millis(20), "{within:?}");
        let reports = gateway.reports.borrow();
        let lost = reports.iter().filter_map(|report| report.transition).find(|change| change.from == State::Live);
        assert_eq!(lost.unwrap().reason, StateReason::SessionLapsed);
    }
}

#[tokio::test(start_paused = true)]
async fn somebody_else_is_seen_at_once_and_left_alone() {
    let gateway = Gateway::new();
    gateway
        .watched(Policy::default(), async |_| {
            gateway.until(2.0).await;
            gateway.push(Ok(Push::Ready));
            gateway.flags.set(TAKEN);
            gateway.say(TAKEN);
            sleep(LATENCY + Duration::from_millis(1)).await;
            assert_eq!(gateway.state(), State::Contested);
            let since = gateway.time();
            gateway.until(120.0).await;
            let asked = requests(&gateway.asked_since(since));
            assert!(asked.len() > 5 && asked.iter().all(|request| *request == Request::Check), "{asked:?}");
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_a_heartbeat_leaves_the_session_alone() {
    let gateway = Gateway::new();
    gateway
        .watched(Policy::default(), async |_| {
            gateway.until(1.5).await;
            gateway.push(Ok(Push::Ready));
            gateway.until(31.0).await;
            gateway.push(Err(StreamDown::Silent));
            gateway.until(45.0).await;
            assert_eq!((gateway.state(), gateway.listened()), (State::Live, 0));
            assert_eq!(gateway.opened(), [1], "an id that was used already was used again");
            // Polling has gone on, and sees the lapse that no stream tells of.
            gateway.flags.set(LAPSED);
            gateway.until(55.1).await;
            assert!(matches!(gateway.state(), State::Recovering { .. }), "{:?}", gateway.state());
            let [StreamChange::Up, StreamChange::Down { reason: StreamDown::Silent, .. }] = gateway.changes()[..]
            else {
                panic!("{:?}", gateway.changes());
            };
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn good_flags_on_the_stream_are_proved_by_data() {
    let gateway = Gateway::new();
    gateway
        .watched(Policy::default(), async |_| {
            gateway.until(2.0).await;
            gateway.push(Ok(Push::Ready));
            gateway.flags.set(LAPSED);
            gateway.say(LAPSED);
            gateway.until(4.6).await;
            let at = gateway.time();
            assert!(matches!(gateway.state(), State::Recovering { .. }));
            gateway.say(GOOD);
            sleep(Duration::from_millis(100)).await;
            assert_eq!(requests(&gateway.asked_since(at)), [Request::Accounts]);
            assert!(matches!(gateway.state(), State::Recovering { .. }), "the stream's word made it live");

            // What the stream repeats proves nothing more.
            gateway.flags.set(GOOD);
            let at = gateway.time();
            gateway.say(GOOD);
            sleep(Duration::from_millis(100)).await;
            assert_eq!(requests(&gateway.asked_since(at)), [Request::Check, Request::Accounts]);
            assert_eq!(gateway.state(), State::Live);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn after_a_recovery_the_next_ping_opens_another_stream() {
    let gateway = Gateway::new();
    gateway
        .watched(Policy::default(), async |_| {
            gateway.until(2.0).await;
            gateway.push(Ok(Push::Ready));
            gateway.flags.set(LAPSED);
            gateway.say(LAPSED);
            gateway.until(3.0).await;
            gateway.flags.set(GOOD);
            gateway.until(50.0).await;
            assert_eq!((gateway.state(), gateway.listened()), (State::Live, 1));
            assert_eq!(gateway.opened(), [1], "the old one serves until there is a new id");
            gateway.until(70.0).await;
            assert_eq!((gateway.opened(), gateway.listened()), (vec![1, 2], 1));
            gateway.push(Ok(Push::Ready));
            gateway.until(300.0).await;
            assert_eq!(gateway.opened(), [1, 2], "once is enough");
            assert_eq!(gateway.changes(), [StreamChange::Up], "and nothing to speak of");
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn there_is_no_stream_where_there_is_no_session_to_lose() {
    let gateway = Gateway::new();
    gateway
        .watched(Policy::default(), async |commands| {
            gateway.until(2.0).await;
            assert_eq!(gateway.listened(), 1);
            commands.send(DriverCommand::Pause { until: None }).await.unwrap();
            gateway.until(300.0).await;
            assert_eq!((gateway.listened(), gateway.opened()), (0, vec![1]));
            commands.send(DriverCommand::Resume).await.unwrap();
            gateway.until(303.0).await;
            assert_eq!((gateway.listened(), gateway.opened()), (1, vec![1, 2]));
            gateway.push(Ok(Push::Ready));

            gateway.trouble.set(Some(Unavailability::IbkrError));
            gateway.until(600.0).await;
            assert_eq!((gateway.state(), gateway.listened()), (State::Unavailable(Unavailability::IbkrError), 0));
            gateway.trouble.set(None);
            gateway.until(780.0).await;
            assert_eq!((gateway.state(), gateway.listened()), (State::Live, 1));
            assert_eq!(gateway.opened(), [1, 2, 3]);
            let told = gateway.changes();
            assert_eq!(told, [StreamChange::Up], "closing it on purpose is no news");
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_always_closes_is_tried_ever_less_and_told_once() {
    let gateway = Gateway::new();
    gateway
        .watched(Policy::default(), async |_| {
            let mut closed = 0;
            while gateway.time() < Duration::from_secs(3600) {
                sleep(Duration::from_millis(500)).await;
                if gateway.streams.borrow().len() > closed && gateway.listened() == 1 {
                    closed = gateway.streams.borrow().len();
                    gateway.push(Ok(Push::Ready));
                    gateway.push(Err(StreamDown::Closed(Some(1000))));
                }
            }
            assert_eq!(gateway.state(), State::Live);
            let asked = gateway.asked_since(Duration::ZERO);
            let opened: Vec<Duration> =
                asked.iter().filter(|(_, asked)| matches!(asked, Asked::Stream(_))).map(|(at, _)| *at).collect();
            let apart: Vec<u64> = opened.windows(2).map(|pair| (pair[1] - pair[0]).as_secs()).collect();
            assert!(opened.len() <= 21, "{apart:?}");
            assert!(apart.windows(2).all(|pair| pair[1] + 121 >= pair[0]) && apart.last() >= Some(&240), "{apart:?}");
            let [StreamChange::Up, StreamChange::Down { reason: StreamDown::Closed(Some(1000)), pause }] =
                gateway.changes()[..]
            else {
                panic!("{:?}", gateway.changes());
            };
            assert!(pause <= Duration::from_secs(5));

            // Once it works again and has lasted, it is reported up, and its past is forgotten.
            gateway.until(4000.0).await;
            gateway.push(Ok(Push::Ready));
            gateway.push(Ok(Push::Heartbeat));
            sleep(Duration::from_secs(10)).await;
            assert_eq!(gateway.changes().len(), 2);
            sleep(Duration::from_secs(60)).await;
            gateway.push(Ok(Push::Heartbeat));
            sleep(Duration::from_secs(1)).await;
            assert_eq!(gateway.changes()[2..], [StreamChange::Up]);
            gateway.push(Err(StreamDown::Silent));
            sleep(Duration::from_secs(1)).await;
            let StreamChange::Down { pause, .. } = gateway.changes()[3] else { panic!("{:?}", gateway.changes()) };
            assert!(pause <= Duration::from_secs(5), "{pause:?}");
        })
        .await;
}

/// A stream that keeps denying a session that works changes nothing; it is closed, each time for longer, and that is
/// reported once.
#[tokio::test(start_paused = true)]
async fn a_stream_that_data_refutes_is_closed_and_told_once() {
    let gateway = Gateway::new();
    gateway
        .watched(Policy::default(), async |_| {
            let mut denied = 0;
            while gateway.time() < Duration::from_secs(6 * 3600) {
                sleep(Duration::from_secs(10)).await;
                if gateway.listened() == 1 {
                    denied += 1;
                    gateway.say(LAPSED);
                }
            }
            let reports = gateway.reports.borrow();
            let changes = reports.iter().filter_map(|report| report.transition).count();
            assert_eq!((gateway.state(), changes), (State::Live, 1), "live once, and ever since");
            assert!(!requests(&gateway.asked_since(Duration::ZERO)).contains(&Request::Reauthenticate));
            let opened = gateway.opened().len();
            assert!((4..=8).contains(&opened), "{opened} streams");
            assert!(denied <= 2 * opened, "{denied} denials by {opened} streams");
            let [StreamChange::Up, StreamChange::Refuted { pause }] = gateway.changes()[..] else {
                panic!("{:?}", gateway.changes());
            };
            assert_eq!(pause, Duration::from_secs(600));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn the_stream_costs_no_request() {
    let mut asked = Vec::new();
    for heartbeats in [true, false] {
        let gateway = Gateway::new();
        gateway
            .watched(Policy::default(), async |_| {
                gateway.until(1.5).await;
                gateway.push(Ok(Push::Ready));
                while heartbeats && gateway.time() < Duration::from_secs(3590) {
                    sleep(Duration::from_secs(10)).await;
                    gateway.push(Ok(Push::Heartbeat));
                    gateway.say(GOOD);
                }
                gateway.until(3600.0).await;
            })
            .await;
        let all = gateway.asked.borrow();
        assert!(all.iter().filter(|(_, asked)| *asked == Asked::Request(Request::Ping)).count() <= 80);
        asked.push(all.len());
    }
    assert_eq!(asked[0], asked[1]);
}
