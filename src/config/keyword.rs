//! Keywords: enums that the file writes as one word, and the nearest word to a misspelling.

use strum::VariantArray;

/// An enum that the file writes as one word. Derived by `strum`: `VariantArray` lists the variants, `IntoStaticStr` writes
/// them.
pub(super) trait Keyword: VariantArray + Into<&'static str> + Copy + PartialEq {}

impl<K: VariantArray + Into<&'static str> + Copy + PartialEq> Keyword for K {}

/// All words of an enum, in the order of its variants.
pub(super) fn words<K: Keyword>() -> impl Iterator<Item = &'static str> {
    K::VARIANTS.iter().map(|variant| word(*variant))
}

/// How a keyword is written.
pub(super) fn word<K: Keyword>(keyword: K) -> &'static str {
    keyword.into()
}

/// Lists words for a message: `"a", "b" or "c"`.
pub(super) fn alternatives<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = words.map(|word| format!("{word:?}")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, first)) => format!("{} or {last}", first.join(", ")),
        None => String::new(),
    }
}

/// The known word that was probably meant.
pub(super) fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if written.len() > LONGEST {
        return None;
    }
    let folded = |word: &str| word.to_lowercase().replace(['-', ' '], "_");
    let written = folded(written);
    known
        .into_iter()
        .map(|word| (strsim::damerau_levenshtein(&written, &folded(word)), word))
        .filter(|(distance, word)| *distance <= word.chars().count().div_ceil(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// Longer texts are no misspelling, and comparing them takes long.
const LONGEST: usize = 64;
