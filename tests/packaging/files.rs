//! compose.yaml and kubernetes.yaml: valid by their schemas, and rehearsed with the simulator in the gateway's place.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command as Blocking, Stdio};

use serde_json::Value;
use support::{Daemon, SOON};
use tokio::process::Command;
use tokio::time::timeout;

use crate::container::{Container, Init, image};
use crate::repository;

/// Both files as JSON, valid by their schemas; none, said why, where the validators cannot be installed.
#[expect(clippy::print_stderr, reason = "what is skipped is said")]
fn files() -> Option<Value> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("validators-1");
    let python = folder.join("bin/python");
    let succeeds = |command: &mut Blocking| command.output().is_ok_and(|ended| ended.status.success());
    let is_there = || succeeds(Blocking::new(&python).args(["-c", "import kubernetes_validate, compose_spec"]));
    let pip = ["-m", "pip", "install", "--quiet", "kubernetes-validate==1.37.0", "compose-spec==0.2.1", "PyYAML"];
    let can_install = || {
        succeeds(Blocking::new("python3").args(["-m", "venv"]).arg(&folder))
            && succeeds(Blocking::new(&python).args(pip))
    };
    if !is_there() && !can_install() {
        eprintln!("skipped: kubernetes-validate and compose-spec cannot be installed");
        return None;
    }
    let mut validate = Blocking::new(&python);
    validate.arg(repository().join("tests/packaging/validate.py")).arg(repository().join("packaging"));
    let ended = validate.output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    Some(serde_json::from_slice(&ended.stdout).unwrap())
}

#[tokio::test]
async fn what_runs_in_containers_finds_the_gateway_there() {
    let Some(image) = image() else { return };
    let Some(files) = files() else { return };
    let compose = &files["compose"]["services"];
    assert_eq!(compose["tickled"]["network_mode"], "service:gateway");
    for port in compose["gateway"]["ports"].as_array().unwrap() {
        assert!(port.as_str().unwrap().starts_with("127.0.0.1:"), "{port}");
    }
    let kubernetes = files["kubernetes"].as_array().unwrap();
    let map = kubernetes.iter().find(|document| document["kind"] == "ConfigMap").unwrap();
    let pod = &kubernetes.iter().find(|document| document["kind"] == "Deployment").unwrap()["spec"]["template"]["spec"];
    let named = |name: &str| pod["initContainers"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap();
    assert!(named("gateway").as_object().unwrap().keys().all(|key| !key.ends_with("Probe")), "{}", named("gateway"));
    let words = |list: &Value| list.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect();
    let wait: Vec<String> = words(&named("wait")["args"]);
    let of_compose = fs::read_to_string(repository().join("packaging/container.toml")).unwrap();
    let of_kubernetes = map["data"]["tickled.toml"].as_str().unwrap();
    tokio::join!(rehearse(image, "compose", &of_compose, &[]), rehearse(image, "kubernetes", of_kubernetes, &wait));
}

/// The simulator and the daemon in a network of their own, as containers of one pod, from before the login to after it.
async fn rehearse(image: &'static crate::container::Image, name: &str, config: &str, wait: &[String]) {
    let mut container = Container::new(image, name);
    container.is_isolated = true;
    fs::write(container.etc().join("tickled.toml"), support::by_day(config)).unwrap();
    let binary = PathBuf::from(std::env::var_os("STATIC").unwrap()).canonicalize().unwrap();
    let simulate = format!(
        "ip link set lo up; {} simulate --listen 127.0.0.1:5000 --control 127.0.0.1:5001 >/dev/null 2>&1 &",
        binary.display()
    );
    let mut daemon = Daemon::spawn(&mut container.run(&["run"], &simulate));
    daemon.hears(&[("event", "endpoint-open")], SOON).await;
    daemon.becomes("login-required", SOON * 2).await;
    let init = Init::of(daemon.pid());
    let ends = async |arguments: &[&str]| {
        timeout(SOON * 4, container.exec(&init, arguments)).await.expect("an end").status.code()
    };
    let wait: Vec<&str> = wait.iter().map(String::as_str).collect();
    assert_eq!(http(&init, 9780, "GET /livez").await, 200, "{name}: the daemon is alive before the login");
    assert_eq!(http(&init, 9780, "GET /readyz").await, 503, "{name}");
    assert_eq!(ends(&["status"]).await, Some(2), "{name}: unhealthy");
    if !wait.is_empty() {
        assert_eq!(ends(&wait).await, Some(2), "{name}: a login is needed");
    }
    assert_eq!(http(&init, 5001, "POST /login").await, 200, "{name}");
    let waited = async {
        // As Kubernetes does, it is started again until it succeeds.
        while !wait.is_empty() && ends(&wait).await != Some(0) {
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    };
    timeout(SOON * 4, waited).await.unwrap_or_else(|_| panic!("{name}: the program may not start"));
    daemon.becomes("live", SOON * 4).await;
    assert_eq!(http(&init, 9780, "GET /readyz").await, 200, "{name}");
    assert_eq!(ends(&["status"]).await, Some(0), "{name}: healthy");
    drop(init);
    daemon.ends(SOON).await;
}

/// The status of the answer to a request in the network of a process.
async fn http(Init(pid): &Init, port: u16, request: &str) -> u16 {
    let script = format!(
        "exec 3<>/dev/tcp/127.0.0.1/{port}; printf '{request} HTTP/1.1\\r\\nHost: 127.0.0.1:{port}\\r\\n\
         Content-Length: 0\\r\\nConnection: close\\r\\n\\r\\n' >&3; head -n 1 <&3"
    );
    let mut ask = Command::new("nsenter");
    ask.args([&format!("--target={pid}"), "--net", "bash", "-c", &script]).stdin(Stdio::null()).kill_on_drop(true);
    let answered = timeout(SOON, ask.output()).await.expect("an answer").unwrap();
    let line = String::from_utf8(answered.stdout).unwrap();
    line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{request}: {line}"))
}
