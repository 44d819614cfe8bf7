//! What depends on more of the past than a row of the table has room for.

use std::time::Duration;

use tickled::session::{
    Account, Accounts, Address, Cause, Flapping, Input, Method, Now, Observation, Policy, Recovery, Request, Sso,
    State, Step, Trouble,
};

use super::situation::{COMPETING, EMPTY, GOOD, LOST, Situation, USABLE, VALID, live_until};

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

const ERROR: Observation = Observation::Trouble(Trouble::IbkrError);

/// A policy with these methods and so many attempts.
fn recovering(methods: &[Method], attempts: u8) -> Policy {
    let recovery = Recovery { methods: methods.to_vec(), attempts, ..Policy::default().recovery };
    Policy { recovery, ..Policy::default() }
}

impl Situation {
    fn new() -> Self {
        Self::start(7)
    }

    fn state(&self) -> State {
        self.machine.state()
    }

    /// How long until the machine asks something, what, and the situation in which it does.
    fn next(mut self) -> (Duration, Request, Self) {
        let at = self.now.mono;
        while self.plan.request.is_none() {
            let left = self.plan.wake_at.saturating_sub(self.now.mono);
            self = self.wait(left).step(Input::Wake);
        }
        let request = self.plan.request.unwrap();
        (self.now.mono - at, request, self)
    }

    /// Answers what is asked as a gateway does where all is well.
    fn answered_well(self) -> Self {
        let request = self.plan.request.unwrap();
        let observation = match request {
            Request::Check | Request::Ping | Request::OpenBrokerage { .. } => Observation::Status(GOOD),
            Request::Accounts => Observation::Accounts(USABLE),
            Request::ValidateSso => Observation::Sso(VALID),
            Request::IsListening => Observation::Listening,
            Request::Reauthenticate => Observation::Accepted,
            Request::EndSession => Observation::Ended,
        };
        self.step(Input::Answer(request, observation))
    }

    /// All is well until at least so much later; gives what was asked meanwhile.
    fn lives(mut self, span: Duration) -> (Vec<Request>, Self) {
        let until = self.now.mono + span;
        let mut asked = Vec::new();
        loop {
            let (_, request, asking) = self.next();
            if asking.now.mono > until {
                return (asked, asking);
            }
            asked.push(request);
            self = asking.answered_well();
        }
    }

    /// All is well until `wanted` is asked.
    fn well_until(mut self, wanted: Request) -> Self {
        loop {
            let (_, request, asking) = self.next();
            if request == wanted {
                return asking;
            }
            self = asking.answered_well();
        }
    }

    /// Answers every check, and every ping, with these flags until the state has another name.
    fn looks(mut self, observation: Observation) -> Self {
        let name = self.state().name();
        while self.state().name() == name {
            let (_, request, asking) = self.next();
            let is_look = matches!(request, Request::Check | Request::Ping);
            self = if is_look { asking.step(Input::Answer(request, observation)) } else { asking.answered_well() };
        }
        self
    }
}

#[test]
fn a_good_word_of_the_stream_is_a_reason_to_ask_now() {
    let waiting = Situation::new().checked(LOST);
    assert_eq!(waiting.plan.request, None);
    assert_eq!(waiting.step(Input::Push(GOOD)).plan.request, Some(Request::Check));
}

#[test]
fn probes_come_close_again_only_after_answers_have_lasted() {
    let four_times = (0..4).fold(Situation::new(), |s, _| s.answered(Request::Check, ERROR));
    let (_, well) = four_times.asks(Request::Check).lives(Duration::ZERO);
    for (lived, close) in [(seconds(30), false), (seconds(120), true)] {
        let (_, back) = well.clone().answered_well().lives(lived);
        let (pause, _, _) = back.looks(ERROR).next();
        assert_eq!(pause <= seconds(5), close, "{pause:?} after {lived:?}");
    }
}

#[test]
fn a_doubted_proof_is_asked_again_at_once_and_believed_the_second_time() {
    let proving = live_until(Situation::new(), Request::Accounts);
    for (bad, state) in [
        (ERROR, State::Unavailable(Trouble::IbkrError)),
        (Observation::Accounts(EMPTY), State::Recovering { attempt: 1, step: Step::Reauthenticate }),
    ] {
        let doubted = proving.clone().answered(Request::Accounts, bad);
        assert_eq!(doubted.state(), State::Live);
        let again = doubted.checked(GOOD);
        assert_eq!(again.plan.request, Some(Request::Accounts));
        assert_eq!(again.answered(Request::Accounts, bad).state(), state);
    }
}

#[test]
fn where_pings_are_gone_a_bad_check_is_asked_again_after_a_second() {
    let pinging = live_until(Situation::new(), Request::Ping);
    let without = pinging.answered(Request::Ping, Observation::Gone).checked(GOOD);
    let (pause, again, _) = without.well_until(Request::Check).checked(LOST).next();
    assert_eq!((pause, again), (seconds(1), Request::Check));
}

