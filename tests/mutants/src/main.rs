//! Tries the mutants that `cargo mutants --list --json` names on standard input, without a build for each: all of them
//! are compiled into one set of test binaries, and `MUTANT=n` selects one.
//!
//! `tickled-mutants TREE TEST...` rewrites the sources in the copy `TREE`, builds these tests there, and runs them in this
//! order for each mutant until one fails. It prints each survivor, and each mutant that cannot be tried in this way.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read, stdin};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use proc_macro2::Span;
use serde_json::Value;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// Whether a mutant is selected. During compilation none is: the function must be callable in constants.
const SWITCH: &str = "#![feature(core_intrinsics, const_eval_select)]
#![allow(internal_features)]
#[doc(hidden)]
#[allow(missing_docs)]
pub const fn mutant(number: usize) -> bool {
    const fn none(_: usize) -> bool {
        false
    }
    fn selected(number: usize) -> bool {
        static SELECTED: std::sync::LazyLock<Option<usize>> =
            std::sync::LazyLock::new(|| std::env::var(\"MUTANT\").ok()?.parse().ok());
        *SELECTED == Some(number)
    }
    core::intrinsics::const_eval_select((number,), none, selected)
}
";

/// A test that takes longer has lost its way: many times what it takes without a mutant.
const TOO_LONG: u32 = 5;

struct Mutant {
    name: String,
    file: String,
    genre: String,
    replacement: String,
    /// The bytes of the file that are replaced.
    at: Range<usize>,
}

fn main() -> Result<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    let tree = PathBuf::from(arguments.next().context("no TREE")?);
    let tests: Vec<String> = arguments.collect();
    let mut list = String::new();
    stdin().read_to_string(&mut list)?;
    let mutants = read(&tree, &serde_json::from_str(&list)?)?;
    let mut left_out = BTreeSet::new();
    let sources = sources(&tree, &mutants)?;
    let library = tree.join("src/lib.rs");
    let (attributes, function) = SWITCH.split_once("#[doc").unwrap_or_default();
    fs::write(&library, format!("{attributes}{}#[doc{function}", fs::read_to_string(&library)?))?;
    // What does not compile is left out, until all of it does.
    loop {
        let ranges = write(&tree, &sources, &mutants, &mut left_out)?;
        let found = errors(&tree, &ranges)?;
        if found.is_empty() {
            break;
        }
        left_out.extend(found);
    }
    let binaries = build(&tree, &tests)?;
    let mut limits = Vec::new();
    for (name, binary) in &binaries {
        let started = Instant::now();
        ensure!(!is_killed(&tree, binary, None, Duration::from_secs(3600))?, "{name} fails without a mutant");
        println!("{name} takes {:?}", started.elapsed());
        limits.push(started.elapsed() * TOO_LONG + Duration::from_secs(10));
    }
    let mut killed: BTreeMap<&str, usize> = BTreeMap::new();
    let mut survivors = 0;
    for (number, mutant) in mutants.iter().enumerate() {
        if left_out.contains(&number) {
            continue;
        }
        let mut by = "";
        for ((name, binary), limit) in binaries.iter().zip(&limits) {
            if is_killed(&tree, binary, Some(number), *limit)? {
                by = name;
                break;
            }
        }
        if by.is_empty() {
            survivors += 1;
            println!("survives: {} (MUTANT={number})", mutant.name);
        } else {
            *killed.entry(by).or_default() += 1;
        }
    }
    println!("{} mutants: killed {killed:?}, {survivors} survive, {} do not compile", mutants.len(), left_out.len());
    Ok(ExitCode::from(u8::from(survivors > 0)))
}

/// The mutants, with the places of their spans in the files.
fn read(tree: &Path, list: &Value) -> Result<Vec<Mutant>> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut mutants = Vec::new();
    for entry in list.as_array().context("no list")? {
        let file = text(&entry["file"]);
        let source = fs::read_to_string(tree.join(&file)).with_context(|| file.clone())?;
        let place = |end: &str| -> Option<usize> {
            let number = |what: &str| usize::try_from(entry["span"][end][what].as_u64()?).ok()?.checked_sub(1);
            let before: usize = source.split_inclusive('\n').take(number("line")?).map(str::len).sum();
            let line = source[before..].chars().take(number("column")?).map(char::len_utf8).sum::<usize>();
            Some(before + line)
        };
        let at = place("start").context("no start")?..place("end").context("no end")?;
        let [name, genre, replacement] = ["name", "genre", "replacement"].map(|key| text(&entry[key]));
        mutants.push(Mutant { name, file, genre, replacement, at });
    }
    Ok(mutants)
}

