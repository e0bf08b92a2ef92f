//! The commands that talk to the admin API: for people in tables, for programs with `--json`.
//!
//! Where the API is and which key opens it comes from the environment or from the data directory, never from arguments, which everyone on the
//! machine can read.

mod audit;
mod connection;
mod failure;
mod fields;
mod keys;
pub(crate) mod output;
mod pages;
mod tags;
mod transfer;
mod workspaces;

use clap::{Args, Subcommand};

use self::connection::{Connection, Reach};
pub(crate) use self::failure::Failure;
use self::output::Output;

const ENVIRONMENT: &str = "\
Where the API is: TAGWIRE_URL, by default http://127.0.0.1:8081. Its key: in the file that TAGWIRE_KEY_FILE names, else in TAGWIRE_KEY, else,
for an API on this machine, in admin.key of the data directory (TAGWIRE_NODE__DATA_DIR, by default ./data).
Exit codes: 0 done, 1 refused or failed (standard error says why), 2 wrong usage.";

/// What is asked of the admin API.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make, read, change, compare and revoke tags
    #[command(after_help = ENVIRONMENT)]
    Tags(Of<tags::Command>),
    /// Make, list and revoke keys to the API
    #[command(after_help = ENVIRONMENT)]
    Keys(Of<keys::Command>),
    /// Make and list workspaces
    #[command(after_help = ENVIRONMENT)]
    Workspaces(Of<workspaces::Command>),
    /// Tell who changed what, when and from where
    #[command(after_help = ENVIRONMENT)]
    Audit(WithOutput<audit::Audit>),
}

/// A command that has commands of its own.
#[derive(Debug, Args)]
pub(crate) struct Of<C: Subcommand> {
    #[command(subcommand)]
    command: C,
    #[command(flatten)]
    reach: Reach,
    #[command(flatten)]
    output: Output,
}

/// A command that has none.
#[derive(Debug, Args)]
pub(crate) struct WithOutput<A: Args> {
    #[command(flatten)]
    command: A,
    #[command(flatten)]
    reach: Reach,
    #[command(flatten)]
    output: Output,
}

/// Does what was asked for; why it was not done, for standard error.
pub(crate) fn run(command: &Command) -> Result<(), String> {
    match carry_out(command) {
        Err(Failure::NobodyReads) => Ok(()),
        done => done.map_err(|failure| failure.tell(command.is_json())),
    }
}

fn carry_out(command: &Command) -> Result<(), Failure> {
    let api = Connection::from_environment(command.reach())?;
    match command {
        Command::Tags(of) => tags::run(&of.command, &api, of.output),
        Command::Keys(of) => keys::run(&of.command, &api, of.output),
        Command::Workspaces(of) => workspaces::run(&of.command, &api, of.output),
        Command::Audit(of) => audit::run(&of.command, &api, of.output),
    }
}

impl Command {
    fn reach(&self) -> Reach {
        match self {
            Self::Tags(of) => of.reach,
            Self::Keys(of) => of.reach,
            Self::Workspaces(of) => of.reach,
            Self::Audit(of) => of.reach,
        }
    }

    /// Whether failures are told to a program.
    fn is_json(&self) -> bool {
        let output = match self {
            Self::Tags(of) => of.output,
            Self::Keys(of) => of.output,
            Self::Workspaces(of) => of.output,
            Self::Audit(of) => of.output,
        };
        output.json
    }
}
