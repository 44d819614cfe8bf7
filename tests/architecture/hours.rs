//! No test depends on the hour: a configuration that meets the real clock has no maintenance windows, or says why not.

use std::fs;
use std::path::{Path, PathBuf};

use crate::sources;

/// What a test's file says when it starts the daemon as a process.
const STARTS: [&str; 4] = ["Daemon::", " Host::", "Machine::", "\"run\", \"--config\""];
/// What makes the hour indifferent: the helper, the lines it writes, or the comment that gives the reason.
const SAFE: [&str; 3] = ["by_day(", "window = ", "// At any hour: "];

/// How an item of a file begins.
const FIRST: [&str; 9] = ["fn ", "async fn ", "pub", "const ", "static ", "impl ", "mod ", "use ", "struct "];

#[test]
fn no_configuration_on_the_real_clock_depends_on_the_hour() {
    let this = Path::new(env!("CARGO_MANIFEST_DIR")).join(file!());
    let files: Vec<PathBuf> = sources("tests").into_iter().filter(|file| *file != this).collect();
    let (mut seen, mut all) = (0, Vec::new());
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        if STARTS.iter().any(|start| text.contains(start)) {
            let (configurations, odd) = judge(&text);
            seen += configurations;
            all.extend(odd.into_iter().map(|item| format!("{}: {item}", file.display())));
        }
    }
    assert!(all.is_empty(), "use by_day(..), or give the reason:\n{}", all.join("\n"));
    assert!(seen >= 20, "{seen} configurations");
}

#[test]
fn a_configuration_with_the_shipped_windows_is_found() {
    let item = |body: &str| format!("fn a() {{\n    Daemon::run(&file({body}));\n}}\n\nfn b() {{\n}}\n");
    assert_eq!(judge(&item("\"[gateway.main]\"")), (1, vec!["fn a() {".to_owned()]));
    assert_eq!(judge(&item("&by_day(\"[gateway.main]\")")), (1, Vec::new()));
    assert_eq!(judge(&item("\"[gateway.main]\" // At any hour: it is refused")), (1, Vec::new()));
    assert_eq!(
        judge("const TWO: &str = \"[gateway.main]\";\n"),
        (1, vec!["const TWO: &str = \"[gateway.main]\";".into()])
    );
    assert_eq!(judge(&item("\"\"")), (0, Vec::new()));
}

/// How many items of a text hold configurations, and the first lines of those that depend on the hour.
fn judge(text: &str) -> (usize, Vec<String>) {
    let mut items = vec![String::new()];
    for line in text.lines() {
        if FIRST.iter().any(|word| line.starts_with(word)) {
            items.push(String::new());
        }
        if let Some(item) = items.last_mut() {
            item.push_str(line);
            item.push('\n');
        }
    }
    items.retain(|item| item.contains("[gateway."));
    let odd = items.iter().filter(|item| !SAFE.iter().any(|safe| item.contains(safe)));
    let odd = odd.map(|item| item.lines().next().unwrap_or_default().to_owned()).collect();
    (items.len(), odd)
}
