//! `tickled login`: the way to a login by hand, and the wait for what comes of it.
#![expect(clippy::disallowed_methods, reason = "real processes take real time")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use crate::visit::{bare, file, folder};
use support::{Gateway, SOON, closed_port, until_file};

fn login(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tickled"));
    command.arg("login").args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    bare(command.kill_on_drop(true));
    command
}

async fn ends(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = timeout(SOON * 2, command.output()).await.unwrap().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// The same, with a login once the way to it is shown and the gateway has said that there is none yet.
async fn ends_after(command: &mut Command, gateway: &Gateway) -> (Option<i32>, String, String) {
    let before = gateway.asked().await.len();
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = String::new();
    while let Some(line) = timeout(SOON * 2, lines.next_line()).await.unwrap().unwrap() {
        said += &format!("{line}\n");
        if line.starts_with("    ssh -L ") {
            gateway.is_asked(before + 1).await;
            gateway.log_in().await;
        }
    }
    let ended = timeout(SOON, child.wait_with_output()).await.unwrap().unwrap();
    (ended.status.code(), said, String::from_utf8(ended.stderr).unwrap())
}

#[tokio::test]
async fn the_way_is_shown_and_the_login_is_seen() {
    let gateway = Gateway::quick().await;
    let url = gateway.url();
    let port = url.rsplit(':').next().unwrap().to_owned();
    let (code, said, errors) = ends_after(&mut login(&["--url", &url]), &gateway).await;
    assert_eq!(code, Some(0), "{said}{errors}");
    assert!(said.contains(&format!("\n    ssh -L {port}:localhost:{port} ")), "{said}");
    assert!(said.trim_end().lines().last().unwrap().starts_with("gateway: live, after "), "{said}");
    assert_eq!(errors, "", "a spinner is for terminals alone");
    let asked = gateway.asked_lines().await;
    let own: Vec<&String> = asked.iter().filter(|line| !line.ends_with("/sso/Dispatcher")).collect();
    assert!(own.len() <= 4, "at a slow pace: {own:?}");
    for line in own {
        assert!(line.ends_with("/auth/status") || line.ends_with("/iserver/accounts"), "{line}");
    }
}

#[tokio::test]
async fn a_session_that_is_live_needs_no_login() {
    let gateway = Gateway::quick_logged_in().await;
    let (code, said, _) = ends(&mut login(&["--url", &gateway.url()])).await;
    assert_eq!((code, said.as_str()), (Some(0), "gateway: live; no login is needed\n"));
}

#[tokio::test]
async fn it_gives_up_with_the_reason() {
    let gateway = Gateway::quick().await;
    let (code, said, _) = ends(&mut login(&["--url", &gateway.url(), "--within", "1s"])).await;
    assert!(code == Some(2) && said.contains("given up: not logged in; `tickled doctor`"), "{code:?} {said}");

    let (_socket, free) = closed_port();
    let url = format!("https://{free}");
    let (code, said, errors) = ends(&mut login(&["--url", &url, "--within", "1s", "--json"])).await;
    let end: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &end["exit"], &end["live"]), (Some(3), &3.into(), &false.into()), "{said}");
    assert!(end["why"].as_str().unwrap().contains("nothing listens"), "{said}");
    assert!(errors.contains("no login is possible yet (") && errors.contains("start the gateway"), "{errors}");
    assert!(!errors.contains("ssh -L "), "nobody listens at the other end of a tunnel: {errors}");
}

#[tokio::test]
async fn where_no_login_helps_it_says_so_at_once() {
    let gateway = Gateway::quick_logged_in().await;
    gateway.set("deny").await;
    let begun = Instant::now();
    let (code, said, _) = ends(&mut login(&["--url", &gateway.url()])).await;
    assert!(code == Some(2) && said.contains("does not help") && said.contains("ips.allow"), "{code:?} {said}");
    assert!(begun.elapsed() < SOON);
}

#[tokio::test]
async fn a_browser_opens_only_where_there_is_a_display() {
    let gateway = Gateway::quick().await;
    let tools = folder();
    let opened = tools.join("opened");
    let browser = tools.join("xdg-open");
    fs::write(&browser, format!("#!/bin/sh\nprintf %s \"$1\" > {}\n", opened.display())).unwrap();
    fs::set_permissions(&browser, fs::Permissions::from_mode(0o755)).unwrap();
    let url = gateway.url();
    for (variables, more, opens) in [
        (vec![], vec![], false),
        (vec![("DISPLAY", ":0"), ("SSH_CONNECTION", "x")], vec![], false),
        (vec![("DISPLAY", ":0")], vec!["--no-browser"], false),
        (vec![("WAYLAND_DISPLAY", "wayland-0")], vec![], true),
    ] {
        let mut command = login(&["--url", &url, "--within", "1s"]);
        command.args(&more).env("PATH", format!("{}:/usr/bin:/bin", tools.display())).envs(variables.clone());
        let (_, said, _) = ends(&mut command).await;
        if opens {
            until_file(&opened, &url, |address| address == url).await;
        }
        assert_eq!(opened.exists(), opens, "{variables:?} {more:?}: {said}");
    }
}

