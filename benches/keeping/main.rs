//! How fast and how small: the real binary against simulated gateways, in one run. Prints a table, and writes the same
//! as JSON to `target/tmp/keeping.json`. No test depends on it.
//!
//! `cargo bench` takes a quarter of an hour; `BENCH=short cargo bench` a few minutes, with fewer lapses and gateways.
//! `BENCH=programs cargo bench --bench keeping` measures trading programs and listeners, which takes three minutes.
#![expect(clippy::unwrap_used, reason = "a measurement that fails ends")]
#![expect(clippy::print_stdout, reason = "the table is what it is for")]
#![expect(clippy::disallowed_methods, reason = "real processes take real time")]

mod daemon;
mod listeners;
mod readers;
mod relay;
mod trading;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use daemon::{Daemon, Usage};
use readers::Readers;
use relay::Relay;
use serde_json::{Value, json};
use support::Gateway;
use tokio::time::sleep;

/// How much is measured.
struct Size {
    gateways: usize,
    lapses_each: usize,
    watched: Duration,
    crowds: &'static [usize],
    starts: usize,
}

const FULL: Size =
    Size { gateways: 17, lapses_each: 3, watched: Duration::from_secs(180), crowds: &[1, 10, 100, 1000], starts: 20 };
const SHORT: Size =
    Size { gateways: 6, lapses_each: 1, watched: Duration::from_secs(30), crowds: &[1, 10, 100], starts: 5 };

fn main() {
    let what = std::env::var("BENCH").unwrap_or_default();
    let size = if what == "short" { SHORT } else { FULL };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let measured = runtime.block_on(tokio::task::LocalSet::new().run_until(async {
        if what == "programs" { programs().await } else { measure(&size, what == "lapses").await }
    }));
    let file = concat!(env!("CARGO_TARGET_TMPDIR"), "/keeping.json");
    std::fs::write(file, serde_json::to_string_pretty(&measured).unwrap()).unwrap();
    println!("\nwritten to {file}");
}

async fn measure(size: &Size, only_lapses: bool) -> Value {
    let mut all = BTreeMap::new();
    println!("lapse to live                     lapses   median    worst");
    for (name, session) in [("default", ""), ("stream", "stream.enabled = true\n")] {
        let spans = lapses(size, session).await;
        println!("  {name:<30} {:>7} {:>8} {:>8}", spans.len(), shown(median(&spans)), shown(worst(&spans)));
        all.insert(format!("lapse to live, {name}"), times(&spans));
    }
    if only_lapses {
        return json!(all);
    }
    for readers in [0, 60] {
        let spans = lapses_beside(size, readers).await;
        let name = format!("beside {readers} readers of the page");
        println!("  {name:<30} {:>7} {:>8} {:>8}", spans.len(), shown(median(&spans)), shown(worst(&spans)));
        all.insert(format!("lapse to live, {name}"), times(&spans));
    }
    println!("\nexec to live                        runs   median    worst");
    let spans = starts(size).await;
    println!(
        "  {:<30} {:>7} {:>8} {:>8}",
        "gateway within 10 ms",
        spans.len(),
        shown(median(&spans)),
        shown(worst(&spans))
    );
    all.insert("exec to live".to_owned(), times(&spans));
    let watched = live(size).await;
    println!("\none live gateway, a minute: {watched}");
    all.insert("one live gateway".to_owned(), watched);
    println!("\ngateways   resident   threads   connections   latest ping");
    let mut crowds = Vec::new();
    for gateways in size.crowds {
        let crowd = crowd(*gateways, size.watched).await;
        println!(
            "{gateways:>8} {:>7} KiB {:>9} {:>13} {:>10} ms",
            crowd["resident_kib"], crowd["threads"], crowd["connections"], crowd["latest_ping_ms"]
        );
        crowds.push(crowd);
    }
    all.insert("crowds".to_owned(), json!(crowds));
    json!(all)
}

/// Trading programs through lapses, and programs that only listen.
async fn programs() -> Value {
    let number = |name: &str, usual| std::env::var(name).ok().and_then(|number| number.parse().ok()).unwrap_or(usual);
    let listeners = listeners::measure(number("LISTENERS", 1000)).await;
    println!("listeners: {listeners:#}");
    let trading = trading::measure(number("TRADERS", 10), number("LAPSES", 20)).await;
    println!("trading: {trading:#}");
    json!({ "listeners": listeners, "trading": trading })
}

/// Many gateways, each of which loses its session at moments of its own, and never so often that an hour's budget of
/// reauthentications is spent.
async fn lapses(size: &Size, session: &str) -> Vec<Duration> {
    let mut gateways = Vec::new();
    let mut config = String::new();
    for number in 0..size.gateways {
        let gateway = Gateway::logged_in().await;
        config += &format!("[gateway.g{number}]\nurl = \"{}\"\npublic_address = \"a{number}\"\n", gateway.url());
        config += session;
        gateways.push(gateway);
    }
    let daemon = Daemon::run(&config);
    let mut measuring = Vec::new();
    for (number, gateway) in gateways.into_iter().enumerate() {
        let mut states = daemon.states(&format!("g{number}"));
        let lapses = size.lapses_each;
        measuring.push(tokio::task::spawn_local(async move {
            let mut spans = Vec::new();
            states.becomes("live").await;
            for lapse in 0..lapses {
                // Anywhere between two checks, and after the stream has had its ping to begin with.
                sleep(Duration::from_millis(3000 + 613 * (number * lapses + lapse) as u64 % 10_000)).await;
                gateway.set("lapse").await;
                let since = Instant::now();
                states.becomes("live").await;
                spans.push(since.elapsed());
            }
            spans
        }));
    }
    let mut spans = Vec::new();
    for measured in measuring {
        spans.extend(measured.await.unwrap());
    }
    spans
}

