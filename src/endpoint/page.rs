//! The page for a browser: no script, no request for anything else, readable on a phone, by day and by night. Pure.

use std::fmt::Write;
use std::time::Duration;

use jiff::Timestamp;

use super::view::View;
use crate::control::{Alert, Gateway};
use crate::history::chart::{self, band, escaped, percent};
use crate::history::report::Report;
use crate::log::human_duration;

/// What the ledger says.
#[derive(Debug, Clone, PartialEq)]
pub struct Timelines {
    /// Of the last 24 hours.
    pub day: Report,
    /// Of the last 30 days.
    pub month: Report,
}

/// The page. Without pictures it says that no history is kept.
#[must_use]
pub fn html(view: &View, pictures: Option<&Timelines>) -> String {
    let status = &view.status;
    let live = status.gateways.iter().filter(|gateway| view.is_live(gateway)).count();
    let total = view.gateways.len();
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<meta http-equiv=\"refresh\" content=\"30\">\n\
         <title>{live} of {total} live - tickled</title>\n<style>{}{STYLE}</style>\n</head>\n<body>\n\
         <header><h1>{live} of {total} live</h1><p>tickled on {}, {}</p></header>\n",
        chart::style(),
        escaped(&status.host),
        clock(status.at),
    );
    if let Some(why) = &status.config_refused {
        let _ = writeln!(out, "<p class=\"trouble\">{}</p>", escaped(why));
    }
    for alert in status.alerts.iter().filter(|alert| alert.gateway.is_none()) {
        out.push_str(&alert_box(status.at, alert));
    }
    for gateway in &status.gateways {
        section(&mut out, view, gateway, pictures);
    }
    let known = |name: &&String| !status.gateways.iter().any(|gateway| gateway.name == **name);
    for name in view.gateways.iter().filter(known) {
        let _ = writeln!(out, "<section><h2>{}</h2><p>Nothing is known of it yet.</p></section>", escaped(name));
    }
    out.push_str(&legend(pictures.is_some()));
    let _ = writeln!(
        out,
        "<footer>tickled {}. All times are UTC. Also here: <a href=\"/status\">/status</a>, \
         <a href=\"/metrics\">/metrics</a>, <a href=\"/readyz?verbose\">/readyz</a>.</footer>\n</body>\n</html>",
        escaped(&status.version)
    );
    out
}

fn section(out: &mut String, view: &View, gateway: &Gateway, pictures: Option<&Timelines>) {
    let now = view.status.at;
    let late = view.late.contains(&gateway.name);
    let (class, state) = if late { ("none", "not known") } else { (gateway.state.name(), gateway.state.name()) };
    let _ = writeln!(
        out,
        "<section>\n<h2>{} <span class=\"state\"><svg class=\"dot\" viewBox=\"0 0 10 10\" aria-hidden=\"true\">\
         <circle class=\"{class}\" cx=\"5\" cy=\"5\" r=\"5\"/></svg>{state}</span></h2>",
        escaped(&gateway.name)
    );
    if late {
        out.push_str("<p class=\"trouble\">Its driver is past its own deadline, or the host slept: what is shown here is old.</p>\n");
    }
    for alert in view.status.alerts.iter().filter(|alert| alert.gateway.as_ref() == Some(&gateway.name)) {
        out.push_str(&alert_box(now, alert));
    }
    out.push_str("<dl>\n");
    for (term, text) in facts(now, gateway) {
        let _ = writeln!(out, "<div><dt>{term}</dt><dd>{}</dd></div>", escaped(&text));
    }
    out.push_str("</dl>\n");
    if let Some(pictures) = pictures {
        picture(out, "24 hours", &pictures.day, &gateway.name);
        picture(out, "30 days", &pictures.month, &gateway.name);
    }
    out.push_str("</section>\n");
}

fn facts(now: Timestamp, gateway: &Gateway) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("Since", format!("{}, for {}", clock(gateway.since), span(gateway.since, now))),
        ("Why", gateway.why.clone()),
    ];
    if let Some(down) = gateway.down_since {
        facts.push(("Not live", format!("since {}, for {}", clock(down), span(down, now))));
    }
    let proof = gateway.last_good.map_or_else(|| "never".to_owned(), |good| format!("{} ago", span(good, now)));
    facts.push(("Last proved", proof));
    let next = match gateway.next_at {
        None => gateway.next.clone(),
        Some(at) if at <= now => format!("{}, now", gateway.next),
        Some(at) => format!("{}, in {}", gateway.next, span(now, at)),
    };
    facts.push(("Next", next));
    let end = |end: Timestamp| format!("{}, in {}", clock(end), span(now, end));
    facts.push(("Login ends", gateway.login_ends_at.map_or_else(|| "not known".to_owned(), end)));
    if let Some(window) = &gateway.maintenance {
        facts.push(("Maintenance", format!("until {}", clock(window.until))));
    }
    if let Some(until) = gateway.paused_until {
        facts.push(("Paused", format!("until {}", clock(until))));
    }
    match (gateway.paper, gateway.wrong_account) {
        (Some(true), true) => facts.push(("Account", "paper, and the configuration wants the other kind".to_owned())),
        (Some(false), true) => facts.push(("Account", "live, and the configuration wants the other kind".to_owned())),
        (Some(true), false) => facts.push(("Account", "paper".to_owned())),
        (Some(false), false) => facts.push(("Account", "live".to_owned())),
        (None, _) => {}
    }
    if gateway.flapping {
        facts.push(("Steady", "no: it comes and goes more often than it should".to_owned()));
    }
    facts
}

