//! A session with a mail server. lettre implements SMTP; time limits, TLS and the classification of failures are ours.

use std::fmt::Display;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use lettre::Address;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream};
use lettre::transport::smtp::commands::{Data, Mail, Quit, Rcpt, Rset};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::super::secrets::Secrets;
use super::super::settings::MailTls;
use super::http::is_unknown_name;
use super::smtp_replies::Replies;
use crate::log::redact;
use crate::text::{error_chain, root_cause};

/// Why a step of the conversation failed.
#[derive(Debug)]
pub(super) struct SmtpFailure {
    pub(super) why: String,
    pub(super) kind: FailureKind,
    /// The code of the server's reply, if it was one.
    pub(super) code: Option<u16>,
}

impl SmtpFailure {
    fn passing(why: impl Into<String>) -> Self {
        Self { why: why.into(), kind: FailureKind::Passing, code: None }
    }

    pub(super) fn lasting(why: impl Into<String>) -> Self {
        Self { why: why.into(), kind: FailureKind::Lasting, code: None }
    }

    pub(super) fn refused(why: impl Into<String>) -> Self {
        Self { why: why.into(), kind: FailureKind::Refused, code: None }
    }
}

/// Classes of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FailureKind {
    /// It passes by itself.
    Passing,
    /// A human has to fix something; a retry does no harm.
    Lasting,
    /// The server refuses permanently.
    Refused,
}

/// An open conversation, past EHLO.
pub(super) struct Conversation<'a> {
    connection: AsyncSmtpConnection,
    limits: Limits,
    secrets: &'a Secrets,
}

/// Where the server is, and how the connection is protected.
pub(super) struct Server<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) tls: MailTls,
    pub(super) config: Option<Arc<ClientConfig>>,
}

/// How long each step may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    connect: Duration,
    greeting: Duration,
    command: Duration,
    data: Duration,
    text: Duration,
    quit: Duration,
}

impl Limits {
    /// The limits of RFC 5321, section 4.5.3.2. It has none for the connection itself.
    pub(super) const RFC_5321: Self = Self {
        connect: Duration::from_secs(30),
        greeting: Duration::from_mins(5),
        command: Duration::from_mins(5),
        data: Duration::from_mins(2),
        text: Duration::from_mins(10),
        quit: Duration::from_secs(2),
    };
}

impl<'a> Conversation<'a> {
    /// Connects and sends EHLO, with `host` or, if that is not a full name, with the address of this host.
    pub(super) async fn open(
        server: &Server<'_>,
        host: &str,
        limits: Limits,
        secrets: &'a Secrets,
    ) -> Result<Self, SmtpFailure> {
        let connected = timeout(limits.connect, TcpStream::connect((server.host, server.port))).await;
        let tcp = connected
            .map_err(|_| SmtpFailure::passing("it cannot be reached in time"))?
            .map_err(|error| unreachable(&error))?;
        let hello = hello(host, tcp.local_addr().ok());
        let stream = protect(tcp, server, &hello, limits).await?;
        let greeted = AsyncSmtpConnection::connect_with_transport(stream, &hello);
        let connection = match timeout(limits.greeting, greeted).await {
            Err(_) => return Err(SmtpFailure::passing("it accepted the connection and sends no greeting")),
            // Servers also refuse like this while they are busy or distrust an address.
            Ok(Err(error)) if error.is_permanent() => {
                return Err(SmtpFailure::lasting(words(&error, secrets)));
            }
            Ok(result) => result.map_err(|error| failure(&error, secrets))?,
        };
        Ok(Self { connection, limits, secrets })
    }

    /// Logs in. A wrong password is a permanent failure: servers lock accounts after several tries.
    pub(super) async fn log_in(&mut self, user: &str, password: &str) -> Result<(), SmtpFailure> {
        let mechanisms = [Mechanism::Plain, Mechanism::Login];
        let info = self.connection.server_info();
        if !mechanisms.iter().any(|mechanism| info.supports_auth_mechanism(*mechanism)) {
            return Err(SmtpFailure::lasting("the server offers no login (AUTH PLAIN or LOGIN)"));
        }
        let credentials = Credentials::new(user.to_owned(), password.to_owned());
        let (limit, secrets) = (self.limits.command, self.secrets);
        let answer = self.connection.auth(&mechanisms, &credentials);
        step("AUTH", limit, secrets, answer).await.map(drop)
    }

    /// Whether the server accepts non-ASCII addresses.
    pub(super) fn takes_utf8(&self) -> bool {
        self.connection.server_info().supports_feature(Extension::SmtpUtfEight)
    }

