//! While IBKR is silent: what is left standing, how its return is noticed, and what a wedged gateway is.
#![expect(clippy::wildcard_enum_match_arm, reason = "a world answers what it names, and leaves the rest unanswered")]

use std::time::Duration;

use support::{Said, said};
use tickled::session::{HostFailure, Input, Policy, RateLimitState, Request, State, Unavailability};

use super::situation::{GOOD, LOST, REFUSED, Situation, USABLE, VALID, seconds};

pub(super) const SILENT: State = State::Unavailable(Unavailability::IbkrSilent);
pub(super) const WEDGED: State = State::Unavailable(Unavailability::GatewayWedged);
pub(super) const NO_HOST: Said = Said::Host(Err(HostFailure::NoAnswer));

/// A live session on a gateway whose proxied requests stay unanswered. What else is asked, the function answers.
pub(super) struct Silence<F> {
    pub(super) s: Situation,
    answer: F,
    /// What was sent, and when, since the silence began.
    pub(super) sent: Vec<(Duration, Request)>,
    pub(super) states: Vec<(Duration, State)>,
}

impl<F: FnMut(Duration, Request) -> Option<Said>> Silence<F> {
    pub(super) fn new(answer: F) -> Self {
        let policy = Policy { knows_ibkr_host: true, ..Policy::default() };
        Self::of(Situation::with(policy, 7).live(), answer)
    }

    pub(super) fn of(s: Situation, answer: F) -> Self {
        Self { s, answer, sent: Vec::new(), states: Vec::new() }
    }

    /// Goes on until so much later, and says what was sent.
    pub(super) fn lasts(&mut self, span: Duration) -> Vec<Request> {
        let (until, before) = (self.s.now.mono + span, self.sent.len());
        loop {
            let request = self.s.plan.request;
            if self.states.last().map(|(_, state)| *state) != Some(self.s.state()) {
                self.states.push((self.s.now.mono, self.s.state()));
            }
            if let Some(request) = request {
                self.sent.push((self.s.now.mono, request));
                if let Some(answer) = (self.answer)(self.s.now.mono, request) {
                    self.s = self.s.clone().step(said(request, answer));
                    continue;
                }
            }
            let wake_at = self.s.plan.wake_at;
            if wake_at > until {
                let left = until - self.s.now.mono;
                self.s = self.s.clone().wait(left);
                self.s.plan.request = None;
                return self.sent[before..].iter().map(|(_, request)| *request).collect();
            }
            let left = wake_at - self.s.now.mono;
            self.s = self.s.clone().wait(left).step(Input::Wake);
        }
    }

    fn late(&mut self, request: Request, answer: Said) {
        self.s = self.s.clone().step(said(request, answer));
    }

    pub(super) fn proxied(&self) -> Vec<Request> {
        self.sent.iter().map(|(_, request)| *request).filter(|request| request.is_proxied()).collect()
    }
}

pub(super) fn dead(host: Said, websocket: Said) -> impl Fn(Duration, Request) -> Option<Said> {
    move |_, request| match request {
        Request::IsListening => Some(Said::Listening),
        Request::HandshakeIbkr => Some(host),
        Request::ProbeWebsocket => Some(websocket),
        _ => None,
    }
}

#[test]
fn a_request_is_left_standing_and_only_the_process_is_watched() {
    let mut silence = Silence::new(dead(NO_HOST, Said::Websocket(false)));
    silence.lasts(seconds(52));
    assert_eq!(silence.s.state(), State::Live, "{:?}", silence.states);
    assert_eq!(silence.proxied().len(), 1);
    silence.lasts(seconds(8 * 3600));
    assert_eq!((silence.s.state(), silence.proxied().len()), (SILENT, 1), "one request in eight hours");
    let silent_at = silence.states.iter().find(|(_, state)| *state == SILENT).unwrap().0;
    assert!(silence.sent.contains(&(silent_at, Request::IsListening)), "the first round comes at once");
    assert!(!silence.sent.iter().any(|(_, request)| *request == Request::ProbeWebsocket), "IBKR's host is silent too");
    let gaps: Vec<Duration> = silence.sent.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    assert!(gaps.iter().all(|gap| *gap <= seconds(31)), "{gaps:?}");

    // A late answer ends it at once.
    let (_, request) = silence.sent[0];
    silence.late(request, Said::Status(GOOD));
    let live = silence.s.checked(GOOD).answered(Request::Accounts, Said::Accounts(USABLE));
    assert_eq!(live.state(), State::Live);
    assert_eq!(live.plan.standing, usize::from(live.plan.request.is_some()), "nothing else is left standing");
}

