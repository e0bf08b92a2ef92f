//! The cases, each a sentence about what users rely on.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::client::{Answer, Api, answers, leads_to};
use crate::deployment::{Deployment, Shape, file_holds, given};
use crate::load::Load;
use crate::stored;

type Outcome = Pin<Box<dyn Future<Output = anyhow::Result<()>>>>;
type Case = fn(Arc<Deployment>) -> Outcome;

macro_rules! cases {
    ($($name:ident),+ $(,)?) => {
        /// All cases, by name.
        pub const ALL: &[(&str, Case)] = &[$((stringify!($name), |deployment| Box::pin($name(deployment)))),+];
    };
}

cases![
    a_tag_redirects_at_once_and_its_scan_is_counted_with_device_and_country,
    a_tags_symbols_decode_to_its_short_url,
    an_edit_shows_in_the_next_redirect_and_can_be_rolled_back,
    a_tag_that_does_not_redirect_says_so,
    two_tenants_cannot_see_each_other,
    bots_and_head_and_prefetches_are_counted_only_when_asked_for,
    every_scan_that_k6_sends_is_one_row,
    answered_scans_and_acknowledged_tags_survive_kill_9_under_load,
    scans_survive_kill_9_of_the_sink,
    sigterm_under_load_fails_no_scan_and_loses_none,
    no_full_address_of_a_scanner_is_kept,
];

async fn a_tag_redirects_at_once_and_its_scan_is_counted_with_device_and_country(
    deployment: Arc<Deployment>,
) -> anyhow::Result<()> {
    let api = Api::of(&deployment)?;
    let tag = api
        .post(
            "/tags",
            json!({"destination": "https://example.com/first", "campaign": "first"}),
        )
        .await?;
    let code = tag["code"].as_str().context("a code")?;
    ensure!(code.len() == 7, "{code}");
    leads_to(&deployment, code, "https://example.com/first").await?;
    let report = counted(
        &api,
        &format!("code={code}&by=device,country,os,browser&interval=minute"),
        deployment.redirects().len(),
    )
    .await?;
    let scans = deployment.redirects().len();
    ensure!(
        report["breakdown"]["device"] == json!([{"value": "mobile", "scans": scans}]),
        "{report}"
    );
    ensure!(
        report["breakdown"]["country"] == json!([{"value": "DE", "scans": scans}]),
        "{report}"
    );
    ensure!(
        report["breakdown"]["os"] == json!([{"value": "ios", "scans": scans}]),
        "{report}"
    );
    ensure!(
        report["breakdown"]["browser"] == json!([{"value": "safari", "scans": scans}]),
        "{report}"
    );
    let series: u64 = report["series"]
        .as_array()
        .context("a series")?
        .iter()
        .filter_map(|point| point["scans"].as_u64())
        .sum();
    ensure!(series == scans as u64, "{report}");
    Ok(())
}

async fn a_tags_symbols_decode_to_its_short_url(deployment: Arc<Deployment>) -> anyhow::Result<()> {
    let api = Api::of(&deployment)?;
    let tag = api
        .post(
            "/tags",
            json!({"destination": "https://example.com/symbol"}),
        )
        .await?;
    let (code, short_url) = (
        tag["code"].as_str().context("a code")?,
        tag["short_url"].as_str().context("a URL")?,
    );
    ensure!(
        short_url == format!("http://{}/{code}", deployment.redirects()[0]),
        "{short_url}"
    );
    let folder = tempfile::tempdir()?;
    let png = folder.path().join("symbol.png");
    std::fs::write(&png, api.bytes(&format!("/tags/{code}/qr.png")).await?)?;
    ensure!(decoded("zbarimg", &["--quiet", "--raw"], &png)? == short_url);
    ensure!(decoded("ZXingReader", &["-bytes"], &png)? == short_url);
    let svg = String::from_utf8(api.bytes(&format!("/tags/{code}/qr.svg")).await?)?;
    ensure!(svg.starts_with("<svg "), "{svg}");
    Ok(())
}

