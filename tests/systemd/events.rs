//! Every event that the documentation lists is said by the daemon under systemd, and none that it does not list.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Map, Value};
use tickled::log::journal::name;
use tickled::log::{EVENTS, EventKind, Level};

use crate::machine::{Base, Machine};

/// What cannot be had here, and why; other tests have them.
const ELSEWHERE: &[(&str, &str)] = &[
    ("gateway-locked", "that is said by a second keeper alone"),
    ("lock-unavailable", "systemd makes the folder for the locks before the daemon starts"),
    ("control-closed", "and for the control socket"),
    ("systemd-unreachable", "and names a socket that can be used"),
    ("deadman-ok", "the switch is called once a minute at most, and twice would be needed"),
    ("gateway-restart", "a gateway is wedged only after minutes in which IBKR does not answer it"),
    ("ready", "the deadline of the hours would have to pass meanwhile"),
    ("log-lines-dropped", "only a journal that stalls for a thousand lines loses any"),
    ("config-warning", "the configuration has nothing to warn of"),
    ("runtime-dir-lost", "systemd keeps the directory for as long as the service runs"),
    ("clock-jumped", "the box has no right to set its clock"),
    ("driver-late", "only a fault of the daemon itself leads there"),
    ("channel-lost", "likewise"),
    ("certificate-refused", "the simulator shows one certificate, and trusts it itself"),
    ("method-gone", "the simulator has all methods"),
    ("library-warning", "no library has a reason to complain"),
];

const CONFIG: &str = r#"
[gateway.main]
url = "https://127.0.0.1:5000"
unit = "ibkr.service"
[gateway.main.stream]
enabled = true
[session]
check_every = "1s"
ping_every = "1s"
[maintenance]
window = []
[log]
level = "trace"
heartbeat_every = "10s"
[endpoint]
listen = "127.0.0.1:9780"
[deadman]
url_file = "/etc/tickled/url"
[[alerts.channel]]
name = "speaks"
type = "command"
argv = ["/bin/echo", "told"]
[[alerts.channel]]
name = "refuses"
type = "command"
argv = ["/bin/sh", "-c", "exit 64"]
[[alerts.channel]]
name = "waits"
type = "command"
argv = ["/bin/sh", "-c", "exit 1"]
[[hook]]
name = "runs"
on = ["live"]
argv = ["/bin/echo", "told"]
[[hook]]
name = "fails"
on = ["live"]
argv = ["/bin/false"]
"#;

#[test]
fn every_documented_event_occurs_and_no_other() {
    let Some(machine) = Machine::boot(Base::Host) else { return };
    machine.install();
    // Readable by all users, which is logged, and nothing listens there.
    machine.write("/etc/tickled/url", "http://127.0.0.1:9/\n");
    machine.write("/var/lib/private/tickled/alerts.json", "{");
    machine.write("/var/lib/private/tickled/state.json", "{");
    machine.simulate();
    // The simulator has that port.
    machine.write("/etc/tickled/tickled.toml", &CONFIG.replace("9780", "5001"));
    machine.ok("systemctl start tickled");
    machine.write("/etc/tickled/tickled.toml", CONFIG);
    machine.ok("systemctl restart tickled");
    let said = |event: &str| !machine.entries(&[("TICKLED_EVENT", event)]).is_empty();
    let hears = |event: &str| machine.within(Duration::from_secs(60), event, || said(event));
    hears("endpoint-closed");
    hears("endpoint-open");
    hears("stream-up");
    hears("hook-ran");
    hears("hook-failed");
    machine.set("lapse");
    hears("recovery-step");
    machine.until("live again", || machine.shows("StatusText") == "live: main");
    machine.set("answer?path=/v1/api/tickle&times=2&type=text/plain&who=client");
    hears("answer-not-understood");
    machine.set("streams?are=closed");
    machine.set("restart?down=8s");
    machine.write("/run/tickled-units/ibkr.service", "exit-code\n");
    hears("stream-down");
    hears("unit-down");
    hears("alert");
    hears("alert-sent");
    hears("alert-delayed");
    hears("alert-given-up");
    machine.ok("tickled ack");
    hears("alert-held");
    machine.ok("systemctl reload tickled");
    hears("config-reloaded");
    machine.write("/etc/tickled/tickled.toml", "gateway = 1\n");
    machine.ok("systemctl reload tickled");
    hears("config-rejected");
    machine.ok("tickled pause main");
    hears("operator");
    hears("heartbeat");
    machine.ok("systemctl stop tickled");

    let entries = machine.journal();
    for entry in &entries {
        assert_eq!(fault(entry), None, "{entry:?}");
    }
    let said: BTreeSet<&str> = entries.iter().filter_map(|entry| entry.get("TICKLED_EVENT")?.as_str()).collect();
    let elsewhere: BTreeSet<&str> = ELSEWHERE.iter().map(|(event, _)| *event).collect();
    let documented: BTreeSet<&str> = EVENTS.iter().map(|event| event.name).collect();
    let missing: Vec<&&str> = documented.difference(&said).filter(|event| !elsewhere.contains(**event)).collect();
    assert!(missing.is_empty(), "not said: {missing:?}\n{}", machine.log());
    assert!(elsewhere.is_subset(&documented), "{elsewhere:?}");
}

/// What is wrong with an entry, held against the table of events.
fn fault(entry: &Map<String, Value>) -> Option<String> {
    let text = |field: &str| entry.get(field).and_then(Value::as_str);
    let levels: &[Level] = match text("PRIORITY")? {
        "3" => &[Level::Error],
        "4" => &[Level::Warn],
        "6" => &[Level::Info],
        "7" => &[Level::Debug, Level::Trace],
        other => return Some(format!("priority {other}")),
    };
    let Some(event) = text("TICKLED_EVENT") else {
        return (!levels.contains(&Level::Debug)).then(|| "a line without an event".to_owned());
    };
    let Some(event) = EventKind::named(event) else { return Some(format!("{event} is in no table")) };
    let known = event.fields.iter().chain(event.also).copied();
    let has: Vec<&str> = known.filter(|field| entry.contains_key(&name(field))).collect();
    let names: BTreeSet<String> = has.iter().map(|field| name(field)).collect();
    let stranger =
        entry.keys().find(|key| key.starts_with("TICKLED_") && *key != "TICKLED_EVENT" && !names.contains(*key));
    if let Some(stranger) = stranger {
        return Some(format!("{} has the field {stranger}, which is not in its table", event.name));
    }
    let faults: Vec<Option<String>> = levels.iter().map(|level| event.fault(*level, &has)).collect();
    faults.into_iter().min().flatten()
}
