//! The metrics as Prometheus reads them: text, names with units, every state as a series of its own. Pure.

use std::fmt::{Display, Write};

use super::counts::{BOUNDS, Histogram, age};
use super::view::View;
use crate::alert::ChannelStatus;
use crate::control::GatewayStatus;
use crate::session::StateKind;

/// All metrics of one moment, in the text format of version 0.0.4.
#[must_use]
pub fn text(view: &View) -> String {
    let mut out = Exposition(String::new());
    daemon(&mut out, view);
    sessions(&mut out, view);
    counts(&mut out, view);
    alerts(&mut out, view);
    out.0
}

fn daemon(out: &mut Exposition, view: &View) {
    let status = &view.status;
    out.family("tickled_build_info", GAUGE, "The version that runs; always 1.");
    out.line("tickled_build_info", &[("version", &status.version)], 1);
    let mut one = |name: &str, help: &str, value: i64| {
        out.family(name, GAUGE, help);
        out.line(name, &[], value);
    };
    one("tickled_start_time_seconds", "When the daemon began, in seconds since 1970.", status.since.as_second());
    one(
        "tickled_config_last_reload_successful",
        "Whether the configuration in force is the one in the file: 0 after a reload that was refused.",
        i64::from(status.config_refused.is_none()),
    );
    one(
        "tickled_config_last_reload_success_timestamp_seconds",
        "When the configuration in force was read, in seconds since 1970.",
        view.config_read.as_second(),
    );
}

fn sessions(out: &mut Exposition, view: &View) {
    let gateways = &view.status.gateways;
    out.family("tickled_session_state", GAUGE, "1 for the state that the session is in, 0 for the others.");
    for gateway in gateways {
        for state in StateKind::ALL {
            let holds = gateway.state == *state && !view.late.contains(&gateway.name);
            out.line("tickled_session_state", &[("gateway", &gateway.name), ("state", state.name())], u8::from(holds));
        }
    }
    out.family("tickled_session_number", GAUGE, "Grows whenever the brokerage session is, or may be, a new one.");
    for gateway in gateways {
        out.line("tickled_session_number", &[("gateway", &gateway.name)], gateway.session);
    }
    let mut each = |name: &str, help: &str, value: &dyn Fn(&GatewayStatus) -> Option<f64>| {
        out.family(name, GAUGE, help);
        for gateway in gateways {
            if let Some(value) = value(gateway) {
                out.line(name, &[("gateway", &gateway.name)], value);
            }
        }
    };
    let yes = |is: bool| Some(f64::from(u8::from(is)));
    each(
        "tickled_session_state_start_time_seconds",
        "Since when that state holds, in seconds since 1970.",
        &|gateway| Some(gateway.since.as_duration().as_secs_f64()),
    );
    each("tickled_session_down_seconds", "How long the session has not been live; 0 while it is.", &|gateway| {
        let observed = view.counts.gateways.get(&gateway.name).and_then(|counted| counted.down_for(view.now));
        let by_wall = |since| observed.map_or(seconds_between(since, view.now.wall), |down| down.as_secs_f64());
        Some(gateway.down_since.map_or(0.0, by_wall))
    });
    each("tickled_last_good_ping_age_seconds", "How long ago the last ping was answered well.", &|gateway| {
        let counted = view.counts.gateways.get(&gateway.name)?;
        counted.last_good_ping.map(|ping| age(view.now, ping).as_secs_f64())
    });
    each(
        "tickled_last_answer_seconds",
        "How long IBKR took for its last answer; more than a few seconds show a busy gateway.",
        &|gateway| view.counts.gateways.get(&gateway.name)?.answer_took.map(|took| took.as_secs_f64()),
    );
    each("tickled_last_proof_age_seconds", "How long ago the session was last proved to be live.", &|gateway| {
        gateway.last_good.map(|good| seconds_between(good, view.now.wall))
    });
    each(
        "tickled_login_end_timestamp_seconds",
        "When this login is expected to end, in seconds since 1970; absent if unknown.",
        &|gateway| gateway.login_ends_at.map(|end| end.as_duration().as_secs_f64()),
    );
    each("tickled_maintenance", "Whether IBKR is in a maintenance window.", &|gateway| {
        yes(gateway.maintenance.is_some())
    });
    each("tickled_account_wrong", "Whether the account is not of the configured kind.", &|gateway| {
        yes(gateway.wrong_account)
    });
    each("tickled_session_flapping", "Whether the session comes and goes more often than it should.", &|gateway| {
        yes(gateway.flapping)
    });
    each("tickled_driver_on_time", "Whether the gateway's driver keeps its own deadlines.", &|gateway| {
        yes(!view.late.contains(&gateway.name))
    });
}

