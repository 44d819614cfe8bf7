//! Where no daemon is, where it may not be asked, and where it is another one than ours.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;

use tickled::control::connect_at_once;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

use crate::{Asked, Host};
use support::{Daemon, Gateway, SOON, by_day, copy_program, file, tickled};

const VERBS: &[&[&str]] = &[
    &["status"],
    &["check"],
    &["pause", "main", "--for", "30m"],
    &["resume", "main"],
    &["logout", "main"],
    &["ack"],
    &["alert", "test"],
];

#[tokio::test]
async fn without_a_daemon_every_verb_says_so_and_what_to_do() {
    for verb in VERBS {
        let asked = tickled(verb).env("TICKLED_SOCKET", "/nowhere/control.sock").output().await.unwrap();
        let asked = Asked::from(asked);
        assert_eq!((asked.code, asked.out.as_str()), (Some(3), ""), "{verb:?}");
        let says = "tickled: no daemon answers at /nowhere/control.sock; is it running? `systemctl status tickled` shows it; \
                    --socket PATH names another socket";
        let itself =
            if *verb == ["check"] { "; --url https://localhost:5000 asks a gateway without a daemon" } else { "" };
        assert_eq!(asked.err, format!("{says}{itself}\n"), "{verb:?}");
    }
}

#[tokio::test]
async fn a_user_without_rights_is_told_how_to_come_by_them() {
    let gateway = Gateway::logged_in().await;
    let host = Host::live(&gateway).await;
    let mode = std::fs::metadata(host.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660, "owner and group, and nobody else");
    let Ok(nobody) = std::process::Command::new("setpriv").arg("--help").stdout(Stdio::null()).status() else {
        panic!("setpriv, of util-linux, is needed here");
    };
    assert!(nobody.success());
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    if !is_root {
        eprintln!("skipped: only root can become somebody else");
        return;
    }
    let binary = std::env::temp_dir().join(format!("tickled-for-nobody-{}", std::process::id()));
    copy_program(&binary);
    let asked = tokio::process::Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&binary)
        .args(["status", "--socket"])
        .arg(host.socket())
        .output()
        .await
        .unwrap();
    std::fs::remove_file(&binary).unwrap();
    let asked = Asked::from(asked);
    assert_eq!((asked.code, asked.out.as_str()), (Some(3), ""), "{}", asked.err);
    assert!(asked.err.starts_with("tickled: this user may not use "), "{}", asked.err);
    assert!(asked.err.contains("sudo usermod -aG tickled $USER"), "{}", asked.err);
}

#[tokio::test]
async fn a_daemon_of_another_version_is_named() {
    let (folder, path) = another_version("other");
    for verb in [&["status"][..], &["pause", "main"]] {
        let asked = Asked::from(tickled(verb).env("TICKLED_SOCKET", &path).output().await.unwrap());
        assert_eq!((asked.code, asked.out.as_str()), (Some(70), ""), "{verb:?}: {}", asked.err);
        assert!(asked.err.contains("is tickled/9.9.9, and "), "{verb:?}: {}", asked.err);
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Something that answers at a socket as a daemon of another version might: its folder, and the socket in it.
pub(crate) fn another_version(name: &str) -> (PathBuf, PathBuf) {
    let folder = std::env::temp_dir().join(format!("tickled-version-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("control.sock");
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = vec![0; 4096];
            let read = stream.read(&mut head).await.unwrap();
            let (status, body) = if head[..read].starts_with(b"GET") {
                ("200 OK", r#"{"gateways":{"main":"fine"}}"#)
            } else {
                ("404 Not Found", r#"{"error":"there is no such path"}"#)
            };
            let length = body.len();
            let answer =
                format!("HTTP/1.1 {status}\r\nServer: tickled/9.9.9\r\nContent-Length: {length}\r\n\r\n{body}");
            drop(stream.write_all(answer.as_bytes()).await);
        }
    });
    (folder, path)
}

#[tokio::test]
async fn what_a_dead_daemon_left_is_cleared_away_and_a_living_one_is_let_be() {
    let gateway = Gateway::logged_in().await;
    let mut host = Host::live(&gateway).await;
    host.killed_and_started_again().await;
    host.daemon.hears(&[("event", "control-open")], SOON).await;
    host.daemon.becomes("live", SOON).await;

    let other = Gateway::logged_in().await;
    let config = file(&by_day(&format!("[gateway.other]\nurl = \"{}\"\n", other.url())));
    let mut second = Daemon::spawn(Daemon::command(&config).env("RUNTIME_DIRECTORY", &host.place));
    let said = second.hears(&[("event", "control-closed")], SOON).await;
    assert!(said["fault"].as_str().unwrap().contains("another tickled answers there"), "{said:?}");
    second.becomes("live", SOON).await;
    second.signal("TERM");
    assert!(second.ends(SOON).await.success());
    assert_eq!(host.asks(&["status"]).await.code, Some(0), "the first is still there");

    host.daemon.signal("TERM");
    assert!(host.daemon.ends(SOON).await.success());
    assert!(!host.socket().exists(), "who ends cleanly leaves nothing behind");
}

/// A daemon that is stopped accepts nothing, and its queue is full: a client gets an error at once, and a second daemon
/// still hears its signals.
#[tokio::test]
async fn a_daemon_that_accepts_nothing_keeps_nobody_waiting() {
    let place = crate::place();
    let path = place.join("control.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    rustix::net::listen(&listener, 1).unwrap();
    let mut queue = Vec::new();
    let full = loop {
        match connect_at_once(&path) {
            Ok(stream) => queue.push(stream),
            Err(error) => break error,
        }
    };
    assert_eq!(full.kind(), std::io::ErrorKind::WouldBlock);
    for verb in VERBS {
        let asked = tickled(verb).env("TICKLED_SOCKET", &path).output();
        let asked = Asked::from(tokio::time::timeout(SOON, asked).await.expect("an end").unwrap());
        assert_eq!((asked.code, asked.out.as_str()), (Some(3), ""), "{verb:?}: {}", asked.err);
        assert!(asked.err.contains("accepts no connection: it is stopped or hangs"), "{verb:?}: {}", asked.err);
    }
    let gateway = Gateway::logged_in().await;
    let config = file(&Host::two_lines(&gateway));
    let mut second = Host::daemon(&config, &place);
    second.hears(&[("event", "control-closed")], SOON).await;
    second.becomes("live", SOON).await;
    second.signal("TERM");
    assert!(second.ends(SOON).await.success());
    drop(queue);
    std::fs::remove_dir_all(&place).unwrap();
}
