//! When: what depends on the time, on what was asked before, and on others.

use std::time::Duration;

use jiff::SignedDuration;
use support::{Said, said};
use tickled::session::{
    Cause, Competing, FLAPPING_CHANGES, Input, Machine, Method, Now, Policy, RateLimitState, Request, SharedBudget,
    State, StateReason, Unavailability,
};

use super::situation::{COMPETING, ERROR, GOOD, LOST, NOT_ESTABLISHED, REFUSED, Situation, VALID, recovering, seconds};

#[test]
fn probes_come_close_again_only_after_answers_have_lasted() {
    let four_times = (0..4).fold(Situation::new(), |s, _| s.answered(Request::Check, REFUSED));
    let (_, well) = four_times.asks(Request::Check).lives(Duration::ZERO);
    for (lived, close) in [(seconds(30), false), (seconds(120), true)] {
        let (_, back) = well.clone().answered_well().lives(lived);
        let (pause, _, _) = back.looks(REFUSED).next();
        assert_eq!(pause <= seconds(5), close, "{pause:?} after {lived:?}");
    }
}

/// 5, 10, 20 seconds, each up to a fifth less, and then what the operator chose.
#[test]
fn probes_are_spaced_wider_three_times() {
    let policy = Policy { watch_every: seconds(300), ..Policy::default() };
    let mut s = Situation::with(policy, 7);
    for expected in [5, 10, 20, 300, 300].map(seconds) {
        s = s.answered(Request::Check, REFUSED);
        let (pause, asked, asking) = s.next();
        assert!(
            asked == Request::Check && expected * 4 / 5 <= pause && pause <= expected,
            "{pause:?}, not {expected:?}"
        );
        s = asking;
    }
}

/// Three take-overs in ten minutes that did not last are a fight, which is not gone on with.
#[test]
fn a_session_that_is_taken_away_again_and_again_is_not_fought_for() {
    let policy = Policy { competing: Competing::TakeOver, ..recovering(&[Method::Direct], 6) };
    let mut fighting = Situation::with(policy, 7).live();
    let until = fighting.now.mono + seconds(600);
    for _ in 0..3 {
        fighting = fighting.denied(COMPETING);
        assert_eq!(fighting.state().name(), "recovering");
        while fighting.state() != State::Live {
            fighting = fighting.next().2.answered_well();
        }
    }
    let left = until - fighting.now.mono;
    for (wait, because) in [(left - Duration::from_nanos(1), StateReason::Outfought), (left, StateReason::OtherClient)]
    {
        let taken = fighting.clone().wait(wait).denied(COMPETING);
        assert_eq!((taken.state(), taken.machine.reason()), (State::Contested, because));
    }
}

/// A fresh login is left to the gateway for a minute.
#[test]
fn a_login_that_has_not_become_a_session_is_worth_a_recovery_after_a_minute() {
    let twice = Situation::new().answered(Request::Check, Said::LoginPage);
    let called = twice.answered(Request::Check, Said::LoginPage);
    assert_eq!(called.state(), State::LoginRequired(Cause::Expired));
    let seen = called.checked(LOST);
    let over = seen.now.mono + seconds(60);
    let lost = said(Request::Check, Said::Status(LOST));
    let checking = seen.asks(Request::Check);
    let left = over - checking.now.mono;
    let early = checking.clone().wait(left - Duration::from_nanos(1)).step(lost);
    assert_eq!(early.state(), State::LoginRequired(Cause::Expired));
    assert_eq!(checking.wait(left).step(lost).state().name(), "recovering");
}

/// Silence behind the public address lets an answer that is under way arrive, and does not take a logout's place.
#[test]
fn another_gateways_429_waits_for_this_ones_answer() {
    let mut address = SharedBudget::default();
    let (own, others) = (address.register(), address.register());
    let other = Situation::new().asks(Request::Check).wait(seconds(5));
    let refused = Said::Unavailable(Unavailability::TooManyRequests { retry_after: None });
    let mut silenced = other.machine;
    let _ = silenced.step_shared(other.now, said(Request::Check, refused), &mut address, others);

    let Situation { mut machine, now, .. } = Situation::new().live().asks(Request::Check);
    let plan = machine.step_shared(now, Input::Wake, &mut address, own);
    assert_eq!((machine.state(), plan.awaiting), (State::Live, true));
    let _ = machine.step_shared(now, said(Request::Check, Said::Status(GOOD)), &mut address, own);
    assert_eq!(machine.state(), State::Unavailable(Unavailability::TooManyRequests { retry_after: None }));

    let Situation { mut machine, now, .. } = Situation::new().live();
    let plan = machine.step_shared(now, Input::Logout, &mut address, own);
    assert_eq!((machine.state(), plan.request), (State::Live, None));
    let after = Now { mono: plan.wake_at, wall: now.wall + (plan.wake_at - now.mono) };
    let plan = machine.step_shared(after, Input::Wake, &mut address, own);
    assert_eq!(plan.request, Some(Request::EndSession));
}

