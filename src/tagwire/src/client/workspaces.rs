//! `tagwire workspaces`: tenants.

use clap::Subcommand;
use ureq::http::Method;

use super::Failure;
use super::connection::Connection;
use super::fields::Fields;
use super::output::{Output, columns};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a workspace; its first owner's key is printed this once
    Create {
        /// For people
        name: String,
        #[command(flatten)]
        fields: Fields,
    },
    /// Change what is set for a workspace: its fallback, its tags' defaults, its retention, its limits
    Set {
        /// The workspace's id
        id: String,
        #[command(flatten)]
        fields: Fields,
    },
    /// List the workspaces that the key may see
    List,
}

pub(super) fn run(command: &Command, api: &Connection, output: Output) -> Result<(), Failure> {
    match command {
        Command::Create { name, fields } => {
            let mut body = fields.object()?;
            body.insert("name".to_owned(), name.as_str().into());
            let made = api.create(&["workspaces"], &[], &body.into())?;
            output.thing(&made)?;
            output.note("The key's secret is shown this once.");
            Ok(())
        }
        Command::Set { id, fields } => {
            let body = fields.object()?.into();
            let changed = api.send(Method::PATCH, &["workspaces", id], &[], &body, None)?;
            output.thing(&changed)
        }
        Command::List => {
            let workspaces = api.get(&["workspaces"], &[])?;
            output.list(
                &workspaces,
                columns![
                    "id",
                    "name",
                    "fallback_url",
                    "max_tags",
                    "retention_days",
                    "created_at"
                ],
            )
        }
    }
}