#[test]
fn whoever_was_refused_lately_is_not_asked_for_again_because_a_flag_is_down() {
    let asking = Situation::with(recovering(&[Method::Direct], 6), 7).lapsed();
    let open = Request::OpenBrokerage { compete: false };
    let refused = asking.answered(open, Observation::Status(COMPETING));
    assert_eq!(refused.state(), State::Contested);
    let (pause, asked, _) = refused.checked(LOST).next();
    assert!(asked == Request::Check && pause > seconds(5), "{asked:?} after {pause:?}");
}

/// Silence behind the public address lets an answer that is under way arrive, and does not take a logout's place.
#[test]
fn another_gateways_429_waits_for_this_ones_answer() {
    let mut address = Address::default();
    let (own, others) = (address.join(), address.join());
    let now = seconds(5);
    let other = Situation::new().asks(Request::Check).wait(now);
    let refused = Observation::Trouble(Trouble::TooManyRequests { retry_after: None });
    let mut silenced = other.machine;
    drop(silenced.step_behind(other.now, Input::Answer(Request::Check, refused), &mut address, others));

    let Situation { mut machine, now, .. } = Situation::new().live().asks(Request::Check);
    let plan = machine.step_behind(now, Input::Wake, &mut address, own);
    assert_eq!((machine.state(), plan.awaiting), (State::Live, true));
    drop(machine.step_behind(now, Input::Answer(Request::Check, Observation::Status(GOOD)), &mut address, own));
    assert_eq!(machine.state(), State::Unavailable(Trouble::TooManyRequests { retry_after: None }));

    let Situation { mut machine, now, .. } = Situation::new().live();
    let plan = machine.step_behind(now, Input::Logout, &mut address, own);
    assert_eq!((machine.state(), plan.request), (State::Live, None));
    let after = Now { mono: plan.wake_at, wall: now.wall + (plan.wake_at - now.mono) };
    let plan = machine.step_behind(after, Input::Wake, &mut address, own);
    assert_eq!(plan.request, Some(Request::EndSession));
}

/// Good flags that are half a minute old prove nothing any more; what was decided meanwhile stands.
#[test]
fn only_fresh_flags_are_proved_by_data() {
    let checking = Situation::new().asks(Request::Check);
    for (age, next) in [(30, Request::Accounts), (31, Request::Check)] {
        let answered =
            checking.clone().wait(seconds(age)).step(Input::Answer(Request::Check, Observation::Status(GOOD)));
        assert_eq!(answered.plan.request, Some(next), "after {age} s");
    }
    let doubting = Situation::new().live().checked(LOST).asks(Request::Ping);
    let lapsed = doubting.wait(seconds(31)).step(Input::Answer(Request::Ping, Observation::Status(LOST)));
    assert_eq!(lapsed.plan.request, Some(Request::Reauthenticate));
}

#[test]
fn an_answer_is_given_up_for_lost_only_after_the_client_has() {
    let asking = Situation::new().asks(Request::Check);
    let within = asking.machine.policy().answer_within + seconds(5);
    assert_eq!(asking.plan.wake_at, asking.now.mono + within);
    let early = asking.clone().wait(within - Duration::from_millis(1)).step(Input::Wake);
    assert_eq!((early.state(), early.plan.awaiting), (State::Starting, true));
    let late = asking.wait(within).step(Input::Wake);
    assert_eq!(late.state(), State::Unavailable(Trouble::NoAnswer));
}

/// The last questions of ten minutes are kept for what decides something.
#[test]
fn what_presses_need_not_wait_for_what_is_routine() {
    let mut spent = Situation::new().live();
    for _ in 0..143 {
        spent = spent.step(Input::Check).next().2.answered_well().wait(Duration::from_millis(300));
    }
    let (pause, _, _) = spent.clone().next();
    assert!(pause > seconds(400), "{pause:?}");
    assert_eq!(spent.clone().step(Input::Check).plan.request, Some(Request::Check));
    let lapsed = spent.step(Input::Push(LOST));
    let (_, _, confirming) = lapsed.answered(Request::Reauthenticate, Observation::Accepted).next();
    let confirming = confirming.step(Input::Answer(Request::ValidateSso, Observation::Sso(VALID)));
    let (pause, asked, _) = confirming.next();
    assert!(asked == Request::Check && pause < seconds(1), "{asked:?} after {pause:?}");
}

/// Three changes in a minute are one too many; in more than a minute they are not, nor are those that the operator makes.
#[test]
fn a_pattern_is_what_changes_often_within_a_time() {
    let flapping = Flapping { changes: 2, within: seconds(60) };
    let policy = Policy { flapping, ..recovering(&[Method::Direct], 6) };
    let live = Situation::with(policy, 7).live();
    let lapses = |s: Situation| s.step(Input::Push(LOST));
    let comes_back = |mut s: Situation| {
        while s.state() != State::Live {
            s = s.next().2.answered_well();
        }
        s
    };
    let once = lapses(live);
    let minute_is_over = once.now.mono + seconds(60);
    let twice = comes_back(once);
    assert!(!twice.machine.is_flapping());
    let left = minute_is_over - twice.now.mono;
    assert!(lapses(twice.clone().wait(left)).machine.is_flapping());
    assert!(!lapses(twice.clone().wait(left + seconds(1))).machine.is_flapping());
    let resumed = (0..3).fold(twice, |s, _| comes_back(s.step(Input::Pause { until: None }).step(Input::Resume)));
    assert!(!resumed.machine.is_flapping());
    assert!(lapses(resumed).machine.is_flapping());
}

