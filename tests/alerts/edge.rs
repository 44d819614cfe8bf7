//! One try on each channel against receivers of every kind: what is sent, what is tried again, what is given up.
#![expect(clippy::disallowed_methods, reason = "real requests take real time")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;
use tickled::alert::settings::{
    Channel, ChannelKind, CommandSettings, HttpMethod, Payload, Preset, Url, WebhookSettings,
};
use tickled::alert::{Code, Outcome, Settings, Severity, test};
use tickled::session::Now;

use support::receiver::{Authority, Receiver, Reply};
use support::{SOON, closed_port};

/// One try through a channel of this kind.
pub(crate) async fn attempt(kind: ChannelKind) -> Outcome {
    attempt_as(kind, None).await
}

/// The same with the weight of this alert.
pub(crate) async fn attempt_as(kind: ChannelKind, code: Option<Code>) -> Outcome {
    let channel = Channel {
        name: "way".to_owned(),
        min_severity: Severity::Info,
        gateways: Vec::new(),
        codes: Vec::new(),
        after: Duration::ZERO,
        kind,
    };
    let settings = Settings { channels: vec![channel], ..Settings::default() };
    let now = Now { mono: Duration::ZERO, wall: jiff::Timestamp::now() };
    test(&settings, "host", now, None, code).await.remove(0).outcome
}

pub(crate) fn webhook(url: &str, ca_file: Option<PathBuf>) -> ChannelKind {
    ChannelKind::Webhook(WebhookSettings {
        url: Url::Plain(url.to_owned()),
        method: HttpMethod::Post,
        headers: Vec::new(),
        payload: Payload::Preset(Preset::Json),
        token_file: None,
        to: None,
        emergency: false,
        ca_file,
    })
}

/// How long what is to be cut off may take.
const HASTE: Duration = Duration::from_secs(3);

fn command(script: &str) -> ChannelKind {
    command_within(SOON, script)
}

fn command_within(within: Duration, script: &str) -> ChannelKind {
    let argv = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
    ChannelKind::Command(CommandSettings { argv, within })
}

pub(crate) fn why(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Sent { .. } => panic!("it was sent: {outcome:?}"),
        Outcome::TryAgain { why, .. } | Outcome::Refused { why } => why,
    }
}

/// Whether it is tried again, and a human has to mend something.
pub(crate) fn asks_a_human(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::TryAgain { needs_human: true, .. })
}

pub(crate) fn is_tried_again(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::TryAgain { .. })
}

#[tokio::test]
async fn what_passes_is_tried_again_and_what_does_not_is_given_up() {
    let receiver = Receiver::start().await;
    let url = receiver.url();
    for (needs_human, statuses) in
        [(false, &[500, 502, 503, 504, 429, 408, 425][..]), (true, &[401, 403, 404, 407, 409, 421, 423, 501])]
    {
        for status in statuses {
            receiver.replies([Reply::Answer(*status, "", "")]);
            let outcome = attempt(webhook(&url, None)).await;
            assert!(why(&outcome).contains(&status.to_string()), "{outcome:?}");
            assert!(is_tried_again(&outcome) && asks_a_human(&outcome) == needs_human, "{outcome:?}");
        }
    }
    for status in [400, 405, 410, 411, 413, 414, 415, 422, 431, 451] {
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
    // A success that denies itself.
    receiver.replies([Reply::Answer(200, "", "{\"ok\": false, \"error\": \"channel_is_archived\"}")]);
    let outcome = attempt(webhook(&url, None)).await;
    assert!(asks_a_human(&outcome) && why(&outcome).ends_with("channel_is_archived"), "{outcome:?}");
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
        (429, "Retry-After: -1\r\n", None),
        (429, "Retry-After: 1e300\r\n", None),
        (429, "Retry-After: NaN\r\n", None),
        (429, "Retry-After: 1.5\r\n", Some(Duration::from_millis(1500))),
        (429, "", None),
    ] {
        receiver.replies([Reply::Answer(status, head, "slow down")]);
        assert_eq!(asked_pause(&attempt(webhook(&receiver.url(), None)).await), pause, "{head}");
    }
    for (body, pause) in [
        ("{\"message\": \"You are being rate limited.\", \"retry_after\": 64.5, \"global\": false}", 64_500),
        ("{\"ok\": false, \"error_code\": 429, \"parameters\": {\"retry_after\": 30}}", 30_000),
        ("{\"retry_after\": \"7\"}", 7_000),
    ] {
        receiver.replies([Reply::Answer(429, "", body)]);
        let asked = asked_pause(&attempt(webhook(&receiver.url(), None)).await);
        assert_eq!(asked, Some(Duration::from_millis(pause)), "{body}");
    }
}

