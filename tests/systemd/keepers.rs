//! Two instances, one of them the service: the second one ends, and the service takes over when the first is gone.

use std::time::{Duration, Instant};

use crate::machine::{Base, Machine};

const BY_HAND: &str = "tickled run --config /etc/tickled/tickled.toml";

#[test]
fn whoever_comes_second_ends_and_takes_nothing_from_the_first() {
    let Some(machine) = Machine::boot(Base::Host) else { return };
    machine.install();
    machine.simulate();
    machine.ok("systemctl start tickled");
    let pid = machine.shows("MainPID");
    // By hand, as root and as a user outside of the group.
    for who in ["", "setpriv --reuid=4242 --regid=4242 --clear-groups env XDG_RUNTIME_DIR=/tmp/of-4242 "] {
        let second = machine.run(&format!("{who}{BY_HAND}"));
        assert_eq!(second.code, Some(69), "{second:?}");
        assert!(second.err.contains(&format!("process {pid}")), "{second:?}");
    }
    machine.ok("systemctl stop tickled");

    machine.ok(&format!("systemd-run --quiet --unit=first {BY_HAND}"));
    machine.until("the first", || machine.run("tickled status").out.contains("live"));
    let first = machine.ok("systemctl show --value --property=MainPID first");
    let began = Instant::now();
    machine.ok("systemctl start --no-block tickled");
    machine.until("a status line", || machine.shows("StatusText").contains(&format!("process {first}")));
    // It ends in the time that a start may take, is started anew, and finds the same.
    machine.within(Duration::from_secs(45), "another try", || machine.shows("NRestarts") == "1");
    assert!(began.elapsed() > Duration::from_secs(20), "{:?}", began.elapsed());
    assert!(machine.log().contains("status=69/UNAVAILABLE"), "{}", machine.log());
    machine.until("the second wait", || machine.entries(&[("TICKLED_EVENT", "gateway-locked")]).len() == 2);
    assert!(machine.entries(&[("TICKLED_EVENT", "gateway-watched")]).len() == 1, "{}", machine.log());
    machine.ok("tickled status");
    machine.ok("systemctl stop first");
    machine.within(Duration::from_secs(60), "the service takes over", || machine.shows("ActiveState") == "active");
    assert_eq!(machine.shows("StatusText"), "live: main");
}
