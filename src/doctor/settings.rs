//! The configuration, who may change it, and whether the channels it names can be reached.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs};

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::report::{Check, CheckResult};
use crate::alert::{self, ChannelDestination, Destination, UnknownDestination};
use crate::config::{self, Config};
use crate::exit::Exit;

/// Reads the configuration and judges it.
pub(super) fn read(path: &Path, environment: &BTreeMap<String, String>) -> (Option<Config>, Vec<CheckResult>) {
    let mut results: Vec<CheckResult> =
        fs::metadata(path).ok().and_then(|is| writers(path, is.permissions().mode())).into_iter().collect();
    match config::load(path, environment) {
        Ok(config) => {
            let names = config.names().join(", ");
            results.push(CheckResult::good(Check::Config, format!("{} is valid; gateways: {names}", path.display())));
            results.extend(alert::world_readable_secrets(&config.alerts).iter().map(|file| exposed(file)));
            (Some(config), results)
        }
        Err(faults) => {
            let remedy = if path.exists() {
                format!("correct it, and try again with `tickled config check {}`", path.display())
            } else {
                "if it is elsewhere, name it with --config FILE".to_owned()
            };
            results.push(CheckResult::fault(Check::Config, Exit::Configuration, faults.to_string().trim_end(), remedy));
            (None, results)
        }
    }
}

fn writers(path: &Path, mode: u32) -> Option<CheckResult> {
    let whose = match (mode & 0o002 != 0, mode & 0o020 != 0) {
        (true, _) => "every user of this host",
        (false, true) => "its whole group",
        (false, false) => return None,
    };
    let found =
        format!("{} can be changed by {whose}, and it decides which programs run and where alerts go", path.display());
    Some(CheckResult::warning(Check::Config, found, format!("`chmod go-w {}`", path.display())))
}

fn exposed(file: &Path) -> CheckResult {
    let found = format!("{} holds a secret, and every user of this host may read it", file.display());
    CheckResult::warning(Check::Config, found, format!("`chmod o-r {}`", file.display()))
}

/// Connects to each channel's destination, all at once. Nothing is sent.
pub(super) async fn channels(settings: &alert::Settings) -> Vec<CheckResult> {
    if settings.channels.is_empty() {
        let remedy = "add an [[alerts.channel]], and try it with `tickled alert test`: a lost login needs a human";
        return vec![CheckResult::warning(Check::Channels, "none is configured: alerts are only logged", remedy)];
    }
    let by_proxy = PROXIES.iter().any(|name| env::var_os(name).is_some_and(|value| !value.is_empty()));
    let knocks = alert::destinations(settings).into_iter().map(|way| async move {
        let knocked = knock(&way, by_proxy).await;
        channel(&way, knocked).about(&way.name)
    });
    futures_util::future::join_all(knocks).await
}

/// The outcome of a connection.
enum Knock {
    Open,
    Closed(String),
    /// Not tried, and why.
    NotAsked(String),
}

async fn knock(way: &ChannelDestination, by_proxy: bool) -> Knock {
    match &way.to {
        Ok(Destination::Web { .. }) if by_proxy => Knock::NotAsked("it is reached through a proxy".to_owned()),
        Ok(Destination::Web { host, port } | Destination::Mail { host, port }) => {
            match timeout(WITHIN, TcpStream::connect((host.as_str(), *port))).await {
                Ok(Ok(_)) => Knock::Open,
                Ok(Err(error)) => Knock::Closed(error.to_string()),
                Err(_) => Knock::Closed("no answer".to_owned()),
            }
        }
        Ok(Destination::Program(program)) => match find(program).and_then(|file| fs::metadata(file).ok()) {
            Some(is) if is.is_file() && is.permissions().mode() & 0o111 != 0 => Knock::Open,
            Some(_) => Knock::Closed("it is not an executable file".to_owned()),
            None => Knock::Closed("there is no such program".to_owned()),
        },
        Err(UnknownDestination::Credential(name)) => {
            Knock::NotAsked(format!("systemd gives the credential {name} only to the daemon"))
        }
        Err(UnknownDestination::Secret(why)) => Knock::Closed(why.clone()),
    }
}

/// Judges one channel.
fn channel(way: &ChannelDestination, knock: Knock) -> CheckResult {
    let place = match &way.to {
        Ok(Destination::Web { host, port }) => format!("{host}:{port}"),
        Ok(Destination::Mail { host, port }) => format!("the mail server {host}:{port}"),
        Ok(Destination::Program(program)) => program.display().to_string(),
        Err(_) => "its secret".to_owned(),
    };
    match knock {
        Knock::Open => {
            CheckResult::good(Check::Channels, format!("{place} is available; `tickled alert test` tests the delivery"))
        }
        Knock::NotAsked(why) => {
            CheckResult::not_asked(Check::Channels, format!("{why}; `tickled alert test` tests it"))
        }
        Knock::Closed(why) => {
            let remedy = match &way.to {
                Ok(Destination::Web { .. } | Destination::Mail { .. }) => {
                    "correct the address, or allow this host to connect to it"
                }
                Ok(Destination::Program(_)) => "correct argv, or install the program",
                Err(_) => "write the secret into that file, as one line, readable only by the daemon",
            };
            CheckResult::fault(Check::Channels, Exit::HumanNeeded, format!("{place}: {why}"), remedy)
        }
    }
}

/// The file of a program, looked for on the path as a shell would.
pub(super) fn find(program: &Path) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return Some(program.to_owned());
    }
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

const WITHIN: Duration = Duration::from_secs(5);
const PROXIES: [&str; 6] = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
