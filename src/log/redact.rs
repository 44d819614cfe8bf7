//! Makes a sample of foreign text fit for a log: short, on one line, with personal and secret values masked.

use std::net::Ipv6Addr;

use crate::text::is_disturbing;

/// The beginning of `text` as a log may show it: at most 200 bytes, one line, personal and secret values masked.
///
/// Masked are the values of known keys (user, session, account, hardware, cookie ...) however they are quoted or cut
/// off, and everything that looks like a network or hardware address, an account, an e-mail address or a long token.
/// When in doubt, a word is masked.
#[must_use]
pub fn redact(text: &str) -> String {
    let mut sample = Sample::default();
    let mut rest = &text[..text.floor_char_boundary(MAX_READ)];
    let mut before = ' ';
    while let Some(c) = rest.chars().next()
        && sample.has_room()
    {
        let is_inside_word = before.is_alphanumeric() && !(before.is_alphabetic() && c.is_ascii_digit());
        let found = if is_inside_word { None } else { find(rest) };
        let (shown, hidden) = found.unwrap_or((c.len_utf8(), 0));
        sample.show(&rest[..shown]);
        if hidden > 0 {
            sample.hide();
        }
        before = rest[..shown + hidden].chars().next_back().unwrap_or(c);
        rest = &rest[shown + hidden..];
    }
    sample.finish()
}

/// How many bytes at the start of `text` are shown, and how many behind them are hidden.
fn find(text: &str) -> Option<(usize, usize)> {
    let hidden = hardware_address(text)
        .or_else(|| ipv6(text))
        .or_else(|| ipv4(text))
        .or_else(|| account(text))
        .or_else(|| mail_address(text));
    if let Some(hidden) = hidden {
        return Some((0, hidden));
    }
    personal_value(text).or_else(|| Some((0, long_token(text)?)))
}

/// A known key and its value in JSON, JSON in a string, a query, a header or HTML.
fn personal_value(text: &str) -> Option<(usize, usize)> {
    let key = &text[..run(text, |c| c.is_ascii_alphanumeric() || c == '_' || c == '-')];
    let kind = kind_of(key)?;
    let mut rest = &text[key.len()..];
    rest = &rest[opening_quote(rest).map_or(0, str::len)..];
    rest = rest.trim_start();
    let separator = SEPARATORS.iter().find(|separator| rest.starts_with(**separator))?;
    rest = rest[separator.len()..].trim_start();
    let tags = rest;
    while let Some(tag_end) = rest.strip_prefix('<').and_then(|tag| tag.find('>')) {
        rest = rest[tag_end + 2..].trim_start();
    }
    let is_tagged = rest.len() < tags.len();
    if kind == ValueForm::HtmlValue && *separator != "=" {
        return None;
    }
    let quote = opening_quote(rest);
    rest = &rest[quote.map_or(0, str::len)..];
    let hidden = match (quote, rest.chars().next()?) {
        (Some(quote), _) => quoted_len(rest, quote),
        (None, '{' | '[') => nested_len(rest),
        (None, _) if kind == ValueForm::WholeLine => rest.find(['\r', '\n', '<']).unwrap_or(rest.len()),
        (None, _) => rest.find(is_delimiter).unwrap_or(rest.len()),
    };
    let says_nothing = matches!(&rest[..hidden], "" | "null" | "true" | "false" | "[]" | "{}");
    let is_no_text = kind == ValueForm::TextOnly && quote.is_none();
    if says_nothing || is_no_text {
        return None;
    }
    // The tags were not searched for secrets, so they are masked as well.
    let shown_until = if is_tagged { tags } else { rest };
    let shown = text.len() - shown_until.len();
    Some((shown, text.len() - rest.len() + hidden - shown))
}

fn kind_of(key: &str) -> Option<ValueForm> {
    let key: String = key.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    KEYS.iter().find(|(name, _)| *name == key).map(|(_, kind)| *kind)
}

