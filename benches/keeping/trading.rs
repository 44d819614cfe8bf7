//! A trading program that places an order every 200 ms while its session lapses: the one of docs/examples, which
//! listens to the events, and one that does not.

use std::cell::RefCell;
use std::process::Stdio;
use std::rc::Rc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use support::Gateway;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::sleep;

use crate::daemon::{Daemon, States};
use crate::times;

/// A program, and what it noted.
struct Program {
    _child: Child,
    notes: Rc<RefCell<Vec<Value>>>,
}

impl Program {
    fn start(arguments: &[&str]) -> Self {
        let root = env!("CARGO_MANIFEST_DIR");
        let mut command = Command::new("python3");
        command.args([format!("{root}/tests/data/trader_probe.py"), format!("{root}/docs/examples/trader.py")]);
        let mut child = command.args(arguments).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let notes = Rc::new(RefCell::new(Vec::new()));
        let noting = Rc::clone(&notes);
        spawn_local(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                noting.borrow_mut().extend(serde_json::from_str::<Value>(&line));
            }
        });
        Self { _child: child, notes }
    }
}

/// So many gateways with a listening program each, and one without; each of them lapses so often.
pub(crate) async fn measure(gateways: usize, lapses: usize) -> Value {
    let mut all = Vec::new();
    let mut config = "[session]\ncheck_every = \"2s\"\nrecovery.max_per_hour = 60\n".to_owned();
    for number in 0..=gateways {
        let gateway = Gateway::logged_in().await;
        config += &format!("[gateway.g{number}]\nurl = \"{}\"\npublic_address = \"a{number}\"\n", gateway.url());
        // Every other one learns of a lapse from the stream, at once.
        config += &format!("stream.enabled = {}\n", number % 2 == 1);
        all.push(gateway);
    }
    let daemon = Daemon::run(&config);
    let mut measuring: Vec<(String, Program, JoinHandle<()>)> = Vec::new();
    for (number, gateway) in all.into_iter().enumerate() {
        let (name, url, socket) = (format!("g{number}"), gateway.url(), daemon.socket());
        let mut states = daemon.states(&name);
        states.becomes("live").await;
        let program = if number < gateways {
            Program::start(&["with", "--socket", &socket, "--url", &url, &name])
        } else {
            Program::start(&["without", &url])
        };
        measuring.push((name, program, spawn_local(lapse(gateway, states, number, lapses))));
    }
    let (mut notified, mut listening) = (Vec::new(), Orders::default());
    let mut without = Orders::default();
    for (name, program, lapsing) in measuring {
        lapsing.await.unwrap();
        sleep(Duration::from_secs(1)).await;
        let (notes, changes) = (program.notes.borrow(), daemon.changes(&name));
        if notes.iter().any(|note| !note["live"].is_null()) {
            notified.extend(delays(&notes, &changes));
            listening.count(&notes, &changes);
        } else {
            without.count(&notes, &changes);
        }
    }
    json!({
        "lapses": gateways * lapses,
        "with events": listening.report(),
        "from the log line to the program": times(&notified),
        "without events": without.report(),
    })
}

async fn lapse(gateway: Gateway, mut states: States, number: usize, lapses: usize) {
    for lapse in 0..lapses {
        sleep(Duration::from_millis(1500 + 613 * (number * lapses + lapse) as u64 % 2_000)).await;
        gateway.set("lapse").await;
        states.becomes("live").await;
    }
}

fn seconds(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1000.0
}

/// How long after the log each change reached the program. The first note is about the present state.
fn delays(notes: &[Value], changes: &[(String, Timestamp)]) -> Vec<Duration> {
    let told = notes.iter().filter(|note| !note["live"].is_null()).skip(1);
    let delay = |note: &Value| {
        let (at, is_live) = (note["at"].as_f64().unwrap(), note["live"] == true);
        // The log has milliseconds.
        let known = changes.iter().rfind(|(to, known)| (to == "live") == is_live && seconds(*known) <= at + 0.001);
        Duration::from_secs_f64((at - seconds(known.unwrap().1)).max(0.0))
    };
    told.map(delay).collect()
}

/// The outcomes of the orders of a program.
#[derive(Default)]
struct Orders {
    sent: usize,
    placed: usize,
    asked_about: usize,
    without_session: usize,
    /// Sent after the program was notified of the loss.
    sent_while_lost: usize,
    /// Sent after the daemon knew of the loss.
    sent_while_known: usize,
    /// Placed twice, or never.
    not_placed_once: usize,
}

impl Orders {
    fn count(&mut self, notes: &[Value], changes: &[(String, Timestamp)]) {
        let (mut is_lost, mut placed) = (None, Vec::new());
        for note in notes {
            let at = note["at"].as_f64().unwrap();
            if let Some(is_live) = note["live"].as_bool() {
                is_lost = (!is_live).then_some(at);
                continue;
            }
            self.sent += 1;
            self.sent_while_lost += usize::from(is_lost.is_some_and(|lost| at > lost));
            let known = changes.iter().rfind(|(_, known)| seconds(*known) <= at);
            self.sent_while_known += usize::from(known.is_some_and(|(to, _)| to != "live"));
            match note["outcome"].as_str().unwrap() {
                "placed" => placed.push(note["order"].as_str().unwrap()),
                "question" => self.asked_about += 1,
                _ => self.without_session += 1,
            }
        }
        self.placed += placed.len();
        let number = |order: &&str| order.rsplit('-').next().unwrap().parse::<usize>().unwrap();
        let numbers: Vec<usize> = placed.iter().map(number).collect();
        self.not_placed_once += (1..=numbers.last().copied().unwrap_or_default())
            .filter(|number| numbers.iter().filter(|placed| *placed == number).count() != 1)
            .count();
    }

    fn report(&self) -> Value {
        json!({
            "requests": self.sent,
            "placed": self.placed,
            "stuck on a question": self.asked_about,
            "answered that there is no session": self.without_session,
            "sent after the program was notified of the loss": self.sent_while_lost,
            "sent after the daemon knew of the loss": self.sent_while_known,
            "orders not placed exactly once": self.not_placed_once,
        })
    }
}
