//! Too much of something: connections that hold on, guessed codes.

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rustix::process::{Resource, getrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::tag;
use crate::deployment::Deployment;
use crate::deployment::load::{Attempt, Connection};
use crate::figures::{self, Figures};
use crate::ground::Ground;
use crate::steady::Steady;
use crate::support::DEADLINE;

pub async fn row_24_ten_thousand_connections_send_a_byte_a_second(
    ground: &mut Ground,
) -> anyhow::Result<Figures> {
    // As many as this process may open, where that is less.
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let slow = 10_000.min(descriptors.saturating_sub(1_000) / 2);
    let mut plan = ground.plan()?;
    let head_timeout = ("TAGWIRE_EDGE__HEAD_TIMEOUT", "5".to_owned());
    plan.edge_environment.push(head_timeout);
    let mut deployment = Deployment::start(&plan).await?;
    tag(&deployment, "quick").await?;
    let edge = deployment.redirects()[0];
    let load = Steady::start(&[edge], "quick");
    load.goes_on(500).await?;
    let mut connections = JoinSet::new();
    for _ in 0..slow {
        let mut stream = TcpStream::connect(edge).await?;
        connections.spawn(async move {
            let mut every = tokio::time::interval(Duration::from_secs(1));
            let mut answer = [0; 64];
            // A head that never ends: until the edge has had enough of it.
            for byte in b"GET /quick HTTP/1.1\r\nHost: "
                .iter()
                .chain(std::iter::repeat(&b'a'))
            {
                tokio::select! {
                    read = stream.read(&mut answer) => match read {
                        Ok(read @ 1..) => bail!("{:?}", String::from_utf8_lossy(&answer[..read])),
                        _ => return Ok(()),
                    },
                    _ = every.tick() => {}
                }
                if stream.write_all(&[*byte]).await.is_err() {
                    return Ok(());
                }
            }
            Ok(())
        });
    }
    load.goes_on(1_000).await?;
    let closed = async {
        while let Some(connection) = connections.join_next().await {
            connection??;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(DEADLINE, closed)
        .await
        .context("slow connections are not closed")??;
    let scanned = load.finish().await;
    let found = figures::exact(&mut deployment, "quick", &scanned.sent).await?;
    deployment.end().await;
    Ok(found)
}

pub async fn row_26_unknown_codes_are_guessed_by_the_thousand(
    ground: &mut Ground,
) -> anyhow::Result<Figures> {
    const GUESSES: u64 = 20_000;
    // Fewer than a slow machine answers: it is what is beyond them that matters.
    const RECORDED_PER_SECOND: u32 = 100;
    let mut plan = ground.plan()?;
    let cap = RECORDED_PER_SECOND.to_string();
    let cap = ("TAGWIRE_EDGE__UNKNOWN_CODES_PER_SECOND", cap);
    plan.edge_environment.push(cap);
    let mut deployment = Deployment::start(&plan).await?;
    tag(&deployment, "known").await?;
    let load = Steady::start(deployment.redirects(), "known");
    let quiet = Instant::now();
    load.goes_on(2_000).await?;
    let (edge, flood) = (deployment.redirects()[0], Instant::now());
    let mut guessers = JoinSet::new();
    for guesser in 0..8 {
        guessers.spawn(async move {
            for number in 0..GUESSES / 8 {
                let connection = Connection::open(edge).await?;
                let code = format!("guess-{guesser}-{number}");
                let attempt = connection.scan(&code, number).await;
                ensure!(
                    matches!(&attempt, Attempt::Wrong(head) if head.starts_with("HTTP/1.1 404 ")),
                    "an unknown code was not answered as one"
                );
            }
            anyhow::Ok(())
        });
    }
    while let Some(guesser) = guessers.join_next().await {
        guesser??;
    }
    let over = Instant::now();
    load.goes_on(1_000).await?;
    let scanned = load.finish().await;
    let (before, during) = (scanned.p99(quiet, flood), scanned.p99(flood, over));
    println!("p99 of a known code before {before:?}, during {during:?}");
    let found = figures::exact(&mut deployment, "known", &scanned.sent).await?;
    // Each second takes so many, and no more; all others are counted.
    let edge = deployment.edges().next().context("an edge")?;
    let page = edge.process().metrics().await;
    let capped: f64 = page
        .lines()
        .find(|line| {
            line.starts_with("tagwire_edge_scans_dropped_total") && line.contains("unknown_cap")
        })
        .and_then(|line| line.rsplit(' ').next()?.parse().ok())
        .context("the number of guesses that were not recorded")?;
    let seconds = over.duration_since(flood).as_secs_f64().ceil() + 1.0;
    println!("{capped} of {GUESSES} guesses in {seconds} s were not recorded");
    ensure!(
        capped >= GUESSES as f64 - f64::from(RECORDED_PER_SECOND) * seconds && capped > 0.0,
        "{capped} of {GUESSES} guesses in {seconds} s were not recorded"
    );
    deployment.end().await;
    Ok(found)
}
