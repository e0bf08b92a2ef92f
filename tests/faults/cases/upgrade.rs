//! One program takes the place of another under load, and what happens when either of the two does not live to see it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::tag;
use super::tls::{Authority, Phones, tls_address};
use crate::deployment::client::Api;
use crate::deployment::{Deployment, stored};
use crate::figures::{self, Figures};
use crate::ground::Ground;
use crate::steady::Steady;
use crate::support::DEADLINE;

/// What a process says when it has taken the place of another.
const SERVES: &str = "serving in the place of the edge before";

pub async fn row_06_the_program_is_replaced_three_times_under_load(
    ground: &mut Ground,
) -> anyhow::Result<Figures> {
    let (folder, authority) = (tempfile::tempdir()?, Authority::new()?);
    authority.write(folder.path())?;
    let mut plan = ground.plan()?;
    plan.edges = 1;
    plan.edge_environment.extend([
        ("TAGWIRE_EDGE__TLS_LISTEN", "127.0.0.1:0".to_owned()),
        (
            "TAGWIRE_EDGE__TLS_CERTIFICATES",
            folder.path().display().to_string(),
        ),
    ]);
    let mut deployment = Deployment::start(&plan).await?;
    tag(&deployment, "replaced").await?;
    tag(&deployment, "sealed").await?;
    let (api, redirects) = (Api::of(&deployment)?, deployment.redirects().to_vec());
    let edge = deployment.edge();
    let tls = tls_address(edge).await?;
    edge.set("TAGWIRE_EDGE__TLS_LISTEN", tls.to_string());
    let metrics = edge.process().addresses.metrics.context("its metrics")?;

    let load = Steady::start(&redirects, "replaced");
    let phones = Phones::start(tls, authority.trusted()?);
    let readiness = Readiness::watch(metrics);
    for _ in 0..3 {
        load.goes_on(1_000).await?;
        let before = edge.upgrade().await;
        edge.process().logs(SERVES).await;
        let ended = before.ended().await;
        ensure!(ended.code == Some(0), "the one before ended so: {ended:?}");
        ensure!(
            ended.stderr.contains("every scan is delivered"),
            "{}",
            ended.stderr
        );
        // It lets others take its place from here on.
        edge.process().logs("the edge before has ended").await;
        load.goes_on(1_000).await?;
    }
    until_one_is_waited_for(&api).await?;
    let (asked, sealed) = (readiness.finish().await?, phones.finish()?);
    ensure!(asked > 100, "readiness was asked for {asked} times");
    let scanned = load.finish().await;
    stored::matches(&deployment, "sealed", &sealed).await?;
    let found = figures::exact(&mut deployment, "replaced", &scanned.sent).await?;
    deployment.end().await;
    Ok(found)
}

pub async fn row_06_a_new_program_is_killed_before_it_is_ready(
    ground: &mut Ground,
) -> anyhow::Result<Figures> {
    let mut plan = ground.plan()?;
    plan.edges = 1;
    let mut deployment = Deployment::start(&plan).await?;
    tag(&deployment, "unmoved").await?;
    let load = Steady::start(deployment.redirects(), "unmoved");
    load.goes_on(1_000).await?;
    // Without the journal it waits for two seconds before it serves from the snapshot.
    let nowhere = [("TAGWIRE_KAFKA__BROKERS", "127.0.0.1:1")];
    let successor = deployment.edge().successor(&nowhere).await;
    let killed = successor.kill().await;
    ensure!(
        !killed.stderr.contains(SERVES),
        "it was killed too late: {}",
        killed.stderr
    );
    let running = deployment.edge().process();
    running.logs("this one goes on").await;
    load.goes_on(1_000).await?;
    let scanned = load.finish().await;
    ensure!(
        scanned.sent.unanswered.is_empty(),
        "{} scans had to be repeated",
        scanned.sent.unanswered.len()
    );
    let found = figures::exact(&mut deployment, "unmoved", &scanned.sent).await?;
    deployment.end().await;
    Ok(found)
}

