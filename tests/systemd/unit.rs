//! The gateway's own unit: what systemd says of it, how an alert says so, and that it lets a gateway run.

use std::time::Duration;

use jiff::Timestamp;
use support::{Said, said};
use tickled::alert::{AlertInput as Told, Settings, Tracker};
use tickled::session::{Input, Machine, Now, Policy, State, Unavailability};
use tickled::status::Snapshot;
use tickled::systemd::unit::{How, UnitDown, read};

use crate::machine::{Base, Machine as Box, binary, lacks, on_both};

#[test]
fn the_last_word_of_a_unit_is_understood() {
    let how = |result: &str| read("g.service", result).map(|down| down.how);
    assert_eq!(how("oom-kill\n"), Some(How::Failed { result: "oom-kill".to_owned() }));
    assert_eq!(how("success\n"), Some(How::Stopped));
    for nonsense in ["", "\n", "Exit Code", "a\nb", &"x".repeat(33)] {
        assert_eq!(how(nonsense), None, "{nonsense:?}");
    }
}

#[test]
fn the_alert_says_that_the_unit_has_failed_and_what_to_do() {
    let told = alert(Some(How::Failed { result: "exit-code".to_owned() }));
    assert_eq!(told.0, "unit-failed");
    assert_eq!(
        told.1,
        "nothing listens on the gateway's port 5000, and its unit ibkr-gateway.service has failed (exit-code)"
    );
    let start = "start the gateway with `systemctl start ibkr-gateway.service`, then log in at https://localhost:5000 ";
    assert!(told.2.starts_with(start), "{}", told.2);
    assert!(told.2.contains("Why it failed: `journalctl -eu ibkr-gateway.service`"), "{}", told.2);
    assert_eq!(alert(Some(How::Stopped)).0, "unit-stopped");
    assert_eq!(alert(None).0, "nothing-listens");
}

/// Cause, sentence and remedy of the alert about a gateway at which nothing listens for as long as that takes.
fn alert(how: Option<How>) -> (String, String, String) {
    let noon: Timestamp = "2026-11-25T12:00:00Z".parse().unwrap();
    let at = |seconds: i64| Now {
        mono: Duration::from_secs(seconds.unsigned_abs()),
        wall: noon + jiff::SignedDuration::from_secs(seconds),
    };
    let mut machine = Machine::new(Policy::default(), 1, at(0));
    let request = machine.step(at(0), Input::Wake).request.unwrap();
    let plan = machine.step(at(0), said(request, Said::Unavailable(Unavailability::NothingListens)));
    assert_eq!(machine.state(), State::Unavailable(Unavailability::NothingListens));
    let mut snapshot = Snapshot::of("main", "https://localhost:5000", &machine, &plan, at(0), None);
    snapshot.unit = how.map(|how| UnitDown { unit: "ibkr-gateway.service".to_owned(), how });
    let mut tracker = Tracker::new(Settings::default(), "HOST");
    assert!(tracker.step(at(0), Told::Snapshot(&snapshot)).notices.is_empty());
    let mut told = tracker.step(at(200), Told::Wake).notices;
    assert_eq!(told.len(), 1);
    let notice = told.remove(0);
    (notice.reason, notice.summary, notice.action)
}

#[test]
fn a_gateway_runs_as_a_unit_and_its_end_is_told() {
    on_both(runs);
}

