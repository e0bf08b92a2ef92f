//! What happens to an edge itself: restarts, files that vanish, resources that run out.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, ensure};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, prlimit};
use tokio::net::TcpStream;

use super::tag;
use crate::deployment::client::{Api, scan};
use crate::deployment::{Deployment, Plan, Shape};
use crate::figures::{self, Figures};
use crate::ground::{Ground, given_file};
use crate::steady::Steady;

pub async fn row_05_edges_are_restarted_one_after_the_other(
    ground: &mut Ground,
) -> anyhow::Result<Figures> {
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
    let found = figures::exact(&mut deployment, "rolling", &scanned.sent).await?;
    deployment.end().await;
    Ok(found)
}

pub async fn row_28_the_geoip_file_is_replaced_truncated_and_removed(
    _: &mut Ground,
) -> anyhow::Result<Figures> {
    let places = Places::new()?;
    let mut plan = Plan::given(Shape::Standalone)?;
    plan.edge_environment.push(places.variable());
    let deployment = Deployment::start(&plan).await?;
    let (api, edge) = (Api::of(&deployment)?, deployment.redirects()[0]);
    tag(&deployment, "located").await?;
    located(&api, edge, 1).await?;

    let log = |words: &'static str| deployment.edges().next().context(words);
    places.replace(&places.whole[..places.whole.len() / 2])?;
    log("an edge")?.process().logs("GeoIP").await;
    located(&api, edge, 2).await?;
    std::fs::remove_file(&places.file)?;
    located(&api, edge, 3).await?;
    places.replace(&places.whole)?;
    located(&api, edge, 4).await?;
    deployment.end().await;
    Ok(Figures::none())
}

pub async fn row_28_the_geoip_file_of_three_edges_is_truncated_removed_and_replaced(
    ground: &mut Ground,
) -> anyhow::Result<Figures> {
    let places = Places::new()?;
    let mut plan = ground.plan()?;
    plan.edge_environment.push(places.variable());
    let mut deployment = Deployment::start(&plan).await?;
    tag(&deployment, "mapped").await?;
    let built = "tagwire_edge_geoip_build_timestamp_seconds";
    let refused = |reason| format!("tagwire_edge_geoip_refused_total{{reason=\"{reason}\"}}");
    let first = deployment.edges().next().context("an edge")?;
    let before = first.metric(built).await;
    ensure!(before > 0.0, "no GeoIP file answers");

    let load = Steady::start(deployment.redirects(), "mapped");
    load.goes_on(500).await?;
    places.replace(&places.whole[..places.whole.len() / 2])?;
    shown(&deployment, &refused("damaged"), 1.0).await?;
    std::fs::remove_file(&places.file)?;
    hang_up(&deployment); // who does not want to wait for the next look
    shown(&deployment, &refused("unreadable"), 1.0).await?;
    shown(&deployment, built, before).await?;
    let (newer, built_later) = places.built_later()?;
    places.replace(&newer)?;
    hang_up(&deployment);
    shown(&deployment, built, built_later).await?;
    shown(&deployment, "tagwire_edge_geoip_taken_total", 1.0).await?;
    load.goes_on(500).await?;

    let scanned = load.finish().await;
    let found = figures::exact(&mut deployment, "mapped", &scanned.sent).await?;
    // No tag depends on a place, so none was looked up.
    shown(&deployment, "tagwire_edge_geoip_lookups_total", 0.0).await?;
    deployment.end().await;
    Ok(found)
}

/// A GeoIP file of the case's own.
struct Places {
    folder: tempfile::TempDir,
    file: PathBuf,
    whole: Vec<u8>,
}

impl Places {
    fn new() -> anyhow::Result<Self> {
        let (folder, original) = (
            tempfile::tempdir()?,
            given_file("TAGWIRE_TEST_GEOIP_COUNTRY")?,
        );
        let (file, whole) = (folder.path().join("places.mmdb"), std::fs::read(original)?);
        std::fs::write(&file, &whole)?;
        Ok(Self {
            folder,
            file,
            whole,
        })
    }

    fn variable(&self) -> (&'static str, String) {
        ("TAGWIRE_GEOIP__FILE", self.file.display().to_string())
    }

