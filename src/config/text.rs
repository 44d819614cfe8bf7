//! What a text in the file may be: a name, a web address, a secret's file, a template.

use std::path::Path;

use reqwest::Url;

use super::endpoint;
use super::fault::quoted;
use super::gateway_url::GatewayUrl;
use crate::alert::channels;
use crate::log::redact;

/// What a text means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// What the operator calls a channel or a gateway.
    Name,
    /// One line.
    Line,
    /// A service of systemd; empty is none.
    Unit,
    /// A server, without a port.
    Host,
    /// An address and a port to listen at; empty is none.
    Listen,
    /// Where a web request goes; no secret.
    WebAddress,
    /// A file that holds a secret, never the secret itself; empty is none.
    Secret,
    /// The body of a web request, with the fields of an alert in it.
    Template,
    /// A header of a web request.
    Header,
    /// A mailbox.
    Mail,
    /// Whom to tell: what that is depends on the channel.
    Receiver,
    /// One part of a command line.
    Argument,
}

impl Form {
    /// What the key takes, in words.
    pub(super) const fn takes(self) -> &'static str {
        match self {
            Self::Name => "1 to 32 of a-z, 0-9, - and _",
            Self::Line => "one line of text",
            Self::Unit => "the name of a service of systemd",
            Self::Host => "a host's name or address",
            Self::Listen => "an address and a port, or \"\" for off",
            Self::WebAddress => "http:// or https:// and what follows",
            Self::Secret => "a path from the root, or the name of a systemd credential",
            Self::Template => "a template",
            Self::Header => "\"Name: value\"",
            Self::Mail => "a mail address",
            Self::Receiver => "a receiver",
            Self::Argument => "an argument",
        }
    }

    /// What a list of them takes, in words.
    pub(super) const fn list(self) -> &'static str {
        match self {
            Self::Name => "a list of names",
            Self::Header => "a list of \"Name: value\"",
            Self::Receiver => "one receiver, or a list of them",
            Self::Argument => "a list of a program and its arguments",
            Self::Host => "a list of hosts",
            Self::Line | Self::Unit | Self::Listen | Self::WebAddress | Self::Secret | Self::Template | Self::Mail => {
                "a list of texts"
            }
        }
    }

    /// Whether one text stands for a list of one.
    pub(super) const fn may_be_alone(self) -> bool {
        matches!(self, Self::Receiver)
    }

    /// Whether a list of none says something.
    pub(super) const fn may_be_none(self) -> bool {
        matches!(self, Self::Host)
    }

    /// Whether a list may have the same twice.
    pub(super) const fn may_repeat(self) -> bool {
        matches!(self, Self::Argument)
    }

    /// What is wrong with a text, and what would be right. What may be a secret is not repeated.
    pub(super) fn check(self, text: &str) -> Result<(), (String, String)> {
        match self {
            Self::Secret | Self::Unit if text.is_empty() => Ok(()),
            Self::Unit if is_unit(text) => Ok(()),
            Self::Unit => Err((
                format!("{} is no service of systemd", quoted(text)),
                "write it as `systemctl list-units` does, like \"ibkr-gateway.service\"".to_owned(),
            )),
            Self::Listen => endpoint::listen(text).map(|_| ()),
            Self::Secret => secret(text),
            Self::Template => match channels::check_body(text) {
                None => Ok(()),
                Some(what) => Err((
                    format!("the template cannot be used: {what}"),
                    "docs/alerts.md lists the fields of an alert".to_owned(),
                )),
            },
            Self::Argument if text.contains('\0') => {
                Err((format!("{} holds a zero byte", quoted(text)), String::new()))
            }
            Self::Argument => Ok(()),
            _ if text.trim().is_empty() => Err(("it is empty".to_owned(), format!("it takes {}", self.takes()))),
            _ if text.chars().any(char::is_control) || text.len() > LONGEST => {
                Err((format!("{} is not one line of text", quoted(text)), format!("it takes {}", self.takes())))
            }
            Self::Name if is_name(text) => Ok(()),
            Self::Name => Err((
                format!("{} is no name", quoted(text)),
                "it takes 1 to 32 of a-z, 0-9, - and _, a letter or digit first".to_owned(),
            )),
            Self::Host => host(text),
            Self::WebAddress => web_address(text),
            Self::Header => header(text),
            Self::Mail => mail(text),
            Self::Line | Self::Receiver => Ok(()),
        }
    }
}

/// Whether this may be the name of a gateway or a channel.
pub(super) fn is_name(name: &str) -> bool {
    let first = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.len() <= LONGEST_NAME && name.starts_with(first) && name.chars().all(|c| first(c) || c == '-' || c == '_')
}

