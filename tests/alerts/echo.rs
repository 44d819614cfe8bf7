//! Services that repeat what they were sent: nothing of it comes to light. And what else a service's answer asks for.

use std::fs;
use std::time::Duration;

use serde_json::Value;
use tickled::alert::Outcome;
use tickled::alert::settings::{ChannelKind, HttpMethod, Payload, Preset, Url, WebhookSettings};

use crate::delivery::{TOLD, channel, watched};
use crate::edge::{attempt, why};
use crate::keep;
use support::receiver::{Receiver, Reply};
use support::{Daemon, Gateway, SOON, file};

fn telegram(url: &str, token: &str) -> ChannelKind {
    ChannelKind::Webhook(WebhookSettings {
        url: Url::Plain(url.to_owned()),
        method: HttpMethod::Post,
        headers: Vec::new(),
        payload: Payload::Preset(Preset::Telegram),
        token_file: Some(keep("bot", token)),
        to: Some("1".to_owned()),
        emergency: false,
        ca_file: None,
    })
}

#[tokio::test]
async fn a_chat_that_has_moved_is_followed_at_once() {
    let mut receiver = Receiver::start().await;
    let moved = "{\"ok\": false, \"error_code\": 400, \"description\": \"Bad Request: group chat was upgraded to a \
                 supergroup chat\", \"parameters\": {\"migrate_to_chat_id\": -1001234567890}}";
    receiver.replies([Reply::Answer(400, "", moved)]);
    let outcome = attempt(telegram(&receiver.url(), "123:token")).await;
    match &outcome {
        Outcome::Sent { answer, except: None } => assert!(answer.contains("to = \"-1001234567890\""), "{answer}"),
        Outcome::Sent { .. } | Outcome::TryAgain { .. } | Outcome::Refused { .. } => panic!("{outcome:?}"),
    }
    for chat in ["1", "-1001234567890"] {
        let asked: Value = serde_json::from_str(&receiver.hears(SOON).await.body).unwrap();
        assert_eq!(asked["chat_id"], chat);
    }
    // A chat that keeps moving is not followed endlessly.
    receiver.replies([Reply::Answer(400, "", moved), Reply::Answer(400, "", moved)]);
    let outcome = attempt(telegram(&receiver.url(), "123:token")).await;
    assert!(matches!(outcome, Outcome::Refused { .. }), "{outcome:?}");
}

