//! `tickled alert test`: a marked test by the real way, what each channel answered, and an exit code that says the
//! same.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::keep;
use support::receiver::{Authority, Receiver, Reply};
use support::{SOON, file, tickled};

const GATEWAY: &str = "[gateway.main]\nurl = \"https://localhost:5000\"\n";

async fn test(config: &str, more: &[&str]) -> (Option<i32>, String, String) {
    let path = file(&format!("{GATEWAY}{config}"));
    let mut arguments = vec!["alert", "test", "--config", path.to_str().unwrap()];
    arguments.extend(more);
    let ended = tickled(&arguments).output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (ended.status.code(), text(ended.stdout), text(ended.stderr))
}

fn webhook(name: &str, url: &str) -> String {
    format!("[[alerts.channel]]\nname = {name:?}\ntype = \"webhook\"\npreset = \"json\"\nurl = {url:?}\n")
}

#[tokio::test]
async fn each_channel_is_told_a_marked_test_and_what_it_answered_is_printed() {
    let (mut one, mut other) = (Receiver::start().await, Receiver::start().await);
    other.replies([Reply::Answer(202, "", "{\"message\": \"thank you\"}")]);
    let program = "[[alerts.channel]]\nname = \"own\"\ntype = \"command\"\n\
                   argv = [\"/bin/sh\", \"-c\", \"echo heard $TICKLED_ALERT_PHASE\"]\n";
    // Not even a channel for errors alone is spared: it is tried out.
    let errors = format!("{}min_severity = \"error\"\ncodes = [\"wrong-account\"]\n", webhook("other", &other.url()));
    let config = format!("{}{errors}{program}", webhook("one", &one.url()));
    let (code, said, complaints) = test(&config, &[]).await;
    assert_eq!(code, Some(0), "{said}{complaints}");
    assert_eq!(
        said,
        "one: delivered: it answered 200 OK, and said: taken\n\
         other: delivered: it answered 202 Accepted, and said: thank you\n\
         own: delivered: the program ended well, and said: heard test\n"
    );
    assert_eq!(complaints, "");
    for receiver in [&mut one, &mut other] {
        let (phase, code, body) = receiver.is_told(SOON).await;
        assert_eq!((phase.as_str(), code.as_str()), ("test", "test"));
        assert!(body["title"].as_str().unwrap().starts_with("TEST"), "{body}");
        assert!(body["text"].as_str().unwrap().contains("Nothing is wrong"), "{body}");
        assert!(receiver.rest().is_empty());
    }
}

#[tokio::test]
async fn a_test_as_an_alert_weighs_as_much_and_goes_where_that_alert_goes() {
    let (mut phone, mut pager) = (Receiver::start().await, Receiver::start().await);
    let ntfy = |name: &str, url: &str, rest: &str| {
        format!(
            "[[alerts.channel]]\nname = {name:?}\ntype = \"webhook\"\npreset = \"ntfy\"\nurl = {url:?}\n\
             headers = [\"Call: yes\", \"X-Team: night\"]\n{rest}"
        )
    };
    let config = ntfy("phone", &phone.url(), "") + &ntfy("pager", &pager.url(), "min_severity = \"error\"\n");
    // A plain test does not ring a telephone.
    let (code, said, _) = test(&config, &[]).await;
    assert_eq!(code, Some(0), "{said}");
    for receiver in [&mut phone, &mut pager] {
        let headers = receiver.hears(SOON).await.headers;
        assert!(headers["priority"] == "default" && headers["x-team"] == "night", "{headers:?}");
        assert!(!headers.contains_key("call"), "{headers:?}");
    }
    let (code, said, _) = test(&config, &["--as", "login-required"]).await;
    assert_eq!(code, Some(0), "{said}");
    for receiver in [&mut phone, &mut pager] {
        let asked = receiver.hears(SOON).await;
        assert!(asked.headers["priority"] == "urgent" && asked.headers["call"] == "yes", "{:?}", asked.headers);
        assert!(asked.headers["title"].starts_with("TEST: ") && asked.body.contains("Nothing is wrong"), "{asked:?}");
    }
    let (code, said, _) = test(&config, &["--as", "ready"]).await;
    assert!(code == Some(0) && said.starts_with("phone: ") && !said.contains("pager"), "{said}");
    phone.hears(SOON).await;
    let (code, said, _) = test(&ntfy("pager", &pager.url(), "min_severity = \"error\"\n"), &["--as", "ready"]).await;
    assert!(code == Some(2) && said.contains("no channel takes ready"), "{said}");
    let (code, _, complaints) = test(&config, &["--as", "login"]).await;
    assert!(code == Some(64) && complaints.contains("there is no alert \"login\""), "{complaints}");
    assert!(phone.rest().is_empty() && pager.rest().is_empty());
}

