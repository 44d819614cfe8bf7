//! A breadth-first search of the machine's small model: from the start, every kind of answer to every request, every
//! push and every command of the operator. Every rule that can be stated for one step holds in all of them.
//! `SEARCH_ALL=1` goes on until nothing new turns up, which takes long.
//!
//! Times and budgets are not part of what tells two machines apart; all else is, by [`tickled::session::Key`].
//! `BLESS=1 cargo test --test session_search` records anew which states and requests are reached.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use support::Said;
use tickled::session::{
    Accounts, Answer, Cause, Competing, Failure, HostFailure, Input, Key, Machine, Method, Now, Plan, Policy, Recovery,
    Request, Sso, State, Status, Step, Unavailability,
};

/// A machine in the middle of its work.
#[derive(Clone)]
struct Node {
    machine: Machine,
    now: Now,
    plan: Plan,
    /// What was seen on the way, as far as the rules of one path need it.
    seen: Seen,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Seen {
    good: bool,
    usable: bool,
    asked: u8,
}

const FLAGS: [Status; 5] = [
    Status { authenticated: true, connected: true, competing: false, established: None },
    Status { authenticated: true, connected: true, competing: false, established: Some(false) },
    Status { authenticated: true, connected: true, competing: true, established: None },
    Status { authenticated: false, connected: true, competing: false, established: None },
    Status { authenticated: false, connected: false, competing: false, established: None },
];

/// One of each kind of unavailability that the machine treats in its own way.
const KINDS: [Unavailability; 5] = [
    Unavailability::NoAnswer,
    Unavailability::NothingListens,
    Unavailability::IbkrError,
    Unavailability::NotAGateway,
    Unavailability::TooManyRequests { retry_after: None },
];

fn answers(request: Request) -> Vec<Answer> {
    let sso = Sso { valid: true, borrowed: false, auth_time: None };
    let mut all = vec![Said::NoStatus, Said::Accepted, Said::NotLoggedIn, Said::Listening, Said::Ended];
    all.extend([Said::Unauthorized, Said::LoginPage, Said::Unsupported]);
    all.extend(FLAGS.map(Said::Status));
    all.extend([
        Said::Sso(sso),
        Said::Sso(Sso { valid: false, ..sso }),
        Said::Sso(Sso { borrowed: true, ..sso }),
        Said::Accounts(Accounts { usable: true, is_paper: None }),
        Said::Accounts(Accounts { usable: false, is_paper: None }),
    ]);
    all.extend([
        Said::Host(Ok(())),
        Said::Host(Err(HostFailure::NoWay)),
        Said::Websocket(true),
        Said::Websocket(false),
    ]);
    all.extend(KINDS.map(Said::Unavailable));
    all.into_iter().filter_map(|said| said.to(request)).collect()
}

fn wishes() -> Vec<Input> {
    let mut wishes = vec![
        Input::Check,
        Input::Prove,
        Input::ExpectLogin,
        Input::Pause { until: None },
        Input::Resume,
        Input::Logout,
        Input::LoggedOut,
    ];
    wishes.extend(FLAGS.map(Input::Push));
    wishes
}

impl Node {
    fn start(policy: Policy) -> Self {
        let now = Now { mono: Duration::ZERO, wall: Timestamp::UNIX_EPOCH };
        let mut machine = Machine::new(policy, 7, now);
        let plan = machine.step(now, Input::Wake);
        Self { machine, now, plan, seen: Seen::default() }.settle()
    }