/// The sources of the files that have mutants.
fn sources(tree: &Path, mutants: &[Mutant]) -> Result<BTreeMap<String, String>> {
    let files: BTreeSet<&String> = mutants.iter().map(|mutant| &mutant.file).collect();
    let read = |file: &String| Ok((file.clone(), fs::read_to_string(tree.join(file))?));
    files.into_iter().map(read).collect()
}

/// Writes the sources with all mutants that are not left out, and returns where each one is.
fn write(
    tree: &Path,
    sources: &BTreeMap<String, String>,
    mutants: &[Mutant],
    left_out: &mut BTreeSet<usize>,
) -> Result<Vec<(String, Range<usize>, usize)>> {
    let mut ranges = Vec::new();
    for (file, source) in sources {
        let mut places = Places::default();
        places.visit_file(&syn::parse_file(source).with_context(|| file.clone())?);
        let mut pieces = Vec::new();
        for (number, mutant) in mutants.iter().enumerate() {
            if mutant.file == *file && !left_out.contains(&number) {
                match places.pieces(source, mutant, number) {
                    Some(new) => pieces.extend(new),
                    None => {
                        println!("not tried: {}", mutant.name);
                        left_out.insert(number);
                    }
                }
            }
        }
        // At one place: what ends goes before what begins; the outer begins first and ends last.
        pieces.sort_by_key(|piece: &Piece| (piece.at, piece.order()));
        let (mut output, mut done) = (String::new(), 0);
        for piece in pieces {
            output.push_str(&source[done..piece.at]);
            done = piece.at;
            let start = output.len();
            output.push_str(&piece.text);
            ranges.push((file.clone(), start..output.len(), piece.number));
        }
        output.push_str(&source[done..]);
        fs::write(tree.join(file), output)?;
    }
    Ok(ranges)
}

/// A text to insert.
struct Piece {
    at: usize,
    is_end: bool,
    /// How many bytes the whole of it encloses.
    size: usize,
    number: usize,
    text: String,
}

impl Piece {
    fn order(&self) -> (bool, isize, isize) {
        let sign = if self.is_end { 1 } else { -1 };
        let of = |n: usize| sign * isize::try_from(n).unwrap_or(isize::MAX);
        (!self.is_end, of(self.size), of(self.number))
    }
}

/// The places of a file that mutants are about.
#[derive(Default)]
struct Places {
    expressions: Vec<Range<usize>>,
    bodies: Vec<Range<usize>>,
    arms: Vec<(Range<usize>, usize)>,
}

impl<'ast> Visit<'ast> for Places {
    fn visit_expr(&mut self, expression: &'ast syn::Expr) {
        if matches!(expression, syn::Expr::Binary(_) | syn::Expr::Unary(_) | syn::Expr::Struct(_)) {
            self.expressions.push(bytes(expression.span()));
        }
        visit::visit_expr(self, expression);
    }

    fn visit_block(&mut self, block: &'ast syn::Block) {
        self.bodies.push(bytes(block.span()));
        visit::visit_block(self, block);
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        self.arms.push((bytes(arm.span()), bytes(arm.pat.span()).end));
        visit::visit_arm(self, arm);
    }
}

impl Places {
    /// What to insert for a mutant; none if that is not known.
    fn pieces(&self, source: &str, mutant: &Mutant, number: usize) -> Option<Vec<Piece>> {
        let Range { start, end } = mutant.at.clone();
        let around = |range: Range<usize>, before: String, after: &str| {
            let size = range.len();
            let piece = |at, is_end, text| Piece { at, is_end, size, number, text };
            Some(vec![piece(range.start, false, before), piece(range.end, true, after.to_owned())])
        };
        let within = |range: &&Range<usize>| range.start <= start && end <= range.end;
        match mutant.genre.as_str() {
            // An `impl` stands for one type: the function's own.
            "FnValue" if !mutant.name.contains("-> impl ") => {
                let body = self.bodies.iter().filter(within).min_by_key(|range| range.len())?;
                let text = format!("if crate::mutant({number}) {{ return {}; }} ", mutant.replacement);
                Some(vec![Piece { at: body.start + 1, is_end: true, size: 0, number, text }])
            }
            "MatchArmGuard" => {
                let (before, after) = match mutant.replacement.as_str() {
                    "true" => ("", " || "),
                    _ => ("!", " && "),
                };
                around(mutant.at.clone(), format!("({before}crate::mutant({number}){after}("), "))")
            }
            "MatchArm" => {
                let (_, at) = self.arms.iter().find(|(arm, _)| arm.start == start)?;
                let text = format!(" if !crate::mutant({number}) ");
                Some(vec![Piece { at: *at, is_end: true, size: 0, number, text }])
            }
            "BinaryOperator" | "UnaryOperator" | "StructField" => {
                let whole = self.expressions.iter().filter(within).min_by_key(|range| range.len())?;
                let mut end = end;
                if mutant.genre == "StructField" && source[end..].starts_with(',') {
                    end += 1;
                }
                let mutated = [&source[whole.start..start], &mutant.replacement, &source[end..whole.end]].concat();
                around(whole.clone(), format!("(if crate::mutant({number}) {{ {mutated} }} else {{ "), " })")
            }
            _ => None,
        }
    }
}

