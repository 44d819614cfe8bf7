//! What a single key may hold, and what to say when it holds something else.

use config::ValueKind;

use std::collections::BTreeSet;
use std::str::FromStr;

use super::fault::{bare, quoted};
use super::gateway_url::{GatewayUrl, InvalidUrl};
use super::maintenance::{self, TimeOfDay};
use super::span::Range;
use super::text::Form;
use super::words::nearest;
use crate::gateway::Fingerprint;

/// What a key may hold.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// A time within this range.
    Span(Range),
    /// A whole number from `least` to `most`.
    Count { least: u16, most: u16 },
    /// Yes or no.
    Flag,
    /// One of these words.
    OneOf(fn() -> Vec<&'static str>),
    /// Some of these words, in the operator's order.
    SomeOf(fn() -> Vec<&'static str>),
    /// A time of day, to the minute.
    TimeOfDay,
    /// The same; empty is none.
    TimeOrNone,
    /// The IANA name of a time zone.
    Zone,
    /// Where a gateway is.
    Url,
    /// Fingerprints of certificates.
    Pins,
    /// A file, named from the root; empty is none.
    File,
    /// A text of this form.
    Text(Form),
    /// Some of them, in the operator's order.
    Texts(Form),
}

/// A value as it came, from the file or from the environment.
#[derive(Debug)]
pub(super) enum Raw<'a> {
    Text(&'a str),
    Number(String),
    Truth(bool),
    /// Each with the byte where it begins.
    List(Vec<(Raw<'a>, usize)>),
    /// Something no key takes, by what a person calls it.
    Other(&'static str),
}

/// What is wrong with a value, and what would be right.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Complaint {
    /// Which of a list, and the byte where it begins.
    pub(super) item: Option<(usize, usize)>,
    pub(super) what: String,
    pub(super) hint: String,
}

impl Kind {
    /// What the key takes, in words; the shipped file says the same of each key.
    pub(super) fn takes(self) -> String {
        match self {
            Self::Span(range) => range.to_string(),
            Self::Count { least, most } => format!("{least} to {most}"),
            Self::Flag => "true or false".to_owned(),
            Self::OneOf(words) => alternatives(&words()),
            Self::SomeOf(words) => format!("a list of {}", alternatives(&words())),
            Self::TimeOfDay => "00:00 to 23:59".to_owned(),
            Self::TimeOrNone => "00:00 to 23:59, or \"\" for none".to_owned(),
            Self::Zone => "an IANA time zone".to_owned(),
            Self::Url => "http:// or https://, a host, a port".to_owned(),
            Self::Pins => "a list of SHA-256 fingerprints".to_owned(),
            Self::File => "a path from the root".to_owned(),
            Self::Text(form) => form.takes().to_owned(),
            Self::Texts(form) => form.list().to_owned(),
        }
    }

    /// The value for the merge, or everything that is wrong with it.
    pub(super) fn read(self, raw: &Raw<'_>) -> Result<ValueKind, Vec<Complaint>> {
        let text = |text: &str| ValueKind::String(text.to_owned());
        match self {
            Self::Span(range) => match raw {
                Raw::Text(span) => match range.check(span) {
                    Ok(()) => Ok(text(span)),
                    Err((what, hint)) => complain(what, hint),
                },
                Raw::Number(number) => {
                    let (what, hint) = range.without_unit(number, &bare(number));
                    complain(what, hint)
                }
                Raw::List(_) | Raw::Truth(_) | Raw::Other(_) => self.refuse(raw),
            },
            Self::Count { least, most } => match raw {
                Raw::Number(number) => self.count(number, least, most),
                Raw::Text(count) if count.parse::<u16>().is_ok() => {
                    complain(format!("{count:?} is text, not a number"), format!("write {count}"))
                }
                Raw::Text(_) | Raw::List(_) | Raw::Truth(_) | Raw::Other(_) => self.refuse(raw),
            },
            Self::Flag => match raw {
                Raw::Truth(truth) => Ok(ValueKind::Boolean(*truth)),
                Raw::Text(truth) if truth.parse::<bool>().is_ok() => {
                    complain(format!("{truth:?} is text"), format!("write {truth} without quotes"))
                }
                Raw::Text(_) | Raw::Number(_) | Raw::List(_) | Raw::Other(_) => self.refuse(raw),
            },
            Self::OneOf(words) => match raw {
                Raw::Text(word) => one_of(word, &words()).map(|()| text(word)),
                Raw::Number(_) | Raw::List(_) | Raw::Truth(_) | Raw::Other(_) => self.refuse(raw),
            },
            Self::SomeOf(words) => match raw {
                Raw::List(items) if items.is_empty() => {
                    complain("the list is empty".to_owned(), format!("it takes {}", self.takes()))
                }
                Raw::List(items) => self.list(items, |word| one_of(word, &words())),
                Raw::Text(_) | Raw::Number(_) | Raw::Truth(_) | Raw::Other(_) => self.refuse(raw),
            },
            Self::TimeOrNone if matches!(raw, Raw::Text("")) => Ok(text("")),
            Self::TimeOfDay | Self::TimeOrNone => match raw {
                Raw::Text(time) => match time.parse::<TimeOfDay>() {
                    Ok(_) => Ok(text(time)),
                    Err(fault) => complain(fault.to_string(), fault.hint),
                },
                Raw::Number(_) | Raw::List(_) | Raw::Truth(_) | Raw::Other(_) => self.refuse(raw),
            },
            Self::Zone => match raw {
                Raw::Text(zone) => match maintenance::check_zone(zone) {
                    Ok(()) => Ok(text(zone)),
                    Err((what, hint)) => complain(what, hint),
                },
                Raw::Number(_) | Raw::List(_) | Raw::Truth(_) | Raw::Other(_) => self.refuse(raw),
            },
            Self::Pins => match raw {
                Raw::List(items) => self.list(items, fingerprint),
                Raw::Text(_) | Raw::Number(_) | Raw::Truth(_) | Raw::Other(_) => self.refuse(raw),
            },
            Self::Url => match raw {
                Raw::Text(url) => match url.parse::<GatewayUrl>() {
                    Ok(_) => Ok(text(url)),
                    Err(InvalidUrl { what, hint }) => complain(what, hint),
                },
                Raw::Number(_) | Raw::List(_) | Raw::Truth(_) | Raw::Other(_) => self.refuse(raw),
            },
            Self::File => match raw {
                Raw::Text(path) if path.is_empty() || path.starts_with('/') => Ok(text(path)),
                Raw::Text(path) => complain(
                    format!("{} does not begin at the root", quoted(path)),
                    "write the whole path, like \"/etc/tickled/ca.pem\"".to_owned(),
                ),
                Raw::Number(_) | Raw::List(_) | Raw::Truth(_) | Raw::Other(_) => self.refuse(raw),
            },
            Self::Text(form) => match raw {
                Raw::Text(written) => of_form(form, written).map(|()| text(written)),
                Raw::Number(_) | Raw::List(_) | Raw::Truth(_) | Raw::Other(_) => self.refuse(raw),
            },
            Self::Texts(form) => match raw {
                Raw::Text(one) if form.may_be_alone() => {
                    of_form(form, one).map(|()| ValueKind::from(vec![(*one).to_owned()]))
                }
                Raw::List(items) if items.is_empty() && !form.may_be_none() => {
                    complain("the list is empty".to_owned(), format!("it takes {}", self.takes()))
                }
                Raw::List(items) => self.list(items, |text| of_form(form, text)),
                Raw::Text(_) | Raw::Number(_) | Raw::Truth(_) | Raw::Other(_) => self.refuse(raw),
            },
        }
    }

    /// Refuses a value of the wrong type.
    fn refuse(self, raw: &Raw<'_>) -> Result<ValueKind, Vec<Complaint>> {
        let what = format!("expected {}, found {}", self.expects(), raw.found());
        complain(what, format!("it takes {}", self.takes()))
    }

    fn expects(self) -> &'static str {
        match self {
            Self::Span(_) => "a time in quotes, like \"60s\"",
            Self::Count { .. } => "a whole number",
            Self::Flag => "true or false",
            Self::OneOf(_) => "a word in quotes",
            Self::SomeOf(_) => "a list of words in quotes",
            Self::TimeOfDay | Self::TimeOrNone => "a time of day in quotes, like \"23:45\"",
            Self::Zone => "a time zone in quotes, like \"America/New_York\"",
            Self::Url => "a URL in quotes",
            Self::Pins => "a list of fingerprints in quotes",
            Self::File => "a path in quotes",
            Self::Text(_) => "a text in quotes",
            Self::Texts(_) => "a list of texts in quotes",
        }
    }

    fn count(self, number: &str, least: u16, most: u16) -> Result<ValueKind, Vec<Complaint>> {
        let what = match number.parse::<i64>() {
            Ok(count) if (i64::from(least)..=i64::from(most)).contains(&count) => {
                return Ok(ValueKind::I64(count));
            }
            Ok(count) if count < i64::from(least) => "is too few",
            Ok(_) => "is too many",
            Err(_) => "is not a whole number of any use",
        };
        complain(format!("{} {what}", bare(number)), format!("it takes {}", self.takes()))
    }

    fn list(
        self,
        items: &[(Raw<'_>, usize)],
        check: impl Fn(&str) -> Result<(), Vec<Complaint>>,
    ) -> Result<ValueKind, Vec<Complaint>> {
        let mut kept = Vec::new();
        let mut seen = BTreeSet::new();
        let mut complaints = Vec::new();
        for (at, (raw, byte)) in items.iter().enumerate() {
            let checked = match raw {
                Raw::Text(text) if !self.may_repeat() && !seen.insert(*text) => {
                    complain(format!("{} stands here twice", quoted(text)), "name it once".to_owned())
                }
                Raw::Text(text) => check(text).map(|()| kept.push((*text).to_owned())),
                Raw::Number(_) | Raw::List(_) | Raw::Truth(_) | Raw::Other(_) => complain(
                    format!("expected a text in quotes, found {}", raw.found()),
                    format!("it takes {}", self.takes()),
                ),
            };
            for complaint in checked.err().into_iter().flatten() {
                let item = Some((at, *byte));
                complaints.push(Complaint { item, ..complaint });
            }
        }
        if complaints.is_empty() { Ok(ValueKind::from(kept)) } else { Err(complaints) }
    }

    const fn may_repeat(self) -> bool {
        matches!(self, Self::Texts(form) if form.may_repeat())
    }
}

impl Raw<'_> {
    fn found(&self) -> String {
        match self {
            Self::Text(text) => quoted(text),
            Self::Number(number) => format!("the number {}", bare(number)),
            Self::List(_) => "a list".to_owned(),
            Self::Truth(_) => "true or false".to_owned(),
            Self::Other(what) => (*what).to_owned(),
        }
    }
}

fn one_of(word: &str, words: &[&'static str]) -> Result<(), Vec<Complaint>> {
    if words.contains(&word) {
        return Ok(());
    }
    let hint = match nearest(word, words.iter().copied()) {
        Some(near) => format!("did you mean {near:?}? it takes {}", alternatives(words)),
        None => format!("it takes {}", alternatives(words)),
    };
    complain(format!("{} is not known here", quoted(word)), hint)
}

fn of_form(form: Form, text: &str) -> Result<(), Vec<Complaint>> {
    form.check(text).or_else(|(what, hint)| complain(what, hint))
}

fn fingerprint(text: &str) -> Result<(), Vec<Complaint>> {
    match Fingerprint::from_str(text) {
        Ok(_) => Ok(()),
        Err(fault) => complain(
            format!("{}: {fault}", quoted(text)),
            "write what `openssl x509 -noout -fingerprint -sha256` prints after the =".to_owned(),
        ),
    }
}

fn complain<T>(what: String, hint: String) -> Result<T, Vec<Complaint>> {
    let item = None;
    Err(vec![Complaint { item, what, hint }])
}

fn alternatives(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, first)) => format!("{} or {last}", first.join(", ")),
        None => String::new(),
    }
}
