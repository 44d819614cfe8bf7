//! The program: everything is in [`tickled::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    tickled::cli::run()
}
