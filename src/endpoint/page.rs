//! The page for a browser: no script, no request for anything else, readable on a phone, by day and by night. Pure.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use minijinja::{Environment, Error, Output, State, Value};
use serde::Serialize;

use super::view::View;
use crate::alert::held_text;
use crate::control::{self, GatewayStatus};
use crate::history::chart::{self, band, escaped};
use crate::history::report::HistoryReport;
use crate::log::human_duration;
use crate::session::StateKind;
use crate::text::{clock, short_clock, zone_named};

/// The history of all gateways, for the timelines.
#[derive(Debug, Clone, PartialEq)]
pub struct Timelines {
    /// The last 24 hours.
    pub day: HistoryReport,
    /// The last 30 days.
    pub month: HistoryReport,
}

/// Renders the page. Without timelines it says that no history is kept.
///
/// # Errors
/// When the template cannot be rendered, which is a bug.
pub fn html(view: &View, timelines: Option<&Timelines>) -> Result<String, Error> {
    let mut environment = Environment::new();
    environment.set_formatter(escape);
    environment.add_template(NAME, include_str!("page.html"))?;
    environment.get_template(NAME)?.render(minijinja::value::Serde(&page(view, timelines)))
}

/// Escapes every value that is not marked as safe.
fn escape(out: &mut Output<'_>, _: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    let text = value.to_string();
    out.write_str(&if value.is_safe() { text } else { escaped(&text) }).map_err(Error::from)
}

/// What the template shows.
#[derive(Serialize)]
struct Page<'a> {
    live: usize,
    total: usize,
    /// How many gateways need a human, if any does: `1 needs you`.
    needs: Option<String>,
    /// The colour of the icon, in hexadecimal digits.
    icon: &'static str,
    host: &'a str,
    at: String,
    version: &'a str,
    colours: String,
    config_refused: Option<&'a str>,
    alerts: Vec<AlertRow<'a>>,
    gateways: Vec<Section<'a>>,
    /// Gateways that have not reported yet.
    unknown: Vec<&'a str>,
    /// Classes and names of the states; empty without timelines.
    legend: Vec<(&'static str, &'static str)>,
}

#[derive(Serialize)]
struct Section<'a> {
    name: &'a str,
    class: &'static str,
    state: &'static str,
    is_late: bool,
    /// Whether its details are shown at first.
    is_open: bool,
    /// The band of its last 24 hours; empty if nothing is known.
    day: String,
    /// Where to log in, while a login helps.
    login: Option<&'a str>,
    alerts: Vec<AlertRow<'a>>,
    facts: Vec<(&'static str, String)>,
    timelines: Vec<Timeline>,
}

#[derive(Serialize)]
struct AlertRow<'a> {
    title: String,
    lasts: String,
    stage: String,
    severity: &'static str,
    summary: &'a str,
    action: &'a str,
}

#[derive(Serialize)]
struct Timeline {
    title: &'static str,
    summary: String,
    /// Empty if nothing is known.
    band: String,
    from: String,
    middle: String,
}

fn page<'a>(view: &'a View, timelines: Option<&Timelines>) -> Page<'a> {
    let status = &view.status;
    let zone = zone_named(status.zone.as_deref());
    let alerts = |gateway: Option<&str>| {
        let about = status.alerts.iter().filter(move |alert| alert.gateway.as_deref() == gateway);
        about.map(|alert| alert_box(status.at, alert, &zone)).collect::<Vec<_>>()
    };
    let section = |gateway: &'a GatewayStatus| {
        let is_late = view.late.contains(&gateway.name);
        let (class, state) = if is_late { ("none", "not known") } else { (gateway.state.name(), gateway.state.name()) };
        let reports = timelines.map(|lines| [("24 hours", &lines.day), ("30 days", &lines.month)]);
        let reports = reports.into_iter().flatten();
        let timelines: Vec<Timeline> =
            reports.map(|(title, report)| timeline(title, report, &gateway.name, &zone)).collect();
        Section {
            name: &gateway.name,
            class,
            state,
            is_late,
            is_open: is_late || (view.gateways.len() <= FEW && gateway.state != StateKind::Live),
            day: timelines.first().map(|line| line.band.clone()).unwrap_or_default(),
            login: Some(gateway.login_url.as_deref().unwrap_or(&gateway.url))
                .filter(|_| gateway.state == StateKind::LoginRequired),
            alerts: alerts(Some(&gateway.name)),
            facts: facts(status.at, gateway, &zone),
            timelines,
        }
    };
    let is_unknown = |name: &&String| !status.gateways.iter().any(|gateway| gateway.name == **name);
    let states = chart::all_states().map(|state| (state.name(), state.name())).chain([("none", "nothing known")]);
    let live = status.gateways.iter().filter(|gateway| view.is_live(gateway)).count();
    let needs = status.gateways.iter().filter(|gateway| status.needs_human(gateway)).count();
    Page {
        needs: match needs {
            0 => None,
            1 => Some("1 needs you".to_owned()),
            n => Some(format!("{n} need you")),
        },
        icon: match (needs, live == view.gateways.len()) {
            (0, true) => "2da44e",
            (0, false) => "e3b341",
            _ => "cf222e",
        },
        live,
        total: view.gateways.len(),
        host: &status.host,
        at: clock(status.at, &zone),
        version: &status.version,
        colours: chart::style(),
        config_refused: status.config_refused.as_deref(),
        alerts: alerts(None),
        gateways: status.worst_first().into_iter().map(section).collect(),
        unknown: view.gateways.iter().filter(is_unknown).map(String::as_str).collect(),
        legend: if timelines.is_some() { states.collect() } else { Vec::new() },
    }
}

