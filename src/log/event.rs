//! The event names of the log, in one table: an interface for programs that filter, count or alert on the log.

use super::settings::Level;

/// One kind of line: what it is called, how much it matters, and what it carries.
#[derive(Debug, Clone, Copy)]
pub struct Event {
    /// Its stable name, the value of the field `event`.
    pub name: &'static str,
    /// The levels it is said at.
    pub levels: &'static [Level],
    /// The fields it always has.
    pub fields: &'static [&'static str],
    /// The fields it may have.
    pub also: &'static [&'static str],
    /// What it tells the operator.
    pub meaning: &'static str,
}

impl Event {
    /// The event of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        EVENTS.iter().find(|event| event.name == name)
    }

    /// What is wrong with a line that claims to be this event, if anything; for tests that hold lines against the table.
    /// `fields` are its keys without `time`, `level`, `event` and `message`.
    #[must_use]
    pub fn fault(&self, level: Level, fields: &[&str]) -> Option<String> {
        let name = self.name;
        if !self.levels.contains(&level) {
            return Some(format!("{name} is not said at level {}", level.name()));
        }
        if let Some(missing) = self.fields.iter().find(|field| !fields.contains(field)) {
            return Some(format!("{name} lacks the field {missing}"));
        }
        let unknown = fields.iter().find(|field| !self.fields.contains(field) && !self.also.contains(field));
        unknown.map(|field| format!("{name} has the field {field}, which is not in its table"))
    }
}

