//! The answers as bytes: field names and units as IBKR writes them, every name and number in them invented.

use serde_json::{Value, json};

use super::answer::{Answer, AuthStatus, Tickle, Validate, Verdict};
use super::names::{PAPER_USER, account, user};
use super::stream::Frame;

/// An answer as it goes over the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The status.
    pub status: u16,
    /// The headers, except for those that HTTP itself needs.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// Writes the answer as IBKR or the gateway would.
    #[must_use]
    pub fn render(&self) -> Rendered {
        let status = self.status();
        let json = |body: Value| page(status, "application/json;charset=utf-8", &body.to_string());
        match self {
            Answer::Tickle(tickle) => json(tickle_body(tickle)),
            Answer::NoSession => json(json!({"error": "no session"})),
            Answer::Status(flags) => json(flags_body(*flags)),
            Answer::Validate(validate) => json(validate_body(validate)),
            Answer::SsoPing => json(json!({"result": "true"})),
            Answer::Accounts { paper } => json(accounts_body(*paper)),
            Answer::EmptyAccounts => json(json!({})),
            Answer::PortfolioAccounts { paper } => json(portfolio_body(*paper)),
            Answer::Triggered => json(json!({"message": "triggered"})),
            Answer::NotLoggedIn => json(json!({"error": "not logged in"})),
            Answer::LoggedOut => json(json!({"status": true})),
            Answer::LoginSucceeds => page(status, "text/html;charset=utf-8", "Client login succeeds"),
            Answer::LoginPage => {
                let mut page = page(status, "text/html;charset=utf-8", LOGIN_PAGE);
                page.headers.push(("Set-Cookie".to_owned(), format!("{COOKIE}=0.51a0; Path=/; HttpOnly")));
                page
            }
            Answer::LoginRedirect => redirect(LOGIN.to_owned()),
            Answer::IbkrRedirect(path) => redirect(format!("{IBKR}{path}")),
            Answer::Upgrade | Answer::Unauthorized | Answer::TooManyRequests => bare(status, ""),
            Answer::NoBridge => json(json!({"error": "Bad Request: no bridge", "statusCode": 400})),
            Answer::EdgeDenied => page(status, "text/html", EDGE_DENIED),
            Answer::AccessDenied => bare(status, "Access Denied"),
            Answer::NotFound => json(json!({"error": "Resource not found", "statusCode": 404})),
            Answer::MethodNotAllowed => page(status, "text/plain", "Method Not Allowed"),
            Answer::LengthRequired => page(status, "text/html", LENGTH_REQUIRED),
            Answer::PublishMissing => json(json!({"error": "Internal Server Error", "statusCode": 500})),
            Answer::Program { body, .. } => page(status, "application/json;charset=utf-8", &body.to_string()),
            Answer::Trouble(601) => page(status, "text/plain", "Session Expired"),
            Answer::Trouble(_) => page(status, "text/html", TROUBLE),
            Answer::Raw(raw) => {
                let mut headers = raw.headers.clone();
                if !raw.content_type.is_empty() {
                    headers.push(("Content-Type".to_owned(), raw.content_type.clone()));
                }
                Rendered { status, headers, body: raw.body.clone() }
            }
        }
    }
}

impl Frame {
    /// The JSON text of a frame; it goes out as a **binary** frame. None for the closing.
    #[must_use]
    pub fn render(&self) -> Option<String> {
        let value = match self {
            Frame::Waiting => json!({"message": "waiting for session"}),
            Frame::Ready { paper } => json!({
                "topic": "system", "success": user(*paper), "isFT": false, "isPaper": paper,
            }),
            Frame::Sts { flags, paper } => {
                let mut args = json!({
                    "authenticated": flags.authenticated,
                    "competing": flags.competing,
                    "connected": flags.connected,
                    "message": "",
                    "fail": "",
                    "username": user(*paper),
                });
                if flags.authenticated {
                    args["serverName"] = json!(SERVER_NAME);
                    args["serverVersion"] = json!(SERVER_VERSION);
                }
                json!({"topic": "sts", "args": args})
            }
            Frame::Heartbeat { at_ms } => json!({"topic": "system", "hb": at_ms}),
            Frame::Tic { at_ms } => json!({"topic": "tic", "alive": true, "lastAccessed": at_ms}),
            Frame::Act { paper } => json!({"topic": "act", "args": accounts_body(*paper)}),
            Frame::Data(value) => return Some(value.to_string()),
            Frame::Close(_) => return None,
        };
        Some(value.to_string())
    }
}

fn page(status: u16, content_type: &str, body: &str) -> Rendered {
    Rendered { headers: vec![("Content-Type".to_owned(), content_type.to_owned())], ..bare(status, body) }
}

fn bare(status: u16, body: &str) -> Rendered {
    Rendered { status, headers: Vec::new(), body: body.as_bytes().to_vec() }
}

