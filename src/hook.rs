//! Hooks: programs of the operator that run at once when a session is live, is lost, or is a new one.
//!
//! Each hook runs one program at a time, in the order of what happens. While one runs, only the newest state and the
//! newest session of each gateway are kept in the queue.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::{Notify, oneshot};
use tokio::task::{AbortHandle, spawn_local};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::control::{self, Event};
use crate::log::{event, human_duration};
use crate::program::{self, Ran};
use crate::session::{StateKind, StateReason};

/// A program of the operator, and when it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// Its name.
    pub name: String,
    /// When it runs.
    pub on: Vec<On>,
    /// The gateways that it runs for; empty for all.
    pub gateways: Vec<String>,
    /// The absolute path of the program, and its arguments.
    pub argv: Vec<String>,
    /// How long it may run.
    pub within: Duration,
}

/// When a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, strum::VariantArray, strum::IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum On {
    /// A session is live.
    Live,
    /// A session that was live is not.
    Lost,
    /// A session is, or may be, a new one.
    Session,
}

/// What a hook receives: each field in its environment as `TICKLED_HOOK_...`, and all of them as JSON on its standard
/// input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Occasion {
    /// The version of this schema.
    pub version: u32,
    /// The name of the hook.
    pub hook: String,
    /// Why it runs.
    pub event: On,
    /// Whether it is only a test.
    pub test: bool,
    /// The gateway.
    pub gateway: String,
    /// The gateway's address.
    pub url: String,
    /// The state that it is in.
    pub state: StateKind,
    /// Why, by its code.
    pub because: StateReason,
    /// The number of its session, present or last.
    pub session: u64,
    /// When it happened.
    pub at: Timestamp,
}

/// The hooks of a daemon. Their tasks run on a [`LocalSet`](tokio::task::LocalSet) and end with this value.
#[derive(Debug, Default)]
pub struct Hooks {
    workers: Vec<Worker>,
}

#[derive(Debug)]
struct Worker {
    hook: Hook,
    queue: Rc<Queue>,
    task: AbortHandle,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: RefCell<VecDeque<HookRun>>,
    news: Notify,
}

#[derive(Debug)]
struct HookRun {
    occasion: Occasion,
    /// Where the outcome of a test goes.
    reply: Option<oneshot::Sender<control::Tried>>,
}

impl Hooks {
    /// Applies a changed configuration. Unchanged hooks keep running.
    pub fn apply(&mut self, hooks: &[Hook]) {
        let mut before = std::mem::take(&mut self.workers);
        for hook in hooks {
            let unchanged = before.iter().position(|worker| worker.hook == *hook);
            self.workers.push(unchanged.map_or_else(|| Worker::start(hook), |at| before.swap_remove(at)));
        }
    }

    /// Runs the hooks for an event. `gateway` is the status at that moment.
    pub fn on_event(&self, happened: &Event, gateway: &control::GatewayStatus) {
        let (on, at) = match happened {
            Event::State(event) if event.to == StateKind::Live => (On::Live, event.at),
            Event::State(event) if event.from == Some(StateKind::Live) => (On::Lost, event.at),
            Event::Session(event) => (On::Session, event.at),
            Event::State(_) | Event::Alert(_) | Event::Resync {} => return,
        };
        for worker in &self.workers {
            let Hook { name, on: wanted, gateways, .. } = &worker.hook;
            if wanted.contains(&on) && (gateways.is_empty() || gateways.contains(&gateway.name)) {
                worker.queue.push(HookRun { occasion: Occasion::new(name, on, at, gateway), reply: None });
            }
        }
    }

    /// Queues a test run of the hook of that name. Returns a receiver of the outcome, or `None` if there is no such
    /// hook.
    #[must_use]
    pub fn test(
        &self,
        name: &str,
        at: Timestamp,
        gateway: &control::GatewayStatus,
    ) -> Option<oneshot::Receiver<control::Tried>> {
        let worker = self.workers.iter().find(|worker| worker.hook.name == name)?;
        let (reply, outcome) = oneshot::channel();
        let on = worker.hook.on.first().copied().unwrap_or(On::Live);
        let occasion = Occasion { test: true, ..Occasion::new(name, on, at, gateway) };
        worker.queue.push(HookRun { occasion, reply: Some(reply) });
        Some(outcome)
    }

