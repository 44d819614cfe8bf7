//! Whether the daemon works, and whether sessions are live: one answer for a machine, more words for a person. Pure.

use super::view::View;
use crate::control::no_such_gateway;

/// An answer to `/livez` or `/readyz`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// 200.
    Good(String),
    /// 503, with the reason.
    Bad(String),
    /// 404: there is no such gateway.
    Unknown(String),
}

/// Whether the daemon does its work. Says nothing about the gateways: restarting the daemon helps none of them.
#[must_use]
pub fn livez(view: &View) -> Health {
    if view.late.is_empty() {
        return Health::Good("ok\n".to_owned());
    }
    let late: Vec<&str> = view.late.iter().map(String::as_str).collect();
    Health::Bad(format!("past its own deadline: {}\n", late.join(", ")))
}

/// Whether all sessions are live, or the one of `gateway`.
#[must_use]
pub fn readyz(view: &View, gateway: Option<&str>, is_verbose: bool) -> Health {
    if let Some(name) = gateway.filter(|name| !view.gateways.iter().any(|known| known == name)) {
        return Health::Unknown(no_such_gateway(name, &view.gateways) + "\n");
    }
    let asked: Vec<(&str, Option<String>)> = view
        .gateways
        .iter()
        .map(String::as_str)
        .filter(|name| gateway.is_none_or(|asked| asked == *name))
        .map(|name| (name, reason(view, name)))
        .collect();
    let is_good = asked.iter().all(|(_, reason)| reason.is_none());
    let line = |(name, reason): &(&str, Option<String>)| match reason {
        None => format!("[+] {name}: live\n"),
        Some(reason) => format!("[-] {name}: {reason}\n"),
    };
    let text = if is_verbose {
        asked.iter().map(line).collect()
    } else if is_good {
        "ok\n".to_owned()
    } else {
        let bad = asked.iter().filter_map(|(name, reason)| Some(format!("{name}: {}\n", reason.as_ref()?)));
        bad.collect()
    };
    if is_good { Health::Good(text) } else { Health::Bad(text) }
}

/// Why a gateway's session cannot be used, if it cannot.
fn reason(view: &View, name: &str) -> Option<String> {
    if view.late.contains(name) {
        return Some("not known: its driver is past its own deadline, or the host slept".to_owned());
    }
    let Some(gateway) = view.status.gateway(name) else {
        return Some("nothing is known of it yet".to_owned());
    };
    if view.is_live(gateway) {
        return None;
    }
    let since = gateway.since.strftime("%Y-%m-%d %H:%M:%S UTC");
    Some(format!("{} since {since}: {}", gateway.state, gateway.why))
}
