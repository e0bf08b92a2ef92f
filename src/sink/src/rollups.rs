//! The job that derives rollups from the scans, a few hours at a time. It runs beside the sink, of which there may be several, and knows
//! nothing of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use analytics::{Hour, HourRange, HoursToRollUp, Piece, ScanStore, StoreError, Which};
use jiff::Timestamp;
use prometheus::{IntCounter, IntGauge, Registry};

/// How often it is looked for hours that are missing.
const EVERY: Duration = Duration::from_secs(60);
/// The shortest pause between two steps. It is at least as long as the step was, so that the store is never the job's alone.
const PAUSE: Duration = Duration::from_secs(1);

/// For how long an hour is left out that could not be computed by itself.
const LEFT_OUT: Duration = Duration::from_secs(600);

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
    let mut pace = Pace::default();
    loop {
        let began = Instant::now();
        let pause = match step(&*store, &metrics, &mut pace).await {
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
    pace: &mut Pace,
) -> Result<bool, StoreError> {
    let hours = store.hours_to_roll_up(Which::Missing).await?;
    let lag = hours.ready.last().map_or(0, |oldest| {
        let end = oldest.before(-1).start();
        Timestamp::now().duration_since(end).as_secs().max(0)
    });
    metrics.lag.set(lag);
    metrics.missing.set(hours.ready.len() as i64);
    let Some(run) = pace.next(&hours, Instant::now()) else {
        let days = store.roll_up_days().await?;
        metrics.days.inc_by(days);
        return Ok(days > 0);
    };
    let computed = store.roll_up(&run).await;
    let computed = computed.inspect_err(|error| pace.failed(&run, error, Instant::now()))?;
    pace.succeeded();
    metrics.periods.inc_by(computed);
    metrics.missing.sub(computed as i64);
    if hours.ready.len() as u64 == computed {
        metrics.lag.set(0);
    }
    Ok(true)
}

/// What the job has learnt from failures: how many hours it takes at once, and which it leaves out for a while, so that the others are not
/// kept waiting.
#[derive(Default)]
struct Pace {
    piece: Piece,
    left_out: HashMap<Hour, Instant>,
}

impl Pace {
    /// Which hours come next.
    fn next(&mut self, hours: &HoursToRollUp, now: Instant) -> Option<HourRange> {
        self.left_out
            .retain(|_, since| now.duration_since(*since) < LEFT_OUT);
        let ready = hours.ready.iter().copied();
        let ready = ready.filter(|hour| !self.left_out.contains_key(hour));
        let hours = HoursToRollUp {
            ready: ready.collect(),
            later: hours.later,
        };
        hours.newest_run(self.piece)
    }

    fn failed(&mut self, run: &HourRange, error: &StoreError, now: Instant) {
        let fewer = match error {
            StoreError::TookTooLong { .. } => Piece::half_of(run),
            // One of them may be what cannot be counted.
            StoreError::Refused { .. } => (run.count() > 1).then_some(Piece::ONE_HOUR),
            // It is the store itself that is away.
            _ => return,
        };
        match fewer {
            Some(fewer) => self.piece = fewer,
            None => {
                self.left_out.insert(run.last, now);
            }
        }
    }

    fn succeeded(&mut self) {
        self.piece = self.piece.doubled();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_that_cannot_be_computed_keeps_no_other_waiting() {
        let hours = |numbers: std::ops::Range<i64>| HoursToRollUp {
            ready: numbers.rev().map(Hour::from_number).collect(),
            later: 0,
        };
        let numbers = |run: HourRange| (run.first.number(), run.last.number());
        let refused = StoreError::Refused {
            doing: "count",
            reason: "damaged".to_owned(),
        };
        let (mut pace, now) = (Pace::default(), Instant::now());
        let run = pace.next(&hours(0..48), now).unwrap();
        assert_eq!(numbers(run), (24, 47));
        pace.failed(&run, &refused, now);
        let run = pace.next(&hours(0..48), now).unwrap();
        assert_eq!(numbers(run), (47, 47));
        pace.failed(&run, &refused, now);
        let run = pace.next(&hours(0..48), now).unwrap();
        assert_eq!(numbers(run), (46, 46));
        pace.succeeded();
        let run = pace.next(&hours(0..46), now).unwrap();
        assert_eq!(numbers(run), (44, 45));
        let later = now + LEFT_OUT;
        let run = pace.next(&hours(47..48), later).unwrap();
        assert_eq!(numbers(run), (47, 47));
    }

    #[test]
    fn a_run_that_takes_too_long_is_halved_and_a_store_that_is_away_changes_nothing() {
        let ready = (0..48).rev().map(Hour::from_number).collect();
        let hours = HoursToRollUp { ready, later: 0 };
        let (mut pace, now) = (Pace::default(), Instant::now());
        let run = pace.next(&hours, now).unwrap();
        let away = StoreError::Unavailable {
            doing: "count",
            reason: "connection refused".to_owned(),
        };
        pace.failed(&run, &away, now);
        assert_eq!(pace.next(&hours, now), Some(run));
        let long = StoreError::TookTooLong {
            doing: "count",
            seconds: 1_800,
        };
        let mut lengths = Vec::new();
        for _ in 0..5 {
            let run = pace.next(&hours, now).unwrap();
            lengths.push(run.count());
            pace.failed(&run, &long, now);
        }
        assert_eq!(lengths, [24, 12, 6, 3, 1]);
        let run = pace.next(&hours, now).unwrap();
        assert_eq!(run.last.number(), 46, "that one is left out for now");
    }
}
