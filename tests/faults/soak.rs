//! A soak: a cluster under steady load, and every half minute something else of it breaks, by chance. All chance comes from one number,
//! which is printed, so that what was found can be looked for again: the same faults come in the same order, though not in the same moment.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use fastrand::Rng;

use crate::cases::{everywhere, tag};
use crate::deployment::load::Sent;
use crate::deployment::{Deployment, ledger, stored};
use crate::disk::Disk;
use crate::figures::{Figures, judged};
use crate::ground::Ground;
use crate::steady::Steady;

/// The case's name.
pub const NAME: &str = "soak";

/// How many seconds it lasts, and where chance begins.
const VARIABLE: &str = "TAGWIRE_TEST_SOAK";
const CODE: &str = "soaked";
/// From one fault to the next.
const EVERY: Duration = Duration::from_secs(30);
/// From one scan of a phone to its next: 400 scans a second in all.
const PACE: Duration = Duration::from_millis(40);
/// How long something is broken, in milliseconds.
const BROKEN: std::ops::Range<u64> = 500..12_000;

/// What was asked for.
pub struct Soak {
    lasts: Duration,
    seed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Counted from 0.
    EdgeKilled(usize),
    SinkKilled,
    AdminKilled,
    KafkaKilled,
    ClickHouseKilled,
    /// Of the first edge's scan log.
    DiskFilled,
}

/// What breaks together, one after the other, and how long it stays so.
#[derive(Debug)]
struct Round {
    faults: Vec<Fault>,
    broken: Duration,
}

impl Soak {
    /// By the environment; none: nobody has asked for one.
    pub fn asked_for() -> anyhow::Result<Option<Self>> {
        let Ok(asked) = std::env::var(VARIABLE) else {
            return Ok(None);
        };
        let (seconds, seed) = asked
            .split_once(' ')
            .with_context(|| format!("{VARIABLE} is to be SECONDS SEED"))?;
        Ok(Some(Self {
            lasts: Duration::from_secs(seconds.parse().context("seconds")?),
            seed: seed.parse().context("a seed")?,
        }))
    }

    /// Runs it, and compares at its end.
    pub async fn run(self, ground: &mut Ground) -> anyhow::Result<Figures> {
        println!(
            "a soak of {} s with seed {}",
            self.lasts.as_secs(),
            self.seed
        );
        let mut rng = Rng::with_seed(self.seed);
        let mut deployment = Deployment::start(&ground.plan_on_own()?).await?;
        tag(&deployment, CODE).await?;
        let mut disk = Disk::make(&mut deployment).await?;
        println!("{disk}");
        let (edges, host) = (
            deployment.redirects(),
            deployment.redirects()[0].to_string(),
        );
        let load = Steady::start_at(PACE, edges, &host, CODE);
        let (began, mut slowest) = (Instant::now(), Duration::ZERO);
        for number in 1.. {
            let next = EVERY * number;
            if next > self.lasts {
                break;
            }
            tokio::time::sleep(next.saturating_sub(began.elapsed())).await;
            let round = Round::draw(&mut rng, edges_of(&deployment));
            let recovery = round.run(ground, &mut deployment, &mut disk).await;
            let recovery = recovery.with_context(|| {
                format!(
                    "seed {}, {round:?}\n{}",
                    self.seed,
                    deployment.last_log_lines()
                )
            })?;
            println!(
                "{:>5} s: {round:?}, as before {recovery:.1?} after its end",
                next.as_secs()
            );
            slowest = slowest.max(recovery);
        }
        load.goes_on(1_000).await?;
        let sent = load.finish().await.sent;
        let found = compare(&mut deployment, &sent, slowest).await;
        let found = found.with_context(|| format!("seed {}", self.seed))?;
        deployment.end().await;
        Ok(found)
    }
}

impl Round {
    fn draw(rng: &mut Rng, edges: usize) -> Self {
        let mut faults = vec![Fault::draw(rng, edges)];
        // Now and then another thing breaks meanwhile; never two edges, as a phone asks two at most.
        if rng.u8(..3) == 0 {
            let second = Fault::draw(rng, edges);
            if !faults[0].is_like(second) {
                faults.push(second);
            }
        }
        let broken = Duration::from_millis(rng.u64(BROKEN));
        Self { faults, broken }
    }

    /// Breaks, waits, mends, and tells how long it took from then until an edit was on every edge again.
    async fn run(
        &self,
        ground: &mut Ground,
        deployment: &mut Deployment,
        disk: &mut Disk,
    ) -> anyhow::Result<Duration> {
        let each = self.broken / self.faults.len() as u32;
        for fault in &self.faults {
            match fault {
                Fault::EdgeKilled(number) => {
                    let edge = deployment.edges_mut().nth(*number);
                    edge.context("that edge")?.kill().await;
                }
                Fault::SinkKilled => deployment.sink().kill().await,
                Fault::AdminKilled => deployment.admin_mut().kill().await,
                Fault::KafkaKilled => ground.kafka()?.kill()?,
                Fault::ClickHouseKilled => ground.clickhouse()?.kill()?,
                Fault::DiskFilled => disk.fill(deployment)?,
            }
            tokio::time::sleep(each).await; // the fault itself
        }
        // What the processes need comes first; what runs already stays.
        if self.faults.contains(&Fault::DiskFilled) {
            disk.free(deployment)?;
        }
        ground.kafka()?;
        ground.clickhouse()?;
        let mended = Instant::now();
        for node in deployment.nodes_mut() {
            if !node.runs() {
                node.start().await;
            }
        }
        for node in deployment.nodes() {
            node.ready().await;
        }
        everywhere(deployment, CODE).await?;
        Ok(mended.elapsed())
    }
}

impl Fault {
    fn draw(rng: &mut Rng, edges: usize) -> Self {
        match rng.u8(..6) {
            0 => Self::EdgeKilled(rng.usize(..edges)),
            1 => Self::SinkKilled,
            2 => Self::AdminKilled,
            3 => Self::KafkaKilled,
            4 => Self::ClickHouseKilled,
            _ => Self::DiskFilled,
        }
    }

    fn is_like(self, other: Self) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }
}

/// Every answered scan is stored once, but for as many as the ledger tells to be dropped.
async fn compare(
    deployment: &mut Deployment,
    sent: &Sent,
    recovery: Duration,
) -> anyhow::Result<Figures> {
    let lost = stored::lost(deployment, CODE, sent, 0).await?.len() as u64;
    let told = ledger::settled_at_the_end(deployment).await?;
    let scans = judged(&told, sent)?;
    // Of a scan that was dropped, the connection may have been cut off too.
    let at_most = lost + sent.unanswered.len() as u64;
    ensure!(
        (lost..=at_most).contains(&scans.told_lost),
        "{lost} answered scans are not stored, and the ledger tells {told:?}"
    );
    Ok(Figures {
        scans: Some(scans),
        recovery: Some(recovery),
    })
}

fn edges_of(deployment: &Deployment) -> usize {
    deployment.edges().count()
}