    /// Sends MAIL.
    pub(super) async fn sender(&mut self, from: &Address, is_utf8: bool) -> Result<(), SmtpFailure> {
        let is_8bit = self.connection.server_info().supports_feature(Extension::EightBitMime);
        let utf8 = is_utf8.then_some(MailParameter::SmtpUtfEight);
        let body = (is_utf8 && is_8bit).then_some(MailParameter::Body(MailBodyParameter::EightBitMime));
        let command = Mail::new(Some(from.clone()), utf8.into_iter().chain(body).collect());
        self.command("MAIL", self.limits.command, command).await
    }

    /// Sends RCPT.
    pub(super) async fn receiver(&mut self, to: &Address) -> Result<(), SmtpFailure> {
        self.command("RCPT", self.limits.command, Rcpt::new(to.clone(), Vec::new())).await
    }

    /// Sends the mail itself; returns the server's answer.
    pub(super) async fn text(&mut self, mail: &[u8]) -> Result<String, SmtpFailure> {
        self.command("DATA", self.limits.data, Data).await?;
        let (limit, secrets) = (self.limits.text, self.secrets);
        let response = step("the mail", limit, secrets, self.connection.message(mail)).await?;
        let said: Vec<&str> = response.message().collect();
        Ok(redact(&secrets.remove(&format!("{} {}", response.code(), said.join(" ")))))
    }

    /// Sends RSET.
    pub(super) async fn reset(&mut self) -> Result<(), SmtpFailure> {
        self.command("RSET", self.limits.command, Rset).await
    }

    /// Sends QUIT. The answer does not matter: the mail is delivered.
    pub(super) async fn close(mut self) {
        let limit = self.limits.quit;
        drop(timeout(limit, self.connection.command(Quit)).await);
    }

    async fn command(&mut self, name: &str, limit: Duration, command: impl Display) -> Result<(), SmtpFailure> {
        let secrets = self.secrets;
        step(name, limit, secrets, self.connection.command(command)).await.map(drop)
    }
}

async fn step<T>(
    name: &str,
    limit: Duration,
    secrets: &Secrets,
    answer: impl Future<Output = Result<T, Error>>,
) -> Result<T, SmtpFailure> {
    match timeout(limit, answer).await {
        Ok(result) => result.map_err(|error| failure(&error, secrets)),
        Err(_) => {
            Err(SmtpFailure::passing(format!("no answer to {name} within {}", crate::log::human_duration(limit))))
        }
    }
}

/// The name for EHLO: this host's full name, else its address.
fn hello(host: &str, local: Option<SocketAddr>) -> ClientId {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if host.contains('.') && host.len() <= 253 && host.split('.').all(is_label) {
        return ClientId::Domain(host.to_owned());
    }
    match local.map(|local| local.ip().to_canonical()) {
        Some(IpAddr::V4(address)) => ClientId::Ipv4(address),
        Some(IpAddr::V6(address)) => ClientId::Ipv6(address),
        None => ClientId::default(),
    }
}

async fn protect(
    tcp: TcpStream,
    server: &Server<'_>,
    hello: &ClientId,
    limits: Limits,
) -> Result<Box<dyn AsyncTokioStream>, SmtpFailure> {
    let peer = tcp.peer_addr().map_err(|error| unreachable(&error))?;
    let (MailTls::StartTls | MailTls::Tls, Some(config)) = (server.tls, &server.config) else {
        return Ok(Box::new(Replies::new(tcp, peer, b"")));
    };
    let name = ServerName::try_from(server.host.to_owned())
        .map_err(|_| SmtpFailure::refused("its name is not valid in a certificate"))?;
    let tcp = if server.tls == MailTls::StartTls {
        match timeout(limits.greeting, start_tls(tcp, hello)).await {
            Ok(started) => started?,
            Err(_) => return Err(SmtpFailure::passing("it does not answer to STARTTLS")),
        }
    } else {
        tcp
    };
    let handshake = TlsConnector::from(Arc::clone(config)).connect(name, tcp);
    let stream = match timeout(limits.connect, handshake).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(no_tls(&error)),
        Err(_) => return Err(SmtpFailure::passing("it does not finish the TLS handshake")),
    };
    // lettre waits for a greeting, and a server sends none after STARTTLS.
    let greeting: &[u8] = if server.tls == MailTls::StartTls { b"220 ready\r\n" } else { b"" };
    Ok(Box::new(Replies::new(stream, peer, greeting)))
}

