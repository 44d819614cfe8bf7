//! What follows from a ledger.

use jiff::Timestamp;
use tickled::history::report::{GatewayReport, HistoryReport, parts, report};
use tickled::history::{Row, What};
use tickled::session::{Cause, StateKind, StateReason, Unavailability};

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + minute * 60).unwrap()
}

fn watched(minute: i64, gateway: &str) -> Row {
    Row::new(at(minute), What::Watched { gateway: gateway.into() })
}

fn to(minute: i64, gateway: &str, to: StateKind) -> Row {
    let from = StateKind::Starting;
    Row::new(at(minute), What::Changed { gateway: gateway.into(), from, to, because: reason(to), session: None })
}

/// A reason for each state, so that they can be distinguished.
fn reason(to: StateKind) -> StateReason {
    match to {
        StateKind::Starting => StateReason::Started,
        StateKind::Live => StateReason::DataConfirmed,
        StateKind::Recovering => StateReason::SessionLapsed,
        StateKind::Contested => StateReason::OtherClient,
        StateKind::Unavailable => StateReason::Trouble(Unavailability::NothingListens),
        StateKind::LoginRequired => StateReason::Cause(Cause::Expired),
        StateKind::Paused => StateReason::Operator,
    }
}

fn one(rows: &[Row], from: i64, to: i64) -> GatewayReport {
    let HistoryReport { mut gateways, .. } = report(rows, at(from), at(to));
    assert_eq!(gateways.len(), 1);
    gateways.remove(0)
}

/// In minutes from the beginning: from, to, state.
fn spans(report: &GatewayReport) -> Vec<(i64, i64, Option<StateKind>)> {
    let minute = |time: Timestamp| (time.as_second() - 1_800_000_000) / 60;
    report.spans.iter().map(|span| (minute(span.from), minute(span.to), span.state)).collect()
}

/// From, to (or none while it lasts), the gravest state.
fn outages(report: &GatewayReport) -> Vec<(Timestamp, Option<Timestamp>, StateKind)> {
    report.outages.iter().map(|outage| (outage.from, outage.to, outage.worst)).collect()
}

#[test]
fn a_night_with_two_outages() {
    let rows = [
        Row::new(at(0), What::Began { last_seen: None }),
        watched(0, "main"),
        to(1, "main", StateKind::Live),
        to(100, "main", StateKind::Recovering),
        to(101, "main", StateKind::Live),
        to(200, "main", StateKind::Recovering),
        to(201, "main", StateKind::LoginRequired),
        to(230, "main", StateKind::Recovering),
        to(231, "main", StateKind::Live),
    ];
    let report = one(&rows, 0, 331);
    assert_eq!(report.live_s, (99 + 99 + 100) * 60);
    assert_eq!(report.down_s, (1 + 31) * 60);
    let percent = report.live_percent.unwrap();
    assert!((percent - 298.0 / 330.0 * 100.0).abs() < 1e-9, "{percent}");
    assert_eq!(report.longest_outage_s, 31 * 60);
    assert_eq!(
        outages(&report),
        [(at(100), Some(at(101)), StateKind::Recovering), (at(200), Some(at(231)), StateKind::LoginRequired)]
    );
    assert_eq!(report.outages[1].because, Some(reason(StateKind::LoginRequired)));
}

#[test]
fn an_outage_that_lasts_has_no_end() {
    let rows = [watched(0, "main"), to(1, "main", StateKind::Live), to(10, "main", StateKind::Unavailable)];
    let report = one(&rows, 0, 15);
    assert_eq!(outages(&report), [(at(10), None, StateKind::Unavailable)]);
    assert_eq!(report.outages[0].lasted_s, 5 * 60);
}

#[test]
fn a_pause_is_neither_live_nor_an_outage() {
    let rows = [
        watched(0, "main"),
        to(0, "main", StateKind::Live),
        to(10, "main", StateKind::Paused),
        to(40, "main", StateKind::Recovering),
        to(42, "main", StateKind::Live),
    ];
    let report = one(&rows, 0, 50);
    assert_eq!((report.live_s, report.down_s), (18 * 60, 2 * 60));
    assert_eq!(outages(&report), [(at(40), Some(at(42)), StateKind::Recovering)]);
}

