//! Validates the alerts as a whole: the hours, each channel with the keys of its type, the dead man's switch.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use jiff::civil::Time;
use jiff::tz::TimeZone;

use super::diagnostic::{Findings, quoted};
use super::keyword::{nearest, word};
use super::schema::{CHANNEL, CHANNELS, ChannelDraft, ChannelType, Draft, EVERY_CHANNEL, GatewayDraft};
use super::string_format;
use crate::alert::schedule::{Hours, SHORTEST_LEAD};
use crate::alert::settings::{
    self, ChannelKind, CommandSettings, EmailSettings, HttpMethod, MailTls, Payload, Preset, Url, WebhookSettings,
};
use crate::alert::{Settings, channels};

/// One channel under validation.
struct ChannelCheck<'a> {
    /// `alerts.channel[2]`.
    path: String,
    keys: &'a ChannelDraft,
    report: &'a mut Findings,
}

/// Validates when alerts are sent, and how.
pub(super) fn alerts(draft: &Draft, report: &mut Findings) -> Settings {
    Settings {
        hours: hours(draft, report),
        login_urls: by_gateway(draft, |gateway| gateway.login_url.as_ref()),
        units: by_gateway(draft, |gateway| gateway.unit.as_ref()),
        channels: all_channels(draft, report),
        deadman: deadman(draft, report),
        ..draft.alerts.clone()
    }
}

fn by_gateway(draft: &Draft, value: impl Fn(&GatewayDraft) -> Option<&String>) -> BTreeMap<String, String> {
    draft.gateways.iter().filter_map(|(name, gateway)| Some((name.clone(), value(gateway)?.clone()))).collect()
}

fn hours(draft: &Draft, report: &mut Findings) -> Option<Hours> {
    let (path, hours) = ("alerts.hours", &draft.hours);
    let needs_hours = ["days", "from", "to", "ready_by", "except", "always", "confirm"];
    let is_given = |key: &str| report.is_given(&format!("{path}.{key}"));
    let is_off = hours.from.is_none() && hours.to.is_none() && hours.ready_by.is_none();
    let is_unset = !needs_hours.into_iter().any(is_given) || (is_off && is_given("from") && is_given("to"));
    if is_unset && !report.unreadable.iter().any(|key| key.starts_with(path)) {
        return None;
    }
    for (key, name, time, example) in
        [("from", "the beginning", hours.from, "07:30"), ("to", "the end", hours.to, "17:00")]
    {
        let (name, hint) = (format!("{name} of your hours"), format!("write {key} = {example:?} under [{path}]"));
        report.require(path, key, time.is_some(), &name, hint);
    }
    let (from, to, ready_by) = (hours.from?, hours.to?, hours.ready_by);
    if let Some(time) = ready_by {
        // Times of the next day come after those of this one.
        let after = |time: Time| {
            let since = from.duration_until(time);
            if since.is_positive() { since } else { since + SignedDuration::from_hours(24) }
        };
        if after(time) < SHORTEST_LEAD || after(time) > after(to) {
            let hint = "write a time at least 20 minutes after from, and not after to: reminders come before it";
            report.note(&format!("{path}.ready_by"), "it does not fit your hours", hint);
        }
    }
    let days = hours.days.iter().map(|day| day.weekday()).collect();
    // The zone of the host is not known here.
    let zone = draft.alerts.zone.clone().unwrap_or(TimeZone::UTC);
    Some(Hours { zone, days, from, to, ready_by, except: hours.except.clone() })
}

fn deadman(draft: &Draft, report: &mut Findings) -> Option<settings::DeadmanSettings> {
    let deadman = &draft.deadman;
    let is_given = |key: &str| report.is_given(&format!("deadman.{key}"));
    let is_missing = !is_given("url_file") && (is_given("every") || is_given("fails"));
    report.require("deadman", "url_file", !is_missing, "the file with the address to ping", IN_A_FILE);
    Some(settings::DeadmanSettings { url_file: deadman.url_file.clone()?, every: deadman.every, fails: deadman.fails })
}

