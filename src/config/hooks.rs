//! Validates the hooks.

use std::collections::BTreeSet;

use super::channels::{known_gateways, program};
use super::diagnostic::Findings;
use super::schema::{Draft, HOOKS};
use crate::hook::Hook;

/// Validates all hooks.
pub(super) fn hooks(draft: &Draft, report: &mut Findings) -> Vec<Hook> {
    let gateways: Vec<&str> = draft.gateways.keys().map(String::as_str).collect();
    if draft.hooks.len() > MOST_HOOKS {
        report.note(HOOKS, &format!("{} hooks are too many", draft.hooks.len()), format!("at most {MOST_HOOKS}"));
    }
    let mut names = BTreeSet::new();
    let mut hooks = Vec::new();
    for (index, keys) in draft.hooks.iter().enumerate() {
        let path = format!("{HOOKS}[{index}]");
        for (key, is_set, name, example) in [
            ("name", keys.name.is_some(), "the name", "name = \"bot\""),
            ("argv", !keys.argv.is_empty(), "the program", "argv = [\"/usr/local/bin/on-session\"]"),
        ] {
            report.require(&path, key, is_set, name, format!("write {example} under this [[{HOOKS}]]"));
        }
        if let Some(name) = keys.name.as_ref().filter(|name| !names.insert(*name)) {
            let hint = "give each hook a name of its own: it is in the log";
            report.note(&format!("{path}.name"), &format!("there is already a hook {name}"), hint);
        }
        known_gateways(&path, &keys.gateways, &gateways, report);
        program(&path, &keys.argv, report);
        if let Some(name) = keys.name.clone() {
            let (on, gateways, argv) = (keys.on.clone(), keys.gateways.clone(), keys.argv.clone());
            hooks.push(Hook { name, on, gateways, argv, within: keys.within });
        }
    }
    hooks
}

/// The limit for hooks: each has a task and a program of its own.
const MOST_HOOKS: usize = 20;
