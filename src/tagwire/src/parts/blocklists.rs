//! The blocklists: read at start, and looked at again every now and then, and when the operator says so, for newer ones.

use std::sync::Arc;
use std::time::Duration;

use blocklist::{BlocklistError, Blocklists, Prepared, Reload};
use prometheus::Registry;

use super::blocklists_metrics::BlocklistsMetrics;
use super::watch::{Watch, WatchError};
use crate::config::Admin;

const KEY: &str = "admin.blocklists";
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// Why there are no blocklists.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BlocklistsWatchError {
    #[error("admin.blocklists: {0}")]
    Read(#[from] BlocklistError),
    #[error(transparent)]
    Thread(#[from] WatchError),
    #[error("registering the metrics of admin.blocklists: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// The files that are watched; none, until some are configured.
pub(crate) struct BlocklistsWatch {
    lists: Arc<Blocklists>,
    metrics: BlocklistsMetrics,
    watch: Watch,
}

impl BlocklistsWatch {
    pub(crate) fn open(config: &Admin, registry: &Registry) -> Result<Self, BlocklistsWatchError> {
        let lists = Arc::new(Blocklists::default());
        lists.follow(lists.prepare(&config.blocklists)?);
        let metrics = BlocklistsMetrics::register(registry)?;
        metrics.hold(&lists);
        let (watched, counted) = (Arc::clone(&lists), metrics.clone());
        let watch = Watch::start(KEY, LOOK_AGAIN, move || look(&watched, &counted))?;
        Ok(Self {
            lists,
            metrics,
            watch,
        })
    }

    /// For whoever judges destinations.
    pub(crate) fn lists(&self) -> Arc<Blocklists> {
        Arc::clone(&self.lists)
    }

    /// Reads what is configured now and was not before. One that cannot be used is refused, and nothing has changed.
    pub(crate) fn prepare(&self, config: &Admin) -> Result<Prepared, BlocklistsWatchError> {
        let prepared = self.lists.prepare(&config.blocklists);
        if let Err(error) = &prepared {
            self.metrics.refused(error);
        }
        Ok(prepared?)
    }

    /// Goes by these from now on, and looks whether they have changed.
    pub(crate) fn take(&self, prepared: Prepared) -> &'static str {
        self.lists.follow(prepared);
        self.metrics.hold(&self.lists);
        look(&self.lists, &self.metrics);
        KEY
    }

    pub(crate) fn end(self) {
        self.watch.end();
    }
}

fn look(lists: &Blocklists, metrics: &BlocklistsMetrics) {
    for reload in lists.reload_if_changed() {
        match reload {
            Reload::Taken { list } => {
                metrics.taken();
                metrics.hold(lists);
                tracing::info!(list, "took a newer blocklist");
            }
            Reload::Refused(error) => {
                metrics.refused(&error);
                tracing::error!(%error, "a blocklist changed but cannot be used; the last good one stays");
            }
        }
    }
}
