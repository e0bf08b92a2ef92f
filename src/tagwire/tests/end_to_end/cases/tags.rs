//! A tag's life: it redirects, is printed, changes, ends, and belongs to one tenant.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use reqwest::{Method, StatusCode};
use serde_json::json;

use super::counted;
use crate::deployment::Deployment;
use crate::deployment::client::{Answer, Api, answers, leads_to};

pub async fn a_tag_redirects_at_once_and_its_scan_is_counted_with_device_and_country(
    deployment: &mut Deployment,
) -> anyhow::Result<()> {
    let api = Api::of(deployment)?;
    let tag = api
        .post(
            "/tags",
            json!({"destination": "https://example.com/first", "campaign": "first"}),
        )
        .await?;
    let code = tag["code"].as_str().context("a code")?;
    ensure!(code.len() == 7, "{code}");
    leads_to(deployment, code, "https://example.com/first").await?;
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

pub async fn a_tags_symbols_decode_to_its_short_url(
    deployment: &mut Deployment,
) -> anyhow::Result<()> {
    let api = Api::of(deployment)?;
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

pub async fn an_edit_shows_in_the_next_redirect_and_can_be_rolled_back(
    deployment: &mut Deployment,
) -> anyhow::Result<()> {
    let api = Api::of(deployment)?;
    api.post(
        "/tags",
        json!({"code": "edited", "destination": "https://example.com/one"}),
    )
    .await?;
    leads_to(deployment, "edited", "https://example.com/one").await?;
    let second = api
        .patch(
            "/tags/edited",
            json!({"destination": "https://example.com/two"}),
        )
        .await?;
    ensure!(second["version"] == 2, "{second}");
    leads_to(deployment, "edited", "https://example.com/two").await?;
    let third = api
        .expect(
            Method::POST,
            "/tags/edited/rollback",
            Some(json!({"version": 1})),
            StatusCode::OK,
        )
        .await?;
    ensure!(third["version"] == 3, "{third}");
    leads_to(deployment, "edited", "https://example.com/one").await?;
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

pub async fn a_tag_that_does_not_redirect_says_so(
    deployment: &mut Deployment,
) -> anyhow::Result<()> {
    let api = Api::of(deployment)?;
    let nowhere = |status| Answer {
        status,
        location: None,
    };
    let to = |url: &str| Answer {
        status: 302,
        location: Some(url.to_owned()),
    };
    api.post("/tags", json!({"code": "closed", "destination": "https://example.com/", "starts_at": "2099-01-01T00:00:00Z"})).await?;
    answers(deployment, "closed", &nowhere(404)).await?;
    api.patch("/tags/closed", json!({"starts_at": null}))
        .await?;
    answers(deployment, "closed", &to("https://example.com/")).await?;
    api.patch("/tags/closed", json!({"status": "paused"}))
        .await?;
    answers(deployment, "closed", &nowhere(404)).await?;
    api.patch(
        "/tags/closed",
        json!({"status": "active", "expires_at": "2020-01-01T00:00:00Z"}),
    )
    .await?;
    answers(deployment, "closed", &nowhere(410)).await?;
    api.patch(
        "/tags/closed",
        json!({"fallback_url": "https://example.com/over"}),
    )
    .await?;
    answers(deployment, "closed", &to("https://example.com/over")).await?;
    api.patch("/tags/closed", json!({"fallback_url": null}))
        .await?;
    api.expect(Method::DELETE, "/tags/closed", None, StatusCode::NO_CONTENT)
        .await?;
    answers(deployment, "closed", &nowhere(410)).await?;
    api.expect(
        Method::POST,
        "/tags",
        Some(json!({"code": "closed", "destination": "https://example.com/"})),
        StatusCode::CONFLICT,
    )
    .await?;
    answers(deployment, "never-made", &nowhere(404)).await
}

pub async fn two_tenants_cannot_see_each_other(deployment: &mut Deployment) -> anyhow::Result<()> {
    let first = Api::of(deployment)?;
    let workspace = first.post("/workspaces", json!({"name": "Second"})).await?;
    let second = first.with_key(workspace["key"]["secret"].as_str().context("a secret")?);
    first.post("/tags", json!({"code": "of-first", "destination": "https://example.com/1", "campaign": "shared-name"})).await?;
    second.post("/tags", json!({"code": "of-second", "destination": "https://example.com/2", "campaign": "shared-name"})).await?;
    leads_to(deployment, "of-first", "https://example.com/1").await?;
    leads_to(deployment, "of-second", "https://example.com/2").await?;
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

fn decoded(decoder: &str, arguments: &[&str], image: &Path) -> anyhow::Result<String> {
    let output = Command::new(decoder).args(arguments).arg(image).output();
    let output = output
        .with_context(|| format!("{decoder} is not installed: run tests/run, which installs it"))?;
    ensure!(output.status.success(), "{decoder} finds no symbol");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
