//! `systemctl reload`: a good file is in force, a bad one changes nothing, and systemd is never left waiting.

use std::time::Duration;

use crate::machine::{Base, Machine, on_both};

const CONFIG: &str = "/etc/tickled/tickled.toml";
const TWO_LINES: &str = "[maintenance]\nwindow = []\n[gateway.main]\nurl = \"https://127.0.0.1:5000\"\n";

#[test]
fn good_bad_unreadable_and_a_hundred_at_once() {
    on_both(reloads);
}

fn reloads(base: Base) {
    let Some(machine) = Machine::boot(base) else { return };
    machine.write(CONFIG, TWO_LINES);
    machine.install();
    machine.simulate();
    machine.ok("systemctl start tickled");
    assert_eq!(machine.shows("StatusText"), "live: main");
    let (pid, connections) = (machine.shows("MainPID"), machine.read("world")["connections"].clone());
    let settled = || {
        machine.until("the end of the reload", || machine.shows("ActiveState") == "active");
        assert_eq!(machine.shows("SubState"), "running");
    };
    let count = |event: &str| machine.entries(&[("TICKLED_EVENT", event)]).len();
    let reload = |event: &str| {
        let before = count(event);
        machine.ok("systemctl reload tickled");
        machine.until(event, || count(event) > before);
        settled();
    };
    let refused = || machine.shows("StatusText").starts_with("the changed configuration is refused");

    machine.write(CONFIG, &format!("{TWO_LINES}[log]\nheartbeat_every = \"10m\"\n"));
    reload("config-reloaded");
    assert_eq!(machine.shows("StatusText"), "live: main");

    machine.write(CONFIG, &format!("{TWO_LINES}[session]\nping_evry = \"1m\"\ncheck_every = 7\n"));
    reload("config-rejected");
    machine.until("a status line that says so", refused);
    assert!(machine.shows("StatusText").ends_with("; live: main"), "{}", machine.shows("StatusText"));
    assert_eq!(count("config-rejected"), 2, "every fault");
    let alert = [("TICKLED_CODE", "config-rejected"), ("TICKLED_PHASE", "raised")];
    assert_eq!(machine.entries(&alert).len(), 1);
    assert_eq!(machine.entries(&alert)[0]["PRIORITY"], "3");

    machine.write(CONFIG, TWO_LINES);
    machine.ok(&format!("chmod 600 {CONFIG}"));
    reload("config-rejected");
    assert!(refused(), "a file that only root may read");
    machine.ok(&format!("rm {CONFIG}"));
    reload("config-rejected");
    assert!(refused(), "no file");

    machine.write(CONFIG, TWO_LINES);
    reload("config-reloaded");
    machine.until("a status line as before", || machine.shows("StatusText") == "live: main");
    let over = [("TICKLED_CODE", "config-rejected"), ("TICKLED_PHASE", "resolved")];
    machine.until("the end of the alert", || machine.entries(&over).len() == 1);

    let descriptors = format!("ls /proc/{pid}/fd | wc -l");
    let before: usize = machine.ok(&descriptors).parse().unwrap();
    machine.ok(&format!("for i in $(seq 100); do kill -HUP {pid}; done"));
    machine.ok("for i in $(seq 10); do systemctl reload tickled & done; wait");
    settled();
    machine.within(Duration::from_secs(60), "no more reloads", || {
        let so_far = count("config-reloaded");
        std::thread::sleep(Duration::from_millis(300));
        count("config-reloaded") == so_far
    });
    settled();
    let after: usize = machine.ok(&descriptors).parse().unwrap();
    assert!(after <= before + 1, "{before} descriptors before, {after} after");

    assert_eq!(machine.shows("MainPID"), pid);
    assert_eq!(machine.shows("NRestarts"), "0");
    assert_eq!(machine.read("world")["connections"], connections, "the connection is the old one");
    assert_eq!(machine.entries(&[("TICKLED_EVENT", "state-changed")]).len(), 1, "live from first to last");
    assert_eq!(machine.asked_for("/v1/api/logout"), 0);
}