async fn an_edit_shows_in_the_next_redirect_and_can_be_rolled_back(
    deployment: Arc<Deployment>,
) -> anyhow::Result<()> {
    let api = Api::of(&deployment)?;
    api.post(
        "/tags",
        json!({"code": "edited", "destination": "https://example.com/one"}),
    )
    .await?;
    leads_to(&deployment, "edited", "https://example.com/one").await?;
    let second = api
        .patch(
            "/tags/edited",
            json!({"destination": "https://example.com/two"}),
        )
        .await?;
    ensure!(second["version"] == 2, "{second}");
    leads_to(&deployment, "edited", "https://example.com/two").await?;
    let third = api
        .expect(
            Method::POST,
            "/tags/edited/rollback",
            Some(json!({"version": 1})),
            StatusCode::OK,
        )
        .await?;
    ensure!(third["version"] == 3, "{third}");
    leads_to(&deployment, "edited", "https://example.com/one").await?;
    let versions = api.get("/tags/edited/versions").await?;
    let listed: Vec<_> = versions["items"]
        .as_array()
        .context("items")?
        .iter()
        .map(|tag| (&tag["version"], &tag["destination"]))
        .collect();
    let wanted = [(3, "one"), (2, "two"), (1, "one")]
        .map(|(version, page)| (json!(version), json!(format!("https://example.com/{page}"))));
    ensure!(
        listed
            == wanted
                .iter()
                .map(|(version, page)| (version, page))
                .collect::<Vec<_>>(),
        "{versions}"
    );
    Ok(())
}

async fn a_tag_that_does_not_redirect_says_so(deployment: Arc<Deployment>) -> anyhow::Result<()> {
    let api = Api::of(&deployment)?;
    let nowhere = |status| Answer {
        status,
        location: None,
    };
    let to = |url: &str| Answer {
        status: 302,
        location: Some(url.to_owned()),
    };
    api.post("/tags", json!({"code": "closed", "destination": "https://example.com/", "starts_at": "2099-01-01T00:00:00Z"})).await?;
    answers(&deployment, "closed", &nowhere(404)).await?;
    api.patch("/tags/closed", json!({"starts_at": null}))
        .await?;
    answers(&deployment, "closed", &to("https://example.com/")).await?;
    api.patch("/tags/closed", json!({"status": "paused"}))
        .await?;
    answers(&deployment, "closed", &nowhere(404)).await?;
    api.patch(
        "/tags/closed",
        json!({"status": "active", "expires_at": "2020-01-01T00:00:00Z"}),
    )
    .await?;
    answers(&deployment, "closed", &nowhere(410)).await?;
    api.patch(
        "/tags/closed",
        json!({"fallback_url": "https://example.com/over"}),
    )
    .await?;
    answers(&deployment, "closed", &to("https://example.com/over")).await?;
    api.patch("/tags/closed", json!({"fallback_url": null}))
        .await?;
    api.expect(Method::DELETE, "/tags/closed", None, StatusCode::NO_CONTENT)
        .await?;
    answers(&deployment, "closed", &nowhere(410)).await?;
    api.expect(
        Method::POST,
        "/tags",
        Some(json!({"code": "closed", "destination": "https://example.com/"})),
        StatusCode::CONFLICT,
    )
    .await?;
    answers(&deployment, "never-made", &nowhere(404)).await
}

async fn two_tenants_cannot_see_each_other(deployment: Arc<Deployment>) -> anyhow::Result<()> {
    let first = Api::of(&deployment)?;
    let workspace = first.post("/workspaces", json!({"name": "Second"})).await?;
    let second = first.with_key(workspace["key"]["secret"].as_str().context("a secret")?);
    first.post("/tags", json!({"code": "of-first", "destination": "https://example.com/1", "campaign": "shared-name"})).await?;
    second.post("/tags", json!({"code": "of-second", "destination": "https://example.com/2", "campaign": "shared-name"})).await?;
    leads_to(&deployment, "of-first", "https://example.com/1").await?;
    leads_to(&deployment, "of-second", "https://example.com/2").await?;
    let missing = second
        .send(Method::GET, "/tags/never-made-either", None)
        .await?;
    for (method, path, body) in [
        (Method::GET, "/tags/of-first", None),
        (
            Method::PATCH,
            "/tags/of-first",
            Some(json!({"name": "mine"})),
        ),
        (Method::DELETE, "/tags/of-first", None),
        (Method::GET, "/tags/of-first/versions", None),
        (
            Method::POST,
            "/tags/of-first/rollback",
            Some(json!({"version": 1})),
        ),
        (Method::GET, "/tags/of-first/qr.svg", None),
        (Method::GET, "/analytics/scans?code=of-first", None),
    ] {
        ensure!(
            second.send(method.clone(), path, body).await? == missing,
            "{method} {path} tells of another tenant's tag"
        );
    }
    let scans = deployment.redirects().len();
    for (api, other) in [(&first, "of-second"), (&second, "of-first")] {
        counted(api, "campaign=shared-name", scans).await?;
        let everything = api.get("/analytics/scans?by=code").await?.to_string();
        let list = api.get("/tags?limit=500").await?.to_string();
        ensure!(
            !everything.contains(other) && !list.contains(other),
            "{other} shows in another tenant's answers"
        );
    }
    Ok(())
}

