//! Summarizes the response of a service for people: the message in its JSON, or the title of its page. Pure.

use serde_json::Value;

use super::super::secrets::Secrets;
use crate::log::redact;

/// Summarizes a response, without the channel's own secrets and without personal data; empty if it holds no text for
/// people.
pub(super) fn summarize(body: &[u8], secrets: &Secrets) -> String {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    let said = if text.starts_with('<') {
        title(text).unwrap_or_default()
    } else if text.starts_with(['{', '[']) {
        // Truncated JSON is ignored.
        serde_json::from_str(text).map(|answer| sentence(&answer)).unwrap_or_default()
    } else {
        text.to_owned()
    };
    // Secrets are removed first: after masking or truncation they would not be recognised.
    redact(secrets.remove(said.trim()).trim())
}

/// Joins the texts under the keys that services use for messages, the most specific first.
fn sentence(answer: &Value) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for name in MESSAGE_KEYS {
        let said = answer.get(name);
        let one = said.and_then(Value::as_str);
        let several = said.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        for part in one.into_iter().chain(several).filter(|part| !part.trim().is_empty()) {
            if !parts.iter().any(|known| known.contains(part)) {
                parts.push(part);
            }
        }
    }
    parts.truncate(MOST_PARTS);
    parts.join("; ")
}

fn title(page: &str) -> Option<String> {
    let folded = page.to_ascii_lowercase();
    let begin = folded.find("<title>")? + "<title>".len();
    let end = begin + folded.get(begin..)?.find("</title>")?;
    Some(page.get(begin..end)?.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Telegram, `PagerDuty` and Discord, Pushover and `PagerDuty`, Gotify, ntfy and Gotify, others, and Uptime Kuma.
const MESSAGE_KEYS: [&str; 9] =
    ["description", "message", "errors", "errorDescription", "error", "detail", "reason", "title", "msg"];
const MOST_PARTS: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_services_answer_becomes_a_sentence() {
        let said = |body: &str| summarize(body.as_bytes(), &Secrets::default());
        assert_eq!(said(r#"{"ok":false,"error_code":401,"description":"Unauthorized"}"#), "Unauthorized");
        assert_eq!(
            said(r#"{"user":"invalid","errors":["user identifier is invalid"],"status":0}"#),
            "user identifier is invalid"
        );
        assert_eq!(said(r#"{"message": "Invalid Webhook Token", "code": 50027}"#), "Invalid Webhook Token");
        assert_eq!(
            said(
                r#"{"status":"invalid event","message":"Event object is invalid","errors":["'routing_key' is wrong"]}"#
            ),
            "Event object is invalid; 'routing_key' is wrong"
        );
        assert_eq!(
            said(r#"{"error":"Unauthorized","errorCode":401,"errorDescription":"you need a valid access token"}"#),
            "you need a valid access token; Unauthorized"
        );
        assert_eq!(said(r#"{"code":40301,"http":403,"error":"forbidden"}"#), "forbidden");
        assert_eq!(said("invalid_token"), "invalid_token");
        assert_eq!(said("<html><head><Title>\n 502 Bad\nGateway</Title></head></html>"), "502 Bad Gateway");
        for nothing in ["", "  ", "{}", "[1,2]", r#"{"ok":true}"#, r#"{"description":"cut"#, "<html>", "<title>x"] {
            assert_eq!(said(nothing), "", "{nothing}");
        }
        assert!(!said(r#"{"message":"no user jdoe@example.org"}"#).contains("jdoe"));
    }
}
