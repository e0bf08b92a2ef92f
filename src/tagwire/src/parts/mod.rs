//! The parts that roles are put together from: each starts, runs and ends one thing.

mod api;
pub(crate) mod cluster;
mod data_dir;
mod demo;
pub(crate) mod descriptors;
mod hot_folder;
mod listen;
mod lists;
mod lists_metrics;
mod operations;
mod places;
mod places_metrics;
pub(crate) mod public_url;
mod redirects;
mod rollups;
mod scan_sink;
pub(crate) mod scan_store;
mod tls;
mod watch;
mod welcome;

pub(crate) use api::Api;
pub(crate) use data_dir::DataDir;
pub(crate) use demo::Demo;
pub(crate) use listen::bind;
pub(crate) use lists::{BlocklistsWatch, CrawlersWatch};
pub(crate) use operations::Operations;
pub(crate) use places::PlacesWatch;
pub(crate) use redirects::{Behind, InheritedRedirects, Redirects};
pub(crate) use rollups::Rollups;
pub(crate) use scan_sink::ScanSink;
pub(crate) use tls::tls_options;
pub(crate) use welcome::Welcome;
