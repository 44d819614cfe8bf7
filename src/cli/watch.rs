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

use super::options::Socket;
use super::output::{complain, failed, say};
use super::status::{fetch, text};
use super::terminal::{form, is_dumb};
use crate::control::Error;
use crate::exit::Exit;

/// Show the state of all gateways, refreshed every second, until q or Ctrl-C
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  tickled watch\n  tickled watch main")]
pub(super) struct Watch {
    /// Only these gateways
    gateways: Vec<String>,
    #[command(flatten)]
    socket: Socket,
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

    /// What `tickled status` prints. The daemon may be another one each time.
    async fn text(&self) -> Result<String, Error> {
        let status = fetch(&self.socket.client()?, &self.gateways).await?;
        Ok(text(&status, form()))
    }

    async fn redraw(&self) -> anyhow::Result<Exit> {
        let mut signals = Signals::new([SIGINT, SIGTERM]).context("cannot catch signals")?;
        let screen = Screen::take()?;
        let mut keys = keys();
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = signals.next() => break,
                Some(key) = keys.recv() => {
                    if matches!(key, b'q' | b'Q' | CTRL_C | CTRL_D) {
                        break;
                    }
                }
                _ = ticks.tick() => {
                    let text = self.text().await.unwrap_or_else(|error| format!("{error}\n"));
                    say(&screen.drawing(&text))?;
                }
            }
        }
        drop(screen);
        Ok(Exit::Live)
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

    /// What draws `text` over what stands there, as far as it fits.
    fn drawing(&self, text: &str) -> String {
        let rows = tcgetwinsize(io::stdout()).map_or(ROWS, |size| usize::from(size.ws_row));
        let rows = if rows == 0 { ROWS } else { rows };
        let keys = if self.before.is_some() { "q ends" } else { "Ctrl-C ends" };
        let mut out = "\x1b[H".to_owned();
        let lines: Vec<&str> = text.lines().collect();
        let room = rows.saturating_sub(2).max(1);
        for line in lines.iter().take(room) {
            // Writing into a string does not fail.
            let _ = write!(out, "{line}\x1b[K\r\n");
        }
        let more = lines.len().saturating_sub(room);
        let more = match more {
            0 => String::new(),
            1 => "; 1 more line does not fit".to_owned(),
            more => format!("; {more} more lines do not fit"),
        };
        let _ = write!(out, "\x1b[J\r\n{keys}{more}");
        out
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        drop(say("\x1b[?25h\x1b[?1049l"));
        if let Some(before) = &self.before {
            // A terminal that is gone needs no setting back.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}

const EVERY: Duration = Duration::from_secs(1);
const CTRL_C: u8 = 3;
const CTRL_D: u8 = 4;
/// Where the terminal does not say.
const ROWS: usize = 24;
