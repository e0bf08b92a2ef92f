//! Edges that start, with a snapshot or without, while what is behind them is away or another.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::json;

use super::tag;
use crate::deployment::Deployment;
use crate::deployment::client::{Answer, Api, answers, leads_to, scan};
use crate::figures::{self, Figures};
use crate::ground::Ground;
use crate::steady::Steady;
use crate::support::DEADLINE;

/// What is done to the bytes of a snapshot.
type Damage = fn(&mut Vec<u8>);

pub async fn row_07_an_edge_starts_cold_while_everything_else_is_away(
    ground: &mut Ground,
) -> anyhow::Result<Figures> {
    let mut deployment = ground.cluster().await?;
    tag(&deployment, "cold").await?;
    ensure!(deployment.edge().terminate().await.code == Some(0));
    for node in deployment.nodes_mut() {
        if matches!(node.role(), "admin" | "sink") {
            node.kill().await;
        }
    }
    ground.kafka()?.kill()?;
    let edge = deployment.edge();
    edge.start().await;
    edge.ready().await;
    let load = Steady::start(&deployment.redirects()[..1], "cold");
    load.goes_on(1_000).await?;
    let scanned = load.finish().await;
    let lag = deployment
        .edge()
        .metric("tagwire_edge_journal_lag_seconds")
        .await;
    ensure!(lag > 0.0, "it does not say that it is stale");
    ground.kafka()?;
    for node in deployment.nodes_mut() {
        if matches!(node.role(), "admin" | "sink") {
            node.start().await;
            node.ready().await;
        }
    }
    let found = figures::exact(&mut deployment, "cold", &scanned.sent).await?;
    // And it follows again.
    let api = Api::of(&deployment)?;
    api.patch(
        "/tags/cold",
        json!({"destination": "https://example.com/thawed"}),
    )
    .await?;
    leads_to(&deployment, "cold", "https://example.com/thawed").await?;
    deployment.end().await;
    Ok(found)
}

pub async fn row_08_a_snapshot_that_is_no_good_is_refused_with_its_reason(
    ground: &mut Ground,
) -> anyhow::Result<Figures> {
    let mut deployment = ground.cluster().await?;
    tag(&deployment, "whole").await?;
    let edge = deployment.edge();
    ensure!(edge.terminate().await.code == Some(0));
    let file = snapshot(edge.data_dir());
    let good = fs::read(&file).context("reading the snapshot that it has left")?;
    let damage: [(&str, Damage); 3] = [
        ("truncated", |bytes| bytes.truncate(bytes.len() - 7)),
        ("damaged", |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x10;
        }),
        ("not_a_snapshot", |bytes| bytes[0] ^= 0xff),
    ];
    for (reason, damage) in damage {
        let mut bytes = good.clone();
        damage(&mut bytes);
        fs::write(&file, bytes)?;
        starts_without_it(&mut deployment, reason).await?;
    }
    // Another deployment's, on other topics of the same cluster.
    let mut other = ground.cluster().await?;
    tag(&other, "foreign").await?;
    ensure!(other.edge().terminate().await.code == Some(0));
    fs::copy(snapshot(other.edge().data_dir()), &file)?;
    starts_without_it(&mut deployment, "other_log").await?;
    let edge = deployment.edge();
    edge.start().await;
    edge.ready().await;
    let missing = Answer {
        status: 404,
        location: None,
    };
    answers(&deployment, "foreign", &missing).await?;
    other.end().await;
    deployment.end().await;
    Ok(Figures::none())
}

/// Starts the edge, which has to refuse its snapshot for this reason and to serve all the same, and ends it.
async fn starts_without_it(deployment: &mut Deployment, reason: &str) -> anyhow::Result<()> {
    let address = deployment.redirects()[0];
    let edge = deployment.edge();
    edge.start().await;
    edge.ready().await;
    let page = edge.process().metrics().await;
    let counted = format!("tagwire_edge_snapshots_refused_total{{reason=\"{reason}\"}} 1");
    ensure!(page.contains(&counted), "no {counted} in {page}");
    let answer = scan(address, "whole").await?;
    ensure!(answer.status == 302, "{reason}: {answer:?}");
    ensure!(edge.terminate().await.code == Some(0));
    Ok(())
}

