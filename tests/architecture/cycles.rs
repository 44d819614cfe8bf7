//! No two files of `src` import each other, directly or by way of others.
//!
//! A re-export is looked through: `crate::alert::Code` leads to the file that defines `Code`. What a file only passes on
//! with `pub use` is no import of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::sources;

#[test]
fn no_files_import_each_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = sources("src").into_iter().map(|file| {
        let text = fs::read_to_string(&file).unwrap();
        (file.strip_prefix(&root).unwrap().to_str().unwrap().to_owned(), text)
    });
    let crates = Crates::read(files.collect());
    let arrows = crates.arrows();
    let count: usize = arrows.values().map(BTreeSet::len).sum();
    assert!(count >= 300, "{count} imports: the walk missed most of them");
    let groups: Vec<String> = circles(&arrows).iter().map(|group| described(group, &arrows)).collect();
    assert!(groups.is_empty(), "{}", groups.join("\n"));
}

#[test]
fn a_circle_is_found_through_re_exports_and_inline_paths() {
    let of = |files: &[(&str, &str)]| {
        let files = files.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect();
        circles(&Crates::read(files).arrows())
            .into_iter()
            .map(|group| group.into_iter().collect())
            .collect::<Vec<Vec<_>>>()
    };
    let lib = ("lib.rs", "pub mod a;\npub mod b;\n");
    let through = ("a/mod.rs", "mod one;\nmod two;\npub use one::One;\npub use two::Two;\n");
    let one = ("a/one.rs", "use super::{Two, two::{self, Other}};\npub struct One;\n");
    assert_eq!(
        of(&[lib, through, one, ("a/two.rs", "pub struct Two;\n"), ("b.rs", "use crate::a::One;\n")]),
        [[""; 0]; 0]
    );
    assert_eq!(
        of(&[lib, through, one, ("a/two.rs", "pub struct Two(crate::a::One);\n"), ("b.rs", "")]),
        [["a/one.rs", "a/two.rs"]]
    );
    let long = [
        ("lib.rs", "mod a;\nmod b;\nmod c;\n"),
        ("a.rs", "use crate::b;\n"),
        ("b.rs", "fn f() { crate::c::g(); }\n"),
        ("c.rs", "// use crate::b;\nuse crate::a::{\n    X as Y,\n};\n#[cfg(test)]\nmod tests { use crate::b; }\n"),
    ];
    assert_eq!(of(&long), [["a.rs", "b.rs", "c.rs"]]);
    // A module that only passes its parts on may be named by them.
    let facade = ("a/mod.rs", "mod one;\npub use one::One;\npub struct Base;\n");
    assert_eq!(of(&[lib, facade, ("a/one.rs", "use super::Base;\npub struct One;\n"), ("b.rs", "")]), [[""; 0]; 0]);
    let used = ("a/mod.rs", "mod one;\npub use one::One;\npub struct Base(One);\n");
    assert_eq!(
        of(&[lib, used, ("a/one.rs", "use super::Base;\npub struct One;\n"), ("b.rs", "")]),
        [["a/mod.rs", "a/one.rs"]]
    );
}

/// The files of the library and of the program, and what each names of the others.
struct Crates {
    /// A module by its path, such as `alert::channels`.
    modules: BTreeMap<String, Module>,
}

struct Module {
    file: String,
    /// Names that a `use` brings in, and where they are from; the second says whether they are only passed on.
    uses: Vec<(String, Vec<String>, bool)>,
    /// Paths in the code, outside of `use`.
    paths: Vec<Vec<String>>,
}

impl Crates {
    fn read(files: Vec<(String, String)>) -> Self {
        let modules = files.into_iter().map(|(file, text)| {
            let path = file.trim_end_matches(".rs").trim_end_matches("/mod").replace('/', "::");
            let path = if path == "lib" { String::new() } else { path };
            let code = code(&text);
            let (statements, rest) = statements(&code);
            let mut uses = Vec::new();
            for (statement, is_public) in statements {
                for (name, from) in leaves(&statement) {
                    let is_used = !is_public || words(&rest).any(|word| word == name);
                    uses.push((name, from, !is_used));
                }
            }
            (path, Module { file, uses, paths: paths(&rest) })
        });
        Self { modules: modules.collect() }
    }

    fn arrows(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut arrows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (path, module) in &self.modules {
            let own = arrows.entry(module.file.clone()).or_default();
            let uses = module.uses.iter().filter(|(.., is_passed_on)| !is_passed_on).map(|(_, from, _)| from);
            for named in uses.chain(&module.paths) {
                if let Some(file) = self.resolve(path, named, 0).filter(|file| *file != module.file) {
                    own.insert(file);
                }
            }
        }
        arrows
    }