fn facts(now: Timestamp, gateway: &GatewayStatus, zone: &TimeZone) -> Vec<(&'static str, String)> {
    let time = |at: Timestamp| short_clock(at, now, zone);
    let mut facts = vec![
        ("Since", format!("{}, for {}", time(gateway.since), span(gateway.since, now))),
        ("Why", gateway.why.clone()),
    ];
    if let Some(down) = gateway.down_since {
        facts.push(("Not live", format!("since {}, for {}", time(down), span(down, now))));
    }
    let proof = gateway.last_good.map_or_else(|| "never".to_owned(), |good| format!("{} ago", span(good, now)));
    facts.push(("Last proved", proof));
    let next = match gateway.next_at {
        None => gateway.next.clone(),
        Some(at) if at <= now => format!("{}, now", gateway.next),
        Some(at) => format!("{}, in {}", gateway.next, span(now, at)),
    };
    facts.push(("Next", next));
    let end = |end: Timestamp| format!("{}, in {}", time(end), span(now, end));
    facts.push(("Login ends", gateway.login_ends_at.map_or_else(|| "not known".to_owned(), end)));
    if let Some(window) = &gateway.maintenance {
        facts.push(("Maintenance", format!("until {}", time(window.until))));
    }
    if let Some(until) = gateway.paused_until {
        facts.push(("Paused", format!("until {}", time(until))));
    }
    match (gateway.paper, gateway.wrong_account) {
        (Some(true), true) => facts.push(("Account", "paper, but a live account is configured".to_owned())),
        (Some(false), true) => facts.push(("Account", "live, but a paper account is configured".to_owned())),
        (Some(true), false) => facts.push(("Account", "paper".to_owned())),
        (Some(false), false) => facts.push(("Account", "live".to_owned())),
        (None, _) => {}
    }
    if gateway.flapping {
        facts.push(("Steady", "no: it comes and goes more often than it should".to_owned()));
    }
    facts
}

fn alert_box<'a>(now: Timestamp, alert: &'a control::OpenAlert, zone: &TimeZone) -> AlertRow<'a> {
    let about = alert.channel.as_deref().map(|name| format!("{name}: ")).unwrap_or_default();
    let held = alert.held.as_ref().map(|held| held_text(&held.why, held.until, zone, now));
    let stage = held.map(|held| format!(", {held}")).unwrap_or_default();
    AlertRow {
        title: about + &alert.code,
        lasts: span(alert.since, now),
        stage,
        severity: alert.severity.name(),
        summary: &alert.summary,
        action: &alert.action,
    }
}

fn timeline(title: &'static str, report: &HistoryReport, name: &str, zone: &TimeZone) -> Timeline {
    let of = report.gateways.iter().find(|of| of.gateway == name);
    Timeline {
        title,
        summary: of.map(|of| of.summary_since(report.from)).unwrap_or_default(),
        band: of.map(|of| band(report, of, zone)).unwrap_or_default(),
        from: short_clock(report.from, report.to, zone),
        middle: short_clock(middle(report), report.to, zone),
    }
}

fn middle(report: &HistoryReport) -> Timestamp {
    let (from, to) = (report.from.as_second(), report.to.as_second());
    Timestamp::from_second(from + (to - from) / 2).unwrap_or(report.to)
}

/// The time between the two, to the second.
fn span(from: Timestamp, to: Timestamp) -> String {
    human_duration(Duration::from_secs(to.duration_since(from).as_secs().max(0).unsigned_abs()))
}

const NAME: &str = "page.html";
/// With more gateways than this the page is an overview: what is to be done, and everything else folded.
const FEW: usize = 3;
