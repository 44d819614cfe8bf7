//! Goes to one gateway and looks: connections, TLS, and at most seven requests that change nothing.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::{DATE, HeaderName, LOCATION, SERVER};
use reqwest::{Client, Method, redirect};
use rustls::CertificateError;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use super::answers::{seems_lapsed, seems_live, seems_logged_out};
use super::recently;
use super::seen::{Answer, Banner, Got, Port, Question, Seen, Tls};
use crate::driver::{Clock, HostClock};
use crate::gateway::certificate::{self, Certificate};
use crate::gateway::tls::PinMismatch;
use crate::gateway::{Call, Trust};

/// Looks at one gateway, as far as each answer makes the next question sensible.
pub(super) async fn look(question: &Question) -> Seen {
    let mut seen = Seen::default();
    let (host, port) = question.host_and_port();
    let addresses = match addresses(host, port).await {
        Ok(addresses) => addresses,
        Err(why) => {
            seen.addresses = Some(Err(why));
            return seen;
        }
    };
    seen.addresses = Some(Ok(addresses.iter().map(SocketAddr::ip).collect()));
    let (tcp, address) = match connect(&addresses).await {
        Ok(open) => open,
        Err(port) => {
            seen.port = Some(port);
            return seen;
        }
    };
    seen.port = Some(Port::Open);
    seen.own_address = tcp.local_addr().ok().map(|own| own.ip());
    if question.is_encrypted() {
        let tls = match (&question.target.trust, far(&question.target.trust, &addresses)) {
            (_, Some(far)) => {
                let why = format!("{host} is at {far}, which is not this host, and trust is \"loopback\"");
                Tls::Untrusted { certificate: shake_once(&Trust::Loopback, host, tcp).await.ok(), why }
            }
            (trust, _) => shake(trust, host, tcp, address).await,
        };
        let goes_on = matches!(tls, Tls::Trusted(_));
        if matches!(tls, Tls::NotSpoken(_)) {
            seen.banner = Some(banner(address, host).await);
        }
        seen.tls = Some(tls);
        if !goes_on {
            return seen;
        }
    } else {
        drop(tcp);
        match banner(address, host).await {
            Banner::Http(_) => {}
            banner @ (Banner::Other(_) | Banner::Nothing) => {
                if let Ok((tcp, address)) = connect(&addresses).await {
                    seen.tls = Some(shake(&Trust::Loopback, host, tcp, address).await);
                }
                seen.banner = Some(banner);
                return seen;
            }
        }
    }
    match Asker::new(question, &addresses) {
        Ok(asker) => ask(question, &asker, &mut seen).await,
        Err(why) => seen.tls = Some(Tls::NoTrust(why)),
    }
    seen
}

async fn ask(question: &Question, asker: &Asker, seen: &mut Seen) {
    let root = asker.get(Call::IsListening.path(), WITHIN).await;
    let answers = matches!(root, Got::Answer(_));
    seen.root = Some(root);
    if !answers {
        return;
    }
    let patience = question.target.answer_within;
    let mut status = asker.post(Call::CheckAuthStatus.path(), patience).await;
    if seems_lapsed(&status) {
        // The first answer of a fresh session is known to say so although all is well.
        sleep(BEFORE_BELIEVING).await;
        status = asker.post(Call::CheckAuthStatus.path(), patience).await;
    }
    if seems_live(&status) {
        seen.accounts = Some(asker.get(Call::Accounts.path(), patience).await);
    } else if seems_logged_out(&status) {
        seen.login_page = Some(asker.get(LOGIN_PAGE, patience).await);
    } else if seems_lapsed(&status) && question.no_validation.is_none() && recently::may_validate(question.url()) {
        seen.validation = Some(asker.get(Call::ValidateSso.path(), patience).await);
    }
    seen.status = Some(status);
}

/// Asks as the client does, and keeps the heads of the answers.
struct Asker {
    http: Client,
    url: String,
    clock: HostClock,
}

