//! What a doctor sees on its own host: configuration, Java, the gateway's folder, channels, other programs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tickled::doctor::Check;
use tokio::net::TcpListener;

use crate::visit::{Visit, doctor, file, folder, two_lines};
use support::{Gateway, closed_port};

const CONF: &str = "listenPort: 5000\nlistenSsl: true\nsslPwd: \"mywebapi\"\nauthDelay: 3000\nips:\n  allow:\n    - 10.*\n    - 192.*\n    - 131.216.*\n    - 127.0.0.1\n";
const AT_5000: &str = "[gateway.main]\nurl = \"https://localhost:5000\"\n";

/// A folder with an executable script in it.
fn script(name: &str, text: &str) -> PathBuf {
    let folder = folder();
    let file = folder.join(name);
    fs::write(&file, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// A gateway's folder as it is unpacked, with this conf.yaml.
fn unpacked(conf: &str) -> PathBuf {
    let folder = folder();
    fs::create_dir(folder.join("root")).unwrap();
    fs::write(folder.join("root/conf.yaml"), conf).unwrap();
    folder
}

async fn offline(more: &[&str], config: &str, path: &Path) -> Visit {
    let arguments = [&["--offline"], more].concat();
    Visit::by(&arguments, &file(config), |command| {
        command.env("PATH", path);
    })
    .await
}

#[tokio::test]
async fn a_wrong_configuration_is_the_cause_of_everything() {
    let wrong = "[gateway.main]\nurl = \"ftp://x\"\n[session]\nping_evry = \"1m\"\n";
    let visit = Visit::with(wrong).await;
    visit.is_first("configuration", "config", 78, &["ftp://x", ":2:", ":4:", "ping_every", "config check"]);
}

#[tokio::test]
async fn without_a_configuration_the_usual_gateway_is_looked_at_all_the_same() {
    let visit = Visit::by(&["--offline"], Path::new("/nowhere/tickled.toml"), |_| {}).await;
    visit.is_first("no configuration", "config", 78, &["the file does not exist", "config default"]);
    assert_eq!(visit.of("gateway")["about"], "main");
    let said = visit.findings().iter().filter(|finding| finding["check"] == "config");
    let said: Vec<&str> = said.filter_map(|finding| finding["found"].as_str()).collect();
    assert!(
        said.iter().any(|found| found.contains("without a configuration") && found.contains("https://localhost:5000")),
        "{said:?}"
    );
}

#[tokio::test]
async fn who_may_change_the_configuration_or_read_its_secrets_is_told() {
    let secret = folder().join("url");
    fs::write(&secret, "http://127.0.0.1:9/topic\n").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();
    let channel =
        format!("[[alerts.channel]]\nname = \"phone\"\ntype = \"webhook\"\npreset = \"ntfy\"\nurl_file = {secret:?}\n");
    let config = file(&format!("{AT_5000}{channel}"));
    fs::set_permissions(&config, fs::Permissions::from_mode(0o666)).unwrap();
    let visit = Visit::by(&["--offline"], &config, |_| {}).await;
    assert_eq!(visit.code, Some(0));
    let told: Vec<&str> = visit.findings().iter().filter_map(|finding| finding["remedy"].as_str()).collect();
    assert!(told.iter().any(|remedy| remedy.starts_with("`chmod go-w ")), "{told:?}");
    assert!(told.iter().any(|remedy| remedy.starts_with("`chmod o-r ")), "{told:?}");
}

#[tokio::test]
async fn java_is_found_on_the_path_and_must_be_8u192_or_later() {
    let gateway = unpacked(CONF);
    let gateway = ["--gateway-dir", gateway.to_str().unwrap()];
    let old = script("java", "echo 'java version \"1.8.0_181\"' >&2");
    offline(&gateway, AT_5000, &old).await.is_first("Java", "java", 3, &["Java 8u181 is too old", "8u192"]);
    let none = folder();
    offline(&gateway, AT_5000, &none).await.is_first("Java", "java", 3, &["no java on the path", "install"]);
    for good in ["1.8.0_192", "11.0.2", "17.0.15"] {
        let java = script("java", &format!("echo 'openjdk version \"{good}\" 2025' >&2"));
        let visit = offline(&gateway, AT_5000, &java).await;
        visit.is_well();
        assert_eq!(visit.of("java")["verdict"], "good", "{good}");
        let delay = visit.of("conf-yaml")["found"].as_str().unwrap();
        assert!(
            delay.contains("authDelay is 3000") && delay.ends_with("takes 3.1 s; with 500 it takes 0.6 s"),
            "{delay}"
        );
    }
    // Without a gateway of this host it is no more than worth knowing.
    let elsewhere = offline(&[], AT_5000, &none).await;
    elsewhere.is_well();
    assert_eq!(elsewhere.of("java")["verdict"], "note");
}

#[tokio::test]
async fn the_gateways_own_conf_yaml_is_held_against_ours() {
    let java = script("java", "echo 'openjdk version \"17.0.15\"' >&2");
    let cases = [
        ("port", "listenPort: 5000", "listenPort: 5001", 78, "https://localhost:5001"),
        ("TLS", "listenSsl: true", "listenSsl: false", 78, "http://localhost:5000"),
        ("ips.allow", "    - 127.0.0.1\n", "", 2, "    - 127.0.0.1"),
    ];
    for (case, is, becomes, code, words) in cases {
        let folder = unpacked(&CONF.replace(is, becomes));
        let visit = offline(&["--gateway-dir", folder.to_str().unwrap()], AT_5000, &java).await;
        visit.is_first(case, "conf-yaml", code, &[words]);
        assert!(!visit.report.to_string().contains("mywebapi"));
    }
    let slow = unpacked(&CONF.replace("3000", "45000"));
    let visit = offline(&["--gateway-dir", slow.to_str().unwrap()], AT_5000, &java).await;
    assert_eq!(visit.of("conf-yaml")["verdict"], "warning");
    let empty = folder();
    let visit = offline(&["--gateway-dir", empty.to_str().unwrap()], AT_5000, &java).await;
    visit.is_first("no conf.yaml", "conf-yaml", 2, &["no root/conf.yaml", "unpacked"]);
}

#[tokio::test]
async fn channels_are_knocked_at_and_nothing_is_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let open = listener.local_addr().unwrap();
    let (_socket, shut) = closed_port();
    let gateway = Gateway::quick_logged_in().await;
    let config = format!(
        "{}[[alerts.channel]]\nname = \"good\"\ntype = \"webhook\"\nurl = \"http://{open}/x\"\npreset = \"json\"\n\
         [[alerts.channel]]\nname = \"shut\"\ntype = \"webhook\"\nurl = \"http://{shut}/x\"\npreset = \"json\"\n\
         [[alerts.channel]]\nname = \"program\"\ntype = \"command\"\nargv = [\"/nowhere/at/all\"]\n",
        two_lines(&gateway.url())
    );
    let visit = Visit::with(&config).await;
    assert_eq!(visit.code, Some(2), "{:#}", visit.report);
    let verdict = |name: &str| {
        let of = visit.findings().iter().find(|finding| finding["about"] == name).unwrap();
        of["verdict"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        (verdict("good").as_str(), verdict("shut").as_str(), verdict("program").as_str()),
        ("good", "fault", "fault")
    );
    let (mut knocked, _) = listener.accept().await.unwrap();
    let mut heard = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut knocked, &mut heard).await.unwrap();
    assert_eq!(heard, b"", "a knock says nothing");

    let silent = Visit::at(&gateway.url()).await;
    silent.is_well();
    assert_eq!(silent.of("channels")["verdict"], "warning");
}

#[tokio::test]
async fn another_program_that_keeps_a_session_is_found() {
    let script = script("ibeam_starter.sh", "sleep 60");
    let mut running = tokio::process::Command::new("/bin/sh")
        .arg(script.join("ibeam_starter.sh"))
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let visit = offline(&[], AT_5000, &folder()).await;
    // The host may have other programs that keep a session: each is a finding of its own.
    let is_it = |finding: &&serde_json::Value| {
        finding["check"] == "programs" && finding["found"].as_str().is_some_and(|found| found.contains("IBeam"))
    };
    let other = visit.findings().iter().find(is_it).unwrap_or_else(|| panic!("{:#}", visit.report));
    assert_eq!(other["verdict"], "warning", "{other}");
    running.kill().await.unwrap();
}

#[tokio::test]
async fn the_report_for_people_begins_with_the_cause_and_names_every_check() {
    let gateway = Gateway::quick().await;
    let config = file(&two_lines(&gateway.url()));
    let ended = doctor().args(["--config", config.to_str().unwrap()]).output().await.unwrap();
    let said = String::from_utf8(ended.stdout).unwrap();
    assert_eq!(ended.status.code(), Some(2), "{said}");
    assert!(said.starts_with("FAULT    main: login"), "{said}");
    assert!(said.lines().nth(1).unwrap().starts_with("         to do: log in at "), "{said}");
    assert!(said.trim_end().ends_with("begin with the first"), "{said}");
    for check in Check::ALL {
        // Only who names a gateway's folder has its file looked at.
        assert_eq!(said.contains(check.name()), *check != Check::ConfYaml, "{}: {said}", check.name());
    }
}

/// Its socket is elsewhere, and its configuration is named by the environment: it keeps the session all the same.
#[tokio::test]
async fn a_daemon_of_another_runtime_directory_is_seen() {
    let gateway = Gateway::quick().await;
    let config = file(&format!("{}[maintenance]\nwindow = []\n", two_lines(&gateway.url())));
    let own = folder();
    fs::set_permissions(&own, fs::Permissions::from_mode(0o700)).unwrap();
    let mut daemon = tokio::process::Command::new(env!("CARGO_BIN_EXE_tickled"))
        .arg("run")
        .current_dir(config.parent().unwrap())
        .env("TICKLED_CONFIG", config.file_name().unwrap())
        .env("RUNTIME_DIRECTORY", &own)
        .env("STATE_DIRECTORY", &own)
        .env_remove("TICKLED_SOCKET")
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    for _ in 0..600 {
        if own.join("control.sock").exists() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let visit = Visit::by(&["--offline"], &config, |_| {}).await;
    // The host may have other programs that keep a session: each is a finding of its own.
    let finds = |visit: &Visit, text: &str| {
        visit.findings().iter().any(|finding| finding["found"].as_str().is_some_and(|found| found.contains(text)))
    };
    assert!(finds(&visit, "`tickled run` is running (pid"), "{:?}", visit.findings());
    let others = offline(&[], AT_5000, &folder()).await;
    assert!(finds(&others, "with another configuration"), "{:?}", others.findings());
    daemon.kill().await.unwrap();
}