/// Behind one address a question that presses goes ahead of those that are routine.
#[test]
fn whoever_is_in_a_hurry_goes_first() {
    let mut address = SharedBudget::default();
    let Situation { now, .. } = Situation::new();
    let mut begin = |input| {
        let (mut machine, client) = (Machine::new(Policy::default(), 7, now), address.register());
        let plan = machine.step_shared(now, input, &mut address, client);
        (machine, client, plan)
    };
    // Four in this second, four in the next, and one that the operator waits for.
    let routine: Vec<_> = (0..8).map(|_| begin(Input::Wake)).collect();
    let sent = routine.iter().filter(|(.., plan)| plan.request.is_some()).count();
    let (.., hurried) = begin(Input::Check);
    assert_eq!((sent, hurried.wake_at), (4, now.mono + seconds(1)));
    let (mut last, client, before) = routine.into_iter().last().unwrap();
    assert_eq!(before.wake_at, now.mono + seconds(1));
    let then = Now { mono: now.mono + seconds(1), wall: now.wall + seconds(1) };
    let plan = last.step_shared(then, Input::Wake, &mut address, client);
    assert_eq!((plan.request, plan.wake_at), (None, now.mono + seconds(2)), "it has lost its place");
}

/// Good flags that are half a minute old prove nothing; what was decided meanwhile stands.
#[test]
fn only_fresh_flags_are_proved_by_data() {
    let checking = Situation::new().asks(Request::Check);
    for (age, next) in [(30, Request::Accounts), (31, Request::Check)] {
        let answered = checking.clone().wait(seconds(age)).step(said(Request::Check, Said::Status(GOOD)));
        assert_eq!(answered.plan.request, Some(next), "after {age} s");
    }
    let doubting = Situation::new().live().checked(LOST).asks(Request::Ping);
    let lapsed = doubting.wait(seconds(31)).step(said(Request::Ping, Said::Status(LOST)));
    assert_eq!(lapsed.plan.request, Some(Request::Reauthenticate));
}

/// All that is known may be old: it is asked at once, and an answer that is under way counts no more, unless it answers
/// something that must not be asked twice.
#[test]
fn a_clock_that_was_set_is_a_reason_to_ask_now() {
    let clock_set = |mut s: Situation, by: Duration| {
        s.now.wall += by;
        s.step(Input::Wake)
    };
    let new = Situation::new;
    let trouble = |s: Situation| s.answered(Request::Check, ERROR);
    let waiting =
        [new().checked(LOST), new().live().answered_well_if_asked(), new().checked(COMPETING), trouble(new())];
    for situation in waiting.into_iter().chain([new().asks(Request::Check), new().live().asks(Request::Check)]) {
        let state = situation.state();
        let jumped = clock_set(situation.clone(), seconds(11));
        assert!(jumped.plan.jumped.is_some(), "{state:?}");
        assert_eq!(jumped.asks(Request::Check).now.mono, situation.now.mono, "{state:?}");
        assert_eq!(clock_set(situation, seconds(10)).plan.jumped, None, "{state:?}");
    }
    let reauthenticating = clock_set(new().lapsed().asks(Request::Reauthenticate), seconds(3600));
    assert_eq!((reauthenticating.plan.request, reauthenticating.plan.awaiting), (None, true));
    let accepted = said(Request::Reauthenticate, Said::Accepted);
    assert_eq!(reauthenticating.step(accepted).plan.request, Some(Request::ValidateSso));
    let paused = clock_set(new().step(Input::Pause { until: None }), seconds(3600));
    assert_eq!((paused.plan.request, paused.plan.awaiting), (None, false));
}

/// A host without a clock of its own starts in 1970. Once its clock is right, states and outages did not last for
/// decades; a host that slept was in its state all night.
#[test]
fn times_move_with_a_clock_that_was_set_and_not_with_a_host_that_slept() {
    for (by, is_set) in [(8 * 3600, false), (31 * 24 * 3600, false), (20_785 * 24 * 3600, true), (-8 * 3600, true)] {
        let before = Situation::new().answered(Request::Check, REFUSED);
        let (since, outage) = (before.machine.since(), before.machine.outage_since().unwrap());
        let by = SignedDuration::from_secs(by);
        let mut jumped = before;
        jumped.now.wall += by;
        let machine = jumped.step(Input::Wake).machine;
        let moved = if is_set { by } else { SignedDuration::ZERO };
        assert_eq!(machine.since(), Now { wall: since.wall + moved, ..since }, "{by}");
        assert_eq!(machine.outage_since(), Some(Now { wall: outage.wall + moved, ..outage }), "{by}");
    }
}

