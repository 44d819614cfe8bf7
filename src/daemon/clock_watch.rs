//! Detects that the host slept or that its clock was set, without waking up for anything else.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::polled_fd::polled;

/// A timer on the wall clock that never expires and that the kernel cancels when the clock jumps, which it also does when
/// the host resumes. Without such a timer in the kernel, nothing is reported.
#[derive(Debug)]
pub(super) struct ClockWatch {
    timer: Option<AsyncFd<OwnedFd>>,
}

impl ClockWatch {
    pub(super) fn start() -> Self {
        Self { timer: timer().ok() }
    }

    /// Waits until the clock jumps.
    pub(super) async fn jumped(&self) {
        let Some(timer) = &self.timer else { return std::future::pending().await };
        loop {
            let Ok(mut ready) = timer.readable().await else { return std::future::pending().await };
            match rustix::io::read(timer.get_ref(), &mut [0; 8]) {
                Err(Errno::CANCELED) => return,
                Ok(_) | Err(_) => ready.clear_ready(),
            }
        }
    }
}

fn timer() -> std::io::Result<AsyncFd<OwnedFd>> {
    let timer = timerfd_create(TimerfdClockId::Realtime, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
    let never = Timespec { tv_sec: FAR_FUTURE, tv_nsec: 0 };
    let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: never };
    timerfd_settime(&timer, TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET, &once)?;
    polled(timer, Interest::READABLE)
}

/// The year 2200, in seconds since 1970.
const FAR_FUTURE: i64 = 7_258_118_400;