    /// As a careful operator does: a file that is there in one piece.
    fn replace(&self, bytes: &[u8]) -> anyhow::Result<()> {
        let new = self.folder.path().join("new.mmdb");
        std::fs::write(&new, bytes)?;
        Ok(std::fs::rename(&new, &self.file)?)
    }

    /// The same file, but for the time at which it says that it was built, and that time.
    fn built_later(&self) -> anyhow::Result<(Vec<u8>, f64)> {
        const KEY: &[u8] = b"build_epoch";
        let mut bytes = self.whole.clone();
        let at = bytes.windows(KEY.len()).rposition(|window| window == KEY);
        let at = at.context("a time in the file's metadata")? + KEY.len();
        // An unsigned integer of 64 bits: its length, its type less 7, and as many bytes as it needs.
        let number = at + 2..at + 2 + usize::from(bytes[at]);
        ensure!(bytes[at + 1] == 2, "the time is of another type");
        let last = number.end - 1;
        bytes[last] ^= 1;
        let time = bytes[number]
            .iter()
            .fold(0, |time, byte| time << 8 | u64::from(*byte));
        Ok((bytes, time as f64))
    }
}

/// Waits until every edge shows this value of a series.
async fn shown(deployment: &Deployment, series: &str, wanted: f64) -> anyhow::Result<()> {
    let deadline = tokio::time::Instant::now() + crate::support::DEADLINE;
    for edge in deployment.edges() {
        loop {
            let value = edge.metric(series).await;
            if value == wanted {
                break;
            }
            ensure!(
                tokio::time::Instant::now() < deadline,
                "{series} is {value}, and {wanted} was wanted"
            );
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
    Ok(())
}

/// SIGHUP to every edge.
fn hang_up(deployment: &Deployment) {
    deployment.edges().for_each(|edge| edge.signal(Signal::HUP));
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

pub async fn row_30_file_descriptors_are_exhausted(ground: &mut Ground) -> anyhow::Result<Figures> {
    let mut deployment = ground.cluster().await?;
    for code in ["crowded", "freed"] {
        tag(&deployment, code).await?;
    }
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
    let answer = scan(edge, "freed").await?;
    ensure!(answer.status == 302, "{answer:?}");
    let scanned = load.finish().await;
    let found = figures::exact(&mut deployment, "crowded", &scanned.sent).await?;
    deployment.end().await;
    Ok(found)
}

pub async fn row_39_there_is_no_salt_for_today(ground: &mut Ground) -> anyhow::Result<Figures> {
    let mut deployment = ground.cluster().await?;
    deployment.salted().await?;
    tag(&deployment, "unsalted").await?;
    // The admin, who makes salts, is away from here on, and what it has made for the days ahead is gone.
    deployment.admin_mut().kill().await;
    let topic = format!("{}salts", deployment.kafka_prefix());
    let mut kafka = ClientConfig::new();
    kafka.set("bootstrap.servers", deployment.kafka());
    let kafka: AdminClient<DefaultClientContext> = kafka.create()?;
    let deleted = kafka.delete_topics(&[&topic], &AdminOptions::new()).await?;
    ensure!(deleted == [Ok(topic)], "{deleted:?}");
    deployment.edge().kill().await;
    deployment.edge().start().await;
    deployment.edge().ready().await;
    let load = Steady::start(deployment.redirects(), "unsalted");
    load.goes_on(1_000).await?;
    local_salts(&mut deployment, [1.0, 0.0, 0.0]).await?;
    let edge = deployment.edge().process();
    edge.logs("there is no shared salt for the day").await;

    // When it is back, the days get other salts, which every edge takes at once.
    deployment.admin_mut().start().await;
    let edge = deployment.edge().process();
    edge.logs("the day's shared salt has come and is used from now on")
        .await;
    load.goes_on(1_000).await?;
    local_salts(&mut deployment, [1.0, 0.0, 0.0]).await?;
    let scanned = load.finish().await;
    let found = figures::exact(&mut deployment, "unsalted", &scanned.sent).await?;
    deployment.end().await;
    Ok(found)
}

/// Edges that run have today's salt from before, whatever becomes of the topic.
async fn local_salts(deployment: &mut Deployment, expected: [f64; 3]) -> anyhow::Result<()> {
    let mut made = Vec::new();
    for edge in deployment.edges() {
        made.push(edge.metric("tagwire_edge_local_salts_total").await);
    }
    ensure!(made == expected, "local salts: {made:?}");
    Ok(())
}
