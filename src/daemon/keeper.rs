//! One keeper a gateway: a lock on this host for each gateway that a daemon watches.
//!
//! The lock is the kernel's, and ends with the process: a file that is left behind, whatever is in it, is no obstacle. A
//! keeper on another host cannot be seen this way; two who fight over a session are noticed by what they do to it.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use reqwest::Url;
use tracing::warn;

use crate::config::Gateway;
use crate::control::{common_folders, own_folder};
use crate::log::event;

/// The locks that this daemon holds.
#[derive(Debug, Default)]
pub(super) struct Keepers {
    held: BTreeMap<String, Option<File>>,
}

/// A gateway that has a keeper already.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "gateway {name}: {url} is kept by another tickled already{}; stop that one first, or leave this gateway to it",
    .pid.map(|pid| format!(", process {pid}")).unwrap_or_default()
)]
pub struct Kept {
    /// The gateway's name in this configuration.
    pub name: String,
    /// Its address.
    pub url: String,
    /// The other keeper, where it said who it is.
    pub pid: Option<u32>,
}

impl Keepers {
    /// Becomes the keeper of all these gateways, or of none that it is not the keeper of already.
    pub(super) fn hold(&mut self, gateways: &[Gateway]) -> Result<(), Kept> {
        let mut new = BTreeMap::new();
        for gateway in gateways {
            let (name, url) = (&gateway.name, &gateway.target.url);
            let file = file_name(url);
            if self.held.contains_key(&file) || new.contains_key(&file) {
                continue;
            }
            let lock = match lock(&file) {
                Ok(lock) => Some(lock),
                Err(Refusal::Kept(pid)) => return Err(Kept { name: name.clone(), url: url.clone(), pid }),
                Err(Refusal::Impossible(fault)) => {
                    warn!(
                        event = event::LOCK_UNAVAILABLE,
                        gateway = name,
                        fault,
                        "{name}: nothing keeps a second tickled on this host from this gateway: {fault}"
                    );
                    None
                }
            };
            new.insert(file, lock);
        }
        self.held.append(&mut new);
        Ok(())
    }

    /// Lets go of all gateways but these.
    pub(super) fn hold_only(&mut self, gateways: &[Gateway]) {
        let kept: Vec<String> = gateways.iter().map(|gateway| file_name(&gateway.target.url)).collect();
        self.held.retain(|file, _| kept.contains(file));
    }
}

enum Refusal {
    /// Somebody holds it.
    Kept(Option<u32>),
    /// It cannot be had, for this reason.
    Impossible(String),
}

fn lock(name: &str) -> Result<File, Refusal> {
    let own = own_folder();
    for folder in common_folders().filter(|folder| *folder != own) {
        // A daemon of another user is only looked for, in the places where it may be.
        if let Ok(mut file) = File::open(folder.join(name))
            && matches!(file.try_lock(), Err(TryLockError::WouldBlock))
        {
            return Err(Refusal::Kept(pid(&mut file)));
        }
    }
    let path = own.join(name);
    let impossible = |error: io::Error| Refusal::Impossible(format!("{}: {error}", path.display()));
    let mut file = open(&own, &path).map_err(impossible)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(Refusal::Kept(pid(&mut file))),
        Err(TryLockError::Error(error)) => return Err(impossible(error)),
    }
    // Who it is, is a courtesy to whoever comes second; the lock does not depend on it.
    drop(sign(&mut file));
    Ok(file)
}

fn open(folder: &Path, path: &Path) -> io::Result<File> {
    fs::create_dir_all(folder)?;
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    match opened {
        // Left there by another user: it can be locked all the same.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => File::open(path),
        opened => opened,
    }
}

fn sign(file: &mut File) -> io::Result<()> {
    // A pid is no secret, and whoever may enter the folder may see whether there is a keeper.
    file.set_permissions(Permissions::from_mode(0o644))?;
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// The same for all ways to write a gateway's address that are the same port.
fn file_name(url: &str) -> String {
    let place = Url::parse(url).ok().and_then(|url| Some((url.host_str()?.to_owned(), url.port_or_known_default()?)));
    let (host, port) = place.unwrap_or_else(|| (url.to_owned(), 0));
    let address = host.trim_matches(['[', ']']).parse().map(|address: IpAddr| address.to_canonical());
    let is_here = host == "localhost" || matches!(address, Ok(IpAddr::V6(address)) if address.is_loopback());
    let host = match address {
        _ if is_here => IpAddr::V4(Ipv4Addr::LOCALHOST).to_string(),
        Ok(address) => address.to_string(),
        Err(_) => host,
    };
    let host: String = host.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '_' }).collect();
    format!("gateway-{host}-{port}.lock")
}
