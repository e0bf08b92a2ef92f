//! The scan log has no room left: delivery is away for too long, or the disk is full. And it is damaged.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::tag;
use crate::deployment::{Deployment, stored};
use crate::disk::Disk;
use crate::figures::{self, Figures};
use crate::ground::Ground;
use crate::steady::Steady;

const DROPPED: &str = "tagwire_edge_scans_dropped_total";
/// The least that a scan log may have in memory, and in its spool: some 130,000 of the load's scans in each.
const FEW_BYTES: u64 = 16 << 20;
/// From one scan of a phone to its next, so that segments are full soon.
const QUICK: Duration = Duration::from_millis(1);

pub async fn row_02_kafka_is_away_until_the_scan_log_is_full(
    ground: &mut Ground,
) -> anyhow::Result<Figures> {
    let mut plan = ground.plan()?;
    plan.edges = 1;
    for bound in [
        "TAGWIRE_SCAN_LOG__MAX_BYTES",
        "TAGWIRE_SCAN_LOG__SPOOL_MAX_BYTES",
    ] {
        plan.edge_environment.push((bound, FEW_BYTES.to_string()));
    }
    let mut deployment = Deployment::start(&plan).await?;
    tag(&deployment, "full").await?;
    let load = quick(&deployment, "full");
    load.goes_on(1_000).await?;
    ground.kafka()?.kill()?;
    while dropped(&deployment).await == 0 {
        load.goes_on(500).await?;
    }
    load.goes_on(5_000).await?;
    ground.kafka()?;
    let back = Instant::now();
    load.goes_on(4_000).await?;
    let scanned = load.finish().await;
    let dropped = dropped(&deployment).await;
    let lost = stored::lost(&deployment, "full", &scanned.sent, dropped as usize).await?;
    ensure!(
        lost.len() as u64 == dropped,
        "{} lost, {dropped} dropped",
        lost.len()
    );
    let recovery = back.elapsed();
    let reason = [("log_full", dropped)];
    let found = figures::but_dropped(&mut deployment, "full", &scanned.sent, &reason).await?;
    deployment.end().await;
    Ok(found.recovered_in(recovery))
}

pub async fn row_10_the_scan_log_s_disk_is_full_and_has_room_again(
    ground: &mut Ground,
) -> anyhow::Result<Figures> {
    let mut plan = ground.plan()?;
    // With it, the segments that can be made would do.
    let no_spool = ("TAGWIRE_SCAN_LOG__SPOOL_MAX_BYTES", "0".to_owned());
    plan.edge_environment.push(no_spool);
    let mut deployment = Deployment::start(&plan).await?;
    tag(&deployment, "no-room").await?;
    let mut disk = Disk::make(&mut deployment).await?;
    println!("{disk}");
    let load = quick(&deployment, "no-room");
    load.goes_on(1_000).await?;
    // Delivery is away, so that segments are used up, and none can be made.
    ground.kafka()?.kill()?;
    disk.fill(&deployment)?;
    while dropped(&deployment).await == 0 {
        load.goes_on(500).await?;
    }
    load.goes_on(1_000).await?;
    disk.free(&deployment)?;
    let room = Instant::now();
    // It records again before anything is delivered.
    let mut before = dropped(&deployment).await;
    loop {
        load.goes_on(500).await?;
        let now = dropped(&deployment).await;
        if now == before {
            break;
        }
        before = now;
    }
    let recovery = room.elapsed();
    ground.kafka()?;
    load.goes_on(1_000).await?;
    let scanned = load.finish().await;
    let reason = [("log_full", dropped(&deployment).await)];
    let found = figures::but_dropped(&mut deployment, "no-room", &scanned.sent, &reason).await?;
    deployment.end().await;
    Ok(found.recovered_in(recovery))
}

pub async fn row_11_a_record_is_torn_and_a_bit_flips_in_the_middle(
    ground: &mut Ground,
) -> anyhow::Result<Figures> {
    let mut deployment = ground.cluster().await?;
    tag(&deployment, "damaged").await?;
    // Away from the first scan on, so that all that is in the segments is this load's.
    ground.kafka()?.kill()?;
    let load = Steady::start(deployment.redirects(), "damaged");
    load.goes_on(3_000).await?;
    let hot = deployment.scan_log(1);
    deployment.edge().kill().await;
    let scanned = load.finish().await;
    let segments = with_records(&hot)?;
    let first = segments.first().context("a segment with records")?;
    let mut damaged = Segment::read(first)?;
    damaged.flip_in_the_middle()?;
    damaged.tear_behind_the_end()?;
    ground.kafka()?;
    deployment.edge().start().await;
    deployment.edge().ready().await;
    let reason = [("corrupt", 1)];
    let found = figures::but_dropped(&mut deployment, "damaged", &scanned.sent, &reason).await?;
    deployment.end().await;
    Ok(found)
}

/// A load of the first edge alone.
fn quick(deployment: &Deployment, code: &str) -> Steady {
    let edge = deployment.redirects()[0];
    Steady::start_at(QUICK, &[edge], &edge.to_string(), code)
}

/// By all edges, for all reasons.
async fn dropped(deployment: &Deployment) -> u64 {
    let mut dropped = 0.0;
    for edge in deployment.edges() {
        dropped += edge.metric(DROPPED).await;
    }
    dropped as u64
}

/// Segments that a writer has begun and written to, in the order of their names.
fn with_records(hot: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(hot)? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "segment")
            && Segment::read(&path)?.end > Segment::HEADER + 1_024
        {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// A file of the scan log, as bytes.
struct Segment {
    file: File,
    bytes: Vec<u8>,
    /// Behind the last record: a file that was never written again has zeros there.
    end: usize,
}

impl Segment {
    /// Before the records.
    const HEADER: usize = 4_096;

    fn read(path: &Path) -> anyhow::Result<Self> {
        let (file, bytes) = (OpenOptions::new().write(true).open(path)?, fs::read(path)?);
        let last = bytes.iter().rposition(|byte| *byte != 0);
        let end = last.map_or(0, |last| (last + 1).next_multiple_of(8));
        Ok(Self { file, bytes, end })
    }

    /// In eight bytes that lie in one record, since records begin at multiples of eight.
    fn flip_in_the_middle(&mut self) -> anyhow::Result<()> {
        let middle = (Self::HEADER + (self.end - Self::HEADER) / 2) & !7;
        let flipped: Vec<u8> = self.bytes[middle..middle + 8]
            .iter()
            .map(|byte| byte ^ 4)
            .collect();
        Ok(self.file.write_all_at(&flipped, middle as u64)?)
    }

    /// Half of a record, as the first is: its writer was killed within it.
    fn tear_behind_the_end(&mut self) -> anyhow::Result<()> {
        let half = &self.bytes[Self::HEADER..Self::HEADER + 64];
        // The last record may end in zeros.
        Ok(self.file.write_all_at(half, self.end as u64 + 512)?)
    }
}
