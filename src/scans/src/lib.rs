//! What a scan is, the scan log, the shipper and the ledger's numbers.
//!
//! Read in this order: [`Scan`] and who made it, [`NewScan`] and how it is written, [`ScanBatch`], in which it travels. Then its road:
//! [`Writer::append`] into the [`ScanLog`], from there by the [`Shipper`] to an [`Outlet`], with the [`Ledger`] over all of it. Beside
//! them lies the [`CountLog`], for tags whose scans are counted where they are answered.

mod adoption;
mod batch;
mod boots;
pub mod broker_log;
mod count_log;
mod dropped;
mod folder;
mod frame;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod identity;
mod in_flight;
mod kafka_outlet;
#[cfg(test)]
mod killed;
mod ledger;
mod new_scan;
mod outlet;
mod pace;
mod record;
mod scan_log;
mod scans_topic;
mod segment;
mod shipper;
#[cfg(feature = "simulation")]
#[doc(hidden)]
pub mod simulation;
mod source;
mod sources;
mod spares;
mod spool;
#[cfg(test)]
mod steps;
mod survey;
mod unread;
mod visitors;
mod window;
mod writer;

pub use batch::{BatchError, RefusedScan, ScanBatch, encode_batch};
pub use count_log::{CountLog, CountedElsewhere, Counter};
pub use dropped::{DropReason, Dropped};
pub use identity::{IpPrefix, ScanId, Visitor, WriterKey};
pub use kafka_outlet::{KafkaOutlet, KafkaOutletError, KafkaOutletOptions};
pub use ledger::Ledger;
pub use new_scan::{NewScan, referrer_host};
pub use outlet::{Delivered, Delivery, EncodedBatch, Full, Outlet};
pub use pace::CatchUp;
pub use record::{HttpVersion, Method, Purpose, Scan, ScanError, limits};
pub use scan_log::{ScanLog, ScanLogError, ScanLogOptions};
pub use scans_topic::{ScansTopic, TopicError};
pub use shipper::{Shipper, ShipperOptions};
pub use spool::SpoolOptions;
pub use visitors::{Shared, VisitorKey, Visitors};
pub use writer::Writer;
