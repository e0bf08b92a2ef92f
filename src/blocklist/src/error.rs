//! Why a file is no blocklist.

use std::path::PathBuf;

use crate::Hosts;

/// Why a file cannot be taken for a blocklist.
#[derive(Debug, thiserror::Error)]
pub enum BlocklistError {
    /// Not there, not ours to read, or no file.
    #[error("cannot read the blocklist {path}: {source}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not a byte in it, as when whoever writes it was cut off.
    #[error(
        "the blocklist {path} is empty, which is taken for an accident; one without hosts has at least a comment, such as '# none'"
    )]
    Empty {
        /// Which.
        path: PathBuf,
    },
    /// Most of its lines are something else.
    #[error(
        "the file {path} is no blocklist: {unknown} of its lines name no host and {known} do; see line {line}; write 'example.com', '0.0.0.0 example.com' or '||example.com^'"
    )]
    NotAList {
        /// Which.
        path: PathBuf,
        /// So many lines are no entry, nor a comment.
        unknown: usize,
        /// So many are.
        known: usize,
        /// The first that is none, from 1.
        line: usize,
    },
    /// More than are kept.
    #[error(
        "the blocklist {path} has more than {} hosts, which is the most for one file",
        Hosts::MAX
    )]
    TooLong {
        /// Which.
        path: PathBuf,
    },
    /// What it would be called, another is.
    #[error(
        "there are two blocklists named {name}: a refusal names a list by its file's name, so give them different ones"
    )]
    SameName {
        /// The file's name.
        name: String,
    },
}

impl BlocklistError {
    /// Every reason, for a metric that shows each from the start.
    pub const REASONS: [&str; 5] = ["unreadable", "empty", "not_a_list", "too_long", "same_name"];

    /// Which of them it is.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "unreadable",
            Self::Empty { .. } => "empty",
            Self::NotAList { .. } => "not_a_list",
            Self::TooLong { .. } => "too_long",
            Self::SameName { .. } => "same_name",
        }
    }
}
