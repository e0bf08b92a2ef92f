//! The GeoIP file: opened at start, and looked at again every now and then, and when the operator says so, for a newer one.

use std::sync::Arc;
use std::time::Duration;

use facts::{PlacesError, PlacesFile, Reload};
use prometheus::Registry;

use super::places_metrics::PlacesMetrics;
use super::watch::{Watch, WatchError};
use crate::config::GeoIp;

const KEY: &str = "geoip.file";
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// Why there are no places.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlacesWatchError {
    #[error("geoip.file: {0}")]
    Open(#[from] PlacesError),
    #[error(transparent)]
    Thread(#[from] WatchError),
    #[error("registering the metrics of geoip.file: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// The file that is watched; none, until one is configured.
pub(crate) struct PlacesWatch {
    file: Arc<PlacesFile>,
    metrics: PlacesMetrics,
    watch: Watch,
}

impl PlacesWatch {
    /// For these roles of the process.
    pub(crate) fn open(
        config: &GeoIp,
        registry: &Registry,
        roles: &[&'static str],
    ) -> Result<Self, PlacesWatchError> {
        let file = match &config.file {
            Some(path) => PlacesFile::open(path)?,
            None => PlacesFile::none(),
        };
        let (file, metrics) = (Arc::new(file), PlacesMetrics::register(registry, roles)?);
        metrics.answers(&file);
        let (watched, counted) = (Arc::clone(&file), metrics.clone());
        let watch = Watch::start(KEY, LOOK_AGAIN, move || look(&watched, &counted))?;
        Ok(Self {
            file,
            metrics,
            watch,
        })
    }

    /// For whoever looks places up.
    pub(crate) fn file(&self) -> Arc<PlacesFile> {
        Arc::clone(&self.file)
    }

    /// Looks now, at another file if one is configured. One that cannot be used is refused, and nothing has changed.
    pub(crate) fn reload(&self, config: &GeoIp) -> Result<&'static str, PlacesWatchError> {
        let followed = self.file.follow(config.file.as_deref());
        if let Err(error) = &followed {
            self.metrics.refused(error);
        }
        followed?;
        self.metrics.answers(&self.file);
        look(&self.file, &self.metrics);
        Ok(KEY)
    }

    pub(crate) fn end(self) {
        self.watch.end();
    }
}

fn look(file: &PlacesFile, metrics: &PlacesMetrics) {
    match file.reload_if_changed() {
        Reload::Unchanged => {}
        Reload::Reloaded => {
            metrics.taken();
            metrics.answers(file);
            tracing::info!("took a newer GeoIP file");
        }
        Reload::Refused(error) => {
            metrics.refused(&error);
            tracing::error!(%error, "the GeoIP file changed but cannot be used; the last good one stays");
        }
    }
}
