//! The job that derives rollups from the scans, a few hours at a time. It runs beside the sink, of which there may be several, and knows
//! nothing of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use analytics::{Piece, ScanStore, StoreError, Which};
use jiff::Timestamp;
use prometheus::{IntCounter, IntGauge, Registry};

/// How often it is looked for hours that are missing.
const EVERY: Duration = Duration::from_secs(60);
/// The shortest pause between two steps. It is at least as long as the step was, so that the store is never the job's alone.
const PAUSE: Duration = Duration::from_secs(1);

/// What the job counts; clones count together.
#[derive(Clone, Debug)]
pub struct RollupMetrics {
    periods: IntCounter,
    days: IntCounter,
    failures: IntCounter,
    missing: IntGauge,
    lag: IntGauge,
}

impl RollupMetrics {
    /// Shown in the registry from now on; fails when a job has registered there before.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            periods: IntCounter::new(
                "tagwire_rollup_periods_total",
                "Hours whose rollups this process has computed",
            )?,
            days: IntCounter::new(
                "tagwire_rollup_days_total",
                "Days (UTC) whose rollups this process has derived from those of their hours",
            )?,
            failures: IntCounter::new(
                "tagwire_rollup_failures_total",
                "Steps that failed and are tried again; what has no rollup is answered from the scans",
            )?,
            missing: IntGauge::new(
                "tagwire_rollup_missing_periods",
                "Hours whose rollups can be computed and are not, as this process last saw it",
            )?,
            lag: IntGauge::new(
                "tagwire_rollup_lag_seconds",
                "How long ago the oldest of them ended; 0: none is missing",
            )?,
        };
        for counter in [&metrics.periods, &metrics.days, &metrics.failures] {
            registry.register(Box::new(counter.clone()))?;
        }
        for gauge in [&metrics.missing, &metrics.lag] {
            registry.register(Box::new(gauge.clone()))?;
        }
        Ok(metrics)
    }
}

/// Computes what is missing, the newest first, for as long as it is polled. It may be dropped at any moment.
pub async fn roll_up(store: Arc<dyn ScanStore>, metrics: RollupMetrics) {
    let mut failing = false;
    let mut piece = Piece::default();
    loop {
        let began = Instant::now();
        let pause = match step(&*store, &metrics, &mut piece).await {
            Ok(worked) => {
                if std::mem::replace(&mut failing, false) {
                    tracing::info!("rollups are computed again");
                }
                if worked {
                    PAUSE.max(began.elapsed())
                } else {
                    EVERY
                }
            }
            Err(error) => {
                metrics.failures.inc();
                // Said once, however long it lasts.
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(
                        "{error}; answers come from the scans until rollups are computed"
                    );
                }
                EVERY
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// Whether there was anything to do.
async fn step(
    store: &dyn ScanStore,
    metrics: &RollupMetrics,
    piece: &mut Piece,
) -> Result<bool, StoreError> {
    let hours = store.hours_to_roll_up(Which::Missing).await?;
    let lag = hours.ready.last().map_or(0, |oldest| {
        let end = oldest.before(-1).start();
        Timestamp::now().duration_since(end).as_secs().max(0)
    });
    metrics.lag.set(lag);
    metrics.missing.set(hours.ready.len() as i64);
    let Some(run) = hours.newest_run(*piece) else {
        // Those that failed are among the later ones for a while.
        if hours.later == 0 {
            *piece = Piece::default();
        }
        let days = store.roll_up_days().await?;
        metrics.days.inc_by(days);
        return Ok(days > 0);
    };
    let computed = store.roll_up(&run).await.inspect_err(|_| {
        *piece = Piece::half_of(&run).unwrap_or(*piece);
    })?;
    metrics.periods.inc_by(computed);
    metrics.missing.sub(computed as i64);
    if hours.ready.len() as u64 == computed {
        metrics.lag.set(0);
    }
    Ok(true)
}
