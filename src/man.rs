//! Manual pages and shell completions, generated from the definition of the command line.

use std::fmt::Write;
use std::io;

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

/// One manual page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManPage {
    /// Its file, such as `tickled-config-check.1`.
    pub file: String,
    /// Its text, as man(1) reads it.
    pub text: String,
}

/// The page of the program, and one for each verb that is not hidden.
///
/// # Errors
/// Never in practice: the pages are written to memory.
pub fn manual(program: Command) -> io::Result<Vec<ManPage>> {
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
/// Never in practice: the pages are written to memory.
pub fn page(program: Command, verb: &[String]) -> io::Result<Option<ManPage>> {
    let words = [&[program.get_name().to_owned()], verb].concat();
    let file = format!("{}.{SECTION}", words.join("-"));
    Ok(manual(program)?.into_iter().find(|page| page.file == file))
}

/// The completions for a shell.
#[must_use]
pub fn completions(mut program: Command, shell: Shell) -> String {
    let name = program.get_name().to_owned();
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut program, name, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

fn add_page(command: &Command, source: &str, above: Option<&str>, pages: &mut Vec<ManPage>) -> io::Result<()> {
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
    end.push_str(&surroundings(command, &name));
    match above {
        None => end.push_str(END_OF_PROGRAM),
        // Writing to a String cannot fail.
        Some(above) => drop(writeln!(end, ".SH \"SEE ALSO\"\n\\fB{}\\fR({SECTION})", above.replace('-', "\\-"))),
    }
    // Each part comes with the same preamble, and a page needs it once.
    let preamble = Roff::default().render();
    let text = format!("{preamble}{}{end}", String::from_utf8_lossy(&text).replace(&preamble, ""));
    pages.push(ManPage { file, text });
    for verb in verbs(command) {
        add_page(verb, source, Some(&name), pages)?;
    }
    Ok(())
}

fn verbs(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|verb| !verb.is_hide_set())
}

/// The text after the help as sections: one for each paragraph, with its first line as the heading.
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

/// A named part of a section: the name, and what it means.
type Item = (&'static str, &'static str);

/// The sections that follow from what a command reads: its variables, its files, its signals.
fn surroundings(command: &Command, name: &str) -> String {
    let reads =
        |variable: &str| command.get_arguments().any(|argument| argument.get_env().is_some_and(|env| env == variable));
    let is_program = name == command.get_name();
    let is_daemon = name.ends_with("-run");
    let all = is_program || is_daemon;
    let mut text = String::new();
    let of = |all: &[(bool, &[Item])]| {
        all.iter().filter(|(shown, _)| *shown).flat_map(|(_, items)| items.iter().copied()).collect::<Vec<Item>>()
    };
    let (config, socket) = (all || reads("TICKLED_CONFIG"), is_program || reads("TICKLED_SOCKET"));
    section(
        &mut text,
        "ENVIRONMENT",
        &of(&[
            (config, CONFIG_ENVIRONMENT),
            (socket, SOCKET_ENVIRONMENT),
            (all || socket, DIRECTORY_ENVIRONMENT),
            (all, DAEMON_ENVIRONMENT),
            (!is_daemon, TERMINAL_ENVIRONMENT),
        ]),
    );
    section(&mut text, "FILES", &of(&[(config, CONFIG_FILES), (all || socket, SOCKET_FILES), (all, DAEMON_FILES)]));
    section(&mut text, "SIGNALS", &of(&[(all, SIGNALS)]));
    text
}

fn section(text: &mut String, heading: &str, items: &[Item]) {
    if items.is_empty() {
        return;
    }
    let mut roff = Roff::default();
    roff.control("SH", [heading]);
    for (name, meaning) in items {
        roff.control("TP", []);
        roff.text([bold(*name)]);
        roff.text([roman(*meaning)]);
    }
    text.push_str(&roff.to_roff());
}

const CONFIG_ENVIRONMENT: &[Item] = &[
    ("TICKLED_CONFIG", "The configuration file, if --config is not given."),
    (
        "TICKLED_TABLE__KEY",
        "Sets one key of the configuration, such as TICKLED_SESSION__PING_EVERY=30s. It overrides the file. \
         `tickled config default` explains the form.",
    ),
];

const SOCKET_ENVIRONMENT: &[Item] =
    &[("TICKLED_SOCKET", "The control socket of the daemon, if --socket is not given.")];

const DIRECTORY_ENVIRONMENT: &[Item] = &[
    (
        "STATE_DIRECTORY, XDG_STATE_HOME, HOME",
        "The state directory, if --state-dir is not given. systemd sets STATE_DIRECTORY.",
    ),
    (
        "RUNTIME_DIRECTORY, XDG_RUNTIME_DIR",
        "The runtime directory, if --runtime-dir is not given. systemd sets RUNTIME_DIRECTORY.",
    ),
];

const DAEMON_ENVIRONMENT: &[Item] = &[
    ("CREDENTIALS_DIRECTORY", "Directory of the secrets that the configuration names as credentials. systemd sets it."),
    (
        "NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID",
        "Where to report readiness and status, and how often. systemd sets them.",
    ),
    ("JOURNAL_STREAM", "Whether the log goes to the journal, which then gets fields of its own. systemd sets it."),
    (
        "HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY",
        "The proxy for alert channels. Gateways are never asked through a proxy.",
    ),
];

const TERMINAL_ENVIRONMENT: &[Item] = &[
    ("COLUMNS", "The width at which text is wrapped. Without it, the width of the terminal."),
    ("NO_COLOR", "If set and not empty, no colours. TERM=dumb does the same."),
    ("LC_ALL, LC_CTYPE, LANG", "A locale without UTF-8 restricts the output to ASCII."),
];

const CONFIG_FILES: &[Item] = &[(
    "/etc/tickled/tickled.toml",
    "The configuration. `tickled config default` prints every key with its default and meaning.",
)];

const SOCKET_FILES: &[Item] = &[(
    "/run/tickled/control.sock",
    "The control socket of the service. Other daemons have theirs in their runtime directory.",
)];

const DAEMON_FILES: &[Item] = &[
    (
        "/var/lib/tickled",
        "The state directory of the service: last states, pauses, the history, and alerts that are not delivered yet.",
    ),
    ("/run/tickled-by-hand", "Locks of a daemon that root started by hand, for other daemons to see."),
];

const SIGNALS: &[Item] = &[
    (
        "SIGHUP",
        "Reloads the configuration. Sessions of gateways that did not change are not touched. A faulty file changes nothing. \
         When the terminal that the daemon was started in is closed, it ends instead, unless it was started with nohup.",
    ),
    ("SIGUSR1", "Checks all gateways at once."),
    (
        "SIGTERM, SIGINT",
        "End the daemon within five seconds. No session is logged out. A second one ends it at once with exit code 75.",
    ),
];

/// The end of the program's own page.
const END_OF_PROGRAM: &str = ".SH \"SEE ALSO\"\n\\fBjournalctl\\fR(1), \\fBsystemctl\\fR(1)\n";
