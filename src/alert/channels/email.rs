//! The channel that sends mail: one connection a try, closed after it.

use std::error::Error;
use std::sync::Arc;

use lettre::Address;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, SinglePart};
use rustls::ClientConfig;
use secrecy::{ExposeSecret, SecretString};

use super::super::notice::{AlertPhase, Message, hash};
use super::super::outbox::{Outcome, Progress};
use super::super::secret_file::SecretFile;
use super::super::secrets::Secrets;
use super::super::settings;
use super::http::bounded_by;
use super::smtp::{Conversation, FailureKind, Limits, Server, SmtpFailure};
use crate::gateway::Trust;

#[derive(Debug)]
pub(in crate::alert) struct EmailChannel {
    settings: settings::EmailSettings,
    host: String,
    limits: Limits,
}

/// A receiver, with its number among all of them: an address must not stand in a log.
#[derive(Debug, Clone)]
struct Receiver {
    number: usize,
    of: usize,
    mailbox: Mailbox,
}

impl EmailChannel {
    pub(super) fn new(settings: &settings::EmailSettings, host: &str) -> Self {
        Self { settings: settings.clone(), host: host.to_owned(), limits: Limits::RFC_5321 }
    }

    /// Sends the mail to all receivers that are not done yet. A receiver is done when the server accepted the mail for
    /// it or refused it permanently. A receiver that the server defers does not delay the others.
    pub(super) async fn deliver(&self, message: &Message, progress: &mut Progress) -> Outcome {
        let (from, receivers) = match self.mailboxes() {
            Ok(mailboxes) => mailboxes,
            Err(why) => return Outcome::refused(format!("the mail cannot be written: {why}")),
        };
        let mut deferred = Vec::new();
        let failure = self.send(message, &from, &receivers, progress, &mut deferred).await.err();
        conclude(&receivers, progress, failure, &deferred)
    }

    fn mailboxes(&self) -> Result<(Mailbox, Vec<Receiver>), Box<dyn Error>> {
        let mut receivers = Vec::new();
        for (number, to) in (1..).zip(&self.settings.to) {
            receivers.push(Receiver { number, of: self.settings.to.len(), mailbox: mailbox(to)? });
        }
        Ok((mailbox(&self.settings.from)?, receivers))
    }

    async fn send(
        &self,
        message: &Message,
        from: &Mailbox,
        receivers: &[Receiver],
        progress: &mut Progress,
        deferred: &mut Vec<String>,
    ) -> Result<(), SmtpFailure> {
        let mut secrets = Secrets::default();
        let password = self.password(&mut secrets).await?;
        let (host, port) = (self.settings.host.as_str(), self.settings.port);
        let server = Server { host, port, tls: self.settings.tls, config: self.tls().await? };
        let mut talk = Conversation::open(&server, &self.host, self.limits, &secrets).await?;
        if let (Some(user), Some(password)) = (&self.settings.user, &password) {
            talk.log_in(user, password.expose_secret()).await?;
        }
        if !is_ascii(from) && !talk.takes_utf8() {
            return Err(SmtpFailure::refused(format!("the sender's address {NO_UTF8}")));
        }
        let mut meant: Vec<&Receiver> = receivers.iter().filter(|receiver| !receiver.is_done(progress)).collect();
        if !talk.takes_utf8() {
            for receiver in meant.extract_if(.., |receiver| !is_ascii(&receiver.mailbox)) {
                progress.refused.insert(receiver.key(), receiver.says(&format!("its address {NO_UTF8}")));
            }
        }
        let is_utf8 = !is_ascii(from) || meant.iter().any(|receiver| !is_ascii(&receiver.mailbox));
        let shown = receivers.iter().filter(|receiver| talk.takes_utf8() || is_ascii(&receiver.mailbox));
        let mail = self.write(message, from, shown);
        let mail = mail.map_err(|why| SmtpFailure::refused(format!("the mail cannot be written: {why}")))?;
        if meant.is_empty() {
            talk.close().await;
            return Ok(());
        }
        let taken = envelope(&mut talk, from, &meant, is_utf8, progress, deferred).await?;
        match taken.as_slice() {
            [] => {}
            [receiver] => text(&mut talk, &[receiver], &mail, progress).await?,
            all => {
                let sent = text(&mut talk, all, &mail, progress).await;
                // Some servers judge the receivers only now: one wrong address must not keep the mail from the others.
                let is_refused = matches!(&sent, Err(failure) if failure.kind == FailureKind::Refused);
                for receiver in all.iter().filter(|_| is_refused) {
                    talk.reset().await?;
                    if let [receiver] = *envelope(&mut talk, from, &[receiver], is_utf8, progress, deferred).await? {
                        text(&mut talk, &[receiver], &mail, progress).await?;
                    }
                }
                if !is_refused {
                    sent?;
                }
            }
        }
        talk.close().await;
        Ok(())
    }