    fn after(&self, input: Input) -> Self {
        let mut next = self.clone();
        match input {
            Input::Answer(Answer::Ping(Ok(status)) | Answer::Check(Ok(status))) => {
                next.seen = Seen { good: status == FLAGS[0], usable: false, ..next.seen };
            }
            Input::Answer(Answer::Accounts(answer)) => {
                let usable = matches!(answer, Ok(Accounts { usable: true, .. }) | Err(Failure::Unsupported));
                next.seen.usable = usable;
            }
            Input::Answer(_) => next.seen.usable = false,
            // After the session was asked for, what the stream reports stands for a check.
            Input::Push(status) if is_asked_for(&next) => {
                next.seen = Seen { good: status == FLAGS[0], usable: false, ..next.seen };
            }
            Input::Wake
            | Input::Push(_)
            | Input::Check
            | Input::Pause { .. }
            | Input::Resume
            | Input::Unanswered(_)
            | Input::Prove
            | Input::ExpectLogin
            | Input::Logout
            | Input::LoggedOut => {}
        }
        let before = next.machine.state();
        next.plan = next.machine.step(next.now, input);
        check_step(before, &next, input);
        if next.machine.state() != before
            && !matches!(next.machine.state(), State::Recovering { .. } | State::Unavailable(_))
        {
            next.seen.asked = 0;
        }
        next.settle()
    }

    /// Lets time pass until a request is out, or no further one will be sent.
    fn settle(mut self) -> Self {
        for _ in 0..40 {
            if let Some(request) = self.plan.request {
                check_request(&mut self, request);
                return self;
            }
            if self.plan.awaiting || matches!(self.machine.state(), State::Paused { until: None }) {
                return self;
            }
            let left = self.plan.wake_at - self.now.mono;
            assert!(!left.is_zero(), "{:?} wakes at once, for ever", self.plan);
            assert!(left <= Duration::from_secs(3600), "{:?} sleeps too long", self.plan);
            self.now = Now { mono: self.now.mono + left, wall: self.now.wall + left };
            let before = self.machine.state();
            self.plan = self.machine.step(self.now, Input::Wake);
            check_step(before, &self, Input::Wake);
        }
        panic!("a state without a way on: {:?} {:?}", self.machine.state(), self.plan);
    }

