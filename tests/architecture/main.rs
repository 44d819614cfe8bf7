//! The architecture: which module may import which, what every file owes a newcomer, and what the documents say twice.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod cycles;
mod documents;
mod english;
mod hours;
mod names;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use tickled::exit::Exit;
use tickled::session::StateKind;

/// The modules and their layers, as the map in `src/lib.rs` has them.
fn layers() -> BTreeMap<String, u8> {
    let lib = read("src/lib.rs");
    let rows = lib.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("//! | `")?.split('|');
        let module = cells.next()?.trim().trim_end_matches('`').to_owned();
        Some((module, cells.next()?.trim().parse().ok()?))
    });
    rows.collect()
}

#[test]
fn every_module_imports_its_own_layer_and_lower_ones_and_none_imports_another_back() {
    let layers = layers();
    let mut arrows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in sources("src") {
        let module = module_of(&file);
        if module == "lib" {
            continue;
        }
        let layer = layers
            .get(&module)
            .unwrap_or_else(|| panic!("{} is in no module of the map in src/lib.rs", file.display()));
        let to = arrows.entry(module.clone()).or_default();
        for target in imports(&fs::read_to_string(&file).unwrap()) {
            let other =
                layers.get(&target).unwrap_or_else(|| panic!("{}: no module is called {target}", file.display()));
            assert!(other <= layer, "{}: {module} (layer {layer}) imports {target} (layer {other})", file.display());
            if target != module {
                to.insert(target);
            }
        }
    }
    let drawn: BTreeSet<&String> = layers.keys().collect();
    assert_eq!(arrows.keys().collect::<BTreeSet<_>>(), drawn, "modules in the code, and modules on the map");
    let count: usize = arrows.values().map(BTreeSet::len).sum();
    assert!(arrows.len() >= 15 && count >= 40, "{} modules, {count} imports: the walk missed most", arrows.len());
    let circles = cycles::circles(&arrows);
    assert!(circles.is_empty(), "these modules import each other: {circles:?}");
}

#[test]
fn an_import_that_points_up_is_seen() {
    let up = "use crate::config::{Config, Gateway};\nfn f() { crate::daemon::run(); }\n";
    assert_eq!(imports(up), ["config", "daemon"]);
    let grouped = "use crate::{alert, session::Machine};\nuse tickled::exit::Exit;
use tickled::session::StateKind;\n";
    assert_eq!(imports(grouped), ["alert", "exit", "session"]);
    assert_eq!(imports("/// as [`crate::daemon`] says\n// use crate::daemon;\n"), [""; 0]);
    assert!(layers()["session"] < layers()["config"] && layers()["config"] < layers()["daemon"]);
}

#[test]
fn the_simulator_imports_nothing_of_ours_and_the_machine_knows_no_clock() {
    let mut seen = 0;
    for file in sources("src") {
        let text = code(&fs::read_to_string(&file).unwrap());
        let module = module_of(&file);
        let pure = matches!(module.as_str(), "session" | "calendar" | "observe" | "status");
        if module == "simulator" {
            seen += 1;
            let ours: Vec<String> = imports(&text).into_iter().filter(|target| target != "simulator").collect();
            assert!(ours.is_empty(), "{}: {ours:?}", file.display());
        }
        if pure {
            seen += 1;
            for word in
                ["tokio", "std::fs", "std::env", "std::net", "std::thread", "Instant", "SystemTime", "rand::", "now()"]
            {
                assert!(!text.contains(word), "{}: {word} in a pure file", file.display());
            }
        }
    }
    assert!(seen >= 15, "{seen} files");
}

#[test]
fn every_file_says_first_what_it_is_for_and_fits_a_reader() {
    let files: Vec<PathBuf> = ["src", "tests"].into_iter().flat_map(sources).collect();
    for file in &files {
        let text = fs::read_to_string(file).unwrap();
        assert!(text.starts_with("//! "), "{} does not begin with a sentence", file.display());
        assert!(text.lines().count() <= 500, "{} has {} lines", file.display(), text.lines().count());
        assert!(!text.contains("\n#[path"), "{}: what tests share is in tests/support", file.display());
        let name = file.file_stem().unwrap().to_str().unwrap();
        let vague = ["utils", "util", "helpers", "common", "types", "core", "manager", "handler", "misc"];
        assert!(!vague.contains(&name), "{} says nothing", file.display());
    }
    assert!(files.len() >= 60, "{} files", files.len());
}

#[test]
fn the_readme_lists_the_exit_codes_as_they_are() {
    let readme = read("README.md");
    let rows: Vec<String> = Exit::ALL.iter().map(|exit| format!("| {} | {} |", exit.code(), exit.meaning())).collect();
    assert!(readme.contains(&rows.join("\n")), "the table should be\n{}", rows.join("\n"));
    for state in StateKind::ALL {
        assert!(readme.contains(&format!("| `{state}` |")), "{state}");
    }
}

#[test]
fn what_ci_runs_is_what_the_readme_says() {
    let readme = read("README.md");
    let commands: Vec<&str> = readme.lines().filter_map(|line| line.strip_prefix("    cargo ")).collect();
    assert_eq!(commands, ["run --release -- demo", "test", "build --release"]);
    assert!(read(".ci/run").contains("README.md"));
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn sources(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(path);
            }
        }
    }
    found
}

/// The first part of a file's path below `src`, without its ending.
fn module_of(file: &Path) -> String {
    let below = file.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    below.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

/// The text without its comments.
fn code(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).map(|line| format!("{line}\n")).collect()
}

/// The modules that a text speaks of, as `crate::MODULE` or, in the binary, `tickled::MODULE`; groups are taken apart.
fn imports(text: &str) -> Vec<String> {
    let text = code(text);
    let mut modules = BTreeSet::new();
    for start in ["crate::", "tickled::"] {
        for (at, _) in text.match_indices(start) {
            let before = text[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '"') {
                continue;
            }
            let rest = &text[at + start.len()..];
            match rest.strip_prefix('{') {
                Some(group) => modules.extend(group_of(group)),
                None => modules.extend(word(rest)),
            }
        }
    }
    modules.into_iter().collect()
}

/// The first word of each member of a `{...}` group.
fn group_of(text: &str) -> Vec<String> {
    let mut depth = 0_usize;
    let mut members = vec![String::new()];
    for c in text.chars() {
        match c {
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            '{' => depth += 1,
            ',' if depth == 0 => members.push(String::new()),
            _ => members.last_mut().unwrap().push(c),
        }
    }
    members.iter().filter_map(|member| word(member.trim_start())).collect()
}

fn word(text: &str) -> Option<String> {
    let word: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!word.is_empty()).then_some(word)
}
