//! The control socket under the unit: for members of the group only.

use crate::machine::{Base, Machine, on_both};

#[test]
fn members_of_the_group_may_ask_and_nobody_else() {
    on_both(may_ask);
}

fn may_ask(base: Base) {
    let Some(machine) = Machine::boot(base) else { return };
    machine.install();
    machine.simulate();
    machine.ok("systemctl start tickled");
    let group = machine.ok("getent group tickled | cut -d: -f3");
    let (member, stranger) = (format!("--groups={group}"), "--clear-groups".to_owned());
    let status = |groups: &str| machine.run(&format!("setpriv --reuid=4242 --regid=4242 {groups} tickled status"));
    let answered = status(&member);
    assert!(answered.code == Some(0) && answered.out.contains("main") && answered.out.contains("live"), "{answered:?}");
    let refused = status(&stranger);
    assert_eq!(refused.code, Some(3), "{refused:?}");
    assert!(!refused.out.contains("live"), "{refused:?}");
    assert_eq!(machine.ok("stat --format='%a %U %G' /run/tickled/control.sock"), "660 tickled-daemon tickled");
    machine.ok(&format!("setpriv --reuid=4242 --regid=4242 {member} tickled pause main"));
    machine.until("the pause", || machine.shows("StatusText").starts_with("paused: main"));
    // What an operator asked for outlives a restart.
    machine.ok("systemctl restart tickled");
    machine.until("the pause", || machine.shows("StatusText").starts_with("paused: main"));
}