    fn key(&self) -> (Key, bool, bool) {
        (self.machine.key(), self.seen.good, self.seen.usable)
    }
}

/// Whether an attempt to recover the session has been sent, and is not yet confirmed.
fn is_asked_for(node: &Node) -> bool {
    match node.machine.state() {
        State::Recovering { step: Step::Reauthenticate, .. } => node.plan.awaiting,
        State::Recovering { step: Step::Confirm, .. } => true,
        _ => false,
    }
}

fn check_step(before: State, node: &Node, input: Input) {
    let state = node.machine.state();
    if state == State::Live && before != State::Live {
        assert!(node.seen.good && node.seen.usable, "live without proof, by {input:?} from {before:?}");
        let answered = matches!(input, Input::Answer(Answer::Accounts(_)));
        assert!(answered, "live by {input:?}");
    }
    if let Some(transition) = node.plan.transition {
        assert_eq!((transition.from.name(), transition.to.name()), (before.name(), state.name()));
        assert_ne!(transition.from.name(), transition.to.name());
    } else {
        assert_eq!(before.name(), state.name(), "a change that nobody is told");
    }
    if let Input::Answer(answer) = input
        && matches!(answer.failure(), Some(Failure::Unavailable(_)))
    {
        // A logout whose answer is lost counts as done.
        let is_logout = state == State::LoginRequired(Cause::ByOperator);
        let is_new = !matches!(before, State::LoginRequired(_));
        let sad = matches!(state, State::LoginRequired(_)) && is_new && !is_logout;
        assert!(!sad, "a login demanded because of an answer that says nothing: {input:?} in {before:?}");
        assert!(!(state == State::Live && before != State::Live));
    }
    assert!(node.plan.request.is_none() || node.plan.awaiting);
}

fn check_request(node: &mut Node, request: Request) {
    let policy = node.machine.policy().clone();
    let asks = matches!(request, Request::Reauthenticate | Request::OpenBrokerage { .. });
    if asks {
        assert!(matches!(node.machine.state(), State::Recovering { .. }), "{request:?} in {:?}", node.machine.state());
        node.seen.asked += 1;
        // A method that turns out to be gone has asked for nothing, once for each of the two.
        assert!(node.seen.asked <= policy.recovery.attempts + 2, "{} attempts", node.seen.asked);
    }
    if policy.competing == Competing::Yield {
        assert_ne!(request, Request::OpenBrokerage { compete: true });
        assert!(request != Request::Reauthenticate || !node.machine.facts().evidence.competing);
    }
    if matches!(node.machine.state(), State::Paused { .. }) {
        assert_eq!(request, Request::EndSession);
    }
}

/// Searches until nothing new turns up, or until so many machines were visited. Returns every state with every request
/// in it, and the number of machines visited.
fn search(policy: &Policy, limit: usize) -> (BTreeSet<String>, usize) {
    let mut known: HashSet<(Key, bool, bool)> = HashSet::new();
    let mut queue = VecDeque::from([Node::start(policy.clone())]);
    let mut reached = BTreeSet::new();
    while let Some(node) = queue.pop_front() {
        if known.len() == limit {
            break;
        }
        if !known.insert(node.key()) {
            continue;
        }
        let out = node.plan.request;
        reached.insert(format!("{}: {}", state(node.machine.state()), out.map_or("nothing", Request::name)));
        let mut visit = |next: Node| {
            if !known.contains(&next.key()) {
                queue.push_back(next);
            }
        };
        if let Some(request) = out {
            for answer in answers(request) {
                visit(node.after(Input::Answer(answer)));
            }
            // No answer: past its due time the request counts as unanswered.
            let mut late = node.clone();
            for _ in 0..2 {
                let left = late.plan.wake_at - late.now.mono;
                late.now = Now { mono: late.now.mono + left, wall: late.now.wall + left };
                late = late.after(Input::Wake);
                // It is noted as slow first.
                if late.key() != node.key() {
                    break;
                }
            }
            visit(late);
        }
        for wish in wishes() {
            let next = node.after(wish);
            // Something in flight that a wish did not replace is not asked again: it is answered in this node.
            if next.plan.request.is_some() || next.machine.state() != node.machine.state() {
                visit(next);
            }
        }
    }
    (reached, known.len())
}

fn state(state: State) -> String {
    match state {
        State::Recovering { attempt, step } => format!("recovering {attempt}, {}", step.name()),
        State::Unavailable(cause) => format!("unavailable, {}", cause.code()),
        State::LoginRequired(cause) => format!("login-required, {}", cause.code()),
        State::Starting | State::Live | State::Contested | State::Paused { .. } => state.name().to_owned(),
    }
}

/// Machines visited in each model, the nearest to the start first.
const MACHINES: usize = 60_000;

/// What is reached stands in a file, so that a change that makes a state or a request unreachable is seen: no rule
/// above is true for want of an occasion.
#[test]
fn no_state_is_a_trap_and_no_step_breaks_a_rule() {
    let models = [
        ("yield, both", Competing::Yield, vec![Method::Direct, Method::Gateway], 1),
        ("take over", Competing::TakeOver, vec![Method::Direct], 1),
        ("yield, direct", Competing::Yield, vec![Method::Direct], 2),
    ];
    let limit = if std::env::var_os("SEARCH_ALL").is_some() { usize::MAX } else { MACHINES };
    let found = std::thread::scope(|scope| {
        let searches = models.map(|(name, competing, methods, attempts)| {
            scope.spawn(move || {
                let recovery = Recovery { methods, attempts, ..Recovery::default() };
                let policy = Policy { competing, recovery, ..Policy::default() };
                (name, search(&policy, limit))
            })
        });
        searches.map(|search| search.join().unwrap())
    });
    let mut lines = String::new();
    let mut total = 0;
    for (name, (reached, visited)) in found {
        println!("{name}: {visited} machines visited, {} states with a request", reached.len());
        total += visited;
        for line in reached {
            lines.push_str(&format!("{name} | {line}\n"));
        }
    }
    assert!(total > 10_000, "only {total} machines: the model is too small to prove anything");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/session_search.txt");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, &lines).unwrap();
    }
    let expected = std::fs::read_to_string(path).unwrap();
    let (expected, lines): (BTreeSet<&str>, BTreeSet<&str>) = (expected.lines().collect(), lines.lines().collect());
    let missing: Vec<_> = expected.difference(&lines).collect();
    let new: Vec<_> = lines.difference(&expected).collect();
    assert!(
        missing.is_empty() && new.is_empty(),
        "unreachable {missing:#?}, newly reached {new:#?}; BLESS=1 records it"
    );
}
