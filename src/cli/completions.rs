//! `tickled completions`: completions for shells.

use clap::{Args, Command};
use clap_complete::Shell;

use super::output::say;
use crate::exit::Exit;
use crate::man;

/// Print shell completions
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self, program: Command) -> anyhow::Result<Exit> {
        say(&man::completions(program, self.shell)).map(|()| Exit::Live)
    }
}
