//! Seen in the journal: its own fields, and what `journalctl -x` makes of them.

use std::time::Duration;

use crate::machine::{Base, Machine, on_both};

#[test]
fn a_lapse_is_taken_back_and_a_lost_login_is_found_by_its_code_and_explained() {
    on_both(is_told);
}

fn is_told(base: Base) {
    let Some(machine) = Machine::boot(base) else { return };
    machine.write(
        "/etc/tickled/tickled.toml",
        "[gateway.main]\nurl = \"https://127.0.0.1:5000\"\n[session]\ncheck_every = \"1s\"\n[maintenance]\nwindow = []\n",
    );
    machine.install();
    machine.simulate();
    machine.ok("systemctl start tickled");
    assert_eq!(machine.shows("StatusText"), "live: main");
    machine.set("lapse");
    let live = [("TICKLED_EVENT", "state-changed"), ("TICKLED_STATE", "live")];
    machine.until("the session is taken back", || machine.entries(&live).len() == 2);
    assert!(machine.entries(&[("TICKLED_EVENT", "alert")]).is_empty(), "not a word for a blip");
    assert_eq!(machine.entries(&live)[0]["PRIORITY"], "6");
    assert_eq!(machine.entries(&live)[0]["MESSAGE_ID"], "32f39516fa194a9ebe045e7280577cac");

    machine.set("expire-login");
    let told = [("TICKLED_EVENT", "alert"), ("TICKLED_CODE", "login-required"), ("TICKLED_GATEWAY", "main")];
    machine.within(Duration::from_secs(60), "an alert", || !machine.entries(&told).is_empty());
    let alert = &machine.entries(&told)[0];
    assert_eq!(alert["PRIORITY"], "3");
    assert_eq!(alert["MESSAGE_ID"], "aef53c820492470bafc53f3d4e6f9c71");
    assert_eq!(alert["TICKLED_PHASE"], "raised");
    assert_eq!(alert["_SYSTEMD_UNIT"], "tickled.service");
    assert_eq!(alert["_TRANSPORT"], "journal", "the journal's own protocol, not a line of standard error");
    let message = alert["MESSAGE"].as_str().unwrap();
    assert!(
        message.starts_with("main: manual login required: ")
            && message.contains("; to do: log in at https://127.0.0.1:5000 "),
        "{message}"
    );
    assert_eq!(machine.ok("journalctl --quiet --output=cat --no-pager TICKLED_CODE=login-required").lines().count(), 1);

    let explained = machine.ok("journalctl --quiet --no-pager --catalog TICKLED_EVENT=alert");
    for part in [
        "░░ Subject: main: manual login required",
        "░░ Defined-By: tickled",
        "IBKR ends every login at midnight of its region",
        "journalctl -u tickled.service TICKLED_GATEWAY=main",
    ] {
        assert!(explained.contains(part), "{part}: {explained}");
    }
    assert!(!explained.contains("@TICKLED"), "{explained}");
    // Everything the daemon says comes once, with its event.
    let streams = machine.ok("journalctl --quiet --no-pager --output=cat --unit=tickled _TRANSPORT=stdout | wc -l");
    assert_eq!(streams, "0", "{}", machine.log());

    machine.set("login");
    machine.ok("systemctl kill --signal=USR1 tickled");
    machine.within(Duration::from_secs(60), "the end of the alert", || {
        !machine.entries(&[("TICKLED_PHASE", "resolved"), ("TICKLED_CODE", "login-required")]).is_empty()
    });
    let over = machine.ok("journalctl --quiet --no-pager --catalog TICKLED_PHASE=resolved");
    assert!(over.contains("Subject: tickled: the alert login-required is over"), "{over}");
}
