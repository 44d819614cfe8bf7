//! Supervised for real: whatever ends or hangs comes back in time, a gateway that hangs changes nothing, nothing bursts.

use std::env;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::machine::{Base, Machine};

const PING: &str = "/v1/api/tickle";

/// A daemon that watches a live session and asks often; `service` are lines for its unit.
fn watching(service: &str) -> Option<Machine> {
    let machine = Machine::boot(Base::Host)?;
    machine.write(
        "/etc/tickled/tickled.toml",
        "[maintenance]\nwindow = []\n[gateway.main]\nurl = \"https://127.0.0.1:5000\"\n[session]\ncheck_every = \"1s\"\nping_every = \"1s\"\n",
    );
    machine.install();
    if !service.is_empty() {
        machine.write("/etc/systemd/system/tickled.service.d/test.conf", &format!("[Service]\n{service}\n"));
        machine.ok("systemctl daemon-reload");
    }
    machine.simulate();
    machine.ok("systemctl start tickled");
    assert_eq!(machine.shows("StatusText"), "live: main");
    machine.until("a ping", || machine.asked_for(PING) > 0);
    Some(machine)
}

#[test]
fn started_is_said_when_the_first_answers_have_come_and_not_before() {
    let Some(machine) = Machine::boot(Base::Host) else { return };
    machine.install();
    machine.simulate();
    machine.set("delay?path=/v1/api/iserver/auth/status&after=3s&who=client");
    let began = Instant::now();
    machine.ok("systemctl start tickled");
    let took = began.elapsed();
    assert!((Duration::from_secs(3)..Duration::from_secs(20)).contains(&took), "{took:?}");
    assert_eq!(machine.shows("StatusText"), "live: main");

    // A gateway that says nothing does not keep the daemon from starting, and is not taken for live.
    machine.ok("systemctl stop tickled");
    machine.set("hang?path=*&times=always&who=client");
    let began = Instant::now();
    machine.ok("systemctl start --no-block tickled");
    machine.until("a start", || machine.shows("ActiveState") == "activating");
    let waiting = machine.shows("StatusText");
    assert!(waiting.starts_with("waiting") || waiting.starts_with("starting: main"), "{waiting}");
    machine.until("the end of the start", || machine.shows("ActiveState") == "active");
    let took = began.elapsed();
    assert!((Duration::from_secs(9)..Duration::from_secs(40)).contains(&took), "{took:?}");
    assert!(!machine.shows("StatusText").contains("live"), "{}", machine.shows("StatusText"));
    let began = Instant::now();
    machine.ok("systemctl stop tickled");
    assert!(began.elapsed() < Duration::from_secs(9), "in the middle of a request: {:?}", began.elapsed());
    assert_eq!(machine.shows("Result"), "success");
}

#[test]
fn a_wrong_configuration_waits_for_a_human() {
    let Some(machine) = Machine::boot(Base::Host) else { return };
    machine.install();
    // At any hour: it is refused.
    machine.write("/etc/tickled/tickled.toml", "[gateway.main]\nurl = \"ftp://x\"\n");
    assert_ne!(machine.run("systemctl start tickled").code, Some(0));
    sleep(Duration::from_secs(3));
    assert_eq!(machine.shows("ActiveState"), "failed");
    assert_eq!(machine.shows("ExecMainStatus"), "78");
    assert_eq!(machine.shows("NRestarts"), "0");
    assert!(machine.log().contains("ftp://"), "{}", machine.log());
}

#[test]
fn killed_it_pings_again_soon() {
    let Some(machine) = watching("") else { return };
    machine.ok("systemctl kill --signal=KILL tickled");
    machine.until("a restart", || machine.shows("NRestarts") == "1");
    let asked = machine.asked_for(PING);
    machine.within(Duration::from_secs(20), "a ping", || machine.asked_for(PING) > asked);
    machine.until("started", || machine.shows("ActiveState") == "active");
    assert_eq!(machine.shows("StatusText"), "live: main");
}

#[test]
fn hung_it_is_killed_by_the_watchdog_and_pings_again() {
    let Some(machine) = watching("WatchdogSec=4") else { return };
    machine.ok("systemctl kill --kill-who=main --signal=STOP tickled");
    sleep(Duration::from_millis(200));
    let asked = machine.asked_for(PING);
    let limit = Duration::from_secs(4 + 20);
    machine.within(limit, "a ping", || machine.asked_for(PING) > asked);
    assert_eq!(machine.shows("NRestarts"), "1");
    assert!(machine.log().contains("Watchdog timeout"), "{}", machine.log());
}

/// So many seconds as the variable says, or `short`; and whether it says anything.
fn seconds(variable: &str, short: u64) -> (Duration, bool) {
    let said = env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable}={text}")));
    (Duration::from_secs(said.unwrap_or(short)), said.is_some())
}

#[test]
fn a_gateway_that_hangs_is_no_reason_to_restart() {
    // Ten times the watchdog's patience, as ten minutes are with the unit's own: HANG=600.
    let (hangs, in_full) = seconds("HANG", 20);
    let Some(machine) = watching(if in_full { "" } else { "WatchdogSec=2" }) else { return };
    let pid = machine.shows("MainPID");
    machine.set("hang?path=*&times=always&who=client");
    let began = Instant::now();
    machine.within(Duration::from_secs(60), "unavailable", || machine.shows("StatusText").starts_with("unavailable"));
    sleep(hangs.saturating_sub(began.elapsed()));
    assert_eq!(machine.shows("MainPID"), pid);
    assert_eq!(machine.shows("NRestarts"), "0");
    assert_eq!(machine.shows("ActiveState"), "active");
    assert!(machine.entries(&[("TICKLED_EVENT", "driver-late")]).is_empty());
}

#[test]
fn stopped_for_a_while_it_looks_once_and_does_not_make_up_for_it() {
    // As if suspended. Five minutes, of which a watchdog must not hear: STOPPED=300.
    let (stopped, in_full) = seconds("STOPPED", 15);
    let Some(machine) = watching(if in_full { "WatchdogSec=1h" } else { "" }) else { return };
    machine.ok("systemctl kill --signal=STOP tickled");
    sleep(stopped);
    let asked = machine.asked_for("");
    machine.ok("systemctl kill --signal=CONT tickled");
    let began = Instant::now();
    machine.until("checks and pings", || machine.asked_for("") >= asked + 3);
    sleep(Duration::from_secs(3));
    let more = machine.asked_for("") - asked;
    // One check and one ping a second, and none of the thirty that were missed.
    let most = 4 + 2 * usize::try_from(began.elapsed().as_secs()).unwrap();
    assert!(more <= most, "{more} requests\n{}", machine.log());
    assert_eq!(machine.shows("NRestarts"), "0");
    assert!(machine.entries(&[("TICKLED_EVENT", "alert")]).is_empty());
}
