//! What a single key may hold: how it is parsed, described and shown.

use std::collections::BTreeSet;
use std::time::Duration;

use toml::Value;

use super::diagnostic::{InvalidText, Problem, bare, quoted};
use super::duration::{Range, duration_text};
use super::keyword::{Keyword, alternatives, nearest, word, words};

/// A value as the file or the environment has it.
#[derive(Debug)]
pub(super) enum RawValue<'a> {
    Text(&'a str),
    Number(String),
    Boolean(bool),
    /// Each item with the byte where it begins.
    List(Vec<(RawValue<'a>, usize)>),
    /// A type that no key takes, by its name.
    Other(&'static str),
}

pub(super) type ParsedValue<T> = Result<T, Vec<Problem>>;

/// The type of a key's value.
pub(super) trait ValueType {
    type Value;

    /// What the key takes, in words. The shipped file says the same of each key.
    fn takes(&self) -> String;

    /// The TOML type, in words.
    fn expects(&self) -> &'static str;

    /// Parses a value, or returns everything that is wrong with it.
    fn parse(&self, raw: &RawValue<'_>) -> ParsedValue<Self::Value>;

    /// The value as TOML; `None` where the key is better left out.
    fn show(&self, value: &Self::Value) -> Option<Value>;

    /// Interprets the text of an environment variable.
    fn raw<'a>(&self, text: &'a str) -> RawValue<'a> {
        RawValue::Text(text)
    }

    /// The text of a string. Refuses any other type.
    fn text<'a>(&self, raw: &'a RawValue<'_>) -> ParsedValue<&'a str> {
        if let RawValue::Text(text) = raw { Ok(text) } else { self.refuse(raw) }
    }

    /// Refuses a value of the wrong TOML type.
    fn refuse<T>(&self, raw: &RawValue<'_>) -> ParsedValue<T> {
        let (expects, takes) = (self.expects(), self.takes());
        let hint =
            if takes == expects { format!("write {takes}, without quotes") } else { format!("it takes {takes}") };
        fail(format!("expected {expects}, found {}", raw.found()), hint)
    }
}

/// A value that is one string.
pub(super) struct Text<V: 'static> {
    pub(super) takes: fn() -> String,
    pub(super) expects: &'static str,
    pub(super) parse: fn(&str) -> Result<V, InvalidText>,
    pub(super) text: fn(&V) -> String,
}

/// A whole number from the first to the second.
pub(super) struct Count<N>(pub(super) N, pub(super) N);

/// `true` or `false`.
pub(super) struct Flag;

/// A string that may be `""` for none.
pub(super) struct OrNone<V: 'static> {
    pub(super) text: Text<V>,
    /// How none is described, after the string itself.
    pub(super) none: &'static str,
    /// Whether none is shown as `""` rather than left out.
    pub(super) is_shown: bool,
}

/// A value without a default.
pub(super) struct Optional<T>(pub(super) T);

/// A list of strings.
pub(super) struct List<V: 'static> {
    pub(super) item: Text<V>,
    pub(super) takes: fn() -> String,
    pub(super) expects: &'static str,
    /// Whether a single string stands for a list of one.
    pub(super) or_single: bool,
    /// Whether the list may be empty.
    pub(super) or_empty: bool,
    /// Whether the same item may occur twice.
    pub(super) repeats: bool,
}

/// One of the words of an enum.
pub(super) const fn one_of<K: Keyword>() -> Text<K> {
    Text {
        takes: || alternatives(words::<K>()),
        expects: "a word in quotes",
        parse: parse_word,
        text: |keyword| word(*keyword).to_owned(),
    }
}

/// Some of the words of an enum, in the order of the file.
pub(super) const fn some_of<K: Keyword>() -> List<K> {
    let takes = || format!("a list of {}", alternatives(words::<K>()));
    List { expects: "a list of words in quotes", ..list(one_of(), takes) }
}

/// A list of such strings, at least one and none of them twice.
pub(super) const fn list<V>(item: Text<V>, takes: fn() -> String) -> List<V> {
    List { item, takes, expects: "a list of strings in quotes", or_single: false, or_empty: false, repeats: false }
}

