//! What is open at one moment: no two alerts that contradict each other or the state of the gateway, nothing from a
//! maintenance window, and an error for whatever asks a human to act.

use std::collections::BTreeMap;

use tickled::alert::settings::{Channel, Preset};
use tickled::alert::{AlertInput, Code, Settings, Severity};
use tickled::session::{Cause, State, Step, Unavailability};

use crate::life::{HOUR, Life, channel, secs};

const LOST: State = State::LoginRequired(Cause::Expired);
const SILENT: State = State::Unavailable(Unavailability::IbkrSilent);
const DOWN: State = State::Unavailable(Unavailability::NothingListens);

/// A phone that takes everything, and a pager for errors.
fn settings() -> Settings {
    let pager = Channel { min_severity: Severity::Error, ..channel("pager", Preset::PagerDuty) };
    Settings { channels: vec![channel("phone", Preset::Ntfy), pager], ..Settings::default() }
}

fn begun() -> Life {
    let mut life = Life::begin(settings(), "2026-03-06T05:00:00Z");
    life.becomes(State::Live);
    life
}

/// Of these a gateway has one at a time.
const EXCLUSIVE: [Code; 6] = [
    Code::GatewayWedged,
    Code::SessionContested,
    Code::GatewayUnreachable,
    Code::CertificateChanged,
    Code::AccessDenied,
    Code::IbkrUnavailable,
];

fn contradict(open: &[Code]) -> bool {
    let exclusive = open.iter().filter(|code| EXCLUSIVE.contains(code)).count();
    exclusive > 1 || (open.contains(&Code::LoginRequired) && open.contains(&Code::SessionContested))
}

/// The code that a state stands for.
fn code(state: State) -> Option<Code> {
    match state {
        State::LoginRequired(_) => Some(Code::LoginRequired),
        State::Contested => Some(Code::SessionContested),
        State::Unavailable(trouble) => Some(match trouble {
            Unavailability::NothingListens
            | Unavailability::NoAnswer
            | Unavailability::NotAGateway
            | Unavailability::Network
            | Unavailability::Tls => Code::GatewayUnreachable,
            Unavailability::Certificate => Code::CertificateChanged,
            Unavailability::AddressRefused | Unavailability::EdgeRefused => Code::AccessDenied,
            Unavailability::GatewayWedged => Code::GatewayWedged,
            Unavailability::IbkrSilent
            | Unavailability::IbkrUnreachable
            | Unavailability::IbkrError
            | Unavailability::TooManyRequests { .. }
            | Unavailability::Nonsense => Code::IbkrUnavailable,
        }),
        State::Starting | State::Live | State::Recovering { .. } | State::Paused { .. } => None,
    }
}

const STATES: [State; 9] = [
    State::Live,
    LOST,
    State::Contested,
    DOWN,
    SILENT,
    State::Unavailable(Unavailability::TooManyRequests { retry_after: None }),
    State::Unavailable(Unavailability::Certificate),
    State::Unavailable(Unavailability::EdgeRefused),
    State::Recovering { attempt: 1, step: Step::Check },
];

