//! What a scan is, the scan log, the shipper and the ledger's numbers.
//!
//! Read in this order: [`Scan`] and who made it, [`NewScan`] and how it is written, [`ScanBatch`], in which it travels, and the
//! [`Outlet`] that takes batches away.

mod batch;
mod dropped;
mod identity;
mod new_scan;
mod outlet;
mod record;
mod visitors;

pub use batch::{BatchError, RefusedScan, ScanBatch, encode_batch};
pub use dropped::{DropReason, Dropped};
pub use identity::{IpPrefix, ScanId, Visitor, WriterKey};
pub use new_scan::{NewScan, referrer_host};
pub use outlet::{Delivered, Delivery, EncodedBatch, Full, Outlet};
pub use record::{HttpVersion, Method, Purpose, Scan, ScanError, limits};
pub use visitors::{VisitorKey, Visitors};
