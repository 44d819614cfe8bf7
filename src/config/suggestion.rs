//! Where an unknown key probably belongs, or what it was meant to be.

use super::keyword::nearest;
use super::schema::KeyDoc;

/// What to do about a key that is not known where it is. `table` is the path of its table as [`KeyDoc::path`] has it.
pub(super) fn unknown_key(path: &str, table: &str, name: &str, keys: &[KeyDoc]) -> String {
    let siblings = siblings(table, keys);
    let beside = || siblings.iter().copied();
    let gateway = path.strip_prefix("gateway.").and_then(|below| below.split('.').next());
    let folded = name.to_lowercase().replace('-', "_");
    let last = |key: &&KeyDoc| key.path.rsplit('.').next().unwrap_or_default().to_owned();
    let elsewhere: Vec<&KeyDoc> = keys.iter().filter(|key| !key.path.starts_with("gateway.NAME.session.")).collect();

    if let Some(file) = beside().find(|known| names_secret(known, &folded)) {
        return format!(
            "secrets are not kept in this file: write it into a file of its own, and name that file as {file}"
        );
    }
    let singular = |name: &str| name.trim_end_matches('s').to_owned();
    if let Some(same) = beside().find(|known| singular(known) == singular(&folded)) {
        return format!("did you mean {same}?");
    }
    let is_part = |known: &&str| folded.len() > LONGEST_SHORT && known.starts_with(&folded);
    if let Some(whole) = beside().find(is_part) {
        return format!("did you mean {whole}?");
    }
    let is_below = |key: &&&KeyDoc| key.path.strip_prefix(table).is_some_and(|rest| rest.starts_with('.'));
    let mut homes = elsewhere.iter().filter(|key| last(key) == folded);
    let home = homes.clone().find(is_below).or_else(|| homes.next()).and_then(|key| key.path.rsplit_once('.'));
    match (home, gateway) {
        (Some((home, _)), Some(gateway)) if home.starts_with("session") => {
            return format!("it belongs under [{home}], or under [gateway.{gateway}.{home}] for this gateway alone");
        }
        (Some((home, _)), _) => {
            let home = home.replace("NAME", gateway.unwrap_or("NAME"));
            return match home.strip_suffix("[]") {
                Some(list) => format!("it belongs under [[{list}]]"),
                None => format!("it belongs under [{home}]"),
            };
        }
        (None, _) => {}
    }
    if table == "alerts" && HOURS.contains(&folded.as_str()) {
        return "your hours are set under [alerts.hours]".to_owned();
    }
    if let Some(near) = nearest(name, beside()) {
        return format!("did you mean {near}?");
    }
    // Short words are too similar to each other.
    let far = elsewhere.iter().filter(|key| !key.path.contains("[]") && last(key).len() > LONGEST_SHORT);
    let far: Vec<(String, &str)> = far.map(|key| (last(key), key.path.as_str())).collect();
    let near = nearest(name, far.iter().map(|(last, _)| last.as_str()));
    if let Some((_, far)) = near.and_then(|near| far.iter().find(|(last, _)| last == near)) {
        return format!("did you mean {}?", far.replace("NAME", gateway.unwrap_or("NAME")));
    }
    format!("known here: {}", siblings.join(", "))
}

/// The keys and tables of a table, in the order of the shipped file.
fn siblings<'a>(table: &str, keys: &'a [KeyDoc]) -> Vec<&'a str> {
    let mut siblings = Vec::new();
    for key in keys {
        let below = if table.is_empty() {
            Some(key.path.as_str())
        } else {
            key.path.strip_prefix(table).and_then(|rest| rest.strip_prefix('.'))
        };
        let name = below.and_then(|below| below.split(['.', '[']).next()).unwrap_or_default();
        if !name.is_empty() && !siblings.contains(&name) {
            siblings.push(name);
        }
    }
    siblings
}

/// Whether `written` is the secret itself, where only the file `known` that holds it may be named.
fn names_secret(known: &str, written: &str) -> bool {
    let parts: &[&str] = match known {
        "token_file" => &["token", "secret", "api_key", "apikey", "routing_key", "integration_key", "access_key"],
        "password_file" => &["password", "passwd", "pass", "secret"],
        _ => &[],
    };
    (known != "ca_file" && known.strip_suffix("_file") == Some(written))
        || parts.iter().any(|part| written.ends_with(part))
}

/// Names under which the hours are looked for.
const HOURS: &[&str] = &["quiet", "quiet_hours", "remind_before", "remind_at"];
const LONGEST_SHORT: usize = 5;
