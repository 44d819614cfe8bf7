//! The static program alone in the root file system of its image.

use std::fs;
use std::net::UdpSocket;
use std::time::Duration;

use serde_json::json;
use support::{Daemon, Gateway, SOON, by_day};
use tokio::time::{sleep, timeout};

use crate::container::{Container, Init, children, image};
use crate::repository;
use support::receiver::{Authority, Receiver};

/// Answers every question for an address with 127.0.0.1, at port 53 of a loopback address that no one else uses.
fn name_server() -> String {
    let own = std::process::id();
    let address = format!("127.{}.{}.53", 100 + own / 256 % 100, own % 256);
    let socket = UdpSocket::bind((address.as_str(), 53)).unwrap();
    std::thread::spawn(move || {
        let mut packet = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut packet) {
            let question = &packet[12..length];
            let end = question.iter().position(|byte| *byte == 0).unwrap() + 5;
            let is_address = question[end - 4..end - 2] == [0, 1];
            let mut answer = packet[..2].to_vec();
            answer.extend([0x81, 0x80, 0, 1, 0, u8::from(is_address), 0, 0, 0, 0]);
            answer.extend(&question[..end]);
            if is_address {
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 4, 0, 4, 127, 0, 0, 1]);
            }
            drop(socket.send_to(&answer, from));
        }
    });
    address
}

#[test]
fn the_image_says_how_it_runs() {
    let Some(image) = image() else { return };
    let config = &image.config;
    assert_eq!((&config["User"], &config["StopSignal"]), (&json!("65532:65532"), &json!("SIGTERM")));
    assert_eq!((&config["Entrypoint"], &config["Cmd"]), (&json!(["tickled"]), &json!(["run"])));
    assert_eq!(config["Volumes"], json!({ "/var/lib/tickled": {} }));
    assert_eq!(config["Healthcheck"]["Test"], json!(["CMD", "tickled", "status"]));
    let size = fs::metadata(&image.archive).unwrap().len();
    assert!(size <= 10 * 1024 * 1024, "{size} bytes");
}

