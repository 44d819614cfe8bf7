//! The real binary tells real receivers: each by its own way, whatever becomes of the others, and no ping is later for
//! it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::keep;
use crate::mailserver::{Mailserver, Protection};
use support::receiver::{Receiver, Reply};
use support::{Daemon, Gateway, SOON, closed_port, file};

/// A gateway that is looked at each second, and alerts that wait for no night.
pub(crate) fn watched(gateways: &[(&str, &Gateway)], rest: &str) -> String {
    // Each from an address of its own, so that they need not share what IBKR allows.
    let table = |(name, gateway): &(&str, &Gateway)| {
        format!("[gateway.{name}]\nurl = \"{}\"\npublic_address = \"{name}\"\n", gateway.url())
    };
    let tables = gateways.iter().map(table);
    let common =
        "[session]\ncheck_every = \"1s\"\nping_every = \"1s\"\nwatch_every = \"5s\"\n[maintenance]\nwindow = []\n";
    tables.chain([common.to_owned(), rest.to_owned()]).collect()
}

pub(crate) fn channel(name: &str, url: &str) -> String {
    format!("[[alerts.channel]]\nname = {name:?}\ntype = \"webhook\"\npreset = \"json\"\nurl = {url:?}\n")
}

/// Phase and code of the next alert.
pub(crate) async fn next(receiver: &mut Receiver) -> (String, String) {
    let (phase, code, _) = receiver.is_told(TOLD).await;
    (phase, code)
}

fn is(told: &(String, String), phase: &str, code: &str) {
    assert_eq!((told.0.as_str(), told.1.as_str()), (phase, code));
}

/// From a loss to the news of it, on a machine that has other things to do as well.
pub(crate) const TOLD: Duration = Duration::from_secs(30);