/// Nothing is known of the time without a daemon; one that was killed is known until its last sign of life.
#[test]
fn the_time_without_a_daemon_is_unknown() {
    let rows = [
        watched(0, "main"),
        to(0, "main", StateKind::Live),
        Row::new(at(10), What::Ended),
        Row::new(at(20), What::Began { last_seen: Some(at(10)) }),
        watched(20, "main"),
        to(21, "main", StateKind::Live),
        Row::new(at(60), What::Began { last_seen: Some(at(35)) }),
        watched(60, "main"),
        to(61, "main", StateKind::Live),
    ];
    let report = one(&rows, 0, 70);
    let live = Some(StateKind::Live);
    let start = Some(StateKind::Starting);
    assert_eq!(
        spans(&report),
        [
            (0, 10, live),
            (10, 20, None),
            (20, 21, start),
            (21, 35, live),
            (35, 60, None),
            (60, 61, start),
            (61, 70, live)
        ]
    );
    assert_eq!((report.live_s, report.down_s), ((10 + 14 + 9) * 60, 0));
    assert_eq!(report.live_percent, Some(100.0));
}

#[test]
fn only_the_time_that_is_asked_for_counts() {
    let rows = [
        watched(0, "main"),
        to(0, "main", StateKind::Live),
        to(50, "main", StateKind::Contested),
        to(90, "main", StateKind::Live),
    ];
    let report = one(&rows, 60, 100);
    assert_eq!(spans(&report), [(60, 90, Some(StateKind::Contested)), (90, 100, Some(StateKind::Live))]);
    assert_eq!((report.live_s, report.down_s), (600, 1800));
}

#[test]
fn gateways_are_told_apart_and_one_that_left_is_no_outage() {
    let rows = [
        watched(0, "main"),
        watched(0, "ira"),
        to(0, "ira", StateKind::LoginRequired),
        to(0, "main", StateKind::Live),
        Row::new(at(5), What::Unwatched { gateway: "ira".into() }),
    ];
    let HistoryReport { gateways, .. } = report(&rows, at(0), at(10));
    assert_eq!(gateways.iter().map(|report| report.gateway.as_str()).collect::<Vec<_>>(), ["ira", "main"]);
    assert_eq!(gateways[0].down_s, 300);
    assert_eq!(gateways[1].live_s, 600);
}

/// Clocks are set back, and rows come in the order of what happened.
#[test]
fn a_clock_that_was_set_back_makes_no_span_of_negative_length() {
    let rows = [
        watched(0, "main"),
        to(0, "main", StateKind::Live),
        to(100, "main", StateKind::Recovering),
        to(40, "main", StateKind::Live),
        Row::new(at(30), What::Began { last_seen: Some(at(500)) }),
        watched(30, "main"),
    ];
    let report = one(&rows, 0, 120);
    assert!(report.spans.iter().all(|span| span.from < span.to), "{:?}", spans(&report));
    // The earlier daemon was seen at work for a long time after.
    assert_eq!(report.live_s, 120 * 60);
}

fn unobserved(minute: i64, gateway: &str, since: i64) -> Row {
    Row::new(at(minute), What::Unobserved { gateway: gateway.into(), since: at(since) })
}

/// A host that sleeps observes nothing: that time is neither live nor an outage, of this gateway alone.
#[test]
fn time_in_which_nothing_was_observed_is_unknown() {
    let rows = [
        watched(0, "main"),
        to(0, "main", StateKind::Live),
        watched(0, "ira"),
        to(0, "ira", StateKind::Live),
        unobserved(490, "main", 10),
        to(490, "main", StateKind::LoginRequired),
        unobserved(980, "main", 500),
        to(990, "main", StateKind::Live),
    ];
    let HistoryReport { gateways, .. } = report(&rows, at(0), at(1000));
    let (live, lost) = (Some(StateKind::Live), Some(StateKind::LoginRequired));
    assert_eq!(
        spans(&gateways[1]),
        [(0, 10, live), (10, 490, None), (490, 500, lost), (500, 980, None), (980, 990, lost), (990, 1000, live)]
    );
    assert_eq!((gateways[1].live_s, gateways[1].down_s), (20 * 60, 20 * 60));
    assert_eq!(gateways[1].outages.len(), 2);
    assert_eq!(spans(&gateways[0]), [(0, 1000, live)]);
    let ends_in_it = one(&[watched(0, "main"), to(0, "main", StateKind::Live), unobserved(50, "main", 9)], 0, 30);
    assert_eq!(spans(&ends_in_it), [(0, 9, live), (9, 30, None)]);
}

