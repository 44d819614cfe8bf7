//! One try on each channel against receivers of every kind: what is sent, what is tried again, what is given up.
#![expect(clippy::disallowed_methods, reason = "real requests take real time")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;
use tickled::alert::settings::{Channel, Command, Kind, Method, Payload, Preset, Url, Webhook};
use tickled::alert::{Outcome, Settings, Severity, test};
use tickled::session::Now;

use crate::house::SOON;
use crate::receiver::{Authority, Receiver, Reply};

/// One try through a channel of this kind.
pub(crate) async fn attempt(kind: Kind) -> Outcome {
    let channel =
        Channel { name: "way".to_owned(), min_severity: Severity::Info, gateways: Vec::new(), codes: Vec::new(), kind };
    let settings = Settings { channels: vec![channel], ..Settings::default() };
    let now = Now { mono: Duration::ZERO, wall: jiff::Timestamp::now() };
    test(&settings, "host", now, None).await.remove(0).outcome
}

fn webhook(url: &str, ca_file: Option<PathBuf>) -> Kind {
    Kind::Webhook(Webhook {
        url: Url::Plain(url.to_owned()),
        method: Method::Post,
        headers: Vec::new(),
        payload: Payload::Preset(Preset::Json),
        token_file: None,
        to: None,
        ca_file,
    })
}

fn command(script: &str) -> Kind {
    let argv = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
    Kind::Command(Command { argv, within: Duration::from_secs(1) })
}

pub(crate) fn why(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Sent { .. } => panic!("it was sent: {outcome:?}"),
        Outcome::TryAgain { why, .. } | Outcome::Refused { why } => why,
    }
}

pub(crate) fn is_tried_again(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::TryAgain { .. })
}

#[tokio::test]
async fn what_passes_is_tried_again_and_what_does_not_is_given_up() {
    let receiver = Receiver::start().await;
    let url = receiver.url();
    for status in [500, 502, 503, 504, 429, 408] {
        receiver.replies([Reply::Answer(status, "", "")]);
        let outcome = attempt(webhook(&url, None)).await;
        assert!(is_tried_again(&outcome) && why(&outcome).contains(&status.to_string()), "{outcome:?}");
    }
    for status in [400, 401, 403, 404, 405, 410, 413, 422] {
        receiver.replies([Reply::Answer(status, "", "{\"error\": \"no\"}")]);
        let outcome = attempt(webhook(&url, None)).await;
        assert!(matches!(outcome, Outcome::Refused { .. }), "{status}: {outcome:?}");
        assert!(why(&outcome).contains(&status.to_string()) && why(&outcome).ends_with("and said: no"), "{outcome:?}");
    }
    for status in [200, 201, 202, 204] {
        receiver.replies([Reply::Answer(status, "", "")]);
        let outcome = attempt(webhook(&url, None)).await;
        assert!(matches!(outcome, Outcome::Sent { except: None, .. }), "{status}: {outcome:?}");
    }
}

#[tokio::test]
async fn the_pause_that_is_asked_for_is_heard() {
    let receiver = Receiver::start().await;
    for (status, head, pause) in [
        (429, "Retry-After: 120\r\n", Some(Duration::from_mins(2))),
        (503, "Retry-After:  7 \r\n", Some(Duration::from_secs(7))),
        (
            429,
            "Date: Wed, 21 Oct 2026 07:28:00 GMT\r\nRetry-After: Wed, 21 Oct 2026 07:30:00 GMT\r\n",
            Some(Duration::from_mins(2)),
        ),
        (429, "Date: Wed, 21 Oct 2026 07:28:00 GMT\r\nRetry-After: Wed, 21 Oct 2026 07:20:00 GMT\r\n", None),
        (429, "Retry-After: soon\r\n", None),
        (429, "", None),
    ] {
        receiver.replies([Reply::Answer(status, head, "slow down")]);
        match attempt(webhook(&receiver.url(), None)).await {
            Outcome::TryAgain { after, .. } => assert_eq!(after, pause, "{head}"),
            outcome @ (Outcome::Sent { .. } | Outcome::Refused { .. }) => panic!("{outcome:?}"),
        }
    }
}

#[tokio::test]
async fn an_alert_does_not_go_where_nobody_sent_it() {
    let receiver = Receiver::start().await;
    let mut elsewhere = Receiver::start().await;
    for status in [301, 302, 303, 307, 308] {
        let head: &'static str = Box::leak(format!("Location: {}/\r\n", elsewhere.url()).into_boxed_str());
        receiver.replies([Reply::Answer(status, head, "")]);
        let outcome = attempt(webhook(&receiver.url(), None)).await;
        assert!(matches!(outcome, Outcome::Refused { .. }), "{status}: {outcome:?}");
        assert!(why(&outcome).contains("redirects are not followed"), "{outcome:?}");
    }
    assert!(elsewhere.rest().is_empty());
}

#[tokio::test]
async fn nobody_there_and_nobody_who_answers_are_tried_again() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let outcome = attempt(webhook(&format!("http://{free}"), None)).await;
    assert!(is_tried_again(&outcome) && why(&outcome).contains("refused"), "{outcome:?}");

    let receiver = Receiver::start().await;
    receiver.replies([Reply::Close]);
    assert!(is_tried_again(&attempt(webhook(&receiver.url(), None)).await));

    receiver.replies([Reply::Hang]);
    let began = Instant::now();
    let outcome = attempt(webhook(&receiver.url(), None)).await;
    assert!(is_tried_again(&outcome), "{outcome:?}");
    let took = began.elapsed().as_secs_f32();
    assert!((9.5..11.0).contains(&took), "given up after {took} s: {outcome:?}");
}

