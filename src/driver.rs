//! Runs a session machine: carries out its plans, and reports after each step. The only place that knows machine,
//! network and clock.

pub mod answers;
mod listening;

pub use listening::{StreamChange, StreamListener, Turn};

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::gateway::ibkr_host::Unreachable;
use crate::gateway::stream::{Limits, Push, StreamDown};
use crate::gateway::{self, Client, ErrorKind, IbkrHost, SessionId};
use crate::session::{
    Answer, ClientId, Failure, HostFailure, Input, Jitter, Machine, Now, Plan, Policy, RateLimitState, Request,
    SharedBudget, State, Status, Transition, Unavailability,
};
use crate::status::{Place, Snapshot};
use crate::systemd::unit;

/// Where a driver sends its machine's requests.
pub trait Port {
    /// Sends one request and waits for its answer. There is no time limit: the machine decides how long it waits, and
    /// the driver drops this future when its answer is not awaited.
    fn ask(&self, request: Request) -> impl Future<Output = Received>;

    /// Opens the gateway's stream with a session id from a ping, and returns its messages until it is down. The default
    /// has no stream and never returns anything.
    fn listen(&self, _session: SessionId) -> impl Stream<Item = Result<Push, StreamDown>> {
        stream::pending()
    }
}

/// The outcome of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The answer, as the machine's input.
    pub answer: Answer,
    /// What went wrong, for the log.
    pub error: Option<gateway::Error>,
    /// The session id that opens the stream, from a ping.
    pub session: Option<SessionId>,
}

/// The time, read where the driver needs it.
pub trait Clock {
    /// The time now.
    fn now(&self) -> Now;
}

/// The host's clocks. The monotonic clock stands still while the host sleeps, the wall clock does not.
#[derive(Debug, Clone, Copy)]
pub struct HostClock {
    origin: Instant,
}

impl HostClock {
    /// A clock whose monotonic time starts now.
    #[must_use]
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Clock for HostClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
    fn now(&self) -> Now {
        Now { mono: self.origin.elapsed(), wall: Timestamp::now() }
    }
}

/// A command to a driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DriverCommand {
    /// Check at once.
    Check,
    /// Send no requests.
    Pause {
        /// When the pause ends by itself.
        until: Option<Timestamp>,
    },
    /// End a pause, or start again.
    Resume,
    /// Send a data call if the session is live.
    Prove,
    /// A human is expected to log in within the next half hour.
    ExpectLogin,
    /// End the session on purpose.
    Logout,
    /// Use another calendar.
    Relocate(Place),
    /// Read the clock: the host slept, or its clock was set.
    Wake,
    /// How the unit that runs the gateway ended; `None` while it runs.
    Unit(Option<unit::UnitDown>),
}

/// What a driver reports after each step of its machine.
#[derive(Debug, Clone)]
pub struct Report {
    /// When the step was made.
    pub at: Now,
    /// The gateway's state.
    pub snapshot: Snapshot,
    /// The change of state.
    pub transition: Option<Transition>,
    /// The wall clock jumped by this much.
    pub jumped: Option<jiff::SignedDuration>,
    /// The request that was answered, its outcome, and how long it took.
    pub answered: Option<(Request, Received, Duration)>,
    /// The request that is being sent.
    pub sending: Option<Request>,
    /// The stream opened or closed.
    pub stream: Option<StreamChange>,
}

/// Drives one machine, for as long as it is polled.
#[derive(Debug)]
pub struct Driver<P, C> {
    name: String,
    url: String,
    place: Option<Place>,
    machine: Machine,
    address: Rc<RefCell<SharedBudget>>,
    client: ClientId,
    listening: StreamListener,
    /// How often data has refuted the stream, as far as `listening` knows.
    refutations: u32,
    /// [`Snapshot::detail`]
    detail: Option<String>,
    /// [`Snapshot::unit`]
    unit: Option<unit::UnitDown>,
    first: Input,
    port: P,
    clock: C,
}

