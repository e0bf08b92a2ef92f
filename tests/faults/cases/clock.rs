//! The clock of the edges is wrong, by libfaketime (package faketime), which gives a process another time of day than the machine has.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, ensure};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::tag;
use crate::deployment::client::{Answer, Api, answers, until_known};
use crate::deployment::{Deployment, stored};
use crate::figures::{self, Figures};
use crate::ground::{Ground, ask_clickhouse};
use crate::steady::Steady;

pub async fn row_23_the_clock_jumps_an_hour_forth_and_back(
    ground: &mut Ground,
) -> anyhow::Result<Figures> {
    let clock = Clock::new()?;
    let mut plan = ground.plan()?;
    plan.edge_environment.extend(clock.variables()?);
    let mut deployment = Deployment::start(&plan).await?;
    tag(&deployment, "steady").await?;
    let api = Api::of(&deployment)?;
    let soon = (Timestamp::now() + SignedDuration::from_mins(30)).to_string();
    for (code, field) in [("begins", "starts_at"), ("ends", "expires_at")] {
        let destination = format!("https://example.com/{code}");
        let fields = json!({"code": code, "destination": destination, field: soon});
        api.post("/tags", fields).await?;
    }
    until_known(&deployment, "ends").await?;
    let load = Steady::start(deployment.redirects(), "steady");
    load.goes_on(500).await?;
    for (offset, begins, ends) in [
        ("+0", 404, 302),
        ("+3600", 302, 410),
        ("-3600", 404, 302),
        ("+0", 404, 302),
    ] {
        clock.set(offset)?;
        for (code, status) in [("begins", begins), ("ends", ends)] {
            let location = (status == 302).then(|| format!("https://example.com/{code}"));
            let wanted = Answer { status, location };
            answers(&deployment, code, &wanted).await.context(offset)?;
        }
        // An edit goes on to every edge.
        let edit = json!({"name": format!("at {offset}")});
        let answer = api
            .patch("/tags/begins?wait=edges&wait_timeout=60", edit)
            .await;
        let propagation = &answer.context(offset)?["propagation"];
        ensure!(propagation["applied"] == 3, "{offset}: {propagation}");
        load.goes_on(1_000).await?;
    }
    let scanned = load.finish().await;
    stored::matches(&deployment, "steady", &scanned.sent).await?;
    for edge in deployment.edges() {
        let log = edge.log();
        ensure!(!log.contains("panicked"), "{log}");
    }
    let missing = deployment.nodes().iter().find(|node| node.role() == "sink");
    let missing = missing
        .context("the sink")?
        .metric("tagwire_sink_missing_total")
        .await;
    ensure!(
        missing == 0.0,
        "the sink says that {missing} scans are missing"
    );
    let found = figures::exact_by_ledger(&mut deployment, &scanned.sent).await?;
    deployment.end().await;
    Ok(found)
}

pub async fn row_34_the_edges_clocks_are_hours_and_days_ahead(
    ground: &mut Ground,
) -> anyhow::Result<Figures> {
    let clock = Clock::new()?;
    let mut plan = ground.plan()?;
    plan.edge_environment.extend(clock.variables()?);
    let mut deployment = Deployment::start(&plan).await?;
    tag(&deployment, "ahead").await?;
    let load = Steady::start(deployment.redirects(), "ahead");
    load.goes_on(500).await?;
    for offset in ["+7200", "+172800", "+0"] {
        clock.set(offset)?;
        load.goes_on(2_000).await?;
    }
    let scanned = load.finish().await;
    stored::matches(&deployment, "ahead", &scanned.sent).await?;
    let ask = async |condition: &str| {
        let query = format!("SELECT countIf({condition}) FROM scans WHERE code = 'ahead'");
        anyhow::Ok(ask_clickhouse(&deployment, &query).await?.parse::<u64>()?)
    };
    // Two hours are believed, two days are not: such a scan has the broker's time, so that it lies in no partition of a day to come.
    let hours = ask("time > now() + INTERVAL 1 HOUR AND NOT time_replaced").await?;
    let days = ask("time_replaced").await?;
    let stray = ask("time > now() + INTERVAL 1 DAY").await?;
    println!("{hours} scans are two hours ahead, {days} of two days ahead have the broker's time");
    ensure!(
        hours >= 1_000 && days >= 1_000 && stray == 0,
        "{hours} two hours ahead, {days} replaced, {stray} two days ahead"
    );
    let found = figures::exact_by_ledger(&mut deployment, &scanned.sent).await?;
    deployment.end().await;
    Ok(found)
}

/// What the processes take for the time of day.
struct Clock {
    folder: tempfile::TempDir,
}

impl Clock {
    fn new() -> anyhow::Result<Self> {
        let clock = Self {
            folder: tempfile::tempdir()?,
        };
        clock.set("+0")?;
        Ok(clock)
    }

    /// So many seconds from the machine's time, at once.
    fn set(&self, offset: &str) -> anyhow::Result<()> {
        let new = self.folder.path().join("new");
        fs::write(&new, offset)?;
        Ok(fs::rename(&new, self.file())?)
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("offset")
    }

    fn variables(&self) -> anyhow::Result<[(&'static str, String); 4]> {
        let libraries = fs::read_dir("/usr/lib")?.filter_map(Result::ok);
        let mut found = libraries
            .map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"))
            .filter(|library| library.exists());
        let library = found
            .next()
            .context("libfaketime is not installed; tests/stack/packages does")?;
        Ok([
            ("LD_PRELOAD", library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.file().display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            // What measures durations is no time of day.
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ])
    }
}
