//! `tickled man`: the manual pages.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Command};

use super::output::{complain, say};
use crate::exit::Exit;
use crate::man;

/// Print manual pages
#[derive(Debug, Args)]
pub(super) struct Man {
    /// The verb, as: config check [default: the page of the whole program]
    verb: Vec<String>,
    /// Write all pages into this directory instead
    #[arg(long, value_name = "DIR", conflicts_with = "verb")]
    into: Option<PathBuf>,
}

impl Man {
    pub(super) fn run(self, program: Command) -> anyhow::Result<Exit> {
        if let Some(folder) = self.into {
            return write_manual(program, &folder);
        }
        let Some(page) = man::page(program, &self.verb)? else {
            complain(&format!("there is no page for {}: tickled --help lists the verbs", self.verb.join(" ")));
            return Ok(Exit::Usage);
        };
        say(&page.text)?;
        Ok(Exit::Live)
    }
}

fn write_manual(program: Command, folder: &Path) -> anyhow::Result<Exit> {
    let pages = man::manual(program)?;
    let write = || {
        fs::create_dir_all(folder).map_err(|error| (folder.to_owned(), error))?;
        pages.iter().try_for_each(|page| {
            let file = folder.join(&page.file);
            fs::write(&file, &page.text).map_err(|error| (file, error))
        })
    };
    if let Err((path, error)) = write() {
        complain(&format!("--into: cannot write {}: {error}", path.display()));
        return Ok(Exit::Usage);
    }
    Ok(Exit::Live)
}