impl Asker {
    fn new(question: &Question, addresses: &[SocketAddr]) -> Result<Self, String> {
        let tls = question.target.trust.config().map_err(|error| error.to_string())?;
        let (host, _) = question.host_and_port();
        let http = Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(concat!("tickled/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .http1_only()
            .connect_timeout(WITHIN)
            .resolve_to_addrs(host, addresses)
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { http, url: question.url().to_owned(), clock: HostClock::start() })
    }

    async fn get(&self, path: &str, within: Duration) -> Got {
        self.request(self.http.request(Method::GET, format!("{}{path}", self.url)), within).await
    }

    async fn post(&self, path: &str, within: Duration) -> Got {
        // The body is never empty: a POST without a Content-Length is answered with 411.
        let request = self.http.request(Method::POST, format!("{}{path}", self.url));
        self.request(request.header("Content-Type", "application/json").body("{}"), within).await
    }

    async fn request(&self, request: reqwest::RequestBuilder, within: Duration) -> Got {
        match timeout(within, self.answer(request)).await {
            Ok(Ok(answer)) => Got::Answer(answer),
            Ok(Err(error)) if error.is_timeout() => Got::Silent,
            Ok(Err(error)) => Got::Broken(innermost(&error)),
            Err(_) => Got::Silent,
        }
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> reqwest::Result<Answer> {
        let mut response = request.send().await?;
        let header = |name: HeaderName| {
            response.headers().get(name).and_then(|value| value.to_str().ok()).map(ToOwned::to_owned)
        };
        let mut answer = Answer {
            status: response.status().as_u16(),
            location: header(LOCATION),
            server: header(SERVER),
            date: header(DATE).and_then(|date| http_date(&date)),
            came: self.clock.now().wall,
            body: Vec::new(),
        };
        while answer.body.len() < LONGEST {
            match response.chunk().await? {
                Some(chunk) => answer.body.extend_from_slice(&chunk),
                None => break,
            }
        }
        Ok(answer)
    }
}

async fn addresses(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    if host == "localhost" {
        let here = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        return Ok(here.map(|ip| SocketAddr::new(ip, port)).to_vec());
    }
    match timeout(RESOLVED_WITHIN, lookup_host((host, port))).await {
        Ok(Ok(found)) => {
            let found: Vec<SocketAddr> = found.collect();
            if found.is_empty() { Err("the name has no address".to_owned()) } else { Ok(found) }
        }
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the name service does not answer".to_owned()),
    }
}

/// The address that a trust in this host alone does not reach: any certificate would be taken from there.
fn far(trust: &Trust, addresses: &[SocketAddr]) -> Option<IpAddr> {
    match trust {
        Trust::Loopback => addresses.iter().map(SocketAddr::ip).find(|ip| !ip.to_canonical().is_loopback()),
        Trust::Pin(_) | Trust::CaFile(_) | Trust::System | Trust::Plain => None,
    }
}

async fn connect(addresses: &[SocketAddr]) -> Result<(TcpStream, SocketAddr), Port> {
    let mut worst = Port::Silent;
    for address in addresses {
        match timeout(WITHIN, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => return Ok((tcp, *address)),
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => worst = Port::Refused,
            // A family that this host does not have says nothing about the other one.
            Ok(Err(error)) if worst != Port::Refused => worst = Port::Unreachable(error.to_string()),
            Ok(Err(_)) | Err(_) => {}
        }
    }
    Err(worst)
}

async fn shake(trust: &Trust, host: &str, tcp: TcpStream, address: SocketAddr) -> Tls {
    match shake_once(trust, host, tcp).await {
        Err(Tls::Untrusted { why, .. }) => {
            // Whose certificate it is, is seen by taking any: nothing is sent on this connection.
            let shown = match timeout(WITHIN, TcpStream::connect(address)).await {
                Ok(Ok(tcp)) => shake_once(&Trust::Loopback, host, tcp).await.ok(),
                Ok(Err(_)) | Err(_) => None,
            };
            Tls::Untrusted { certificate: shown, why }
        }
        Err(other) => other,
        Ok(certificate) => Tls::Trusted(certificate),
    }
}

async fn shake_once(trust: &Trust, host: &str, tcp: TcpStream) -> Result<Certificate, Tls> {
    let config = trust.config().map_err(|error| Tls::NoTrust(error.to_string()))?;
    let name = ServerName::try_from(host.to_owned()).map_err(|error| Tls::NoTrust(error.to_string()))?;
    let connector = TlsConnector::from(Arc::new(config));
    let stream = match timeout(WITHIN, connector.connect(name, tcp)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            return Err(match tls {
                Some(rustls::Error::InvalidCertificate(why)) => Tls::Untrusted { certificate: None, why: refusal(why) },
                Some(_) | None => Tls::NotSpoken(error.to_string()),
            });
        }
        Err(_) => return Err(Tls::NotSpoken("no answer to a greeting".to_owned())),
    };
    let (_, session) = stream.get_ref();
    match session.peer_certificates().and_then(<[_]>::first) {
        Some(der) => Ok(certificate::read(der)),
        None => Err(Tls::Untrusted { certificate: None, why: "it shows no certificate".to_owned() }),
    }
}

/// Why a certificate is refused.
#[expect(clippy::wildcard_enum_match_arm, reason = "the list is the TLS library's, and grows")]
fn refusal(error: &CertificateError) -> String {
    let mismatch = match error {
        CertificateError::Other(other) => other.0.downcast_ref::<PinMismatch>().map(ToString::to_string),
        _ => None,
    };
    mismatch.unwrap_or_else(|| error.to_string())
}

/// What something says to a plain GET.
async fn banner(address: SocketAddr, host: &str) -> Banner {
    let mut said = Vec::new();
    let heard = async {
        let mut tcp = TcpStream::connect(address).await?;
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nUser-Agent: tickled\r\nConnection: close\r\n\r\n");
        tcp.write_all(request.as_bytes()).await?;
        while said.len() < LONGEST && tcp.read_buf(&mut said).await? > 0 {}
        io::Result::Ok(())
    };
    // Whatever came until then is what it says.
    drop(timeout(WITHIN, heard).await);
    read_banner(&said)
}

fn read_banner(said: &[u8]) -> Banner {
    let text = String::from_utf8_lossy(said);
    let mut lines = text.lines();
    let Some(first) = lines.next().filter(|line| !line.trim().is_empty()) else { return Banner::Nothing };
    let status = first.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1)?.parse().ok());
    let Some(status) = status else { return Banner::Other(super::door::printable(first)) };
    let mut answer = Answer { status, ..Answer::default() };
    for line in lines.by_ref().take_while(|line| !line.is_empty()) {
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = || Some(value.trim().to_owned());
        match name.to_ascii_lowercase().as_str() {
            "location" => answer.location = value(),
            "server" => answer.server = value(),
            _ => {}
        }
    }
    answer.body = lines.collect::<Vec<_>>().join("\n").into_bytes();
    // To plain HTTP on its TLS port a web server answers 400 in plain text; that is TLS all the same.
    Banner::Http(answer)
}