#[tokio::test]
async fn a_certificate_is_believed_by_whom_the_operator_names_and_by_nobody_else() {
    let authority = Authority::new();
    let mut receiver = Receiver::secured(&authority).await;
    let outcome = attempt(webhook(&receiver.url(), None)).await;
    assert!(is_tried_again(&outcome) && why(&outcome).contains("certificate"), "{outcome:?}");
    let stranger = Authority::new().file();
    let outcome = attempt(webhook(&receiver.url(), Some(stranger))).await;
    assert!(is_tried_again(&outcome) && why(&outcome).contains("certificate"), "{outcome:?}");
    let outcome = attempt(webhook(&receiver.url(), Some(PathBuf::from("/nowhere/ca.pem")))).await;
    assert!(is_tried_again(&outcome) && why(&outcome).contains("/nowhere/ca.pem"), "{outcome:?}");
    assert!(receiver.rest().is_empty(), "nothing is said to whom nobody believes");

    let outcome = attempt(webhook(&receiver.url(), Some(authority.file()))).await;
    assert!(matches!(outcome, Outcome::Sent { .. }), "{outcome:?}");
    assert_eq!(receiver.is_told(SOON).await.0, "test");

    // A receiver that speaks no TLS at all.
    let plain = Receiver::start().await;
    let outcome = attempt(webhook(&plain.url().replace("http:", "https:"), Some(authority.file()))).await;
    assert!(is_tried_again(&outcome), "{outcome:?}");
}

#[tokio::test]
async fn a_program_finds_the_alert_in_its_environment_and_on_its_input_and_nothing_else() {
    let folder = crate::folder();
    let script = format!("cat > {0}/input; env > {0}/env", folder.display());
    let outcome = attempt(command(&script)).await;
    assert_eq!(outcome, Outcome::Sent { answer: "the program ended well".to_owned(), except: None });
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let input: Value = serde_json::from_str(&read("input")).unwrap();
    assert_eq!((&input["phase"], &input["version"], &input["host"]), (&"test".into(), &1.into(), &"host".into()));
    let names: Vec<String> = read("env").lines().filter_map(|line| Some(line.split_once('=')?.0.to_owned())).collect();
    for field in input.as_object().unwrap().keys() {
        assert!(names.contains(&format!("TICKLED_ALERT_{}", field.to_uppercase())), "{field}");
    }
    // A shell adds these by itself.
    let own = ["PWD", "OLDPWD", "SHLVL", "_"];
    let handed = ["PATH", "HOME", "LANG", "TZ", "STATE_DIRECTORY", "RUNTIME_DIRECTORY"];
    for name in names.iter().filter(|name| name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')) {
        let is_known = name.starts_with("TICKLED_ALERT_") || own.contains(&&**name) || handed.contains(&&**name);
        assert!(is_known, "{name} is handed to a program");
    }
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some(), "there is something that must not be handed on");
}

#[tokio::test]
async fn how_a_program_ends_says_what_becomes_of_the_alert() {
    for (script, is_sent, is_again) in [
        ("exit 0", true, false),
        ("exit 1", false, true),
        ("exit 75", false, true),
        ("exit 64", false, false),
        ("exit 78", false, false),
        ("exit 127", false, false),
        ("kill -KILL $$", false, true),
        ("exec >&- 2>&- <&-; exit 0", true, false),
    ] {
        let outcome = attempt(command(script)).await;
        assert_eq!(matches!(outcome, Outcome::Sent { .. }), is_sent, "{script}: {outcome:?}");
        assert_eq!(is_tried_again(&outcome), is_again, "{script}: {outcome:?}");
    }
    let absent = Kind::Command(Command { argv: vec!["/nowhere/siren".to_owned()], within: Duration::from_secs(1) });
    let outcome = attempt(absent).await;
    assert!(matches!(outcome, Outcome::Refused { .. }) && why(&outcome).contains("/nowhere/siren"), "{outcome:?}");
    // What it says is kept short, on one line, and without what is personal.
    let outcome = attempt(command("echo mac=98:F2:B3:23:BF:A0; yes tickled | head -c 100000; exit 64")).await;
    assert!(!why(&outcome).contains("98:F2") && why(&outcome).len() < 400, "{outcome:?}");
}

#[tokio::test]
async fn a_program_that_hangs_is_ended_and_what_it_leaves_behind_is_not_waited_for() {
    let folder = crate::folder();
    let began = Instant::now();
    let outcome = attempt(command(&format!("echo $$ > {}/pid; exec sleep 60", folder.display()))).await;
    assert!(is_tried_again(&outcome) && why(&outcome).contains("within 1s"), "{outcome:?}");
    let pid = std::fs::read_to_string(folder.join("pid")).unwrap();
    while is_running(pid.trim()) {
        assert!(began.elapsed() < SOON, "it runs on");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    let began = Instant::now();
    let outcome = attempt(command("sleep 3 & echo in the background")).await;
    let told = "the program ended well, and said: in the background".to_owned();
    assert_eq!(outcome, Outcome::Sent { answer: told, except: None });
    assert!(began.elapsed() < Duration::from_millis(900), "{:?}", began.elapsed());
}

/// Whether there is such a process that is not just waiting to be buried.
fn is_running(pid: &str) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid).join("stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}
