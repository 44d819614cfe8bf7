//! The words that stand for a choice in the file, and the nearest one to a slip of the pen.

use jiff::civil::Weekday;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::file::{PlainHttp, TrustBy};
use crate::calendar::Region;
use crate::log::{Format, Level};
use crate::session::{Account, Competing, Method};

/// A choice that is written as a word.
pub(super) trait Word: Copy + 'static {
    /// Every choice, in the order in which a message names them.
    const ALL: &'static [Self];

    /// How it is written.
    fn word(self) -> &'static str;
}

/// A [`Word`] on its way into or out of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Worded<W>(pub(super) W);

/// How all choices are written.
pub(super) fn words<W: Word>() -> Vec<&'static str> {
    W::ALL.iter().map(|choice| choice.word()).collect()
}

/// The known word that was probably meant.
pub(super) fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if written.len() > LONGEST_SLIP {
        return None;
    }
    let written = written.to_lowercase();
    known
        .into_iter()
        .map(|word| {
            let folded = word.to_lowercase();
            let distance =
                strsim::damerau_levenshtein(&written.replace(['-', ' '], "_"), &folded.replace(['-', ' '], "_"));
            (distance, word)
        })
        .filter(|(distance, word)| *distance <= word.chars().count().div_ceil(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

impl<'de, W: Word> Deserialize<'de> for Worded<W> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = String::deserialize(deserializer)?;
        W::ALL
            .iter()
            .find(|choice| choice.word() == written)
            .map(|choice| Self(*choice))
            .ok_or_else(|| de::Error::custom(format!("{written:?} is not known here")))
    }
}

impl<W: Word> Serialize for Worded<W> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.word())
    }
}

impl Word for Account {
    const ALL: &'static [Self] = &[Self::Any, Self::Live, Self::Paper];

    fn word(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Live => "live",
            Self::Paper => "paper",
        }
    }
}

impl Word for Competing {
    const ALL: &'static [Self] = &[Self::Yield, Self::TakeOver];

    fn word(self) -> &'static str {
        match self {
            Self::Yield => "yield",
            Self::TakeOver => "take-over",
        }
    }
}

impl Word for Method {
    const ALL: &'static [Self] = &[Self::Gateway, Self::Direct];

    fn word(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Direct => "direct",
        }
    }
}

impl Word for Region {
    const ALL: &'static [Self] = &[Self::NorthAmerica, Self::Europe, Self::Asia];

    fn word(self) -> &'static str {
        match self {
            Self::NorthAmerica => "north-america",
            Self::Europe => "europe",
            Self::Asia => "asia",
        }
    }
}

impl Word for Weekday {
    const ALL: &'static [Self] =
        &[Self::Monday, Self::Tuesday, Self::Wednesday, Self::Thursday, Self::Friday, Self::Saturday, Self::Sunday];

    fn word(self) -> &'static str {
        match self {
            Self::Monday => "mon",
            Self::Tuesday => "tue",
            Self::Wednesday => "wed",
            Self::Thursday => "thu",
            Self::Friday => "fri",
            Self::Saturday => "sat",
            Self::Sunday => "sun",
        }
    }
}

impl Word for PlainHttp {
    const ALL: &'static [Self] = &[Self::Refuse, Self::Known];

    fn word(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Known => "i-know",
        }
    }
}

impl Word for TrustBy {
    const ALL: &'static [Self] = &[Self::Loopback, Self::Pin, Self::CaFile, Self::System];

    fn word(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::Pin => "pin",
            Self::CaFile => "ca-file",
            Self::System => "system",
        }
    }
}

impl Word for Format {
    const ALL: &'static [Self] = &[Self::Auto, Self::Text, Self::Json];

    fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

impl Word for Level {
    const ALL: &'static [Self] = &[Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];

    fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// Longer texts are no slips of the pen, and comparing them would take its time.
const LONGEST_SLIP: usize = 64;
