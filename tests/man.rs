//! The manual pages and completions that are committed are the ones that the real binary makes.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

use tickled::exit::Exit;

#[test]
fn the_committed_pages_are_the_pages() {
    let above = env::temp_dir().join(format!("tickled-pages-{}", std::process::id()));
    let folder = above.join("share/man");
    assert!(tickled(&["man", "--into", folder.to_str().unwrap()]).status.success());
    let made = files(&folder);
    fs::remove_dir_all(&above).unwrap();
    assert!(made.len() >= 8 && made.contains_key("tickled.1") && made.contains_key("tickled-config-check.1"));
    hold_against("docs/man", &made);

    let main = &made["tickled.1"];
    for exit in Exit::ALL {
        let row = format!("{:>4}  {}", exit.code(), exit.meaning());
        assert!(main.contains(&row.replace('-', "\\-")), "the page says what {} means", exit.code());
    }
    for section in ["ENVIRONMENT", "FILES", "SIGNALS"] {
        for page in ["tickled.1", "tickled-run.1"] {
            assert!(made[page].contains(&format!(".SH {section}\n")), "{page}: {section}");
        }
    }
    for (file, page) in &made {
        // Each variable that an option reads is explained, and so is the file that it names.
        for variable in ["CONFIG", "SOCKET"].map(|name| format!("TICKLED_{name}")) {
            let is_read = page.contains(&format!("specified with the \\fB{variable}\\fR"));
            let is_explained = page.contains(&format!("\\fB{variable}\\fR\n"));
            assert!(is_explained || !is_read, "{file}: {variable}");
            assert!(page.contains(".SH FILES\n") || !is_read, "{file}");
        }
        assert_eq!(page.matches(".TH ").count(), 1, "{file}");
        assert_eq!(page.matches(".ds Aq").count(), 2, "{file}: the preamble stands there once");
    }
}

#[test]
fn a_page_is_printed_by_the_words_of_its_verb() {
    let committed = files(&root().join("docs/man"));
    assert_eq!(text(&tickled(&["man"])), committed["tickled.1"]);
    assert_eq!(text(&tickled(&["man", "config", "check"])), committed["tickled-config-check.1"]);
    let unknown = tickled(&["man", "fly"]);
    assert_eq!(unknown.status.code(), Some(Exit::Usage.code().into()));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("no page for fly"));
    let nowhere = tickled(&["man", "--into", "/dev/null/pages"]);
    assert_eq!(nowhere.status.code(), Some(Exit::Usage.code().into()));
    assert!(String::from_utf8_lossy(&nowhere.stderr).contains("--into: cannot write /dev/null/pages: "));
}

#[test]
fn the_committed_completions_are_the_completions() {
    let made = [("bash", "tickled"), ("zsh", "_tickled"), ("fish", "tickled.fish")]
        .map(|(shell, file)| (file.to_owned(), text(&tickled(&["completions", shell]))));
    hold_against("completions", &made.into());
    let unknown = tickled(&["completions", "command.com"]);
    assert_eq!(unknown.status.code(), Some(Exit::Usage.code().into()));
}

/// Compares a folder with what was made; with `BLESS` set, writes it anew.
fn hold_against(folder: &str, made: &BTreeMap<String, String>) {
    let path = root().join(folder);
    if env::var_os("BLESS").is_some() {
        fs::create_dir_all(&path).unwrap();
        for file in files(&path).keys() {
            fs::remove_file(path.join(file)).unwrap();
        }
        for (file, text) in made {
            fs::write(path.join(file), text).unwrap();
        }
    }
    let committed = files(&path);
    let (names, made_names): (Vec<_>, Vec<_>) = (committed.keys().collect(), made.keys().collect());
    assert_eq!(names, made_names, "{folder}: BLESS=1 cargo test --test man writes it anew");
    for (file, text) in made {
        assert!(committed[file] == *text, "{folder}/{file} is old: BLESS=1 cargo test --test man writes it anew");
    }
}

fn files(folder: &Path) -> BTreeMap<String, String> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files
        .map(|file| (file.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(file).unwrap()))
        .collect()
}

fn text(output: &Output) -> String {
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn tickled(arguments: &[&str]) -> Output {
    // The value of a variable has no place in a page.
    Command::new(env!("CARGO_BIN_EXE_tickled")).args(arguments).env("TICKLED_CONFIG", "/elsewhere").output().unwrap()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