fn all_channels(draft: &Draft, report: &mut Findings) -> Vec<settings::Channel> {
    let gateways: Vec<&str> = draft.gateways.keys().map(String::as_str).collect();
    if draft.channels.len() > MOST_CHANNELS {
        let what = format!("{} channels are too many", draft.channels.len());
        report.note(CHANNELS, &what, format!("at most {MOST_CHANNELS}"));
    }
    let mut names = BTreeSet::new();
    let mut channels = Vec::new();
    for (index, keys) in draft.channels.iter().enumerate() {
        let mut channel = ChannelCheck { path: format!("{CHANNELS}[{index}]"), keys, report };
        if let Some(name) = &keys.name
            && !names.insert(name)
        {
            let hint = "give each channel a name of its own: it is in the log and in the alerts about the channel";
            channel.note("name", &format!("there is already a channel {name}"), hint);
        }
        known_gateways(&channel.path, &keys.gateways, &gateways, channel.report);
        channels.extend(channel.validate());
    }
    channels
}

/// Checks that there are the gateways of `path`.
pub(super) fn known_gateways(path: &str, names: &[String], known: &[&str], report: &mut Findings) {
    for (item, name) in names.iter().enumerate().filter(|(_, name)| !known.contains(&name.as_str())) {
        let hint = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean {near:?}?"),
            None => format!("there are: {}", known.join(", ")),
        };
        report.note(&format!("{path}.gateways[{item}]"), &format!("there is no gateway {}", quoted(name)), hint);
    }
}

/// Checks the program of `path`.
pub(super) fn program(path: &str, argv: &[String], report: &mut Findings) {
    let Some(program) = argv.first() else { return };
    let key = format!("{path}.argv[0]");
    if !program.starts_with('/') {
        let hint = "write the whole path of the program: it is not looked up in PATH";
        report.note(&key, &format!("{} is not an absolute path", quoted(program)), hint);
    } else {
        split_line(&key, argv, report);
    }
}

/// Checks that the command line at `key` is not written as a single text.
pub(super) fn split_line(key: &str, argv: &[String], report: &mut Findings) {
    if let [line] = argv
        && let Some((program, rest)) = line.split_once(' ')
    {
        let hint = format!("write each argument by itself, as [{program:?}, {rest:?}]");
        report.note(key, "this line is not split into arguments: no shell is involved", hint);
    }
}

