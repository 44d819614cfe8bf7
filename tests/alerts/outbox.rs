//! The outbox of one channel: when it tries, what it reports and what it gives up, in simulated time.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tickled::alert::{About, AlertPhase, Code, DeliveryVerdict, MOST, Message, Notice, Outbox, Outcome, Progress};
use tickled::session::Now;

const HOUR: Duration = Duration::from_hours(1);

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn at(mono: Duration) -> Now {
    Now { mono, wall: Timestamp::UNIX_EPOCH }
}

fn message(code: Code, phase: AlertPhase) -> Message {
    let about = About::Gateway("main".to_owned());
    let notice = Notice { about, code, phase, ..Notice::test(Timestamp::UNIX_EPOCH) };
    notice.message(&TimeZone::UTC, &"host".into())
}

fn fails(needs_human: bool) -> Outcome {
    Outcome::TryAgain { why: "no".to_owned(), after: None, needs_human }
}

/// Tries `message` with the same outcome for this long. The times at which it was tried, and those at which other
/// channels had to report it.
fn tries(message: &Message, outcome: &Outcome, span: Duration) -> (Vec<Duration>, Vec<Duration>, Outbox) {
    let mut outbox = Outbox::default();
    assert_eq!(outbox.put(at(Duration::ZERO), message.clone()), None);
    let (mut tried, mut reported) = (Vec::new(), Vec::new());
    while let Some(time) = outbox.wake_at().filter(|time| *time <= span) {
        let (due, progress) = outbox.due(at(time)).unwrap();
        tried.push(time);
        match outbox.done(at(time), &due, progress, outcome) {
            DeliveryVerdict::Waits { report: true, .. } => reported.push(time),
            DeliveryVerdict::Waits { .. } | DeliveryVerdict::Sent { .. } => {}
            DeliveryVerdict::GivenUp => break,
        }
    }
    (tried, reported, outbox)
}

#[test]
fn what_needs_a_human_is_reported_within_a_minute_and_tried_ever_more_slowly_while_the_alert_stands() {
    let alert = message(Code::LoginRequired, AlertPhase::Raised);
    let (tried, reported, outbox) = tries(&alert, &fails(true), HOUR * 72);
    assert_eq!(tried[..5], [0, 5, 15, 35, 75].map(secs));
    assert_eq!(reported, [secs(35)]);
    let last = tried.len() - 1;
    assert_eq!(tried[last] - tried[last - 1], HOUR);
    assert_eq!(outbox.len(), 1, "it still stands");
}

#[test]
fn what_may_pass_is_not_reported_for_a_day_and_then_tried_slowly_while_the_alert_stands() {
    let alert = message(Code::LoginRequired, AlertPhase::Repeated);
    let (tried, reported, outbox) = tries(&alert, &fails(false), HOUR * 72);
    assert_eq!(reported.len(), 1);
    assert!((HOUR * 24..HOUR * 24 + secs(600)).contains(&reported[0]), "{reported:?}");
    let last = tried.len() - 1;
    assert_eq!(tried[last] - tried[last - 1], HOUR);
    assert_eq!(outbox.len(), 1);
    // Its end, and a reminder without an end, are given up.
    for message in [message(Code::LoginRequired, AlertPhase::Resolved), message(Code::Ready, AlertPhase::Raised)] {
        let (_, _, outbox) = tries(&message, &fails(false), HOUR * 72);
        assert!(outbox.is_empty(), "{message:?}");
    }
}

#[test]
fn what_no_retry_can_mend_is_tried_once() {
    let refused = Outcome::Refused { why: "no".to_owned() };
    let (tried, _, outbox) = tries(&message(Code::LoginRequired, AlertPhase::Raised), &refused, HOUR * 72);
    assert_eq!((tried.len(), outbox.len()), (1, 0));
}

#[test]
fn one_failure_that_a_human_must_mend_and_that_passes_is_not_reported() {
    let mut outbox = Outbox::default();
    let alert = message(Code::LoginRequired, AlertPhase::Raised);
    assert_eq!(outbox.put(at(Duration::ZERO), alert.clone()), None);
    for (time, needs_human) in [(0, true), (5, false), (15, true), (35, false)] {
        let verdict = outbox.done(at(secs(time)), &alert, Progress::default(), &fails(needs_human));
        assert!(matches!(verdict, DeliveryVerdict::Waits { report: false, .. }), "{time}: {verdict:?}");
    }
}

#[test]
fn a_new_alert_does_not_wait_for_the_pause_of_an_old_one() {
    let mut outbox = Outbox::default();
    let (old, new) =
        (message(Code::LoginRequired, AlertPhase::Raised), message(Code::WrongAccount, AlertPhase::Raised));
    assert_eq!(outbox.put(at(Duration::ZERO), old.clone()), None);
    let busy = Outcome::TryAgain { why: "busy".to_owned(), after: Some(HOUR), needs_human: false };
    let _verdict = outbox.done(at(Duration::ZERO), &old, Progress::default(), &busy);
    assert_eq!(outbox.due(at(secs(60))), None);
    assert_eq!(outbox.put(at(secs(60)), new.clone()), None);
    assert_eq!(outbox.due(at(secs(60))).unwrap().0, new);
    // It works again: the old one no longer waits either.
    let sent = Outcome::Sent { answer: "ok".to_owned(), except: None };
    let _verdict = outbox.done(at(secs(61)), &new, Progress::default(), &sent);
    assert_eq!(outbox.due(at(secs(61))).unwrap().0, old);
}

