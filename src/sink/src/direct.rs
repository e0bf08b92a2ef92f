//! Standalone's outlet: a batch is read, enriched and stored in one transaction, on the shipper's own thread.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use analytics::{Positions, ScanStore, Source, StoreError};
use jiff::Timestamp;
use scans::{Delivered, Delivery, EncodedBatch, Full, Outlet};
use tokio::runtime::Handle;

use crate::batches::Batches;
use crate::positions::WriterPositions;
use crate::{Enricher, SinkMetrics, blocks};

/// Batches that may wait for their transaction together, 4 MiB of them.
const MOST_WAITING: usize = 64;
/// How long the store is left alone after it failed, so that a full disk is not tried thousands of times a second.
const PAUSE: Duration = Duration::from_millis(500);

/// Stores batches in process. What it says is stored is durable; a batch that comes again is recognised.
pub struct DirectOutlet {
    enricher: Arc<Enricher>,
    store: Arc<dyn ScanStore>,
    metrics: SinkMetrics,
    runtime: Handle,
    waiting: VecDeque<EncodedBatch>,
    folded: Option<(i64, WriterPositions)>,
    /// The store has failed: what waits is tried again at this time.
    retry_at: Option<Instant>,
}

impl DirectOutlet {
    /// Its shipper must not run on the runtime's own threads: it waits for the store.
    pub fn new(
        enricher: Arc<Enricher>,
        store: Arc<dyn ScanStore>,
        metrics: SinkMetrics,
        runtime: Handle,
    ) -> Self {
        Self {
            enricher,
            store,
            metrics,
            runtime,
            waiting: VecDeque::new(),
            folded: None,
            retry_at: None,
        }
    }

    /// Standalone has one log, without a broker.
    fn source() -> Source {
        Source {
            cluster: String::new(),
            topic: "scans".to_owned(),
            partition: 0,
        }
    }

    /// Stores all that waits as one block.
    fn store(&mut self) -> Result<(), StoreError> {
        let source = Self::source();
        let (offset, positions) = match self.folded.take() {
            Some(folded) => folded,
            None => match self
                .runtime
                .block_on(self.store.load_positions(&source, i64::MAX))?
            {
                Some(saved) => (saved.offset, WriterPositions::new(saved.writers)),
                None => (0, WriterPositions::default()),
            },
        };
        // If the store fails, the positions are read again: nobody knows whether it was stored.
        let mut after = positions;
        let now = Timestamp::now();
        let mut batches = Batches::default();
        for (offset, batch) in (offset..).zip(&self.waiting) {
            batches.push(blocks::read(offset, now, &batch.bytes), &mut after);
        }
        let end = offset + self.waiting.len() as i64;
        let moved = Positions {
            source: source.clone(),
            offset: end,
            writers: batches.after().clone(),
        };
        let token = format!("{source}:{offset}-{end}");
        let block = blocks::block(
            &source,
            &batches,
            token,
            &batches.new,
            &self.enricher,
            Some(moved),
        );
        self.runtime.block_on(self.store.insert(&block))?;
        self.metrics.rows.inc_by(block.rows.len() as u64);
        self.metrics.deduplicated.inc_by(batches.replayed);
        self.metrics.dead.inc_by(block.dead.len() as u64);
        self.metrics
            .missing
            .set(i64::try_from(after.missing()).unwrap_or(i64::MAX));
        self.folded = Some((end, after));
        Ok(())
    }
}

impl Outlet for DirectOutlet {
    fn send(&mut self, batch: EncodedBatch) -> Result<(), Full> {
        if self.waiting.len() >= MOST_WAITING {
            return Err(Full(batch));
        }
        self.waiting.push_back(batch);
        Ok(())
    }

    fn poll(&mut self, wait: Duration) -> Vec<Delivery> {
        let paused = self.retry_at.is_some_and(|at| Instant::now() < at);
        if self.waiting.is_empty() || paused {
            std::thread::sleep(wait);
            return Vec::new();
        }
        if let Err(error) = self.store() {
            self.metrics.retries.inc();
            // Said once, however long it lasts.
            if self.retry_at.replace(Instant::now() + PAUSE).is_none() {
                tracing::warn!(
                    "{error}; scans wait in their log, and are tried again until it succeeds"
                );
            }
            return Vec::new();
        }
        if self.retry_at.take().is_some() {
            tracing::info!("scans are stored again");
        }
        let delivery = |batch: EncodedBatch| Delivery {
            writer: batch.writer,
            first_seq: batch.first_seq,
            count: batch.count,
            outcome: Delivered::Stored { partition: None },
        };
        self.waiting.drain(..).map(delivery).collect()
    }
}
