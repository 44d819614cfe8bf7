//! The login page through the Caddyfile of `docs/phone-login.md`, and what IBKR checks of a browser's requests.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::process::Child;
use tokio::time::sleep;
use tokio_rustls::TlsConnector;

use crate::client::{Answered, Running, ask, ask_on, get, start};

/// The host name of the document.
const NAME: &str = "ibkr.example.ts.net";

/// A POST with these lines in its head.
fn posted(path: &str, lines: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: {NAME}\r\nUser-Agent: test\r\nContent-Length: 2\r\n{lines}\r\n{{}}")
}

/// What a browser sends beside its login from the page at `origin`.
fn from_page(origin: &str, cookie: &str) -> String {
    format!("Origin: {origin}\r\nReferer: {origin}/sso/Login?forwardTo=22\r\n{cookie}")
}

const COOKIE: &str = "Cookie: x-sess-uuid=0.51a0\r\n";

#[tokio::test]
async fn a_browser_logs_in_from_the_page_that_it_shows_with_its_cookie_and_uses_the_api_from_there_only() {
    let running = start(true).await;
    let gateway = running.addresses.gateway;
    let page = ask(gateway, &get("/sso/Login?forwardTo=22")).await;
    assert!(page.head.contains("set-cookie: x-sess-uuid="), "{}", page.head);
    let there = "https://ibkr.example.ts.net";
    let path = "/sso/Dispatcher?origin=https%3A%2F%2Fibkr.example.ts.net";
    let twice = "Cookie: x-sess-uuid=0.51a0; x-sess-uuid=0.51a1\r\n";
    let here = format!("http://localhost:{}", gateway.port());
    for (lines, what) in [
        (from_page(&here, COOKIE), "a proxy that replaces both"),
        (format!("Referer: {there}/sso/Login\r\n{COOKIE}"), "no origin"),
        (format!("Origin: {there}\r\n{COOKIE}"), "no referer"),
        (format!("Origin: null\r\nReferer: {there}/\r\n{COOKIE}"), "no address"),
        (format!("Origin: {there}\r\nReferer: {here}/sso/Login\r\n{COOKIE}"), "a proxy that replaces one"),
        (from_page(there, ""), "no cookie"),
        (from_page(there, twice), "two cookies of one name"),
        (from_page(there, "Cookie: other=1\r\n"), "another cookie"),
    ] {
        assert_eq!(ask(gateway, &posted(path, &lines)).await.status, 401, "{what}");
    }
    assert_eq!(running.read("/world").await["truth"]["login"], false);
    assert_eq!(ask(gateway, &posted(path, &from_page(there, COOKIE))).await.body, "Client login succeeds");
    running.log_in().await;
    let status = async |lines: &str| ask(gateway, &posted("/v1/api/iserver/auth/status", lines)).await.status;
    assert_eq!(status("").await, 200, "a program");
    assert_eq!(status(&from_page(&here, COOKIE)).await, 200);
    assert_eq!(status(&format!("Origin: {there}\r\n")).await, 401);
    assert_eq!(status(&format!("Referer: {there}/\r\n")).await, 401);
    assert_eq!(status(twice).await, 401);
}

/// Caddy with the file of the document, in front of a simulated gateway.
struct Caddy {
    port: u16,
    tls: TlsConnector,
    _child: Child,
}

impl Caddy {
    /// Starts it; `None`, said why, where there is no Caddy. `CADDY` names the program and makes it mandatory.
    #[expect(clippy::print_stderr, reason = "what is skipped is said")]
    async fn start(running: &Running) -> Option<Self> {
        let named = std::env::var_os("CADDY");
        let program = named.clone().unwrap_or_else(|| "caddy".into());
        let version = Command::new(&program).arg("version").stdin(Stdio::null()).output();
        if let Err(why) = version {
            assert!(named.is_none(), "{program:?}: {why}");
            eprintln!("skipped: the Caddyfile of docs/phone-login.md needs Caddy (apt-get install caddy)");
            return None;
        }
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec![NAME.to_owned()]).unwrap().self_signed(&key).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let folder = folder();
        let (crt, keyed) = (folder.join("ibkr.crt"), folder.join("ibkr.key"));
        std::fs::write(&crt, certificate.pem()).unwrap();
        std::fs::write(&keyed, key.serialize_pem()).unwrap();
        let tls = TlsConnector::from(Arc::new(config));
        // Another program may take a free port before Caddy does.
        for _ in 0..5 {
            let port = free_port();
            let file = caddyfile(&[
                ("https://ibkr.example.ts.net {", &format!("https://{NAME}:{port} {{")),
                ("bind 100.64.0.1", "bind 127.0.0.1"),
                ("/etc/caddy/ibkr.crt", crt.to_str().unwrap()),
                ("/etc/caddy/ibkr.key", keyed.to_str().unwrap()),
                ("https://localhost:5000", &format!("https://{}", running.addresses.gateway)),
            ]);
            std::fs::write(folder.join("Caddyfile"), file).unwrap();
            let mut child = tokio::process::Command::new(&program)
                .args(["run", "--adapter", "caddyfile", "--config"])
                .arg(folder.join("Caddyfile"))
                .env("HOME", &folder)
                .env("XDG_DATA_HOME", &folder)
                .env("XDG_CONFIG_HOME", &folder)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(std::fs::File::create(folder.join("log")).unwrap())
                .kill_on_drop(true)
                .spawn()
                .unwrap();
            while child.try_wait().unwrap().is_none() {
                if TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                    return Some(Self { port, tls, _child: child });
                }
                sleep(Duration::from_millis(20)).await;
            }
        }
        panic!("Caddy does not start: {}", std::fs::read_to_string(folder.join("log")).unwrap());
    }

    /// One request on a connection of its own.
    async fn ask(&self, request: &str) -> Answered {
        let tcp = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let mut socket = self.tls.connect(ServerName::try_from(NAME).unwrap(), tcp).await.unwrap();
        ask_on(&mut socket, request).await
    }
}

