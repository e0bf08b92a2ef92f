//! A million tags, and a thousand edits a second: written as the admin writes them, while it is away.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use jiff::Timestamp;
use journal::{Journal, KafkaJournal, KafkaOptions};
use tags::{Change, Code, Destination, Domain, Tag, Version, WorkspaceId};
use tokio::time::MissedTickBehavior;

use super::tag;
use crate::deployment::client::leads_to;
use crate::deployment::stored;
use crate::ground::Ground;
use crate::steady::Steady;

const TAGS: usize = 1_000_000;
/// Those that are edited, in turn.
const EDITED: usize = 2_000;
const EDITS_A_SECOND: usize = 1_000;
/// Together in one transaction, as the edits of many people are.
const TOGETHER: usize = 100;
const LASTS: Duration = Duration::from_secs(60);
/// How long it may take until every edge has read a million tags: in a debug build, beside everything else.
const READ: Duration = Duration::from_secs(600);

pub async fn row_29_a_thousand_edits_a_second_with_a_million_tags(
    ground: &mut Ground,
) -> anyhow::Result<()> {
    let mut deployment = ground.cluster().await?;
    tag(&deployment, "calm").await?;
    let mut nodes = deployment.nodes_mut().iter_mut();
    let admin = nodes.find(|node| node.role() == "admin");
    // Its place as the one writer is taken.
    admin.context("the admin")?.kill().await;
    let options = KafkaOptions {
        prefix: deployment.kafka_prefix().to_owned(),
        ..KafkaOptions::new(ground.kafka()?.address()?)
    };
    let journal = KafkaJournal::new(options)?;
    journal.become_writer().await?;
    let domain = Domain::parse(&deployment.redirects()[0].ip().to_string())?;
    let began = Instant::now();
    for first in (0..TAGS).step_by(5_000) {
        let numbers = first..(first + 5_000).min(TAGS);
        let changes = numbers.map(|number| edit(&domain, number, 1));
        journal.publish(changes.collect::<Result<_, _>>()?).await?;
    }
    println!("{TAGS} tags published in {:?}", began.elapsed());
    let held = |page: &str| {
        let line = page
            .lines()
            .find_map(|line| line.strip_prefix("tagwire_edge_tags "));
        line.and_then(|value| value.trim().parse::<f64>().ok())
    };
    for edge in deployment.edges() {
        while held(&edge.process().metrics().await).unwrap_or_default() <= TAGS as f64 {
            ensure!(began.elapsed() < READ, "an edge has not read all tags");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    println!("read by every edge {:?} after the first", began.elapsed());

    let load = Steady::start(deployment.redirects(), "calm");
    let quiet = Instant::now();
    load.goes_on(8_000).await?;
    let began = Instant::now();
    let mut pace =
        tokio::time::interval(Duration::from_secs(1) * TOGETHER as u32 / EDITS_A_SECOND as u32);
    // What is late is made up for: the number of edits is what counts.
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut edits, mut versions) = (0, vec![1_u64; EDITED]);
    while edits < EDITS_A_SECOND * LASTS.as_secs() as usize {
        pace.tick().await;
        let mut changes = Vec::with_capacity(TOGETHER);
        for _ in 0..TOGETHER {
            let number = edits % EDITED;
            versions[number] += 1;
            changes.push(edit(&domain, number, versions[number])?);
            edits += 1;
        }
        journal.publish(changes).await?;
    }
    let over = Instant::now();
    let scanned = load.finish().await;
    let (before, during) = (scanned.p99(quiet, began), scanned.p99(began, over));
    let rate = edits as f64 / over.duration_since(began).as_secs_f64();
    println!("{rate:.0} edits a second; p99 before {before:?}, during {during:?}");
    stored::matches(&deployment, "calm", &scanned.sent).await?;
    // Every edge ends with every tag's last edit, and with those that were not edited.
    for (number, version) in versions.into_iter().enumerate() {
        leads_to(&deployment, &code(number), &destination(number, version)).await?;
    }
    for number in (EDITED..TAGS).step_by(99_991) {
        leads_to(&deployment, &code(number), &destination(number, 1)).await?;
    }
    deployment.end().await;
    Ok(())
}

fn edit(domain: &Domain, number: usize, version: u64) -> anyhow::Result<Change> {
    let tag = Tag::new(
        WorkspaceId::default_workspace(),
        domain.clone(),
        Code::parse(&code(number))?,
        Destination::parse(&destination(number, version))?,
        Timestamp::now(),
    );
    let version = Version::new(version).context("a version")?;
    Ok(Change::Tag(Tag { version, ..tag }))
}

fn code(number: usize) -> String {
    format!("tag-{number:07}")
}

fn destination(number: usize, version: u64) -> String {
    format!("https://example.com/campaign/{number}/{version}")
}
