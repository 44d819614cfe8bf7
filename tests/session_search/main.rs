//! A breadth-first search of small models of the machine: from the start, every answer to every request, every push and every
//! command that the model has, until nothing new turns up. Every rule that can be stated for one step holds in all of them.
//!
//! Times and budgets are not part of what tells two machines apart; all else is, by [`tickled::session::Key`].
//! `BLESS=1 cargo test --test session_search` records anew which states and requests are reached.

mod models;
mod rules;

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use jiff::Timestamp;
use models::{FLAGS, GOOD, KINDS, Model, NO_LOGIN, PROVED_BY, RECOVERED_BY, SSO, models};
use tickled::session::{Accounts, Answer, Failure, Input, Key, Machine, Now, Plan, Policy, Request, State};

/// A machine in the middle of its work.
#[derive(Clone)]
struct Node {
    machine: Machine,
    now: Now,
    plan: Plan,
    /// Unanswered requests, the oldest first.
    open: Vec<Request>,
    /// Whether the last flags were good.
    good: bool,
    /// Data was returned before the answer to the check that is under way.
    is_data_early: bool,
    /// How often the session was asked for.
    asked: u8,
    path: Option<Rc<Path>>,
}

/// How a machine was reached, for the report of a broken rule.
struct Path {
    input: Input,
    before: Option<Rc<Self>>,
}

/// From here on nothing new has turned up in any model by far.
const LIMIT: usize = 250_000;

/// Searches until nothing new turns up. Returns every state with every request in it, and the number of machines.
fn search(model: &Model) -> (BTreeSet<String>, usize) {
    let start = Node::start(model.policy.clone());
    let mut known = HashSet::from([start.key()]);
    let mut queue = VecDeque::from([start]);
    let mut reached = HashSet::new();
    while let Some(node) = queue.pop_front() {
        let _report = Report(&node);
        reached.insert((state(node.machine.state()), node.awaited()));
        let may_be_late = model.is_silent(node.plan.standing) || node.open.iter().any(|open| model.may_be_late(*open));
        let later = node.later(may_be_late);
        let after = node.inputs(model).into_iter().map(|input| (input, node.after(input)));
        for (input, mut next) in after.chain(later.map(|later| (Input::Wake, later))) {
            if known.insert(next.key()) {
                next.path = Some(Rc::new(Path { input, before: node.path.clone() }));
                queue.push_back(next);
            }
        }
        assert!(known.len() < LIMIT, "{}: {LIMIT} machines, and no end", model.name);
    }
    let line =
        |(state, awaited): (String, Option<Request>)| format!("{state}: {}", awaited.map_or("nothing", Request::name));
    (reached.into_iter().map(line).collect(), known.len())
}

impl Node {
    fn inputs(&self, model: &Model) -> Vec<Input> {
        model.inputs(self.now, self.plan.standing, &self.open)
    }

    fn start(policy: Policy) -> Self {
        let now = Now { mono: Duration::ZERO, wall: Timestamp::UNIX_EPOCH };
        let mut machine = Machine::new(policy, 7, now);
        let plan = machine.step(now, Input::Wake);
        Self {
            machine,
            now,
            plan,
            open: plan.request.into_iter().collect(),
            good: false,
            is_data_early: false,
            asked: 0,
            path: None,
        }
    }

    /// The machine, and whether the data call that is under way follows good flags.
    fn key(&self) -> (Key, bool, bool) {
        (self.machine.key(), self.good && self.open.contains(&Request::Accounts), self.is_data_early)
    }

    /// What was sent last, if its answer is awaited.
    fn awaited(&self) -> Option<Request> {
        self.open.last().copied().filter(|_| self.plan.awaiting)
    }

    fn after(&self, input: Input) -> Self {
        let mut next = self.clone();
        next.step(input);
        next
    }

    /// Lets time pass until something changes. `None` if nothing will, or if all that is awaited comes in time.
    fn later(&self, may_be_late: bool) -> Option<Self> {
        let is_paused = matches!(self.machine.state(), State::Paused { until: None });
        let is_at_once = self.plan.wake_at == self.now.mono;
        if !is_at_once && if self.plan.awaiting { !may_be_late } else { is_paused } {
            return None;
        }
        let mut next = self.clone();
        for _ in 0..40 {
            let left = next.plan.wake_at - next.now.mono;
            assert!(left <= Duration::from_secs(3600), "{:?} sleeps too long", next.plan);
            next.now = Now { mono: next.now.mono + left, wall: next.now.wall + left };
            next.step(Input::Wake);
            if next.plan.request.is_some() || next.key() != self.key() {
                return Some(next);
            }
            assert!(next.plan.wake_at > next.now.mono, "{:?} wakes at once, for ever", next.plan);
        }
        panic!("a state without a way on: {:?} {:?}", self.machine.state(), self.plan);
    }

