//! What happens to an edge itself: restarts, files that vanish, resources that run out.

use std::net::SocketAddr;

use anyhow::{Context, ensure};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use tokio::net::TcpStream;

use super::tag;
use crate::deployment::client::{Api, scan};
use crate::deployment::{Deployment, Plan, Shape, stored};
use crate::ground::{Ground, given_file};
use crate::steady::Steady;

pub async fn row_05_edges_are_restarted_one_after_the_other(
    ground: &mut Ground,
) -> anyhow::Result<()> {
    let mut deployment = ground.cluster().await?;
    tag(&deployment, "rolling").await?;
    let load = Steady::start(deployment.redirects(), "rolling");
    load.goes_on(1_000).await?;
    for edge in deployment.edges_mut() {
        let ended = edge.terminate().await;
        ensure!(ended.code == Some(0), "SIGTERM ended it so: {ended:?}");
        edge.start().await;
        edge.ready().await;
        load.goes_on(1_000).await?;
    }
    let scanned = load.finish().await;
    stored::matches(&deployment, "rolling", &scanned.sent).await?;
    deployment.end().await;
    Ok(())
}

pub async fn row_28_the_geoip_file_is_replaced_truncated_and_removed(
    _: &mut Ground,
) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (file, original) = (
        folder.path().join("places.mmdb"),
        given_file("TAGWIRE_TEST_GEOIP_COUNTRY")?,
    );
    let whole = std::fs::read(&original)?;
    std::fs::write(&file, &whole)?;
    let mut plan = Plan::given(Shape::Standalone)?;
    plan.edge_environment
        .push(("TAGWIRE_GEOIP__FILE", file.display().to_string()));
    let deployment = Deployment::start(&plan).await?;
    let (api, edge) = (Api::of(&deployment)?, deployment.redirects()[0]);
    tag(&deployment, "located").await?;
    located(&api, edge, 1).await?;

    let log = |words: &'static str| deployment.edges().next().context(words);
    let replace = |bytes: &[u8]| -> anyhow::Result<()> {
        // As a careful operator does: a file that is there in one piece.
        let new = folder.path().join("new.mmdb");
        std::fs::write(&new, bytes)?;
        Ok(std::fs::rename(&new, &file)?)
    };
    replace(&whole[..whole.len() / 2])?;
    log("an edge")?.process().logs("GeoIP").await;
    located(&api, edge, 2).await?;
    std::fs::remove_file(&file)?;
    located(&api, edge, 3).await?;
    replace(&whole)?;
    located(&api, edge, 4).await?;
    deployment.end().await;
    Ok(())
}

/// Scans from Germany, and waits until so many scans are counted there.
async fn located(api: &Api, edge: SocketAddr, scans: u64) -> anyhow::Result<()> {
    let answer = scan(edge, "located").await?;
    ensure!(answer.status == 302, "{answer:?}");
    let deadline = tokio::time::Instant::now() + crate::support::DEADLINE;
    loop {
        let report = api.get("/analytics/scans?code=located&by=country").await?;
        let countries = report["breakdown"]["country"].as_array();
        let germany = countries
            .into_iter()
            .flatten()
            .find(|country| country["value"] == "DE");
        if germany.is_some_and(|germany| germany["scans"] == scans) {
            return Ok(());
        }
        ensure!(
            tokio::time::Instant::now() < deadline,
            "{scans} scans from DE wanted: {report}"
        );
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

pub async fn row_30_file_descriptors_are_exhausted(ground: &mut Ground) -> anyhow::Result<()> {
    let mut deployment = ground.cluster().await?;
    tag(&deployment, "crowded").await?;
    let load = Steady::start(&deployment.redirects()[..1], "crowded");
    load.goes_on(500).await?;
    let id = deployment.edge().process().id();
    let open = std::fs::read_dir(format!("/proc/{id}/fd"))?.count() as u64;
    let few = Rlimit {
        current: Some(open + 8),
        maximum: getrlimit(Resource::Nofile).maximum,
    };
    let pid = Pid::from_raw(i32::try_from(id)?).context("a process id")?;
    let before = prlimit(Some(pid), Resource::Nofile, few)?;
    let edge = deployment.redirects()[0];
    let mut crowd = Vec::new();
    for _ in 0..200 {
        crowd.push(TcpStream::connect(edge).await?);
    }
    // Who was there before goes on to be answered.
    load.goes_on(500).await?;
    prlimit(Some(pid), Resource::Nofile, before)?;
    drop(crowd);
    let answer = scan(edge, "crowded").await?;
    ensure!(answer.status == 302, "{answer:?}");
    let scanned = load.finish().await;
    ensure!(
        scanned.sent.wrong.is_empty(),
        "{:?}",
        scanned.sent.wrong.first()
    );
    deployment.delivered().await?;
    // The load's own scans, and the one at the end.
    stored::exactly(&deployment, "crowded", scanned.sent.answered.len() + 1).await?;
    deployment.end().await;
    Ok(())
}

pub async fn row_39_there_is_no_salt_for_today(ground: &mut Ground) -> anyhow::Result<()> {
    let mut deployment = ground.cluster().await?;
    tag(&deployment, "unsalted").await?;
    // The admin, who makes salts, is away from here on.
    let admin = deployment.nodes_mut().iter_mut();
    for node in admin.filter(|node| node.role() == "admin") {
        node.kill().await;
    }
    deployment.edge().kill().await;
    deployment.edge().start().await;
    deployment.edge().ready().await;
    let load = Steady::start(deployment.redirects(), "unsalted");
    load.goes_on(1_000).await?;
    let scanned = load.finish().await;
    stored::matches(&deployment, "unsalted", &scanned.sent).await?;
    let local = deployment
        .edge()
        .metric("tagwire_edge_local_salts_total")
        .await;
    ensure!(local >= 1.0, "no local salt is counted");
    deployment.end().await;
    Ok(())
}
