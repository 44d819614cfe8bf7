//! The log lines about directories and gateways: transitions, recoveries, the stream, answers, certificates.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use tracing::{debug, info, trace, warn};

use crate::control::Asked;
use crate::directories::Chosen;
use crate::driver::{Received, StreamChange};
use crate::gateway::{Error, ErrorKind, Fingerprint, Target, Trust};
use crate::log::{self, event, human_duration};
use crate::session::{Request, State, Transition};
use crate::status::Snapshot;

/// Logs which features the missing directories disable, and how to provide them.
pub(super) fn directories(chosen: &Chosen) {
    if let Some(fault) = &chosen.state_fault {
        let (what, remedy) = match &chosen.state {
            Some(_) => ("the state directory cannot be used", "they are kept as soon as it can be used"),
            None => ("there is no state directory", "name one with --state-dir DIR"),
        };
        warn!(
            event = event::STATE_UNSAVED,
            fault, "{what}, so a restart forgets history, pauses and undelivered alerts; {remedy}: {fault}"
        );
    }
    if let Some(fault) = &chosen.runtime_fault {
        warn!(
            event = event::CONTROL_CLOSED,
            fault,
            "there is no runtime directory, so status, pause and the like do not work, and a second tickled for the same \
             gateway would not be noticed; name one with --runtime-dir DIR: {fault}"
        );
    }
}

/// One line for a change of state.
pub(super) fn transition(snapshot: &Snapshot, transition: &Transition) {
    let gateway = &snapshot.gateway;
    let (from, to, reason) = (transition.from.name(), transition.to.name(), transition.reason);
    let held = human_duration(transition.held);
    info!(
        event = event::STATE_CHANGED,
        gateway,
        from,
        to,
        because = reason.code(),
        held,
        session = snapshot.session.number,
        "{gateway}: {from} -> {to}: {}",
        reason.sentence(),
    );
}

/// One line for a session that is, or may be, a new one.
pub(super) fn session(snapshot: &Snapshot) {
    let (gateway, session) = (&snapshot.gateway, snapshot.session.number);
    info!(event = event::SESSION_NEW, gateway, session, "{gateway}: this is session {session}");
}

/// One line for each step of a recovery.
pub(super) fn step(before: Option<&Snapshot>, snapshot: &Snapshot) {
    let State::Recovering { attempt, step } = snapshot.state else { return };
    if before.is_none_or(|before| before.state != snapshot.state) {
        let (gateway, step) = (&snapshot.gateway, step.name());
        debug!(event = event::RECOVERY_STEP, gateway, attempt, step, "{gateway}: recovery, attempt {attempt}: {step}");
    }
}

/// One line for each change of the stream.
pub(super) fn stream(gateway: &str, change: &StreamChange) {
    match change {
        StreamChange::Up => {
            info!(event = event::STREAM_UP, gateway, "{gateway}: the stream is connected and reports losses at once");
        }
        StreamChange::Down { reason, pause } => {
            let (code, pause) = (reason.code(), human_duration(*pause));
            warn!(
                event = event::STREAM_DOWN,
                gateway,
                because = code,
                pause,
                "{gateway}: the stream is down: {reason}; polling goes on, and the stream is retried after {pause} or more"
            );
        }
        StreamChange::Refuted { pause } => {
            let pause = human_duration(*pause);
            warn!(
                event = event::STREAM_DOWN,
                gateway,
                because = "refuted",
                pause,
                "{gateway}: the stream was closed: twice it reported a working session as lost; polling goes on, and the \
                 stream is retried after {pause} or more"
            );
        }
    }
}