fn http_date(text: &str) -> Option<Timestamp> {
    DateTimeParser::new().parse_timestamp(text).ok()
}

fn innermost(error: &reqwest::Error) -> String {
    let mut last: &dyn std::error::Error = error;
    while let Some(next) = last.source() {
        last = next;
    }
    last.to_string()
}

/// Where the gateway's own answer to GET / leads a browser.
const LOGIN_PAGE: &str = "/sso/Login?forwardTo=22&RL=1";
const WITHIN: Duration = Duration::from_secs(3);
const RESOLVED_WITHIN: Duration = Duration::from_secs(5);
const BEFORE_BELIEVING: Duration = Duration::from_secs(1);
const LONGEST: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::{Banner, far, http_date, read_banner};
    use crate::gateway::Trust;

    #[test]
    fn a_trust_in_this_host_alone_does_not_leave_it() {
        let places = ["127.0.0.1:5000", "[::1]:5000", "192.0.2.1:5000"].map(|place| place.parse().unwrap());
        assert_eq!(far(&Trust::Loopback, &places[..2]), None);
        assert_eq!(far(&Trust::Loopback, &places), Some(places[2].ip()));
        assert_eq!(far(&Trust::System, &places), None);
    }

    #[test]
    fn a_banner_is_read_for_what_it_is() {
        assert_eq!(read_banner(b""), Banner::Nothing);
        assert_eq!(read_banner(b"SSH-2.0-OpenSSH_9.2\r\n"), Banner::Other("SSH-2.0-OpenSSH_9.2".to_owned()));
        let Banner::Http(answer) = read_banner(b"HTTP/1.1 403 Forbidden\r\nServer: AirTunes/870.14.1\r\n\r\nno") else {
            panic!("HTTP")
        };
        assert_eq!((answer.status, answer.server.as_deref()), (403, Some("AirTunes/870.14.1")));
        assert_eq!(answer.body, b"no");
    }

    #[test]
    fn dates_are_read_as_http_writes_them() {
        let date = http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        assert_eq!(date.to_string(), "1994-11-06T08:49:37Z");
        assert_eq!(http_date("yesterday"), None);
    }
}
