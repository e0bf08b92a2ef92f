//! `tagwire analytics rebuild`: rollups computed anew from the scans, in the store itself, as the sink's job computes them.

use std::path::PathBuf;
use std::time::Instant;

use analytics::{Hour, HourRange, Rebuilt, StoreError};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _, Subcommand};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tokio::runtime::Builder;

use crate::cli::{Cli, Data};
use crate::client::Failure;
use crate::client::output::{Output, print_json};
use crate::config::Config;
use crate::ledger::time;
use crate::parts::scan_store;

/// What is done with what is derived from scans.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Compute the rollups of a time anew from its scans, and replace what is there; what is asked meanwhile is answered as ever
    Rebuild(Rebuild),
}

#[derive(Debug, Args)]
pub(crate) struct Rebuild {
    /// From the hour of this moment on, as in RFC 3339 [default: from the first scan on]
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<Timestamp>,
    /// Up to the hour before this moment, or that it is in [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    to: Option<Timestamp>,
    /// TOML file with the configuration
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    data: Data,
    #[command(flatten)]
    output: Output,
}

/// Does it, and prints what was done; an error says what failed, and what was done before that holds.
pub(crate) fn run(Command::Rebuild(command): &Command) -> Result<(), String> {
    match rebuild(command) {
        Err(Failure::NobodyReads) => Ok(()),
        done => done.map_err(|failure| failure.tell(command.output.json)),
    }
}

fn rebuild(command: &Rebuild) -> Result<(), Failure> {
    let (from, to) = command.hours(Timestamp::now());
    let config = Config::load(
        command.config.as_deref(),
        std::env::vars_os(),
        command.data.flags(),
    );
    let config = config.map_err(Failure::new)?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let began = Instant::now();
    let told = |hours: &HourRange, failed: Option<&StoreError>| {
        let mut text = format!(
            "hours: {}, from {} to {}",
            hours.count(),
            hours.start(),
            hours.end()
        );
        if let Some(error) = failed {
            text += &format!(": {error}; half of them are tried");
        }
        command.output.note(&text);
    };
    let rebuilt = runtime.block_on(async {
        let store = scan_store::to_compute(&config).map_err(Failure::new)?;
        let rebuilt = analytics::rebuild(&*store, from, to, told).await;
        rebuilt.map_err(Failure::new)
    })?;
    command.print(rebuilt, began.elapsed().as_secs_f64())
}

impl Rebuild {
    /// Ends the process where the two times contradict each other, as any wrong usage does.
    fn hours(&self, now: Timestamp) -> (Hour, Hour) {
        let to = self.to.unwrap_or(now);
        let from = self.from.unwrap_or(Timestamp::UNIX_EPOCH);
        if to <= from {
            let wrong = format!("--to ({to}) must be after --from ({from})");
            Cli::command()
                .error(ErrorKind::ValueValidation, wrong)
                .exit()
        }
        let last = to.saturating_sub(SignedDuration::from_nanos(1));
        let last = Hour::of(last.unwrap_or(to));
        (Hour::of(from), last.before(-1))
    }

    fn print(&self, rebuilt: Rebuilt, seconds: f64) -> Result<(), Failure> {
        if self.output.json {
            let seconds = (seconds * 1_000.0).round() / 1_000.0;
            return print_json(
                &json!({"hours": rebuilt.hours, "days": rebuilt.days, "later": rebuilt.later, "seconds": seconds}),
            );
        }
        let Rebuilt { hours, days, later } = rebuilt;
        let mut told = format!(
            "Hours computed: {hours}, in {seconds:.1} s. Days derived from theirs: {days}."
        );
        if later > 0 {
            told += &format!(
                " Left out, as scans have come for them in the last minutes: {later}. The sink computes them."
            );
        }
        self.output.note(&told);
        Ok(())
    }
}