fn runs(base: Base) {
    let Some(machine) = Box::boot(base) else { return };
    machine.ok("install -D -m 644 systemd/ibkr-gateway.service /etc/systemd/system/ibkr-gateway.service");
    // No five restarts with ten seconds between them while a test waits.
    machine.write("/etc/systemd/system/ibkr-gateway.service.d/test.conf", "[Service]\nRestartSec=50ms\n");
    machine.write("/opt/ibkr-gateway/root/conf.yaml", "listenPort: 5000\n");
    machine.write(
        "/opt/ibkr-gateway/bin/run.sh",
        "#!/bin/sh\ncat $1 >logs/gw.log && cat /proc/meminfo >/dev/null && exec bin/gateway simulate --listen 127.0.0.1:5000 --control 127.0.0.1:5001\n",
    );
    // A copy, because the unit sees neither a home nor the host's /tmp, and the program may have been built there.
    machine.ok(&format!("install -m 755 {} /opt/ibkr-gateway/bin/gateway", binary().display()));
    machine.ok("chmod +x /opt/ibkr-gateway/bin/run.sh && systemctl daemon-reload");
    let verified = machine.run("systemd-analyze verify --man=no ibkr-gateway.service");
    assert_eq!((verified.code, verified.out.as_str(), verified.err.as_str()), (Some(0), "", ""));
    machine.ok("systemctl start ibkr-gateway");
    machine.until("a gateway", || machine.run("exec 3<>/dev/tcp/127.0.0.1/5001").code == Some(0));
    assert_eq!(machine.ok("cat /var/log/private/ibkr-gateway/gw.log"), "listenPort: 5000");
    assert_ne!(machine.run("setpriv --reuid=65534 --clear-groups ls /var/log/ibkr-gateway/").code, Some(0));
    let exposure = machine.ok("systemd-analyze security --no-pager ibkr-gateway | tail -1");
    let number: f64 = exposure.split_whitespace().find_map(|word| word.parse().ok()).unwrap();
    assert!(number <= 1.6, "{exposure}");

    machine.install();
    let config = "[maintenance]\nwindow = []\n[gateway.main]\nurl = \"https://127.0.0.1:5000\"\nunit = \"ibkr-gateway.service\"\n[session]\ncheck_every = \"1s\"\n";
    machine.write("/etc/tickled/tickled.toml", config);
    machine.set("login");
    machine.until("a session", || machine.read("world")["truth"]["live"] == true);
    machine.ok("systemctl start tickled");
    assert_eq!(machine.shows("StatusText"), "live: main");
    let down = |because: &str| machine.entries(&[("TICKLED_EVENT", "unit-down"), ("TICKLED_BECAUSE", because)]);

    machine.ok("systemctl stop ibkr-gateway");
    assert_eq!(machine.ok("systemctl is-failed ibkr-gateway || :"), "inactive", "stopped is not failed");
    machine.within(Duration::from_secs(60), "the unit is known to be stopped", || !down("unit-stopped").is_empty());
    assert_eq!(down("unit-stopped")[0]["TICKLED_UNIT"], "ibkr-gateway.service");
    assert_eq!(down("unit-stopped")[0]["PRIORITY"], "4");
    assert_eq!(machine.shows("ActiveState"), "active", "the daemon outlives its gateway");

    machine.write("/opt/ibkr-gateway/bin/run.sh", "#!/bin/sh\nexit 3\n");
    machine.run("systemctl start ibkr-gateway");
    machine.until("systemd gives it up", || machine.run("systemctl is-failed ibkr-gateway").out.trim() == "failed");
    machine.within(Duration::from_secs(60), "the unit is known to have failed", || !down("unit-failed").is_empty());
    assert!(
        down("unit-failed")[0]["MESSAGE"].as_str().unwrap().contains("has failed (exit-code)"),
        "{}",
        machine.log()
    );
    assert_eq!(machine.shows("NRestarts"), "0");
}

#[test]
fn java_runs_in_the_gateways_unit() {
    let Some(machine) = Box::boot(Base::Host) else { return };
    if machine.run("java --list-modules | grep --quiet jdk.compiler").code != Some(0) {
        lacks("java", "no Java here that runs a program from its source: install a JDK");
        return;
    }
    machine.ok("install -D -m 644 systemd/ibkr-gateway.service /etc/systemd/system/ibkr-gateway.service");
    machine.write(
        "/opt/ibkr-gateway/Gateway.java",
        "import com.sun.net.httpserver.HttpServer;\nimport java.net.InetSocketAddress;\nimport java.nio.file.*;\n\
         public class Gateway { public static void main(String[] args) throws Exception {\n\
         Files.writeString(Path.of(\"logs/gw.log\"), \"heap \" + Runtime.getRuntime().maxMemory());\n\
         Thread.currentThread().setPriority(Thread.MAX_PRIORITY);\n\
         HttpServer server = HttpServer.create(new InetSocketAddress(5000), 0);\n\
         server.createContext(\"/\", exchange -> { exchange.sendResponseHeaders(404, -1); exchange.close(); });\n\
         server.start(); } }\n",
    );
    machine.write("/opt/ibkr-gateway/bin/run.sh", "#!/bin/bash\njava -server Gateway.java \"$1\"\n");
    machine.ok("chmod +x /opt/ibkr-gateway/bin/run.sh && systemctl daemon-reload && systemctl start ibkr-gateway");
    machine.within(Duration::from_secs(60), "Java listens", || {
        machine.run("exec 3<>/dev/tcp/127.0.0.1/5000").code == Some(0)
    });
    assert!(machine.ok("cat /var/log/private/ibkr-gateway/gw.log").starts_with("heap "));
    machine.ok("systemctl stop ibkr-gateway");
    assert_eq!(
        machine.ok("systemctl show --value --property=Result ibkr-gateway"),
        "success",
        "ended by SIGTERM is no failure"
    );
}
