//! The driver as a future: what wakes it, and what a poll that nothing asked for does.

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::time::Duration;

use jiff::Timestamp;
use tickled::driver::{Clock, Driver, DriverCommand, Flow, Port, Received};
use tickled::session::{Now, Policy, Request, StateKind};
use tokio::sync::mpsc;
use tokio::time::{Instant, advance};
use tokio_test::{assert_pending, assert_ready, task};

/// A gateway that never answers.
struct Silent {
    origin: Instant,
    requests: Cell<usize>,
    states: RefCell<Vec<StateKind>>,
}

impl Silent {
    fn new() -> Self {
        Self { origin: Instant::now(), requests: Cell::new(0), states: RefCell::default() }
    }
}

impl Port for &Silent {
    async fn ask(&self, _: Request) -> Received {
        self.requests.set(self.requests.get() + 1);
        pending().await
    }
}

impl Clock for &Silent {
    fn now(&self) -> Now {
        let mono = self.origin.elapsed();
        Now { mono, wall: Timestamp::UNIX_EPOCH + mono }
    }
}

#[tokio::test(start_paused = true)]
async fn a_driver_wakes_for_its_reasons_and_for_no_others() {
    let gateway = Silent::new();
    let (commands, inbox) = mpsc::channel(1);
    let driver = Driver::new("main", "memory", Policy::default(), 7, &gateway, &gateway);
    let mut run = task::spawn(driver.run(inbox, |report| {
        gateway.states.borrow_mut().push(report.snapshot.state.kind());
        Flow::GoOn
    }));
    assert_pending!(run.poll());
    assert_eq!(gateway.requests.get(), 1, "the first poll asks the gateway");
    for _ in 0..100 {
        assert!(!run.is_woken());
        assert_pending!(run.poll());
    }
    assert_eq!(gateway.requests.get(), 1, "a poll without a reason asks nothing");

    commands.try_send(DriverCommand::Pause { until: None }).unwrap();
    assert!(run.is_woken(), "a command wakes it, even in the middle of a request");
    assert_pending!(run.poll());
    let last = *gateway.states.borrow().last().unwrap();
    assert_eq!(last, StateKind::Paused);

    // In a pause without an end it may look at its clocks, and asks nothing.
    for _ in 0..24 {
        advance(Duration::from_secs(3_600)).await;
        assert_pending!(run.poll());
    }
    assert_eq!(gateway.requests.get(), 1);

    drop(commands);
    assert!(run.is_woken());
    let snapshot = assert_ready!(run.poll());
    assert_eq!(snapshot.state.kind(), StateKind::Paused, "it ends when no one can command it, and says how it was");
}
