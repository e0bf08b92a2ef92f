//! Lists from files: read at start, and looked at again every now and then, and when the operator says so, for newer ones.

use std::error::Error;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use blocklist::{BlocklistError, Blocklists, Hosts};
use facts::{CrawlerNetworks, CrawlersError, Networks};
use prometheus::Registry;
use stamp::{List, Lists, Prepared, Reload};

use super::lists_metrics::{ListsMetrics, Names};
use super::watch::{Watch, WatchError};

const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// The blocklists that are watched.
pub(crate) type BlocklistsWatch = ListsWatch<Blocklists>;
/// The networks of crawlers that are watched.
pub(crate) type CrawlersWatch = ListsWatch<CrawlerNetworks>;

/// Lists of one kind, and what they are called.
pub(crate) trait Watched:
    Deref<Target = Lists<Self::List>> + Default + Send + Sync + 'static
{
    /// One of them.
    type List: List<Error = Self::Error> + Send + Sync + 'static;
    /// Why one cannot be used.
    type Error: Error + Send + Sync + 'static;
    /// The configuration key that names their files.
    const KEY: &'static str;
    const METRICS: Names;

    fn reason(error: &Self::Error) -> &'static str;
}

impl Watched for Blocklists {
    type List = Hosts;
    type Error = BlocklistError;
    const KEY: &'static str = "admin.blocklists";
    const METRICS: Names = Names {
        entries: "blocklist_hosts",
        entries_help: "Hosts on the blocklists that count, all lists together",
        lists: "blocklists",
        reasons: &BlocklistError::REASONS,
    };

    fn reason(error: &BlocklistError) -> &'static str {
        error.reason()
    }
}

impl Watched for CrawlerNetworks {
    type List = Networks;
    type Error = CrawlersError;
    const KEY: &'static str = "crawlers.networks";
    const METRICS: Names = Names {
        entries: "crawler_networks",
        entries_help: "Networks of crawlers that count, all operators together",
        lists: "crawler_lists",
        reasons: &CrawlersError::REASONS,
    };

    fn reason(error: &CrawlersError) -> &'static str {
        error.reason()
    }
}

/// Why there are no lists.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListsWatchError<E: Error + 'static> {
    #[error("{key}: {source}")]
    Read { key: &'static str, source: E },
    #[error(transparent)]
    Thread(#[from] WatchError),
    #[error("registering the metrics of {key}: {source}")]
    Metrics {
        key: &'static str,
        source: prometheus::Error,
    },
}

/// The files that are watched; none, until some are configured.
pub(crate) struct ListsWatch<W: Watched> {
    lists: Arc<W>,
    metrics: ListsMetrics,
    watch: Watch,
}

impl<W: Watched> ListsWatch<W> {
    /// For these roles of the process.
    pub(crate) fn open(
        files: &[PathBuf],
        registry: &Registry,
        roles: &[&'static str],
    ) -> Result<Self, ListsWatchError<W::Error>> {
        let lists = Arc::new(W::default());
        lists.follow(lists.prepare(files).map_err(unread::<W>)?);
        let metrics = ListsMetrics::register(registry, roles, &W::METRICS).map_err(|source| {
            ListsWatchError::Metrics {
                key: W::KEY,
                source,
            }
        })?;
        metrics.hold(&lists.sizes());
        let (watched, counted) = (Arc::clone(&lists), metrics.clone());
        let watch = Watch::start(W::KEY, LOOK_AGAIN, move || look(&*watched, &counted))?;
        Ok(Self {
            lists,
            metrics,
            watch,
        })
    }

    /// For whoever looks something up.
    pub(crate) fn lists(&self) -> Arc<W> {
        Arc::clone(&self.lists)
    }

    /// Reads what is configured now and was not before. One that cannot be used is refused, and nothing has changed.
    pub(crate) fn prepare(
        &self,
        files: &[PathBuf],
    ) -> Result<Prepared<W::List>, ListsWatchError<W::Error>> {
        let prepared = self.lists.prepare(files);
        if let Err(error) = &prepared {
            self.metrics.refused(W::reason(error));
        }
        prepared.map_err(unread::<W>)
    }

    /// Goes by these from now on, and looks whether they have changed.
    pub(crate) fn take(&self, prepared: Prepared<W::List>) -> &'static str {
        self.lists.follow(prepared);
        self.metrics.hold(&self.lists.sizes());
        look(&*self.lists, &self.metrics);
        W::KEY
    }

    pub(crate) fn end(self) {
        self.watch.end();
    }
}

fn unread<W: Watched>(source: W::Error) -> ListsWatchError<W::Error> {
    ListsWatchError::Read {
        key: W::KEY,
        source,
    }
}

fn look<W: Watched>(lists: &W, metrics: &ListsMetrics) {
    let key = W::KEY;
    for reload in lists.reload_if_changed() {
        match reload {
            Reload::Taken { list } => {
                metrics.taken();
                metrics.hold(&lists.sizes());
                tracing::info!(key, list, "took a newer list");
            }
            Reload::Refused(error) => {
                metrics.refused(W::reason(&error));
                tracing::error!(key, %error, "a list changed but cannot be used; the last good one stays");
            }
        }
    }
}