#[test]
fn what_was_tried_already_heeds_the_pause_that_is_asked_for_another() {
    let mut outbox = Outbox::default();
    let (old, new) =
        (message(Code::LoginRequired, AlertPhase::Raised), message(Code::WrongAccount, AlertPhase::Raised));
    for message in [&old, &new] {
        assert_eq!(outbox.put(at(Duration::ZERO), message.clone()), None);
    }
    let _verdict = outbox.done(at(Duration::ZERO), &old, Progress::default(), &fails(false));
    let busy = Outcome::TryAgain { why: "busy".to_owned(), after: Some(secs(300)), needs_human: false };
    let _verdict = outbox.done(at(Duration::ZERO), &new, Progress::default(), &busy);
    assert_eq!(outbox.wake_at(), Some(secs(300)));
}

#[test]
fn the_receivers_who_are_done_survive_a_try_and_a_restart() {
    let mut outbox = Outbox::default();
    let alert = message(Code::LoginRequired, AlertPhase::Raised);
    assert_eq!(outbox.put(at(Duration::ZERO), alert.clone()), None);
    let (due, mut progress) = outbox.due(at(Duration::ZERO)).unwrap();
    progress.reached.insert("one".to_owned());
    progress.refused.insert("two".to_owned(), "no such user".to_owned());
    let _verdict = outbox.done(at(Duration::ZERO), &due, progress.clone(), &fails(false));
    let kept = serde_json::to_string(&outbox.keep(at(secs(1)))).unwrap();
    let mut next = Outbox::default();
    next.restore(serde_json::from_str(&kept).unwrap(), at(secs(2)));
    assert_eq!(next.due(at(secs(2))), Some((alert, progress)));
}

#[test]
fn what_cannot_be_sent_is_tried_with_growing_pauses_for_a_day_and_then_given_up() {
    let message = Notice::test(Timestamp::UNIX_EPOCH).message(&TimeZone::UTC, &"host".into());
    let mut outbox = Outbox::default();
    let at = |mono: Duration| Now { mono, wall: Timestamp::UNIX_EPOCH };
    assert_eq!(outbox.put(at(Duration::ZERO), message), None);
    let failed = Outcome::TryAgain { why: "refused".to_owned(), after: None, needs_human: false };
    let (mut pauses, mut news, mut time) = (Vec::new(), 0, Duration::ZERO);
    let tries = (1..).find(|_| {
        let (message, progress) = outbox.due(at(time)).unwrap();
        assert_eq!(outbox.due(at(time)).unwrap().0, message, "asked twice, it is the same");
        match outbox.done(at(time), &message, progress, &failed) {
            DeliveryVerdict::Waits { pause, is_news, report } => {
                assert!(!report, "it may pass");
                pauses.push(pause.as_secs());
                news += u32::from(is_news);
                assert_eq!(outbox.due(at(time + pause - secs(1))), None, "not before the pause is over");
                time += pause;
                false
            }
            DeliveryVerdict::GivenUp => true,
            DeliveryVerdict::Sent { .. } => panic!("sent"),
        }
    });
    assert_eq!(pauses[..9], [5, 10, 20, 40, 80, 160, 320, 600, 600]);
    assert!((HOUR * 24..HOUR * 24 + secs(600)).contains(&time), "given up after {time:?}");
    assert!(outbox.is_empty() && news == 1, "{tries:?} tries, the fault was news {news} times");

    // The pause that the other side asks for is respected up to a limit; a success resets it.
    for (asked, pause) in [(secs(120), secs(120)), (HOUR * 9, HOUR), (secs(1), secs(5))] {
        let mut outbox = Outbox::default();
        let message = Notice::test(Timestamp::UNIX_EPOCH).message(&TimeZone::UTC, &"host".into());
        assert_eq!(outbox.put(at(Duration::ZERO), message.clone()), None);
        let asked = Outcome::TryAgain { why: "busy".to_owned(), after: Some(asked), needs_human: false };
        let verdict = outbox.done(at(Duration::ZERO), &message, Progress::default(), &asked);
        assert_eq!(verdict, DeliveryVerdict::Waits { pause, is_news: true, report: false });
    }
}

#[test]
fn a_full_outbox_loses_the_oldest_and_says_which() {
    let mut outbox = Outbox::default();
    let now = Now { mono: Duration::ZERO, wall: Timestamp::UNIX_EPOCH };
    let message = |at: usize| Message {
        id: at.to_string(),
        ..Notice::test(Timestamp::UNIX_EPOCH).message(&TimeZone::UTC, &"host".into())
    };
    for at in 0..MOST {
        assert_eq!(outbox.put(now, message(at)), None);
        assert_eq!(outbox.put(now, message(at)), None, "the newest state of an incident takes its place");
    }
    assert_eq!(outbox.put(now, message(MOST)).map(|lost| lost.id), Some("0".to_owned()));
    assert_eq!(outbox.len(), MOST);
}
