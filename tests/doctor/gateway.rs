//! A gateway in each of its faults. The cases are named after the states that no call of ours can mend, and after what
//! people suffer from on their first day.

use crate::visit::{Visit, file, folder, two_lines};
use support::Gateway;

/// What a doctor may ask of a gateway, and no more.
const READS: [&str; 6] = [
    "GET /",
    "POST /v1/api/iserver/auth/status",
    "GET /v1/api/iserver/accounts",
    "GET /v1/api/sso/validate",
    "GET /sso/Login",
    "GET /v1/api/ws",
];

async fn asked_little(gateway: &Gateway) {
    let asked = gateway.asked_lines().await;
    let asked: Vec<&String> = asked.iter().filter(|line| !line.ends_with("/sso/Dispatcher")).collect();
    assert!((1..=7).contains(&asked.len()), "{asked:?}");
    assert!(asked.iter().all(|line| READS.contains(&line.as_str())), "{asked:?}");
}

#[tokio::test]
async fn a_live_gateway_is_well() {
    let gateway = Gateway::quick_logged_in().await;
    let visit = Visit::at(&gateway.url()).await;
    visit.is_well();
    assert!(visit.of("session")["found"].as_str().unwrap().starts_with("live"));
    assert!(visit.of("tls")["found"].as_str().unwrap().contains("expired on 2019-05-11"));
    assert!(visit.of("clock")["found"].as_str().unwrap().starts_with("within 30 s"));
    for check in
        ["config", "name", "port", "tls", "gateway", "ip-list", "edge", "ibkr", "login", "session", "account", "clock"]
    {
        assert_eq!(visit.of(check)["verdict"], "good", "{check}");
    }
    asked_little(&gateway).await;
    // Well it is afterwards too.
    assert_eq!(gateway.read("world").await["truth"]["live"], true);
}

#[tokio::test]
async fn sso_expired_is_a_login() {
    let gateway = Gateway::quick_logged_in().await;
    gateway.set("expire-login").await;
    let visit = Visit::at(&gateway.url()).await;
    visit.is_first("SSO expired", "login", 2, &["not logged in", &gateway.url(), "ssh -L ", "locked the user"]);
    asked_little(&gateway).await;
}

#[tokio::test]
async fn a_borrowed_session_is_named_with_its_cure() {
    let gateway = Gateway::quick_logged_in().await;
    gateway.set("borrow").await;
    let visit = Visit::at(&gateway.url()).await;
    visit.is_first(
        "borrowed session",
        "login",
        2,
        &["another application", "log out, not swipe away", "stop", "restart the gateway"],
    );
    asked_little(&gateway).await;
}

/// From outside both look like a login that never was, so both cures are named with it.
#[tokio::test]
async fn a_hidden_confirmation_and_an_account_that_is_not_enabled_name_both_cures() {
    for (case, why) in
        [("hidden identity confirmation", "unconfirmed"), ("account not enabled for the API", "not-enabled")]
    {
        let gateway = Gateway::quick().await;
        gateway.set(&format!("refuse-logins?why={why}")).await;
        gateway.log_in().await;
        let visit = Visit::at(&gateway.url()).await;
        let words = ["Client login succeeds", "IBKR's website", "enable the account for the API"];
        visit.is_first(case, "login", 2, &words);
        asked_little(&gateway).await;
    }
}

#[tokio::test]
async fn ibkr_in_trouble_is_no_login() {
    for (case, command, words) in [
        ("503", "failing?status=503&after=0s", "status 503"),
        ("silence", "away", "a request to IBKR had no answer within 2s; a websocket got no message either"),
        ("maintenance", "failing?status=500&after=0s", "status 500"),
    ] {
        let gateway = Gateway::quick_logged_in().await;
        gateway.set(command).await;
        let visit = Visit::at(&gateway.url()).await;
        visit.is_first(case, "ibkr", 1, &[words, "status page", "Do not restart the gateway"]);
        assert_eq!(visit.of("login")["verdict"], "not-asked", "{case}");
        asked_little(&gateway).await;
    }
}

