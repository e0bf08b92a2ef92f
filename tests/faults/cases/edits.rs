//! Edits without a pause beside scans: as fast as the API takes them; and a thousand a second with a million tags, written as the admin writes
//! them, while it is away.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use jiff::Timestamp;
use journal::{Journal, KafkaJournal, KafkaOptions};
use serde_json::json;
use tags::{Change, Code, Destination, Domain, Tag, Version, WorkspaceId};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::tag;
use crate::deployment::Deployment;
use crate::deployment::client::{Api, leads_to};
use crate::figures::{self, Figures};
use crate::ground::Ground;
use crate::steady::Steady;

/// What is scanned, and not edited.
const CALM: &str = "calm";
/// Tags that the API's writers edit.
const FEW: usize = 200;
const WRITERS: usize = 32;
const TAGS: usize = 1_000_000;
/// Those of them that are edited, in turn.
const EDITED: usize = 2_000;
const EDITS_A_SECOND: usize = 1_000;
/// Together in one transaction, as the edits of many people are.
const TOGETHER: usize = 100;
const LASTS: Duration = Duration::from_secs(60);
const LASTS_BY_API: Duration = Duration::from_secs(10);
/// How long it may take until every edge has read a million tags: in a debug build, beside everything else.
const READ: Duration = Duration::from_secs(600);

pub async fn row_29_edits_come_as_fast_as_they_are_taken(
    ground: &mut Ground,
) -> anyhow::Result<Figures> {
    let mut deployment = ground.cluster().await?;
    let api = Api::of(&deployment)?;
    for number in 0..FEW {
        let tag = json!({"code": format!("edit-{number}"), "destination": "https://example.com/0"});
        api.post("/tags", tag).await?;
    }
    tag(&deployment, CALM).await?;
    let (last, found) = beside_scans(&mut deployment, edit_by_api(&api)).await?;
    // Every edge ends with every tag's last edit.
    for (number, last) in last.into_iter().enumerate() {
        leads_to(
            &deployment,
            &format!("edit-{number}"),
            &format!("https://example.com/{last}"),
        )
        .await?;
    }
    deployment.end().await;
    Ok(found)
}

/// Edits as fast as they are taken. Returns how many edits there were, and each tag's last one.
async fn edit_by_api(api: &Api) -> anyhow::Result<(u64, Vec<u64>)> {
    let began = Instant::now();
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let api = api.clone();
        writers.spawn(async move {
            let (mut edits, mut last) = (0_u64, vec![0; FEW]);
            while began.elapsed() < LASTS_BY_API {
                // Each tag has one writer, who so knows what its last edit was.
                for number in (writer..FEW).step_by(WRITERS) {
                    edits += 1;
                    last[number] = edits;
                    let destination = format!("https://example.com/{edits}");
                    let edit = json!({"destination": destination});
                    let path = format!("/tags/edit-{number}");
                    // 503: nothing was written, and it is tried again.
                    while let Err(error) = api.patch(&path, edit.clone()).await {
                        ensure!(error.to_string().contains(": 503 "), error);
                    }
                }
            }
            anyhow::Ok((writer, edits, last))
        });
    }
    let (mut edits, mut last) = (0, vec![0; FEW]);
    while let Some(writer) = writers.join_next().await {
        let (writer, made, of_writer) = writer??;
        edits += made;
        for number in (writer..FEW).step_by(WRITERS) {
            last[number] = of_writer[number];
        }
    }
    Ok((edits, last))
}

pub async fn row_29_a_thousand_edits_a_second_with_a_million_tags(
    ground: &mut Ground,
) -> anyhow::Result<Figures> {
    let mut deployment = ground.cluster().await?;
    tag(&deployment, CALM).await?;
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

    let edits = edit_by_journal(&journal, &domain);
    let (versions, found) = beside_scans(&mut deployment, edits).await?;
    // Every edge ends with every tag's last edit, and with those that were not edited.
    for (number, version) in versions.into_iter().enumerate() {
        leads_to(&deployment, &code(number), &destination(number, version)).await?;
    }
    for number in (EDITED..TAGS).step_by(99_991) {
        leads_to(&deployment, &code(number), &destination(number, 1)).await?;
    }
    deployment.end().await;
    Ok(found)
}

/// Edits at an even pace. Returns how many edits there were, and each tag's last version.
async fn edit_by_journal(
    journal: &dyn Journal,
    domain: &Domain,
) -> anyhow::Result<(u64, Vec<u64>)> {
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
            changes.push(edit(domain, number, versions[number])?);
            edits += 1;
        }
        journal.publish(changes).await?;
    }
    Ok((edits as u64, versions))
}

/// Has scans come at an even pace, first alone and then beside the edits, and prints how quickly they were answered then and how many edits
/// there were. None may fail or be missing in the store. Returns what the edits came to, and what the scans did.
async fn beside_scans<T>(
    deployment: &mut Deployment,
    edits: impl Future<Output = anyhow::Result<(u64, T)>>,
) -> anyhow::Result<(T, Figures)> {
    let load = Steady::start(deployment.redirects(), CALM);
    let quiet = Instant::now();
    load.goes_on(8_000).await?;
    let began = Instant::now();
    let (edits, outcome) = edits.await?;
    let over = Instant::now();
    let scanned = load.finish().await;
    let (before, during) = (scanned.p99(quiet, began), scanned.p99(began, over));
    let rate = edits as f64 / over.duration_since(began).as_secs_f64();
    println!("{rate:.0} edits a second; p99 before {before:?}, during {during:?}");
    let found = figures::exact(deployment, CALM, &scanned.sent).await?;
    Ok((outcome, found))
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