/// Sends EHLO and STARTTLS on the plain connection.
async fn start_tls(tcp: TcpStream, hello: &ClientId) -> Result<TcpStream, SmtpFailure> {
    let mut stream = BufReader::new(tcp);
    expect(&mut stream, "220").await?;
    write(&mut stream, &format!("EHLO {hello}\r\n")).await?;
    let offers = expect(&mut stream, "250").await?;
    if !offers.lines().skip(1).any(|line| line.get(4..).is_some_and(|offer| offer.eq_ignore_ascii_case("STARTTLS"))) {
        return Err(SmtpFailure::lasting("the server does not offer STARTTLS, so nothing was sent"));
    }
    write(&mut stream, "STARTTLS\r\n").await?;
    expect(&mut stream, "220").await?;
    if !stream.buffer().is_empty() {
        return Err(SmtpFailure::lasting("the server sent plain text after STARTTLS, so nothing was sent"));
    }
    Ok(stream.into_inner())
}

async fn write(stream: &mut BufReader<TcpStream>, line: &str) -> Result<(), SmtpFailure> {
    stream.write_all(line.as_bytes()).await.map_err(|error| broken(&error))
}

/// Reads a whole reply, which must begin with `code`.
async fn expect(stream: &mut BufReader<TcpStream>, code: &str) -> Result<String, SmtpFailure> {
    let mut reply = String::new();
    loop {
        let begin = reply.len();
        let (mut limited, mut line) = ((&mut *stream).take(LONGEST_LINE), Vec::new());
        limited.read_until(b'\n', &mut line).await.map_err(|error| broken(&error))?;
        reply.push_str(&String::from_utf8_lossy(&line));
        let line = reply.get(begin..).unwrap_or_default();
        if !line.ends_with('\n') || reply.len() > LONGEST_REPLY {
            return Err(SmtpFailure::passing("it closed the connection, or its reply is not SMTP"));
        }
        if line.as_bytes().get(3) != Some(&b'-') {
            break;
        }
    }
    if reply.starts_with(code) {
        return Ok(reply);
    }
    let kind = if reply.starts_with('4') { FailureKind::Passing } else { FailureKind::Lasting };
    Err(SmtpFailure { why: redact(reply.trim()), kind, code: None })
}

fn broken(error: &io::Error) -> SmtpFailure {
    SmtpFailure::passing(format!("the connection broke: {}", root_cause(error)))
}

fn unreachable(error: &io::Error) -> SmtpFailure {
    let why = root_cause(error);
    let kind = if is_unknown_name(&why) { FailureKind::Lasting } else { FailureKind::Passing };
    SmtpFailure { why: format!("it cannot be reached: {why}"), kind, code: None }
}

fn no_tls(error: &io::Error) -> SmtpFailure {
    let why = root_cause(error);
    if why.contains("certificate") {
        SmtpFailure::lasting(format!("its certificate is not trusted: {why}"))
    } else if error.kind() == io::ErrorKind::InvalidData {
        SmtpFailure::lasting(format!("it does not speak TLS on this port: {why}"))
    } else {
        broken(error)
    }
}

/// Classifies an error: by RFC 5321 a 4yz reply is transient and a 5yz reply is permanent.
fn failure(error: &Error, secrets: &Secrets) -> SmtpFailure {
    let kind = if error.is_permanent() { FailureKind::Refused } else { FailureKind::Passing };
    SmtpFailure { why: words(error, secrets), kind, code: error.status().map(u16::from) }
}

fn words(error: &Error, secrets: &Secrets) -> String {
    redact(&secrets.remove(&error_chain(error)))
}