fn counts(out: &mut Exposition, view: &View) {
    let gateways = &view.counts.gateways;
    out.family("tickled_requests_total", COUNTER, "Requests to the gateway, by what came of them.");
    for (name, counted) in gateways {
        for ((request, outcome), n) in &counted.requests {
            out.line("tickled_requests_total", &[("gateway", name), ("request", request), ("outcome", outcome)], n);
        }
    }
    out.family(
        "tickled_request_duration_seconds",
        SUMMARY,
        "How long requests took until they were answered or given up.",
    );
    for (name, counted) in gateways {
        for (request, (n, sum)) in &counted.took {
            let labels = [("gateway", name.as_str()), ("request", *request)];
            out.line("tickled_request_duration_seconds_sum", &labels, sum.as_secs_f64());
            out.line("tickled_request_duration_seconds_count", &labels, n);
        }
    }
    out.family("tickled_state_changes_total", COUNTER, "Changes of state, by the state that was entered.");
    for (name, counted) in gateways {
        for (to, n) in &counted.changes {
            out.line("tickled_state_changes_total", &[("gateway", name), ("to", to.name())], n);
        }
    }
    out.family("tickled_incidents_total", COUNTER, "Stretches of time that began with a session not live.");
    for (name, counted) in gateways {
        out.line("tickled_incidents_total", &[("gateway", name)], counted.incidents);
    }
    let name = "tickled_recovery_duration_seconds";
    out.family(
        name,
        "histogram",
        "How long incidents lasted until the session was live again: by tickled alone, or after a human logged in.",
    );
    for (gateway, counted) in gateways {
        for (by, histogram) in [("tickled", &counted.recovered), ("human", &counted.logged_in)] {
            out.histogram(name, &[("gateway", gateway), ("by", by)], histogram);
        }
    }
}

fn alerts(out: &mut Exposition, view: &View) {
    out.family("tickled_alert_open", GAUGE, "1 for each open alert; notified is false while it is held back.");
    for alert in &view.status.alerts {
        let labels = [
            ("code", alert.code.as_str()),
            ("gateway", alert.gateway.as_deref().unwrap_or_default()),
            ("channel", alert.channel.as_deref().unwrap_or_default()),
            ("notified", if alert.notified { "true" } else { "false" }),
        ];
        out.line("tickled_alert_open", &labels, 1);
    }
    let mut each = |name: &str, kind: &str, help: &str, value: fn(&ChannelStatus) -> u64| {
        out.family(name, kind, help);
        for channel in &view.status.channels {
            out.line(name, &[("channel", &channel.name)], value(channel));
        }
    };
    each("tickled_alert_messages_sent_total", COUNTER, "Messages that a channel took.", |channel| channel.sent);
    each("tickled_alert_messages_failed_total", COUNTER, "Messages that were given up.", |channel| channel.given_up);
    each("tickled_alert_messages_waiting", GAUGE, "Messages that wait to be sent.", |channel| channel.waiting as u64);
    each("tickled_alert_channel_failing", GAUGE, "Whether a channel's last try failed.", |channel| {
        u64::from(channel.last_failure.is_some())
    });
}

fn seconds_between(then: jiff::Timestamp, now: jiff::Timestamp) -> f64 {
    now.duration_since(then).as_secs_f64().max(0.0)
}

struct Exposition(String);

impl Exposition {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing into a string does not fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }

    fn histogram(&mut self, name: &str, labels: &[(&str, &str)], histogram: &Histogram) {
        let bucket = format!("{name}_bucket");
        let mut until_here = 0;
        for (bound, within) in BOUNDS.iter().zip(histogram.within) {
            until_here += within;
            let bound = bound.to_string();
            self.line(&bucket, &[labels, &[("le", &bound)]].concat(), until_here);
        }
        self.line(&bucket, &[labels, &[("le", "+Inf")]].concat(), histogram.count);
        self.line(&format!("{name}_sum"), labels, histogram.sum.as_secs_f64());
        self.line(&format!("{name}_count"), labels, histogram.count);
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

const GAUGE: &str = "gauge";
const COUNTER: &str = "counter";
const SUMMARY: &str = "summary";