#[tokio::test]
async fn the_dead_mans_switch_is_tested_as_well() {
    let mut switch = Receiver::start().await;
    let url = keep("deadman", &format!("{}/ping/0e5b-secret?create=1\n", switch.url()));
    let config = format!("[deadman]\nurl_file = {url:?}\n");
    let (code, said, complaints) = test(&config, &[]).await;
    assert_eq!(
        (code, said.as_str()),
        (Some(0), "deadman: delivered: it answered 200 OK, and said: taken\n"),
        "{complaints}"
    );
    assert_eq!(switch.hears(SOON).await.path, "/ping/0e5b-secret?create=1");
    for (status, body) in [
        (200, "OK (not found)"),
        (200, "OK (rate limited)"),
        (200, "{\"ok\": false, \"msg\": \"Monitor not found or not active.\"}"),
        (404, "not found: 0e5b-secret"),
    ] {
        switch.replies([Reply::Answer(status, "", body)]);
        let (code, said, _) = test(&config, &["--channel", "deadman"]).await;
        assert!(code == Some(2) && said.starts_with("deadman: NOT delivered: "), "{body}: {said}");
        assert!(!said.contains("0e5b"), "{said}");
    }
}

#[tokio::test]
async fn config_check_refuses_an_address_by_which_no_failure_can_be_told() {
    for (address, fails, reason) in [
        ("https://hc-ping.com/0e5b-uuid", "", None),
        ("https://hc-ping.com/key/tickled?create=1", "", None),
        ("https://hc-ping.com/0e5b-uuid/start", "", Some("without it")),
        ("https://hc-ping.com/0e5b-uuid/start", "fails = false\n", None),
        ("https://kuma.example.org/api/push/0e5b?status=down", "", Some("write status=up")),
        ("https://nosnch.in/0e5b", "", Some("fails = false")),
        ("hc-ping.com/0e5b", "", Some("https://")),
        ("https://hc-ping.com/0e5b\nhttps://hc-ping.com/0e5c", "", Some("one line")),
    ] {
        let url = keep("deadman", &format!("{address}\n"));
        let path = file(&format!("{GATEWAY}[deadman]\nurl_file = {url:?}\n{fails}"));
        let ended = tickled(&["config", "check", path.to_str().unwrap()]).output().await.unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        match reason {
            None => assert_eq!(ended.status.code(), Some(0), "{address}: {said}"),
            Some(reason) => {
                assert_eq!(ended.status.code(), Some(78), "{address}: {said}");
                assert!(said.contains("deadman.url_file") && said.contains(reason), "{address}: {said}");
                assert!(!said.contains("0e5b"), "{said}");
            }
        }
    }
}

#[tokio::test]
async fn a_secret_is_read_from_a_regular_file_whatever_stands_around_it_and_never_waited_for() {
    let mut receiver = Receiver::start().await;
    for text in ["tk-1\n", "\u{feff}tk-1\r\n", "\"tk-1\"\n", "'tk-1'", "\n  tk-1  \n\n"] {
        let token = keep("token", text);
        let config = webhook("phone", &receiver.url()) + &format!("token_file = {token:?}\n");
        let (code, said, _) = test(&config, &[]).await;
        assert_eq!(code, Some(0), "{text:?}: {said}");
        assert_eq!(receiver.hears(SOON).await.headers["authorization"], "Bearer tk-1", "{text:?}");
    }
    let folder = crate::folder();
    let fifo = folder.join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let long = keep("long", &"x".repeat(10_000));
    for (path, reason) in [
        (fifo.clone(), "not a regular file"),
        ("/dev/zero".into(), "not a regular file"),
        (folder, "not a regular file"),
        (keep("two", "one\ntwo\n"), "not one line"),
        (keep("control", "one\u{7}two\n"), "not one line"),
        (keep("quotes", "\"\"\n"), "not one line"),
        (long, "longer than"),
    ] {
        let config = webhook("phone", &receiver.url()) + &format!("token_file = {path:?}\n");
        let (code, said, _) = test(&config, &[]).await;
        assert!(code == Some(2) && said.contains(reason), "{}: {said}", path.display());
    }
    // Certificates are read in the same way.
    let config = webhook("phone", "https://127.0.0.1:9/") + &format!("ca_file = {fifo:?}\n");
    let (code, said, complaints) = test(&config, &[]).await;
    assert!(code != Some(0) && (said + &complaints).contains("fifo"), "{code:?}");
    assert!(receiver.rest().is_empty());
}