fn parse_word<K: Keyword>(text: &str) -> Result<K, InvalidText> {
    if let Some(keyword) = K::VARIANTS.iter().find(|keyword| word(**keyword) == text) {
        return Ok(*keyword);
    }
    let takes = format!("it takes {}", alternatives(words::<K>()));
    let hint = match nearest(text, words::<K>()) {
        Some(near) => format!("did you mean {near:?}? {takes}"),
        None => takes,
    };
    Err((format!("{} is not a valid value", quoted(text)), hint))
}

impl ValueType for Range {
    type Value = Duration;

    fn takes(&self) -> String {
        self.to_string()
    }

    fn expects(&self) -> &'static str {
        "a duration in quotes, like \"60s\""
    }

    fn parse(&self, raw: &RawValue<'_>) -> ParsedValue<Duration> {
        if let RawValue::Number(number) = raw {
            return one(Err(self.without_unit(number, &bare(number))));
        }
        one(self.parse_text(self.text(raw)?))
    }

    fn show(&self, value: &Duration) -> Option<Value> {
        Some(duration_text(*value).into())
    }
}

impl<N: TryFrom<i64> + Into<i64> + Copy> ValueType for Count<N> {
    type Value = N;

    fn takes(&self) -> String {
        let (least, most): (i64, i64) = (self.0.into(), self.1.into());
        format!("{least} to {most}")
    }

    fn expects(&self) -> &'static str {
        "a whole number"
    }

    fn parse(&self, raw: &RawValue<'_>) -> ParsedValue<N> {
        if let RawValue::Text(text) = raw
            && text.parse::<u16>().is_ok()
        {
            return fail(format!("{text:?} is a string, not a number"), format!("write {text}"));
        }
        let RawValue::Number(number) = raw else { return self.refuse(raw) };
        let (least, most) = (self.0.into(), self.1.into());
        let what = match number.parse::<i64>() {
            Ok(count) if count < least => "is too small",
            Ok(count) if count > most => "is too large",
            Ok(count) => return N::try_from(count).or_else(|_| self.refuse(raw)),
            Err(_) => "is not a whole number in the range",
        };
        fail(format!("{} {what}", bare(number)), format!("it takes {}", self.takes()))
    }

    fn show(&self, value: &N) -> Option<Value> {
        Some(Value::Integer((*value).into()))
    }

    fn raw<'a>(&self, text: &'a str) -> RawValue<'a> {
        let text = text.trim();
        if text.parse::<f64>().is_ok() { RawValue::Number(text.to_owned()) } else { RawValue::Text(text) }
    }
}

impl ValueType for Flag {
    type Value = bool;

    fn takes(&self) -> String {
        self.expects().to_owned()
    }

    fn expects(&self) -> &'static str {
        "true or false"
    }

    fn parse(&self, raw: &RawValue<'_>) -> ParsedValue<bool> {
        if let RawValue::Text(text) = raw
            && text.parse::<bool>().is_ok()
        {
            return fail(format!("{text:?} is a string"), format!("write {text} without quotes"));
        }
        if let RawValue::Boolean(value) = raw { Ok(*value) } else { self.refuse(raw) }
    }

    fn show(&self, value: &bool) -> Option<Value> {
        Some((*value).into())
    }

    fn raw<'a>(&self, text: &'a str) -> RawValue<'a> {
        text.trim().parse().map_or(RawValue::Text(text), RawValue::Boolean)
    }
}

impl<V> ValueType for Text<V> {
    type Value = V;

    fn takes(&self) -> String {
        (self.takes)()
    }

    fn expects(&self) -> &'static str {
        self.expects
    }

    fn parse(&self, raw: &RawValue<'_>) -> ParsedValue<V> {
        one((self.parse)(self.text(raw)?))
    }

    fn show(&self, value: &V) -> Option<Value> {
        Some((self.text)(value).into())
    }
}

impl<V> ValueType for OrNone<V> {
    type Value = Option<V>;

