//! The channel that sends mail: one connection a try, closed after it.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use lettre::address::Envelope;
use lettre::message::Mailbox;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use secrecy::ExposeSecret;

use super::super::notice::Message;
use super::super::outbox::Outcome;
use super::super::secret::SecretFile;
use super::super::settings;
use crate::log::redact;

#[derive(Debug)]
pub(super) struct Email {
    settings: settings::Email,
    host: String,
}

type Transport = AsyncSmtpTransport<Tokio1Executor>;

impl Email {
    pub(super) fn new(settings: &settings::Email, host: &str) -> Self {
        Self { settings: settings.clone(), host: host.to_owned() }
    }

    /// Sends one mail to all receivers. If the server refuses it for good, each is tried alone: one wrong address must
    /// not keep the others untold.
    pub(super) async fn deliver(&self, message: &Message) -> Outcome {
        let (envelopes, mail) = match self.write(message) {
            Ok(written) => written,
            Err(why) => return Outcome::Refused { why: format!("the mail cannot be written: {why}") },
        };
        let transport = match self.transport().await {
            Ok(transport) => transport,
            Err(why) => return Outcome::TryAgain { why, after: None },
        };
        let (all, each) = envelopes;
        let error = match transport.send_raw(&all, &mail).await {
            Ok(response) => return sent(&response, None),
            Err(error) => error,
        };
        if !error.is_permanent() || each.len() < 2 {
            return judge(&error);
        }
        let (mut taken, mut refused) = (None, Vec::new());
        // By their numbers: an address is nothing for a log.
        for (at, envelope) in (1..).zip(&each) {
            match transport.send_raw(envelope, &mail).await {
                Ok(response) => taken = Some(response),
                Err(error) => refused.push(format!("receiver {at} of {}: {}", each.len(), chain(&error))),
            }
        }
        match taken {
            Some(response) => sent(&response, Some(refused.join("; "))),
            None => judge(&error),
        }
    }

    /// The envelope for all receivers, one for each, and the mail.
    #[expect(clippy::type_complexity, reason = "the three are used once, together")]
    fn write(&self, message: &Message) -> Result<((Envelope, Vec<Envelope>), Vec<u8>), Box<dyn Error>> {
        let from: Mailbox = self.settings.from.parse()?;
        let told_at = std::time::SystemTime::try_from(message.told_at)?;
        let mut mail = lettre::Message::builder().from(from.clone()).subject(&message.title).date(told_at);
        let mut receivers = Vec::new();
        for to in &self.settings.to {
            let to: Mailbox = to.parse()?;
            receivers.push(to.email.clone());
            mail = mail.to(to);
        }
        // All mails of one incident stand together in a mail program.
        let thread = format!("<{}/{}@{}>", message.id, message.began_at.as_second(), self.host).replace(' ', "-");
        let own = format!("<{}/{}/{}@{}>", message.id, message.told_at.as_second(), message.phase.name(), self.host);
        let mail = mail.message_id(Some(own.replace(' ', "-"))).references(thread);
        // Nobody's absence answers it.
        let automatic = HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned());
        let mail = mail.raw_header(automatic).header(ContentType::TEXT_PLAIN).body(format!("{}\n", message.text))?;
        let all = Envelope::new(Some(from.email.clone()), receivers.clone())?;
        let each: Result<Vec<Envelope>, _> =
            receivers.into_iter().map(|to| Envelope::new(Some(from.email.clone()), vec![to])).collect();
        Ok(((all, each?), mail.formatted()))
    }

    async fn transport(&self) -> Result<Transport, String> {
        let settings = &self.settings;
        let mut builder = Transport::builder_dangerous(&settings.host)
            .port(settings.port)
            .timeout(Some(WITHIN))
            .hello_name(ClientId::Domain(self.host.clone()));
        builder = match settings.tls {
            settings::Tls::None => builder.tls(Tls::None),
            settings::Tls::StartTls => builder.tls(Tls::Required(self.parameters().await?)),
            settings::Tls::Tls => builder.tls(Tls::Wrapper(self.parameters().await?)),
        };
        if let (Some(user), Some(file)) = (&settings.user, &settings.password_file) {
            let password = SecretFile::new(file).load().await.map_err(|error| error.to_string())?;
            builder = builder.credentials(Credentials::new(user.clone(), password.expose_secret().to_owned()));
        }
        Ok(builder.build())
    }

    async fn parameters(&self) -> Result<TlsParameters, String> {
        let (host, ca_file) = (self.settings.host.clone(), self.settings.ca_file.clone());
        // To read all certificates that this system trusts takes longer than the loop may stand still.
        let built = tokio::task::spawn_blocking(move || parameters(host, ca_file.as_deref())).await;
        built.map_err(|error| error.to_string())?
    }
}

fn parameters(host: String, ca_file: Option<&Path>) -> Result<TlsParameters, String> {
    let mut builder = TlsParameters::builder(host);
    if let Some(path) = ca_file {
        let pem = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        builder = builder.certificate_store(CertificateStore::None);
        builder = builder.add_root_certificate(Certificate::from_pem(&pem).map_err(|error| chain(&error))?);
    }
    builder.build_rustls().map_err(|error| format!("cannot set up TLS: {}", chain(&error)))
}

/// Whether mail can go there.
#[must_use]
pub fn is_mailbox(text: &str) -> bool {
    text.parse::<Mailbox>().is_ok()
}

fn sent(response: &lettre::transport::smtp::response::Response, except: Option<String>) -> Outcome {
    let said: Vec<&str> = response.message().collect();
    Outcome::Sent { answer: redact(&format!("{} {}", response.code(), said.join(" "))), except }
}

/// What the server's refusal means: by RFC 5321 a 4yz reply passes, a 5yz reply does not.
fn judge(error: &lettre::transport::smtp::Error) -> Outcome {
    let why = chain(error);
    if error.is_permanent() { Outcome::Refused { why } } else { Outcome::TryAgain { why, after: None } }
}

fn chain(error: &lettre::transport::smtp::Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !told.contains(&text) {
            told = format!("{told}: {text}");
        }
        cause = error.source();
    }
    redact(&told)
}

const WITHIN: Duration = Duration::from_secs(10);
