//! Where each channel sends, for checks whether it can be reached. Sends nothing.

use std::path::PathBuf;

use secrecy::ExposeSecret;

use super::heartbeat::check_deadman;
use super::secret_file::{self, SecretFile};
use super::settings::{ChannelKind, EmailSettings, Settings, Url, WebhookSettings};

/// The destination of a channel, or of the dead man's switch. Holds no secret: of a secret address only host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelDestination {
    /// The channel's name, or `deadman`.
    pub name: String,
    /// Where it sends.
    pub to: Result<Destination, UnknownDestination>,
}

/// Where a channel sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A web server.
    Web {
        /// Its name or address.
        host: String,
        /// Its port.
        port: u16,
    },
    /// A mail server.
    Mail {
        /// Its name or address.
        host: String,
        /// Its port.
        port: u16,
    },
    /// A program on this host.
    Program(PathBuf),
}

/// Why a destination is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnknownDestination {
    /// It stands in a systemd credential, which only the daemon can read.
    Credential(String),
    /// The secret's file or its content is wrong. Does not show the secret.
    Secret(String),
}

/// Returns the destinations of all channels and of the dead man's switch. Reads the files of their secrets.
#[must_use]
pub fn destinations(settings: &Settings) -> Vec<ChannelDestination> {
    let channels = settings.channels.iter().map(|channel| {
        let to = match &channel.kind {
            ChannelKind::Webhook(webhook) => of_webhook(webhook),
            ChannelKind::Email(email) => of_email(email),
            ChannelKind::Command(command) => {
                Ok(Destination::Program(command.argv.first().map(PathBuf::from).unwrap_or_default()))
            }
        };
        ChannelDestination { name: channel.name.clone(), to }
    });
    let deadman = settings.deadman.iter().map(|deadman| {
        let to = read(&SecretFile::new(&deadman.url_file)).and_then(|url| {
            check_deadman(deadman).map_err(UnknownDestination::Secret)?;
            of_url(&url)
        });
        ChannelDestination { name: "deadman".to_owned(), to }
    });
    channels.chain(deadman).collect()
}

fn of_webhook(webhook: &WebhookSettings) -> Result<Destination, UnknownDestination> {
    // A token that cannot be read is as bad as an address that cannot.
    if let Some(file) = &webhook.token_file {
        read(&SecretFile::new(file))?;
    }
    match &webhook.url {
        Url::Plain(url) => of_url(url),
        Url::File(file) => read(&SecretFile::new(file)).and_then(|url| of_url(&url)),
    }
}

fn of_email(email: &EmailSettings) -> Result<Destination, UnknownDestination> {
    if let Some(file) = &email.password_file {
        read(&SecretFile::new(file))?;
    }
    Ok(Destination::Mail { host: email.host.clone(), port: email.port })
}

fn read(file: &SecretFile) -> Result<String, UnknownDestination> {
    match file.read() {
        Ok(secret) => Ok(secret.expose_secret().to_owned()),
        Err(secret_file::Error::NoCredentials(name)) => Err(UnknownDestination::Credential(name.display().to_string())),
        Err(error @ (secret_file::Error::Unreadable { .. } | secret_file::Error::NoLine(_))) => {
            Err(UnknownDestination::Secret(error.to_string()))
        }
    }
}

fn of_url(url: &str) -> Result<Destination, UnknownDestination> {
    let parts = reqwest::Url::parse(url).ok().and_then(|url| {
        let host = url.host_str()?.trim_start_matches('[').trim_end_matches(']').to_owned();
        Some((host, url.port_or_known_default()?))
    });
    match parts {
        Some((host, port)) => Ok(Destination::Web { host, port }),
        None => Err(UnknownDestination::Secret("its address is not a URL".to_owned())),
    }
}
