//! The program: parse, build, announce, drain.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod cli;
mod client;
mod config;
mod ledger;
mod parts;
mod program;
mod rebuild;
mod reload;
mod roles;
mod upgrade;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

use cli::{Cli, Command, Role};
use config::Config;
use program::Program;
use reload::Reloading;

fn main() -> ExitCode {
    let told = match Cli::parse().command {
        // One line, whatever the error's own words are.
        Command::Role(role) => run(&role).map_err(|error| {
            let line = error.to_string().replace('\n', " ");
            format!("tagwire: {line}")
        }),
        Command::Client(command) => client::run(&command),
        Command::Ledger(command) => ledger::run(&command),
        Command::Analytics(command) => rebuild::run(&command),
        Command::Completions { shell } => {
            cli::print_completions(shell);
            Ok(())
        }
    };
    match told {
        Ok(()) => ExitCode::SUCCESS,
        Err(told) => {
            let _ = writeln!(std::io::stderr(), "{told}"); // nobody is left to tell
            ExitCode::FAILURE
        }
    }
}

fn run(role: &Role) -> anyhow::Result<()> {
    let read = || Config::load(role.config_file(), std::env::vars_os(), role.flags());
    let config = read()?;
    let log_filter = telemetry::logging::init(config.log.format, &config.log.filter)?;
    let mut program = Program::new(config)?;
    let role = roles::build(role, &program)?;
    role.announce(&program);
    let mut reloading = Reloading::new(&*role, log_filter, program.config.clone());
    let (ended, deadline) =
        program.until_the_end(|at_start| reloading.take(read().map_err(Into::into), at_start));
    program.end_at_the_next_signal();
    role.drain(&program, deadline);
    program.end();
    ended
}