fn is_unit(name: &str) -> bool {
    let needs_no_confirmation = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '-' | '_' | '.' | '\\' | '@');
    let stem = name.strip_suffix(".service").unwrap_or_default();
    name.len() <= LONGEST && !stem.is_empty() && !stem.starts_with('-') && stem.chars().all(needs_no_confirmation)
}

/// Whether this is a mail address, with or without a name before it.
pub(super) fn mail(text: &str) -> Result<(), (String, String)> {
    if channels::is_mailbox(text) {
        return Ok(());
    }
    let hint = "write it like \"you@example.org\" or \"You <you@example.org>\"".to_owned();
    Err((format!("{} is no mail address", quoted(text)), hint))
}

/// Whether a host is this machine by its very name.
pub(super) fn is_here(host: &str) -> bool {
    let bare = host.trim_matches(['[', ']']);
    let host = if bare.contains(':') { format!("[{bare}]") } else { bare.to_owned() };
    format!("http://{host}:1").parse().is_ok_and(|url: GatewayUrl| url.is_loopback())
}

fn secret(text: &str) -> Result<(), (String, String)> {
    let hint = "write the secret into a file of its own with `chmod 600`, and that file's whole path here".to_owned();
    if text.starts_with('/') && !text.chars().any(char::is_control) {
        return Ok(());
    }
    let needs_no_confirmation = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let is_credential =
        text.len() <= LONGEST_NAME * 2 && text.chars().all(needs_no_confirmation) && Path::new(text).is_relative();
    if !is_credential || text.starts_with('.') {
        return Err(("this is neither a path from the root nor the name of a credential".to_owned(), hint));
    }
    if redact(text) != text {
        return Err(("this looks like the secret itself".to_owned(), hint));
    }
    Ok(())
}

fn host(text: &str) -> Result<(), (String, String)> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    if bare.parse::<std::net::IpAddr>().is_ok() {
        return Ok(());
    }
    if let Some((_, rest)) = text.split_once("://") {
        return Err((format!("{} is a URL", quoted(text)), format!("write {} alone", quoted(rest))));
    }
    if let Some((name, port)) = text.split_once(':') {
        let hint = format!("write {}, and the port as a key of its own", quoted(name));
        return Err((format!("{} has {} behind it", quoted(name), quoted(port)), hint));
    }
    let needs_no_confirmation = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if text.chars().all(needs_no_confirmation) {
        return Ok(());
    }
    Err((format!("{} is no host", quoted(text)), "write it like \"smtp.example.org\"".to_owned()))
}

fn web_address(text: &str) -> Result<(), (String, String)> {
    let to_a_file = "an address with a secret in it stands in a file of its own, which url_file names".to_owned();
    match Url::parse(text) {
        Ok(url) if !matches!(url.scheme(), "http" | "https") => {
            Err(("it begins neither with http:// nor with https://".to_owned(), EXAMPLE.to_owned()))
        }
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            Err(("it holds a user name or a password".to_owned(), to_a_file))
        }
        Ok(url) if url.fragment().is_some() => Err(("it has a # in it".to_owned(), EXAMPLE.to_owned())),
        Ok(url) if url.host_str().is_some_and(|host| SECRET_HOSTS.contains(&host)) => {
            Err(("whoever knows this address can write there, so it is a secret".to_owned(), to_a_file))
        }
        Ok(_) => Ok(()),
        Err(_) => Err(("it is no web address".to_owned(), EXAMPLE.to_owned())),
    }
}

fn header(text: &str) -> Result<(), (String, String)> {
    let example = "write it like \"X-Priority: 5\"".to_owned();
    let Some((name, value)) = text.split_once(':') else {
        return Err(("it has no colon between name and value".to_owned(), example));
    };
    let is_right = reqwest::header::HeaderName::from_bytes(name.as_bytes()).is_ok()
        && reqwest::header::HeaderValue::from_str(value.trim()).is_ok();
    if !is_right {
        return Err(("it is no header".to_owned(), example));
    }
    let folded = name.to_ascii_lowercase();
    let is_secret = SECRET_HEADERS.iter().any(|part| folded.contains(part));
    if is_secret && !value.contains(channels::TOKEN) {
        return Err((
            format!("{} is a secret, which does not stand in this file", quoted(name)),
            format!("name a file that holds it in token_file, and write \"{name}: {}\"", channels::TOKEN),
        ));
    }
    Ok(())
}

const LONGEST_NAME: usize = 32;
const LONGEST: usize = 2048;
const EXAMPLE: &str = "write it like \"https://ntfy.sh/your-topic\"";

/// Whoever knows an address there can write there.
const SECRET_HOSTS: &[&str] = &["hooks.slack.com", "discord.com", "discordapp.com", "hc-ping.com"];
/// What stands in the names of headers with a secret.
const SECRET_HEADERS: &[&str] = &["authorization", "cookie", "token", "key", "secret", "password"];