fn redirect(location: String) -> Rendered {
    Rendered { headers: vec![("Location".to_owned(), location)], ..bare(302, "") }
}

/// Logged out, only the three flags and the MAC remain: no message, no serverInfo.
fn flags_body(flags: AuthStatus) -> Value {
    let mut body = json!({
        "authenticated": flags.authenticated,
        "competing": flags.competing,
        "connected": flags.connected,
        "MAC": MAC,
    });
    if flags.authenticated || flags.connected {
        body["message"] = json!("");
        body["fail"] = json!("");
        body["hardware_info"] = json!(HARDWARE);
        body["serverInfo"] = if flags.authenticated {
            json!({"serverName": SERVER_NAME, "serverVersion": SERVER_VERSION})
        } else {
            Value::Null
        };
        if let Some(established) = flags.established {
            body["established"] = json!(established);
        }
    }
    body
}

fn tickle_body(tickle: &Tickle) -> Value {
    json!({
        "session": tickle.session.to_string(),
        "ssoExpires": tickle.sso_expires_ms,
        "collission": false,
        "userId": USER_ID,
        "hmds": {"error": "no bridge"},
        "iserver": {"authStatus": flags_body(tickle.status)},
    })
}

fn validate_body(validate: &Validate) -> Value {
    let result = match validate.result {
        Verdict::True => json!(true),
        Verdict::False => json!(false),
        Verdict::Zero => json!(0),
    };
    let client_app = if validate.borrowed { json!(FOREIGN_APP) } else { Value::Null };
    json!({
        "USER_ID": USER_ID,
        "USER_NAME": user(validate.paper),
        "RESULT": result,
        "AUTH_TIME": validate.auth_time_ms,
        "SF_ENABLED": false,
        "IS_FREE_TRIAL": false,
        "CREDENTIAL": user(validate.paper),
        "IP": "192.0.2.1",
        "EXPIRES": validate.expires_ms,
        "QUALIFIED_FOR_MOBILE_AUTH": null,
        "LANDING_APP": "UNIVERSAL",
        "IS_MASTER": false,
        "lastAccessed": validate.last_accessed_ms,
        "LOGIN_TYPE": if validate.paper { 2 } else { 1 },
        "PAPER_USER_NAME": PAPER_USER,
        "features": {
            "env": "PROD", "wlms": true, "realtime": true, "bond": true,
            "optionChains": true, "calendar": true, "newMf": true,
        },
        "region": "NJ",
        "CLIENT_APP": client_app,
        "HARDWARE_INFO": HARDWARE,
    })
}

fn accounts_body(paper: bool) -> Value {
    let account = account(paper);
    json!({
        "accounts": [account],
        "acctProps": {account: {"hasChildAccounts": false, "supportsCashQty": true, "supportsFractions": true}},
        "aliases": {account: account},
        "allowFeatures": {"showGFIS": true, "allowFXConv": true, "allowCrypto": false},
        "chartPeriods": {"STK": ["*"]},
        "groups": [],
        "profiles": [],
        "selectedAccount": account,
        "serverInfo": {"serverName": SERVER_NAME, "serverVersion": SERVER_VERSION},
        "sessionId": "51a0.65e0",
        "isFT": false,
        "isPaper": paper,
    })
}

fn portfolio_body(paper: bool) -> Value {
    let account = account(paper);
    json!([{"id": account, "accountId": account, "currency": "USD", "type": if paper { "DEMO" } else { "INDIVIDUAL" }}])
}

const LOGIN: &str = "/sso/Login?forwardTo=22&RL=1&ip2loc=on";
/// Not IBKR's real host: a client that follows redirects must not end up there from a simulator.
const IBKR: &str = "https://api.ibkr.invalid";
const LOGIN_PAGE: &str = include_str!("../login.html");
/// The cookie of the login page.
pub(in crate::simulator) const COOKIE: &str = "x-sess-uuid";
const EDGE_DENIED: &str = "<HTML><HEAD>\n<TITLE>Access Denied</TITLE>\n</HEAD><BODY>\n<H1>Access Denied</H1>\n \
    You don't have permission to access this resource on this server.<P>\nReference&#32;&#35;18&#46;0&#46;0&#46;0\n\
    </BODY>\n</HTML>\n";
const LENGTH_REQUIRED: &str =
    "<html><head><title>411 Length Required</title></head><body>Length Required</body></html>";
const TROUBLE: &str =
    "<html><head><title>Error</title></head><body><h1>The service is not available.</h1></body></html>";
const MAC: &str = "02:00:00:00:00:01";
const HARDWARE: &str = "51a051a0|02:00:00:00:00:01";
const FOREIGN_APP: &str = "IBKRMOBILE_SIMULATED";
const SERVER_NAME: &str = "JisfN0000";
const SERVER_VERSION: &str = "Build 10.0.0z, Jan 1, 2020 0:00:00 AM";
const USER_ID: u32 = 100_000_001;