#[test]
fn an_incident_begins_with_what_was_seen_and_not_with_what_the_operator_did() {
    let lost = Situation::new().live().wait(seconds(5)).step(Input::Push(LOST));
    assert_eq!(lost.machine.incident_since(), Some(lost.now));
    let out = Situation::new().live().step(Input::Logout).answered(Request::EndSession, Observation::Ended);
    assert_eq!(out.checked(LOST).machine.incident_since(), None);
}

#[test]
fn an_account_is_wrong_where_it_is_not_of_the_kind_that_was_chosen() {
    for (account, is_paper, is_wrong) in [
        (Account::Any, Some(true), false),
        (Account::Live, Some(true), true),
        (Account::Live, Some(false), false),
        (Account::Live, None, false),
        (Account::Paper, Some(false), true),
        (Account::Paper, Some(true), false),
        (Account::Paper, None, false),
    ] {
        let proved = Situation::with(Policy { account, ..Policy::default() }, 7)
            .checked(GOOD)
            .answered(Request::Accounts, Observation::Accounts(Accounts { usable: true, is_paper }));
        assert_eq!(
            (proved.state(), proved.machine.is_wrong_account()),
            (State::Live, is_wrong),
            "{account:?} {is_paper:?}"
        );
    }
}

#[test]
fn what_the_session_cannot_be_kept_without_is_never_left_out() {
    let direct = Request::OpenBrokerage { compete: false };
    for request in [Request::Ping, Request::Reauthenticate, direct, Request::ValidateSso, Request::Accounts] {
        assert!(request.can_be_left_out(), "{request:?}");
    }
    for request in [Request::Check, Request::IsListening, Request::EndSession] {
        assert!(!request.can_be_left_out(), "{request:?}");
    }
}

#[test]
fn a_logout_by_the_operator_stays_one_whoever_uses_the_login_then() {
    let out = Situation::new().live().step(Input::Logout).answered(Request::EndSession, Observation::Ended);
    assert_eq!(out.state(), State::LoginRequired(Cause::ByOperator));
    let used = out.checked(COMPETING);
    assert_eq!(used.state(), State::LoginRequired(Cause::ByOperator));
    let ended = used.answered(Request::Check, Observation::Unauthorized);
    assert_eq!(ended.state(), State::LoginRequired(Cause::ByOperator));
}

/// What the other side makes of a logout may be heard of before its answer.
#[test]
fn a_logout_is_carried_out_whatever_comes_between() {
    let live = Situation::new().live();
    let in_flight = live.clone().step(Input::Logout);
    assert_eq!(in_flight.plan.request, Some(Request::EndSession));
    // Four requests in this second already.
    let waiting = live.step(Input::Check).checked(GOOD).step(Input::Logout);
    assert_eq!(waiting.plan.request, None);
    let clock_set = |mut s: Situation| {
        s.now.wall += seconds(3600);
        s.step(Input::Wake)
    };
    for ending in [in_flight, waiting] {
        for between in [
            |s: Situation| s.step(Input::Push(LOST)),
            |s: Situation| s.step(Input::Push(COMPETING)),
            |s: Situation| s.step(Input::Push(GOOD)),
            |s: Situation| s.step(Input::Check),
            |s: Situation| s.step(Input::Resume),
            clock_set,
        ] {
            let mut ended = between(ending.clone());
            if !ended.plan.awaiting {
                ended = ended.asks(Request::EndSession);
            }
            let ended = ended.step(Input::Answer(Request::EndSession, Observation::Ended));
            assert_eq!(ended.state(), State::LoginRequired(Cause::ByOperator));
        }
    }
}

#[test]
fn a_borrowed_login_that_ends_needs_no_more_than_a_new_one() {
    let borrowed = Observation::Sso(Sso { borrowed: true, ..VALID });
    let asking = Situation::with(recovering(&[Method::Gateway], 1), 7).lapsed();
    let called = asking
        .answered(Request::Reauthenticate, Observation::Accepted)
        .answered(Request::ValidateSso, borrowed)
        .looks(Observation::Status(LOST));
    assert_eq!(called.state(), State::LoginRequired(Cause::Borrowed));
    let ended = called.answered(Request::Check, Observation::Unauthorized);
    assert_eq!(ended.state(), State::LoginRequired(Cause::Expired));
}

/// Of two questions that are due at once only the ping is asked, and it does not come more often for that.
#[test]
fn a_ping_is_no_more_frequent_than_it_has_to_be() {
    let policy =
        Policy { check_every: seconds(8), ping_every: seconds(16), confirm_every: Duration::ZERO, ..Policy::default() };
    let (_, steady) = Situation::with(policy, 7).live().lives(seconds(3600));
    let (asked, _) = steady.lives(seconds(3600));
    let pings = asked.iter().filter(|request| **request == Request::Ping).count();
    assert!((224..=226).contains(&pings), "{pings} pings among {}", asked.len());
}
