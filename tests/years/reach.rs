//! What reaches IBKR, and what the gateway holds: counted where it arrives, not where it is sent.

use std::time::Duration;

use tickled::session::{Machine, State, Unavailability};
use tickled::simulator::world::{Route, Who, World};

use support::rules::{Verdict, minute, second};

/// The requests of ours that reached IBKR, by the outages in which they did.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    seen: u64,
    is_silent: bool,
    /// In the present silence, or the last one.
    pub(crate) in_silence: usize,
    /// When IBKR last came back, and how many arrived in the second after.
    back_at: Option<Duration>,
    pub(crate) in_first_second: usize,
    /// How many an earlier daemon lost sight of, because it was killed within five seconds of sending them.
    pub(crate) lost: usize,
    /// The gateway's process: another one holds nothing.
    process: u32,
    /// When all of the gateway's connections were taken while IBKR answers.
    wedged_since: Option<Duration>,
    pub(crate) silences: u64,
    pub(crate) wedges: u64,
}

/// The paths that only our side asks for.
pub(crate) const fn is_ours(who: Who, route: &Route) -> bool {
    matches!(who, Who::Client)
        && matches!(route, Route::Tickle | Route::Status | Route::Init | Route::Validate | Route::Accounts)
}

impl Reach {
    /// Judges what has arrived since the last time.
    pub(crate) fn watch(&mut self, world: &World, at: Duration, is_silent: bool) -> Verdict {
        let arrived = world.load().arrived;
        let new = usize::try_from(arrived - self.seen).unwrap();
        self.seen = arrived;
        if is_silent != self.is_silent {
            self.is_silent = is_silent;
            self.silences += u64::from(is_silent);
            (self.back_at, self.in_first_second) = ((!is_silent).then_some(at), 0);
            if is_silent {
                self.in_silence = 0;
            }
        }
        if self.process != world.truth().process {
            (self.process, self.in_silence, self.lost) = (world.truth().process, 0, 0);
        }
        let ours = world.arrivals().rev().take(new).filter(|arrival| is_ours(arrival.who, &arrival.route));
        for arrival in ours {
            if is_silent {
                self.in_silence += 1;
            } else if self.back_at.is_some_and(|back| arrival.at < back + second(1)) {
                self.in_first_second += 1;
            }
        }
        if is_silent && self.in_silence > 2 + self.lost {
            return Err(format!("{} of our requests have reached IBKR while it is silent", self.in_silence));
        }
        if self.in_first_second > 3 + self.lost {
            return Err(format!("{} of our requests in the second after IBKR's return", self.in_first_second));
        }
        let held = world.held().filter(|(who, route)| is_ours(*who, route)).count();
        // One may go first when IBKR is back, and a kind of request that IBKR alone leaves unanswered is sent four times.
        if held > if is_silent { 2 } else { 4 } + self.lost {
            return Err(format!("the gateway holds {held} of our requests"));
        }
        if held == 0 && !is_silent {
            self.lost = 0;
        }
        Ok(())
    }

    /// The operator says that IBKR is back: what is held counts as gone.
    pub(crate) fn resumed(&mut self, world: &World) {
        self.lost += world.held().filter(|(who, route)| is_ours(*who, route)).count();
    }

    /// Another daemon has to find out for itself. Where more than the budget is held it may send one request more.
    pub(crate) fn restarted(&mut self, world: &World, lost: usize) {
        let held = world.held().filter(|(who, route)| is_ours(*who, route)).count();
        self.lost += lost + usize::from(held > 2);
        self.wedged_since = None;
    }

    /// A gateway whose connections are all taken while IBKR answers is recognised within five minutes, where IBKR's host shows
    /// its return; elsewhere with the next websocket.
    pub(crate) fn recognised(&mut self, world: &World, at: Duration, machine: &Machine, is_excused: bool) -> Verdict {
        let truth = world.truth();
        if !(truth.wedged && truth.reachable && truth.listening) || is_excused || !machine.policy().knows_ibkr_host {
            self.wedged_since = None;
            return Ok(());
        }
        self.wedges += u64::from(self.wedged_since.is_none());
        let since = *self.wedged_since.get_or_insert(at);
        let is_known = machine.facts().trouble == Some(Unavailability::GatewayWedged);
        if at > since + minute(5) && !is_known {
            return Err(format!("wedged since {since:?}, and that is not known: {:?}", machine.state()));
        }
        if at > since + minute(2) && matches!(machine.state(), State::Recovering { .. }) {
            return Err("a recovery through a wedged gateway".to_owned());
        }
        Ok(())
    }
}