/// With 32 MB, a read-only file system, as user 65532 and process 1: everything that a trader needs.
#[tokio::test]
async fn in_an_empty_root_everything_works() {
    let Some(image) = image() else { return };
    let gateway = Gateway::logged_in().await;
    let authority = Authority::new();
    let mut phone = Receiver::secured(&authority).await;
    let container = Container::new(image, "empty");
    fs::write(container.root().join("etc/resolv.conf"), format!("nameserver {}\n", name_server())).unwrap();
    fs::copy(authority.file(), container.etc().join("ca.pem")).unwrap();
    fs::remove_dir_all(container.root().join("etc/ssl")).unwrap();
    add_shell(&container);
    let by_name = |url: &str, name: &str| url.replace("127.0.0.1", name);
    let config = format!(
        "[gateway.main]\nurl = \"{}\"\ntls = {{ trust = \"loopback\" }}\n[session]\ncheck_every = \"1s\"\n\
         [alerts.hours]\nzone = \"Asia/Kathmandu\"\n\
         [[alerts.channel]]\nname = \"phone\"\ntype = \"webhook\"\npreset = \"json\"\nurl = \"{}\"\n\
         ca_file = \"/etc/tickled/ca.pem\"\n\
         [[alerts.channel]]\nname = \"hook\"\ntype = \"command\"\nargv = [\"/bin/sh\", \"/bin/orphans\"]\n",
        by_name(&gateway.url(), "gateway.test"),
        by_name(&phone.url(), "localhost"),
    );
    fs::write(container.etc().join("tickled.toml"), by_day(&config)).unwrap();
    let mut daemon = Daemon::spawn(&mut container.run(&["run"], ":"));
    let open = daemon.hears(&[("event", "control-open")], SOON).await;
    assert_eq!(open["socket"], "/var/lib/tickled/run/control.sock");
    daemon.becomes("live", SOON).await;
    let (init, complaints) = (Init::of(daemon.pid()), ["state-unsaved", "lock-unavailable", "control-closed"]);
    for event in complaints {
        assert_eq!(daemon.count(&[("event", event)]), 0, "{}", daemon.text);
    }
    let ask = async |arguments: &[&str], code| {
        let ended = timeout(SOON * 6, container.exec(&init, arguments)).await.expect("an end");
        assert_eq!(ended.status.code(), Some(code), "{arguments:?}: {ended:?}");
        String::from_utf8(ended.stdout).unwrap() + &String::from_utf8(ended.stderr).unwrap()
    };
    ask(&["config", "check"], 0).await;
    ask(&["status"], 0).await;
    ask(&["pause", "main"], 0).await;
    assert!(ask(&["history", "--json"], 0).await.contains("\"gateways\""));
    ask(&["resume", "main"], 0).await;
    let second = ask(&["run"], 69).await;
    assert!(second.contains("gateway main") && second.contains("process 1"), "{second}");
    ask(&["run", "--runtime-dir", "/tmp/none"], 69).await;
    // It has roots of its own to judge a certificate by: there is no other file with certificates.
    let judged = ask(&["check", "--url", &by_name(&gateway.url(), "gateway.test")], 2).await;
    assert!(judged.contains("the certificate is not trusted"), "{judged}");

    // Meanwhile the demo runs beside it.
    let shown = async { ask(&["demo"], 0).await };
    let told = async {
        daemon.becomes("live", SOON).await;
        gateway.set("expire-login").await;
        let (phase, code, alert) = phone.is_told(SOON * 3).await;
        assert_eq!((phase.as_str(), code.as_str()), ("raised", "login-required"), "{alert}");
        assert!(alert["since"].as_str().unwrap().ends_with("+0545"), "{alert}");
        daemon.hears(&[("event", "alert-sent"), ("channel", "hook")], SOON).await;
    };
    let (shown, ()) = tokio::join!(shown, told);
    assert!(shown.contains("Every step happened as described"), "{shown}");
    assert_eq!(fs::read_to_string(container.state().join("orphans")).unwrap(), "500\n");
    let are_reaped = async {
        while !children(init.0).is_empty() {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(SOON * 2, are_reaped).await.unwrap_or_else(|_| panic!("{} zombies", children(init.0).len()));
    let status = fs::read_to_string(format!("/proc/{}/status", init.0)).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().split(' ').next()?.parse().ok());
    assert!(peak.is_some_and(|peak: u64| peak < 32 * 1024), "{status}");
    assert!(std::process::Command::new("kill").arg(init.0.to_string()).status().unwrap().success());
    assert!(daemon.ends(SOON).await.success(), "{}", daemon.text);
}

/// A shell with the libraries that it needs, and a hook for it that leaves 500 orphans.
fn add_shell(container: &Container) {
    let libraries = std::process::Command::new("ldd").arg("/bin/sh").output().unwrap();
    let libraries = String::from_utf8(libraries.stdout).unwrap();
    let paths = libraries.split_ascii_whitespace().filter(|word| word.starts_with('/')).chain(["/bin/sh"]);
    for path in paths {
        let to = container.root().join(path.trim_start_matches('/'));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(path, to).unwrap();
    }
    let hook = "i=0; while [ $i -lt 500 ]; do (: &); i=$((i + 1)); done; echo $i >/var/lib/tickled/orphans\n";
    fs::write(container.root().join("bin/orphans"), hook).unwrap();
}

/// The archive and the package hold what their users need.
#[test]
fn the_archive_installs_itself() {
    let Some(binary) = std::env::var_os("STATIC") else { return };
    let (dist, into) = (crate::folder("archive"), crate::folder("unpacked"));
    let run = |command: &mut std::process::Command| {
        let ended = command.output().unwrap();
        assert!(ended.status.success(), "{command:?}: {ended:?}");
    };
    let binary = fs::canonicalize(binary).unwrap();
    run(std::process::Command::new(repository().join("packaging/build"))
        .args(["tar"])
        .env("BINARY", &binary)
        .env("DIST", &dist));
    let archive = fs::read_dir(&dist).unwrap().next().unwrap().unwrap().path();
    run(std::process::Command::new("tar").arg("-xf").arg(archive).arg("--strip-components=1").arg("-C").arg(&into));
    let root = crate::folder("installed");
    run(std::process::Command::new(into.join("systemd/install.sh")).env("DESTDIR", &root).env("PREFIX", "/usr"));
    for file in [
        "usr/bin/tickled",
        "usr/lib/systemd/system/tickled.service",
        "usr/share/man/man1/tickled-run.1",
        "usr/share/bash-completion/completions/tickled",
        "etc/tickled/tickled.toml",
    ] {
        assert!(root.join(file).exists(), "{file}");
    }
    run(std::process::Command::new(root.join("usr/bin/tickled")).arg("--version"));
}