/// The form of a known key's value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ValueForm {
    Any,
    /// The gateway's websocket greets with `"success":"<user>"`; elsewhere the key has a boolean.
    TextOnly,
    /// A form field with the user's input.
    HtmlValue,
    /// A header whose value has spaces.
    WholeLine,
}

fn opening_quote(text: &str) -> Option<&'static str> {
    QUOTES.iter().copied().find(|quote| text.starts_with(quote))
}

/// The length of a text up to its closing quote, or to the end when that is cut off.
fn quoted_len(text: &str, quote: &str) -> usize {
    let closes = |at: &usize| quote.len() > 1 || !is_escaped(text, *at);
    text.match_indices(quote).map(|(at, _)| at).find(closes).unwrap_or(text.len())
}

fn is_escaped(text: &str, at: usize) -> bool {
    text[..at].bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

/// The length of an object or array, or of the whole rest when its end is cut off.
fn nested_len(text: &str) -> usize {
    let (mut depth, mut is_quoted) = (0_usize, false);
    for (at, c) in text.char_indices() {
        match c {
            '"' if !is_escaped(text, at) => is_quoted = !is_quoted,
            '{' | '[' if !is_quoted => depth += 1,
            '}' | ']' if !is_quoted => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    text.len()
}

/// `00:1b:44:11:3a:b7`, with hyphens, or bare.
fn hardware_address(text: &str) -> Option<usize> {
    let is_hex = |part: &str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_in_pairs = |word: &str| {
        [':', '-'].iter().any(|between| {
            word.split(*between).count() == 6 && word.split(*between).all(|pair| pair.len() == 2 && is_hex(pair))
        })
    };
    let is_bare = |word: &str| {
        is_hex(word)
            && word.bytes().any(|byte| byte.is_ascii_digit())
            && word.bytes().any(|byte| byte.is_ascii_alphabetic())
    };
    let starts =
        |len: usize, is_one: &dyn Fn(&str) -> bool| text.get(..len).is_some_and(is_one) && ends_word(text, len);
    if starts(17, &is_in_pairs) {
        Some(17)
    } else if starts(12, &is_bare) {
        Some(12)
    } else {
        None
    }
}

fn ipv6(text: &str) -> Option<usize> {
    let whole = &text[..run(text, |c| c.is_ascii_hexdigit() || c == ':' || c == '.')];
    let is_address = |word: &&str| {
        word.len() > 2 && word.bytes().filter(|byte| *byte == b':').count() >= 2 && word.parse::<Ipv6Addr>().is_ok()
    };
    let trimmed = whole.trim_end_matches(['.', ':']);
    [whole, trimmed].into_iter().find(is_address).map(str::len).filter(|len| ends_word(text, *len))
}

fn ipv4(text: &str) -> Option<usize> {
    let word = text[..run(text, |c| c.is_ascii_digit() || c == '.')].trim_end_matches('.');
    let is_part = |part: &str| matches!(part.len(), 1..=3);
    (word.split('.').count() >= 4 && word.split('.').all(is_part)).then_some(word.len())
}

/// `U1234567`, `DU1234567`, `DUM123456`.
fn account(text: &str) -> Option<usize> {
    let letters = run(text, |c| c.is_ascii_uppercase());
    let digits = run(&text[letters..], |c| c.is_ascii_digit());
    let len = letters + digits;
    (matches!(letters, 1..=3) && matches!(digits, 5..=9) && ends_word(text, len)).then_some(len)
}

fn mail_address(text: &str) -> Option<usize> {
    let name = run(text, |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '+' | '-' | '%'));
    let host = text[name..].strip_prefix('@')?;
    let host = run(host, |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'));
    (name > 0 && host > 0).then_some(name + 1 + host)
}

/// Hexadecimal or base64 of at least twenty characters. Names and paths made of words do not count.
fn long_token(text: &str) -> Option<usize> {
    let len = run(text, |c| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=' | '_' | '-'));
    let mut numbered = 0;
    let mut is_word = |part: &str| {
        let letters = run(part, |c| c.is_ascii_alphabetic());
        let (letters, digits) = part.split_at(letters);
        // `v1` in a path; a second one in the same run is a coincidence of random text.
        numbered += usize::from(!digits.is_empty());
        let is_number = digits.len() <= 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        let is_one_case = letters.bytes().skip(1).all(|byte| byte.is_ascii_lowercase())
            || letters.bytes().all(|byte| byte.is_ascii_uppercase());
        part.len() < TOKEN_FROM && is_one_case && is_number && numbered <= 1
    };
    (len >= TOKEN_FROM && !text[..len].split(['+', '/', '=', '_', '-']).all(&mut is_word)).then_some(len)
}

fn run(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|c| !belongs(c)).unwrap_or(text.len())
}

fn ends_word(text: &str, at: usize) -> bool {
    !text[at..].starts_with(char::is_alphanumeric)
}

fn is_delimiter(c: char) -> bool {
    c.is_whitespace() || matches!(c, ',' | ';' | '&' | '}' | ']' | ')' | '<' | '>' | '"' | '\'' | '\\')
}

/// The sample under construction.
#[derive(Default)]
struct Sample {
    text: String,
}

impl Sample {
    fn has_room(&self) -> bool {
        self.text.len() <= MAX_SAMPLE
    }

    fn show(&mut self, text: &str) {
        for c in text.chars() {
            let c = if c.is_whitespace() || is_disturbing(c) { ' ' } else { c };
            if c != ' ' || !(self.text.is_empty() || self.text.ends_with(' ')) {
                self.text.push(c);
            }
        }
    }

    fn hide(&mut self) {
        self.text.push_str(MASK);
    }

    fn finish(mut self) -> String {
        self.text.truncate(self.text.trim_end().len());
        if self.text.len() > MAX_SAMPLE {
            self.text.truncate(self.text.floor_char_boundary(MAX_SAMPLE - CUT.len()));
            self.text.push_str(CUT);
        }
        self.text
    }
}

const MASK: &str = "[redacted]";
const CUT: &str = "…";
const MAX_SAMPLE: usize = 200;
/// How far the text is read, whatever its length; much of it may be blanks and masked values.
const MAX_READ: usize = 16 * 1024;
const TOKEN_FROM: usize = 20;

/// Longest first: a quote inside a quoted text is escaped.
const QUOTES: &[&str] = &["\\\\\\\"", "\\\"", "&quot;", "&#34;", "%22", "\"", "'"];
const SEPARATORS: &[&str] = &[":", "=", "%3A", "%3D"];

/// Keys in lower case without `_` and `-`.
const KEYS: &[(&str, ValueForm)] = &[
    ("accesstoken", ValueForm::Any),
    ("account", ValueForm::Any),
    ("accountid", ValueForm::Any),
    ("accounts", ValueForm::Any),
    ("acctid", ValueForm::Any),
    ("acctprops", ValueForm::Any),
    ("alias", ValueForm::Any),
    ("aliases", ValueForm::Any),
    ("api", ValueForm::Any),
    ("authorization", ValueForm::WholeLine),
    ("cookie", ValueForm::WholeLine),
    ("credential", ValueForm::Any),
    ("email", ValueForm::Any),
    ("hardwareinfo", ValueForm::Any),
    ("ip", ValueForm::Any),
    ("jsessionid", ValueForm::Any),
    ("mac", ValueForm::Any),
    ("machineid", ValueForm::Any),
    ("oauthtoken", ValueForm::Any),
    ("papercredential", ValueForm::Any),
    ("paperusername", ValueForm::Any),
    ("password", ValueForm::Any),
    ("secret", ValueForm::Any),
    ("selectedaccount", ValueForm::Any),
    ("session", ValueForm::Any),
    ("sessionid", ValueForm::Any),
    ("setcookie", ValueForm::WholeLine),
    ("success", ValueForm::TextOnly),
    ("token", ValueForm::Any),
    ("user", ValueForm::Any),
    ("userid", ValueForm::Any),
    ("username", ValueForm::Any),
    ("value", ValueForm::HtmlValue),
    ("xsessuuid", ValueForm::Any),
];