fn alert_box(now: Timestamp, alert: &Alert) -> String {
    let about = alert.channel.as_deref().map(|name| format!("{name}: ")).unwrap_or_default();
    let stands = match (alert.notified, alert.acknowledged) {
        (false, _) => ", not sent yet",
        (true, true) => ", acknowledged",
        (true, false) => "",
    };
    format!(
        "<div class=\"alert\"><strong>{}{}</strong>, for {}{stands}<br>{}<br>{}</div>\n",
        escaped(&about),
        escaped(&alert.code),
        span(alert.since, now),
        escaped(&alert.what),
        escaped(&alert.todo),
    )
}

fn picture(out: &mut String, title: &str, report: &Report, name: &str) {
    let Some(of) = report.gateways.iter().find(|of| of.gateway == name) else {
        let _ = writeln!(out, "<figure><figcaption>{title}: nothing is known</figcaption></figure>");
        return;
    };
    let live = of.live_percent.map_or_else(|| "nothing known".to_owned(), |part| format!("{} live", percent(part)));
    let outages = match of.outages.len() {
        0 => "no outage".to_owned(),
        1 => format!("1 outage of {}", seconds(of.longest_outage_s)),
        n => format!("{n} outages, the longest {}", seconds(of.longest_outage_s)),
    };
    let _ = writeln!(
        out,
        "<figure><figcaption><b>{title}</b> {live}, {outages}</figcaption>{}<div class=\"axis\"><span>{}</span>\
         <span>{}</span><span>now</span></div></figure>",
        band(report, of),
        clock(report.from),
        clock(middle(report)),
    );
}

fn middle(report: &Report) -> Timestamp {
    let (from, to) = (report.from.as_second(), report.to.as_second());
    Timestamp::from_second(from + (to - from) / 2).unwrap_or(report.to)
}

fn legend(has_pictures: bool) -> String {
    if !has_pictures {
        return "<p class=\"quiet\">No history is kept: the daemon has no state directory.</p>\n".to_owned();
    }
    let states = chart::all_states().map(|state| (state.name(), state.name()));
    let dots: String = states
        .chain([("none", "nothing known")])
        .map(|(class, name)| {
            format!(
                "<li><svg class=\"dot\" viewBox=\"0 0 10 10\" aria-hidden=\"true\">\
                 <rect class=\"{class}\" width=\"10\" height=\"10\"/></svg>{name}</li>"
            )
        })
        .collect();
    format!("<ul class=\"legend\">{dots}</ul>\n")
}

fn span(from: Timestamp, to: Timestamp) -> String {
    seconds(to.duration_since(from).as_secs().max(0).unsigned_abs())
}

fn seconds(seconds: u64) -> String {
    human_duration(Duration::from_secs(seconds))
}

fn clock(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M").to_string()
}

const STYLE: &str = "\
:root{color-scheme:light dark;--paper:#fff;--ink:#1b1f24;--quiet:#57606a;--card:#f6f8fa;--edge:#d0d7de;--alarm:#ffebe9;\
--alarm-edge:#cf222e}\
@media(prefers-color-scheme:dark){:root{--paper:#0d1117;--ink:#e6edf3;--quiet:#9198a1;--card:#151b23;--edge:#3d444d;\
--alarm:#3c1618;--alarm-edge:#f85149}}\
*{box-sizing:border-box}body{margin:0 auto;max-width:60rem;padding:1rem;background:var(--paper);color:var(--ink);\
font:1rem/1.45 system-ui,sans-serif;overflow-wrap:anywhere}\
header p,footer,.quiet,.axis,.legend{color:var(--quiet);font-size:.85rem}h1{margin:.2rem 0;font-size:1.6rem}header p{margin:0}\
section{background:var(--card);border:1px solid var(--edge);border-radius:.6rem;padding:1rem;margin:1rem 0}\
h2{display:flex;flex-wrap:wrap;justify-content:space-between;gap:.5rem;margin:0 0 .6rem;font-size:1.25rem}\
.state{display:inline-flex;align-items:center;gap:.4rem;font-weight:600}.dot{width:.8rem;height:.8rem;flex:none}\
dl{margin:0;display:grid;grid-template-columns:repeat(auto-fit,minmax(17rem,1fr));gap:.3rem 1.5rem}\
dl div{display:flex;gap:.6rem}dt{color:var(--quiet);flex:0 0 6rem}dd{margin:0}\
.alert,.trouble{background:var(--alarm);border-left:.3rem solid var(--alarm-edge);padding:.6rem .8rem;margin:.6rem 0;\
border-radius:.3rem}figure{margin:1rem 0 0}figcaption{margin-bottom:.3rem}.band{display:block;width:100%;height:1.75rem;\
border-radius:.3rem}.axis{display:flex;justify-content:space-between;gap:.5rem}\
.legend{display:flex;flex-wrap:wrap;gap:.3rem 1rem;list-style:none;padding:0}.legend li{display:flex;align-items:center;\
gap:.35rem}a{color:inherit}@media(max-width:30rem){body{padding:.6rem}section{padding:.8rem}}";
