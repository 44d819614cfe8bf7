//! The parameters of a command: decoded, known, and of the right kind, or refused with the reason.

use std::sync::Arc;
use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};

use crate::simulator::world::{Control, Does, Method, Raw, Rule, Times, Who, decode};

/// The parameters of a command, all of them known ones.
pub(super) struct Params {
    list: Vec<(String, String)>,
    body: Vec<u8>,
    /// The time since the world began.
    pub(super) now: Duration,
}

impl Params {
    /// `takes` are those that the command has, each with its default.
    pub(super) fn parse(
        name: &str,
        takes: &[&str],
        query: &str,
        body: Vec<u8>,
        now: Duration,
    ) -> Result<Params, String> {
        let mut list = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, "true"));
            let listed = takes.iter().map(|param| param.split_once('=').unwrap_or((param, "")));
            let Some((_, choices)) = listed.into_iter().find(|(known, _)| *known == key) else {
                let params = match takes {
                    [] => "none".to_owned(),
                    params => params.join(" "),
                };
                return Err(format!("{name} has no parameter \"{key}\"; it takes: {params}"));
            };
            let value = decode(value);
            // The default is a word in places, such as "never", that only stands for the parameter left out.
            if choices.split('|').next() != Some(value.as_str()) {
                list.push((key.to_owned(), value));
            }
        }
        Ok(Params { list, body, now })
    }

    fn find(&self, key: &str) -> Option<&str> {
        self.list.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    pub(super) fn maybe_time(&self, key: &str) -> Result<Option<Duration>, String> {
        let Some(text) = self.find(key) else {
            return Ok(None);
        };
        let parsed = text.parse::<jiff::SignedDuration>().ok().and_then(|time| Duration::try_from(time).ok());
        match parsed {
            Some(time) => Ok(Some(time)),
            None => Err(format!("{key}={text} is not a time such as 500ms, 10s or 5m")),
        }
    }

    pub(super) fn time(&self, key: &str, default: Duration) -> Result<Duration, String> {
        Ok(self.maybe_time(key)?.unwrap_or(default))
    }

    pub(super) fn flag(&self, key: &str, default: bool) -> Result<bool, String> {
        match self.find(key) {
            None => Ok(default),
            Some("true" | "on" | "yes") => Ok(true),
            Some("false" | "off" | "no") => Ok(false),
            Some(text) => Err(format!("{key}={text} is neither true nor false")),
        }
    }

    pub(super) fn times(&self) -> Result<Times, String> {
        match self.find("times") {
            None => Ok(Times::Next(1)),
            Some("always") => Ok(Times::Always),
            Some(text) => match text.parse() {
                Ok(times) => Ok(Times::Next(times)),
                Err(_) => Err(format!("times={text} is neither a number nor \"always\"")),
            },
        }
    }

    pub(super) fn status(&self) -> Result<Option<u16>, String> {
        let Some(text) = self.find("status") else {
            return Ok(None);
        };
        match text.parse() {
            Ok(status @ 200..=999) => Ok(Some(status)),
            Ok(_) | Err(_) => Err(format!("status={text} is not a status between 200 and 999")),
        }
    }

    /// The first choice is the default.
    pub(super) fn one_of<T: Copy>(&self, key: &str, choices: &[(&str, T)]) -> Result<T, String> {
        let found = match self.find(key) {
            None => choices.first(),
            Some(text) => choices.iter().find(|(name, _)| *name == text),
        };
        match found {
            Some((_, choice)) => Ok(*choice),
            None => {
                let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
                Err(format!("{key} must be one of: {}", names.join(", ")))
            }
        }
    }

    pub(super) fn rule(&self, name: &str) -> Result<Control, String> {
        let Some(path) = self.find("path") else {
            return Err(format!("{name} needs path=, for instance path=/v1/api/tickle or path=*"));
        };
        let does = match name {
            "answer" => Does::Say(Arc::new(self.raw()?)),
            "delay" => Does::Delay,
            "hang" => Does::Hang,
            "reset" => Does::Reset,
            "cut" => Does::Cut,
            _ => Does::Drip,
        };
        let after = self.maybe_time("after")?;
        if does == Does::Delay && after.is_none() {
            return Err("delay needs after=, for instance after=10s".to_owned());
        }
        Ok(Control::Script(Rule {
            path: path.to_owned(),
            method: self.find("method").map(Method::parse),
            who: self
                .one_of("who", &[("all", None), ("client", Some(Who::Client)), ("gateway", Some(Who::Gateway))])?,
            times: self.times()?,
            after,
            does,
        }))
    }

    fn raw(&self) -> Result<Raw, String> {
        let mut headers = Vec::new();
        for (_, header) in self.list.iter().filter(|(key, _)| key == "header") {
            let Some((name, value)) = header.split_once(':') else {
                return Err(format!("header={header} is not NAME:VALUE"));
            };
            let (name, value) = (name.trim(), value.trim());
            if HeaderName::try_from(name).is_err() || HeaderValue::try_from(value).is_err() {
                return Err(format!("header={header} cannot be sent as a header"));
            }
            headers.push((name.to_owned(), value.to_owned()));
        }
        Ok(Raw {
            status: self.status()?.unwrap_or(200),
            content_type: self.find("type").unwrap_or("application/json;charset=utf-8").to_owned(),
            headers,
            body: self.body.clone(),
        })
    }
}
