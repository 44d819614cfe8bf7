//! The event names of the log, in one table: an interface for programs that filter, count or alert on the log.

use super::settings::Level;

/// One kind of log line: its name, levels and fields.
#[derive(Debug, Clone, Copy)]
pub struct EventKind {
    /// Its stable name, the value of the field `event`.
    pub name: &'static str,
    /// The levels at which it is logged.
    pub levels: &'static [Level],
    /// Fields that are always present.
    pub fields: &'static [&'static str],
    /// Fields that may be present.
    pub also: &'static [&'static str],
    /// What it means to the operator.
    pub meaning: &'static str,
}

impl EventKind {
    /// Looks up an event by its name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        EVENTS.iter().find(|event| event.name == name)
    }

    /// Checks a line of this event against the table, for tests. `fields` are its keys without `time`, `level`, `event` and
    /// `message`.
    #[must_use]
    pub fn fault(&self, level: Level, fields: &[&str]) -> Option<String> {
        let name = self.name;
        if !self.levels.contains(&level) {
            return Some(format!("{name} is not logged at level {}", level.name()));
        }
        if let Some(missing) = self.fields.iter().find(|field| !fields.contains(field)) {
            return Some(format!("{name} lacks the field {missing}"));
        }
        let unknown = fields.iter().find(|field| !self.fields.contains(field) && !self.also.contains(field));
        unknown.map(|field| format!("{name} has the field {field}, which is not in its table"))
    }
}

