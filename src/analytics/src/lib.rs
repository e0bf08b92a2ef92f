//! The scan store: what is kept of a scan, how blocks of scans enter, what can be asked. ClickHouse and SQLite.
//!
//! Read in this order: [`Row`] and [`Block`], what the sink brings; [`ScanQuery`] and [`ScanReport`], what the admin asks, with [`Peaks`],
//! [`VisitorDay`] and [`ExportedScan`], and [`TagHours`], what it asks of all workspaces; [`rebuild()`] and what it needs, by which rollups
//! are derived; [`ledger()`], which compares what was accepted with what is stored; [`Erasure`], which takes a
//! visitor out; and [`ScanStore`], which both implementations stand
//! behind.

mod block;
mod clickhouse_store;
mod days;
mod erasure;
mod export;
mod hours;
mod ledger;
mod peaks;
mod query;
mod retention;
mod rollups;
mod row;
mod series;
mod sqlite_store;
mod store;
mod usage;
mod visitors;

pub use block::{
    BatchHeader, Block, BlockRange, DeadRecord, Positions, Run, Source, WriterPosition, month_token,
};
pub use clickhouse_store::{ClickHouseOptions, ClickHouseStore};
pub use days::Day;
pub use erasure::Erasure;
pub use export::{ExportedScan, ScanCursor, ScanPage};
pub use hours::{Hour, ScannedTag, TagHours};
pub use ledger::{
    Compared, Headers, Kept, LedgerReport, Period, Standing, UnderWay, WriterHeaders, WriterLedger,
    ledger,
};
pub use peaks::Peaks;
pub use query::{
    Bots, Dimension, Interval, InvalidQuery, ScanFilter, ScanQuery, ScanReport, Select,
};
pub use retention::Expiry;
pub use rollups::{HourRange, HoursToRollUp, Piece, Rebuilt, SETTLED_AFTER, Which, rebuild};
pub use row::Row;
pub use series::Point;
pub use sqlite_store::SqliteStore;
pub use store::{Counted, ScanStore, StoreError};
pub use usage::Usage;
pub use visitors::{VisitorDay, VisitorQuery};