pub async fn row_09_topics_are_made_anew_while_an_edge_is_down(
    ground: &mut Ground,
) -> anyhow::Result<Figures> {
    let mut deployment = ground.cluster().await?;
    for code in ["kept", "gone"] {
        tag(&deployment, code).await?;
    }
    ensure!(deployment.edge().terminate().await.code == Some(0));
    make_a_new_journal(ground, &mut deployment).await?;
    let again = json!({"code": "kept", "destination": "https://example.com/again"});
    Api::of(&deployment)?.post("/tags", again).await?;
    deployment.edge().start().await;
    deployment.edge().ready().await;
    let page = deployment.edge().process().metrics().await;
    ensure!(
        page.contains("tagwire_edge_snapshots_refused_total{reason=\"other_log\"} 1"),
        "{page}"
    );
    // It serves what it has until the new journal has settled.
    leads_to(&deployment, "kept", "https://example.com/again").await?;
    let missing = Answer {
        status: 404,
        location: None,
    };
    answers(&deployment, "gone", &missing).await?;
    deployment.end().await;
    Ok(Figures::none())
}

pub async fn row_09_an_edge_starts_on_an_emptied_journal(
    ground: &mut Ground,
) -> anyhow::Result<Figures> {
    let mut deployment = ground.cluster().await?;
    tag(&deployment, "kept").await?;
    let address = deployment.redirects()[0];
    ensure!(deployment.edge().terminate().await.code == Some(0));
    make_a_new_journal(ground, &mut deployment).await?;
    let file = snapshot(deployment.edge().data_dir());
    let good = fs::read(&file).context("reading the snapshot that it has left")?;
    let load = Steady::start(&deployment.redirects()[1..], "kept");
    for _ in 0..2 {
        let edge = deployment.edge();
        edge.start().await;
        edge.ready().await;
        // The new journal has settled, and is not taken for what there is.
        let deadline = Instant::now() + SETTLED;
        while Instant::now() < deadline {
            let answer = scan(address, "kept").await?;
            ensure!(answer.status == 302, "{answer:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let edge = deployment.edge();
        ensure!(edge.terminate().await.code == Some(0));
        ensure!(fs::read(&file)? == good, "the last good snapshot is gone");
    }
    let scanned = load.finish().await;
    ensure!(scanned.sent.wrong.is_empty(), "{:?}", scanned.sent.wrong);
    // With the first tag there is a journal again.
    deployment.edge().start().await;
    deployment.edge().ready().await;
    let again = json!({"code": "kept", "destination": "https://example.com/again"});
    Api::of(&deployment)?.post("/tags", again).await?;
    leads_to(&deployment, "kept", "https://example.com/again").await?;
    deployment.end().await;
    Ok(Figures::none())
}

/// Beyond the time for which a new journal has to be quiet before an edge takes it.
const SETTLED: Duration = Duration::from_secs(8);

pub async fn row_09_a_snapshot_lies_before_the_topic_s_start(
    ground: &mut Ground,
) -> anyhow::Result<Figures> {
    let mut deployment = ground.cluster().await?;
    for code in ["gone", "kept"] {
        tag(&deployment, code).await?;
    }
    let address = deployment.redirects()[0];
    ensure!(deployment.edge().terminate().await.code == Some(0));
    let api = Api::of(&deployment)?;
    for version in ["second", "third"] {
        let destination = json!({"destination": format!("https://example.com/{version}")});
        api.patch("/tags/kept", destination).await?;
    }
    // Of what the snapshot is of, nothing is left, and not the edit behind it: the last edit alone.
    let topic = format!("{}tags", deployment.kafka_prefix());
    ground.kafka()?.keep_the_last_record(&topic).await?;
    let edge = deployment.edge();
    edge.start().await;
    edge.ready().await;
    let page = edge.process().metrics().await;
    let refused = "tagwire_edge_snapshots_refused_total{reason=\"other_log\"} 1";
    ensure!(page.contains(refused), "no {refused} in {page}");
    // It serves what it has until it has read all that there is.
    let deadline = Instant::now() + DEADLINE;
    while scan(address, "gone").await?.status != 404 {
        ensure!(Instant::now() < deadline, "a stale tag is left");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    leads_to(&deployment, "kept", "https://example.com/third").await?;
    deployment.end().await;
    Ok(Figures::none())
}

/// Deletes the journal's topics, and has the admin begin as on the first day.
async fn make_a_new_journal(
    ground: &mut Ground,
    deployment: &mut Deployment,
) -> anyhow::Result<()> {
    let topics = ["tags", "settings", "accounts", "audit"]
        .map(|topic| format!("{}{topic}", deployment.kafka_prefix()));
    let mut nodes = deployment.nodes_mut().iter_mut();
    let admin = nodes.find(|node| node.role() == "admin");
    let admin = admin.context("the admin")?;
    admin.kill().await;
    ground.kafka()?.delete_topics(&topics).await?;
    fs::remove_dir_all(admin.data_dir())?;
    admin.start().await;
    admin.ready().await;
    Ok(())
}

pub async fn row_35_topics_are_deleted_and_made_anew(
    ground: &mut Ground,
) -> anyhow::Result<Figures> {
    let mut deployment = ground.cluster().await?;
    for code in ["kept", "moved", "gone"] {
        tag(&deployment, code).await?;
    }
    let load = Steady::start(deployment.redirects(), "kept");
    load.goes_on(1_000).await?;
    // Two of the three tags are made again in the new journal.
    make_a_new_journal(ground, &mut deployment).await?;
    // Edges that have not noticed yet stand at positions of the old one that are as large: they are waited for all the same.
    let api = Api::of(&deployment)?;
    for code in ["kept", "moved"] {
        let again = json!({"code": code, "destination": "https://example.com/again"});
        let made = api.post("/tags?wait=edges&wait_timeout=60", again).await?;
        let propagation = &made["propagation"];
        ensure!(propagation["waiting"] == json!([]), "{propagation}");
    }
    let moved = Answer {
        status: 302,
        location: Some("https://example.com/again".to_owned()),
    };
    for &edge in deployment.redirects() {
        ensure!(scan(edge, "moved").await? == moved, "{edge}");
    }
    load.goes_on(1_000).await?;
    let missing = Answer {
        status: 404,
        location: None,
    };
    answers(&deployment, "gone", &missing).await?;
    load.goes_on(1_000).await?;
    let scanned = load.finish().await;
    let found = figures::exact(&mut deployment, "kept", &scanned.sent).await?;
    deployment.end().await;
    Ok(found)
}

pub async fn row_38_the_admin_is_killed_within_a_transaction(
    ground: &mut Ground,
) -> anyhow::Result<Figures> {
    let mut deployment = ground.cluster().await?;
    tag(&deployment, "before").await?;
    ensure!(deployment.edge().terminate().await.code == Some(0));
    // An open transaction: what a killed writer leaves, until the broker gives it up after a minute.
    let topic = format!("{}tags", deployment.kafka_prefix());
    let open = ground.kafka()?.open_transaction(&topic)?;
    let edge = deployment.edge();
    edge.start().await;
    edge.ready().await;
    let answer = scan(deployment.redirects()[0], "before").await?;
    ensure!(answer.status == 302, "{answer:?}");
    drop(open);
    deployment.end().await;
    Ok(Figures::none())
}

pub async fn row_12_poison_in_tags_leaves_the_version_before(
    ground: &mut Ground,
) -> anyhow::Result<Figures> {
    let mut deployment = ground.cluster().await?;
    for code in ["calm", "healthy"] {
        tag(&deployment, code).await?;
    }
    let load = Steady::start(deployment.redirects(), "calm");
    load.goes_on(500).await?;
    let host = deployment.redirects()[0].ip();
    let (topic, key) = (
        format!("{}tags", deployment.kafka_prefix()),
        format!("{host}/healthy"),
    );
    let kafka = ground.kafka()?;
    // Garbage, a newer major version (field 1), and as many bytes as the topic takes.
    let large = vec![0xff; 1024 * 1024];
    for poison in [&b"\xff\xff\xff"[..], &[0x08, 0x63], &large] {
        kafka.produce(&topic, &key, poison)?;
    }
    load.goes_on(500).await?;
    leads_to(&deployment, "healthy", "https://example.com/healthy").await?;
    // What comes behind it is read.
    let api = Api::of(&deployment)?;
    api.patch(
        "/tags/healthy",
        json!({"destination": "https://example.com/cured"}),
    )
    .await?;
    leads_to(&deployment, "healthy", "https://example.com/cured").await?;
    for edge in deployment.edges() {
        let refused = edge.metric("tagwire_edge_journal_refused_total").await;
        ensure!(refused == 3.0, "{refused} of 3 poison records refused");
    }
    let scanned = load.finish().await;
    let found = figures::exact(&mut deployment, "calm", &scanned.sent).await?;
    deployment.end().await;
    Ok(found)
}

fn snapshot(data: &std::path::Path) -> PathBuf {
    data.join("tags.snapshot")
}
