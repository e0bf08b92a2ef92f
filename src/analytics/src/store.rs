//! What a scan store does, for the sink and for the admin; and how it fails.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use async_trait::async_trait;
use jiff::civil::Date;
use scans::ScanId;
use tags::WorkspaceId;

use crate::rollups::{HourRange, HoursToRollUp, Which};
use crate::{
    Block, Erasure, Expiry, Headers, Hour, Kept, Period, Positions, Run, ScanCursor, ScanFilter,
    ScanPage, ScanQuery, ScanReport, ScannedTag, Source, TagHours, Usage, VisitorDay, VisitorQuery,
};

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store cannot be reached, or not now: the same may be tried again.
    #[error("cannot {doing}, the scan store is not available: {reason}")]
    Unavailable {
        /// What was being done.
        doing: &'static str,
        /// What the store, or the connection to it, says.
        reason: String,
    },
    /// The store understood and refused.
    #[error("cannot {doing}, the scan store refuses: {reason}")]
    Refused {
        /// What was being done.
        doing: &'static str,
        /// What the store says.
        reason: String,
    },
    /// It was given up, as there is no more time for it: less of it at once may be done.
    #[error("cannot {doing}, it takes longer than {seconds} s")]
    TookTooLong {
        /// What was being done.
        doing: &'static str,
        /// How long it may take.
        seconds: u64,
    },
    /// It has been begun, goes on by itself, and was not waited for to its end.
    #[error("cannot {doing} as fast as that: it goes on in the scan store")]
    Unfinished {
        /// What is being done.
        doing: &'static str,
    },
    /// The schema is a newer program's.
    #[error(
        "the scan store's schema has version {found}, this program knows {known}: run the newer program"
    )]
    NewerSchema {
        /// In the store.
        found: u32,
        /// In this program.
        known: u32,
    },
    /// The schema is an older program's, and who only asks does not change it.
    #[error(
        "the scan store's schema has version {found}, this program knows {known}: run the older program, or start a newer one that stores scans first"
    )]
    OlderSchema {
        /// In the store.
        found: u32,
        /// In this program.
        known: u32,
    },
}

/// What is stored of a set of scans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Rows.
    pub rows: u64,
    /// Scans: rows of different identity. Fewer than `rows` means duplicates.
    pub scans: u64,
}

/// Keeps scans and answers about them. What is answered to a tenant is bound to one workspace: there is no way to ask without. Hours are
/// for the admin's own watch over all of them, headers and what is kept for the ledger ([`crate::ledger()`]).
#[async_trait]
pub trait ScanStore: Send + Sync + 'static {
    /// Inserts a block: its rows, its headers into the ledger, its dead records, its positions. May have to be tried again
    /// after any error, and then may find some or all of it there; [`ScanStore::count`] tells.
    async fn insert(&self, block: &Block) -> Result<(), StoreError>;

    /// What is stored of these scans, by identity.
    async fn count(&self, runs: &[Run]) -> Result<Counted, StoreError>;

    /// Which of these scans are stored: for the repair of a block that is there in part.
    async fn stored(&self, runs: &[Run]) -> Result<HashSet<ScanId>, StoreError>;

    /// Ends what an earlier sink may still be inserting from this partition; returns when nothing more can come of it.
    async fn end_inserts(&self, source: &Source) -> Result<(), StoreError>;

    /// The latest saved position of each writer at or before an offset, and the latest of their offsets.
    async fn load_positions(
        &self,
        source: &Source,
        up_to: i64,
    ) -> Result<Option<Positions>, StoreError>;

    /// Saves the positions of writers that moved since they were last saved; the others' stay as they are.
    async fn save_positions(&self, positions: &Positions) -> Result<(), StoreError>;

    /// Answers about a workspace's scans: from rollups as far as they hold, from the scans themselves for the rest, and the same from both.
    async fn scans(
        &self,
        workspace: &WorkspaceId,
        query: &ScanQuery,
    ) -> Result<ScanReport, StoreError>;

    /// Which hours' rollups can be computed, of those that have ended.
    async fn hours_to_roll_up(&self, which: Which) -> Result<HoursToRollUp, StoreError>;

    /// Computes the rollups of hours anew from their scans, and puts them in the place of what was there. Says how many hold then: all but
    /// those that got scans meanwhile. May be ended at any time, and done by several at once.
    async fn roll_up(&self, hours: &HourRange) -> Result<u64, StoreError>;

    /// Computes the rollup of a day (UTC) from those of its hours: of the newest day where all of these hold and the day's is not derived from
    /// them. Says of how many: one, or none where there is no such day or another process is at it. May be ended at any time, and done by
    /// several at once.
    async fn roll_up_days(&self) -> Result<u64, StoreError>;

    /// How many visitors a workspace's scans are of, day by day. SQLite counts them; ClickHouse estimates those of a day that has more than
    /// three thousand, with a standard error of 0.3 %.
    async fn visitor_days(
        &self,
        workspace: &WorkspaceId,
        query: &VisitorQuery,
    ) -> Result<Vec<VisitorDay>, StoreError>;

    /// A workspace's scans one by one, at most so many, from the first or from a cursor on. What is stored meanwhile is in a later page, or
    /// in none where its time lies before.
    async fn scan_page(
        &self,
        workspace: &WorkspaceId,
        filter: &ScanFilter,
        begin: Option<&ScanCursor>,
        most: usize,
    ) -> Result<ScanPage, StoreError>;

    /// The tags of all workspaces that people have scanned at least `least` times in an hour: the `most` with most scans, most first.
    async fn busiest(
        &self,
        hour: Hour,
        least: u64,
        most: usize,
    ) -> Result<Vec<ScannedTag>, StoreError>;

    /// How often people have scanned some tags in some hours, in the tags' order, and when for the first time from `since` to the last of those
    /// hours. Tags that they have not scanned in that time are left out.
    async fn tag_hours(
        &self,
        tags: &[ScannedTag],
        hours: &[Hour],
        since: Hour,
    ) -> Result<Vec<TagHours>, StoreError>;

    /// What the writers say of themselves that had a settled batch in this period, in the order of their keys.
    async fn headers(&self, period: &Period) -> Result<Headers, StoreError>;

    /// What there is of these scans, counted by identity; with a workspace, of its scans alone, and of no dead ones, which are nobody's.
    async fn kept(&self, run: &Run, workspace: Option<&WorkspaceId>) -> Result<Kept, StoreError>;

    /// Deletes these scans, and keeps of each its identity alone, so that the ledger does not miss it ([`Kept::expired`]). Tells how many;
    /// none while an earlier call's are still being deleted, or when it was broken off, and it has to be asked again, as after an error. It
    /// is broken off where `still` does not hold, which is asked before anything is deleted, and in between.
    async fn expire(
        &self,
        expiries: &[Expiry],
        still: &(dyn Fn() -> bool + Sync),
    ) -> Result<Option<u64>, StoreError>;

    /// Takes from a visitor's scans of a day whatever tells of them, and leaves the rest: they are counted as before, and their visitor no
    /// more. Says how many scans there were. Done when it returns, also in what is asked next; after an error it has to be asked again
    /// ([`StoreError::Unfinished`] among them). Scans that are stored later are not affected.
    async fn erase(&self, erasure: &Erasure) -> Result<u64, StoreError>;

    /// How many scans each workspace made, or one, on each day of a range (UTC, both ends inside), and what they take; days without are left out.
    async fn usage(
        &self,
        days: RangeInclusive<Date>,
        workspace: Option<&WorkspaceId>,
    ) -> Result<Vec<Usage>, StoreError>;
}
