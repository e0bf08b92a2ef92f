//! How fast an edge's first reading of the journal is, apart from the table: publishes so many tags to Kafka, then reads them.
//!
//! `cargo run --release --example first_reading -- BROKERS PREFIX TAGS`; with TAGS 0, reads what is there.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use jiff::Timestamp;
use journal::{Event, Journal as _, KafkaJournal, KafkaOptions, Positions, Since};
use tags::{
    Change, Code, Destination, Domain, QueryMode, RedirectStatus, Rules, Status, Tag, Topic,
    Version, WorkspaceId,
};

/// Tags in one transaction.
const CHUNK: u64 = 10_000;

fn tag(number: u64) -> anyhow::Result<Change> {
    let now = Timestamp::now();
    Ok(Change::Tag(Tag {
        workspace: WorkspaceId::default_workspace(),
        domain: Domain::parse("qr.example.com")?,
        code: Code::parse(&format!("c{number}"))?,
        version: Version::new(1).context("a version")?,
        status: Status::Active,
        destination: Destination::parse(&format!(
            "https://www.example.com/campaigns/spring/landing?source=print&item={number:020}"
        ))?,
        rules: Rules::default(),
        redirect_status: RedirectStatus::Found,
        cache_max_age: None,
        starts_at: None,
        expires_at: None,
        max_scans: None,
        fallback_url: None,
        query: QueryMode::default(),
        campaign: "spring".to_owned(),
        name: String::new(),
        labels: Vec::new(),
        created_at: now,
        updated_at: now,
        updated_by: "k1".to_owned(),
        scheduled: None,
    }))
}

/// Processor time of this process with all its threads, in seconds.
fn cpu() -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .context("fields")?
        .split(' ')
        .collect();
    let ticks = fields[12].parse::<f64>()? + fields[13].parse::<f64>()?;
    Ok(ticks / 100.0)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().context("BROKERS PREFIX TAGS");
    let mut options = KafkaOptions::new(next()?);
    options.prefix = next()?;
    let tags: u64 = next()?.parse()?;
    let journal = KafkaJournal::new(options)?;
    if tags > 0 {
        journal.become_writer().await?;
        for first in (0..tags).step_by(CHUNK as usize) {
            let chunk = first..(first + CHUNK).min(tags);
            journal
                .publish(chunk.map(tag).collect::<Result<_, _>>()?)
                .await?;
        }
    }
    let (began, before) = (Instant::now(), cpu()?);
    let mut follower = journal.follow(&Topic::EDGE, Since::from(Positions::default()))?;
    let mut read = 0_u64;
    loop {
        match follower.next(Duration::from_secs(1))? {
            Some(Event::Change { .. }) => read += 1,
            Some(Event::CaughtUp) => break,
            _ => {}
        }
    }
    let (took, used) = (began.elapsed().as_secs_f64(), cpu()? - before);
    println!(
        "{read} tags in {took:.2} s: {:.0} a second; {:.2} µs of processor time each",
        read as f64 / took,
        used / read as f64 * 1e6
    );
    Ok(())
}