/// Thirty questions in ten minutes leave room for recoveries; from the next one on the span is one that can be kept up.
#[test]
fn a_span_too_short_to_be_kept_up_is_kept_up_for_a_while() {
    let policy = Policy {
        check_every: seconds(1),
        ping_every: seconds(3600),
        confirm_every: Duration::ZERO,
        ..Policy::default()
    };
    for (in_ten_minutes, span) in [(30, seconds(1)), (31, seconds(8))] {
        // The first three were sent ten minutes before the last, and no longer count.
        let mut s = Situation::with(policy.clone(), 7).live().well_until(Request::ValidateSso).answered_well();
        let over = s.now.mono + seconds(600);
        let mut sent = 0;
        while sent < in_ten_minutes - 1 {
            s = s.wait(seconds(10)).step(Input::Check);
            while s.plan.request.is_some() {
                sent += 1;
                s = s.answered_well();
            }
        }
        let left = over - s.now.mono;
        let s = s.wait(left).step(Input::Check).answered_well();
        let pause = s.plan.wake_at - s.now.mono;
        assert!(span * 4 / 5 <= pause && pause <= span, "{pause:?} after {in_ten_minutes}");
    }
}

/// Restored limits end in their time, and last no longer than IBKR's longest penalty.
#[test]
fn an_heir_is_bound_for_no_longer_than_whom_it_follows() {
    let moment = Duration::from_nanos(1);
    let asked = Situation::new().lapsed().asks(Request::Reauthenticate);
    let later = |s: &Situation, by: Duration| Now { mono: s.now.mono + by, wall: s.now.wall + by };
    assert_eq!(asked.machine.rate_limit_state(later(&asked, seconds(3600) - moment)).attempts.len(), 1);
    assert_eq!(asked.machine.rate_limit_state(later(&asked, seconds(3600))), RateLimitState::default());

    let refused = Said::Unavailable(Unavailability::TooManyRequests { retry_after: None });
    let silent = Situation::new().answered(Request::Check, refused);
    let until = silent.now.wall + seconds(900);
    assert_eq!(silent.machine.rate_limit_state(later(&silent, seconds(900) - moment)).quiet_until, Some(until));
    assert_eq!(silent.machine.rate_limit_state(later(&silent, seconds(900))).quiet_until, None);

    for (kept, bound) in [(12, 12), (24, 24), (25, 24)] {
        let Situation { mut machine, now, .. } = Situation::new();
        let quiet_until = Some(now.wall + seconds(kept * 3600));
        machine.restore_limits(now, &RateLimitState { quiet_until, ..RateLimitState::default() });
        assert_eq!(machine.rate_limit_state(now).quiet_until, Some(now.wall + seconds(bound * 3600)), "{kept} h");
    }
}

/// A clock that is set, or a host that sleeps, shortens no limit of the daemon that comes after.
#[test]
fn limits_of_an_heir_move_with_a_clock_that_is_set() {
    let attempt = Situation::new().lapsed().answered(Request::Reauthenticate, Said::Accepted);
    let attempt = attempt.asks(Request::ValidateSso);
    let refused = Said::Unavailable(Unavailability::TooManyRequests { retry_after: None });
    let quiet = Situation::new().answered(Request::Check, refused);
    let mut unanswered = Situation::new();
    while unanswered.state() == State::Starting {
        unanswered = unanswered.wait(seconds(10)).step(Input::Wake);
    }
    let left = |kept: &RateLimitState, wall: jiff::Timestamp| {
        let spans = |times: &[jiff::Timestamp]| times.iter().map(|at| at.duration_since(wall).as_secs()).collect();
        let once: Vec<jiff::Timestamp> = kept.may_validate.iter().chain(&kept.quiet_until).copied().collect();
        [&kept.requests, &kept.attempts, &kept.unanswered, &once].map(|times| -> Vec<i64> { spans(times) })
    };
    for before in [attempt, quiet, unanswered] {
        let kept = left(&before.machine.rate_limit_state(before.now), before.now.wall);
        for by in [20, -20, 3 * 3600, -90 * 86_400] {
            let mut set = before.clone();
            set.now.wall += SignedDuration::from_secs(by);
            let set = set.step(Input::Wake);
            let after = left(&set.machine.rate_limit_state(set.now), set.now.wall);
            // One more may be unanswered, and a check is sent at once.
            let is_kept = kept.iter().zip(&after).all(|(kept, after)| after.starts_with(kept));
            assert!(is_kept, "by {by} s: {kept:?}, then {after:?}");
        }
    }
}

