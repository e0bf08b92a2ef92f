//! The sink's pipeline on its own thread.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Instant;

use analytics::ScanStore;
use sink::{Enricher, SinkMetrics, SinkOptions};

use crate::program::Program;

pub(crate) struct ScanSink {
    stop: Arc<AtomicBool>,
    ended: Receiver<()>,
}

impl ScanSink {
    pub(crate) fn start(
        program: &Program,
        options: SinkOptions,
        store: Arc<dyn ScanStore>,
        enricher: Arc<Enricher>,
    ) -> anyhow::Result<Self> {
        let metrics = SinkMetrics::register(&program.registry)?;
        let (check, failures) = (program.health.check("kafka"), program.failures());
        let (runtime, stop) = (
            program.runtime.handle().clone(),
            Arc::new(AtomicBool::new(false)),
        );
        let (end, ended) = mpsc::channel::<()>();
        let (stopping, kafka) = (Arc::clone(&stop), program.config.kafka.clone());
        let run = move || {
            let health = |state: Result<(), String>| match state {
                Ok(()) => check.ready(),
                Err(reason) => check.not_ready(reason),
            };
            let ran = catch_unwind(AssertUnwindSafe(|| {
                sink::run(
                    &options, store, enricher, metrics, &health, runtime, &stopping,
                )
            }));
            match ran {
                Ok(Ok(())) => {}
                Ok(Err(error)) => failures.report(anyhow::anyhow!(kafka.without_values(&error))),
                // A process that looks alive and stores nothing would be the worst of all.
                Err(_) => failures.report(anyhow::anyhow!("the sink panicked; the log says where")),
            }
            drop(end);
        };
        let spawned = thread::Builder::new().name("sink".to_owned()).spawn(run);
        spawned
            .map_err(|error: io::Error| anyhow::anyhow!("starting the sink's thread: {error}"))?;
        Ok(Self { stop, ended })
    }

    /// Settles what it holds; what it does not settle in time is the next one's.
    pub(crate) fn drain(self, deadline: Instant) {
        self.stop.store(true, Ordering::Relaxed); // a flag that guards no other memory
        let left = deadline.saturating_duration_since(Instant::now());
        if self.ended.recv_timeout(left) == Err(mpsc::RecvTimeoutError::Timeout) {
            tracing::warn!("the sink did not settle all that it held in time; the next one will");
        }
    }
}