#[tokio::test]
async fn which_gateway_is_asked_only_when_it_is_not_clear() {
    // At any hour: no daemon runs here.
    let config = file("[gateway.a]\nurl = \"https://127.0.0.1:1\"\n[gateway.b]\nurl = \"https://127.0.0.1:2\"\n");
    let of = |more: &[&str]| {
        let mut command = login(&["--config", config.to_str().unwrap(), "--within", "1s"]);
        command.args(more);
        command
    };
    let (code, _, errors) = ends(&mut of(&[])).await;
    assert!(code == Some(64) && errors.contains("which gateway? there are a, b"), "{code:?} {errors}");
    let (code, _, errors) = ends(&mut of(&["c"])).await;
    assert!(code == Some(64) && errors.contains("there is no gateway \"c\""), "{code:?} {errors}");
    let (code, said, _) = ends(&mut of(&["b"])).await;
    assert!(code == Some(3) && said.contains("b: not live"), "{code:?} {said}");
    let (code, _, errors) = ends(&mut login(&["--within", "soon"])).await;
    assert!(code == Some(64) && errors.contains("10m"), "{code:?} {errors}");
}

#[tokio::test]
async fn with_a_daemon_it_is_asked_and_finds_the_gateway_by_itself() {
    let (lost, gone, live) = tokio::join!(Gateway::quick(), Gateway::quick(), Gateway::quick_logged_in());
    let place = folder();
    let config = file(&format!(
        "[gateway.gone]\nurl = \"{}\"\n[gateway.good]\nurl = \"{}\"\n[gateway.lost]\nurl = \"{}\"\n\
         [maintenance]\nwindow = []\n",
        gone.url(),
        live.url(),
        lost.url()
    ));
    let socket = place.join("control.sock");
    let mut daemon = Command::new(env!("CARGO_BIN_EXE_tickled"));
    let log = place.join("log");
    daemon.args(["run", "--config", config.to_str().unwrap()]).stdin(Stdio::null());
    daemon.stderr(fs::File::create(&log).unwrap());
    daemon
        .kill_on_drop(true)
        .env("RUNTIME_DIRECTORY", &place)
        .env("STATE_DIRECTORY", &place)
        .env_remove("NOTIFY_SOCKET");
    let mut daemon = daemon.spawn().unwrap();
    let status = || async {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tickled"));
        command.args(["status", "--json", "--socket", socket.to_str().unwrap()]);
        String::from_utf8(command.output().await.unwrap().stdout).unwrap()
    };
    let until = Instant::now() + SOON;
    while status().await.matches("\"state\":\"login-required\"").count() < 2 {
        assert!(Instant::now() < until, "{}", status().await);
        sleep(Duration::from_millis(100)).await;
    }
    let (code, _, errors) = ends(&mut login(&["--socket", socket.to_str().unwrap()])).await;
    assert!(code == Some(64) && errors.contains("these need a login: gone, lost; name one"), "{code:?} {errors}");
    gone.log_in().await;
    while status().await.matches("\"state\":\"login-required\"").count() > 1 {
        assert!(Instant::now() < until + Duration::from_secs(60), "{}", status().await);
        sleep(Duration::from_millis(100)).await;
    }
    let mut command = login(&["--socket", socket.to_str().unwrap(), "--within", "1m"]);
    let (code, said, errors) = ends_after(&mut command, &lost).await;
    assert_eq!(code, Some(0), "{said}{errors}");
    assert!(said.starts_with("lost: this host has no display") && said.contains("lost: live"), "{said}");
    let log = fs::read_to_string(log).unwrap();
    assert!(
        !log.contains("event=operator") && !log.contains("\"operator\""),
        "a login that waits says nothing:\n{log}"
    );
    assert!(log.contains("state-changed"), "{log}");
    daemon.kill().await.unwrap();
    let (code, _, errors) = ends(&mut login(&["--socket", socket.to_str().unwrap()])).await;
    assert!(code == Some(3) && errors.contains("no daemon answers"), "{code:?} {errors}");
}