    async fn password(&self, secrets: &mut Secrets) -> Result<Option<SecretString>, SmtpFailure> {
        let (Some(user), Some(file)) = (&self.settings.user, &self.settings.password_file) else { return Ok(None) };
        let password = SecretFile::new(file).load().await;
        let password = password.map_err(|error| SmtpFailure::lasting(error.to_string()))?;
        secrets.add_login(user, password.expose_secret());
        Ok(Some(password))
    }

    async fn tls(&self) -> Result<Option<Arc<ClientConfig>>, SmtpFailure> {
        if self.settings.tls == settings::MailTls::None {
            return Ok(None);
        }
        let trust = self.settings.ca_file.as_ref().map_or(Trust::System, |path| Trust::CaFile(path.clone()));
        let own = trust.clone();
        let config = bounded_by(&trust, move || own.config().map_err(|error| error.to_string())).await;
        config.map(|config| Some(Arc::new(config))).map_err(SmtpFailure::lasting)
    }

    /// Renders the mail.
    fn write<'a>(
        &self,
        message: &Message,
        from: &Mailbox,
        receivers: impl Iterator<Item = &'a Receiver>,
    ) -> Result<Vec<u8>, Box<dyn Error>> {
        let at = std::time::SystemTime::try_from(message.notified_at)?;
        let mut mail = lettre::Message::builder().from(from.clone()).subject(&message.title).date(at);
        for receiver in receivers {
            mail = mail.to(receiver.mailbox.clone());
        }
        // The first mail about an incident begins the thread; those that follow refer to it.
        let domain = if from.email.domain().is_ascii() { from.email.domain() } else { "tickled.invalid" };
        let thread = format!("<{}@{domain}>", hash(&format!("{} {}", message.id, message.started_at.as_second())));
        let own = format!("<{}@{domain}>", message.delivery_id());
        let is_first = message.phase == AlertPhase::Raised;
        mail = mail.message_id(Some(if is_first { thread.clone() } else { own }));
        if !is_first && message.phase != AlertPhase::Test {
            mail = mail.in_reply_to(thread.clone()).references(thread);
        }
        // Suppresses automatic replies.
        let automatic = HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned());
        let mail = mail.raw_header(automatic).singlepart(SinglePart::plain(format!("{}\n", message.text)))?;
        Ok(mail.formatted())
    }
}

/// Sends the envelope. Returns the receivers that the server accepts; refused ones are done.
async fn envelope<'a>(
    talk: &mut Conversation<'_>,
    from: &Mailbox,
    meant: &[&'a Receiver],
    is_utf8: bool,
    progress: &mut Progress,
    deferred: &mut Vec<String>,
) -> Result<Vec<&'a Receiver>, SmtpFailure> {
    talk.sender(&from.email, is_utf8).await?;
    let mut taken = Vec::new();
    for receiver in meant.iter().copied() {
        match talk.receiver(&receiver.mailbox.email).await {
            Ok(()) => taken.push(receiver),
            Err(failure) if failure.code.is_none() => return Err(failure),
            // With several receivers 552 means "too many": RFC 5321, section 4.5.3.1.10.
            Err(failure) if failure.kind == FailureKind::Refused && (failure.code != Some(552) || meant.len() == 1) => {
                progress.refused.insert(receiver.key(), receiver.says(&failure.why));
            }
            Err(failure) => deferred.push(receiver.says(&failure.why)),
        }
    }
    Ok(taken)
}

