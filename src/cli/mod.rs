//! The command line: parses it, runs the verb, and ends with its exit code. One file per verb.

mod ack;
mod alert;
mod cert;
mod check;
mod completions;
mod config;
mod doctor;
mod history;
mod history_text;
mod hook;
mod login;
mod login_wait;
mod logout;
mod man;
mod options;
mod output;
mod pause;
mod resume;
mod run;
mod runtime;
mod simulate;
mod status;
mod status_text;
mod terminal;
mod wait;
mod watch;

use std::io;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use self::output::complain;
use self::runtime::asynchronously;
use crate::demo;
use crate::exit::Exit;

/// Keep Interactive Brokers Client Portal sessions alive, and alert you when a login is needed
#[derive(Debug, Parser)]
#[command(name = "tickled", version, propagate_version = true, after_help = exit_codes(), max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Run(run::RunArgs),
    /// Run a short demo: the daemon against a simulated gateway
    Demo,
    Simulate(simulate::Simulate),
    Status(status::StatusArgs),
    Watch(watch::Watch),
    Wait(wait::WaitArgs),
    History(history::HistoryArgs),
    Check(check::CheckArgs),
    Pause(pause::PauseArgs),
    Resume(resume::Resume),
    Logout(logout::LogoutArgs),
    Ack(ack::Ack),
    Cert(cert::Cert),
    /// Test alert channels
    #[command(subcommand)]
    Alert(alert::AlertArgs),
    /// Test hooks
    #[command(subcommand)]
    Hook(hook::HookArgs),
    Login(login::LoginArgs),
    Doctor(doctor::Doctor),
    /// Validate and print configurations
    #[command(subcommand)]
    Config(config::ConfigArgs),
    Man(man::Man),
    Completions(completions::Completions),
}

/// Runs the program with the arguments of this process.
#[must_use]
pub fn run() -> ExitCode {
    let outcome = match Cli::try_parse() {
        Ok(cli) => cli.verb.run(),
        Err(error) => return refused(&error).code().into(),
    };
    let exit = outcome.unwrap_or_else(|error| {
        complain(&format!("{error:#}"));
        Exit::Internal
    });
    exit.code().into()
}

impl Verb {
    fn run(self) -> anyhow::Result<Exit> {
        match self {
            Self::Run(run) => run.run(),
            Self::Demo => asynchronously(demo::run()),
            Self::Simulate(simulate) => asynchronously(simulate.run()),
            Self::Status(status) => asynchronously(status.run()),
            Self::Watch(watch) => asynchronously(watch.run()),
            Self::Wait(wait) => asynchronously(wait.run()),
            Self::History(history) => asynchronously(history.run()),
            Self::Check(check) => asynchronously(check.run()),
            Self::Pause(pause) => asynchronously(pause.run()),
            Self::Resume(resume) => asynchronously(resume.run()),
            Self::Logout(logout) => asynchronously(logout.run()),
            Self::Ack(ack) => asynchronously(ack.run()),
            Self::Cert(cert) => asynchronously(cert.run()),
            Self::Alert(alert) => asynchronously(alert.run()),
            Self::Hook(hook) => asynchronously(hook.run()),
            Self::Login(login) => asynchronously(login.run()),
            Self::Doctor(doctor) => asynchronously(doctor.run()),
            Self::Config(config) => config.run(),
            Self::Man(man) => man.run(Cli::command()),
            Self::Completions(completions) => completions.run(Cli::command()),
        }
    }
}

/// Prints clap's output: help, the version, or what is wrong with the arguments.
fn refused(error: &clap::Error) -> Exit {
    let exit = if error.use_stderr() { Exit::Usage } else { Exit::Live };
    match error.print() {
        Err(fault) if exit == Exit::Live && fault.kind() != io::ErrorKind::BrokenPipe => Exit::Internal,
        Ok(()) | Err(_) => exit,
    }
}

fn exit_codes() -> String {
    format!("Exit codes:\n{}", Exit::table())
}