#[tokio::test]
async fn each_channel_is_told_by_its_own_way_and_none_waits_for_another() {
    let (main, steady) = (Gateway::logged_in().await, Gateway::logged_in().await);
    let (mut good, mut slow, strict) = (Receiver::start().await, Receiver::start().await, Receiver::start().await);
    let mut hanging = Receiver::start().await;
    let mut mails = Mailserver::start(Protection::Open).await;
    let (_socket, free) = closed_port();
    slow.replies([Reply::Answer(500, "", "")]);
    strict.replies([Reply::Answer(400, "", "{\"error\": \"not like this\"}")]);
    hanging.replies(std::iter::repeat_n(Reply::Hang, 20));
    mails.answers("RCPT", "451 greylisted");
    let heard = crate::folder().join("heard");
    let mail = format!(
        "[[alerts.channel]]\nname = \"mail\"\ntype = \"email\"\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\n\
         from = \"tickled@example.org\"\nto = \"you@example.org\"\ngateways = [\"main\"]\ncodes = [\"login-required\"]\n",
        mails.address.port()
    );
    let script = format!("echo $TICKLED_ALERT_PHASE $TICKLED_ALERT_CODE >> {}; echo rung", heard.display());
    let siren = format!(
        "[[alerts.channel]]\nname = \"siren\"\ntype = \"command\"\nargv = [\"/bin/sh\", \"-c\", {script:?}]\n\
         codes = [\"login-required\"]\n"
    );
    let channels = [
        channel("hanging", &hanging.url()),
        channel("nobody", &format!("http://{free}")),
        channel("good", &good.url()),
        channel("slow", &slow.url()) + "codes = [\"login-required\"]\n",
        channel("strict", &strict.url()) + "codes = [\"login-required\"]\n",
        channel("spared", &good.url()) + "gateways = [\"steady\"]\ncodes = [\"login-required\"]\n",
        mail,
        siren,
    ];
    let config = watched(&[("main", &main), ("steady", &steady)], &channels.concat());
    let mut daemon = Daemon::run(&file(&config));
    for _ in 0..2 {
        daemon.becomes("live", SOON).await;
    }
    main.set("expire-login").await;
    let (phase, code, body) = good.is_told(TOLD).await;
    assert_eq!((phase.as_str(), code.as_str()), ("raised", "login-required"));
    assert_eq!(body["title"], "IBKR main: log in now – login expired");
    assert!(body["action"].as_str().unwrap().contains(&main.url()), "{body}");

    // A refused alert is given up at once, and the other channels report that; one that fails for a while arrives in
    // the end.
    daemon.hears(&[("event", "alert-given-up"), ("channel", "strict")], SOON).await;
    let (phase, code, body) = good.is_told(SOON).await;
    assert_eq!((phase.as_str(), code.as_str()), ("raised", "alert-undeliverable"));
    let what = body["summary"].as_str().unwrap();
    assert!(what.contains(": it answered 400 Bad Request, and said: not like this."), "{what}");
    assert!(what.contains("Not delivered: \"IBKR main: log in now – login expired\""), "{what}");
    daemon.hears(&[("event", "alert-sent"), ("channel", "slow")], SOON).await;
    assert_eq!(slow.rest().len(), 2);
    let mail = mails.takes(TOLD).await;
    assert!(mail.text.contains("Subject: IBKR main"), "{}", mail.text);
    assert_eq!(daemon.count(&[("event", "alert-command-said"), ("said", "rung")]), 1);
    assert_eq!(daemon.count(&[("event", "alert-delayed"), ("channel", "nobody"), ("level", "warn")]), 1);

    main.log_in().await;
    daemon.signal("USR1");
    daemon.hears(&[("event", "alert"), ("code", "login-required"), ("phase", "resolved")], TOLD).await;
    is(&next(&mut good).await, "resolved", "login-required");
    is(&next(&mut good).await, "resolved", "alert-undeliverable");
    is(&next(&mut slow).await, "resolved", "login-required");
    assert!(mails.takes(TOLD).await.text.contains("live again after"));
    daemon.listens(Duration::from_secs(1)).await;
    assert_eq!(fs::read_to_string(&heard).unwrap(), "raised login-required\nresolved login-required\n");
    assert!(good.rest().is_empty() && mails.rest().is_empty() && slow.rest().is_empty());
    assert!(!hanging.rest().is_empty(), "it was tried");
    assert_eq!(daemon.count(&[("level", "error")]), 3, "{}", daemon.text);

    assert_punctual(&steady).await;
}

/// No ping was sent later because a receiver hangs: each try there takes ten seconds.
async fn assert_punctual(gateway: &Gateway) {
    let seen = gateway.read("requests").await;
    let pings: Vec<u64> = seen
        .as_array()
        .unwrap()
        .iter()
        .filter(|seen| seen["path"] == "/v1/api/tickle")
        .map(|seen| seen["at_ms"].as_u64().unwrap())
        .collect();
    let longest = pings.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(pings.len() > 10 && longest < 8_000, "{} pings, once {longest} ms apart", pings.len());
}

#[tokio::test]
async fn the_dead_mans_switch_hears_of_each_good_minute_and_of_a_lost_login() {
    let gateway = Gateway::logged_in().await;
    let mut switch = Receiver::start().await;
    let url = keep("deadman", &format!("{}/uuid\n", switch.url()));
    let mut daemon = Daemon::run(&file(&watched(&[("main", &gateway)], &format!("[deadman]\nurl_file = {url:?}\n"))));
    let asked = switch.hears(TOLD).await;
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("GET", "/uuid"));
    daemon.hears(&[("event", "deadman-ok")], SOON).await;
    daemon.listens(Duration::from_secs(3)).await;
    assert!(switch.rest().is_empty(), "once a minute at most");
    // It does not answer: that is logged once, and nothing waits for it.
    switch.replies([Reply::Answer(404, "", "no such check")]);
    gateway.set("expire-login").await;
    assert_eq!(switch.hears(TOLD).await.path, "/uuid/fail");
    let said = daemon.hears(&[("event", "deadman-failed")], SOON).await;
    assert!(said["fault"].as_str().unwrap().contains("404"), "{said:?}");
    assert!(!daemon.text.contains("uuid"), "whoever knows the address can call it: {}", daemon.text);
    assert!(gateway.asked_for("/v1/api/tickle").await >= 3);
}