/// A host without a battery for its clock begins in 1970, and is set: that makes no outage of years.
#[test]
fn a_clock_that_begins_in_1970_makes_no_outage() {
    let in_1970 = |second: i64| Timestamp::from_second(second).unwrap();
    let begins = |last_seen| {
        vec![
            Row::new(in_1970(5), What::Began { last_seen }),
            Row::new(in_1970(5), What::Watched { gateway: "main".into() }),
            Row::new(in_1970(7), to(0, "main", StateKind::LoginRequired).what),
            Row::new(at(60), What::Unobserved { gateway: "main".into(), since: in_1970(30) }),
            to(70, "main", StateKind::Live),
        ]
    };
    let report = one(&begins(None), -1440, 100);
    assert_eq!(
        spans(&report),
        [(-1440, 60, None), (60, 70, Some(StateKind::LoginRequired)), (70, 100, Some(StateKind::Live))]
    );
    assert_eq!((report.down_s, report.longest_outage_s), (600, 600));
    // What was known before is as it was: seen live until the host went down.
    let mut rows = vec![watched(0, "main"), to(0, "main", StateKind::Live)];
    rows.extend(begins(Some(at(50))));
    let report = one(&rows, 0, 100);
    let (live, lost) = (Some(StateKind::Live), Some(StateKind::LoginRequired));
    assert_eq!(spans(&report), [(0, 50, live), (50, 60, None), (60, 70, lost), (70, 100, live)]);
}

/// The quick way to cut a timeline gives what the plain one gives.
#[test]
fn parts_of_a_long_timeline_are_those_of_every_span_looked_at() {
    let states =
        [StateKind::Live, StateKind::Recovering, StateKind::LoginRequired, StateKind::Paused, StateKind::Starting];
    let mut rows = vec![watched(3, "main")];
    for step in 0..400_i64 {
        let minute = 3 + step * 7 + step * step % 5;
        rows.push(if step % 9 == 4 {
            unobserved(minute, "main", minute - 2)
        } else {
            to(minute, "main", states[usize::try_from(step * step % 5).unwrap()])
        });
    }
    let report = report(&rows, at(0), at(3000));
    let spans = &report.gateways[0].spans;
    assert!(spans.len() > 300);
    for n in [1, 2, 7, 100, 720, 5000] {
        let edge = |i: i64| i * 3_000 * 60_000 / i64::try_from(n).unwrap();
        let millis = |time: Timestamp| time.as_millisecond() - at(0).as_millisecond();
        let gravest = |i: i64| {
            let inside = spans.iter().filter(|span| millis(span.from) < edge(i + 1) && millis(span.to) > edge(i));
            inside.filter_map(|span| span.state).max_by_key(|state| {
                [
                    StateKind::Starting,
                    StateKind::Paused,
                    StateKind::Live,
                    StateKind::Recovering,
                    StateKind::LoginRequired,
                ]
                .iter()
                .position(|known| known == state)
            })
        };
        let plain: Vec<_> = (0..i64::try_from(n).unwrap()).map(gravest).collect();
        assert_eq!(parts(&report, spans, n), plain, "{n} parts");
    }
}

#[test]
fn each_part_of_a_timeline_shows_its_gravest_state() {
    let rows = [
        watched(0, "main"),
        to(0, "main", StateKind::Live),
        to(31, "main", StateKind::Recovering),
        to(32, "main", StateKind::Live),
        to(55, "main", StateKind::LoginRequired),
    ];
    let report = report(&rows, at(0), at(60));
    let live = Some(StateKind::Live);
    assert_eq!(
        parts(&report, &report.gateways[0].spans, 6),
        [live, live, live, Some(StateKind::Recovering), live, Some(StateKind::LoginRequired)]
    );
    let before = tickled::history::report::report(&rows, at(-60), at(60));
    assert_eq!(parts(&before, &before.gateways[0].spans, 4), [None, None, live, Some(StateKind::LoginRequired)]);
    assert_eq!(parts(&before, &before.gateways[0].spans, 0), []);
}

#[test]
fn nothing_known_is_no_percentage() {
    assert_eq!(report(&[], at(0), at(10)).gateways, []);
    let report = one(&[watched(0, "main")], 0, 10);
    assert_eq!((report.live_percent, report.live_s, report.down_s), (None, 0, 0));
}