/// Whether the connections of the gateway are taken cannot be known: a websocket that is answered while a request is
/// not says it, and what was tried is reported.
#[tokio::test]
async fn a_wedged_gateway_is_told_from_a_silent_ibkr_by_a_websocket() {
    let gateway = Gateway::quick_logged_in().await;
    gateway.wedge().await;
    let visit = Visit::at(&gateway.url()).await;
    let tried =
        "answers GET / by itself, and a request to IBKR had no answer within 2s, while IBKR answers a websocket";
    visit.is_first("wedged", "ibkr", 2, &["the gateway is wedged", tried, "restart the gateway, which costs a login"]);
    assert_eq!(visit.of("login")["verdict"], "not-asked");
}

/// A host without a network is distinguished from a silent IBKR by a handshake with IBKR's API host.
#[tokio::test]
async fn a_host_without_a_way_to_ibkr_is_told() {
    let gateway = Gateway::quick_logged_in().await;
    gateway.set("away").await;
    let config = two_lines(&gateway.url()).replace("host = \"\"", "host = \"no-such-host.invalid\"");
    let visit = Visit::with(&config).await;
    visit.is_first("no network", "ibkr", 1, &["this host cannot reach IBKR", "does not resolve", "DNS"]);
}

#[tokio::test]
async fn the_local_ip_list_is_named_with_the_line_to_add() {
    let gateway = Gateway::quick_logged_in().await;
    gateway.set("deny").await;
    let visit = Visit::at(&gateway.url()).await;
    let words = ["404", "conf.yaml", "    - 127.0.0.1", "ips: allow:", "172.*"];
    visit.is_first("local IP list; Access Denied; Docker networks", "ip-list", 2, &words);
    assert_eq!(visit.of("gateway")["verdict"], "good");
    assert_eq!(visit.of("login")["verdict"], "not-asked");
}

#[tokio::test]
async fn an_edge_that_refuses_the_host_is_neither_the_ip_list_nor_a_login() {
    const AKAMAI: &str = "<HTML><HEAD><TITLE>Access Denied</TITLE></HEAD><BODY>Reference #18.5e</BODY></HTML>";
    let everywhere = Gateway::quick_logged_in().await;
    everywhere.set_with("answer?path=/v1/api/*&status=403&type=text/html&times=always", AKAMAI).await;
    let visit = Visit::at(&everywhere.url()).await;
    visit.is_first("datacentre IP blocked: Akamai", "edge", 2, &["403", "data centres", "another address"]);

    // Only the login page shows it: the rest looks as if no user were logged in.
    let at_login = Gateway::quick().await;
    at_login.set_with("answer?path=/sso/Login&status=403&type=text/html&times=always", AKAMAI).await;
    let visit = Visit::at(&at_login.url()).await;
    visit.is_first("datacentre IP blocked: login page", "edge", 2, &["403", "another address"]);
}

#[tokio::test]
async fn a_human_who_trades_elsewhere_is_left_alone() {
    for shows in ["taken", "both"] {
        let gateway = Gateway::quick_logged_in().await;
        gateway.set(&format!("compete?shows={shows}")).await;
        let visit = Visit::at(&gateway.url()).await;
        visit.is_first(
            "human is trading elsewhere",
            "session",
            1,
            &["in use elsewhere", "second user name", "take-over"],
        );
        asked_little(&gateway).await;
        assert_eq!(gateway.read("world").await["truth"]["evictions"], 0);
    }
}

#[tokio::test]
async fn a_lapse_is_told_from_a_lost_login() {
    let gateway = Gateway::quick_logged_in().await;
    gateway.set("lapse").await;
    let visit = Visit::at(&gateway.url()).await;
    visit.is_first("lapse", "session", 1, &["the login is still valid", "tickled run"]);
    assert_eq!(visit.of("login")["verdict"], "good");
    asked_little(&gateway).await;
}