#[test]
fn one_request_goes_first_when_ibkr_is_back() {
    let back = seconds(3600);
    let mut silence = Silence::new(move |at, request| match request {
        Request::IsListening => Some(Said::Listening),
        Request::HandshakeIbkr if at < back => Some(NO_HOST),
        Request::HandshakeIbkr => Some(Said::Host(Ok(()))),
        Request::ProbeWebsocket => Some(Said::Websocket(at >= back)),
        Request::Check | Request::Ping if at >= back => Some(Said::Status(GOOD)),
        Request::Accounts if at >= back => Some(Said::Accounts(USABLE)),
        _ => None,
    });
    silence.lasts(back - silence.s.now.mono);
    assert_eq!((silence.s.state(), silence.proxied().len()), (SILENT, 1));
    let sent = silence.lasts(seconds(31));
    assert_eq!(silence.s.state(), State::Live, "{sent:?}");
    let proxied: Vec<Request> = sent.into_iter().filter(|request| request.is_proxied()).collect();
    assert!(matches!(proxied[..2], [Request::Check | Request::Ping, Request::Accounts]), "{proxied:?}");
}

/// The places stay taken although IBKR is back, or another program has taken them: IBKR answers a websocket, and no request.
#[test]
fn a_gateway_whose_requests_stay_unanswered_while_ibkr_answers_is_wedged() {
    let mut silence = Silence::new(dead(Said::Host(Ok(())), Said::Websocket(true)));
    silence.lasts(seconds(170));
    assert_eq!(silence.s.state(), WEDGED, "{:?}", silence.states);
    let states: Vec<State> = silence.states.iter().map(|(_, state)| *state).collect();
    assert_eq!(states, [State::Live, SILENT, WEDGED]);
    assert_eq!(silence.proxied().len(), 2);
    let sent = silence.lasts(seconds(8 * 3600));
    assert!(sent.iter().all(|request| *request == Request::IsListening), "nothing more goes into it: {sent:?}");

    // The gateway is restarted, so that what it held breaks. Its process is watched at once, before it listens again.
    let unanswered = Said::Unavailable(Unavailability::NoAnswer);
    for (answers, then) in [
        (&[REFUSED][..], Unavailability::NothingListens),
        // The connection that is kept for `GET /` breaks with the others, and a proxy listens in the gateway's place.
        (&[unanswered, REFUSED], Unavailability::NothingListens),
        (&[unanswered, unanswered], Unavailability::NoAnswer),
    ] {
        let held = silence.proxied();
        let mut restarted = silence.s.clone().step(Input::Unanswered(held[0]));
        let mut sent = vec![restarted.plan.request];
        for other in &held[1..] {
            restarted = restarted.step(Input::Unanswered(*other));
        }
        for answer in answers {
            restarted = restarted.step(said(Request::IsListening, *answer));
            sent.push(restarted.plan.request);
        }
        assert_eq!(sent[..answers.len()], vec![Some(Request::IsListening); answers.len()], "at once");
        assert_eq!(restarted.state(), State::Unavailable(then));
        assert_eq!(restarted.next().1, Request::Check, "nothing is held any longer");
    }
}

/// A gateway that is restarted in a pause, in which nothing is watched, is asked again when the pause is over.
#[test]
fn a_wedge_ends_with_a_restart_of_the_gateway_in_a_pause() {
    let mut silence = Silence::new(dead(Said::Host(Ok(())), Said::Websocket(true)));
    silence.lasts(seconds(170));
    assert_eq!(silence.s.state(), WEDGED);
    let until = Some(silence.s.now.wall + seconds(600));
    let paused = silence.s.clone().step(Input::Pause { until });
    let over = |s: Situation| s.wait(seconds(600)).step(Input::Wake);
    for resumed in [over(paused.clone()), paused.clone().step(Input::Resume)] {
        assert_ne!(resumed.plan.request, Some(Request::Check), "the same process holds them still");
    }
    let broken = silence.proxied().into_iter().fold(paused, |s, request| s.step(Input::Unanswered(request)));
    for resumed in [over(broken.clone()), broken.step(Input::Resume)] {
        assert_eq!(resumed.plan.request, Some(Request::Check));
    }
}