    /// The names of all hooks.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.workers.iter().map(|worker| worker.hook.name.clone()).collect()
    }
}

impl Occasion {
    fn new(hook: &str, on: On, at: Timestamp, gateway: &control::GatewayStatus) -> Self {
        Self {
            version: 1,
            hook: hook.to_owned(),
            event: on,
            test: false,
            gateway: gateway.name.clone(),
            url: gateway.url.clone(),
            state: gateway.state,
            because: gateway.because,
            session: gateway.session,
            at,
        }
    }
}

impl Worker {
    fn start(hook: &Hook) -> Self {
        let queue = Rc::<Queue>::default();
        let task = spawn_local(work(hook.clone(), Rc::clone(&queue))).abort_handle();
        Self { hook: hook.clone(), queue, task }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Queue {
    fn push(&self, run: HookRun) {
        let mut waiting = self.waiting.borrow_mut();
        let key =
            |run: &HookRun| (run.occasion.gateway.clone(), run.occasion.event == On::Session, run.reply.is_some());
        waiting.retain(|before| key(before) != key(&run));
        waiting.push_back(run);
        drop(waiting);
        self.news.notify_one();
    }

    async fn next(&self) -> HookRun {
        loop {
            let next = self.waiting.borrow_mut().pop_front();
            match next {
                Some(run) => return run,
                None => self.news.notified().await,
            }
        }
    }
}

async fn work(hook: Hook, queue: Rc<Queue>) {
    loop {
        let HookRun { occasion, reply } = queue.next().await;
        let started = Instant::now();
        let ran = program::run(&hook.argv, hook.within, PREFIX, &occasion).await;
        let took =
            human_duration(Duration::from_millis(u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)));
        let tried = log(&hook, &occasion, &ran, &took);
        if let Some(reply) = reply {
            // The caller may have hung up.
            drop(reply.send(tried));
        }
    }
}

/// Logs how a program ended, and returns it in words.
fn log(hook: &Hook, occasion: &Occasion, ran: &Ran, took: &str) -> control::Tried {
    let Occasion { event: on, gateway, session, .. } = occasion;
    let (name, on) = (&hook.name, <&str>::from(*on));
    let (outcome, said) = match ran {
        Ran::Ended(status, said) => {
            (status.code().map_or_else(|| status.to_string(), |code| code.to_string()), said.as_str())
        }
        Ran::Late => (format!("killed after {}", human_duration(hook.within)), ""),
        Ran::NotRun { why, .. } => (why.clone(), ""),
    };
    let is_good = matches!(ran, Ran::Ended(status, _) if status.success());
    let quoted = if said.is_empty() { String::new() } else { format!(", and said: {said}") };
    let result = match ran {
        Ran::Ended(status, _) if status.code().is_some() => format!("ended with exit code {outcome}{quoted}"),
        Ran::Ended(..) => format!("ended with {outcome}{quoted}"),
        Ran::Late | Ran::NotRun { .. } => outcome.clone(),
    };
    macro_rules! write_line {
        ($level:ident, $event:expr) => {
            $level!(
                event = $event,
                hook = name,
                on,
                gateway,
                session,
                outcome,
                took,
                said,
                "{gateway}: hook {name} ({on}): {result}"
            )
        };
    }
    if is_good {
        write_line!(info, event::HOOK_RAN);
    } else {
        write_line!(warn, event::HOOK_FAILED);
    }
    control::Tried { hook: name.clone(), is_good, result }
}

/// How long a hook may run, unless the configuration says otherwise.
pub const WITHIN: Duration = Duration::from_secs(10);
const PREFIX: &str = "TICKLED_HOOK_";