#[tokio::test]
async fn the_login_is_not_asked_about_twice_in_a_minute() {
    let gateway = Gateway::quick_logged_in().await;
    gateway.set("lapse").await;
    gateway.set("pacing").await;
    let config = file(&two_lines(&gateway.url()));
    let own = folder();
    for (visit, login) in [(1, "good"), (2, "not-asked")] {
        let seen = Visit::by(&[], &config, |command| {
            command.env("XDG_RUNTIME_DIR", &own);
        })
        .await;
        seen.is_first("lapse", "session", 1, &["lapsed"]);
        assert_eq!(seen.of("login")["verdict"], login, "visit {visit}");
    }
    let asked = gateway.asked_lines().await;
    assert_eq!(asked.iter().filter(|line| line.contains("validate")).count(), 1, "{asked:?}");
}

#[tokio::test]
async fn a_session_that_is_not_ready_is_told_from_one_that_is_gone() {
    let gateway = Gateway::quick_logged_in().await;
    gateway.set("established?is=never").await;
    Visit::at(&gateway.url()).await.is_first("not established", "session", 1, &["not loaded yet"]);
    let empty = Gateway::quick_logged_in().await;
    empty.set_with("answer?path=/v1/api/iserver/accounts&times=always", "{}").await;
    Visit::at(&empty.url()).await.is_first("no data", "session", 1, &["account data does not arrive"]);
}

#[tokio::test]
async fn one_false_status_of_a_fresh_session_is_not_believed() {
    let gateway = Gateway::quick_logged_in().await;
    gateway.set("status-false?times=1").await;
    Visit::at(&gateway.url()).await.is_well();
}

#[tokio::test]
async fn too_many_requests_ask_for_silence() {
    let gateway = Gateway::quick_logged_in().await;
    gateway.set("answer?path=/v1/api/*&status=429&times=always").await;
    let visit = Visit::at(&gateway.url()).await;
    visit.is_first("429", "ibkr", 1, &["too many requests", "15 minutes"]);
    asked_little(&gateway).await;
}

#[tokio::test]
async fn the_wrong_kind_of_account_is_named() {
    let gateway = Gateway::quick_logged_in().await;
    let config = |account: &str| format!("{}account = \"{account}\"\n", two_lines(&gateway.url()));
    let visit = Visit::with(&config("live")).await;
    visit.is_first("paper beside live", "account", 2, &["for a paper account", "a live account is configured"]);
    let visit = Visit::with(&config("paper")).await;
    visit.is_well();
    assert!(visit.of("account")["found"].as_str().unwrap().contains("as configured"));
}

#[tokio::test]
async fn a_clock_that_is_off_is_told_by_the_date_of_the_answers() {
    let gateway = Gateway::quick_logged_in().await;
    let body = r#"{"authenticated":true,"connected":true,"competing":false}"#;
    let date = "header=Date:Sun,%2006%20Nov%201994%2008:49:37%20GMT";
    gateway.set_with(&format!("answer?path=/v1/api/iserver/auth/status&times=always&{date}"), body).await;
    let visit = Visit::at(&gateway.url()).await;
    assert_eq!(visit.code, Some(0), "{:#}", visit.report);
    let clock = visit.of("clock");
    assert_eq!(clock["verdict"], "warning", "{clock}");
    assert!(
        clock["found"].as_str().unwrap().contains("ahead") && clock["remedy"].as_str().unwrap().contains("set-ntp")
    );
}

#[tokio::test]
async fn several_gateways_are_looked_at_side_by_side_and_the_worst_gives_the_code() {
    let (live, lapsed, away) =
        tokio::join!(Gateway::quick_logged_in(), Gateway::quick_logged_in(), Gateway::quick_logged_in());
    lapsed.set("lapse").await;
    away.set("deny").await;
    let config = format!(
        "[gateway.one]\nurl = \"{}\"\n[gateway.two]\nurl = \"{}\"\n[gateway.three]\nurl = \"{}\"\n",
        live.url(),
        lapsed.url(),
        away.url()
    );
    let visit = Visit::with(&config).await;
    visit.is_first("several", "ip-list", 2, &["Access Denied"]);
    assert_eq!(visit.findings()[0]["about"], "three");
    assert_eq!((&visit.findings()[1]["about"], &visit.findings()[1]["check"]), (&"two".into(), &"session".into()));
}
