//! `tagwire ledger`: what was accepted, compared with what is stored. It asks the scan store itself, and neither the API nor the sink,
//! whose word is what is judged.

mod report;

use std::path::PathBuf;

use analytics::{LedgerReport, Period};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _};
use jiff::{SignedDuration, Timestamp};
use tags::WorkspaceId;
use tokio::runtime::Builder;

use crate::cli::{Cli, Data};
use crate::client::Failure;
use crate::client::output::Output;
use crate::config::Config;
use crate::parts::scan_store;

/// From where to where, where nothing is said.
const DAY: SignedDuration = SignedDuration::from_hours(24);

#[derive(Debug, Args)]
pub(crate) struct Ledger {
    /// Batches that were taken from this moment on, as in RFC 3339 [default: 24 hours before --to]
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<Timestamp>,
    /// Batches that were taken before this moment [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    to: Option<Timestamp>,
    /// What is stored of this workspace alone; what was accepted is known of all together only
    #[arg(long, value_name = "ID")]
    workspace: Option<WorkspaceId>,
    /// TOML file with the configuration
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    data: Data,
    #[command(flatten)]
    output: Output,
}

/// Prints the comparison; an error says what differs, or why there is none.
pub(crate) fn run(command: &Ledger) -> Result<(), String> {
    match compare(command) {
        Err(Failure::NobodyReads) => Ok(()),
        done => done.map_err(|failure| failure.tell(command.output.json)),
    }
}

fn compare(command: &Ledger) -> Result<(), Failure> {
    let now = Timestamp::now();
    let period = command.period(now);
    let config = Config::load(
        command.config.as_deref(),
        std::env::vars_os(),
        command.data.flags(),
    );
    let config = config.map_err(Failure::new)?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(async {
        let store = scan_store::to_ask(&config).map_err(Failure::new)?;
        let asked = analytics::ledger(&*store, &period, command.workspace.as_ref(), now).await;
        asked.map_err(Failure::new)
    })?;
    let printed = report::print(&report, &period, command.workspace.as_ref(), command.output);
    // A difference is one also where nobody reads what it is.
    match printed {
        Ok(()) | Err(Failure::NobodyReads) => tell(&report, command),
        failed => failed,
    }
}

fn tell(report: &LedgerReport, command: &Ledger) -> Result<(), Failure> {
    let verdict = report::verdict(report, command.workspace.as_ref());
    if !report.is_exact() {
        return Err(Failure::new(verdict));
    }
    command.output.note(&verdict);
    Ok(())
}

impl Ledger {
    /// Ends the process where the two times contradict each other, as any wrong usage does.
    fn period(&self, now: Timestamp) -> Period {
        let to = self.to.unwrap_or(now);
        let from = self
            .from
            .unwrap_or_else(|| to.saturating_sub(DAY).unwrap_or(Timestamp::MIN));
        Period::new(from, to).unwrap_or_else(|_| {
            let wrong = format!("--to ({to}) must be after --from ({from})");
            Cli::command()
                .error(ErrorKind::ValueValidation, wrong)
                .exit()
        })
    }
}

/// A moment on the command line.
pub(crate) fn time(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|error: jiff::Error| {
        format!("{error}; it must be a moment as in RFC 3339, such as 2026-11-29T06:00:00Z")
    })
}
