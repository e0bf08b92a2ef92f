//! `tagwire keys`: who may use the API.

use clap::Subcommand;
use serde_json::json;
use ureq::http::Method;

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
    /// Give a key another secret, which is printed this once
    Rotate {
        /// The key's id, as `tagwire keys list` shows it
        id: String,
        /// For how many seconds the secret before goes on, at most a week; 0 ends it at once. By default a day
        #[arg(long, value_name = "SECONDS")]
        overlap: Option<u32>,
    },
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
                columns![
                    "id",
                    "name",
                    "role",
                    "created_at",
                    "expires_at",
                    "revoked_at"
                ],
            )
        }
        Command::Rotate { id, overlap } => {
            let body = match overlap {
                Some(seconds) => json!({"overlap_seconds": seconds}),
                None => json!({}),
            };
            let rotated = api.send(Method::POST, &["keys", id, "rotate"], &[], &body, None)?;
            output.thing(&rotated)?;
            output.note("The secret is shown this once.");
            Ok(())
        }
        Command::Revoke { id } => {
            api.delete(&["keys", id], &[], None)?;
            output.note(&format!("Key {id} is revoked."));
            Ok(())
        }
    }
}