    fn takes(&self) -> String {
        self.text.takes() + self.none
    }

    fn expects(&self) -> &'static str {
        self.text.expects
    }

    fn parse(&self, raw: &RawValue<'_>) -> ParsedValue<Self::Value> {
        if self.text(raw)?.is_empty() { Ok(None) } else { self.text.parse(raw).map(Some) }
    }

    fn show(&self, value: &Self::Value) -> Option<Value> {
        match value {
            Some(value) => self.text.show(value),
            None => self.is_shown.then(|| Value::from("")),
        }
    }
}

impl<T: ValueType> ValueType for Optional<T> {
    type Value = Option<T::Value>;

    fn takes(&self) -> String {
        self.0.takes()
    }

    fn expects(&self) -> &'static str {
        self.0.expects()
    }

    fn parse(&self, raw: &RawValue<'_>) -> ParsedValue<Self::Value> {
        self.0.parse(raw).map(Some)
    }

    fn show(&self, value: &Self::Value) -> Option<Value> {
        value.as_ref().and_then(|value| self.0.show(value))
    }

    fn raw<'a>(&self, text: &'a str) -> RawValue<'a> {
        self.0.raw(text)
    }
}

impl<V> ValueType for List<V> {
    type Value = Vec<V>;

    fn takes(&self) -> String {
        (self.takes)()
    }

    fn expects(&self) -> &'static str {
        self.expects
    }

    fn parse(&self, raw: &RawValue<'_>) -> ParsedValue<Self::Value> {
        let items = match raw {
            RawValue::Text(single) if self.or_single => return one((self.item.parse)(single).map(|item| vec![item])),
            RawValue::List(items) if items.is_empty() && !self.or_empty => {
                return fail("the list is empty".to_owned(), format!("it takes {}", self.takes()));
            }
            RawValue::List(items) => items,
            RawValue::Text(_) | RawValue::Number(_) | RawValue::Boolean(_) | RawValue::Other(_) => {
                return self.refuse(raw);
            }
        };
        let (mut values, mut seen, mut problems) = (Vec::new(), BTreeSet::new(), Vec::new());
        for (index, (raw, byte)) in items.iter().enumerate() {
            let parsed = match raw {
                RawValue::Text(text) if !self.repeats && !seen.insert(*text) => {
                    Err((format!("{} is listed twice", quoted(text)), "list it once".to_owned()))
                }
                RawValue::Text(text) => (self.item.parse)(text),
                RawValue::Number(_) | RawValue::List(_) | RawValue::Boolean(_) | RawValue::Other(_) => Err((
                    format!("expected a string in quotes, found {}", raw.found()),
                    format!("it takes {}", self.takes()),
                )),
            };
            match parsed {
                Ok(value) => values.push(value),
                Err((what, hint)) => problems.push(Problem { item: Some((index, *byte)), what, hint }),
            }
        }
        if problems.is_empty() { Ok(values) } else { Err(problems) }
    }

    fn show(&self, values: &Self::Value) -> Option<Value> {
        let is_shown = !values.is_empty() || self.or_empty;
        is_shown.then(|| Value::Array(values.iter().map(|value| (self.item.text)(value).into()).collect()))
    }

    fn raw<'a>(&self, text: &'a str) -> RawValue<'a> {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        RawValue::List(items.map(|item| (RawValue::Text(item), 0)).collect())
    }
}

impl RawValue<'_> {
    fn found(&self) -> String {
        match self {
            Self::Text(text) => quoted(text),
            Self::Number(number) => format!("the number {}", bare(number)),
            Self::List(_) => "a list".to_owned(),
            Self::Boolean(_) => "true or false".to_owned(),
            Self::Other(what) => (*what).to_owned(),
        }
    }
}

/// The result for a value that is one string, which has one fault at most.
fn one<T>(parsed: Result<T, InvalidText>) -> ParsedValue<T> {
    parsed.or_else(|(what, hint)| fail(what, hint))
}

fn fail<T>(what: String, hint: String) -> ParsedValue<T> {
    Err(vec![Problem { item: None, what, hint }])
}
