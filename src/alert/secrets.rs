//! Removes a channel's own secrets from the text that the other side sends back. Pure.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// The secrets of one request, in all encodings in which they are sent or usually echoed.
#[derive(Default)]
pub(super) struct Secrets {
    forms: Vec<SecretForm>,
}

/// One form of a secret, in lower case.
struct SecretForm {
    text: String,
    /// How much of its beginning is removed even where the rest is missing.
    least: usize,
}

impl Secrets {
    /// Adds a token, a key or a password.
    pub(super) fn add(&mut self, secret: &str) {
        self.add_forms(secret, usize::min(secret.len(), LEAST_PART));
    }

    /// Adds a user's login, as SMTP and HTTP send it.
    pub(super) fn add_login(&mut self, user: &str, password: &str) {
        self.add(password);
        for joined in
            [format!("\0{user}\0{password}"), format!("{user}\0{user}\0{password}"), format!("{user}:{password}")]
        {
            self.add_encoded(&joined);
        }
    }

    /// Adds an address that is a secret: all of it but the scheme, the host and the port.
    pub(super) fn add_url(&mut self, url: &str) {
        self.add_forms(url, url.len());
        let Ok(parsed) = reqwest::Url::parse(url) else { return };
        if let Some(password) = parsed.password() {
            self.add_login(&decoded(parsed.username()), &decoded(password));
            self.add(password);
        }
        let query = parsed.query().map(|query| format!("?{query}")).unwrap_or_default();
        for whole in [format!("{}{query}", parsed.path()), parsed.path().to_owned()] {
            self.add_forms(&whole, whole.len());
        }
        let segments = parsed.path_segments().into_iter().flatten().map(str::to_owned);
        let values = parsed.query_pairs().map(|(_, value)| value.into_owned());
        for part in segments.chain(values) {
            for part in [decoded(&part), part] {
                if part.len() >= SHORTEST_PART && !COMMON.split(' ').any(|common| common.eq_ignore_ascii_case(&part)) {
                    self.add(&part);
                }
            }
        }
    }

    /// The text without any of them.
    pub(super) fn remove(&self, text: &str) -> String {
        let lower = text.to_ascii_lowercase();
        let mut clean = String::with_capacity(text.len());
        let mut at = 0;
        while at < text.len() {
            let rest = &lower[at..];
            match self.forms.iter().map(|form| form.found(rest)).max().unwrap_or(0) {
                0 => {
                    let next = text[at..].chars().next().map_or(1, char::len_utf8);
                    clean.push_str(&text[at..at + next]);
                    at += next;
                }
                found => {
                    clean.push_str(REMOVED);
                    at += found;
                }
            }
        }
        clean
    }

    fn add_forms(&mut self, secret: &str, least: usize) {
        let json = serde_json::Value::from(secret).to_string();
        let html = secret.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
        let debug = format!("{secret:?}");
        self.add_form(secret, least);
        self.add_form(json.trim_matches('"'), least);
        self.add_form(debug.trim_matches('"'), least);
        self.add_form(&html.replace('\'', "&#39;"), least);
        self.add_form(&html.replace('\'', "&#x27;"), least);
        self.add_form(&percent_encoded(secret, UNRESERVED), least);
        self.add_form(&percent_encoded(secret, OF_URLS), least);
        self.add_form(&secret.replace(' ', "+"), least);
        self.add_encoded(secret);
    }

    fn add_encoded(&mut self, secret: &str) {
        for encoded in [STANDARD_NO_PAD.encode(secret), URL_SAFE_NO_PAD.encode(secret)] {
            self.add_form(&percent_encoded(&encoded, UNRESERVED), LEAST_PART);
            self.add_form(&encoded, LEAST_PART);
        }
        let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        self.add_form(&hex, LEAST_PART.max(hex.len()));
    }

    fn add_form(&mut self, text: &str, least: usize) {
        let text = text.to_ascii_lowercase();
        if text.len() >= SHORTEST && !self.forms.iter().any(|form| form.text == text && form.least <= least) {
            let least = least.min(text.len());
            self.forms.push(SecretForm { text, least });
        }
    }
}

impl SecretForm {
    /// How many bytes at the start of `text` are this form, or its beginning; 0 where it is not there.
    fn found(&self, text: &str) -> usize {
        let pairs = self.text.char_indices().zip(text.chars());
        let same = pairs.take_while(|((_, own), other)| own == other).map(|((at, c), _)| at + c.len_utf8()).last();
        let same = same.unwrap_or(0);
        // The end of the text may be the place where it was cut off.
        let is_cut_off = same == text.len() && same >= SHORTEST_PART;
        if same >= self.least || is_cut_off { same } else { 0 }
    }
}

fn percent_encoded(text: &str, plain: &'static AsciiSet) -> String {
    utf8_percent_encode(text, plain).to_string()
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Not shown.
impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secrets").finish_non_exhaustive()
    }
}

/// Stands where a secret was.
const REMOVED: &str = "[secret]";
/// Shorter texts are not looked for: they would be found everywhere.
const SHORTEST: usize = 3;
/// Shorter parts of an address are not looked for by themselves.
const SHORTEST_PART: usize = 4;
/// This much of a secret gives it away.
const LEAST_PART: usize = 8;
/// Parts of addresses that are not secret.
const COMMON: &str = "api create down fail generic hook hooks incoming json message messages notify ping publish push send \
                      sendmessage services status true trigger webhook webhooks workflows";
/// The characters that stay as they are in a part of a URL, and in a whole one.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const OF_URLS: &AsciiSet = &UNRESERVED
    .remove(b'/')
    .remove(b':')
    .remove(b'?')
    .remove(b'&')
    .remove(b'=')
    .remove(b'@')
    .remove(b'!')
    .remove(b'$')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';');

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_removed_in_every_form() {
        let mut secrets = Secrets::default();
        secrets.add("tk \"blue\"/hörse&co");
        secrets.add_login("me", "correct horse");
        secrets.add_url("https://ntfy.example:8443/up/my-quiet%20topic?auth=QmVhcmVy&create=1");
        for echo in [
            "bad token tk \"blue\"/hörse&co!",
            "TK \"BLUE\"/HöRSE&CO",
            r#"{"error":"tk \"blue\"/hörse&co"}"#,
            "<b>tk &quot;blue&quot;/hörse&amp;co</b>",
            "/bottk%20%22blue%22%2fh%C3%B6rse%26co/send",
            "bad token tk \"blue\"...",
            "cut: tk \"bl",
            "535 no: AUTH PLAIN AG1lAGNvcnJlY3QgaG9yc2U=",
            "535 no: Y29ycmVjdCBob3JzZQ==",
            "Authorization: Basic bWU6Y29ycmVjdCBob3JzZQ==",
            "correct+horse",
            "636f727265637420686f727365",
            "no topic my-quiet topic",
            "no topic /up/my-quiet%20topic",
            "GET /up/my-quiet%20topic?auth=QmVhcmVy&create=1",
            "parameter auth=QmVhcmVy",
        ] {
            let clean = secrets.remove(echo).to_lowercase();
            assert!(clean.contains(REMOVED), "{echo}: {clean}");
            for part in ["blue", "horse", "quiet", "qmvh", "ag1l", "y29y", "bwu6", "636f"] {
                assert!(!clean.contains(part), "{part} in {clean}");
            }
        }
        for harmless in ["", "it answered 404 Not Found", "ntfy.example:8443 is busy", "🔴 ö"] {
            assert_eq!(secrets.remove(harmless), harmless);
        }
    }
}
