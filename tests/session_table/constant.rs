//! Answers that never change, whatever they are: no gateway stays in a state without a meaning, and none is live
//! without a proof.

use std::time::Duration;

use support::{Said, said};
use tickled::session::{Accounts, Request, State, Unavailability};

use super::situation::{COMPETING, ERROR, GOOD, LOST, NOT_ESTABLISHED, Situation, USABLE, VALID, seconds};

/// What a check, a ping or a data call may answer each time.
const LOOKS: [Said; 10] = [
    Said::Status(GOOD),
    Said::Status(LOST),
    Said::Status(NOT_ESTABLISHED),
    Said::Status(COMPETING),
    Said::NoStatus,
    Said::Unauthorized,
    Said::LoginPage,
    ERROR,
    Said::Unavailable(Unavailability::EdgeRefused),
    Said::Unsupported,
];
const PROOFS: [Said; 7] = [
    Said::Accounts(USABLE),
    Said::Accounts(Accounts { usable: false, is_paper: None }),
    Said::Unauthorized,
    Said::LoginPage,
    ERROR,
    Said::Unavailable(Unavailability::Nonsense),
    Said::Unsupported,
];

fn goes_on(mut s: Situation, span: Duration, check: Said, ping: Said, proof: Said) -> Situation {
    let until = s.now.mono + span;
    let (mut since, mut asked) = (s.now.mono, 0);
    while s.now.mono < until {
        let (pause, request, asking) = s.next();
        assert!(pause < seconds(600), "{check:?} {ping:?} {proof:?}: nothing asked for {pause:?}");
        let answer = match request {
            Request::Check => check,
            Request::Ping => ping,
            Request::Accounts => proof,
            Request::Reauthenticate => Said::Accepted,
            Request::OpenBrokerage { .. } => Said::Status(LOST),
            Request::ValidateSso => Said::Sso(VALID),
            Request::IsListening => Said::Listening,
            Request::EndSession => Said::Ended,
            Request::HandshakeIbkr | Request::ProbeWebsocket => Said::Unavailable(Unavailability::NoAnswer),
        };
        s = asking.wait(Duration::from_millis(20)).step(said(request, answer));
        asked += 1;
        if s.now.mono > since + seconds(600) {
            assert!(asked <= 151, "{check:?} {ping:?} {proof:?}: {asked} questions in ten minutes");
            (since, asked) = (s.now.mono, 0);
        }
    }
    s
}

#[test]
fn whatever_is_answered_always_is_told_as_what_it_is() {
    for begins in [Situation::new(), Situation::new().live()] {
        for (check, ping) in LOOKS.into_iter().flat_map(|check| LOOKS.map(|ping| (check, ping))) {
            for proof in PROOFS {
                let s = goes_on(begins.clone(), seconds(3600), check, ping, proof);
                let is_proved = matches!(proof, Said::Accounts(USABLE) | Said::Unsupported);
                let is_good = [check, ping].contains(&Said::Status(GOOD));
                let case = format!("{check:?}, {ping:?}, {proof:?}: {}", s.state());
                match s.state() {
                    State::Live => assert!(is_proved && is_good, "{case}"),
                    State::Contested | State::Unavailable(_) | State::LoginRequired(_) => {
                        assert!(!(is_proved && check == ping && is_good), "{case}");
                    }
                    State::Starting | State::Recovering { .. } | State::Paused { .. } => panic!("{case}"),
                }
            }
        }
    }
}
