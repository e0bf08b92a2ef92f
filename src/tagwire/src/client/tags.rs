//! `tagwire tags`: printed codes and where they lead.

mod import;
mod run;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Map, Value};

pub(super) use self::run::run;
use super::Failure;
use super::fields::{Fields, read_json};
use super::pages::Pages;
use super::transfer::{Format, Target};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a tag
    Create {
        /// Where it leads
        destination: String,
        /// The path of its short URL; without one, a random code is made
        #[arg(long)]
        code: Option<String>,
        /// The host of its short URL; without one, the workspace's own oldest, else the default
        #[arg(long)]
        domain: Option<String>,
        #[command(flatten)]
        fields: Fields,
        #[command(flatten)]
        wait: Wait,
    },
    /// Show a tag, as it is or as it was
    Get {
        #[command(flatten)]
        tag: Name,
        /// As it was in this version
        #[arg(long)]
        version: Option<u64>,
    },
    /// Change fields of a tag
    Set {
        #[command(flatten)]
        tag: Name,
        #[command(flatten)]
        fields: Fields,
        #[command(flatten)]
        change: Change,
    },
    /// List tags, newest first
    List {
        /// Part of the code, name or destination
        #[arg(long, short)]
        q: Option<String>,
        /// The campaign, exactly
        #[arg(long)]
        campaign: Option<String>,
        /// One of the labels, exactly
        #[arg(long)]
        label: Option<String>,
        /// active, paused or revoked
        #[arg(long)]
        status: Option<String>,
        #[command(flatten)]
        pages: Pages,
    },
    /// List a tag's versions, newest first
    Versions {
        #[command(flatten)]
        tag: Name,
        #[command(flatten)]
        pages: Pages,
    },
    /// Show what differs between two versions of a tag
    Diff {
        #[command(flatten)]
        tag: Name,
        /// By default the version before --to
        #[arg(long)]
        from: Option<u64>,
        /// By default the newest version
        #[arg(long)]
        to: Option<u64>,
    },
    /// Make the content of an earlier version the newest one
    Rollback {
        #[command(flatten)]
        tag: Name,
        /// The version to go back to
        version: u64,
        #[command(flatten)]
        change: Change,
    },
    /// Schedule a change of a tag, in the place of what was scheduled before
    Schedule {
        #[command(flatten)]
        tag: Name,
        /// When it takes place, as in RFC 3339
        #[arg(long)]
        at: String,
        #[command(flatten)]
        fields: Fields,
        #[command(flatten)]
        change: Change,
    },
    /// Take back what is scheduled for a tag
    Unschedule {
        #[command(flatten)]
        tag: Name,
        #[command(flatten)]
        change: Change,
    },
    /// Revoke a tag for ever; its code is never given out again
    Revoke {
        #[command(flatten)]
        tag: Name,
        /// That it is for ever is known
        #[arg(long, required = true)]
        yes: bool,
        #[command(flatten)]
        change: Change,
    },
    /// Say what a request would get, and why
    Simulate {
        #[command(flatten)]
        tag: Name,
        #[command(flatten)]
        facts: Facts,
    },
    /// Make the tags of a file
    Import {
        /// NDJSON or CSV, '-' for standard input
        file: PathBuf,
        /// By default what the file's name says
        #[arg(long, value_enum)]
        format: Option<Format>,
        /// Say what would be done, and do nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Write the workspace's tags to a file that imports unchanged
    Export {
        /// Part of the code, name or destination
        #[arg(long, short)]
        q: Option<String>,
        /// The campaign, exactly
        #[arg(long)]
        campaign: Option<String>,
        /// One of the labels, exactly
        #[arg(long)]
        label: Option<String>,
        /// active or paused
        #[arg(long)]
        status: Option<String>,
        /// By default what the file's name says, else NDJSON
        #[arg(long, value_enum)]
        format: Option<Format>,
        #[command(flatten)]
        target: Target,
    },
}

/// Which tag.
#[derive(Debug, Args)]
pub(crate) struct Name {
    /// The path of its short URL
    code: String,
    /// The host of its short URL, for another than the default
    #[arg(long)]
    domain: Option<String>,
}

impl Name {
    fn query(&self) -> [(&'static str, Option<String>); 1] {
        [("domain", self.domain.clone())]
    }
}

/// Whether to wait for edges.
#[derive(Debug, Args)]
pub(crate) struct Wait {
    /// Wait until every edge serves it, and say so
    #[arg(long)]
    wait: bool,
}

impl Wait {
    fn query(&self) -> (&'static str, Option<String>) {
        ("wait", self.wait.then(|| "edges".to_owned()))
    }
}

/// How a tag is changed.
#[derive(Debug, Args)]
pub(crate) struct Change {
    /// Only if the tag has this version
    #[arg(long, value_name = "VERSION")]
    if_version: Option<u64>,
    #[command(flatten)]
    wait: Wait,
}

impl Change {
    fn query(&self, tag: &Name) -> [(&'static str, Option<String>); 2] {
        let [domain] = tag.query();
        [domain, self.wait.query()]
    }
}

/// What is known of a request.
#[derive(Debug, Args)]
pub(crate) struct Facts {
    /// Its User-Agent
    #[arg(long)]
    user_agent: Option<String>,
    /// The client's address
    #[arg(long)]
    address: Option<String>,
    /// Its Accept-Language
    #[arg(long)]
    language: Option<String>,
    /// When it comes, as in RFC 3339
    #[arg(long)]
    time: Option<String>,
    /// Its query, as in a URL
    #[arg(long)]
    query: Option<String>,
    /// Which scan of the tag it is
    #[arg(long)]
    scan_number: Option<u64>,
    /// A file with rules to try in the place of the tag's own
    #[arg(long, value_name = "FILE")]
    rules: Option<String>,
}

impl Facts {
    fn body(&self) -> Result<Value, Failure> {
        let texts = [
            ("user_agent", &self.user_agent),
            ("address", &self.address),
            ("language", &self.language),
            ("time", &self.time),
            ("query", &self.query),
        ];
        let texts = texts.into_iter();
        let given =
            texts.filter_map(|(name, text)| Some((name.to_owned(), Value::from(text.clone()?))));
        let mut body: Map<_, _> = given.collect();
        if let Some(number) = self.scan_number {
            body.insert("scan_number".to_owned(), number.into());
        }
        if let Some(file) = &self.rules {
            body.insert("rules".to_owned(), read_json(file)?);
        }
        Ok(body.into())
    }
}
