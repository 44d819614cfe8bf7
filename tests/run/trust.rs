//! Whom the daemon takes for the gateway, and `tickled cert`: what a stranger presents, and the lines that pin it.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tickled::gateway::Fingerprint;
use tokio::time::timeout;

use crate::seconds;
use support::{Daemon, Gateway, SOON, by_day, closed_port, file, tickled};

async fn cert(url: &str, more: &[&str]) -> (Option<i32>, String) {
    let mut arguments = vec!["cert", "--url", url];
    arguments.extend(more);
    let ended = tickled(&arguments).output().await.unwrap();
    (ended.status.code(), String::from_utf8(ended.stdout).unwrap() + &String::from_utf8(ended.stderr).unwrap())
}

fn pinned(url: &str, pin: &str) -> String {
    format!(
        "[gateway.main]\nurl = \"{url}\"\ntls = {{ trust = \"pin\", pins = [\"{pin}\"] }}\n\
         [session]\nwatch_every = \"5s\"\n[maintenance]\nwindow = []\n"
    )
}

#[tokio::test]
async fn a_wrong_pin_is_told_with_both_fingerprints_and_nothing_is_sent() {
    let gateway = Gateway::logged_in().await;
    let (_, said) = cert(&gateway.url(), &["--json"]).await;
    let presented = serde_json::from_str::<Value>(&said).unwrap()["fingerprint"].as_str().unwrap().to_owned();
    let before = gateway.asked().await.len();
    let (stock, path) =
        (Fingerprint::STOCK.to_string(), file(&pinned(&gateway.url(), &Fingerprint::STOCK.to_string())));
    let mut daemon = Daemon::run(&path);
    assert_eq!(daemon.hears(&[("event", "certificate-refused")], SOON).await["gateway"], "main");
    let said = daemon.becomes("unavailable", SOON).await;
    assert_eq!(said["because"], "certificate");
    let told = daemon.hears(&[("event", "alert"), ("code", "certificate-changed"), ("phase", "raised")], SOON).await;
    assert_eq!(told["level"], "error");
    let told = told["message"].as_str().unwrap();
    assert!(told.contains(&stock) && told.contains(&presented), "{told}");
    daemon.listens(seconds(12)).await;
    assert_eq!(daemon.count(&[("event", "certificate-refused")]), 1, "said once\n{}", daemon.text);
    assert_eq!(daemon.count(&[("event", "alert")]), 1, "told once\n{}", daemon.text);
    assert_eq!(gateway.asked().await.len(), before, "nothing was asked");

    fs::write(&path, pinned(&gateway.url(), &presented)).unwrap();
    daemon.signal("HUP");
    daemon.becomes("live", SOON).await;
    daemon.hears(&[("event", "alert"), ("code", "certificate-changed"), ("phase", "resolved")], SOON).await;
}

#[tokio::test]
async fn cert_shows_what_is_presented_and_its_lines_pin_it() {
    let gateway = Gateway::logged_in().await;
    let before = gateway.asked().await.len();
    let (code, said) = cert(&gateway.url(), &[]).await;
    assert_eq!(code, Some(0), "{said}");
    for part in ["CN=Client Portal Web API", "2019-05-11", "expired", "loopback"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(gateway.asked().await.len(), before, "nothing is asked");
    let lines = &said[said.find("[gateway.main]").unwrap()..];
    let mut daemon = Daemon::run(&file(&by_day(lines)));
    daemon.becomes("live", SOON).await;
    assert_eq!(daemon.count(&[("event", "trust"), ("trust", "pin")]), 1);

    let (code, said) = cert(&gateway.url(), &["--json"]).await;
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(code, Some(0));
    assert_eq!((&said["stock"], &said["expired"], &said["exit"]), (&false.into(), &true.into(), &0.into()));
    assert!(lines.contains(said["fingerprint"].as_str().unwrap()));
}

#[tokio::test]
async fn cert_tells_apart_what_presents_none() {
    let (code, said) = cert("http://localhost:5000", &[]).await;
    assert!(code == Some(3) && said.contains("plain http shows none"), "{code:?} {said}");
    let (_socket, free) = closed_port();
    let (code, said) = cert(&format!("https://{free}"), &["--json"]).await;
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &said["exit"]), (Some(3), &3.into()), "{said}");
    let (code, said) = cert("localhost", &[]).await;
    assert!(code == Some(64) && said.contains("--url"), "{code:?} {said}");
}