#[test]
fn whatever_follows_whatever_no_two_open_alerts_contradict_each_other_or_the_state() {
    let mut seed = 0x2545_f491_u64;
    let mut below = move |end: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % 1_000_003).unwrap() % end
    };
    let mut replaced = 0;
    for _ in 0..20 {
        let mut life = begun();
        for _ in 0..40 {
            life.becomes(STATES[below(STATES.len())]);
            life.spent = life.state() != State::Live && below(6) == 0;
            life.look();
            if below(15) == 0 {
                life.restart();
            }
            for _ in 0..1 + below(4) {
                life.pass(secs([20, 70, 200, 400, 1_900][below(5)]));
                let open = life.active();
                let codes: Vec<Code> = open.iter().map(|alert| alert.code).collect();
                assert!(!contradict(&codes), "{:?}: {open:#?}", life.state());
                if let Some(code) = code(life.state()) {
                    assert!(codes.contains(&code), "{:?} is open: {open:#?}", life.state());
                }
                for alert in open.iter().filter(|alert| !is_so(alert.code, &life)) {
                    assert!(alert.summary.starts_with("no longer seen; "), "{:?}: {alert:?}", life.state());
                    assert_eq!(alert.action_text, "", "{alert:?}");
                }
            }
        }
        life.spent = false;
        life.becomes(State::Live);
        life.pass(HOUR);
        assert_eq!(life.active(), []);
        // What was raised is ended once, on every way there is, and nothing that contradicts it is raised before.
        let mut open: BTreeMap<&str, ()> = BTreeMap::new();
        for told in life.heard.iter().filter(|heard| heard.channel == "pager") {
            let (code, phase) = (told.message.code.as_str(), told.message.phase);
            if phase.is_end() {
                assert!(open.remove(code).is_some(), "{code} ends, and was not open");
                replaced += u32::from(phase.name() == "replaced");
            } else {
                open.insert(code, ());
            }
            let codes: Vec<Code> = open.keys().filter_map(|code| Code::named(code)).collect();
            assert!(!contradict(&codes), "{codes:?}");
        }
        assert!(open.is_empty(), "{open:?}");
    }
    assert!(replaced > 10, "the walk had an occasion: {replaced}");
}

fn is_so(open: Code, life: &Life) -> bool {
    code(life.state()) == Some(open) || (open == Code::SessionFlapping && life.spent)
}

#[test]
fn two_troubles_in_turn_are_one_alert_until_one_of_them_stays() {
    let mut life = begun();
    for _ in 0..30 {
        life.becomes(DOWN);
        life.pass(secs(120));
        life.becomes(SILENT);
        life.pass(secs(120));
    }
    assert_eq!(life.told("pager"), ["raised gateway-unreachable"]);
    life.pass(secs(179));
    assert_eq!(life.told("pager"), ["raised gateway-unreachable"], "not for as long as it is held off");
    life.pass(secs(2));
    assert_eq!(life.told("phone"), ["raised gateway-unreachable", "raised ibkr-unavailable"]);

    assert_eq!(life.told("pager"), ["raised gateway-unreachable", "replaced gateway-unreachable"]);
    life.becomes(State::Live);
    assert_eq!(life.told("phone")[2..], ["resolved ibkr-unavailable"]);
}

#[test]
fn an_alert_that_takes_the_place_of_another_says_when_its_own_problem_began() {
    let mut life = begun();
    life.becomes(DOWN);
    life.pass(secs(240));
    life.becomes(SILENT);
    let since = life.now().wall;
    life.pass(secs(301));
    let told = &life.heard.last().unwrap().message;
    assert_eq!((told.code.as_str(), told.started_at), ("ibkr-unavailable", since));
}

#[test]
fn a_session_that_is_back_is_not_said_to_be_lost() {
    let mut life = begun();
    life.spent = true;
    life.becomes(State::Recovering { attempt: 2, step: Step::Pause });
    assert!(life.active()[0].summary.starts_with("the session is lost"), "{:?}", life.active());
    // The hour's attempts stay used up for a moment after another client restored the session.
    life.becomes(State::Live);
    let open = life.active();
    assert_eq!(open[0].summary, "no longer seen; closes once the session has been live for 5 minutes");
    life.pass(HOUR);
    assert_eq!(life.active(), []);
}

#[test]
fn a_session_that_drops_within_a_maintenance_window_is_no_alert_before_its_end() {
    for goes_on in [false, true] {
        let mut life = begun();
        let end = "2026-03-06T06:55:00Z".parse().unwrap();
        life.hold_until = Some(end);
        life.flapping = true;
        for _ in 0..20 {
            life.becomes(State::Recovering { attempt: 1, step: Step::Check });
            life.pass(secs(30));
            life.becomes(State::Live);
            life.pass(secs(60));
        }
        life.flapping = goes_on;
        life.until(HOUR * 3);
        if goes_on {
            assert_eq!(life.told("phone"), ["raised session-flapping"]);
            assert_eq!(life.heard[0].at, end);
        } else {
            assert_eq!(life.told("phone"), [""; 0]);
        }
    }
}