impl<P: Port, C: Clock> Driver<P, C> {
    /// A driver for the gateway `name` at `url`, reached through `port`.
    pub fn new(name: &str, url: &str, policy: Policy, seed: u64, port: P, clock: C) -> Self {
        let machine = Machine::new(policy, seed, clock.now());
        let listening = StreamListener::new(None);
        let mut own = SharedBudget::default();
        let client = own.register();
        let address = Rc::new(RefCell::new(own));
        Self {
            name: name.to_owned(),
            url: url.to_owned(),
            place: None,
            machine,
            address,
            client,
            listening,
            refutations: 0,
            detail: None,
            unit: None,
            first: Input::Wake,
            port,
            clock,
        }
    }

    /// Shares the rate limits of a public address with other drivers. Their clocks must agree.
    #[must_use]
    pub fn sharing(self, address: Rc<RefCell<SharedBudget>>) -> Self {
        let client = address.borrow_mut().register();
        Self { address, client, ..self }
    }

    /// Sets the calendar.
    #[must_use]
    pub fn at(self, place: Place) -> Self {
        Self { place: Some(place), ..self }
    }

    /// Enables the gateway's stream. `seed` spreads its reconnects.
    #[must_use]
    pub fn listening(self, seed: u64) -> Self {
        Self { listening: StreamListener::new(Some(Jitter::new(seed))), ..self }
    }

    /// Starts paused, as an earlier daemon was.
    #[must_use]
    pub fn paused(self, until: Option<Timestamp>) -> Self {
        Self { first: Input::Pause { until }, ..self }
    }

    /// Starts logged out by the operator, as an earlier daemon was.
    #[must_use]
    pub fn logged_out(self) -> Self {
        Self { first: Input::LoggedOut, ..self }
    }

    /// Restores the rate limits of an earlier driver of this gateway.
    #[must_use]
    pub fn with_limits(mut self, kept: &RateLimitState) -> Self {
        let now = self.clock.now();
        self.machine.restore_limits(now, kept);
        self.address.borrow_mut().inherit(now, kept);
        self
    }

    /// Runs until `report` returns [`Flow::End`] or the command channel closes. Returns the last snapshot.
    pub async fn run(
        mut self,
        mut commands: mpsc::Receiver<DriverCommand>,
        mut report: impl FnMut(Report) -> Flow,
    ) -> Snapshot {
        let origin = Instant::now() - self.clock.now().mono;
        let mut input = self.first;
        let mut answered = None;
        let mut change = None;
        let mut flights: Vec<Flight<'_>> = Vec::new();
        let mut heard: Option<Heard<'_>> = None;
        loop {
            let now = self.clock.now();
            let is_away = |place: &Place| place.maintenance.at(place.region, now.wall).is_some();
            self.machine.in_maintenance(self.place.as_ref().is_some_and(is_away));
            let plan = self.machine.step_shared(now, input, &mut self.address.borrow_mut(), self.client);
            let refutations = self.machine.refutations();
            if refutations != self.refutations {
                self.refutations = refutations;
                change = self.listening.refuted(now.mono).or(change);
            }
            hang_up(&mut flights, &plan);
            self.unit = self.unit.take().filter(|_| may_be_down(self.machine.state()));
            let made = self.report(now, &plan, answered.take(), change.take());
            let snapshot = made.snapshot.clone();
            if report(made) == Flow::End {
                return snapshot;
            }
            if let Some(request) = plan.request {
                flights.push(Flight { request, since: now.mono, received: Box::pin(self.port.ask(request)) });
            }
            match self.listening.turn(now.mono, self.machine.state()) {
                Turn::Stay => {}
                Turn::Close => heard = None,
                Turn::Open(session) => heard = Some(Box::pin(self.port.listen(session))),
            }
            let wake_at = self.listening.wake_at().map_or(plan.wake_at, |at| at.min(plan.wake_at));
            input = loop {
                break tokio::select! {
                    biased;
                    command = commands.recv() => match command {
                        Some(DriverCommand::Check) => Input::Check,
                        Some(DriverCommand::Pause { until }) => Input::Pause { until },
                        Some(DriverCommand::Resume) => Input::Resume,
                        Some(DriverCommand::Prove) => Input::Prove,
                        Some(DriverCommand::ExpectLogin) => Input::ExpectLogin,
                        Some(DriverCommand::Logout) => Input::Logout,
                        Some(DriverCommand::Relocate(place)) => {
                            self.place = Some(place);
                            Input::Wake
                        }
                        Some(DriverCommand::Wake) => Input::Wake,
                        Some(DriverCommand::Unit(unit)) => {
                            self.unit = unit;
                            Input::Wake
                        }
                        None => return snapshot,
                    },
                    (request, since, mut received) = landing(&mut flights) => {
                        if let Some(session) = received.session.take() {
                            self.listening.pinged(session);
                        }
                        let refused =
                            received.error.as_ref().filter(|error| matches!(error.kind, ErrorKind::Certificate | ErrorKind::Tls));
                        self.detail = refused.map(|error| error.detail.clone());
                        let is_unanswered = received.error.as_ref().is_some_and(|error| error.holds_place);
                        let input = if is_unanswered { Input::Unanswered(request) } else { Input::Answer(received.answer) };
                        answered = Some((request, received, self.clock.now().mono.saturating_sub(since)));
                        input
                    }
                    push = hearing(&mut heard) => {
                        if push.is_err() {
                            heard = None;
                        }
                        if push.is_ok() {
                            self.machine.on_sign_of_life(self.clock.now());
                        }
                        let status = push.as_ref().ok().and_then(status);
                        change = self.listening.heard(self.clock.now().mono, push);
                        match status {
                            Some(status) => Input::Push(status),
                            None if change.is_some() => Input::Wake,
                            None => continue,
                        }
                    }
                    () = sleep_until(origin + wake_at) => Input::Wake,
                };
            };
        }
    }