async fn bots_and_head_and_prefetches_are_counted_only_when_asked_for(
    deployment: Arc<Deployment>,
) -> anyhow::Result<()> {
    let api = Api::of(&deployment)?;
    api.post(
        "/tags",
        json!({"code": "crawled", "destination": "https://example.com/"}),
    )
    .await?;
    leads_to(&deployment, "crawled", "https://example.com/").await?;
    let people = deployment.redirects().len();
    let edge = format!("http://{}/crawled", deployment.redirects()[0]);
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()?;
    let bot = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
    client.get(&edge).header("User-Agent", bot).send().await?;
    client
        .head(&edge)
        .header("User-Agent", crate::client::IPHONE)
        .send()
        .await?;
    client
        .get(&edge)
        .header("User-Agent", crate::client::IPHONE)
        .header("Sec-Purpose", "prefetch")
        .send()
        .await?;
    counted(&api, "code=crawled&bots=include", people + 3).await?;
    counted(&api, "code=crawled&bots=only", 3).await?;
    counted(&api, "code=crawled", people).await?;
    Ok(())
}

async fn every_scan_that_k6_sends_is_one_row(deployment: Arc<Deployment>) -> anyhow::Result<()> {
    let api = Api::of(&deployment)?;
    api.post(
        "/tags",
        json!({"code": "k6", "destination": "https://example.com/k6"}),
    )
    .await?;
    leads_to(&deployment, "k6", "https://example.com/k6").await?;
    // What the cluster has to store exactly; each edge gets its half.
    let all: usize = match deployment.shape() {
        Shape::Standalone => 20_000,
        Shape::Cluster => 100_000,
    };
    let edges = deployment.redirects();
    let runs: Vec<_> = edges
        .iter()
        .map(|edge| k6(*edge, "k6", all / edges.len()))
        .collect::<Result<_, _>>()?;
    for run in runs {
        let output = tokio::task::spawn_blocking(move || run.wait_with_output()).await??;
        ensure!(
            output.status.success(),
            "k6: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    deployment.wait_until_delivered()?;
    let by_hand = edges.len();
    stored::exactly(&deployment, "k6", all + by_hand).await?;
    counted(&api, "code=k6", all + by_hand).await?;
    let totals = |name: &str| {
        deployment
            .edges()
            .map(|edge| edge.metric(name).unwrap_or(-1.0))
            .sum::<f64>()
    };
    let (accepted, acknowledged) = (
        totals("tagwire_edge_scans_accepted_total"),
        totals("tagwire_edge_scans_acknowledged_total"),
    );
    ensure!(
        accepted == acknowledged && totals("tagwire_edge_scans_dropped_total") == 0.0,
        "{accepted} accepted, {acknowledged} acknowledged"
    );
    Ok(())
}

async fn answered_scans_and_acknowledged_tags_survive_kill_9_under_load(
    deployment: Arc<Deployment>,
) -> anyhow::Result<()> {
    let api = Api::of(&deployment)?;
    api.post(
        "/tags",
        json!({"code": "under-fire", "destination": "https://example.com/fire"}),
    )
    .await?;
    until_known(&deployment, "under-fire").await?;
    let load = Load::start(deployment.redirects(), "under-fire", 16, 10_000);
    let victim = deployment.edges().next().context("an edge")?;
    let mut acknowledged = Vec::new();
    for answered in [2_000, 4_000, 7_000] {
        load.reaches(answered).await;
        for _ in 0..3 {
            let number = acknowledged.len();
            let code = format!("kept-{number}");
            api.post(
                "/tags",
                json!({"code": code, "destination": format!("https://example.com/kept/{number}")}),
            )
            .await?;
            acknowledged.push(code);
        }
        victim.kill();
        victim.start()?;
        victim.wait_until_ready()?;
    }
    let sent = load.finish().await;
    ensure!(
        sent.answered.len() >= 10_000,
        "{} answered",
        sent.answered.len()
    );
    stored::matches(&deployment, "under-fire", &sent).await?;
    for (number, code) in acknowledged.iter().enumerate() {
        leads_to(
            &deployment,
            code,
            &format!("https://example.com/kept/{number}"),
        )
        .await?;
    }
    Ok(())
}

async fn scans_survive_kill_9_of_the_sink(deployment: Arc<Deployment>) -> anyhow::Result<()> {
    if deployment.shape() == Shape::Standalone {
        // There the sink is the edge's own process, which the case before has killed.
        return Ok(());
    }
    let api = Api::of(&deployment)?;
    api.post(
        "/tags",
        json!({"code": "sunk", "destination": "https://example.com/sunk"}),
    )
    .await?;
    until_known(&deployment, "sunk").await?;
    let load = Load::start(deployment.redirects(), "sunk", 16, 20_000);
    for answered in [4_000, 9_000, 14_000] {
        load.reaches(answered).await;
        deployment.sink().kill();
        deployment.sink().start()?;
    }
    let sent = load.finish().await;
    deployment.sink().wait_until_ready()?;
    stored::matches(&deployment, "sunk", &sent).await
}

async fn sigterm_under_load_fails_no_scan_and_loses_none(
    deployment: Arc<Deployment>,
) -> anyhow::Result<()> {
    let api = Api::of(&deployment)?;
    api.post(
        "/tags",
        json!({"code": "drained", "destination": "https://example.com/drained"}),
    )
    .await?;
    until_known(&deployment, "drained").await?;
    let load = Load::start(deployment.redirects(), "drained", 8, 6_000);
    load.reaches(2_000).await;
    let edge = deployment.edges().next().context("an edge")?;
    let status = edge.terminate()?;
    ensure!(status.code() == Some(0), "SIGTERM ended it with {status}");
    edge.start()?;
    edge.wait_until_ready()?;
    let sent = load.finish().await;
    stored::matches(&deployment, "drained", &sent).await
}

async fn no_full_address_of_a_scanner_is_kept(deployment: Arc<Deployment>) -> anyhow::Result<()> {
    // Every phone of these cases had this address; stored is its network alone.
    for process in deployment.processes() {
        ensure!(
            !file_holds(&process.log(), "80.128.1.1")?,
            "a log holds a scanner's address"
        );
        for entry in std::fs::read_dir(process.data_dir()).into_iter().flatten() {
            let path = entry?.path();
            ensure!(
                !path.is_file() || !file_holds(&path, "80.128.1.1")?,
                "{} holds a scanner's address",
                path.display()
            );
        }
    }
    if deployment.shape() == Shape::Standalone {
        let prefix = "SELECT count(*) FROM scans WHERE ip_prefix = '80.128.1.0/24'";
        let kept: i64 =
            rusqlite::Connection::open(deployment.sqlite())?
                .query_row(prefix, [], |row| row.get(0))?;
        ensure!(kept > 0, "the network is kept");
    }
    Ok(())
}

/// Waits until the API counts so many scans, and fails if it counts more.
async fn counted(api: &Api, query: &str, wanted: usize) -> anyhow::Result<Value> {
    let deadline = tokio::time::Instant::now() + crate::deployment::DEADLINE;
    loop {
        let report = api.get(&format!("/analytics/scans?{query}")).await?;
        let total = report["total"].as_u64().context("a total")?;
        ensure!(
            total <= wanted as u64,
            "{query}: {total} instead of {wanted}"
        );
        if total == wanted as u64 {
            return Ok(report);
        }
        ensure!(
            tokio::time::Instant::now() < deadline,
            "{query}: still {total} instead of {wanted}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until every edge knows a code, by HEAD, which is kept apart from the scans that are counted.
async fn until_known(deployment: &Deployment, code: &str) -> anyhow::Result<()> {
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()?;
    for edge in deployment.redirects() {
        let url = format!("http://{edge}/{code}");
        let deadline = tokio::time::Instant::now() + crate::deployment::DEADLINE;
        while client.head(&url).send().await?.status() != StatusCode::FOUND {
            ensure!(
                tokio::time::Instant::now() < deadline,
                "{edge} does not know {code}"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    Ok(())
}

fn k6(edge: std::net::SocketAddr, code: &str, scans: usize) -> anyhow::Result<std::process::Child> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../loadtest/steady.js");
    let settings = [
        ("BASE_URL", format!("http://{edge}")),
        ("CODES", code.to_owned()),
        ("ITERATIONS", scans.to_string()),
        ("VUS", "16".to_owned()),
        ("K6_NO_USAGE_REPORT", "true".to_owned()),
    ];
    let output = std::process::Stdio::piped;
    let command = Command::new(given("TAGWIRE_TEST_K6")?)
        .args(["run", "--quiet"])
        .arg(script)
        .envs(settings)
        .stdout(output())
        .stderr(output())
        .spawn()?;
    Ok(command)
}

fn decoded(decoder: &str, arguments: &[&str], image: &Path) -> anyhow::Result<String> {
    let output = Command::new(decoder).args(arguments).arg(image).output();
    let output = output
        .with_context(|| format!("{decoder} is not installed: run tests/run, which installs it"))?;
    ensure!(output.status.success(), "{decoder} finds no symbol");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