    fn step(&mut self, input: Input) {
        let before = self.machine.state();
        let is_asked_for = rules::is_asked_for(before, &self.plan);
        self.plan = self.machine.step(self.now, input);
        self.machine.normalize();
        let is_over = |open: &Request| {
            matches!(input, Input::Answer(answer) if answer.answers(*open)) || input == Input::Unanswered(*open)
        };
        self.open.iter().position(is_over).map(|over| self.open.remove(over));
        if let Input::Answer(Answer::Ping(Ok(status)) | Answer::Check(Ok(status))) = input {
            self.good = status == GOOD;
        }
        self.good |= input == Input::Push(GOOD) && is_asked_for;
        if self.plan.request.is_some_and(|request| !request.is_proxied()) || !self.plan.awaiting {
            self.open.retain(|open| open.is_proxied());
        }
        self.open.extend(self.plan.request);
        for _ in self.plan.standing..self.open.iter().filter(|open| open.is_proxied()).count() {
            self.open.iter().position(|open| open.is_proxied()).map(|oldest| self.open.remove(oldest));
        }
        rules::check(before, input, &self.machine, self.now, &self.plan);
        let is_data = matches!(input, Input::Answer(Answer::Accounts(Ok(Accounts { usable: true, .. }))));
        let is_checked = matches!(input, Input::Answer(Answer::Check(_)));
        self.check(before, input, is_data || is_checked && self.is_data_early);
        self.is_data_early = (is_data || self.is_data_early) && self.open.contains(&Request::Check);
        let is_outage = matches!(self.machine.state(), State::Recovering { .. } | State::Unavailable(_));
        if self.machine.state() != before && !is_outage {
            self.asked = 0;
        }
    }

    /// The rules of which a single step does not tell enough.
    fn check(&mut self, before: State, input: Input, data: bool) {
        let (policy, state) = (self.machine.policy(), self.machine.state());
        if state == State::Live && before != State::Live {
            let no_data = matches!(input, Input::Answer(Answer::Accounts(Err(Failure::Unsupported))));
            assert!(self.good && (data || no_data), "live without proof, by {input:?} from {before:?}");
        }
        if self.plan.request.is_some_and(Request::is_attempt) {
            self.asked += 1;
            // A method that turns out to be gone has asked for nothing, once for each of the two.
            assert!(self.asked <= policy.recovery.attempts + 2, "{} attempts", self.asked);
        }
        if self.plan.request == Some(Request::Accounts) && state != State::Live {
            let is_behind = self.open.contains(&Request::Check);
            assert!(self.good || is_behind, "a data call that proves nothing in {state:?}");
        }
    }
}

/// Reports, when a rule is broken, how this machine was reached.
struct Report<'a>(&'a Node);

impl Drop for Report<'_> {
    #[expect(clippy::print_stdout, reason = "a part of what a failed test reports")]
    fn drop(&mut self) {
        let mut step = self.0.path.as_ref();
        while let Some(path) = step.filter(|_| std::thread::panicking()) {
            println!("after {:?}", path.input);
            step = path.before.as_ref();
        }
    }
}

fn state(state: State) -> String {
    match state {
        State::Recovering { attempt, step } => format!("recovering {attempt}, {}", step.name()),
        State::Unavailable(cause) => format!("unavailable, {}", cause.code()),
        State::LoginRequired(cause) => format!("login-required, {}", cause.code()),
        State::Starting | State::Live | State::Contested | State::Paused { .. } => state.name().to_owned(),
    }
}

/// What is reached stands in a file, so that a change that makes a state or a request unreachable is seen: no rule
/// above is true for want of an occasion.
#[test]
fn no_state_is_a_trap_and_no_step_breaks_a_rule() {
    let models = models();
    let found: Vec<_> = std::thread::scope(|scope| {
        let searches: Vec<_> = models.iter().map(|model| scope.spawn(|| search(model))).collect();
        searches.into_iter().map(|search| search.join().unwrap()).collect()
    });
    let mut lines = String::new();
    for (model, (reached, visited)) in models.iter().zip(&found) {
        println!("{}: nothing new after {visited} machines, {} states with a request", model.name, reached.len());
        lines.extend(reached.iter().map(|line| format!("{} | {line}\n", model.name)));
    }
    println!("{} machines in {} models", found.iter().map(|(_, visited)| visited).sum::<usize>(), models.len());
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

/// Two machines get the same inputs at the same times. One of them is normalized after every step, as in the search. They plan
/// the same, to the nanosecond: what is not part of the key decides nothing.
#[test]
fn what_is_normalized_decides_nothing() {
    let mut seed = 1_u64;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % below
    };
    let models = models();
    for walk in 0..3000 {
        let mut model = models[walk % models.len()].clone();
        model.policy.recovery.attempts += u8::try_from(random(3)).unwrap();
        model.sso = &SSO;
        model.flags = &FLAGS;
        model.failures = NO_LOGIN.into_iter().chain(KINDS).collect();
        if walk % 3 == 0 {
            model.unsupported = [&PROVED_BY, &RECOVERED_BY][random(2)];
            model.wishes.extend(FLAGS.map(Input::Push));
        }
        let favourite = random(3);
        let mut node = Node::start(model.policy.clone());
        let mut plain = Machine::new(model.policy.clone(), 7, node.now);
        let _ = plain.step(node.now, Input::Wake);
        for _ in 0..150 {
            let left = node.plan.wake_at.saturating_sub(node.now.mono);
            let inputs = node.inputs(&model);
            let input = match (random(8), node.awaited()) {
                (0 | 1, _) => Input::Wake,
                // One answer is as frequent as all others together.
                (2..5, Some(request)) => {
                    Input::Answer(*model.answers(request).get(favourite).unwrap_or(&model.answers(request)[0]))
                }
                _ if inputs.is_empty() => Input::Wake,
                _ => inputs[random(inputs.len())],
            };
            let passed = match random(4) {
                0 => left * u32::try_from(random(100)).unwrap() / 100,
                _ if input == Input::Wake => left,
                _ => Duration::ZERO,
            };
            node.now = Now { mono: node.now.mono + passed, wall: node.now.wall + passed };
            let expected = plain.step(node.now, input);
            node.step(input);
            assert_eq!(node.plan, expected, "by {input:?} in {:?} of\n{plain:?}\n{:?}", plain.state(), node.machine);
        }
    }
}
