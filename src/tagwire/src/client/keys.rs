//! `tagwire keys`: who may use the API.

use clap::Subcommand;

use super::Failure;
use super::connection::Connection;
use super::fields::Fields;
use super::output::{Output, columns};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a key; its secret is printed this once
    Create {
        /// For people
        name: String,
        /// owner, editor, analyst or viewer
        #[arg(long)]
        role: String,
        #[command(flatten)]
        fields: Fields,
    },
    /// List the workspace's keys, also revoked ones
    List,
    /// Revoke a key at once
    Revoke {
        /// The key's id, as `tagwire keys list` shows it; not its secret
        id: String,
    },
}

pub(super) fn run(command: &Command, api: &Connection, output: Output) -> Result<(), Failure> {
    match command {
        Command::Create { name, role, fields } => {
            let mut body = fields.object()?;
            body.insert("name".to_owned(), name.as_str().into());
            body.insert("role".to_owned(), role.as_str().into());
            let made = api.create(&["keys"], &[], &body.into())?;
            output.thing(&made)?;
            output.note("The secret is shown this once.");
            Ok(())
        }
        Command::List => {
            let keys = api.get(&["keys"], &[])?;
            output.list(
                &keys,
                columns!["id", "name", "role", "created_at", "revoked_at"],
            )
        }
        Command::Revoke { id } => {
            api.delete(&["keys", id], &[], None)?;
            output.note(&format!("Key {id} is revoked."));
            Ok(())
        }
    }
}
