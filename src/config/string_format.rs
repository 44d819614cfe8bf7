//! Strings in the file with a meaning: names, paths, URLs, mail addresses, templates.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use reqwest::Url;

use super::diagnostic::{InvalidText, quoted};
use super::keyword::nearest;
use super::time::{ANY_TIME, parse_date, parse_time, parse_zone, time_text};
use super::value::Text;
use crate::alert::channels;
use crate::alert::settings::Exempt;
use crate::gateway::Fingerprint;
use crate::gateway::{GatewayUrl, InvalidUrl};
use crate::log::redact;

/// A format of strings that are kept as they are.
const fn string(takes: fn() -> String, parse: fn(&str) -> Result<String, InvalidText>) -> Text<String> {
    Text { takes, expects: A_STRING, parse, text: String::clone }
}

/// The name of a channel or a gateway.
pub(super) const NAME: Text<String> = string(|| "1 to 32 of a-z, 0-9, - and _".to_owned(), name);
/// One line.
pub(super) const LINE: Text<String> = string(|| A_LINE.to_owned(), |text| line(text, A_LINE));
/// A systemd service.
pub(super) const UNIT: Text<String> = string(|| "the name of a systemd service".to_owned(), unit);
/// A host, without a port.
pub(super) const HOST: Text<String> = string(|| A_HOST.to_owned(), host);
/// A host that is connected to, and its port if that is not 443.
pub(super) const API_HOST: Text<String> = string(|| A_HOST.to_owned(), api_host);
/// The URL of a web request, which is no secret.
pub(super) const WEB_ADDRESS: Text<String> = string(|| "http:// or https:// and what follows".to_owned(), web_address);
/// The body of a web request, with the fields of an alert in it.
pub(super) const TEMPLATE: Text<String> = string(|| "a template".to_owned(), template);
/// A header of a web request.
pub(super) const HEADER: Text<String> = string(|| A_HEADER.to_owned(), header);
/// A mail address.
pub(super) const MAIL: Text<String> =
    string(|| A_MAIL.to_owned(), |text| line(text, A_MAIL).and_then(|text| mail(&text)));
/// A recipient. Its format depends on the channel.
pub(super) const RECIPIENT: Text<String> = string(|| "a recipient".to_owned(), |text| line(text, "a recipient"));
/// One part of a command line.
pub(super) const ARGUMENT: Text<String> = string(|| "an argument".to_owned(), argument);

/// The URL of a gateway.
pub(super) const GATEWAY_URL: Text<GatewayUrl> = Text {
    takes: || "http:// or https://, a host, a port".to_owned(),
    expects: "a URL in quotes",
    parse: |text| text.parse().map_err(|InvalidUrl { what, hint }| (what, hint)),
    text: GatewayUrl::to_string,
};

/// The SHA-256 fingerprint of a certificate.
pub(super) const FINGERPRINT: Text<Fingerprint> = Text {
    takes: || "a SHA-256 fingerprint".to_owned(),
    expects: A_STRING,
    parse: |text| {
        let hint = "write what `openssl x509 -noout -fingerprint -sha256` prints after the =";
        text.parse().map_err(|error| (format!("{}: {error}", quoted(text)), hint.to_owned()))
    },
    text: Fingerprint::to_string,
};

/// A time of day, to the minute.
pub(super) const TIME_OF_DAY: Text<Time> = Text {
    takes: || ANY_TIME.to_owned(),
    expects: "a time of day in quotes, like \"23:45\"",
    parse: parse_time,
    text: |time| time_text(*time),
};

/// A day.
pub(super) const DATE: Text<Date> = Text {
    takes: || "a date".to_owned(),
    expects: "a date in quotes, like \"2026-12-25\"",
    parse: parse_date,
    text: Date::to_string,
};

/// Alerts that are not held back: a severity or a code.
pub(super) const EXEMPTION: Text<Exempt> = Text {
    takes: || "a severity or the code of an alert".to_owned(),
    expects: "a word in quotes",
    parse: exemption,
    text: |exempt| exempt.name().to_owned(),
};

/// The IANA name of a time zone.
pub(super) const ZONE: Text<TimeZone> = Text {
    takes: || "an IANA time zone".to_owned(),
    expects: "a time zone in quotes, like \"America/New_York\"",
    parse: parse_zone,
    text: |zone| zone.iana_name().unwrap_or("UTC").to_owned(),
};

/// A file.
pub(super) const PATH: Text<PathBuf> = Text {
    takes: || "an absolute path".to_owned(),
    expects: "a path in quotes",
    parse: absolute_path,
    text: |path| path.display().to_string(),
};

