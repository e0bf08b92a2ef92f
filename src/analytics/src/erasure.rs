//! What is taken from the scans of a visitor who is to be forgotten, in both stores: all that tells of them. What is left is that the tag was
//! scanned, when, and what it answered, so that every count, and the ledger, is as before.

use jiff::civil::Date;
use scans::Visitor;
use tags::WorkspaceId;

use crate::usage;

/// Columns that become empty.
pub(crate) const TEXTS: [&str; 12] = [
    "ip_prefix",
    "user_agent",
    "accept_language",
    "language",
    "referrer",
    "http_version",
    "device",
    "os",
    "browser",
    "country",
    "region",
    "city",
];

/// The `visitor` of scans that were erased, and of no others: whoever counts visitors leaves it out.
pub(crate) const ERASED: u64 = 0;

/// A visitor's scans of a day in a workspace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Erasure {
    /// Whose scans they are.
    pub workspace: WorkspaceId,
    /// The day, in UTC.
    pub day: Date,
    /// The visitor, who is known by this on that day alone.
    pub visitor: Visitor,
}

impl Erasure {
    /// The first microsecond of the day, and the first behind it.
    pub(crate) fn micros(&self) -> (i64, i64) {
        usage::micros(&(self.day..=self.day))
    }

    /// What empties the columns, in SQL.
    pub(crate) fn assignments() -> String {
        let texts = TEXTS.map(|column| format!("{column} = ''"));
        format!("visitor = {ERASED}, {}", texts.join(", "))
    }
}