#[tokio::test]
async fn this_host_is_not_asked_through_a_proxy() {
    let (mut receiver, mut proxy) = (Receiver::start().await, Receiver::start().await);
    let port = receiver.address.port();
    for url in [receiver.url(), format!("http://localhost:{port}"), format!("http://[::ffff:127.0.0.1]:{port}")] {
        let path = file(&format!("{GATEWAY}{}", webhook("phone", &url)));
        let mut command = tickled(&["alert", "test", "--config", path.to_str().unwrap()]);
        let ended = command.env("HTTP_PROXY", proxy.url()).env("ALL_PROXY", proxy.url()).output().await.unwrap();
        assert_eq!(ended.status.code(), Some(0), "{url}: {ended:?}");
        receiver.hears(SOON).await;
    }
    assert!(proxy.rest().is_empty());
    // Another host is, unless NO_PROXY names it.
    for (no_proxy, is_proxied) in [
        ("", true),
        ("example.com", true),
        ("sub.example.org", true),
        ("example.org", false),
        (".example.org", false),
        ("*", false),
    ] {
        let path = file(&format!("{GATEWAY}{}", webhook("phone", "http://alerts.example.org:9/")));
        let mut command = tickled(&["alert", "test", "--config", path.to_str().unwrap()]);
        let ended = command.env("HTTP_PROXY", proxy.url()).env("NO_PROXY", no_proxy).output().await.unwrap();
        assert_eq!(ended.status.code() == Some(0), is_proxied, "{no_proxy}: {ended:?}");
        assert_eq!(proxy.rest().len(), usize::from(is_proxied), "{no_proxy}");
    }
}

#[tokio::test]
async fn one_channel_alone_is_told_when_it_is_named() {
    let (mut one, mut other) = (Receiver::start().await, Receiver::start().await);
    let config = format!("{}{}", webhook("one", &one.url()), webhook("other", &other.url()));
    let (code, said, _) = test(&config, &["--channel", "other"]).await;
    assert!(code == Some(0) && said.starts_with("other: delivered: "), "{said}");
    other.hears(SOON).await;
    assert!(one.rest().is_empty());
    let (code, said, complaints) = test(&config, &["--channel", "othre"]).await;
    assert_eq!((code, said.as_str()), (Some(64), ""));
    assert!(complaints.contains("there is no channel \"othre\"") && complaints.contains("one, other"), "{complaints}");
    assert!(one.rest().is_empty() && other.rest().is_empty());
}

#[tokio::test]
async fn the_exit_code_tells_what_would_be_tried_again_from_what_would_not() {
    let receiver = Receiver::start().await;
    let config = webhook("phone", &receiver.url());
    receiver.replies([Reply::Answer(503, "", "<html><title>503 Busy</title></html>")]);
    let (code, said, _) = test(&config, &[]).await;
    assert_eq!(code, Some(1));
    assert_eq!(
        said,
        "phone: NOT delivered: it answered 503 Service Unavailable, and said: 503 Busy; an alert would be retried\n"
    );
    receiver.replies([Reply::Answer(404, "", "{\"error\": \"no such topic\"}")]);
    let (code, said, _) = test(&config, &[]).await;
    assert_eq!(code, Some(2));
    assert_eq!(
        said,
        "phone: NOT delivered: it answered 404 Not Found, and said: no such topic; an alert would be retried \
         with growing pauses until this is fixed\n"
    );
    receiver.replies([Reply::Answer(400, "", "{\"error\": \"not like this\"}")]);
    let (code, said, _) = test(&config, &[]).await;
    assert_eq!(code, Some(2));
    assert!(said.ends_with("and said: not like this; an alert would be given up at once\n"), "{said}");
    let (code, said, complaints) = test("", &[]).await;
    assert!(code == Some(2) && said.is_empty() && complaints.contains("alerts are only logged"), "{complaints}");
    let (code, _, complaints) = test("[[alerts.channel]]\n", &[]).await;
    assert!(code == Some(78) && complaints.contains("the name is missing"), "{complaints}");
}