/// Logs a request and its outcome, and returns it as the status shows it.
pub(super) fn request(name: &str, at: Timestamp, request: Request, answer: &Received, took: Duration) -> Asked {
    let outcome = answer.error.as_ref().map_or_else(|| "ok".to_owned(), ToString::to_string);
    let (call, took_ms) = (request.name(), u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    let keeps_alive = answer.error.is_none() && matches!(request, Request::Ping | Request::Check);
    if keeps_alive {
        trace!(event = event::REQUEST, gateway = name, call, outcome, took_ms, "{name}: {call}: {outcome}");
    } else {
        debug!(event = event::REQUEST, gateway = name, call, outcome, took_ms, "{name}: {call}: {outcome}");
    }
    Asked { at, call: call.to_owned(), outcome, took_ms }
}

/// Remembers what was logged about a gateway's answers, so that each change is logged once.
#[derive(Debug, Default)]
pub(super) struct OnceLog {
    /// The last answer that was not understood, by request.
    not_understood: BTreeMap<&'static str, String>,
    /// The certificate that is refused.
    certificate: String,
    /// Requests that the gateway no longer supports.
    gone: BTreeSet<&'static str>,
}

impl OnceLog {
    /// Logs what is new about an answer.
    pub(super) fn answered(&mut self, gateway: &str, request: Request, error: Option<&Error>) {
        let call = request.name();
        let Some(error) = error else {
            self.not_understood.remove(call);
            self.certificate.clear();
            self.gone.remove(call);
            return;
        };
        let (kind, status) = (error.kind, error.status);
        // The position of the syntax error differs from answer to answer.
        let what = format!("{status:?} {}", error.detail.split(" at line ").next().unwrap_or_default());
        if kind == ErrorKind::NotUnderstood && is_new(self.not_understood.entry(call).or_default(), &what) {
            let sample = log::redact(&String::from_utf8_lossy(&error.sample));
            warn!(event = event::ANSWER_NOT_UNDERSTOOD, gateway, call, status, sample, "{gateway}: {error}");
        }
        let fault = &error.detail;
        if matches!(kind, ErrorKind::Certificate | ErrorKind::Tls) && is_new(&mut self.certificate, fault) {
            warn!(
                event = event::CERTIFICATE_REFUSED,
                gateway, fault, "{gateway}: no request is sent to {}: {fault}", error.url
            );
        }
        if kind == ErrorKind::Gone && self.gone.insert(call) {
            let then = if request.can_be_left_out() { "it is left out" } else { "it is sent all the same" };
            warn!(
                event = event::METHOD_GONE,
                gateway, call, status, "{gateway}: {call} is not supported at {}; {then}", error.url
            );
        }
    }
}

fn is_new(last: &mut String, text: &str) -> bool {
    let is_new = last != text;
    if is_new {
        text.clone_into(last);
    }
    is_new
}

/// One line when the unit of a gateway is found to be down.
pub(super) fn unit(before: Option<&Snapshot>, snapshot: &Snapshot) {
    let is_new = before.is_none_or(|before| before.unit != snapshot.unit);
    let Some(down) = snapshot.unit.as_ref().filter(|_| is_new) else { return };
    let gateway = &snapshot.gateway;
    let (unit, because, sentence) = (&down.unit, down.code(), down.sentence());
    warn!(event = event::UNIT_DOWN, gateway, unit, because, "{gateway}: {sentence}");
}

/// Logs how a gateway's certificate is verified, and warns if that proves little.
pub(super) fn trust(gateway: &str, target: &Target) {
    let is_far = !target.url.is_loopback();
    let (is_weak, trust, how) = match &target.trust {
        Trust::Loopback => {
            (false, "loopback", "any certificate is accepted, because the gateway is on this host".to_owned())
        }
        Trust::Pin(pins) if is_far && pins.contains(&Fingerprint::STOCK) => {
            let how = "the pinned certificate is the one that every gateway is shipped with, and its key is public: \
                       give this gateway a certificate of its own (sslCert in its conf.yaml)";
            (true, "pin", how.to_owned())
        }
        Trust::Pin(_) => (false, "pin", "only the pinned certificate is accepted".to_owned()),
        Trust::CaFile(path) => {
            let file = path.display();
            let how =
                format!("only the certificates in {file} and those that they signed for this host name are accepted");
            (false, "ca-file", how)
        }
        Trust::Plain => {
            let how = "plain HTTP to another host, as plain_http allows: anyone on the network path can read the \
                       session, and nothing proves that the gateway answers";
            (true, "plain", how.to_owned())
        }
        Trust::System => (false, "system", "only certificates that this system trusts are accepted".to_owned()),
    };
    if is_weak {
        warn!(event = event::TRUST, gateway, trust, "{gateway}: {how}");
    } else {
        info!(event = event::TRUST, gateway, trust, "{gateway}: {how}");
    }
}