/// Each event is written once: the doc comment is its meaning, in the documentation and in the table.
macro_rules! events {
    ($(
        #[doc = $meaning:literal]
        $constant:ident = $name:literal at $($level:ident)|+, with [$($field:literal),*], may [$($also:literal),*];
    )+) => {
        $(#[doc = $meaning] pub const $constant: &str = $name;)+

        /// Every event, in the order of the documentation.
        pub const EVENTS: &[Event] = &[$(Event {
            name: $constant,
            levels: &[$(Level::$level),+],
            fields: &[$($field),*],
            also: &[$($also),*],
            meaning: $meaning.trim_ascii(),
        }),+];
    };
}

events! {
    /// The daemon runs; who it is and how much it watches.
    DAEMON_STARTED = "daemon-started" at Info, with ["version", "gateways", "config", "pid"], may [];
    /// The daemon ends, and why; ERROR if nobody asked for it. It never logs a session out.
    DAEMON_STOPPED = "daemon-stopped" at Info | Error, with ["because", "ran"], may [];
    /// One gateway is watched from here on.
    GATEWAY_WATCHED = "gateway-watched" at Info, with ["gateway", "url"], may [];
    /// Another daemon on this host keeps a gateway, or uses the state directory; under systemd this one waits for a while before it ends.
    GATEWAY_KEPT = "gateway-kept" at Warn, with ["fault"], may ["gateway"];
    /// This gateway, or else the state directory, cannot be locked, so a second daemon on this host would not be noticed.
    LOCK_UNAVAILABLE = "lock-unavailable" at Warn, with ["fault"], may ["gateway"];
    /// The runtime or the state directory was removed, or files in it: the locks and the control socket are created again.
    RUNTIME_DIR_LOST = "runtime-dir-lost" at Warn, with ["file"], may [];
    /// A gateway's session is in another state: one line for each transition.
    STATE_CHANGED = "state-changed" at Info, with ["gateway", "from", "to", "because", "held", "session"], may [];
    /// A gateway's brokerage session is, or may be, a new one: what belongs to a session must be made again.
    SESSION_NEW = "session-new" at Info, with ["gateway", "session"], may [];
    /// An alert was sent (`phase=raised`, later `repeated`): ERROR if one is needed, WARN if it is being handled. Over is `phase=resolved`, INFO; `withdrawn` is an alert about what is not in the configuration any more.
    ALERT = "alert" at Error | Warn | Info, with ["code", "phase"], may ["gateway", "channel", "reason", "action", "lasted"];
    /// A channel took an alert.
    ALERT_SENT = "alert-sent" at Info, with ["channel", "code", "phase", "tries", "answer"], may ["gateway"];
    /// A channel did not take an alert yet, and is tried again; WARN when the fault is a new one, or is reported by other channels.
    ALERT_DELAYED = "alert-delayed" at Warn | Debug, with ["channel", "code", "phase", "fault", "pause"], may ["gateway"];
    /// A channel does not take this alert, or its end did not arrive within a day, or the channel was removed: it is not tried again.
    ALERT_GIVEN_UP = "alert-given-up" at Error, with ["channel", "code", "phase", "fault"], may ["gateway"];
    /// What the program of a channel wrote, without what is personal.
    ALERT_COMMAND_SAID = "alert-command-said" at Info, with ["channel", "said"], may [];
    /// What is kept of alerts across restarts cannot be read, or not yet be written; alerts go out all the same.
    ALERT_SPOOL = "alert-spool" at Warn, with ["fault"], may [];
    /// The control socket is open.
    CONTROL_OPEN = "control-open" at Info, with ["socket"], may [];
    /// There is no control socket: verbs cannot ask this daemon; everything else goes on.
    CONTROL_CLOSED = "control-closed" at Warn, with ["fault"], may ["socket"];
    /// The endpoint is open.
    ENDPOINT_OPEN = "endpoint-open" at Info, with ["listen"], may [];
    /// The endpoint cannot be opened; tried again until it can.
    ENDPOINT_CLOSED = "endpoint-closed" at Warn, with ["listen", "fault"], may [];
    /// The operator used the control socket; DEBUG for a check, which changes nothing.
    OPERATOR = "operator" at Info | Debug, with ["done"], may ["gateway"];
    /// History, pauses and last states cannot be read from disk or kept on it; they are kept when they can be.
    STATE_UNKEPT = "state-unkept" at Warn, with ["fault"], may [];
    /// A file with a secret may be read by every user of this host.
    SECRET_EXPOSED = "secret-exposed" at Warn, with ["file"], may [];
    /// A ping to the dead man's switch failed; logged once for each fault.
    DEADMAN_UNHEARD = "deadman-unheard" at Warn, with ["fault"], may [];
    /// The dead man's switch took its first ping, or takes them again.
    DEADMAN_HEARD = "deadman-heard" at Info, with [], may [];
    /// All is as it was; said at a long interval.
    HEARTBEAT = "heartbeat" at Info, with ["live", "total"], may ["summary"];
    /// A lapsed session is being taken back, and this is the step at hand.
    RECOVERY_STEP = "recovery-step" at Debug, with ["gateway", "attempt", "step"], may [];
    /// One request to a gateway, and what came of it; TRACE for a ping or a check that was answered.
    REQUEST = "request" at Debug | Trace, with ["gateway", "call", "outcome", "took_ms"], may [];
    /// The machine slept or its clock was set: what was known is old and is asked again.
    CLOCK_JUMPED = "clock-jumped" at Warn, with ["gateway", "by"], may [];
    /// A signal arrived.
    SIGNAL = "signal" at Info, with ["name"], may [];
    /// Lines are missing here: their reader was too slow, full or gone.
    LOG_LINES_DROPPED = "log-lines-dropped" at Warn, with ["count"], may [];
    /// A gateway's driver is past the deadline that it set itself: systemd gets no sign of life, and will restart the daemon.
    DRIVER_LATE = "driver-late" at Error, with ["gateway"], may [];
    /// The task of an alert channel has ended: systemd gets no sign of life, and will restart the daemon.
    CHANNEL_LOST = "channel-lost" at Error, with [], may [];
    /// The configuration was read again and is in force.
    CONFIG_RELOADED = "config-reloaded" at Info, with ["changes"], may [];
    /// The configuration was read again and is refused, one line for each fault; the old one stays in force.
    CONFIG_REJECTED = "config-rejected" at Error, with ["fault"], may [];
    /// The configuration is in force, and something about it is odd, such as an unknown environment variable. Logged once, at the start.
    CONFIG_WARNING = "config-warning" at Warn, with ["fault"], may [];
    /// The service manager's socket cannot be used; the daemon runs on without.
    SYSTEMD_UNHEARD = "systemd-unheard" at Warn, with ["fault"], may [];
    /// An answer made no sense; its beginning is shown without what is personal.
    ANSWER_NOT_UNDERSTOOD = "answer-not-understood" at Warn, with ["gateway", "call", "sample"], may ["status"];
    /// A gateway's certificate is refused, and no request is sent there; logged once for each certificate.
    CERTIFICATE_REFUSED = "certificate-refused" at Warn, with ["gateway", "fault"], may [];
    /// A request is not known to the gateway or to IBKR any more; said once. Where that can be, it is left out from then on.
    METHOD_GONE = "method-gone" at Warn, with ["gateway", "call"], may ["status"];
    /// How a gateway's certificate is judged; WARN when that proves little.
    TRUST = "trust" at Info | Warn, with ["gateway", "trust"], may [];
    /// The gateway's stream tells of losses at once, from here on.
    STREAM_UP = "stream-up" at Info, with ["gateway"], may [];
    /// The gateway's stream is down and tried again with growing pauses; the session is watched by asking alone. Said once.
    STREAM_DOWN = "stream-down" at Warn, with ["gateway", "because", "pause"], may [];
    /// A gateway does not answer, and this is why: the unit that runs it has failed, or was stopped. Said once.
    UNIT_DOWN = "unit-down" at Warn, with ["gateway", "unit", "because"], may [];
    /// A library the daemon uses complains; nothing is said below WARN.
    LIBRARY_WARNING = "library-warning" at Warn | Error, with ["target"], may [];
}

/// What each field means, by name.
pub const FIELDS: &[(&str, &str)] = &[
    ("action", "what the human should do"),
    ("answer", "what the other side said"),
    ("attempt", "which attempt of this incident, from 1"),
    ("because", "the reason, in the words the status uses"),
    ("by", "how far the clock jumped"),
    ("call", "which request"),
    ("changes", "what has changed"),
    ("channel", "the channel's name in the configuration"),
    ("code", "which alert, as a stable word"),
    ("config", "the configuration file"),
    ("count", "how many lines are missing"),
    ("done", "what was done, in words"),
    ("fault", "what is wrong"),
    ("file", "the file"),
    ("from", "the state before"),
    ("gateway", "the gateway's name in the configuration"),
    ("gateways", "how many gateways are watched"),
    ("held", "how long the state before lasted"),
    ("lasted", "how long the alert stood"),
    ("listen", "where the endpoint listens"),
    ("live", "how many gateways are live"),
    ("name", "which signal"),
    ("outcome", "what came of the request"),
    ("pause", "how long until the next attempt, at the earliest"),
    ("phase", "`raised`, `repeated`, `resolved` or `withdrawn`"),
    ("pid", "the daemon's process id"),
    ("ran", "how long the daemon ran"),
    ("reason", "the reason of an alert, as a stable word"),
    ("said", "the beginning of what it wrote, at most 200 bytes, without what is personal"),
    ("sample", "the beginning of the answer, at most 200 bytes, without what is personal"),
    ("session", "the number of the session, which is another one for each brokerage session"),
    ("socket", "where the control socket is"),
    ("status", "the HTTP status"),
    ("step", "which step of the recovery"),
    ("summary", "the gateways by state"),
    ("target", "which part of which library"),
    ("to", "the state after"),
    ("took_ms", "how long the request took, in milliseconds"),
    ("total", "how many gateways are watched"),
    ("tries", "at which try"),
    ("trust", "how the certificate is judged"),
    ("unit", "the unit of systemd that runs the gateway"),
    ("url", "the gateway's address"),
    ("version", "the daemon's version"),
];
