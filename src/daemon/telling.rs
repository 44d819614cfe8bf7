//! What the daemon says in the log about its gateways: transitions, the stream, whom a connection trusts.

use tracing::{debug, info, warn};

use crate::config;
use crate::driver::StreamChange;
use crate::gateway::{Fingerprint, Target, Trust};
use crate::log::{event, humane};
use crate::session::{State, Transition};
use crate::status::Snapshot;

/// One line for a change of state.
pub(super) fn transition(snapshot: &Snapshot, transition: &Transition) {
    let gateway = &snapshot.gateway;
    let (from, to, because) = (transition.from.name(), transition.to.name(), transition.because);
    let held = humane(transition.held);
    info!(
        event = event::STATE_CHANGED,
        gateway,
        from,
        to,
        because = because.code(),
        held,
        "{gateway}: {from} -> {to}: {}",
        because.sentence(),
    );
}

/// One line for each step of a recovery.
pub(super) fn step(before: Option<&Snapshot>, snapshot: &Snapshot) {
    let State::Recovering { attempt, step } = snapshot.state else { return };
    if before.is_none_or(|before| before.state != snapshot.state) {
        let (gateway, step) = (&snapshot.gateway, step.name());
        debug!(event = event::RECOVERY_STEP, gateway, attempt, step, "{gateway}: recovery, attempt {attempt}: {step}");
    }
}

/// One line for a stream that came or went.
pub(super) fn stream(gateway: &str, change: &StreamChange) {
    match change {
        StreamChange::Up => info!(event = event::STREAM_UP, gateway, "{gateway}: the stream tells of losses at once"),
        StreamChange::Down { because, pause } => {
            let (code, pause) = (because.code(), humane(*pause));
            warn!(
                event = event::STREAM_DOWN,
                gateway,
                because = code,
                pause,
                "{gateway}: no stream: {because}; the session is watched by asking alone, and the stream is tried again \
                 after {pause} or more"
            );
        }
    }
}

/// Says once whom the gateway's connection trusts, and when that proves little.
pub(super) fn trust(gateway: &str, target: &Target) {
    let far = !config::is_loopback(&target.url);
    match &target.trust {
        Trust::Loopback => {
            info!(
                event = event::TRUST,
                gateway,
                trust = "loopback",
                "{gateway}: any certificate will do: it is this host's own"
            );
        }
        Trust::Pin(pins) if far && pins.contains(&Fingerprint::STOCK) => warn!(
            event = event::TRUST,
            gateway,
            trust = "pin",
            "{gateway}: pinned is the certificate that every gateway comes with, and everybody has its key: give this \
             gateway a certificate of its own (sslCert in its conf.yaml)",
        ),
        Trust::Pin(_) => {
            info!(event = event::TRUST, gateway, trust = "pin", "{gateway}: only the pinned certificate will do");
        }
        Trust::CaFile(path) => {
            info!(
                event = event::TRUST,
                gateway,
                trust = "ca-file",
                "{gateway}: only certificates signed by {}",
                path.display()
            );
        }
        Trust::System => {
            info!(
                event = event::TRUST,
                gateway,
                trust = "system",
                "{gateway}: only certificates that this system trusts"
            );
        }
    }
}

/// `1 gateway`, `2 gateways`.
pub(super) fn counted(n: usize, what: &str) -> String {
    if n == 1 { format!("{n} {what}") } else { format!("{n} {what}s") }
}
