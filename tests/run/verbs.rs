//! `tickled check`: one line that a person understands, and an exit code that says the same.

use serde_json::Value;

use support::{Gateway, closed_port, tickled};

async fn check(url: &str, more: &[&str]) -> (Option<i32>, String) {
    let mut arguments = vec!["check", "--url", url];
    arguments.extend(more);
    let ended = tickled(&arguments).output().await.unwrap();
    (ended.status.code(), String::from_utf8(ended.stdout).unwrap() + &String::from_utf8(ended.stderr).unwrap())
}

#[tokio::test]
async fn check_says_what_a_session_is() {
    let gateway = Gateway::start().await;
    let url = gateway.url();
    let (code, said) = check(&url, &[]).await;
    assert!(code == Some(2) && said.starts_with("manual login required: not logged in"), "{code:?} {said}");

    gateway.log_in().await;
    let mut live = check(&url, &[]).await;
    for _ in 0..40 {
        if live.0 == Some(0) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        live = check(&url, &[]).await;
    }
    assert!(live.0 == Some(0) && live.1.starts_with("live: "), "{live:?}");
    let (code, said) = check(&url, &["--json"]).await;
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(code, Some(0));
    assert_eq!((&said["state"], &said["exit"], &said["url"]), (&"live".into(), &0.into(), &url.as_str().into()));

    gateway.set("lapse").await;
    let (code, said) = check(&url, &[]).await;
    assert!(code == Some(1) && said.contains("the login is still valid"), "{code:?} {said}");
    let changed = ["/v1/api/iserver/reauthenticate", "/v1/api/iserver/auth/ssodh/init", "/v1/api/logout"];
    for path in changed {
        assert_eq!(gateway.asked_for(path).await, 0, "a check changes nothing: {path}");
    }
}

#[tokio::test]
async fn check_tells_apart_what_does_not_answer() {
    let (_socket, free) = closed_port();
    let (code, said) = check(&format!("https://{free}"), &[]).await;
    assert!(code == Some(3) && said.contains("nothing listens"), "{code:?} {said}");
    let (code, said) = check("localhost:5000", &[]).await;
    assert!(code == Some(64) && said.contains("--url"), "{code:?} {said}");
    let gateway = Gateway::logged_in().await;
    let (code, said) = check(&gateway.url().replace("https:", "http:"), &[]).await;
    assert!(code == Some(2) && said.contains("https://"), "{code:?} {said}");
}