/// Whatever breaks each connection, `GET /` as well, is no process that was restarted: it gets no more requests.
#[test]
fn a_gateway_that_breaks_every_connection_is_not_asked_again_and_again() {
    let policy = Policy { knows_ibkr_host: true, ..Policy::default() };
    let mut s = Situation::with(policy, 7);
    let (mut requests, until) = (0, seconds(3600));
    while s.now.mono < until {
        s = match s.plan.request {
            Some(request) if request.is_proxied() => {
                requests += 1;
                s.step(Input::Unanswered(request))
            }
            Some(request) => s.step(said(request, Said::Unavailable(Unavailability::NoAnswer))),
            None => {
                let left = s.plan.wake_at - s.now.mono;
                s.wait(left).step(Input::Wake)
            }
        };
    }
    assert_eq!(requests, 2);
}

/// Behind an edge that always answers, the end of a silence shows only in a websocket.
#[test]
fn a_return_behind_an_edge_is_seen_by_a_websocket() {
    for (lasts, within) in [(seconds(100), seconds(240)), (seconds(20 * 60), seconds(50 * 60))] {
        let begins = Silence::new(|_, _| None).s.now.mono;
        let mut silence = Silence::new(move |at, request| {
            let is_back = at >= begins + lasts;
            match request {
                Request::IsListening => Some(Said::Listening),
                Request::HandshakeIbkr => Some(Said::Host(Ok(()))),
                Request::ProbeWebsocket => Some(Said::Websocket(is_back)),
                Request::Accounts if is_back => Some(Said::Accounts(USABLE)),
                Request::Check | Request::Ping if is_back => Some(Said::Status(GOOD)),
                _ => None,
            }
        });
        silence.lasts(lasts + within);
        assert_eq!(silence.s.state(), State::Live, "{lasts:?}: {:?}", silence.states);
    }
}

/// A handshake proves a way to IBKR's edge only: where the websocket stays silent the gateway is not called wedged.
#[test]
fn an_edge_that_answers_is_no_proof() {
    let mut silence = Silence::new(dead(Said::Host(Ok(())), Said::Websocket(false)));
    silence.lasts(seconds(8 * 3600));
    assert_eq!((silence.s.state(), silence.proxied().len()), (SILENT, 2), "the last resort, once");
    assert_eq!(silence.s.plan.standing, 2);
    let proxied: Vec<Duration> =
        silence.sent.iter().filter(|(_, request)| request.is_proxied()).map(|(at, _)| *at).collect();
    assert!(proxied[1] - proxied[0] >= seconds(600), "{proxied:?}");
    let websockets = silence.sent.iter().filter(|(_, request)| *request == Request::ProbeWebsocket).count();
    assert_eq!(websockets, 3);
    assert!(!silence.s.clone().step(Input::Check).plan.request.is_some_and(Request::is_proxied), "the budget is spent");
    // The operator knows that IBKR is back.
    assert_eq!(silence.s.clone().step(Input::Resume).plan.request, Some(Request::Check));
    let mut nowhere = Silence::new(dead(Said::Host(Err(HostFailure::NoWay)), Said::Websocket(true)));
    nowhere.lasts(seconds(8 * 3600));
    assert_eq!(nowhere.s.state(), State::Unavailable(Unavailability::IbkrUnreachable));
    assert!(!nowhere.sent.iter().any(|(_, request)| *request == Request::ProbeWebsocket));
    assert_eq!(nowhere.proxied().len(), 2, "the last resort, once");
}

/// With two requests unanswered, a handshake is not enough for a third; a websocket is.
#[test]
fn the_better_proof_is_wanted_for_one_more_than_the_budget() {
    let way = seconds(3600);
    let from = |websocket| {
        Silence::new(move |at, request| match request {
            Request::IsListening => Some(Said::Listening),
            Request::HandshakeIbkr if at < way => Some(Said::Host(Err(HostFailure::NoWay))),
            Request::HandshakeIbkr => Some(Said::Host(Ok(()))),
            Request::ProbeWebsocket => Some(Said::Websocket(websocket)),
            _ => None,
        })
    };
    for (websocket, requests, state) in [(false, 2, SILENT), (true, 3, WEDGED)] {
        let mut silence = from(websocket);
        silence.lasts(way - silence.s.now.mono);
        assert_eq!(silence.proxied().len(), 2);
        silence.lasts(seconds(3600));
        assert_eq!((silence.s.state(), silence.proxied().len()), (state, requests));
    }
}

