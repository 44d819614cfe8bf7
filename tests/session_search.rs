//! An exhaustive search of the machine's small model: from the beginning, every class of answer to every question, and
//! every wish of the operator, until nothing new turns up; every rule that can be said of one step holds in all of them.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use tickled::session::{
    Accounts, Cause, Competing, Input, Machine, Method, Now, Observation, Plan, Policy, Recovery, Request, Sso, State,
    Status, Step, Unavailability,
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

/// What tells two machines apart in the small model: everything that decides, but the clock.
type Key = (String, Option<Request>, bool, bool);

const FLAGS: [Status; 5] = [
    Status { authenticated: true, connected: true, competing: false, established: None },
    Status { authenticated: true, connected: true, competing: false, established: Some(false) },
    Status { authenticated: true, connected: true, competing: true, established: None },
    Status { authenticated: false, connected: true, competing: false, established: None },
    Status { authenticated: false, connected: false, competing: false, established: None },
];

fn answers(request: Request) -> Vec<Observation> {
    let sso = Sso { valid: true, borrowed: false, auth_time: None };
    let mut all = vec![
        Observation::Unauthorized,
        Observation::LoginPage,
        Observation::Trouble(Unavailability::NoAnswer),
        Observation::Trouble(Unavailability::IbkrError),
    ];
    if matches!(request, Request::Check | Request::IsListening) {
        all.extend([
            Observation::Trouble(Unavailability::NothingListens),
            Observation::Trouble(Unavailability::Nonsense),
            Observation::Trouble(Unavailability::TooManyRequests { retry_after: None }),
        ]);
    }
    match request {
        Request::Ping | Request::Check | Request::OpenBrokerage { .. } => {
            all.extend(FLAGS.map(Observation::Status));
            all.push(Observation::NoStatus);
        }
        Request::Reauthenticate => all.extend([Observation::Accepted, Observation::NotLoggedIn]),
        Request::ValidateSso => all.extend([
            Observation::Sso(sso),
            Observation::Sso(Sso { valid: false, ..sso }),
            Observation::Sso(Sso { borrowed: true, ..sso }),
        ]),
        Request::Accounts => {
            all.extend([true, false].map(|usable| Observation::Accounts(Accounts { usable, is_paper: None })));
        }
        Request::IsListening => all.push(Observation::Listening),
        Request::EndSession => all.push(Observation::Ended),
    }
    all
}