impl ChannelCheck<'_> {
    fn validate(&mut self) -> Option<settings::Channel> {
        let keys = self.keys;
        self.require("name", keys.name.is_some(), "the name", "name = \"phone\"");
        let guess = match () {
            () if self.is_given("argv") => ChannelType::Command,
            () if self.is_given("host") => ChannelType::Email,
            () => ChannelType::Webhook,
        };
        self.require("type", keys.kind.is_some(), "the type", &format!("type = {:?}", word(guess)));
        let kind = keys.kind?;
        let takes = kind.keys();
        for row in CHANNEL.iter().filter(|row| !EVERY_CHANNEL.contains(&row.name) && !takes.contains(&row.name)) {
            // A file that cannot be read has its own finding.
            if self.report.positions.contains_key(&self.path(row.name)) {
                let what = format!("{} has no effect on a channel of type {:?}", row.name, word(kind));
                let takes = takes.join(", ");
                let hint = format!("remove it; in addition to name, min_severity, gateways and codes it takes {takes}");
                self.note(row.name, &what, hint);
            }
        }
        let kind = match kind {
            ChannelType::Webhook => self.webhook().map(ChannelKind::Webhook),
            ChannelType::Email => self.email().map(ChannelKind::Email),
            ChannelType::Command => self.command().map(ChannelKind::Command),
        };
        Some(settings::Channel {
            name: keys.name.clone()?,
            min_severity: keys.min_severity,
            gateways: keys.gateways.clone(),
            codes: keys.codes.clone(),
            after: keys.after,
            kind: kind?,
        })
    }

    fn webhook(&mut self) -> Option<WebhookSettings> {
        let keys = self.keys;
        let payload = self.payload();
        if keys.url.is_some() && keys.url_file.is_some() {
            let hint = "keep url_file if the address is a secret, else url";
            self.note("url", "url and url_file name two addresses", hint);
        }
        let own = keys.preset.and_then(Preset::url);
        let is_secret = matches!(keys.preset, Some(Preset::Slack | Preset::Discord));
        if let (true, Some(preset), Some(_)) = (is_secret, keys.preset, &keys.url) {
            let what =
                format!("anyone who knows an address of preset {:?} can post there, so it is a secret", word(preset));
            self.note("url", &what, "write it into a file of its own, and name that file as url_file");
        }
        let has_address = keys.url.is_some() || keys.url_file.is_some() || own.is_some();
        if !has_address && !self.explains(&["url", "url_file"]) {
            let either = "write url = \"https://..\", or name a file that holds it as url_file";
            self.note("url", "the address is missing", if is_secret { IN_A_FILE } else { either });
        }
        if let Some(preset) = keys.preset {
            self.service(preset);
        } else if !keys.to.is_empty() {
            let hint = "write the recipient into the body, or remove it";
            self.note("to", "only the presets \"telegram\" and \"pushover\" have recipients", hint);
        }
        if keys.emergency && keys.preset != Some(Preset::Pushover) {
            self.note("emergency", "only the preset \"pushover\" has emergencies", "remove it");
        }
        let with_token = keys.headers.iter().position(|header| header.contains(channels::TOKEN));
        if let Some(item) = with_token.filter(|_| keys.token_file.is_none() && !self.explains(&["token_file"])) {
            let what = format!("{} stands for the content of token_file, which is not set", channels::TOKEN);
            self.note(&format!("headers[{item}]"), &what, "name a file that holds the secret as token_file");
        }
        if let Some(url) = keys.url.as_ref().filter(|url| keys.token_file.is_some() && channels::is_exposed(url)) {
            let what = "plain http to another host shows the token to everyone on the network path";
            self.note("url", what, format!("write https://{}", url.trim_start_matches("http://")));
        }
        let url = match (&keys.url_file, &keys.url, own) {
            (Some(file), _, _) => Url::File(file.clone()),
            (None, Some(url), _) => Url::Plain(url.clone()),
            (None, None, own) => Url::Plain(own?.to_owned()),
        };
        Some(WebhookSettings {
            url,
            method: keys.method,
            headers: keys.headers.clone(),
            payload: payload?,
            token_file: keys.token_file.clone(),
            to: keys.to.first().cloned(),
            emergency: keys.emergency,
            ca_file: keys.ca_file.clone(),
        })
    }

    /// What a webhook sends: either a preset or a body, and neither for a GET.
    fn payload(&mut self) -> Option<Payload> {
        let keys = self.keys;
        if keys.method == HttpMethod::Get {
            for key in ["preset", "body"] {
                if self.is_given(key) {
                    self.note(key, "a GET sends only its address", "remove method, or write method = \"POST\"");
                }
            }
            return Some(Payload::Body(String::new()));
        }
        match (keys.preset, &keys.body) {
            (Some(preset), None) => {
                if keys.method != HttpMethod::Post && !matches!(preset, Preset::Json | Preset::Ntfy) {
                    self.note("method", &format!("preset {:?} is sent by POST", word(preset)), "remove method");
                }
                Some(Payload::Preset(preset))
            }
            (None, Some(body)) => Some(Payload::Body(body.clone())),
            (Some(preset), Some(_)) => {
                let what = format!("preset {:?} has a body of its own", word(preset));
                self.note("body", &what, "keep one of the two");
                None
            }
            (None, None) => {
                if !self.explains(&["preset", "body"]) {
                    let hint = "write preset = \"ntfy\" or another preset, or a body of your own";
                    self.note("preset", "what to send is missing", hint);
                }
                None
            }
        }
    }

    /// Checks what a known service needs besides the message.
    fn service(&mut self, preset: Preset) {
        let (keys, name) = (self.keys, word(preset));
        let has_token = keys.token_file.is_some();
        if preset.needs_token() && !has_token && !self.explains(&["token_file"]) {
            let what = format!("preset {name:?} needs a token");
            self.note("token_file", &what, "name a file that holds it as token_file");
        }
        if matches!(preset, Preset::Slack | Preset::Discord) && has_token {
            let what = format!("preset {name:?} has no token: its address is the secret");
            self.note("token_file", &what, IN_A_FILE);
        }
        match (preset.needs_receiver(), keys.to.len()) {
            (true, 0) if !self.explains(&["to"]) => {
                let whom = if preset == Preset::Telegram { "the number of the chat" } else { "the user key" };
                let what = format!("preset {name:?} needs a recipient");
                self.note("to", &what, format!("write {whom} as to = \"..\""));
            }
            (true, 2..) => {
                let what = format!("preset {name:?} takes one recipient");
                self.note("to", &what, "write a channel for each recipient");
            }
            (false, 1..) => self.note("to", &format!("to has no effect on preset {name:?}"), "remove it"),
            (true, _) | (false, 0) => {}
        }
    }

    fn email(&mut self) -> Option<EmailSettings> {
        let keys = self.keys;
        self.require("host", keys.host.is_some(), "the mail server", "host = \"smtp.example.org\"");
        self.require("from", keys.from.is_some(), "the sender", "from = \"tickled@example.org\"");
        self.require("to", !keys.to.is_empty(), "the recipient", "to = [\"you@example.org\"]");
        for (item, to) in keys.to.iter().enumerate() {
            if let Err((what, hint)) = string_format::mail(to) {
                self.note(&format!("to[{item}]"), &what, hint);
            }
        }
        match (&keys.user, &keys.password_file) {
            (Some(_), None) if !self.explains(&["password_file"]) => {
                let hint = "name a file that holds the password as password_file";
                self.note("user", "there is a user without a password", hint);
            }
            (None, Some(_)) if !self.explains(&["user"]) => {
                let hint = "write the name of the user at the mail server as user";
                self.note("password_file", "there is a password without a user", hint);
            }
            (Some(_) | None, Some(_) | None) => {}
        }
        if keys.tls == MailTls::None {
            if let Some(host) = keys.host.as_ref().filter(|host| !string_format::is_loopback(host)) {
                let what = format!("without TLS everyone on the network path to {host} can read the mail");
                self.note("tls", &what, "remove tls, or write \"starttls\" or \"tls\"");
            } else if keys.user.is_some() {
                self.note("tls", "passwords are not sent without TLS", "remove user, or write tls = \"starttls\"");
            } else if keys.ca_file.is_some() {
                self.note("ca_file", "without TLS there is no certificate to verify", "remove ca_file");
            }
        }
        let port = match keys.tls {
            MailTls::StartTls => 587,
            MailTls::Tls => 465,
            MailTls::None => 25,
        };
        Some(EmailSettings {
            host: keys.host.clone()?,
            port: keys.port.unwrap_or(port),
            tls: keys.tls,
            from: keys.from.clone()?,
            to: keys.to.clone(),
            user: keys.user.clone(),
            password_file: keys.password_file.clone(),
            ca_file: keys.ca_file.clone(),
        })
    }

    fn command(&mut self) -> Option<CommandSettings> {
        let keys = self.keys;
        self.require("argv", !keys.argv.is_empty(), "the program", "argv = [\"/usr/local/bin/notify\"]");
        program(&self.path, &keys.argv, self.report);
        keys.argv.first()?;
        Some(CommandSettings { argv: keys.argv.clone(), within: keys.within.unwrap_or(channels::WITHIN) })
    }

    fn path(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }

    fn is_given(&self, key: &str) -> bool {
        self.report.is_given(&self.path(key))
    }

    fn note(&mut self, key: &str, what: &str, hint: impl Into<String>) {
        self.report.note(&format!("{}.{key}", self.path), what, hint);
    }

    fn require(&mut self, key: &str, is_set: bool, name: &str, example: &str) {
        self.report.require(&self.path, key, is_set, name, format!("write {example} under this [[{CHANNELS}]]"));
    }

    /// Whether a finding explains already why one of these keys is missing.
    fn explains(&self, keys: &[&str]) -> bool {
        keys.iter().any(|key| self.report.explains(&self.path, key))
    }
}

/// The limit for channels: each has a task and a queue of its own.
const MOST_CHANNELS: usize = 20;
const IN_A_FILE: &str = "write the address into a file of its own, and name that file as url_file";