pub async fn row_06_the_program_before_is_killed_while_it_drains(
    ground: &mut Ground,
) -> anyhow::Result<Figures> {
    let mut plan = ground.plan()?;
    plan.edges = 1;
    // As long as the request takes that keeps it from its end.
    plan.edge_environment.extend([
        ("TAGWIRE_DRAIN__TIMEOUT", "600".to_owned()),
        ("TAGWIRE_EDGE__HEAD_TIMEOUT", "300".to_owned()),
    ]);
    let mut deployment = Deployment::start(&plan).await?;
    tag(&deployment, "inherited").await?;
    let redirects = deployment.redirects().to_vec();
    let load = Steady::start(&redirects, "inherited");
    load.goes_on(500).await?;
    let mut half = TcpStream::connect(redirects[0]).await?;
    half.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTTP/1.1\r\n")
        .await?;
    let whole = half.read(&mut [0; 1024]).await?;
    ensure!(whole > 0, "the half has not been read either");

    // What is scanned from here on lies in the scan log of the one that is killed, or of the other.
    ground.kafka()?.kill()?;
    load.goes_on(500).await?;
    let edge = deployment.edge();
    let before = edge.upgrade().await;
    edge.process().logs(SERVES).await;
    load.goes_on(500).await?;
    let killed = before.kill().await;
    ensure!(killed.code.is_none(), "it had ended: {killed:?}");
    edge.process().logs("are taken over").await;
    load.goes_on(500).await?;
    ground.kafka()?.start()?;
    let scanned = load.finish().await;
    let found = figures::exact(&mut deployment, "inherited", &scanned.sent).await?;
    let adopted = deployment
        .edge()
        .metric("tagwire_edge_scans_adopted_total")
        .await;
    ensure!(adopted > 0.0, "nothing was left to be taken over");
    deployment.end().await;
    Ok(found)
}

/// Makes edits that wait for every edge, until those that have ended are not among them any more.
async fn until_one_is_waited_for(api: &Api) -> anyhow::Result<()> {
    let deadline = Instant::now() + DEADLINE;
    for number in 0.. {
        let edit = json!({"destination": format!("https://example.com/{number}")});
        let answer = api.patch("/tags/replaced?wait=edges", edit).await?;
        let propagation = &answer["propagation"];
        if propagation["edges"] == 1 && propagation["applied"] == 1 {
            break;
        }
        ensure!(Instant::now() < deadline, "{answer}");
    }
    Ok(())
}

/// Who asks again and again whether the process is ready, on a new connection each time, and expects yes.
struct Readiness {
    ended: Arc<AtomicBool>,
    asking: JoinHandle<anyhow::Result<u64>>,
}

impl Readiness {
    fn watch(address: SocketAddr) -> Self {
        let ended = Arc::<AtomicBool>::default();
        let end = Arc::clone(&ended);
        let asking = tokio::spawn(async move {
            let mut asked = 0;
            while !end.load(Ordering::Relaxed) {
                ask(address).await.context("asking whether it is ready")?;
                asked += 1;
                tokio::time::sleep(Duration::from_millis(5)).await; // its pace
            }
            Ok(asked)
        });
        Self { ended, asking }
    }

    /// How often it was asked; an error, if one answer was not yes.
    async fn finish(self) -> anyhow::Result<u64> {
        self.ended.store(true, Ordering::Relaxed);
        self.asking.await?
    }
}

async fn ask(address: SocketAddr) -> anyhow::Result<()> {
    let mut answer = answer(address).await?;
    if answer.is_empty() {
        // Closed before any of its answer: it is asked once more (RFC 9112 §9.3.1).
        answer = self::answer(address).await?;
    }
    ensure!(answer.starts_with("HTTP/1.1 200 "), "{answer:?}");
    Ok(())
}

async fn answer(address: SocketAddr) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream
        .write_all(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}