/// However many extra checks are requested, the next poll is never far away, and there is always enough left for a
/// recovery.
#[test]
fn whoever_asks_without_end_keeps_nobody_from_looking() {
    let asks = |s: Situation| s.step(Input::Check);
    let doubts = |s: Situation| s.step(Input::Push(NOT_ESTABLISHED));
    let wakes = |s: Situation| s.step(Input::Wake);
    for presses in [asks, doubts] {
        let mut s = Situation::new().live();
        let (mut looked, mut farthest, mut pinged) = (s.now.mono, Duration::ZERO, 0);
        while s.now.mono < seconds(3600) {
            s = if s.now.mono.subsec_millis().is_multiple_of(300) { presses(s) } else { wakes(s) };
            while let Some(request) = s.plan.request {
                farthest = farthest.max(s.now.mono - looked);
                pinged += usize::from(request == Request::Ping);
                looked = s.now.mono;
                s = s.answered_well();
            }
            s = s.wait(Duration::from_millis(100));
        }
        assert!(farthest < seconds(60), "{farthest:?}");
        // Each at most a quarter of a minute late.
        assert!(pinged >= 48, "{pinged} pings");
        let lapsed = s.looks(Said::Status(LOST));
        let (pause, asked, asking) = lapsed.next();
        assert!(asked == Request::Reauthenticate && pause < seconds(2), "{asked:?} after {pause:?}");
        let asking = asking.step(said(Request::Reauthenticate, Said::Accepted));
        let (_, _, asking) = asking.answered(Request::ValidateSso, Said::Sso(VALID)).next();
        let (pause, asked, _) = asking.checked(LOST).next();
        assert!(asked == Request::Check && pause <= seconds(1), "{asked:?} after {pause:?}");
    }
}

/// No answer has it silent for longer than a day, or makes a sum that is none.
#[test]
fn a_silence_that_makes_no_sense_is_kept_for_a_day() {
    for (named, kept) in [(60, 900), (1800, 1800), (86_401, 86_400), (u64::MAX, 86_400)] {
        let refused = Said::Unavailable(Unavailability::TooManyRequests { retry_after: Some(seconds(named)) });
        let silent = Situation::new().answered(Request::Check, refused);
        assert_eq!(silent.plan.wake_at, silent.now.mono + seconds(kept), "{named}");
    }
}

/// What came before may have pinged in this very second, and asked for the login within the minute.
#[test]
fn an_heir_asks_nothing_too_early() {
    let (_, asked, first) = Situation::new().checked(GOOD).answered_well().next();
    assert_eq!((asked, first.now.mono), (Request::Ping, seconds(1)));

    let asked = Situation::new().lapsed().answered(Request::Reauthenticate, Said::Accepted);
    let asked = asked.asks(Request::ValidateSso);
    let kept = asked.machine.rate_limit_state(asked.now);
    let minute = Now { mono: asked.now.mono + seconds(60), wall: asked.now.wall + seconds(60) };
    assert!(kept.may_validate.is_some());
    assert_eq!(asked.machine.rate_limit_state(minute).may_validate, None);
    let mut heir = Situation::new();
    heir.machine.restore_limits(heir.now, &kept);
    let again = heir.lapsed().answered(Request::Reauthenticate, Said::Accepted);
    assert_eq!(again.next().1, Request::Check, "the minute is not over");
}

/// More than `FLAPPING_CHANGES` within the window is flapping. A session that is live for five minutes in between is
/// not, and pauses do not count.
#[test]
fn a_pattern_is_what_changes_often_within_a_time() {
    let live = Situation::with(recovering(&[Method::Direct], 6), 7).live();
    let lapses = |s: Situation| s.denied(LOST);
    let comes_back = |mut s: Situation| {
        while s.state() != State::Live {
            s = s.next().2.answered_well();
        }
        s.answered_well_if_asked()
    };
    let often = (0..FLAPPING_CHANGES / 2).fold(live.clone(), |s, _| comes_back(lapses(s.wait(seconds(60)))));
    assert!(!often.machine.is_flapping());
    assert!(lapses(often.clone().wait(seconds(240))).machine.is_flapping());
    let calm = (0..20).fold(live, |s, _| comes_back(lapses(s.lives(seconds(300)).1.answered_well())));
    assert!(!calm.machine.is_flapping());
    let resumed = (0..3).fold(often, |s, _| comes_back(s.step(Input::Pause { until: None }).step(Input::Resume)));
    assert!(!resumed.machine.is_flapping());
    assert!(lapses(resumed).machine.is_flapping());
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