/// A request that went first on a handshake alone is unanswered: a websocket tells whether IBKR or the gateway is to blame.
#[test]
fn a_websocket_decides_after_a_handshake() {
    let way = seconds(300);
    for (websocket, state) in [(false, SILENT), (true, WEDGED)] {
        let mut silence = Silence::new(move |at, request| match request {
            Request::IsListening => Some(Said::Listening),
            Request::HandshakeIbkr if at < way => Some(NO_HOST),
            Request::HandshakeIbkr => Some(Said::Host(Ok(()))),
            Request::ProbeWebsocket => Some(Said::Websocket(websocket)),
            _ => None,
        });
        silence.lasts(seconds(1200));
        assert_eq!((silence.s.state(), silence.proxied().len()), (state, 2), "{:?}", silence.sent);
    }
}

/// Without a host of IBKR that this gateway uses there is no handshake.
#[test]
fn an_unknown_host_of_ibkr_is_not_asked() {
    let live = Situation::with(Policy::default(), 7).live();
    let mut silence = Silence::of(live, dead(Said::Host(Ok(())), Said::Websocket(false)));
    silence.lasts(seconds(3600));
    assert!(silence.sent.iter().any(|(_, request)| *request == Request::ProbeWebsocket));
    assert!(!silence.sent.iter().any(|(_, request)| *request == Request::HandshakeIbkr));
}

/// A clock that is set in a silence repeats nothing.
#[test]
fn a_clock_that_is_set_in_a_silence_changes_nothing() {
    let mut silence = Silence::new(dead(NO_HOST, Said::Websocket(false)));
    silence.lasts(seconds(600));
    let mut watching = silence.s.asks(Request::IsListening);
    watching.now.wall += seconds(3600);
    let jumped = watching.step(Input::Wake);
    assert!(jumped.plan.jumped.is_some());
    assert_eq!((jumped.plan.request, jumped.plan.awaiting, jumped.state()), (None, true, SILENT));
}

/// With a sign of life a request may be slow: nothing changes for two minutes. Then the gateway is wedged.
#[test]
fn a_busy_gateway_is_not_a_silent_one() {
    let mut busy = Silence::new(dead(NO_HOST, Said::Websocket(true)));
    busy.lasts(seconds(20));
    let (sent_at, request) = *busy.sent.iter().find(|(_, request)| request.is_proxied()).unwrap();
    busy.s.machine.on_sign_of_life(busy.s.now);
    busy.lasts(sent_at + seconds(119) - busy.s.now.mono);
    assert_eq!((busy.s.state(), busy.proxied().len()), (State::Live, 1));
    let mut answered = busy.s.clone();
    answered = answered.step(said(request, Said::Status(GOOD)));
    assert_eq!(answered.state(), State::Live);
    assert_eq!(answered.machine.facts().answer_took, Some(seconds(119)));
    busy.lasts(seconds(2));
    assert_eq!(busy.s.state(), WEDGED);

    // While answers are slow, a lapse is believed at once.
    let (_, request, asking) = answered.next();
    let lapsed = asking.wait(seconds(8)).step(said(request, Said::Status(LOST)));
    assert!(matches!(lapsed.state(), State::Recovering { .. }), "{:?}", lapsed.state());
}

/// What an earlier daemon left unanswered counts: nothing is sent before IBKR is known to answer.
#[test]
fn a_restart_keeps_the_budget() {
    let mut silence = Silence::new(dead(NO_HOST, Said::Websocket(false)));
    silence.lasts(seconds(600));
    let now = silence.s.now;
    let kept = silence.s.machine.rate_limit_state(now);
    assert_eq!(kept.unanswered.len(), 1);
    let mut heir = Situation::with(Policy { knows_ibkr_host: true, ..Policy::default() }, 9).wait(now.mono);
    heir.machine = tickled::session::Machine::new(heir.machine.policy().clone(), 9, heir.now);
    heir.machine.restore_limits(heir.now, &RateLimitState { requests: Vec::new(), ..kept });
    let mut heir = Silence::of(heir.step(Input::Wake), dead(NO_HOST, Said::Websocket(false)));
    heir.lasts(seconds(3600));
    assert_eq!((heir.s.state(), heir.proxied().len()), (SILENT, 0));
    let mut back = Silence::of(heir.s.clone(), |_, request| match request {
        Request::IsListening => Some(Said::Listening),
        Request::HandshakeIbkr => Some(Said::Host(Ok(()))),
        Request::Accounts => Some(Said::Accounts(USABLE)),
        Request::Ping | Request::Check => Some(Said::Status(GOOD)),
        _ => None,
    });
    back.lasts(seconds(40));
    assert_eq!(back.s.state(), State::Live);
}

