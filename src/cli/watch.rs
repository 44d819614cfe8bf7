//! `tickled watch`: the state of all gateways, redrawn each second on a terminal that is left as it was found.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Read};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use futures_util::StreamExt;
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook_tokio::Signals;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use super::options::SocketArgs;
use super::output::{complain, failed, say};
use super::status::{fetch, text};
use super::terminal::{form, is_dumb};
use crate::control::Error;
use crate::exit::Exit;
use crate::text::zone_named;

/// Show the state of all gateways, refreshed every second, until q or Ctrl-C; arrow keys, PgUp and PgDn scroll
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  tickled watch\n  tickled watch main")]
pub(super) struct Watch {
    /// Only these gateways
    gateways: Vec<String>,
    #[command(flatten)]
    socket: SocketArgs,
}

impl Watch {
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        if !io::stdout().is_terminal() || is_dumb() {
            complain(
                "watch needs a terminal that can be redrawn; `tickled status` prints the same once, and `tickled status \
                 --json` for programs",
            );
            return Ok(Exit::Usage);
        }
        if let Err(error) = self.text().await {
            return Ok(failed(&error));
        }
        self.redraw().await
    }

    /// The summary line and the output of `tickled status`. Each refresh looks for the daemon anew.
    async fn text(&self) -> Result<(String, String), Error> {
        let status = fetch(&self.socket.client()?, &self.gateways).await?;
        let time = status.at.to_zoned_datetime(zone_named(status.zone.as_deref())).strftime("%H:%M:%S %Z").to_string();
        Ok((format!("{} at {time}", status.summary()), text(&status, form())))
    }

    async fn redraw(&self) -> anyhow::Result<Exit> {
        let mut signals = Signals::new([SIGINT, SIGTERM]).context("cannot catch signals")?;
        let screen = Screen::take()?;
        let (mut keys, mut pressed) = (keys(), Vec::new());
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut shown, mut first) = ((String::new(), String::new()), 0);
        loop {
            tokio::select! {
                _ = signals.next() => break,
                Some(key) = keys.recv() => {
                    pressed.push(key);
                    match KeyPress::read(&pressed) {
                        Some(KeyPress::End) => break,
                        Some(KeyPress::Move(pages, lines)) => {
                            first = screen.scrolled(&shown.1, first, pages, lines);
                            pressed.clear();
                        }
                        Some(KeyPress::Other) => pressed.clear(),
                        None => continue,
                    }
                }
                _ = ticks.tick() => {
                    shown = self.text().await.unwrap_or_else(|error| (String::new(), format!("{error}\n")));
                    first = screen.scrolled(&shown.1, first, 0, 0);
                }
            }
            say(&screen.drawing(&shown.0, &shown.1, first))?;
        }
        drop(screen);
        Ok(Exit::Live)
    }
}

/// What a key does.
enum KeyPress {
    End,
    /// Scrolls by so many pages and lines.
    Move(isize, isize),
    Other,
}

impl KeyPress {
    /// The key of these bytes; `None` while more of them must follow.
    fn read(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [b'q' | b'Q' | CTRL_C | CTRL_D] => Some(Self::End),
            [b'k'] | [ESCAPE, b'[' | b'O', b'A'] => Some(Self::Move(0, -1)),
            [b'j'] | [ESCAPE, b'[' | b'O', b'B'] => Some(Self::Move(0, 1)),
            [b'b'] | [ESCAPE, b'[', b'5', b'~'] => Some(Self::Move(-1, 0)),
            [b' '] | [ESCAPE, b'[', b'6', b'~'] => Some(Self::Move(1, 0)),
            [ESCAPE] | [ESCAPE, b'[' | b'O'] | [ESCAPE, b'[', b'0'..=b'9'] => None,
            // The key Esc alone, and another after it.
            [ESCAPE, first, ..] if !matches!(first, b'[' | b'O') => Self::read(bytes.get(1..).unwrap_or_default()),
            // Ctrl-C ends it whatever came before.
            [.., CTRL_C | CTRL_D] => Some(Self::End),
            _ => Some(Self::Other),
        }
    }
}

/// The keys that are pressed. A thread waits for them, so that a terminal without input does not block.
fn keys() -> mpsc::Receiver<u8> {
    let (sender, keys) = mpsc::channel(8);
    // Without a terminal for input, only a signal ends it.
    if io::stdin().is_terminal() {
        let read = move || {
            let mut key = [0];
            while io::stdin().lock().read_exact(&mut key).is_ok() && sender.blocking_send(key[0]).is_ok() {}
        };
        // Where no thread can be started, a signal ends it as well.
        drop(std::thread::Builder::new().spawn(read));
    }
    keys
}

/// The terminal while it is ours: another page, no cursor, keys as they come.
struct Screen {
    /// None where the keys come from elsewhere.
    before: Option<Termios>,
}

impl Screen {
    fn take() -> anyhow::Result<Self> {
        let mut before = None;
        if io::stdin().is_terminal() {
            let found = tcgetattr(io::stdin()).context("cannot ask the terminal")?;
            let mut keys = found.clone();
            keys.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG);
            keys.special_codes[SpecialCodeIndex::VMIN] = 1;
            keys.special_codes[SpecialCodeIndex::VTIME] = 0;
            tcsetattr(io::stdin(), OptionalActions::Now, &keys).context("cannot set the terminal")?;
            before = Some(found);
        }
        let screen = Self { before };
        say("\x1b[?1049h\x1b[?25l")?;
        Ok(screen)
    }

    /// The rows of the terminal that the text may use.
    fn room() -> usize {
        let rows = tcgetwinsize(io::stdout()).map_or(ROWS, |size| usize::from(size.ws_row));
        (if rows == 0 { ROWS } else { rows }).saturating_sub(FRAME).max(1)
    }

    /// The first line to show after scrolling from `first` by so many pages and lines.
    fn scrolled(&self, text: &str, first: usize, pages: isize, lines: isize) -> usize {
        let room = Self::room();
        let by = pages.saturating_mul(isize::try_from(room).unwrap_or(1)).saturating_add(lines);
        first.saturating_add_signed(by).min(text.lines().count().saturating_sub(room))
    }

    /// Draws the summary, and the text from its line `first` on as far as it fits.
    fn drawing(&self, summary: &str, text: &str, first: usize) -> String {
        let room = Self::room();
        let mut out = format!("\x1b[H{summary}\x1b[K\r\n\x1b[K\r\n");
        let lines: Vec<&str> = text.lines().collect();
        for line in lines.iter().skip(first).take(room) {
            // Writing into a string does not fail.
            let _ = write!(out, "{line}\x1b[K\r\n");
        }
        let below = lines.len().saturating_sub(first + room);
        let keys = if self.before.is_some() { "q ends" } else { "Ctrl-C ends" };
        let more = match (first, below) {
            (0, 0) => String::new(),
            (above, below) => format!("; \u{2191}\u{2193} PgUp PgDn: {above} lines above, {below} below"),
        };
        let _ = write!(out, "\x1b[J{keys}{more}");
        out
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        drop(say("\x1b[?25h\x1b[?1049l"));
        if let Some(before) = &self.before {
            // A terminal that is gone needs no restoring.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}

/// The rows for the summary and the keys.
const FRAME: usize = 3;
const ESCAPE: u8 = 27;
const EVERY: Duration = Duration::from_secs(1);
const CTRL_C: u8 = 3;
const CTRL_D: u8 = 4;
/// Used if the terminal does not report its size.
const ROWS: usize = 24;
