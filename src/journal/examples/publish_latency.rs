//! Measures how long a publish takes, and how long until a follower has it, one at a time and with many callers at once.
//!
//! `cargo run --release -p journal --example publish_latency -- FOLDER` for SQLite in that folder, and Kafka where
//! `TAGWIRE_TEST_KAFKA` names a broker.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use jiff::Timestamp;
use journal::{Applied, Event, Journal, KafkaJournal, KafkaOptions, Since, SqliteJournal};
use tags::{Action, AuditEntry, Change, Topic, Workspace, WorkspaceId};

const ALONE: usize = 300;
const CALLERS: usize = 64;
const EACH: usize = 30;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = std::env::args_os()
        .nth(1)
        .map(PathBuf::from)
        .context("which folder shall SQLite write to?")?;
    let file = folder.join("publish_latency.sqlite");
    measure("sqlite", Arc::new(SqliteJournal::open(&file)?)).await?;
    for suffix in ["", "-wal", "-shm"] {
        // The other two are gone when the last connection closed them.
        let _ = std::fs::remove_file(folder.join(format!("publish_latency.sqlite{suffix}")));
    }
    if let Ok(brokers) = std::env::var("TAGWIRE_TEST_KAFKA") {
        let prefix = format!("latency-{}.", std::process::id());
        let journal = KafkaJournal::new(KafkaOptions {
            prefix,
            ..KafkaOptions::new(brokers)
        })?;
        measure("kafka", Arc::new(journal)).await?;
    }
    Ok(())
}

async fn measure(name: &str, journal: Arc<dyn Journal>) -> anyhow::Result<()> {
    journal.become_writer().await?;
    let (sender, applied) = Applied::new();
    let mut follower = journal.follow(&Topic::ALL, Since::default())?;
    std::thread::spawn(move || {
        while let Ok(event) = follower.next(Duration::from_secs(1)) {
            event.iter().for_each(|event: &Event| sender.applied(event));
        }
    });

    let (mut published, mut visible) = (Vec::new(), Vec::new());
    for number in 0..ALONE {
        let started = Instant::now();
        let positions = journal.publish(edit(number)?).await?;
        published.push(started.elapsed());
        applied.wait_for(&positions).await?;
        visible.push(started.elapsed());
    }
    report(&format!("{name}: publish, one at a time"), published);
    report(
        &format!("{name}: publish and applied by a follower"),
        visible,
    );

    let started = Instant::now();
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let journal = Arc::clone(&journal);
            tokio::spawn(async move {
                let mut taken = Vec::new();
                for number in 0..EACH {
                    let started = Instant::now();
                    journal.publish(edit(caller * EACH + number)?).await?;
                    taken.push(started.elapsed());
                }
                anyhow::Ok(taken)
            })
        })
        .collect();
    let mut taken = Vec::new();
    for caller in callers {
        taken.extend(caller.await??);
    }
    let rate = (CALLERS * EACH) as f64 / started.elapsed().as_secs_f64();
    report(
        &format!("{name}: publish, {CALLERS} callers, {rate:.0} a second"),
        taken,
    );
    Ok(())
}

fn edit(number: usize) -> anyhow::Result<Vec<Change>> {
    let id = WorkspaceId::parse(&format!("w{number}"))?;
    let at = Timestamp::now();
    let workspace = Workspace::new(id.clone(), "Latency".to_owned(), at);
    let entry = AuditEntry {
        subject: format!("workspace/{id}"),
        workspace: id,
        at,
        actor: "measurement".to_owned(),
        remote: "127.0.0.1".to_owned(),
        action: Action::Create,
        before: None,
        after: None,
        fields_before: None,
        fields_after: None,
    };
    Ok(vec![Change::Workspace(workspace), Change::Audit(entry)])
}

fn report(what: &str, mut taken: Vec<Duration>) {
    taken.sort_unstable();
    let at = |share: f64| taken[((taken.len() - 1) as f64 * share) as usize];
    println!(
        "{what}: p50 {:.2?}, p99 {:.2?}, max {:.2?}",
        at(0.5),
        at(0.99),
        at(1.0)
    );
}
