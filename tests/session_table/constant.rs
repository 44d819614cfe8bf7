//! Answers that never change, whatever they are: nobody is left in a state that says nothing, and nobody is called live without
//! a proof.

use std::time::Duration;

use tickled::session::{Accounts, Input, Observation, Request, State, Unavailability};

use super::situation::{COMPETING, ERROR, GOOD, LOST, NOT_ESTABLISHED, Situation, USABLE, VALID, seconds};

/// What a check, a ping or a data call may say, for ever.
const LOOKS: [Observation; 10] = [
    Observation::Status(GOOD),
    Observation::Status(LOST),
    Observation::Status(NOT_ESTABLISHED),
    Observation::Status(COMPETING),
    Observation::NoStatus,
    Observation::Unauthorized,
    Observation::LoginPage,
    ERROR,
    Observation::Trouble(Unavailability::EdgeRefused),
    Observation::Gone,
];
const PROOFS: [Observation; 7] = [
    Observation::Accounts(USABLE),
    Observation::Accounts(Accounts { usable: false, is_paper: None }),
    Observation::Unauthorized,
    Observation::LoginPage,
    ERROR,
    Observation::Trouble(Unavailability::Nonsense),
    Observation::Gone,
];

fn goes_on(mut s: Situation, span: Duration, check: Observation, ping: Observation, proof: Observation) -> Situation {
    let until = s.now.mono + span;
    let (mut since, mut asked) = (s.now.mono, 0);
    while s.now.mono < until {
        let (pause, request, asking) = s.next();
        assert!(pause < seconds(600), "{check:?} {ping:?} {proof:?}: nothing asked for {pause:?}");
        let answer = match request {
            Request::Check => check,
            Request::Ping => ping,
            Request::Accounts => proof,
            Request::Reauthenticate => Observation::Accepted,
            Request::OpenBrokerage { .. } => Observation::Status(LOST),
            Request::ValidateSso => Observation::Sso(VALID),
            Request::IsListening => Observation::Listening,
            Request::EndSession => Observation::Ended,
        };
        s = asking.wait(Duration::from_millis(20)).step(Input::Answer(request, answer));
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
                let is_proved = matches!(proof, Observation::Accounts(USABLE) | Observation::Gone);
                let is_good = [check, ping].contains(&Observation::Status(GOOD));
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
