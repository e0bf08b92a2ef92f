//! Batches to enriched rows to the store, exactly once.
//!
//! A batch travels: [`pipeline`](run) reads it from Kafka, `protocol` says which of its scans are new and what to do in which order,
//! [`Enricher`] adds what is known about them, the `analytics` store keeps them. In standalone, [`DirectOutlet`] does the same in process. [`roll_up`] derives rollups from what is stored.

pub mod batches;
mod blocks;
mod consumer;
mod direct;
mod enrich;
mod intent;
mod metrics;
mod partition;
mod pipeline;
pub mod positions;
pub mod protocol;
mod rollups;

pub use direct::DirectOutlet;
pub use enrich::Enricher;
pub use metrics::SinkMetrics;
pub use pipeline::{SinkError, SinkOptions, run};
pub use rollups::{RollupMetrics, roll_up};
