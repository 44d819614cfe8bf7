//! `tickled cert`: which certificate a gateway presents, and the lines that pin it.

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use super::options::target;
use super::output::{complain, say};
use super::terminal::terminal;
use crate::driver::{Clock, HostClock};
use crate::exit::Exit;
use crate::gateway::GatewayUrl;
use crate::gateway::certificate::{self, Certificate, Unseen};
use crate::gateway::{Fingerprint, Target};
use crate::text::wrap;

/// Show the certificate of a gateway, and the configuration that pins it
#[derive(Debug, Args)]
pub(super) struct Cert {
    /// The gateway, such as https://localhost:5000
    #[arg(long)]
    url: String,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Cert {
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        let Some(target) = target(&self.url) else { return Ok(Exit::Usage) };
        let (text, exit) = presented(&target, self.json, terminal(), HostClock::start().now().wall).await;
        if exit == Exit::Live || self.json {
            say(&format!("{text}\n"))?;
        } else {
            complain(&text);
        }
        Ok(exit)
    }
}

/// What the certificate of a target is, and how the verb ends. Only the TLS handshake is made; no request is sent.
async fn presented(target: &Target, as_json: bool, width: Option<usize>, now: Timestamp) -> (String, Exit) {
    let url = &target.url;
    match certificate::presented(url, target.answer_within).await {
        Ok(certificate) if as_json => (machine_line(url, &certificate, now), Exit::Live),
        Ok(certificate) => (lines(url, &certificate, width, now), Exit::Live),
        Err(unseen) if as_json => {
            let exit = Exit::NothingAnswers;
            (json!({ "url": url.as_str(), "detail": unseen.to_string(), "exit": exit.code() }).to_string(), exit)
        }
        Err(unseen) => (hint(&unseen), Exit::NothingAnswers),
    }
}

/// The certificate as text for people.
fn lines(url: &GatewayUrl, certificate: &Certificate, width: Option<usize>, now: Timestamp) -> String {
    let Certificate { fingerprint, subject, from, until } = certificate;
    let day = |time: &Option<Timestamp>| time.map_or_else(|| "?".to_owned(), |time| time.strftime("%F").to_string());
    let expired = if is_expired(certificate, now) { ", expired" } else { "" };
    let subject = if subject.is_empty() { "(cannot be read)" } else { subject };
    let subject = wrap(subject, COLUMN, width);
    let advice = match (*fingerprint == Fingerprint::STOCK, url.is_loopback()) {
        (true, true) => {
            "This is the certificate that every gateway comes with, and its private key is public. On this host that does \
             no harm: trust \"loopback\", the default, is right here. A pin would distinguish a gateway from another \
             program, but not your gateway from another gateway."
        }
        (true, false) => {
            "This is the certificate that every gateway comes with, and its private key is public: a pin on it proves \
             nothing. Give the gateway its own certificate (sslCert in its conf.yaml) and run this again."
        }
        (false, true) => {
            "This is the gateway's own certificate. On this host trust \"loopback\", the default, is enough; a pin also \
             detects another program in the gateway's place."
        }
        (false, false) => {
            "This is the gateway's own certificate. Before you pin it, compare the fingerprint with the one that the \
             gateway's host shows: an attacker on the network could present another."
        }
    };
    format!(
        "{url} presents\n  fingerprint  {fingerprint}\n  subject      {subject}\n  valid        {}\n\n\
         {}\n\nTo pin it:\n\n{}",
        wrap(&format!("{} to {}{expired}", day(from), day(until)), COLUMN, width),
        wrap(advice, 0, width),
        pin(url, *fingerprint),
    )
}

/// The lines of a configuration that trust only this certificate.
fn pin(url: &GatewayUrl, fingerprint: Fingerprint) -> String {
    format!("[gateway.main]\nurl = \"{url}\"\n\n[gateway.main.tls]\ntrust = \"pin\"\npins = [\"{fingerprint}\"]")
}

/// The certificate as JSON on one line.
fn machine_line(url: &GatewayUrl, certificate: &Certificate, now: Timestamp) -> String {
    let Certificate { fingerprint, subject, from, until } = certificate;
    json!({
        "url": url.as_str(),
        "fingerprint": fingerprint.to_string(),
        "subject": subject,
        "valid_from": from,
        "valid_until": until,
        "expired": is_expired(certificate, now),
        "stock": *fingerprint == Fingerprint::STOCK,
        "exit": Exit::Live.code(),
    })
    .to_string()
}

fn is_expired(certificate: &Certificate, now: Timestamp) -> bool {
    certificate.until.is_some_and(|until| until < now)
}

fn hint(unseen: &Unseen) -> String {
    match unseen {
        Unseen::Unreachable { .. } => {
            format!("{unseen}; start the gateway, or correct the address: `tickled doctor` looks for the cause")
        }
        // Its reason says what to do, where that is known.
        Unseen::NoTls { .. } => unseen.to_string(),
    }
}

/// Where the values of the table begin.
const COLUMN: usize = 15;
