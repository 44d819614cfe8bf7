//! Whether the alerts make sense as a whole: the quiet hours, each channel with the keys of its type, the dead man's switch.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::alerts::{self, Alerts, Channel, TimeOrNone, Type};
use super::checks::Checks;
use super::fault::quoted;
use super::span::Span;
use super::text;
use super::words::{Word, Worded, nearest};
use crate::alert::settings::{self, Command, Email, Kind, Method, Payload, Preset, Tls, Url, Webhook};
use crate::alert::{Settings, Severity, channels};

/// A channel's table, on its way to what the daemon may trust.
struct Written<'a> {
    /// `alerts.channel[2]`.
    path: String,
    keys: &'a Channel,
}

impl Checks<'_> {
    /// When humans are told, and how. `gateways` are the names of all there are.
    pub(super) fn alerts(&mut self, written: &Alerts, deadman: &alerts::Deadman, gateways: &[&str]) -> Settings {
        let default = Settings::default();
        let zone = written.zone.as_deref().and_then(alerts::zone).unwrap_or(default.zone);
        let span = |said: Option<Span>, default| said.map_or(default, |Span(span)| span);
        let remind_before = span(written.remind_before, default.remind_before);
        let remind_at = written.remind_at.and_then(|TimeOrNone(time)| time);
        if remind_at.is_some() && remind_before.is_zero() && !self.is_blamed("alerts", "remind_before") {
            let hint = "write remind_before = \"2h\", or however long before the end you want to know".to_owned();
            self.note("alerts.remind_at", "nobody is reminded while remind_before is \"0s\"", hint);
        }
        Settings {
            quiet: self.quiet(&written.quiet, &zone),
            repeat_every: span(written.repeat_every, default.repeat_every),
            remind_before,
            remind_at,
            channels: self.channels(&written.channel, gateways),
            deadman: self.deadman(deadman),
            zone,
        }
    }

    fn quiet(&mut self, written: &alerts::Quiet, zone: &TimeZone) -> Option<settings::Quiet> {
        let path = "alerts.quiet";
        if written.from == Some(TimeOrNone(None)) && written.to == Some(TimeOrNone(None)) {
            return None;
        }
        let is_silent = written.from.is_none() && written.to.is_none();
        if is_silent && written.zone.is_none() && written.severities.is_none() {
            return None;
        }
        let times = [("from", "the beginning", written.from, "22:00"), ("to", "the end", written.to, "07:00")];
        for (key, name, time, example) in times {
            if time.is_none_or(|TimeOrNone(time)| time.is_none()) && !self.is_blamed(path, key) {
                let hint = format!("write {key} = {example:?} under [{path}]");
                self.note(&format!("{path}.{key}"), &format!("{name} of the quiet hours is missing"), hint);
            }
        }
        let (TimeOrNone(Some(from)), TimeOrNone(Some(to))) = (written.from?, written.to?) else { return None };
        if from == to {
            let hint = "write another time; for quiet at any time give a channel min_severity = \"error\"".to_owned();
            self.note(&format!("{path}.to"), "it is the same time as from, so the quiet would never end", hint);
        }
        let severities = written.severities.as_ref();
        Some(settings::Quiet {
            from,
            to,
            zone: written.zone.as_deref().and_then(alerts::zone).unwrap_or_else(|| zone.clone()),
            severities: severities.map_or_else(
                || vec![Severity::Info, Severity::Warning],
                |written| written.iter().map(|Worded(severity)| *severity).collect(),
            ),
        })
    }

    fn deadman(&mut self, written: &alerts::Deadman) -> Option<settings::Deadman> {
        let url_file = written.url_file.clone().filter(|path| is_named(path));
        if url_file.is_none()
            && written.url_file.is_none()
            && (written.every.is_some() || written.fails.is_some())
            && !self.is_blamed("deadman", "url_file")
        {
            let hint = "write its address into a file of its own, and that file's path as url_file".to_owned();
            self.note("deadman.url_file", "the file with the address for the signs of life is missing", hint);
        }
        Some(settings::Deadman {
            url_file: url_file?,
            every: written.every.map_or(A_MINUTE, |Span(every)| every),
            fails: written.fails.unwrap_or(true),
        })
    }

    fn channels(&mut self, written: &[Channel], gateways: &[&str]) -> Vec<settings::Channel> {
        if written.len() > MOST_CHANNELS {
            let what = format!("{} channels are too many", written.len());
            self.note("alerts.channel", &what, format!("at most {MOST_CHANNELS}"));
        }
        let mut names = BTreeSet::new();
        let mut channels = Vec::new();
        for (at, keys) in written.iter().enumerate() {
            let channel = Written { path: format!("alerts.channel[{at}]"), keys };
            if let Some(name) = &keys.name
                && !names.insert(name)
            {
                let hint = "name each channel once: it stands in the log and in the alerts about it".to_owned();
                self.note(&channel.at("name"), &format!("there is a channel {name} already"), hint);
            }
            let strangers =
                keys.gateways.iter().flatten().enumerate().filter(|(_, name)| !gateways.contains(&name.as_str()));
            for (item, name) in strangers {
                let hint = match nearest(name, gateways.iter().copied()) {
                    Some(near) => format!("did you mean {near:?}?"),
                    None => format!("there are: {}", gateways.join(", ")),
                };
                let key = channel.at("gateways");
                self.note(&format!("{key}[{item}]"), &format!("there is no gateway {}", quoted(name)), hint);
            }
            if let Some(channel) = self.channel(&channel) {
                channels.push(channel);
            }
        }
        channels
    }

    fn channel(&mut self, written: &Written<'_>) -> Option<settings::Channel> {
        let keys = written.keys;
        self.needed(written, "name", keys.name.is_some(), "the name", "name = \"phone\"");
        let said = keys.said();
        let guess = match said.as_slice() {
            said if said.contains(&"argv") => Type::Command,
            said if said.contains(&"host") => Type::Email,
            _ => Type::Webhook,
        };
        let example = format!("type = {:?}", guess.word());
        self.needed(written, "type", keys.kind.is_some(), "the type", &example);
        let Worded(kind) = keys.kind?;
        for key in said.iter().filter(|key| !kind.keys().contains(key)) {
            let what = format!("{key} means nothing to a channel of type {:?}", kind.word());
            let hint = format!(
                "leave it out; beside name, min_severity, gateways and codes it takes {}",
                kind.keys().join(", ")
            );
            self.note(&written.at(key), &what, hint);
        }
        let way = match kind {
            Type::Webhook => self.webhook(written).map(Kind::Webhook),
            Type::Email => self.email(written).map(Kind::Email),
            Type::Command => self.command(written).map(Kind::Command),
        };
        Some(settings::Channel {
            name: keys.name.clone()?,
            min_severity: keys.min_severity.map_or(Severity::Info, |Worded(severity)| severity),
            gateways: keys.gateways.clone().unwrap_or_default(),
            codes: keys.codes.iter().flatten().map(|Worded(code)| *code).collect(),
            kind: way?,
        })
    }

    fn webhook(&mut self, written: &Written<'_>) -> Option<Webhook> {
        let keys = written.keys;
        let method = keys.method.map_or(Method::Post, |Worded(method)| method);
        let preset = keys.preset.map(|Worded(preset)| preset);
        let (url_file, token_file) = (
            keys.url_file.clone().filter(|path| is_named(path)),
            keys.token_file.clone().filter(|path| is_named(path)),
        );
        let payload = self.payload(written, method, preset);
        if keys.url.is_some() && url_file.is_some() {
            let hint = "keep url_file if the address is a secret, and url if it is none".to_owned();
            self.note(&written.at("url"), "url and url_file name two addresses", hint);
        }
        let own = preset.and_then(Preset::url);
        let is_secret = matches!(preset, Some(Preset::Slack | Preset::Discord));
        if let (true, Some(preset), Some(_)) = (is_secret, preset, &keys.url) {
            let what =
                format!("whoever knows an address of preset {:?} can write there, so it is a secret", preset.name());
            self.note(
                &written.at("url"),
                &what,
                "write it into a file of its own, and that one's path as url_file".to_owned(),
            );
        }
        if keys.url.is_none() && url_file.is_none() && own.is_none() && !self.is_said(written, &["url", "url_file"]) {
            let hint = if is_secret {
                IN_A_FILE
            } else {
                "write url = \"https://..\", or name a file that holds it as url_file"
            };
            self.note(&written.at("url"), "there is no address to tell", hint.to_owned());
        }
        if let Some(preset) = preset {
            self.service(written, preset, token_file.is_some());
        } else if keys.to.is_some() {
            let hint = "write the receiver into the body, or leave it out".to_owned();
            self.note(&written.at("to"), "only the presets \"telegram\" and \"pushover\" have receivers", hint);
        }
        let wants_token = keys.headers.iter().flatten().position(|header| header.contains(channels::TOKEN));
        if let Some(item) = wants_token.filter(|_| token_file.is_none() && !self.is_said(written, &["token_file"])) {
            let key = format!("{}[{item}]", written.at("headers"));
            let what = format!("{} stands for what is in token_file, and there is none", channels::TOKEN);
            self.note(&key, &what, "name a file that holds the secret as token_file".to_owned());
        }
        if let Some(url) = keys.url.as_ref().filter(|url| token_file.is_some() && channels::is_exposed(url)) {
            let what = "plain http to another host shows the token to everybody on the way";
            let hint = format!("write https://{}", url.trim_start_matches("http://"));
            self.note(&written.at("url"), what, hint);
        }
        let url = match (url_file, &keys.url, own) {
            (Some(file), _, _) => Url::File(file),
            (None, Some(url), _) => Url::Plain(url.clone()),
            (None, None, own) => Url::Plain(own?.to_owned()),
        };
        Some(Webhook {
            url,
            method,
            headers: keys.headers.clone().unwrap_or_default(),
            payload: payload?,
            token_file,
            to: keys.to.iter().flatten().next().cloned(),
            ca_file: keys.ca_file.clone().filter(|path| is_named(path)),
        })
    }

    /// What a webhook sends: exactly one of a preset and a body, but for a GET, which has none.
    fn payload(&mut self, written: &Written<'_>, method: Method, preset: Option<Preset>) -> Option<Payload> {
        let body = written.keys.body.clone();
        if method == Method::Get {
            for key in ["preset", "body"].into_iter().filter(|key| written.keys.said().contains(key)) {
                let hint = "leave method out, or write method = \"POST\"".to_owned();
                self.note(&written.at(key), "a GET sends nothing but its address", hint);
            }
            return Some(Payload::Body(String::new()));
        }
        match (preset, body) {
            (Some(preset), None) => {
                let is_free = matches!(preset, Preset::Json | Preset::Ntfy);
                if method != Method::Post && !is_free {
                    let what = format!("preset {:?} is told by POST", preset.name());
                    self.note(&written.at("method"), &what, "leave method out".to_owned());
                }
                Some(Payload::Preset(preset))
            }
            (None, Some(body)) => Some(Payload::Body(body)),
            (Some(preset), Some(_)) => {
                let what = format!("preset {:?} has a body of its own", preset.name());
                self.note(&written.at("body"), &what, "keep one of the two".to_owned());
                None
            }
            (None, None) => {
                if !self.is_said(written, &["preset", "body"]) {
                    let hint = "write preset = \"ntfy\" or another, or a body of your own".to_owned();
                    self.note(&written.at("preset"), "it is not said what to send", hint);
                }
                None
            }
        }
    }

    /// What a known service wants beside the message.
    fn service(&mut self, written: &Written<'_>, preset: Preset, has_token: bool) {
        let (keys, name) = (written.keys, preset.name());
        if preset.needs_token() && !has_token && !self.is_said(written, &["token_file"]) {
            let what = format!("preset {name:?} does nothing without a token");
            self.note(&written.at("token_file"), &what, "name a file that holds it as token_file".to_owned());
        }
        let is_moot = matches!(preset, Preset::Slack | Preset::Discord);
        if is_moot && has_token {
            let what = format!("preset {name:?} wants no token: its address is the secret");
            self.note(&written.at("token_file"), &what, IN_A_FILE.to_owned());
        }
        let receivers = keys.to.as_ref().map_or(0, Vec::len);
        match (preset.needs_receiver(), receivers) {
            (true, 0) if !self.is_said(written, &["to"]) => {
                let whom = if preset == Preset::Telegram { "the chat's number" } else { "the user key" };
                let what = format!("preset {name:?} must know whom to tell");
                self.note(&written.at("to"), &what, format!("write {whom} as to = \"..\""));
            }
            (true, 2..) => {
                let what = format!("preset {name:?} tells one receiver");
                self.note(&written.at("to"), &what, "write a channel for each".to_owned());
            }
            (false, 1..) => {
                let what = format!("to means nothing to preset {name:?}");
                self.note(&written.at("to"), &what, "leave it out".to_owned());
            }
            (true, _) | (false, 0) => {}
        }
    }

    fn email(&mut self, written: &Written<'_>) -> Option<Email> {
        let keys = written.keys;
        self.needed(written, "host", keys.host.is_some(), "the mail server", "host = \"smtp.example.org\"");
        self.needed(written, "from", keys.from.is_some(), "the sender", "from = \"tickled@example.org\"");
        self.needed(written, "to", keys.to.is_some(), "the receiver", "to = [\"you@example.org\"]");
        for (item, to) in keys.to.iter().flatten().enumerate() {
            if let Err((what, hint)) = text::mail(to) {
                self.note(&format!("{}[{item}]", written.at("to")), &what, hint);
            }
        }
        let tls = keys.tls.map_or(Tls::StartTls, |Worded(tls)| tls);
        let password_file = keys.password_file.clone().filter(|path| is_named(path));
        match (&keys.user, &password_file) {
            (Some(_), None) if !self.is_said(written, &["password_file"]) => {
                let hint = "name a file that holds the password as password_file".to_owned();
                self.note(&written.at("user"), "there is a user, and no password", hint);
            }
            (None, Some(_)) if !self.is_said(written, &["user"]) => {
                let hint = "write the user's name at the mail server as user".to_owned();
                self.note(&written.at("password_file"), "there is a password, and nobody whose it is", hint);
            }
            (Some(_) | None, Some(_) | None) => {}
        }
        if tls == Tls::None {
            if let Some(host) = keys.host.as_ref().filter(|host| !text::is_here(host)) {
                let what = format!("without TLS everybody on the way to {host} reads the mail");
                self.note(&written.at("tls"), &what, "leave tls out, or write \"starttls\" or \"tls\"".to_owned());
            } else if keys.user.is_some() {
                let hint = "leave the user out, or write tls = \"starttls\"".to_owned();
                self.note(&written.at("tls"), "no password is sent without TLS", hint);
            } else if keys.ca_file.clone().filter(|path| is_named(path)).is_some() {
                let hint = "leave ca_file out".to_owned();
                self.note(&written.at("ca_file"), "without TLS there is no certificate to judge", hint);
            }
        }
        let port = match tls {
            Tls::StartTls => 587,
            Tls::Tls => 465,
            Tls::None => 25,
        };
        Some(Email {
            host: keys.host.clone()?,
            port: keys.port.unwrap_or(port),
            tls,
            from: keys.from.clone()?,
            to: keys.to.clone()?,
            user: keys.user.clone(),
            password_file,
            ca_file: keys.ca_file.clone().filter(|path| is_named(path)),
        })
    }

    fn command(&mut self, written: &Written<'_>) -> Option<Command> {
        let keys = written.keys;
        let example = "argv = [\"/usr/local/bin/told\"]";
        self.needed(written, "argv", keys.argv.is_some(), "the program", example);
        let argv = keys.argv.clone()?;
        if let Some(program) = argv.first()
            && !program.starts_with('/')
        {
            let what = format!("{} does not begin at the root", quoted(program));
            let hint = "write the program's whole path: no shell looks for it".to_owned();
            self.note(&format!("{}[0]", written.at("argv")), &what, hint);
        } else if let [program] = argv.as_slice()
            && let Some((program, rest)) = program.split_once(' ')
        {
            let what = "no shell takes this line apart";
            let hint = format!("write each argument by itself, as [{program:?}, {rest:?}]");
            self.note(&format!("{}[0]", written.at("argv")), what, hint);
        }
        Some(Command { argv, within: keys.within.map_or(channels::WITHIN, |Span(within)| within) })
    }

    fn needed(&mut self, written: &Written<'_>, key: &str, is_there: bool, name: &str, example: &str) {
        if !is_there && !self.is_said(written, &[key]) {
            let hint = format!("write {example} under this [[alerts.channel]]");
            self.note(&written.at(key), &format!("{name} is missing"), hint);
        }
    }

    /// Whether something is wrong already with one of these keys, so that it is not called missing.
    fn is_said(&self, written: &Written<'_>, keys: &[&str]) -> bool {
        keys.iter().any(|key| self.is_blamed(&written.path, key))
    }
}

impl Written<'_> {
    fn at(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }
}

/// Whether the path is one: empty is none.
fn is_named(path: &Path) -> bool {
    !path.as_os_str().is_empty()
}

const A_MINUTE: Duration = Duration::from_secs(60);
/// Each has a task and a queue of its own.
const MOST_CHANNELS: usize = 20;
const IN_A_FILE: &str = "write the address into a file of its own, and that one's path as url_file";
