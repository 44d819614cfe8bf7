//! The manual pages and the completions of the shells, both made from the definition of the command line.

use std::fmt::Write;
use std::io;

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

/// One manual page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Its file, such as `tickled-config-check.1`.
    pub file: String,
    /// Its text, as man(1) reads it.
    pub text: String,
}

/// The page of the program, and one for each verb that is not hidden.
///
/// # Errors
/// None that memory does not have.
pub fn manual(program: Command) -> io::Result<Vec<Page>> {
    let mut program = program.disable_help_subcommand(true);
    program.build();
    let source = format!("{} {}", program.get_name(), program.get_version().unwrap_or_default());
    let mut pages = Vec::new();
    add_page(&program, &source, None, &mut pages)?;
    Ok(pages)
}

/// The page of one verb by its words, such as `config check`, or of the program if there are none.
///
/// # Errors
/// None that memory does not have.
pub fn page(program: Command, verb: &[String]) -> io::Result<Option<Page>> {
    let words = [&[program.get_name().to_owned()], verb].concat();
    let file = format!("{}.{SECTION}", words.join("-"));
    Ok(manual(program)?.into_iter().find(|page| page.file == file))
}

/// What completes the program's command line in a shell.
#[must_use]
pub fn completions(mut program: Command, shell: Shell) -> String {
    let name = program.get_name().to_owned();
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut program, name, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

fn add_page(command: &Command, source: &str, above: Option<&str>, pages: &mut Vec<Page>) -> io::Result<()> {
    let man = Man::new(command.clone()).section(SECTION);
    let file = man.get_filename();
    let name = file.trim_end_matches(".1").to_owned();
    // No date, so that a page changes only with what it says. The crate would leave an empty argument out.
    let mut text = format!(".TH {name} {SECTION} \"\" \"{source}\" \"\"\n").into_bytes();
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    if command.get_arguments().any(|argument| !argument.is_hide_set()) {
        man.render_options_section(&mut text)?;
    }
    if verbs(command).next().is_some() {
        man.render_subcommands_section(&mut text)?;
    }
    let after = command.get_after_long_help().or_else(|| command.get_after_help());
    let mut end = after.map(|after| sections(&after.to_string())).unwrap_or_default();
    match above {
        None => end.push_str(END_OF_PROGRAM),
        // Writing to a String cannot fail.
        Some(above) => drop(writeln!(end, ".SH \"SEE ALSO\"\n\\fB{}\\fR({SECTION})", above.replace('-', "\\-"))),
    }
    // Each part comes with the same preamble, and a page needs it once.
    let preamble = Roff::default().render();
    let text = format!("{preamble}{}{end}", String::from_utf8_lossy(&text).replace(&preamble, ""));
    pages.push(Page { file, text });
    for verb in verbs(command) {
        add_page(verb, source, Some(&name), pages)?;
    }
    Ok(())
}

fn verbs(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|verb| !verb.is_hide_set())
}

/// What stands behind the help, as sections: each paragraph is one, headed by its first line, its lines kept as they are.
fn sections(after: &str) -> String {
    let mut text = String::new();
    for paragraph in after.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty()) {
        let (heading, lines) = match paragraph.trim_start_matches('\n').split_once(":\n") {
            Some((heading, lines)) if !heading.contains('\n') => (heading, lines),
            Some(_) | None => ("NOTES", paragraph),
        };
        let mut roff = Roff::default();
        roff.control("SH", [heading.to_uppercase().as_str()]);
        roff.control("nf", []);
        for line in lines.lines() {
            roff.text([roman(line)]);
        }
        roff.control("fi", []);
        text.push_str(&roff.to_roff());
    }
    text
}

const SECTION: &str = "1";

/// What the page of the program says at its end.
const END_OF_PROGRAM: &str = r#".SH FILES
.TP
\fI/etc/tickled/tickled.toml\fR
The configuration; \fBtickled config default\fR prints every key with its default and its meaning.
.TP
\fI/var/lib/tickled\fR
What is kept across restarts.
.SH "SEE ALSO"
\fBjournalctl\fR(1), \fBsystemctl\fR(1)
"#;