const LONGEST_LINE: u64 = 2 * 1024;
const LONGEST_REPLY: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// A server that answers each line with the next of these replies, and then falls silent.
    async fn server<T: AsRef<[u8]> + Sync>(replies: &'static [T]) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (tcp, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(tcp);
            for reply in replies.iter().map(AsRef::as_ref) {
                stream.write_all(reply).await.unwrap();
                let end: &[u8] = if reply.starts_with(b"354") { b"\n.\r\n" } else { b"\n" };
                let mut heard = Vec::new();
                while stream.read_until(b'\n', &mut heard).await.is_ok_and(|more| more > 0) && !heard.ends_with(end) {}
            }
            std::future::pending::<()>().await;
        });
        port
    }

    async fn talk(port: u16, tls: MailTls) -> Result<String, SmtpFailure> {
        let moment = Duration::from_millis(300);
        let limits =
            Limits { connect: moment, greeting: moment, command: moment, data: moment, text: moment, quit: moment };
        let config = crate::gateway::Trust::Loopback.config().ok().map(Arc::new);
        let server = Server { host: "127.0.0.1", port, tls, config };
        let secrets = Secrets::default();
        let mut talk = Conversation::open(&server, "host.example.org", limits, &secrets).await?;
        let address: Address = "you@example.org".parse().unwrap();
        talk.sender(&address, false).await?;
        talk.receiver(&address).await?;
        talk.text(b"Subject: x\r\n\r\nx\r\n").await
    }

    #[tokio::test]
    async fn each_step_has_a_limit_of_its_own() {
        for (replies, tls, why) in [
            (&[][..], MailTls::None, "sends no greeting"),
            (&["220 x\r\n"], MailTls::None, "sends no greeting"),
            (&["220 x\r\n", "250 x\r\n"], MailTls::None, "no answer to MAIL"),
            (&["220 x\r\n", "250 x\r\n", "250 x\r\n"], MailTls::None, "no answer to RCPT"),
            (&["220 x\r\n", "250 x\r\n", "250 x\r\n", "250 x\r\n"], MailTls::None, "no answer to DATA"),
            (
                &["220 x\r\n", "250 x\r\n", "250 x\r\n", "250 x\r\n", "354 x\r\n"],
                MailTls::None,
                "no answer to the mail",
            ),
            (&[], MailTls::StartTls, "does not answer to STARTTLS"),
            (&["220 x\r\n", "250-x\r\n250 STARTTLS\r\n", "220 x\r\n"], MailTls::StartTls, "TLS handshake"),
            (&[], MailTls::Tls, "TLS handshake"),
            (&["220 x\r\n"], MailTls::Tls, "does not speak TLS"),
            (&["220 x\r\n", "250 x\r\n"], MailTls::StartTls, "does not offer STARTTLS"),
            (
                &["220 x\r\n", "250-x\r\n250 STARTTLS\r\n", "220 x\r\n250 forged\r\n"],
                MailTls::StartTls,
                "plain text after STARTTLS",
            ),
        ] {
            let failure = talk(server(replies).await, tls).await.unwrap_err();
            assert!(failure.why.contains(why), "{replies:?}: {failure:?}");
            assert_ne!(failure.kind, FailureKind::Refused, "{replies:?}: {failure:?}");
        }
    }

    #[tokio::test]
    async fn a_reply_may_be_odd() {
        let replies: [&[&[u8]]; 4] = [
            &[b"220\r\n", b"250\r\n", b"250\r\n", b"250\r\n", b"354\r\n", b"250\r\n"],
            &[b"220 x\n", b"250-x\n250 SIZE\n", b"250 x\n", b"250 x\n", b"354 x\n", b"250 x\n"],
            &[
                b"220 \xe0\r\n",
                b"250-\xc3\r\n250 \xe9\r\n",
                b"250 \xe9\r\n",
                b"250 x\r\n",
                b"354 x\r\n",
                b"250 d\xe9j\xe0\r\n",
            ],
            &[
                b"220-a\r\n220-\r\n220 x\r\n",
                b"250-\r\n250 x\r\n",
                b"250 \r\n",
                b"251 x\r\n",
                b"354 \r\n",
                b"250 x\r\r\n",
            ],
        ];
        for replies in replies {
            let answer = talk(server(replies).await, MailTls::None).await;
            assert!(answer.as_ref().is_ok_and(|answer| answer.starts_with("250")), "{answer:?}");
        }
        const REFUSAL: [&[u8]; 4] = [b"220 x\r\n", b"250 x\r\n", b"250 x\r\n", b"550 refus\xe9\r\n"];
        let refused = talk(server(&REFUSAL).await, MailTls::None).await.unwrap_err();
        assert_eq!((refused.kind, refused.code), (FailureKind::Refused, Some(550)), "{refused:?}");
        const NO_OFFER: [&[u8]; 2] = [b"220 \xe9\r\n", b"250\r\n"];
        let failure = talk(server(&NO_OFFER).await, MailTls::StartTls).await.unwrap_err();
        assert!(failure.why.contains("does not offer STARTTLS"), "{failure:?}");
    }

    #[test]
    fn a_host_without_a_name_that_every_server_takes_is_named_by_its_address() {
        let local = "192.0.2.7:4000".parse().ok();
        for (host, expected) in [
            ("mail.example.org", "mail.example.org"),
            ("vm", "[192.0.2.7]"),
            ("my_box.example.org", "[192.0.2.7]"),
            ("büro.example.org", "[192.0.2.7]"),
            ("-x.example.org", "[192.0.2.7]"),
            ("a..b", "[192.0.2.7]"),
            ("", "[192.0.2.7]"),
        ] {
            assert_eq!(hello(host, local).to_string(), expected, "{host}");
        }
        assert_eq!(hello("vm", "[::1]:25".parse().ok()).to_string(), "[IPv6:::1]");
        assert_eq!(hello("vm", "[::ffff:192.0.2.7]:25".parse().ok()).to_string(), "[192.0.2.7]");
    }
}