    /// Puts together the report of a step.
    fn report(
        &self,
        now: Now,
        plan: &Plan,
        answered: Option<(Request, Received, Duration)>,
        stream: Option<StreamChange>,
    ) -> Report {
        let snapshot = Snapshot::of(&self.name, &self.url, &self.machine, plan, now, self.place.as_ref());
        Report {
            at: now,
            snapshot: Snapshot { detail: self.detail.clone().or(snapshot.detail), unit: self.unit.clone(), ..snapshot },
            transition: plan.transition,
            jumped: plan.jumped,
            answered,
            sending: plan.request,
            stream,
        }
    }
}

/// Whether the gateway's process may be down in this state.
#[must_use]
pub const fn may_be_down(state: State) -> bool {
    matches!(
        state,
        State::Unavailable(Unavailability::NothingListens | Unavailability::NoAnswer | Unavailability::NotAGateway)
    )
}

/// Whether a driver continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Continue.
    GoOn,
    /// End.
    End,
}

struct Flight<'a> {
    request: Request,
    since: Duration,
    received: Pin<Box<dyn Future<Output = Received> + 'a>>,
}

/// Drops the requests whose answers are not awaited.
fn hang_up(flights: &mut Vec<Flight<'_>>, plan: &Plan) {
    if plan.request.is_some_and(|request| !request.is_proxied()) || !plan.awaiting {
        flights.retain(|flight| flight.request.is_proxied());
    }
    let is_proxied = |flight: &Flight<'_>| flight.request.is_proxied();
    let new = usize::from(plan.request.is_some_and(Request::is_proxied));
    let mut excess = (flights.iter().filter(|flight| is_proxied(flight)).count() + new).saturating_sub(plan.standing);
    flights.retain(|flight| {
        let is_dropped = excess > 0 && is_proxied(flight);
        excess -= usize::from(is_dropped);
        !is_dropped
    });
}

/// The first of the requests that is answered.
async fn landing(flights: &mut Vec<Flight<'_>>) -> (Request, Duration, Received) {
    poll_fn(|cx| {
        for (index, flight) in flights.iter_mut().enumerate() {
            if let Poll::Ready(received) = flight.received.as_mut().poll(cx) {
                let flight = flights.remove(index);
                return Poll::Ready((flight.request, flight.since, received));
            }
        }
        Poll::Pending
    })
    .await
}

/// The stream, while there is one.
type Heard<'a> = Pin<Box<dyn Stream<Item = Result<Push, StreamDown>> + 'a>>;