/// A file that holds a secret, never the secret itself.
pub(super) const SECRET_FILE: Text<PathBuf> = Text {
    takes: || "an absolute path, or the name of a systemd credential".to_owned(),
    expects: A_STRING,
    parse: secret_file,
    text: |path| path.display().to_string(),
};

/// An address and a port to listen on. A port alone means this machine only.
pub(super) const LISTEN: Text<SocketAddr> = Text {
    takes: || "an address and a port".to_owned(),
    expects: A_STRING,
    parse: listen,
    text: SocketAddr::to_string,
};

/// Whether a text may be the name of a gateway or a channel.
pub(super) fn is_name(name: &str) -> bool {
    let is_first = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.len() <= LONGEST_NAME
        && name.starts_with(is_first)
        && name.chars().all(|c| is_first(c) || c == '-' || c == '_')
}

/// Checks a mail address, with or without a name before it.
pub(super) fn mail(text: &str) -> Result<String, InvalidText> {
    if channels::is_mailbox(text) {
        return Ok(text.to_owned());
    }
    let hint = "write it like \"you@example.org\" or \"You <you@example.org>\"".to_owned();
    Err((format!("{} is not a mail address", quoted(text)), hint))
}

/// Whether a host is this machine by its own text.
pub(super) fn is_loopback(host: &str) -> bool {
    let bare = host.trim_matches(['[', ']']);
    let host = if bare.contains(':') { format!("[{bare}]") } else { bare.to_owned() };
    format!("http://{host}:1").parse().is_ok_and(|url: GatewayUrl| url.is_loopback())
}

fn line(text: &str, takes: &str) -> Result<String, InvalidText> {
    let hint = || format!("it takes {takes}");
    if text.trim().is_empty() {
        return Err(("it is empty".to_owned(), hint()));
    }
    if text.chars().any(char::is_control) || text.len() > LONGEST {
        return Err((format!("{} is not one line of text", quoted(text)), hint()));
    }
    Ok(text.to_owned())
}

fn name(text: &str) -> Result<String, InvalidText> {
    let text = line(text, &(NAME.takes)())?;
    if is_name(&text) {
        return Ok(text);
    }
    Err((format!("{} is not a valid name", quoted(&text)), NAME_RULE.to_owned()))
}

fn unit(name: &str) -> Result<String, InvalidText> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '-' | '_' | '.' | '\\' | '@');
    let stem = name.strip_suffix(".service").unwrap_or_default();
    if name.len() <= LONGEST && !stem.is_empty() && !stem.starts_with('-') && stem.chars().all(is_plain) {
        return Ok(name.to_owned());
    }
    let hint = "write it as `systemctl list-units` does, like \"ibkr-gateway.service\"".to_owned();
    Err((format!("{} is not a systemd service", quoted(name)), hint))
}

fn absolute_path(text: &str) -> Result<PathBuf, InvalidText> {
    if text.starts_with('/') {
        return Ok(text.into());
    }
    let hint = "write the whole path, like \"/etc/tickled/ca.pem\"".to_owned();
    Err((format!("{} is not an absolute path", quoted(text)), hint))
}