/// Defines each event once. The doc comment is also its meaning in the table and in the documentation.
macro_rules! events {
    ($(
        #[doc = $meaning:literal]
        $constant:ident = $name:literal at $($level:ident)|+, with [$($field:literal),*], may [$($also:literal),*];
    )+) => {
        $(#[doc = $meaning] pub const $constant: &str = $name;)+

        /// Every event, in the order of the documentation.
        pub const EVENTS: &[EventKind] = &[$(EventKind {
            name: $constant,
            levels: &[$(Level::$level),+],
            fields: &[$($field),*],
            also: &[$($also),*],
            meaning: $meaning.trim_ascii(),
        }),+];
    };
}

events! {
    /// The daemon has started, with its version and the number of gateways.
    DAEMON_STARTED = "daemon-started" at Info, with ["version", "gateways", "config", "pid"], may [];
    /// The daemon stops, and why; ERROR if neither a signal nor the service manager requested it. It never logs a session out.
    DAEMON_STOPPED = "daemon-stopped" at Info | Error, with ["because", "ran"], may [];
    /// The daemon monitors a gateway from now on.
    GATEWAY_WATCHED = "gateway-watched" at Info, with ["gateway", "url"], may [];
    /// Another daemon on this host already manages a gateway, or uses the state directory. Under systemd this one waits for a while before it ends.
    GATEWAY_LOCKED = "gateway-locked" at Warn, with ["fault"], may ["gateway"];
    /// This gateway or the state directory cannot be locked, so a second daemon on this host would not be noticed.
    LOCK_UNAVAILABLE = "lock-unavailable" at Warn, with ["fault"], may ["gateway"];
    /// The runtime or the state directory was removed, or files in it: the locks and the control socket are created again.
    RUNTIME_DIR_LOST = "runtime-dir-lost" at Warn, with ["file"], may [];
    /// A gateway's session is in another state: one line for each transition.
    STATE_CHANGED = "state-changed" at Info, with ["gateway", "from", "to", "because", "held", "session"], may [];
    /// A hook's program ended with exit code 0.
    HOOK_RAN = "hook-ran" at Info, with ["hook", "on", "gateway", "session", "outcome", "took", "said"], may [];
    /// A hook's program ended with another exit code or by a signal, took too long and was killed, or could not be run.
    HOOK_FAILED = "hook-failed" at Warn, with ["hook", "on", "gateway", "session", "outcome", "took", "said"], may [];
    /// A gateway's brokerage session is, or may be, a new one: state that belongs to a session must be set up again.
    SESSION_NEW = "session-new" at Info, with ["gateway", "session"], may [];
    /// An alert was sent (`phase=raised`, later `repeated`): ERROR if one is needed, WARN if it is being handled. `resolved` is INFO; `withdrawn` means that the alert's gateway was removed from the configuration.
    ALERT = "alert" at Error | Warn | Info, with ["code", "phase"], may ["gateway", "channel", "reason", "action", "lasted"];
    /// An open alert is not sent: a maintenance window, the hours, flapping, its cause or an acknowledgement holds it.
    ALERT_HELD = "alert-held" at Info, with ["code", "because"], may ["gateway", "channel", "until"];
    /// The deadline `ready_by` has passed: how many sessions were live.
    READY = "ready" at Info, with ["live", "total"], may [];
    /// A channel delivered an alert.
    ALERT_SENT = "alert-sent" at Info, with ["channel", "code", "phase", "tries", "answer"], may ["gateway"];
    /// A delivery failed and is retried; WARN for a new fault, and for one that is reported through other channels.
    ALERT_DELAYED = "alert-delayed" at Warn | Debug, with ["channel", "code", "phase", "fault", "pause"], may ["gateway"];
    /// A delivery is not retried: the channel refused the alert, could not be reached for a day, or was removed.
    ALERT_GIVEN_UP = "alert-given-up" at Error, with ["channel", "code", "phase", "fault"], may ["gateway"];
    /// The output of a channel's program, with personal data masked.
    ALERT_COMMAND_SAID = "alert-command-said" at Info, with ["channel", "said"], may [];
    /// The file that keeps alerts across restarts cannot be read, or cannot be written yet; alerts are sent all the same.
    ALERT_SPOOL = "alert-spool" at Warn, with ["fault"], may [];
    /// The control socket is open.
    CONTROL_OPEN = "control-open" at Info, with ["socket"], may [];
    /// The control socket cannot be opened: commands cannot reach this daemon; everything else works.
    CONTROL_CLOSED = "control-closed" at Warn, with ["fault"], may ["socket"];
    /// The endpoint is open.
    ENDPOINT_OPEN = "endpoint-open" at Info, with ["listen"], may [];
    /// The endpoint cannot be opened; retried until it can.
    ENDPOINT_CLOSED = "endpoint-closed" at Warn, with ["listen", "fault"], may [];
    /// The operator used the control socket; DEBUG for a check, which changes nothing.
    OPERATOR = "operator" at Info | Debug, with ["done"], may ["gateway"];
    /// History, pauses and last states cannot be read from disk or written to it; writing is retried.
    STATE_UNSAVED = "state-unsaved" at Warn, with ["fault"], may [];
    /// A file with a secret may be read by every user of this host.
    SECRET_EXPOSED = "secret-exposed" at Warn, with ["file"], may [];
    /// A ping to the dead man's switch failed; logged once for each fault.
    DEADMAN_FAILED = "deadman-failed" at Warn, with ["fault"], may [];
    /// The first ping to the dead man's switch succeeded, or the first one after a failure.
    DEADMAN_OK = "deadman-ok" at Info, with [], may [];
    /// Nothing has changed; logged at a long interval.
    HEARTBEAT = "heartbeat" at Info, with ["live", "total"], may ["summary"];
    /// A step in the recovery of a lapsed session.
    RECOVERY_STEP = "recovery-step" at Debug, with ["gateway", "attempt", "step"], may [];
    /// A request to a gateway and its outcome; TRACE for a ping or a check that was answered.
    REQUEST = "request" at Debug | Trace, with ["gateway", "call", "outcome", "took_ms"], may [];
    /// The host slept or its clock was set: the sessions are checked again.
    CLOCK_JUMPED = "clock-jumped" at Warn, with ["gateway", "by"], may [];
    /// A signal arrived.
    SIGNAL = "signal" at Info, with ["name"], may [];
    /// Log lines were lost here: the reader was too slow, full or gone.
    LOG_LINES_DROPPED = "log-lines-dropped" at Warn, with ["count"], may [];
    /// A gateway's driver has missed its own deadline: the watchdog is not notified, and systemd restarts the daemon.
    DRIVER_LATE = "driver-late" at Error, with ["gateway"], may [];
    /// The task of an alert channel has ended: the watchdog is not notified, and systemd restarts the daemon.
    CHANNEL_LOST = "channel-lost" at Error, with [], may [];
    /// A changed configuration was loaded.
    CONFIG_RELOADED = "config-reloaded" at Info, with ["changes"], may [];
    /// A changed configuration is invalid, one line for each fault; the old one stays in force.
    CONFIG_REJECTED = "config-rejected" at Error, with ["fault"], may [];
    /// The configuration is valid but something in it is odd, such as an unknown environment variable. Logged once, at the start.
    CONFIG_WARNING = "config-warning" at Warn, with ["fault"], may [];
    /// The service manager's socket cannot be used; the daemon runs on without it.
    SYSTEMD_UNREACHABLE = "systemd-unreachable" at Warn, with ["fault"], may [];
    /// An answer could not be understood; its beginning is shown, with personal data masked.
    ANSWER_NOT_UNDERSTOOD = "answer-not-understood" at Warn, with ["gateway", "call", "sample"], may ["status"];
    /// A gateway's certificate is not trusted, so no request is sent; logged once for each certificate.
    CERTIFICATE_REFUSED = "certificate-refused" at Warn, with ["gateway", "fault"], may [];
    /// The gateway or IBKR does not support a request; logged once. Where possible it is left out from then on.
    METHOD_GONE = "method-gone" at Warn, with ["gateway", "call"], may ["status"];
    /// How a gateway's certificate is verified; WARN when that proves little.
    TRUST = "trust" at Info | Warn, with ["gateway", "trust"], may [];
    /// The gateway's stream is connected and reports losses at once.
    STREAM_UP = "stream-up" at Info, with ["gateway"], may [];
    /// The gateway's stream is down and is retried with growing pauses; polling goes on. Logged once.
    STREAM_DOWN = "stream-down" at Warn, with ["gateway", "because", "pause"], may [];
    /// A gateway does not answer because the unit that runs it has failed or was stopped. Logged once.
    UNIT_DOWN = "unit-down" at Warn, with ["gateway", "unit", "because"], may [];
    /// A wedged gateway is restarted with the configured command; ERROR if the command failed.
    GATEWAY_RESTART = "gateway-restart" at Warn | Error, with ["gateway"], may ["fault"];
    /// A warning from a library that the daemon uses; nothing below WARN is logged.
    LIBRARY_WARNING = "library-warning" at Warn | Error, with ["target"], may [];
}

/// What each field means, by name.
pub const FIELDS: &[(&str, &str)] = &[
    ("action", "what to do"),
    ("answer", "the answer of the other side"),
    ("attempt", "the number of the attempt in this outage, from 1"),
    ("because", "the reason, as a stable word"),
    ("by", "how far the clock jumped"),
    ("call", "which request"),
    ("changes", "the changes"),
    ("channel", "the channel's name in the configuration"),
    ("code", "which alert, as a stable word"),
    ("config", "the configuration file"),
    ("count", "how many lines are missing"),
    ("done", "the action"),
    ("fault", "the fault"),
    ("file", "the file"),
    ("from", "the state before"),
    ("gateway", "the gateway's name in the configuration"),
    ("gateways", "how many gateways there are"),
    ("held", "how long the state before lasted"),
    ("hook", "the hook's name in the configuration"),
    ("lasted", "how long the alert was open"),
    ("listen", "where the endpoint listens"),
    ("live", "how many gateways are live"),
    ("name", "which signal"),
    ("on", "why the hook runs: `live`, `lost` or `session`"),
    ("outcome", "the outcome of the request, or how the program ended"),
    ("pause", "how long until the next attempt, at least"),
    ("phase", "`raised`, `repeated`, `resolved` or `withdrawn`"),
    ("pid", "the daemon's process id"),
    ("ran", "how long the daemon ran"),
    ("reason", "the reason of an alert, as a stable word"),
    ("said", "the beginning of its output, at most 200 bytes, personal data masked"),
    ("sample", "the beginning of the answer, at most 200 bytes, personal data masked"),
    ("session", "the session number, which changes with each brokerage session"),
    ("socket", "where the control socket is"),
    ("status", "the HTTP status"),
    ("step", "which step of the recovery"),
    ("summary", "the gateways by state"),
    ("target", "which part of which library"),
    ("to", "the state after"),
    ("took", "how long it took"),
    ("took_ms", "how long the request took, in milliseconds"),
    ("total", "how many gateways there are"),
    ("tries", "the attempt at which it was delivered"),
    ("trust", "how the certificate is verified"),
    ("unit", "the systemd unit that runs the gateway"),
    ("until", "until when, if the clock decides that"),
    ("url", "the gateway's address"),
    ("version", "the daemon's version"),
];
