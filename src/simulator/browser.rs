//! What IBKR checks of a browser's requests, as seen at gateways behind a reverse proxy. Programs send none of it.

use hyper::Uri;
use hyper::header::{COOKIE, HeaderMap, HeaderName, ORIGIN, REFERER};

use super::world::{COOKIE as LOGIN_COOKIE, Call, Method, Route};

/// Whether a request's `Origin`, `Referer` or cookies make IBKR answer 401. A login must come from the page that the
/// browser shows, with the cookie of that page; a request to the API must come from the gateway's own address.
pub(super) fn is_foreign(headers: &HeaderMap, call: &Call, port: u16) -> bool {
    let [origin, referer] = [ORIGIN, REFERER].map(|name| headers.contains_key(&name).then(|| origin(headers, &name)));
    let mut cookies = cookies(headers);
    let (all, has_login) = (cookies.len(), cookies.contains(&LOGIN_COOKIE));
    cookies.sort_unstable();
    cookies.dedup();
    let is_twice = cookies.len() < all;
    let is_browser = origin.is_some() || referer.is_some() || all > 0;
    if call.route == Route::Dispatcher && call.method == Method::Post && is_browser {
        let shown = call.param("origin").map(Some);
        let is_of_page = origin.is_some() && origin == referer && (shown.is_none() || shown == origin);
        return is_twice || !has_login || !is_of_page;
    }
    let mut given = [origin, referer].into_iter().flatten();
    is_twice || (call.route.path().starts_with("/v1/") && given.any(|from| !is_own(from.as_deref(), port)))
}

/// Scheme, host and port of the address in a header; `None` if it is no address, as `null`.
fn origin(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let uri: Uri = headers.get(name)?.to_str().ok()?.parse().ok()?;
    Some(format!("{}://{}", uri.scheme_str()?, uri.authority()?))
}

fn is_own(origin: Option<&str>, port: u16) -> bool {
    let authority = origin.and_then(|origin| origin.split_once("://")).map(|(_, authority)| authority);
    let own = ["localhost", "127.0.0.1", "[::1]"].map(|host| format!("{host}:{port}"));
    authority.is_some_and(|authority| own.iter().any(|own| own == authority))
}

/// The names of the cookies.
fn cookies(headers: &HeaderMap) -> Vec<&str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';'));
    pairs.filter_map(|pair| Some(pair.split_once('=')?.0.trim())).collect()
}