/// Does not repeat the text, which may be the secret.
fn secret_file(text: &str) -> Result<PathBuf, InvalidText> {
    let hint = "write the secret into a file of its own with `chmod 600`, and the whole path of that file here";
    let invalid = |what: &str| Err((what.to_owned(), hint.to_owned()));
    if text.starts_with('/') && !text.chars().any(char::is_control) {
        return Ok(text.into());
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let is_credential = text.len() <= LONGEST_NAME * 2 && text.chars().all(is_plain) && Path::new(text).is_relative();
    if !is_credential || text.starts_with('.') {
        return invalid("this is neither an absolute path nor the name of a credential");
    }
    if redact(text) != text {
        return invalid("this looks like the secret itself");
    }
    Ok(text.into())
}

fn listen(text: &str) -> Result<SocketAddr, InvalidText> {
    let port = text.strip_prefix("localhost:").unwrap_or(text);
    if let Ok(port) = port.trim_start_matches(':').parse::<u16>() {
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    }
    let hint = "write it like \"127.0.0.1:9780\", or \"0.0.0.0:9780\" for every address of this host";
    text.parse().map_err(|_| (format!("{} is not an address and a port", quoted(text)), hint.to_owned()))
}

fn api_host(text: &str) -> Result<String, InvalidText> {
    let text = line(text, A_HOST)?;
    match format!("https://{text}").parse::<GatewayUrl>() {
        Ok(_) => Ok(text),
        Err(_) => Err((format!("{} is not a host", quoted(&text)), "write it like \"api.ibkr.com\"".to_owned())),
    }
}

fn host(text: &str) -> Result<String, InvalidText> {
    let text = line(text, A_HOST)?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if text.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() || text.chars().all(is_plain) {
        return Ok(text);
    }
    if let Some((_, rest)) = text.split_once("://") {
        return Err((format!("{} is a URL", quoted(&text)), format!("write only {}", quoted(rest))));
    }
    if let Some((name, port)) = text.split_once(':') {
        let hint = format!("write {}, and the port as a key of its own", quoted(name));
        return Err((format!("{} is followed by {}", quoted(name), quoted(port)), hint));
    }
    Err((format!("{} is not a host", quoted(&text)), "write it like \"smtp.example.org\"".to_owned()))
}

fn web_address(text: &str) -> Result<String, InvalidText> {
    let text = line(text, &(WEB_ADDRESS.takes)())?;
    let in_a_file = "write an address with a secret into a file of its own, and name that file as url_file";
    let invalid = |what: &str, hint: &str| Err((what.to_owned(), hint.to_owned()));
    match Url::parse(&text) {
        Ok(url) if !matches!(url.scheme(), "http" | "https") => {
            invalid("it does not begin with http:// or https://", EXAMPLE)
        }
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            invalid("it contains a user name or a password", in_a_file)
        }
        Ok(url) if url.fragment().is_some() => invalid("it contains a #", EXAMPLE),
        Ok(url) if url.host_str().is_some_and(|host| SECRET_HOSTS.contains(&host)) => {
            invalid("anyone who knows this address can post there, so it is a secret", in_a_file)
        }
        Ok(_) => Ok(text),
        Err(_) => invalid("it is not a URL", EXAMPLE),
    }
}

fn exemption(text: &str) -> Result<Exempt, InvalidText> {
    if let Some(exempt) = Exempt::all().find(|exempt| exempt.name() == text) {
        return Ok(exempt);
    }
    let hint = match nearest(text, Exempt::all().map(Exempt::name)) {
        Some(near) => format!("did you mean {near:?}?"),
        None => "write a severity, like \"error\", or a code, like \"certificate-changed\"".to_owned(),
    };
    Err((format!("{} is neither a severity nor the code of an alert", quoted(text)), hint))
}

fn template(text: &str) -> Result<String, InvalidText> {
    match channels::check_body(text) {
        None => Ok(text.to_owned()),
        Some(what) => Err((
            format!("the template cannot be used: {what}"),
            "docs/alerts.md lists the fields of an alert".to_owned(),
        )),
    }
}

fn header(text: &str) -> Result<String, InvalidText> {
    let text = line(text, A_HEADER)?;
    let example = || "write it like \"X-Priority: 5\"".to_owned();
    let Some((name, value)) = text.split_once(':') else {
        return Err(("it has no colon between name and value".to_owned(), example()));
    };
    let is_valid = reqwest::header::HeaderName::from_bytes(name.as_bytes()).is_ok()
        && reqwest::header::HeaderValue::from_str(value.trim()).is_ok();
    if !is_valid {
        return Err(("it is not a header".to_owned(), example()));
    }
    let folded = name.to_ascii_lowercase();
    if SECRET_HEADERS.iter().any(|part| folded.contains(part)) && !value.contains(channels::TOKEN) {
        return Err((
            format!("the value of {} is a secret, and secrets are not kept in this file", quoted(name)),
            format!("name a file that holds it in token_file, and write \"{name}: {}\"", channels::TOKEN),
        ));
    }
    Ok(text)
}

fn argument(text: &str) -> Result<String, InvalidText> {
    if text.contains('\0') {
        return Err((format!("{} contains a zero byte", quoted(text)), String::new()));
    }
    Ok(text.to_owned())
}

/// The rule for names, as a hint.
pub(super) const NAME_RULE: &str = "it takes 1 to 32 of a-z, 0-9, - and _, beginning with a letter or digit";

const A_STRING: &str = "a string in quotes";
const A_LINE: &str = "one line of text";
const A_HOST: &str = "a host name or address";
const A_HEADER: &str = "\"Name: value\"";
const A_MAIL: &str = "a mail address";
const EXAMPLE: &str = "write it like \"https://ntfy.sh/your-topic\"";
const LONGEST_NAME: usize = 32;
const LONGEST: usize = 2048;

/// Anyone who knows an address of these hosts can post there.
const SECRET_HOSTS: &[&str] = &["hooks.slack.com", "discord.com", "discordapp.com", "hc-ping.com"];
/// Parts of the names of headers that carry secrets.
const SECRET_HEADERS: &[&str] = &["authorization", "cookie", "token", "key", "secret", "password"];
