//! A request to the gateway, reduced to what the answer depends on.

use percent_encoding::percent_decode_str;
use serde_json::Value;

/// The method of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET.
    Get,
    /// POST.
    Post,
    /// DELETE.
    Delete,
    /// Any other; IBKR refuses it, the gateway's own answers do not care.
    Other,
}

impl Method {
    /// The method of that name; unknown names are [`Method::Other`].
    #[must_use]
    pub fn parse(name: &str) -> Method {
        if name.eq_ignore_ascii_case("GET") {
            Method::Get
        } else if name.eq_ignore_ascii_case("POST") {
            Method::Post
        } else if name.eq_ignore_ascii_case("DELETE") {
            Method::Delete
        } else {
            Method::Other
        }
    }

    /// The method as it stands in a request line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Delete => "DELETE",
            Method::Other => "OTHER",
        }
    }
}

/// Where a request goes. The paths under `/v1/portal` are the older names of those under `/v1/api`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// `/`: the gateway itself redirects to the login page, also while IBKR is away.
    Root,
    /// `/status`: a path of the gateway that never answers.
    GatewayStatus,
    /// `/iserver/reauthenticate`: answered by the gateway itself, whatever the method.
    Reauthenticate,
    /// A path the gateway does not know, also one without `/v1/api`: redirected to IBKR's host.
    Unknown(String),
    /// `/sso/Login`: IBKR's login page.
    LoginPage,
    /// `/sso/Dispatcher`: where the login page posts to.
    Dispatcher,
    /// `/tickle`: keeps the brokerage session alive and reports on it.
    Tickle,
    /// `/iserver/auth/status`: the brokerage session's flags.
    Status,
    /// `/iserver/auth/ssodh/init`: opens the brokerage session.
    Init,
    /// `/iserver/auth/ssodh/st`: asked by the gateway itself on the way to a brokerage session.
    St,
    /// `/sso/validate`: is there a login?
    Validate,
    /// `/sso/ping`: the gateway's own upkeep of the login; does nothing for the brokerage session.
    SsoPing,
    /// `/logout`: ends the brokerage session; the login stands.
    Logout,
    /// `/iserver/accounts`: the cheapest proof that data comes.
    Accounts,
    /// `/portfolio/accounts`: answers without a brokerage session.
    PortfolioAccounts,
    /// `/ws`: the websocket.
    Stream,
    /// Any other path under `/iserver`: needs a brokerage session.
    Iserver(String),
    /// Any other path that IBKR gets to see.
    Proxied(String),
}

impl Route {
    /// Where a request for `path` (without its query) goes.
    #[must_use]
    pub fn parse(path: &str) -> Route {
        let outside = FIXED.iter().find(|(_, fixed)| *fixed == path && !path.starts_with("/v1/"));
        if let Some((route, _)) = outside {
            return route.clone();
        }
        if path.starts_with("/sso/") {
            return Route::Proxied(path.to_owned());
        }
        let api = path.strip_prefix("/v1/api").or_else(|| path.strip_prefix("/v1/portal"));
        let Some(api) = api.filter(|rest| rest.starts_with('/')) else {
            return Route::Unknown(path.to_owned());
        };
        let fixed = FIXED.iter().find(|(_, path)| path.strip_prefix("/v1/api") == Some(api));
        match fixed {
            Some((route, _)) => route.clone(),
            None if api.starts_with("/iserver/") => Route::Iserver(path.to_owned()),
            None => Route::Proxied(path.to_owned()),
        }
    }

    /// The path of this route, under `/v1/api` where it has two names.
    #[must_use]
    pub fn path(&self) -> &str {
        if let Route::Unknown(path) | Route::Iserver(path) | Route::Proxied(path) = self {
            return path;
        }
        FIXED.iter().find(|(route, _)| route == self).map_or("", |(_, path)| path)
    }

    /// Whether the gateway answers this by itself, so that IBKR never hears of it.
    #[must_use]
    pub fn is_own(&self) -> bool {
        matches!(self, Route::Root | Route::GatewayStatus | Route::Reauthenticate | Route::Unknown(_))
    }
}

/// The routes of which each has one path, and that path.
const FIXED: &[(Route, &str)] = &[
    (Route::Root, "/"),
    (Route::GatewayStatus, "/status"),
    (Route::LoginPage, "/sso/Login"),
    (Route::Dispatcher, "/sso/Dispatcher"),
    (Route::Reauthenticate, "/v1/api/iserver/reauthenticate"),
    (Route::Tickle, "/v1/api/tickle"),
    (Route::Status, "/v1/api/iserver/auth/status"),
    (Route::Init, "/v1/api/iserver/auth/ssodh/init"),
    (Route::St, "/v1/api/iserver/auth/ssodh/st"),
    (Route::Validate, "/v1/api/sso/validate"),
    (Route::SsoPing, "/v1/api/sso/ping"),
    (Route::Logout, "/v1/api/logout"),
    (Route::Accounts, "/v1/api/iserver/accounts"),
    (Route::PortfolioAccounts, "/v1/api/portfolio/accounts"),
    (Route::Stream, "/v1/api/ws"),
];

/// Decodes a value of a query. An invalid code stays as it is.
pub(in crate::simulator) fn decode(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

/// One request, reduced to what the answer depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its method.
    pub method: Method,
    /// Where it goes.
    pub route: Route,
    /// It says how long its body is. IBKR answers 411 to a POST that does not.
    pub content_length: bool,
    /// It has a User-Agent that is not empty. IBKR's edge answers 403 otherwise.
    pub user_agent: bool,
    /// Its `Origin`, `Referer` or cookies do not belong together. IBKR answers 401.
    pub foreign: bool,
    /// `publish` in the body of an init is true. IBKR answers 500 otherwise.
    pub publish: bool,
    /// `compete` in the body of an init is true: take the brokerage session from another client.
    pub compete: bool,
    /// The query, without its question mark: what a trading program asks for.
    pub query: String,
    /// The body, where it is JSON.
    pub body: Value,
}

impl Call {
    /// A well-formed GET.
    #[must_use]
    pub fn get(route: Route) -> Call {
        Call {
            method: Method::Get,
            route,
            content_length: false,
            user_agent: true,
            foreign: false,
            publish: false,
            compete: false,
            query: String::new(),
            body: Value::Null,
        }
    }

    /// A well-formed POST with `{}` for a body.
    #[must_use]
    pub fn post(route: Route) -> Call {
        Call { method: Method::Post, content_length: true, ..Call::get(route) }
    }

    /// A well-formed `POST /iserver/auth/ssodh/init`.
    #[must_use]
    pub fn init(compete: bool) -> Call {
        Call { publish: true, compete, ..Call::post(Route::Init) }
    }

    /// A parameter of the query, decoded.
    #[must_use]
    pub fn param(&self, key: &str) -> Option<String> {
        let mut pairs = self.query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.find(|(name, _)| *name == key).map(|(_, value)| decode(value))
    }
}