    /// The file that defines what a path names, seen from a module.
    fn resolve(&self, from: &str, path: &[String], depth: usize) -> Option<String> {
        let (mut at, mut rest) = match path.first()?.as_str() {
            "crate" | "tickled" => (String::new(), &path[1..]),
            "self" => (from.to_owned(), &path[1..]),
            "super" => (above(from), &path[1..]),
            first => {
                let child = below(from, first);
                if !self.modules.contains_key(&child) {
                    return None;
                }
                (child, &path[1..])
            }
        };
        while let Some((next, more)) = rest.split_first() {
            if next == "super" {
                at = above(&at);
            } else {
                let child = below(&at, next);
                if self.modules.contains_key(&child) {
                    at = child;
                } else {
                    // A name that another module only passes on is looked up there.
                    let module = self.modules.get(&at)?;
                    let passed = module.uses.iter().find(|(name, ..)| name == next);
                    return match passed {
                        Some((_, origin, _)) if depth < 8 => self.resolve(&at, origin, depth + 1),
                        Some(_) | None => Some(module.file.clone()),
                    };
                }
            }
            rest = more;
        }
        self.modules.get(&at).map(|module| module.file.clone())
    }
}

fn above(module: &str) -> String {
    module.rsplit_once("::").map_or_else(String::new, |(above, _)| above.to_owned())
}

fn below(module: &str, name: &str) -> String {
    if module.is_empty() { name.to_owned() } else { format!("{module}::{name}") }
}

/// The files that reach each other, as groups.
pub(crate) fn circles(arrows: &BTreeMap<String, BTreeSet<String>>) -> Vec<BTreeSet<String>> {
    let reached = |from: &String| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from.clone()]);
        while let Some(file) = open.pop() {
            for next in arrows.get(&file).into_iter().flatten() {
                if seen.insert(next.clone()) {
                    open.push(next.clone());
                }
            }
        }
        seen
    };
    let all: BTreeMap<&String, BTreeSet<String>> = arrows.keys().map(|file| (file, reached(file))).collect();
    let mut groups = BTreeSet::new();
    for (file, to) in &all {
        if to.contains(*file) {
            groups.insert(to.iter().filter(|other| all[other].contains(*file)).cloned().collect::<BTreeSet<_>>());
        }
    }
    groups.into_iter().collect()
}

fn described(group: &BTreeSet<String>, arrows: &BTreeMap<String, BTreeSet<String>>) -> String {
    let lines = group.iter().map(|file| {
        let to: Vec<&str> = arrows[file].intersection(group).map(String::as_str).collect();
        format!("    {file} -> {}", to.join(", "))
    });
    format!("these files import each other:\n{}", lines.collect::<Vec<_>>().join("\n"))
}

/// The text without comments, without the texts in quotes, and without its tests.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    // A visibility names a module and imports nothing of it.
    let text = text.replace("pub(in crate::", "pub(in ");
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.map(|line| line.split(" // ").next().unwrap_or_default().to_owned() + "\n").collect()
}

/// The trees of all `use`, each with whether it is public, and the rest of the code.
fn statements(code: &str) -> (Vec<(String, bool)>, String) {
    let (mut found, mut rest) = (Vec::new(), String::new());
    let mut open: Option<(String, bool)> = None;
    for line in code.lines() {
        let text = line.trim_start();
        if open.is_none() {
            let start = ["use ", "pub use ", "pub(crate) use ", "pub(super) use "]
                .iter()
                .find_map(|start| text.strip_prefix(start));
            match start {
                Some(tree) => open = Some((tree.to_owned(), text.starts_with("pub"))),
                None => rest.push_str(&format!("{line}\n")),
            }
        } else if let Some((tree, _)) = &mut open {
            tree.push_str(text);
        }
        if open.as_ref().is_some_and(|(tree, _)| tree.contains(';')) {
            found.extend(open.take().map(|(tree, public)| (tree.trim_end_matches(';').to_owned(), public)));
        }
    }
    (found, rest)
}

/// Each name that a tree of `use` brings in, with its path.
fn leaves(tree: &str) -> Vec<(String, Vec<String>)> {
    let tree = tree.trim();
    if let Some(open) = tree.find('{') {
        let prefix: Vec<String> = parts(tree[..open].trim_end_matches("::"));
        let inner = &tree[open + 1..tree.rfind('}').unwrap_or(tree.len())];
        let mut members = vec![String::new()];
        let mut depth = 0_usize;
        for c in inner.chars() {
            match c {
                ',' if depth == 0 => members.push(String::new()),
                _ => {
                    depth = if c == '{' {
                        depth + 1
                    } else if c == '}' {
                        depth - 1
                    } else {
                        depth
                    };
                    members.last_mut().unwrap().push(c);
                }
            }
        }
        let members = members.iter().filter(|member| !member.trim().is_empty());
        return members
            .flat_map(|member| leaves(member))
            .map(|(name, path)| {
                let whole: Vec<String> =
                    prefix.iter().cloned().chain(path.into_iter().filter(|part| part != "self")).collect();
                let name = if name == "self" { whole.last().cloned().unwrap_or_default() } else { name };
                (name, whole)
            })
            .collect();
    }
    let (path, name) = tree.split_once(" as ").map_or((tree, None), |(path, name)| (path, Some(name.trim())));
    let path = parts(path);
    let last = path.last().cloned().unwrap_or_default();
    vec![(name.map_or(last, str::to_owned), path)]
}

fn parts(path: &str) -> Vec<String> {
    path.split("::").map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !(c.is_alphanumeric() || c == '_'))
}

/// Every path in the code that begins with a word such as `crate`, or with any other and goes on.
fn paths(code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for piece in code.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')) {
        if piece.contains("::") {
            found.push(parts(piece));
        }
    }
    found
}