async fn hearing(heard: &mut Option<Heard<'_>>) -> Result<Push, StreamDown> {
    match heard {
        Some(heard) => heard.next().await.unwrap_or(Err(StreamDown::Closed(None))),
        None => std::future::pending().await,
    }
}

const fn status(push: &Push) -> Option<Status> {
    match push {
        Push::Status(status) => Some(answers::flags(status)),
        Push::Ready | Push::Heartbeat => None,
    }
}

impl Port for Client {
    async fn ask(&self, request: Request) -> Received {
        match request {
            Request::Ping => {
                let mut pinged = self.ping_server().await;
                let session = pinged.as_mut().ok().and_then(|tickle| tickle.session.take());
                let error = pinged.as_ref().err().cloned();
                Received { answer: Answer::Ping(answers::ping(&pinged)), error, session }
            }
            Request::Check => received(&self.check_auth_status().await, Answer::Check, answers::flags),
            Request::Reauthenticate => {
                received(&self.reauthenticate().await, Answer::Reauthenticate, answers::reauthentication)
            }
            Request::OpenBrokerage { compete } => {
                received(&self.open_brokerage(compete).await, Answer::OpenBrokerage, answers::flags)
            }
            Request::ValidateSso => received(&self.validate_sso().await, Answer::ValidateSso, answers::sso),
            Request::Accounts => received(&self.accounts().await, Answer::Accounts, answers::accounts),
            Request::IsListening => received(&self.is_listening().await, Answer::IsListening, |()| ()),
            Request::EndSession => received(&self.end_session().await, Answer::EndSession, |_| ()),
            Request::HandshakeIbkr => Received::of(Answer::HandshakeIbkr(Err(HostFailure::NoWay))),
            Request::ProbeWebsocket => {
                let answer = match self.probe_websocket(PROBE_WITHIN).await {
                    Ok(()) => Ok(true),
                    Err(StreamDown::NeverReady) => Ok(false),
                    Err(_) => Err(Failure::Unavailable(Unavailability::NoAnswer)),
                };
                Received::of(Answer::ProbeWebsocket(answer))
            }
        }
    }

    fn listen(&self, session: SessionId) -> impl Stream<Item = Result<Push, StreamDown>> {
        stream::try_unfold(Err(session), async |opened| {
            let mut open = match opened {
                Ok(open) => open,
                Err(session) => self.stream(&session, Limits::default()).await?,
            };
            let push = open.next().await?;
            Ok(Some((push, Ok(open))))
        })
    }
}

/// A gateway on this host, which reaches IBKR by the same network as this process.
#[derive(Debug)]
pub struct WithIbkrHost {
    /// The gateway's client.
    pub client: Client,
    /// IBKR's own host.
    pub ibkr: Option<IbkrHost>,
}

impl Port for WithIbkrHost {
    async fn ask(&self, request: Request) -> Received {
        let (Request::HandshakeIbkr, Some(ibkr)) = (request, &self.ibkr) else {
            return self.client.ask(request).await;
        };
        let answer = ibkr.handshake(HANDSHAKE_WITHIN).await.map_err(|error| match error {
            Unreachable::NoWay(_) => HostFailure::NoWay,
            Unreachable::NoAnswer(_) => HostFailure::NoAnswer,
        });
        Received::of(Answer::HandshakeIbkr(answer))
    }

    fn listen(&self, session: SessionId) -> impl Stream<Item = Result<Push, StreamDown>> {
        self.client.listen(session)
    }
}

impl Received {
    const fn of(answer: Answer) -> Self {
        Self { answer, error: None, session: None }
    }
}

/// How long a handshake with IBKR's host may take, and the first message of a websocket.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);
const PROBE_WITHIN: Duration = Duration::from_secs(10);

/// Converts the outcome of a call of the client.
fn received<T, U>(
    outcome: &Result<T, gateway::Error>,
    answer: fn(Result<U, Failure>) -> Answer,
    meaning: impl FnOnce(&T) -> U,
) -> Received {
    let (read, error) = match outcome {
        Ok(answer) => (Ok(meaning(answer)), None),
        Err(error) => (Err(answers::failure(error.kind)), Some(error.clone())),
    };
    Received { answer: answer(read), error, session: None }
}