#[tokio::test]
async fn a_secret_comes_from_its_file_and_is_in_nothing_that_is_said() {
    let mut receiver = Receiver::start().await;
    let address = keep("url", &format!("{}/hunter2\n", receiver.url()));
    let token = keep("token", "s3cret-t0ken\n");
    let config = format!(
        "[[alerts.channel]]\nname = \"own\"\ntype = \"webhook\"\nurl_file = {address:?}\ntoken_file = {token:?}\n\
         headers = [\"X-Key: key={{token}}\"]\nbody = '{{\"say\": {{{{ title | tojson }}}}}}'\n"
    );
    let (code, said, complaints) = test(&config, &[]).await;
    assert_eq!((code, complaints.as_str()), (Some(0), ""), "{said}");
    let asked = receiver.hears(SOON).await;
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/hunter2"));
    assert_eq!(asked.headers["x-key"], "key=s3cret-t0ken");
    assert!(!asked.headers.contains_key("authorization"), "the secret goes where it is wanted, and only there");
    assert!(asked.body.starts_with("{\"say\": \"TEST"), "{}", asked.body);

    // The user is warned that others may read it; and whatever goes wrong, neither the secret nor the address is
    // repeated.
    fs::set_permissions(&token, fs::Permissions::from_mode(0o644)).unwrap();
    receiver.replies([Reply::Close]);
    let (code, said, complaints) = test(&config, &[]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(complaints.contains("every user of this host may read it: `chmod o-r "), "{complaints}");
    fs::remove_file(&token).unwrap();
    let (code, absent, _) = test(&config, &[]).await;
    assert!(code == Some(2) && absent.contains("the secret in ") && absent.contains("cannot be read"), "{absent}");
    for text in [said, complaints, absent] {
        assert!(!text.contains("hunter2") && !text.contains("s3cret"), "{text}");
    }
}

#[tokio::test]
async fn a_host_that_believes_no_certificate_is_said_to_and_can_be_mended() {
    let receiver = Receiver::secured(&Authority::new()).await;
    let path = file(&format!("{GATEWAY}{}", webhook("phone", &receiver.url())));
    let mut command = tickled(&["alert", "test", "--config", path.to_str().unwrap()]);
    let ended = command.env("SSL_CERT_FILE", "/nowhere").env("SSL_CERT_DIR", "/nowhere").output().await.unwrap();
    let said = String::from_utf8(ended.stdout).unwrap();
    assert!(
        ended.status.code() == Some(2) && said.starts_with("phone: NOT delivered: ") && said.contains("ertificate"),
        "{said}"
    );
}

#[tokio::test]
async fn a_credential_is_found_in_the_folder_that_systemd_names() {
    let mut receiver = Receiver::start().await;
    let url = keep("phone-url", &receiver.url());
    let config =
        "[[alerts.channel]]\nname = \"phone\"\ntype = \"webhook\"\npreset = \"ntfy\"\nurl_file = \"phone-url\"\n";
    let path = file(&format!("{GATEWAY}{config}"));
    let arguments = ["alert", "test", "--config", path.to_str().unwrap()];
    let ended = tickled(&arguments).env("CREDENTIALS_DIRECTORY", url.parent().unwrap()).output().await.unwrap();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let asked = receiver.hears(SOON).await;
    assert_eq!(asked.headers["title"], "TEST: this alert is only a test");
    assert_eq!(asked.headers["priority"], "default");
    let ended = tickled(&arguments).env_remove("CREDENTIALS_DIRECTORY").output().await.unwrap();
    let said = String::from_utf8(ended.stdout).unwrap();
    assert!(ended.status.code() == Some(2) && said.contains("there is no credential phone-url"), "{said}");
}
