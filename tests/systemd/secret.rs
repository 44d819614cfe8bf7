//! A secret by `LoadCredential=`: the daemon has it, and no one else sees it.

use std::time::Duration;

use crate::machine::{Base, Machine, binary, on_both};

#[test]
fn a_webhooks_address_reaches_the_daemon_and_nothing_else() {
    on_both(is_kept);
}

fn is_kept(base: Base) {
    let Some(machine) = Machine::boot(base) else { return };
    machine.write(
        "/etc/tickled/tickled.toml",
        "[gateway.main]\nurl = \"https://127.0.0.1:5000\"\n[session]\ncheck_every = \"1s\"\n[maintenance]\nwindow = []\n\
         [[alerts.channel]]\nname = \"hook\"\ntype = \"webhook\"\npreset = \"json\"\nurl_file = \"hook-url\"\n",
    );
    machine.write("/etc/tickled/secrets/hook-url", "http://127.0.0.1:6000/hook/5ec7e7-t0ken\n");
    machine.ok("chmod 700 /etc/tickled/secrets && chmod 600 /etc/tickled/secrets/hook-url");
    machine.write(
        "/etc/systemd/system/tickled.service.d/secrets.conf",
        "[Service]\nLoadCredential=hook-url:/etc/tickled/secrets/hook-url\n",
    );
    machine.install();
    machine.simulate();
    // The receiver of the alert: another simulator, because it records its requests.
    let receiver = "simulate --plain --listen 127.0.0.1:6000 --control 127.0.0.1:6001";
    machine.ok(&format!("systemd-run --quiet --unit=receiver {} {receiver}", binary().display()));
    machine.ok("systemctl start tickled");
    assert_eq!(machine.shows("StatusText"), "live: main");
    machine.set("expire-login");
    machine.within(Duration::from_secs(60), "the alert at its receiver", || {
        let seen = machine.read_at(6001, "requests");
        seen.as_array().unwrap().iter().any(|seen| seen["path"] == "/hook/5ec7e7-t0ken" && seen["method"] == "POST")
    });

    let pid = machine.shows("MainPID");
    let uid = machine.ok(&format!("stat --format=%u /proc/{pid}"));
    assert!((61184..=65519).contains(&uid.parse::<u32>().unwrap()), "a user of its own that is in no file: {uid}");
    assert_eq!(
        machine.run("grep --text --files-with-matches 5ec7e7-t0ke[n] /proc/[0-9]*/environ /proc/[0-9]*/cmdline").out,
        ""
    );
    let journal = machine.ok("journalctl --no-pager --output=export");
    assert!(journal.contains("TICKLED_CODE=login-required"), "{journal}");
    assert!(!journal.contains("5ec7e7-t0ken"), "in the journal");
    assert_eq!(machine.run("systemctl show tickled | grep 5ec7e7").out, "");
    assert_eq!(machine.run("grep --recursive --text 5ec7e7 /var/lib/private/tickled /run/tickled").out, "");
    let warned = machine.entries(&[("TICKLED_EVENT", "secret-exposed")]);
    assert!(warned.is_empty(), "a credential is nobody else's: {warned:?}");
}
