//! What delivering scans to Kafka costs, in a process that does nothing but record them: the CPU of the shipper's thread and of
//! librdkafka's, by the kernel's accounting of each thread.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;
use jiff::Timestamp;
use scans::{
    Delivery, EncodedBatch, Full, KafkaOutlet, KafkaOutletOptions, Outlet, ScanLog, ScanLogOptions,
    Shipper, ShipperOptions, SpoolOptions,
};

use crate::life::Life;

/// How often the thread wakes that appends what is due; less than the shipper's rounds, so that batches are as in life.
const TURN: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_secs(60);
/// As an edge has it unless it is told otherwise: the shipper looks for what waits for long in each round.
const SPOOL_MAX_BYTES: u64 = 4 << 30;

#[derive(Args)]
pub(crate) struct Ship {
    /// Bootstrap servers.
    #[arg(long)]
    brokers: String,
    /// What topics' names begin with.
    #[arg(long)]
    prefix: String,
    /// The edge's name in the scans' identities.
    #[arg(long, default_value = "bench")]
    edge: String,
    /// Scans a second, of all writers.
    #[arg(long)]
    rate: u32,
    /// For how many seconds; the first of them does not count.
    #[arg(long)]
    seconds: f64,
    /// How many worker threads' writers they are spread over.
    #[arg(long, default_value_t = 2)]
    writers: usize,
    /// Where the log's folder is made: a file system in memory.
    #[arg(long, default_value = "/dev/shm")]
    hot: PathBuf,
    /// Where the spool's folder is made: a disk. By default where temporary files are.
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    spool: PathBuf,
}

/// The Kafka outlet, with what goes through it counted.
struct Counting {
    outlet: KafkaOutlet,
    sent: Arc<Sent>,
}

#[derive(Default)]
struct Sent {
    batches: AtomicU64,
    bytes: AtomicU64,
}

impl Outlet for Counting {
    fn send(&mut self, batch: EncodedBatch) -> Result<(), Full> {
        let bytes = batch.bytes.len() as u64;
        self.outlet.send(batch)?;
        // Relaxed: numbers that are read when all has been sent.
        self.sent.batches.fetch_add(1, Ordering::Relaxed);
        self.sent.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    fn poll(&mut self, wait: Duration) -> Vec<Delivery> {
        self.outlet.poll(wait)
    }

    fn partitions(&mut self) -> Option<i32> {
        self.outlet.partitions()
    }
}

impl Ship {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let folder = tempfile::tempdir_in(&self.hot)?;
        let spool = tempfile::tempdir_in(&self.spool)?;
        let options = ScanLogOptions {
            spool: Some(SpoolOptions {
                folder: spool.path().to_path_buf(),
                max_bytes: SPOOL_MAX_BYTES,
            }),
            ..ScanLogOptions::new(self.edge.as_str(), folder.path())
        };
        let log = Arc::new(ScanLog::open(&options, &prometheus::Registry::new())?);
        let outlet = KafkaOutlet::new(&KafkaOutletOptions::new(&self.brokers, &self.prefix))?;
        let sent = Arc::new(Sent::default());
        let counting = Counting {
            outlet,
            sent: Arc::clone(&sent),
        };
        let mut writers: Vec<_> = (0..self.writers.max(1)).map(|_| log.writer()).collect();
        let shipper = Shipper::start(
            Arc::clone(&log),
            Box::new(counting),
            ShipperOptions::default(),
        )?;
        let (life, mut rng) = (Life::new()?, fastrand::Rng::with_seed(2));
        let started = Instant::now();
        let due = |seconds: f64| (seconds * f64::from(self.rate)) as u64;
        let (mut appended, all) = (0, due(self.seconds));
        let mut before = None;
        while appended < all {
            let passed = started.elapsed().as_secs_f64();
            if before.is_none() && passed >= 1.0 && log.ledger().acknowledged > 0 {
                before = Some((cpu_by_thread()?, log.ledger().acknowledged, counted(&sent)));
            }
            let time = Timestamp::now();
            while appended < due(passed).min(all) {
                let writer = appended as usize % writers.len();
                writers[writer].append(&life.scan(&Life::draw(&mut rng), time))?;
                appended += 1;
            }
            std::thread::sleep(TURN);
        }
        let deadline = Instant::now() + PATIENCE;
        while log.ledger().waiting() > 0 {
            ensure!(Instant::now() < deadline, "Kafka does not take the scans");
            std::thread::sleep(TURN);
        }
        let (after, acknowledged, sent) =
            (cpu_by_thread()?, log.ledger().acknowledged, counted(&sent));
        let seconds = started.elapsed().as_secs_f64();
        let (before, earlier, sent_before) =
            before.context("nothing was delivered in time: give it more seconds")?;
        let scans = (acknowledged - earlier) as f64;
        let each = |name: &str| {
            let spent = |at: &BTreeMap<_, _>| at.get(name).copied().unwrap_or(0);
            let spent = spent(&after).saturating_sub(spent(&before));
            ensure!(
                spent > 0,
                "no thread that is {name} has done anything: what are they called now?"
            );
            Ok(spent as f64 / 1e3 / scans)
        };
        let report = serde_json::json!({
            "scans": acknowledged, "rate": self.rate, "per_second": acknowledged as f64 / seconds,
            "scans_per_batch": scans / (sent.0 - sent_before.0) as f64,
            "bytes_per_scan": (sent.1 - sent_before.1) as f64 / scans,
            "cpu_us": {"shipper": each(SHIPPER)?, "librdkafka": each(LIBRDKAFKA)?, "others": each(OTHERS)?},
        });
        println!("{report}");
        drop(writers);
        shipper.drain(Instant::now() + PATIENCE);
        Ok(())
    }
}

fn counted(sent: &Sent) -> (u64, u64) {
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    (read(&sent.batches), read(&sent.bytes))
}

const SHIPPER: &str = "shipper";
const LIBRDKAFKA: &str = "librdkafka";
/// This program's own thread, which appends, the log's that keeps segments ready, and the spool's, which has nothing to do while Kafka takes the scans.
const OTHERS: &str = "others";

/// Nanoseconds on a processor so far. A thread that has ended is missed: those that count last as long as the process.
fn cpu_by_thread() -> anyhow::Result<BTreeMap<&'static str, u64>> {
    let mut spent = BTreeMap::new();
    for task in std::fs::read_dir("/proc/self/task")? {
        let task = task?.path();
        let read = |file: &str| std::fs::read_to_string(task.join(file));
        let (Ok(name), Ok(times)) = (read("comm"), read("schedstat")) else {
            continue;
        };
        let kind = match name.trim_end() {
            "scan-shipper" => SHIPPER,
            name if name.starts_with("rdk:") => LIBRDKAFKA,
            _ => OTHERS,
        };
        // proc(5): the first of three is the time on a processor.
        let on_processor = times.split_whitespace().next().context("schedstat")?;
        *spent.entry(kind).or_default() += on_processor.parse::<u64>()?;
    }
    Ok(spent)
}