fn bytes(span: Span) -> Range<usize> {
    span.byte_range()
}

/// The mutants in whose text the compiler finds an error.
fn errors(tree: &Path, ranges: &[(String, Range<usize>, usize)]) -> Result<BTreeSet<usize>> {
    let output = cargo(tree, &["check", "--lib"])?;
    let mut found = BTreeSet::new();
    let mut others = Vec::new();
    for message in output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let message = &message["message"];
        if message["level"] != "error" {
            continue;
        }
        let mut spans: Vec<&Value> = message["spans"].as_array().into_iter().flatten().collect();
        let children = message["children"].as_array().into_iter().flatten();
        spans.extend(children.flat_map(|child| child["spans"].as_array().into_iter().flatten()));
        let place =
            |span: &Value, key: &str| usize::try_from(span[key].as_u64().unwrap_or_default()).unwrap_or_default();
        let blamed: Vec<usize> = spans
            .iter()
            .flat_map(|span| {
                let (start, end) = (place(span, "byte_start"), place(span, "byte_end"));
                let is_here = move |(file, range, _): &&(String, Range<usize>, usize)| {
                    span["file_name"] == file.as_str() && range.start <= start && end <= range.end
                };
                ranges.iter().filter(is_here).map(|(_, _, number)| *number)
            })
            .collect();
        if blamed.is_empty() {
            others.push(message["rendered"].as_str().unwrap_or_default().to_owned());
        }
        found.extend(blamed);
    }
    if found.is_empty() && !others.is_empty() {
        bail!("{}", others.concat());
    }
    Ok(found)
}

/// Builds the tests, and returns their binaries. `lib` are those in the files themselves.
fn build(tree: &Path, tests: &[String]) -> Result<Vec<(String, PathBuf)>> {
    let mut arguments = vec!["test", "--no-run"];
    for test in tests {
        arguments.extend(if test == "lib" { vec!["--lib"] } else { vec!["--test", test] });
    }
    let output = cargo(tree, &arguments)?;
    let built: BTreeMap<String, PathBuf> = output
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|message| {
            let target = &message["target"];
            let name = if target["kind"][0] == "lib" { "lib" } else { target["name"].as_str()? };
            Some((name.to_owned(), message["executable"].as_str()?.into()))
        })
        .collect();
    let binary = |test: &String| Ok((test.clone(), built.get(test).with_context(|| format!("no {test}"))?.clone()));
    tests.iter().map(binary).collect()
}

fn cargo(tree: &Path, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new("cargo");
    command.current_dir(tree).args(arguments).arg("--message-format=json").env("RUSTC_BOOTSTRAP", "1");
    let output = command.stderr(Stdio::inherit()).output()?;
    Ok(String::from_utf8(output.stdout)?)
}

/// Whether a test fails, or does not end, with this mutant.
fn is_killed(tree: &Path, binary: &Path, mutant: Option<usize>, limit: Duration) -> Result<bool> {
    let mut command = Command::new(binary);
    command.current_dir(tree).stdout(Stdio::piped()).stderr(Stdio::null());
    if let Some(number) = mutant {
        command.env("MUTANT", number.to_string());
    }
    let mut child = command.spawn()?;
    let output = BufReader::new(child.stdout.take().context("no output")?);
    // The first failed test is enough.
    let (send, receive) = channel();
    std::thread::spawn(move || {
        let is_failed = output.lines().map_while(Result::ok).any(|line| line.ends_with("FAILED"));
        send.send(is_failed)
    });
    let failed = receive.recv_timeout(limit);
    if failed != Ok(false) {
        child.kill()?;
    }
    let ended = child.wait()?;
    Ok(failed != Ok(false) || !ended.success())
}
