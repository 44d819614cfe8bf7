//! What the terminal supports: its width, colours, and characters beyond ASCII.

use std::env;
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;

/// In what form a result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OutputForm {
    /// One JSON object.
    Json,
    /// For people.
    Text {
        /// How many characters fit on a line.
        width: usize,
        /// Whether to use colours.
        colours: bool,
        /// Whether the terminal has more than ASCII.
        unicode: bool,
    },
}

/// How text for people is written to standard output.
pub(super) fn form() -> OutputForm {
    OutputForm::Text { width: width(), colours: colours(), unicode: unicode(|name| env::var_os(name)) }
}

/// Characters per line: `$COLUMNS`, else what the terminal says. A pipe has no width, and gets a wide line.
fn width() -> usize {
    width_of(io::stdout())
}

/// The same for another stream.
pub(super) fn width_of(stream: impl AsFd) -> usize {
    let named = env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let terminal = || rustix::termios::tcgetwinsize(stream).ok().map(|size| usize::from(size.ws_col));
    named.filter(|width| *width > 0).or_else(terminal).filter(|width| *width > 0).unwrap_or(WIDE)
}

/// Where lines must be wrapped: `None` if standard output is not a terminal.
pub(super) fn terminal() -> Option<usize> {
    io::stdout().is_terminal().then(width)
}

/// Whether to use colours: <https://no-color.org>, and not where the terminal knows none.
fn colours() -> bool {
    io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none_or(|no| no.is_empty()) && !is_dumb()
}

/// Whether the terminal cannot move its cursor.
pub(super) fn is_dumb() -> bool {
    env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// Whether the locale has more than ASCII. Where no locale is set, as in most containers, UTF-8 is assumed.
fn unicode(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let set = |name: &&str| variable(name).filter(|value| !value.is_empty());
    let Some(locale) = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(set) else { return true };
    let locale = locale.to_string_lossy().to_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

const WIDE: usize = 120;

#[cfg(test)]
mod tests {
    use super::unicode;

    #[test]
    fn the_locale_decides_about_characters() {
        let of = |set: &[(&str, &str)]| {
            unicode(|name| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into()))
        };
        for utf8 in
            [&[][..], &[("LANG", "C.UTF-8")], &[("LANG", "tr_TR.utf8")], &[("LC_ALL", ""), ("LANG", "en_US.UTF-8")]]
        {
            assert!(of(utf8), "{utf8:?}");
        }
        for ascii in [
            &[("LANG", "C")][..],
            &[("LANG", "POSIX")],
            &[("LANG", "de_DE@euro")],
            &[("LC_ALL", "C"), ("LANG", "en_US.UTF-8")],
            &[("LC_CTYPE", "C"), ("LANG", "en_US.UTF-8")],
        ] {
            assert!(!of(ascii), "{ascii:?}");
        }
    }
}