fn asked_pause(outcome: &Outcome) -> Option<Duration> {
    match outcome {
        Outcome::TryAgain { after, .. } => *after,
        Outcome::Sent { .. } | Outcome::Refused { .. } => panic!("{outcome:?}"),
    }
}

#[tokio::test]
async fn a_quota_that_is_used_up_for_long_needs_a_human() {
    let receiver = Receiver::start().await;
    for (head, body, needs_human) in [
        ("Retry-After: 30\r\n", "", false),
        ("Retry-After: 90000\r\n", "", true),
        ("X-Limit-App-Limit: 10000\r\nX-Limit-App-Remaining: 0\r\n", "{\"status\": 0}", true),
        ("", "{\"code\": 42908, \"error\": \"limit reached: daily message quota reached\"}", true),
        ("", "{\"status\": 0, \"errors\": [\"application has exceeded its monthly message limit\"]}", true),
        ("", "{\"code\": 42901, \"error\": \"limit reached: too many requests\"}", false),
    ] {
        receiver.replies([Reply::Answer(429, head, body)]);
        let outcome = attempt(webhook(&receiver.url(), None)).await;
        assert!(is_tried_again(&outcome) && asks_a_human(&outcome) == needs_human, "{head}{body}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_success_whose_body_denies_it_is_none() {
    let receiver = Receiver::start().await;
    for (body, is_sent) in [
        ("", true),
        ("ok", true),
        ("{}", true),
        ("{\"ok\": true}", true),
        ("{\"status\": 1, \"errors\": []}", true),
        ("{\"status\": \"success\", \"errors\": null}", true),
        ("{\"status\": 0}", true),
        ("{\"ok\": false, \"description\": \"Forbidden: bot was blocked by the user\"}", false),
        ("{\"success\": false, \"message\": \"no such user\"}", false),
        ("{\"status\": 0, \"errors\": [\"user key is invalid\"]}", false),
    ] {
        receiver.replies([Reply::Answer(200, "", body)]);
        let outcome = attempt(webhook(&receiver.url(), None)).await;
        assert_eq!(matches!(outcome, Outcome::Sent { .. }), is_sent, "{body}: {outcome:?}");
        assert!(is_sent || asks_a_human(&outcome), "{body}: {outcome:?}");
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
    let (_socket, free) = closed_port();
    let outcome = attempt(webhook(&format!("http://{free}"), None)).await;
    assert!(is_tried_again(&outcome) && why(&outcome).contains("refused"), "{outcome:?}");

    let receiver = Receiver::start().await;
    receiver.replies([Reply::Close]);
    assert!(is_tried_again(&attempt(webhook(&receiver.url(), None)).await));

    let outcome = attempt(webhook("http://no-such-host.invalid/", None)).await;
    assert!(is_tried_again(&outcome) && why(&outcome).contains("cannot be reached"), "{outcome:?}");
}

#[tokio::test]
async fn an_answer_that_never_ends_counts_from_its_head() {
    let receiver = Receiver::start().await;
    receiver.replies([Reply::Endless(200)]);
    let outcome = attempt(webhook(&receiver.url(), None)).await;
    assert!(matches!(outcome, Outcome::Sent { except: None, .. }), "{outcome:?}");
    receiver.replies([Reply::Late(200, Duration::from_secs(12))]);
    let outcome = attempt(webhook(&receiver.url(), None)).await;
    assert!(matches!(outcome, Outcome::Sent { except: None, .. }), "later than the connection may take: {outcome:?}");
}

#[tokio::test]
async fn a_certificate_is_believed_by_whom_the_operator_names_and_by_nobody_else() {
    let authority = Authority::new();
    let mut receiver = Receiver::secured(&authority).await;
    let outcome = attempt(webhook(&receiver.url(), None)).await;
    assert!(asks_a_human(&outcome) && why(&outcome).contains("certificate"), "{outcome:?}");
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
    let handed =
        ["PATH", "HOME", "LANG", "TZ", "STATE_DIRECTORY", "RUNTIME_DIRECTORY", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"];
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
    let absent = ChannelKind::Command(CommandSettings {
        argv: vec!["/nowhere/siren".to_owned()],
        within: Duration::from_secs(1),
    });
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
    let outcome = attempt(command_within(HASTE, &format!("echo $$ > {}/pid; exec sleep 600", folder.display()))).await;
    assert!(is_tried_again(&outcome) && why(&outcome).contains("within 3s"), "{outcome:?}");
    let pid = std::fs::read_to_string(folder.join("pid")).unwrap();
    while is_running(pid.trim()) {
        assert!(began.elapsed() < SOON, "it runs on");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    let began = Instant::now();
    let outcome = attempt(command("sleep 600 & echo in the background")).await;
    let told = "the program ended well, and said: in the background".to_owned();
    assert_eq!(outcome, Outcome::Sent { answer: told, except: None });
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

#[tokio::test]
async fn all_that_a_program_has_started_ends_with_it() {
    // When it takes too long, when it fails, and when it succeeds; also what has left its parent.
    for end in ["exec sleep 600", "exit 1", "exit 0"] {
        let folder = crate::folder();
        let script = format!(
            "(sleep 600 & echo $! > {0}/pid; wait) & until test -s {0}/pid; do :; done; {end}",
            folder.display()
        );
        let _outcome = attempt(command_within(HASTE, &script)).await;
        let pid = std::fs::read_to_string(folder.join("pid")).unwrap();
        let began = Instant::now();
        while is_running(pid.trim()) {
            assert!(began.elapsed() < SOON, "{end}: it runs on");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test]
async fn a_program_that_cannot_be_run_is_named_with_its_reason_and_given_up() {
    use std::os::unix::fs::PermissionsExt;
    let folder = crate::folder();
    let file = |name: &str, text: &[u8], mode: u32| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path.display().to_string()
    };
    std::os::unix::fs::symlink("loop", folder.join("loop")).unwrap();
    for (program, reason) in [
        (file("no-script", b"echo told\n", 0o755), "begins with #!"),
        (file("other-machine", b"\x7fELF\x02\x01\x01", 0o755), "neither a program for this machine"),
        (file("no-interpreter", b"#!/opt/none/python3 -u\nprint()\n", 0o755), "its first line names /opt/none/python3"),
        (file("dos", b"#!/bin/sh\r\ntrue\r\n", 0o755), "its first line names /bin/sh"),
        (file("not-executable", b"#!/bin/sh\n", 0o644), "ermission denied"),
        (folder.display().to_string(), "ermission denied"),
        (folder.join("loop").display().to_string(), "symbolic links"),
        ("/nowhere/siren".to_owned(), "No such file"),
    ] {
        let kind = ChannelKind::Command(CommandSettings { argv: vec![program.clone()], within: SOON });
        let outcome = attempt(kind).await;
        assert!(matches!(outcome, Outcome::Refused { .. }), "{program}: {outcome:?}");
        assert!(why(&outcome).contains(reason) && why(&outcome).contains(&program), "{outcome:?}");
    }
}

/// Whether there is such a process that is not just waiting to be buried.
pub(crate) fn is_running(pid: &str) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid).join("stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}
