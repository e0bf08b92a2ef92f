//! `tagwire audit`: who changed what.

use clap::Args;
use serde_json::Value;

use super::Failure;
use super::connection::Connection;
use super::output::{Column, Output, cell};
use super::pages::Pages;
use super::transfer::{Format, Target};

#[derive(Debug, Args)]
pub(crate) struct Audit {
    /// Changes of this tag alone
    #[arg(long)]
    code: Option<String>,
    /// With --code: for another domain than the default
    #[arg(long, requires = "code")]
    domain: Option<String>,
    /// Changes by this key alone
    #[arg(long)]
    actor: Option<String>,
    /// create, update, rollback or revoke
    #[arg(long)]
    action: Option<String>,
    /// From this moment on, as in RFC 3339
    #[arg(long)]
    from: Option<String>,
    /// Before this moment
    #[arg(long)]
    to: Option<String>,
    #[command(flatten)]
    pages: Pages,
    /// Export all of it instead, in this format
    #[arg(long, value_enum, conflicts_with_all = ["limit", "all", "json"])]
    export: Option<Format>,
    #[command(flatten)]
    target: Target,
}

const COLUMNS: &[Column] = &[
    Column::new("at", |entry| cell(&entry["at"])),
    Column::new("action", |entry| cell(&entry["action"])),
    Column::new("subject", |entry| cell(&entry["subject"])),
    Column::new("version", |entry| cell(&entry["version"])),
    Column::new("actor", |entry| cell(&entry["actor"])),
    Column::new("remote", |entry| cell(&entry["remote"])),
    Column::new("changed", changed),
];

/// The fields alone; what became of them is told by `tagwire tags diff` and `--json`.
fn changed(entry: &Value) -> String {
    let changes = entry["changes"].as_array().into_iter().flatten();
    let pointers = changes.map(|change| cell(&change["pointer"]));
    pointers.collect::<Vec<_>>().join(" ")
}

pub(super) fn run(command: &Audit, api: &Connection, output: Output) -> Result<(), Failure> {
    let query = [
        ("code", command.code.clone()),
        ("domain", command.domain.clone()),
        ("actor", command.actor.clone()),
        ("action", command.action.clone()),
        ("from", command.from.clone()),
        ("to", command.to.clone()),
    ];
    if let Some(format) = command.export {
        let exported = api.download(&["audit"], &query, format.media_type())?;
        return command.target.write(exported);
    }
    let page = command.pages.read(api, &["audit"], &query, output)?;
    output.list(&page, COLUMNS)
}
