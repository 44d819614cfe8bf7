//! Where each channel goes, for whoever wants to know whether it can be reached without telling anybody anything.

use std::path::PathBuf;

use secrecy::ExposeSecret;

use super::heartbeat::check_deadman;
use super::secret::{self, SecretFile};
use super::settings::{Email, Kind, Settings, Url, Webhook};

/// Where a channel, or the dead man's switch, goes. Holds no secret: of a secret address only the host and the port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// The channel's name, or `deadman`.
    pub name: String,
    /// Where to.
    pub to: Result<Place, NoWay>,
}

/// Where a channel goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
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

/// Why it is not known where a channel goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoWay {
    /// A credential of systemd's, which only the daemon is given.
    Credential(String),
    /// What is wrong with a secret's file or what is in it. Shows nothing of the secret.
    Secret(String),
}

/// Where all channels and the dead man's switch go. Reads the files of their secrets, and sends nothing.
#[must_use]
pub fn ways(settings: &Settings) -> Vec<Way> {
    let channels = settings.channels.iter().map(|channel| {
        let to = match &channel.kind {
            Kind::Webhook(webhook) => by_web(webhook),
            Kind::Email(email) => by_mail(email),
            Kind::Command(command) => Ok(Place::Program(command.argv.first().map(PathBuf::from).unwrap_or_default())),
        };
        Way { name: channel.name.clone(), to }
    });
    let deadman = settings.deadman.iter().map(|deadman| {
        let to = read(&SecretFile::new(&deadman.url_file)).and_then(|url| {
            check_deadman(deadman).map_err(NoWay::Secret)?;
            place(&url)
        });
        Way { name: "deadman".to_owned(), to }
    });
    channels.chain(deadman).collect()
}

fn by_web(webhook: &Webhook) -> Result<Place, NoWay> {
    // A token that cannot be had is as bad as an address that cannot.
    if let Some(file) = &webhook.token_file {
        read(&SecretFile::new(file))?;
    }
    match &webhook.url {
        Url::Plain(url) => place(url),
        Url::File(file) => read(&SecretFile::new(file)).and_then(|url| place(&url)),
    }
}

fn by_mail(email: &Email) -> Result<Place, NoWay> {
    if let Some(file) = &email.password_file {
        read(&SecretFile::new(file))?;
    }
    Ok(Place::Mail { host: email.host.clone(), port: email.port })
}

fn read(file: &SecretFile) -> Result<String, NoWay> {
    match file.read() {
        Ok(secret) => Ok(secret.expose_secret().to_owned()),
        Err(secret::Error::NoCredentials(name)) => Err(NoWay::Credential(name.display().to_string())),
        Err(error @ (secret::Error::Unreadable { .. } | secret::Error::NoLine(_))) => {
            Err(NoWay::Secret(error.to_string()))
        }
    }
}

fn place(url: &str) -> Result<Place, NoWay> {
    let parts = reqwest::Url::parse(url).ok().and_then(|url| {
        let host = url.host_str()?.trim_start_matches('[').trim_end_matches(']').to_owned();
        Some((host, url.port_or_known_default()?))
    });
    match parts {
        Some((host, port)) => Ok(Place::Web { host, port }),
        None => Err(NoWay::Secret("its address is not a URL".to_owned())),
    }
}