#[tokio::test]
async fn a_reload_takes_over_changed_channels_and_loses_nothing_that_is_unsent() {
    let gateway = Gateway::logged_in().await;
    let (mut old, mut new, mut busy_one) = (Receiver::start().await, Receiver::start().await, Receiver::start().await);
    let path = file(&watched(&[("main", &gateway)], ""));
    let mut daemon = Daemon::run(&path);
    daemon.becomes("live", SOON).await;
    let reload = async |daemon: &mut Daemon, channels: &str| {
        fs::write(&path, watched(&[("main", &gateway)], channels)).unwrap();
        daemon.signal("HUP");
        daemon.hears(&[("event", "config-reloaded")], SOON).await
    };
    let busy = channel("busy", &busy_one.url());
    busy_one.replies([Reply::Hang]);
    let said = reload(&mut daemon, &(channel("phone", &old.url()) + &busy)).await;
    assert!(said["changes"].as_str().unwrap().contains("1 as before, alerts changed"), "{said:?}");
    old.replies(std::iter::repeat_n(Reply::Answer(503, "", ""), 20));
    gateway.set("expire-login").await;
    old.hears(TOLD).await;
    daemon.hears(&[("event", "alert-delayed"), ("channel", "phone")], SOON).await;
    // A wrong file changes nothing; a good one sends what waits to its new destination.
    fs::write(&path, watched(&[("main", &gateway)], "[[alerts.channel]]\nname = \"phone\"\n")).unwrap();
    daemon.signal("HUP");
    daemon.hears(&[("event", "config-rejected")], SOON).await;
    reload(&mut daemon, &(channel("phone", &new.url()) + &busy)).await;
    let mut told = [next(&mut new).await, next(&mut new).await];
    told.sort();
    let told = told.map(|(phase, code)| format!("{phase} {code}"));
    // The newest state of each incident: of what is over already, that it is over.
    assert_eq!(told, ["raised login-required", "resolved config-rejected"].map(str::to_owned));
    assert_eq!(busy_one.rest().len(), 1, "a channel that is the same goes on with what it is doing");
    gateway.log_in().await;
    daemon.signal("USR1");
    is(&next(&mut new).await, "resolved", "login-required");
    daemon.listens(Duration::from_secs(1)).await;
    assert_eq!(daemon.count(&[("event", "state-changed"), ("to", "live")]), 2, "{}", daemon.text);
}

/// The spool of a daemon that was run in this folder.
pub(crate) fn spool(state: &Path) -> String {
    fs::read_to_string(state.join("alerts.json")).unwrap_or_default()
}

#[tokio::test]
async fn a_gateway_that_is_taken_out_is_called_off_once_and_not_called_well() {
    let (kept, left) = (Gateway::logged_in().await, Gateway::logged_in().await);
    let mut phone = Receiver::start().await;
    let channels = channel("phone", &phone.url());
    let path = file(&watched(&[("kept", &kept), ("left", &left)], &channels));
    let mut daemon = Daemon::run(&path);
    for _ in 0..2 {
        daemon.becomes("live", SOON).await;
    }
    left.set("expire-login").await;
    is(&next(&mut phone).await, "raised", "login-required");
    fs::write(&path, watched(&[("kept", &kept)], &channels)).unwrap();
    daemon.signal("HUP");
    let (phase, code, body) = phone.is_told(TOLD).await;
    is(&(phase, code), "withdrawn", "login-required");
    assert_eq!(body["title"], "IBKR left: no longer monitored – alert closed, not fixed");
    daemon.listens(Duration::from_secs(1)).await;
    assert!(phone.rest().is_empty(), "{}", daemon.text);
    assert_eq!(daemon.count(&[("event", "alert"), ("phase", "withdrawn")]), 1);
}
