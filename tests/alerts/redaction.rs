//! Whatever the other sides say, nothing personal and no secret leaves the host by any channel.

use std::fs;
use std::time::Duration;

use crate::delivery::{TOLD, channel, watched};
use crate::keep;
use crate::mailserver::{Mailserver, Protection};
use support::receiver::{Receiver, Reply};
use support::{Daemon, Gateway, SOON, file};

/// What an answer of the gateway may hold, and what a service may repeat of it.
const PERSONAL: &str = r#"{"session":"5ec2e7c0ffee5ec2e7c0ffee5ec2e7c0","userId":77123456,"USER_NAME":"jdoe77","MAC":"98:F2:B3:23:BF:A0","hardware_info":"8a2c9d|98:F2:B3:23:BF:A0","ip":"203.0.113.77","accounts":["U7654321"],"email":"jdoe@example.net","iserver":{"authStatus":{"authenticated":"#;

/// The parts of it that must be nowhere.
const NOWHERE: &[&str] = &[
    "5ec2e7c0ffee",
    "77123456",
    "jdoe77",
    "98:F2",
    "8a2c9d",
    "203.0.113.77",
    "U7654321",
    "jdoe@example.net",
    "s3cret",
];

#[tokio::test]
async fn what_is_personal_or_secret_goes_through_no_channel() {
    let gateway = Gateway::logged_in().await;
    let (mut good, mut chatty) = (Receiver::start().await, Receiver::start().await);
    let mut mails = Mailserver::start(Protection::Open).await;
    let chatter = "no: session=5ec2e7c0ffee5ec2e7c0ffee5ec2e7c0 user_name=jdoe77 MAC 98:F2:B3:23:BF:A0 from 203.0.113.77 \
                   account U7654321 jdoe@example.net";
    // The sign of life, the alert, and the sign that all is not well.
    chatty.replies(std::iter::repeat_n(Reply::Answer(400, "", chatter), 3));
    mails.answers("GREETING", "421 no jdoe@example.net from 203.0.113.77");
    let dump = crate::folder().join("dump");
    let script = format!("env >> {0}; cat >> {0}; echo '{PERSONAL}'", dump.display());
    let url = keep("url", &format!("{}/s3cret-path\n", good.url()));
    let token = keep("token", "s3cret-t0ken\n");
    let deadman = keep("deadman", &format!("{}/s3cret-uuid\n", chatty.url()));
    let rest = [
        channel("chatty", &chatty.url()) + "codes = [\"login-required\"]\n",
        format!(
            "[[alerts.channel]]\nname = \"good\"\ntype = \"webhook\"\npreset = \"json\"\nurl_file = {url:?}\n\
             token_file = {token:?}\n"
        ),
        format!(
            "[[alerts.channel]]\nname = \"mail\"\ntype = \"email\"\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\n\
             from = \"tickled@example.org\"\nto = \"you@example.org\"\n",
            mails.address.port()
        ),
        format!("[[alerts.channel]]\nname = \"own\"\ntype = \"command\"\nargv = [\"/bin/sh\", \"-c\", {script:?}]\n"),
        format!("[deadman]\nurl_file = {deadman:?}\n[log]\nlevel = \"trace\"\n"),
    ];
    let (config, state) = (file(&watched(&[("main", &gateway)], &rest.concat())), crate::folder());
    let mut daemon = Daemon::with_state(&config, &state);
    daemon.becomes("live", SOON).await;
    let answer =
        format!("{}/answer?path=/v1/api/tickle&times=2&type=application/json", gateway.addresses.control_url());
    let sent = reqwest::Client::builder()
        .tls_backend_preconfigured(tickled::gateway::Trust::Loopback.config().unwrap())
        .no_proxy()
        .build()
        .unwrap()
        .post(answer)
        .body(PERSONAL)
        .send()
        .await
        .unwrap();
    assert!(sent.status().is_success());
    daemon.hears(&[("event", "answer-not-understood")], TOLD).await;
    gateway.set("expire-login").await;
    daemon.hears(&[("event", "alert-given-up"), ("channel", "chatty")], TOLD).await;
    daemon.hears(&[("event", "alert-command-said"), ("channel", "own")], TOLD).await;
    daemon.hears(&[("event", "alert-sent"), ("channel", "mail")], TOLD).await;
    gateway.log_in().await;
    daemon.signal("USR1");
    daemon.hears(&[("event", "alert"), ("code", "login-required"), ("phase", "resolved")], TOLD).await;
    daemon.listens(Duration::from_secs(2)).await;
    daemon.signal("TERM");
    daemon.ends(SOON).await;

    let told: Vec<String> = good.rest().into_iter().map(|asked| asked.body).collect();
    assert!(told.iter().any(|body| body.contains("alert-undeliverable")), "{told:?}");
    assert!(told.iter().any(|body| body.contains("resolved")), "{told:?}");
    let mailed: Vec<String> = mails.rest().into_iter().map(|mail| mail.text).collect();
    assert!(!mailed.is_empty() && !chatty.rest().is_empty());
    let outputs = [
        ("the web", told.concat()),
        ("mail", mailed.concat()),
        ("a program", fs::read_to_string(&dump).unwrap()),
        ("the spool", fs::read_to_string(state.join("alerts.json")).unwrap()),
        ("the log", daemon.text.clone()),
    ];
    for (which, output) in outputs {
        assert!(!output.is_empty(), "{which} says something");
        for part in NOWHERE {
            assert!(!output.contains(part), "{part} in {which}: {output}");
        }
    }
}