/// If only pings are answered they stand in for checks, and few checks are tried.
#[test]
fn pings_stand_in_for_checks_that_are_never_answered() {
    let mut odd = Silence::new(|_, request| match request {
        Request::IsListening => Some(Said::Listening),
        Request::HandshakeIbkr => Some(Said::Host(Ok(()))),
        Request::ProbeWebsocket => Some(Said::Websocket(true)),
        Request::Accounts => Some(Said::Accounts(USABLE)),
        Request::Ping => Some(Said::Status(GOOD)),
        Request::ValidateSso => Some(Said::Sso(VALID)),
        _ => None,
    });
    odd.lasts(seconds(3 * 3600));
    assert_eq!(odd.s.state(), State::Live, "{:?}", odd.states);
    let checks = odd.sent.iter().filter(|(_, request)| *request == Request::Check).count();
    assert!((2..=4).contains(&checks), "{checks} checks");
    let sent = odd.lasts(seconds(600));
    assert!(sent.iter().filter(|request| **request == Request::Ping).count() > 50, "{sent:?}");
}

/// A daemon that inherits more than the budget, and finds IBKR answering, tries one request after ten minutes.
#[test]
fn an_heir_finds_out_whether_the_gateway_still_holds_so_many() {
    let s = Situation::with(Policy { knows_ibkr_host: true, ..Policy::default() }, 9);
    let mut machine = tickled::session::Machine::new(s.machine.policy().clone(), 9, s.now);
    let unanswered = vec![s.now.wall; 3];
    machine.restore_limits(s.now, &RateLimitState { unanswered, ..RateLimitState::default() });
    let heir = Situation { machine, ..s }.step(Input::Wake);
    let mut heir = Silence::of(heir, dead(Said::Host(Ok(())), Said::Websocket(true)));
    heir.lasts(seconds(590));
    assert_eq!((heir.s.state(), heir.proxied().len()), (WEDGED, 0));
    heir.lasts(seconds(3600));
    assert_eq!((heir.s.state(), heir.proxied().len()), (WEDGED, 1));
}

/// A logout that IBKR does not answer is not repeated, however often the operator asks.
#[test]
fn a_logout_is_sent_once_in_a_silence() {
    let mut silence = Silence::new(dead(NO_HOST, Said::Websocket(false)));
    silence.s = silence.s.clone().step(Input::Logout);
    for _ in 0..6 {
        silence.lasts(seconds(20));
        silence.s = silence.s.clone().step(Input::Logout);
    }
    let logouts = silence.sent.iter().filter(|(_, request)| *request == Request::EndSession).count();
    assert_eq!(logouts, 1, "{:?}", silence.sent);
    assert!(silence.s.plan.standing <= 2);
    assert_eq!(silence.s.state(), State::LoginRequired(tickled::session::Cause::ByOperator));
}

/// Whatever else happens beside it, the time at which a request is given up stays the same.
#[test]
fn a_step_beside_a_standing_request_does_not_put_off_its_end() {
    let (_, _, asking) = Situation::new().live().next();
    let until = asking.now.mono + seconds(45);
    let watched = |s: Situation| s.answered(Request::IsListening, Said::Listening);
    let standing = asking.wait(seconds(15)).step(Input::Wake);
    let watching = watched(watched(standing)).asks(Request::IsListening);
    assert_eq!(watching.plan.wake_at, until);
    let stepped = watching.wait(seconds(1)).step(Input::Check);
    assert_eq!((stepped.plan.wake_at, stepped.plan.request), (until, None));
}

/// The request that goes first on IBKR's return is unanswered, and then the gateway's process gives no answer that it used to give.
#[test]
fn a_gateway_that_answers_otherwise_gets_one_request_beyond_the_budget() {
    let mut is_back = false;
    let mut silence = Silence::new(move |_, request| match request {
        Request::IsListening if is_back => Some(Said::Unsupported),
        Request::IsListening => Some(Said::Listening),
        Request::HandshakeIbkr => Some(Said::Host(Ok(()))),
        Request::ProbeWebsocket => {
            is_back = true;
            Some(Said::Websocket(true))
        }
        _ => None,
    });
    silence.lasts(seconds(3600));
    assert_eq!(silence.proxied().len(), 3, "{:?}", silence.sent);
}
