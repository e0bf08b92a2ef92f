//! What recording a scan costs the thread that answers it: visitor hash, encoding and append, each scan at its time of a schedule.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use hdrhistogram::Histogram;
use jiff::Timestamp;
use scans::{ScanLog, ScanLogOptions};

use crate::life::Life;

/// Scans before those that count: the first of a segment, of a User-Agent, of a day's key.
const WARM_UP: u64 = 20_000;
/// The log has no shipper, and with it no spool, of which an append does not know: what the log can hold bounds a run.
const MAX_BYTES: u64 = 512 << 20;
const MOST_SCANS: u64 = 1_200_000;

#[derive(Args)]
pub(crate) struct Append {
    /// Scans a second, one at a time.
    #[arg(long)]
    rate: u32,
    /// How many, beside the first ones, which do not count.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=MOST_SCANS))]
    scans: u64,
    /// Where the log's folder is made: a file system in memory.
    #[arg(long, default_value = "/dev/shm")]
    hot: PathBuf,
}

impl Append {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let folder = tempfile::tempdir_in(&self.hot)?;
        let options = ScanLogOptions {
            max_bytes: MAX_BYTES,
            ..ScanLogOptions::new("edge", folder.path())
        };
        let log = ScanLog::open(&options, &prometheus::Registry::new())?;
        let (mut writer, life, mut rng) = (log.writer(), Life::new()?, fastrand::Rng::with_seed(1));
        let (mut appends, mut clock) = (Histogram::<u64>::new(4)?, Histogram::<u64>::new(4)?);
        let pace = Duration::from_secs(1) / self.rate;
        let mut next = Instant::now();
        for number in 0..WARM_UP + self.scans {
            let drawn = Life::draw(&mut rng);
            // An edge reads the time once for a request, whether or not it records it.
            let time = Timestamp::now();
            next += pace;
            while Instant::now() < next {
                std::hint::spin_loop();
            }
            // A request's bytes have just been received and parsed.
            life.read(&drawn);
            let start = Instant::now();
            writer.append(&life.scan(&drawn, time))?;
            let end = Instant::now();
            let alone = end.elapsed();
            if number >= WARM_UP {
                appends.record((end - start).as_nanos() as u64)?;
                clock.record(alone.as_nanos() as u64)?;
            }
        }
        let ns = |times: &Histogram<u64>| {
            let at = |quantile| times.value_at_quantile(quantile);
            serde_json::json!({"p50": at(0.5), "p99": at(0.99), "p99.9": at(0.999), "max": times.max()})
        };
        let report = serde_json::json!({
            "scans": self.scans, "rate": self.rate, "append_ns": ns(&appends), "clock_ns": ns(&clock),
        });
        println!("{report}");
        Ok(())
    }
}