/// Plain HTTP to another host needs the explicit consent of the operator; nothing listens there.
#[tokio::test]
async fn plain_http_to_another_host_is_refused_or_told() {
    // At any hour: neither is run.
    let (refused, known) = (
        file("[gateway.main]\nurl = \"http://192.0.2.1:5000\"\n"),
        file("[gateway.main]\nurl = \"http://192.0.2.1:5000\"\ntls.plain_http = \"i-know\"\n"),
    );
    let ended = tickled(&["run", "--config", refused.to_str().unwrap()]).output().await.unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(ended.status.code() == Some(78) && said.contains("plain_http = \"i-know\""), "{said}");
    let ended = tickled(&["config", "check", known.to_str().unwrap()]).output().await.unwrap();
    assert_eq!(ended.status.code(), Some(0));
    let shown = tickled(&["config", "show", known.to_str().unwrap()]).output().await.unwrap();
    assert!(String::from_utf8(shown.stdout).unwrap().contains("plain_http = \"i-know\""));
}

/// A gateway elsewhere, whose certificate a file vouches for; the file is named in the fourth line.
fn vouched_for(by: &Path) -> String {
    // At any hour: the caller adds it, or nothing is run.
    format!(
        "[gateway.far]\nurl = \"https://192.0.2.1:5000\"\ntls.trust = \"ca-file\"\ntls.ca_file = \"{}\"\n",
        by.display()
    )
}

#[tokio::test]
async fn a_ca_file_without_a_certificate_is_a_fault_of_the_configuration() {
    let authority = file("").with_extension("pem");
    let config = file(&vouched_for(&authority));
    let config = config.to_str().unwrap();
    let broken = "-----BEGIN CERTIFICATE-----\nbm90aGluZw==\n-----END CERTIFICATE-----\n";
    for (held, why) in [
        (None, "No such file"),
        (Some(""), "there is none in it"),
        (Some(include_str!("../../src/simulator/key.pem")), "there is none in it"),
        (Some(broken), "what is marked as a certificate in it is not one"),
    ] {
        if let Some(held) = held {
            fs::write(&authority, held).unwrap();
        }
        for verb in [&["config", "check", config][..], &["run", "--config", config]] {
            let ended = tickled(verb).output().await.unwrap();
            let said = String::from_utf8(ended.stderr).unwrap();
            assert_eq!(ended.status.code(), Some(78), "{verb:?}: {said}");
            let place = format!("{config}:4:15: gateway.far.tls.ca_file: cannot read certificates from ");
            assert!(said.contains(&place) && said.contains(why), "{verb:?}: {said}");
        }
    }
    fs::write(&authority, include_str!("../../src/simulator/certificate.pem")).unwrap();
    let ended = tickled(&["config", "check", config]).output().await.unwrap();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
}

/// A disk that hangs: nothing is written into the pipe yet.
#[tokio::test]
async fn a_reload_waits_for_no_pipe_in_the_place_of_a_ca_file_and_changes_nothing() {
    let gateway = Gateway::logged_in().await;
    let main = format!("[gateway.main]\nurl = \"{}\"\n[session]\ncheck_every = \"1s\"\n", gateway.url());
    let path = file(&by_day(&main));
    let mut daemon = Daemon::run(&path);
    daemon.becomes("live", SOON).await;
    let authority = path.with_extension("pem");
    assert!(Command::new("mkfifo").arg(&authority).status().unwrap().success());
    fs::write(&path, by_day(&(vouched_for(&authority) + &main))).unwrap();
    daemon.signal("HUP");
    // Nothing writes to it: it is not waited for.
    let said = daemon.hears(&[("event", "config-rejected")], SOON).await;
    let fault = said["fault"].as_str().unwrap();
    assert!(fault.starts_with(&format!("{}:4:15: gateway.far.tls.ca_file: ", path.display())), "{fault}");
    let until = gateway.asked().await.len() + 3;
    timeout(SOON * 3, gateway.is_asked(until)).await.expect("questions after that");
    assert_eq!(daemon.count(&[("event", "state-changed")]), 1, "{}", daemon.text);
}
