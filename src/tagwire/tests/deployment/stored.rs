//! What is stored, read from the store itself and by identity, so that a loss and a duplicate cannot cancel out.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use anyhow::{Context, ensure};
use rusqlite::{Connection, OpenFlags};

use crate::deployment::load::{Sent, number};
use crate::deployment::{Deployment, Shape};
use crate::support::{DEADLINE, client};

/// One stored row.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StoredScan {
    /// Edge, boot, writer, seq.
    pub identity: String,
    pub user_agent: String,
}

/// All rows of a code's GETs, duplicates too.
pub async fn rows(deployment: &Deployment, code: &str) -> anyhow::Result<Vec<StoredScan>> {
    match deployment.shape() {
        Shape::Standalone => {
            let file =
                Connection::open_with_flags(deployment.sqlite(), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
            file.busy_timeout(Duration::from_secs(10))?;
            let mut statement = file.prepare(
                "SELECT edge || ' ' || boot || ' ' || writer || ' ' || seq, user_agent
                 FROM scans JOIN writers ON writers.id = scans.writer_id WHERE code = ?1 AND method = 'get'",
            )?;
            let rows = statement.query_map([code], |row| {
                Ok(StoredScan {
                    identity: row.get(0)?,
                    user_agent: row.get(1)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        }
        Shape::Cluster => {
            let (url, database) = deployment.clickhouse();
            let query = format!(
                "SELECT edge || ' ' || toString(boot) || ' ' || toString(writer) || ' ' || toString(seq), user_agent
                 FROM {database}.scans WHERE code = '{code}' AND method = 'get' FORMAT TSV"
            );
            let text = client()
                .post(url)
                .body(query)
                .send()
                .await?
                .error_for_status()?
                .text()
                .await?;
            let row = |line: &str| {
                let (identity, user_agent) = line.split_once('\t').context("two columns")?;
                Ok(StoredScan {
                    identity: identity.to_owned(),
                    user_agent: user_agent.to_owned(),
                })
            };
            text.lines().map(row).collect()
        }
    }
}

/// Waits until a code has so many rows, and then that they are as many scans by identity.
pub async fn exactly(deployment: &Deployment, code: &str, wanted: usize) -> anyhow::Result<()> {
    let rows = at_least(deployment, code, wanted).await?;
    let identities: HashSet<_> = rows.iter().map(|row| &row.identity).collect();
    ensure!(
        rows.len() == wanted && identities.len() == wanted,
        "{} rows, {} scans, wanted {wanted}",
        rows.len(),
        identities.len()
    );
    Ok(())
}

/// Compares a load with what is stored of it: every answered scan once, and of the others at most those whose connection broke.
pub async fn matches(deployment: &Deployment, code: &str, sent: &Sent) -> anyhow::Result<()> {
    let lost = lost(deployment, code, sent, 0).await?;
    ensure!(
        lost.is_empty(),
        "of {} answered and {} broken-off scans {} are lost: {lost:?}",
        sent.answered.len(),
        sent.unanswered.len(),
        lost.len(),
    );
    Ok(())
}

/// Compares a load of which so many scans may be lost with what is stored of it: nothing twice, nothing that was never sent. Which
/// answered ones are not stored.
pub async fn lost(
    deployment: &Deployment,
    code: &str,
    sent: &Sent,
    at_most: usize,
) -> anyhow::Result<Vec<u64>> {
    ensure!(
        sent.wrong.is_empty(),
        "{} wrong answers, the first: {}",
        sent.wrong.len(),
        sent.wrong[0]
    );
    deployment.delivered().await?;
    let wanted = sent.answered.len().saturating_sub(at_most);
    let rows = at_least(deployment, code, wanted).await?;
    let identities: HashSet<_> = rows.iter().map(|row| &row.identity).collect();
    ensure!(
        identities.len() == rows.len(),
        "{} rows have the identity of another",
        rows.len() - identities.len()
    );
    let mut times: HashMap<u64, usize> = HashMap::new();
    for row in &rows {
        *times
            .entry(number(&row.user_agent).context("a scan of the load's")?)
            .or_default() += 1;
    }
    let twice: Vec<_> = times.iter().filter(|(_, times)| **times > 1).collect();
    let foreign: Vec<_> = times
        .keys()
        .filter(|number| !sent.answered.contains(number) && !sent.unanswered.contains(number))
        .collect();
    ensure!(
        twice.is_empty() && foreign.is_empty(),
        "of {} answered and {} broken-off scans: {} stored twice, {} never sent",
        sent.answered.len(),
        sent.unanswered.len(),
        twice.len(),
        foreign.len()
    );
    let answered = sent.answered.iter().copied();
    Ok(answered
        .filter(|number| !times.contains_key(number))
        .collect())
}

/// Waits until the scans of a load under way are stored up to this number.
pub async fn up_to(deployment: &Deployment, code: &str, last: u64) -> anyhow::Result<()> {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    loop {
        let rows = rows(deployment, code).await?;
        let found: HashSet<_> = rows
            .iter()
            .filter_map(|row| number(&row.user_agent))
            .collect();
        let missing = (0..=last).find(|number| !found.contains(number));
        let Some(missing) = missing else {
            return Ok(());
        };
        ensure!(
            tokio::time::Instant::now() < deadline,
            "scan {missing} of {last} is not stored"
        );
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// The rows of a code, once there are so many and no more come.
async fn at_least(
    deployment: &Deployment,
    code: &str,
    wanted: usize,
) -> anyhow::Result<Vec<StoredScan>> {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    let mut earlier = 0;
    loop {
        let found = rows(deployment, code).await?;
        let settled = found.len() == earlier;
        if (found.len() >= wanted && settled) || tokio::time::Instant::now() > deadline {
            return Ok(found);
        }
        earlier = found.len();
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}