/// Sends the text to the accepted receivers. Once the server has accepted it they are done. If the server refuses it
/// for a single receiver, that one is done too.
async fn text(
    talk: &mut Conversation<'_>,
    taken: &[&Receiver],
    mail: &[u8],
    progress: &mut Progress,
) -> Result<(), SmtpFailure> {
    match (talk.text(mail).await, taken) {
        (Ok(answer), _) => {
            progress.reached.extend(taken.iter().map(|receiver| receiver.key()));
            progress.answer = Some(answer);
            Ok(())
        }
        (Err(failure), [receiver]) if failure.kind == FailureKind::Refused => {
            progress.refused.insert(receiver.key(), receiver.says(&failure.why));
            Ok(())
        }
        (Err(failure), _) => Err(failure),
    }
}

/// Combines the results of the receivers.
fn conclude(receivers: &[Receiver], progress: &Progress, failure: Option<SmtpFailure>, deferred: &[String]) -> Outcome {
    let refused = receivers.iter().filter_map(|receiver| progress.refused.get(&receiver.key()).cloned());
    let mut refused: Vec<String> = refused.collect();
    let has_reached = receivers.iter().any(|receiver| progress.reached.contains(&receiver.key()));
    let is_done = receivers.iter().all(|receiver| receiver.is_done(progress));
    let is_final = is_done || failure.as_ref().is_some_and(|failure| failure.kind == FailureKind::Refused);
    let is_lasting = failure.as_ref().is_some_and(|failure| failure.kind == FailureKind::Lasting);
    let needs_human = is_lasting || !refused.is_empty();
    if !is_done {
        refused.extend(deferred.iter().cloned().chain(failure.map(|failure| failure.why)));
    }
    let why = (!refused.is_empty()).then(|| refused.join("; "));
    match (is_final, has_reached) {
        (true, true) => Outcome::Sent { answer: progress.answer.clone().unwrap_or_default(), except: why },
        (true, false) => Outcome::refused(why.unwrap_or_default()),
        (false, _) => Outcome::TryAgain { why: why.unwrap_or_default(), after: None, needs_human },
    }
}

impl Receiver {
    fn key(&self) -> String {
        hash(&self.mailbox.email.to_string().to_lowercase())
    }

    fn is_done(&self, progress: &Progress) -> bool {
        let key = self.key();
        progress.reached.contains(&key) || progress.refused.contains_key(&key)
    }

    /// Names the receiver by its number: addresses must not appear in the log.
    fn says(&self, why: &str) -> String {
        if self.of == 1 { why.to_owned() } else { format!("receiver {} of {}: {why}", self.number, self.of) }
    }
}

/// The mailbox that a text names. A domain beyond ASCII is written as name servers have it.
fn mailbox(text: &str) -> Result<Mailbox, Box<dyn Error>> {
    let Mailbox { name, email } = text.parse()?;
    if email.domain().is_ascii() {
        return Ok(Mailbox { name, email });
    }
    let url = reqwest::Url::parse(&format!("http://{}/", email.domain()))?;
    let domain = url.host_str().ok_or("the domain of an address is none")?;
    Ok(Mailbox { name, email: Address::new(email.user(), domain)? })
}

fn is_ascii(mailbox: &Mailbox) -> bool {
    mailbox.email.user().is_ascii() && mailbox.email.domain().is_ascii()
}

/// Whether mail can go there.
#[must_use]
pub fn is_mailbox(text: &str) -> bool {
    mailbox(text).is_ok()
}

const NO_UTF8: &str = "has letters beyond ASCII before the @, which this server does not take (it offers no SMTPUTF8)";