#[tokio::test]
async fn a_second_copy_of_a_message_names_itself_as_one() {
    let gateway = Gateway::logged_in().await;
    let mut phone = Receiver::start().await;
    phone.replies([Reply::Answer(503, "", ""), Reply::Close]);
    let mut daemon = Daemon::run(&file(&watched(&[("main", &gateway)], &channel("phone", &phone.url()))));
    daemon.becomes("live", SOON).await;
    gateway.set("expire-login").await;
    let mut keys = Vec::new();
    for _ in 0..3 {
        keys.push(phone.hears(TOLD).await.headers["idempotency-key"].clone());
    }
    assert!(keys[0].len() == 32 && keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    daemon.hears(&[("event", "alert-sent"), ("channel", "phone")], SOON).await;
    gateway.log_in().await;
    daemon.signal("USR1");
    assert_ne!(phone.hears(TOLD).await.headers["idempotency-key"], keys[0], "another message is no copy");
}

/// Secrets of the channels; nothing that is written may hold a part of one.
const TOPIC: &str = "my-quiet-topic";
const TOKEN: &str = "tk \"blue\" horse&co";
const BOT: &str = "123:AbC-dEfGh";
const PARTS: &[&str] =
    &["my-quiet", "quiet-topic", "blue", "horse", "AbC", "dEfGh", "bXktcXVpZXQ", "dGsgImJsdWUi", "%22blue"];

#[tokio::test]
async fn a_secret_that_the_other_side_repeats_comes_to_light_nowhere() {
    let gateway = Gateway::logged_in().await;
    let echoes: Vec<(u16, String)> = vec![
        (404, format!("no such topic: /{TOPIC}")),
        (
            400,
            serde_json::json!({ "message": format!("Cannot POST /{TOPIC}"), "error": format!("Bearer {TOKEN}") })
                .to_string(),
        ),
        (404, format!("<html><title>404: /{TOPIC} not found</title></html>")),
        (403, format!("invalid token {TOKEN}")),
        (403, "invalid token tk%20%22blue%22%20horse%26co".to_owned()),
        (403, "invalid token dGsgImJsdWUiIGhvcnNlJmNv".to_owned()),
        (401, format!("{{\"error\": {:?}, \"detail\": {:?}}}", TOKEN.to_uppercase(), "bXktcXVpZXQtdG9waWM=")),
        (500, format!("{}{}", "x".repeat(150), &TOKEN[..12])),
    ];
    let dump = crate::folder().join("dump");
    let (token, bot) = (keep("token", TOKEN), keep("bot", BOT));
    let mut receivers = Vec::new();
    let mut channels = String::new();
    for (at, (status, body)) in echoes.into_iter().enumerate() {
        let receiver = Receiver::start().await;
        let body: &'static str = Box::leak(body.into_boxed_str());
        receiver.replies(std::iter::repeat_n(Reply::Answer(status, "", body), 20));
        let url = keep("url", &format!("{}/{TOPIC}\n", receiver.url()));
        channels += &format!(
            "[[alerts.channel]]\nname = \"c{at}\"\ntype = \"webhook\"\npreset = \"ntfy\"\nurl_file = {url:?}\n\
             token_file = {token:?}\n"
        );
        receivers.push(receiver);
    }
    let telegram = Receiver::start().await;
    let echo: &'static str = Box::leak(
        serde_json::json!({ "ok": false, "description": format!("Not Found: method /bot{BOT}/sendMessage") })
            .to_string()
            .into_boxed_str(),
    );
    telegram.replies(std::iter::repeat_n(Reply::Answer(404, "", echo), 20));
    channels += &format!(
        "[[alerts.channel]]\nname = \"bot\"\ntype = \"webhook\"\npreset = \"telegram\"\nurl = \"{}\"\nto = \"1\"\n\
         token_file = {bot:?}\n",
        telegram.url()
    );
    let script = format!("env >> {}", dump.display());
    channels +=
        &format!("[[alerts.channel]]\nname = \"own\"\ntype = \"command\"\nargv = [\"/bin/sh\", \"-c\", {script:?}]\n");
    channels += "[log]\nlevel = \"trace\"\n";
    let (config, state) = (file(&watched(&[("main", &gateway)], &channels)), crate::folder());
    let mut daemon = Daemon::with_state(&config, &state);
    daemon.becomes("live", SOON).await;
    gateway.set("expire-login").await;
    // Refused at once, and after the fourth try of what a human must mend.
    daemon.hears(&[("event", "alert-given-up"), ("channel", "c1")], TOLD).await;
    daemon.hears(&[("event", "alert"), ("code", "alert-undeliverable"), ("channel", "bot")], TOLD * 3).await;
    daemon.listens(Duration::from_secs(3)).await;
    daemon.signal("TERM");
    daemon.ends(SOON).await;
    let outputs = [
        ("the log", daemon.text.clone()),
        ("a program", fs::read_to_string(&dump).unwrap()),
        ("the spool", fs::read_to_string(state.join("alerts.json")).unwrap()),
    ];
    for (which, output) in outputs {
        assert!(output.contains("[secret]") || which != "the log", "{which}: {output}");
        for part in PARTS {
            assert!(!output.to_lowercase().contains(&part.to_lowercase()), "{part} in {which}: {output}");
        }
    }
    drop(receivers);
}

#[tokio::test]
async fn a_plain_address_is_no_secret() {
    let receiver = Receiver::start().await;
    receiver.replies([Reply::Answer(400, "", "nothing listens at /alerts/tickled")]);
    let kind = ChannelKind::Webhook(WebhookSettings {
        url: Url::Plain(format!("{}/alerts/tickled", receiver.url())),
        method: HttpMethod::Post,
        headers: Vec::new(),
        payload: Payload::Preset(Preset::Json),
        token_file: None,
        to: None,
        emergency: false,
        ca_file: None,
    });
    assert!(why(&attempt(kind).await).ends_with("nothing listens at /alerts/tickled"));
}