/// The same while as many as that read the page of a long history without a pause.
async fn lapses_beside(size: &Size, readers: usize) -> Vec<Duration> {
    let gateway = Gateway::logged_in().await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = format!(
        "[endpoint]\nlisten = \"127.0.0.1:{port}\"\n[gateway.g]\nurl = \"{}\"\nsession.check_every = \"2s\"\n",
        gateway.url()
    );
    let daemon = Daemon::with_history(&config, 15_000);
    let mut states = daemon.states("g");
    states.becomes("live").await;
    let readers = Readers::start(port, readers);
    let mut spans = Vec::new();
    for lapse in 0..size.lapses_each + 2 {
        sleep(Duration::from_millis(5000 + 613 * lapse as u64 % 2_000)).await;
        gateway.set("lapse").await;
        let since = Instant::now();
        states.becomes("live").await;
        spans.push(since.elapsed());
    }
    if readers.pages() > 0 {
        println!("  ({} pages were read)", readers.pages());
    }
    spans
}

/// From the start of the process to the line that says live.
async fn starts(size: &Size) -> Vec<Duration> {
    let gateway = Gateway::logged_in().await;
    gateway.set("latency?is=10ms").await;
    let mut spans = Vec::new();
    for _ in 0..size.starts {
        let since = Instant::now();
        let daemon = Daemon::run(&format!("[gateway.g]\nurl = \"{}\"\n", gateway.url()));
        daemon.states("g").becomes("live").await;
        spans.push(since.elapsed());
    }
    spans
}

/// What one live gateway costs.
async fn live(size: &Size) -> Value {
    let gateway = Gateway::logged_in().await;
    let relay = Relay::to(gateway.addresses.gateway).await;
    let daemon = Daemon::run(&format!("[gateway.g]\nurl = \"https://127.0.0.1:{}\"\n", relay.port));
    daemon.states("g").becomes("live").await;
    sleep(Duration::from_secs(5)).await;
    let (before, requests, bytes) = (daemon.usage(), gateway.asked().await.len(), relay.bytes());
    sleep(size.watched).await;
    let (after, minutes) = (daemon.usage(), size.watched.as_secs_f64() / 60.0);
    let requests = (gateway.asked().await.len() - requests) as f64 / minutes;
    let bytes = relay.bytes() - bytes;
    // Paused it asks nothing, so what still wakes it is not a request's own.
    daemon.pause("g").await;
    sleep(Duration::from_secs(5)).await;
    let resting = daemon.usage();
    sleep(size.watched).await;
    let own_wakeups = (daemon.usage().switches - resting.switches) as f64 / minutes;
    let wakeups = (after.switches - before.switches) as f64 / minutes;
    json!({
        "requests_a_minute": requests,
        "wakeups_a_minute": wakeups,
        "wakeups_a_minute_without_requests": own_wakeups,
        "cpu_ms_a_minute": (after.cpu_ms - before.cpu_ms) as f64 / minutes,
        "requests_an_hour": requests * 60.0,
        "bytes_an_hour": bytes as f64 / minutes * 60.0,
        "resident_kib": after.resident_kib,
        "threads": after.threads,
    })
}

/// What many cost in one process, each at an address of its own in front of one simulated gateway; and how much later
/// than a minute after the last the latest ping was sent.
async fn crowd(gateways: usize, watched: Duration) -> Value {
    let gateway = Gateway::logged_in().await;
    let relay = Relay::to(gateway.addresses.gateway).await;
    let mut config = "[log]\nlevel = \"trace\"\n".to_owned();
    for number in 0..gateways {
        let (high, low) = (number / 200, number % 200 + 1);
        config += &format!(
            "[gateway.g{number}]\nurl = \"https://127.0.{high}.{low}:{}\"\npublic_address = \"a{number}\"\n",
            relay.port
        );
    }
    let daemon = Daemon::run(&config);
    for number in 0..gateways {
        daemon.states(&format!("g{number}")).becomes("live").await;
    }
    sleep(watched).await;
    let Usage { resident_kib, threads, .. } = daemon.usage();
    let late = daemon.latest_ping(Duration::from_secs(60));
    json!({
        "gateways": gateways,
        "resident_kib": resident_kib,
        "threads": threads,
        "connections": relay.connections(),
        "latest_ping_ms": late.map(|late| late.as_millis()),
    })
}

pub(crate) fn median(spans: &[Duration]) -> Duration {
    let mut sorted = spans.to_vec();
    sorted.sort();
    sorted[sorted.len() / 2]
}

pub(crate) fn worst(spans: &[Duration]) -> Duration {
    spans.iter().max().copied().unwrap()
}

pub(crate) fn times(spans: &[Duration]) -> Value {
    json!({ "count": spans.len(), "median_ms": median(spans).as_millis(), "worst_ms": worst(spans).as_millis() })
}

fn shown(span: Duration) -> String {
    format!("{:.2} s", span.as_secs_f64())
}