/// The file of the document, with each of these parts, which stand in it once, replaced.
fn caddyfile(changes: &[(&str, &str)]) -> String {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/phone-login.md")).unwrap();
    let (_, rest) = page.split_once("## The Caddyfile").unwrap();
    let mut file = rest.split("```").nth(1).unwrap().to_owned();
    for (from, to) in changes {
        assert_eq!(file.matches(from).count(), 1, "{from} in\n{file}");
        file = file.replace(from, to);
    }
    file
}

fn folder() -> PathBuf {
    let folder = std::env::temp_dir().join(format!("tickled-caddy-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn through_the_caddyfile_of_the_document_a_phone_logs_in_and_reaches_nothing_else() {
    let running = start(false).await;
    let Some(caddy) = Caddy::start(&running).await else { return };
    let on = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: {NAME}\r\nUser-Agent: test\r\n\r\n");
    let origin = format!("https://{NAME}:{}", caddy.port);

    // From the alert's link to a live session.
    let root = caddy.ask(&on("/")).await;
    assert!(root.status == 302 && root.head.contains("location: /sso/login?"), "{}", root.head);
    let page = caddy.ask(&on("/sso/Login?forwardTo=22&RL=1&ip2loc=on")).await;
    assert!(page.status == 200 && page.body.contains("action=\"/sso/Dispatcher\""), "{}", page.body);
    assert!(page.head.contains("set-cookie: x-sess-uuid="), "{}", page.head);
    let path = format!("/sso/Dispatcher?origin={}", origin.replace(':', "%3A").replace('/', "%2F"));
    let done = caddy.ask(&posted(&path, &from_page(&origin, COOKIE))).await;
    assert_eq!(done.body, "Client login succeeds");
    while running.read("/world").await["truth"]["live"] != true {
        sleep(Duration::from_millis(20)).await;
    }

    // While the session is live, nothing but the login page goes through.
    let before = running.read("/world").await["requests"].clone();
    for path in [
        "/v1/api/tickle",
        "/v1/api/iserver/accounts",
        "/v1/api/ws",
        "/v1/api",
        "/v1/portal/portfolio/accounts",
        "/V1/API/tickle",
        "//v1/api/tickle",
        "/./v1/api/tickle",
        "/v1//api/tickle",
        "/%76%31/api/tickle",
        "/sso/../v1/api/tickle",
        "/sso/%2e%2e/v1/api/tickle",
        "/sso/..%2fv1/api/tickle",
        "/sso/%2e%2e%2fv1%2fapi/tickle",
        "/sso/x/../../v1/api/tickle",
        "/css/../v1/api/tickle",
        "/favicon.ico/../v1/api/tickle",
        "/status",
        "/logout",
        "/demo",
        "/oauth/v1",
        "/ssox/Login",
        "/sso",
    ] {
        for request in [on(path), posted(path, ""), on(&format!("{origin}{path}"))] {
            let answer = caddy.ask(&request).await;
            assert_eq!(answer.status, 403, "{request}{}", answer.body);
        }
    }
    let upgrade = on("/v1/api/ws").replace("\r\n\r\n", "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(caddy.ask(&upgrade).await.status, 403);
    // A name that is not in the file leads nowhere.
    let other = caddy.ask(&on("/sso/Login").replace(NAME, "evil.example")).await;
    assert!(!other.body.contains("Dispatcher"), "{}", other.body);
    assert_eq!(running.read("/world").await["requests"], before, "the gateway was asked");
}