#[test]
fn what_asks_a_human_to_act_wakes_a_pager_for_errors_and_its_end_comes_there_as_well() {
    let mut troubles = vec![Unavailability::IbkrSilent, Unavailability::IbkrError, Unavailability::Nonsense];
    troubles.push(Unavailability::TooManyRequests { retry_after: None });
    for trouble in troubles {
        let mut life = begun();
        life.becomes(State::Unavailable(trouble));
        life.pass(secs(1_799));
        assert_eq!((life.told("phone").len(), life.told("pager").len()), (1, 0), "{trouble:?}: nothing to do yet");
        life.pass(secs(2));
        assert_eq!(life.told("pager"), ["repeated ibkr-unavailable"], "{trouble:?}");
        let woken = &life.heard.last().unwrap().message;
        assert_eq!(woken.severity, Severity::Error);
        // Another trouble of the same kind, of which there is nothing to do yet.
        life.becomes(State::Recovering { attempt: 1, step: Step::Check });
        life.becomes(State::Unavailable(Unavailability::Nonsense));
        life.becomes(State::Live);
        assert_eq!(life.told("pager").last().unwrap(), "resolved ibkr-unavailable", "{trouble:?}");
    }

    let mut life = begun();
    life.flapping = true;
    life.look();
    assert_eq!((life.told("phone").len(), life.told("pager").len()), (1, 0), "tickled handles it");
    life.spent = true;
    life.becomes(State::Recovering { attempt: 2, step: Step::Pause });
    assert_eq!(life.told("pager"), ["repeated session-flapping"]);
    (life.spent, life.flapping) = (false, false);
    life.becomes(State::Live);
    life.pass(secs(600));
    assert_eq!(life.told("pager")[1..], ["resolved session-flapping"]);
}

#[test]
fn who_acknowledges_a_warning_hears_when_it_becomes_an_error() {
    let mut life = begun();
    life.becomes(SILENT);
    life.pass(secs(600));
    life.step(AlertInput::Acknowledge { about: &Life::main(), code: None });
    assert!(life.active()[0].acknowledged);
    life.pass(secs(1_190));
    assert_eq!(life.told("phone"), ["raised ibkr-unavailable"]);
    life.restart();
    life.pass(HOUR);
    assert_eq!(life.told("phone")[1..], ["repeated ibkr-unavailable"], "once");
    assert!(!life.active()[0].acknowledged);
    life.step(AlertInput::Acknowledge { about: &Life::main(), code: None });
    life.pass(HOUR * 24);
    assert_eq!(life.told("phone").len(), 2);
}

/// The operator's pause and logout are no failure, and end no alert that a human was notified of before.
#[test]
fn a_pause_keeps_an_open_alert_open_and_silent() {
    for state in [State::Paused { until: None }, State::LoginRequired(Cause::ByOperator)] {
        let mut life = begun();
        life.becomes(LOST);
        life.becomes(state);
        life.pass(HOUR * 9);
        assert_eq!(life.told("phone"), ["raised login-required"], "{state:?}");
        life.becomes(State::Live);
        assert_eq!(life.told("phone")[1..], ["resolved login-required"], "{state:?}");
    }
}

/// It begins a minute before the window, which explains it; it is sent after the window if it lasts.
#[test]
fn a_problem_that_begins_shortly_before_a_window_waits_for_its_end() {
    for goes_on in [false, true] {
        let mut life = begun();
        life.becomes(DOWN);
        life.pass(secs(60));
        life.hold_until = Some("2026-03-06T06:55:00Z".parse().unwrap());
        life.look();
        life.pass(HOUR);
        if !goes_on {
            life.becomes(State::Live);
        }
        life.until(HOUR * 3);
        let told: &[&str] = if goes_on { &["raised gateway-unreachable"] } else { &[] };
        assert_eq!(life.told("phone"), told);
    }
}