fn wishes() -> Vec<Input> {
    let mut wishes = vec![Input::Check, Input::Pause { until: None }, Input::Resume, Input::Logout, Input::LoggedOut];
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
        if let Input::Answer(request, observation) = input {
            if let Observation::Status(status) = observation
                && !matches!(request, Request::OpenBrokerage { .. })
            {
                next.seen.good = status == FLAGS[0];
            }
            next.seen.usable = matches!(observation, Observation::Accounts(Accounts { usable: true, .. }))
                || (request, observation) == (Request::Accounts, Observation::Gone)
                || (next.seen.usable && request != Request::Accounts);
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

    /// Lets time pass until a question is out, or nothing will be asked any more.
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

    fn key(&self, out: Option<Request>) -> Key {
        (timeless(&format!("{:?}", self.machine)), out, self.seen.good, self.seen.usable)
    }
}

/// A machine's own account of itself, without what is only time: its budgets, and when things happened.
fn timeless(told: &str) -> String {
    let fields = ["state", "evidence", "gone", "doubt", "concluding", "attempts", "contested"];
    let told = &told[told.find("state: ").unwrap()..];
    let mut key = String::new();
    for field in fields {
        let Some(at) = told.find(&format!(" {field}: ")).or_else(|| told.starts_with(field).then_some(0)) else {
            continue;
        };
        let value = &told[at..];
        let mut depth = 0;
        let end = value.char_indices().find(|(_, c)| {
            match c {
                '(' | '{' | '[' => depth += 1,
                ')' | '}' | ']' => depth -= 1,
                _ => {}
            }
            depth < 0 || (depth == 0 && *c == ',')
        });
        key.extend(
            value[..end.map_or(value.len(), |(i, _)| i)].chars().filter(|c| !c.is_ascii_digit() || field == "attempts"),
        );
        key.push(';');
    }
    for (field, known) in [
        ("valid: false", "invalid"),
        ("borrowed: true", "borrowed"),
        ("refused: Some", "refused"),
        ("invalid_since: Some", "once"),
        ("login_seen: Some", "seen"),
        ("incident: Some", "incident"),
    ] {
        if told.contains(field) {
            key.push_str(known);
        }
    }
    key
}

fn check_step(before: State, node: &Node, input: Input) {
    let state = node.machine.state();
    if state == State::Live && before != State::Live {
        assert!(node.seen.good && node.seen.usable, "live without proof, by {input:?} from {before:?}");
        let answered = matches!(input, Input::Answer(Request::Accounts | Request::Check | Request::Ping, _));
        assert!(answered, "live by {input:?}");
    }
    if let Some(transition) = node.plan.transition {
        assert_eq!((transition.from.name(), transition.to.name()), (before.name(), state.name()));
        assert_ne!(transition.from.name(), transition.to.name());
    } else {
        assert_eq!(before.name(), state.name(), "a change that nobody is told");
    }
    if let Input::Answer(_, Observation::Trouble(_)) = input {
        let sad = matches!(state, State::LoginRequired(_)) && !matches!(before, State::LoginRequired(_));
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
        assert!(request != Request::Reauthenticate || !node.machine.known().evidence.competing);
    }
    if matches!(node.machine.state(), State::Paused { .. }) {
        assert_eq!(request, Request::EndSession);
    }
}

/// Searches to a fixed point, and returns what was reached: every state's words, and every question in it.
fn search(policy: &Policy) -> (HashSet<String>, HashSet<(String, Request)>, usize) {
    let mut known: HashMap<Key, u32> = HashMap::new();
    let mut queue = VecDeque::from([Node::start(policy.clone())]);
    let (mut states, mut questions) = (HashSet::new(), HashSet::new());
    while let Some(node) = queue.pop_front() {
        let out = node.plan.request;
        let times = known.entry(node.key(out)).or_default();
        // The clock is not part of the key: a few visits to each let budgets, pauses and proofs fall differently.
        if *times == VISITS {
            continue;
        }
        *times += 1;
        states.insert(format!("{:?}", node.machine.state()));
        let name = node.machine.state().name().to_owned();
        if let Some(request) = out {
            questions.insert((name, request));
            for observation in answers(request) {
                queue.push_back(node.after(Input::Answer(request, observation)));
            }
            // Nobody answers: past its due time the question counts as unanswered.
            let mut late = node.clone();
            let left = node.plan.wake_at - node.now.mono;
            late.now = Now { mono: node.now.mono + left, wall: node.now.wall + left };
            queue.push_back(late.after(Input::Wake));
        }
        for wish in wishes() {
            let next = node.after(wish);
            if next.plan.request.is_some() || next.machine.state() != node.machine.state() {
                queue.push_back(next);
            }
        }
    }
    (states, questions, known.len())
}

const VISITS: u32 = 1;

#[test]
fn no_state_is_a_trap_and_no_step_breaks_a_rule() {
    let both = vec![Method::Gateway, Method::Direct];
    let models = [
        (Competing::Yield, both, 1),
        (Competing::TakeOver, vec![Method::Direct, Method::Gateway], 1),
        (Competing::Yield, vec![Method::Direct], 2),
        (Competing::Yield, vec![Method::Gateway], 1),
    ];
    let mut total = 0;
    std::thread::scope(|scope| {
        let searches = models.map(|(competing, methods, attempts)| {
            scope.spawn(move || {
                let recovery = Recovery { methods, attempts, ..Recovery::default() };
                let policy = Policy { competing, recovery, ..Policy::default() };
                let (states, questions, nodes) = search(&policy);
                sometimes(&policy, &states, &questions);
                nodes
            })
        });
        total = searches.map(|search| search.join().unwrap()).iter().sum();
    });
    println!("{total} nodes");
    assert!(total > 50_000, "only {total} nodes: the model is too small to prove anything");
}

/// What must be reachable, so that no rule above is true for want of an occasion.
fn sometimes(policy: &Policy, states: &HashSet<String>, questions: &HashSet<(String, Request)>) {
    let reached = |state: State| assert!(states.contains(&format!("{state:?}")), "never {state:?} under {policy:?}");
    for cause in [Cause::Expired, Cause::LoggedOut, Cause::Borrowed, Cause::ByOperator] {
        reached(State::LoginRequired(cause));
    }
    for trouble in [
        Unavailability::NothingListens,
        Unavailability::NoAnswer,
        Unavailability::IbkrSilent,
        Unavailability::IbkrError,
        Unavailability::TooManyRequests { retry_after: None },
        Unavailability::NotAGateway,
        Unavailability::Nonsense,
    ] {
        reached(State::Unavailable(trouble));
    }
    reached(State::Live);
    reached(State::Contested);
    reached(State::Paused { until: None });
    for attempt in 1..=policy.recovery.attempts {
        reached(State::Recovering { attempt, step: Step::Confirm });
    }
    let asked = |state: &str, request| {
        assert!(questions.contains(&(state.to_owned(), request)), "never {request:?} in {state} under {policy:?}");
    };
    for (state, request) in [
        ("live", Request::Ping),
        ("live", Request::Check),
        ("unavailable", Request::IsListening),
        ("login-required", Request::Check),
        ("contested", Request::Check),
        ("recovering", Request::ValidateSso),
    ] {
        asked(state, request);
    }
    if policy.recovery.methods.first() == Some(&Method::Gateway) {
        asked("recovering", Request::Reauthenticate);
        reached(State::LoginRequired(Cause::NeverLoggedIn));
    }
    if policy.recovery.methods.first() == Some(&Method::Direct) && policy.competing == Competing::TakeOver {
        asked("recovering", Request::OpenBrokerage { compete: true });
    }
}
