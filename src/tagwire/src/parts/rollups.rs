//! The job that derives rollups, as a task of the runtime: it waits for the store, and nothing waits for it.

use std::sync::Arc;

use analytics::ScanStore;
use sink::RollupMetrics;
use tokio::task::JoinHandle;

use crate::program::Program;

pub(crate) struct Rollups(JoinHandle<()>);

impl Rollups {
    pub(crate) fn start(program: &Program, store: Arc<dyn ScanStore>) -> anyhow::Result<Self> {
        let metrics = RollupMetrics::register(&program.registry)?;
        let job = sink::roll_up(store, metrics);
        Ok(Self(program.runtime.spawn(job)))
    }

    /// Wherever it is: what it has not finished counts for nothing.
    pub(crate) fn end(self) {
        self.0.abort();
    }
}
