//! What Prometheus' own tool says of the metrics of a running daemon, of the alert rules and of the dashboard.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Host;
use crate::endpoint::{config, get, listens};
use support::{Gateway, SOON};

/// Holds `promtool` to find nothing; says so where there is none.
#[expect(clippy::print_stderr, reason = "what is skipped is said")]
fn finds_nothing(arguments: &[&str], input: &str) {
    let mut tool = Command::new("promtool");
    tool.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut child) = tool.spawn() else {
        eprintln!("skipped: there is no promtool here (of Debian's package prometheus)");
        return;
    };
    // Who does not read what it is given says so at its end.
    drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
    let ended = child.wait_with_output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert!(ended.status.success(), "promtool {arguments:?}: {said}");
    // What it would rather have otherwise it says with success.
    assert!(arguments != ["check", "metrics"] || said.is_empty(), "{said}");
}

fn in_house(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

#[tokio::test]
async fn the_metrics_of_a_running_daemon_are_as_prometheus_wants_them() {
    let gateway = Gateway::logged_in().await;
    let mut host = Host::start(&config(&gateway));
    let at = listens(&mut host.daemon).await;
    host.daemon.becomes("live", SOON).await;
    let metrics = get(at, "/metrics").await.body;
    assert!(metrics.contains("tickled_session_state{gateway=\"main\",state=\"live\"} 1\n"), "{metrics}");
    finds_nothing(&["check", "metrics"], &metrics);
}

#[test]
fn the_rules_load_and_fire_when_they_should() {
    finds_nothing(&["check", "rules", in_house("docs/tickled.rules.yml").to_str().unwrap()], "");
    finds_nothing(&["test", "rules", in_house("tests/data/tickled.rules.test.yml").to_str().unwrap()], "");
}

#[test]
fn every_question_of_the_dashboard_is_one_that_prometheus_understands() {
    let text = std::fs::read_to_string(in_house("docs/grafana.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut rules = "groups:\n  - name: dashboard\n    rules:\n".to_owned();
    let mut asked = 0;
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        let targets = panel["targets"].as_array().unwrap_or_else(|| panic!("{title} asks nothing"));
        for target in targets {
            let question = target["expr"].as_str().unwrap().replace("$gateway", "main");
            assert!(!question.contains('$'), "{title}: {question}");
            writeln!(rules, "      - record: asked:{asked}\n        expr: {}", serde_json::json!(question)).unwrap();
            asked += 1;
        }
    }
    assert!(asked >= 10, "{asked} questions");
    let file = std::env::temp_dir().join(format!("tickled-dashboard-{}.yml", std::process::id()));
    std::fs::write(&file, rules).unwrap();
    finds_nothing(&["check", "rules", file.to_str().unwrap()], "");
    std::fs::remove_file(file).unwrap();
}
