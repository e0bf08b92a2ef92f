//! The API's client, and a scanning phone.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use reqwest::{Method, StatusCode, header};
use serde_json::Value;

use crate::deployment::{Deployment, Shape};
use crate::support::{DEADLINE, IPHONE, client};

/// The API with one key.
#[derive(Clone)]
pub struct Api {
    http: reqwest::Client,
    base: String,
    key: String,
}

impl Api {
    /// The API with the first owner's key.
    pub fn of(deployment: &Deployment) -> anyhow::Result<Self> {
        let (http, base) = (client(), format!("http://{}/api/v1", deployment.api()));
        Ok(Self {
            http,
            base,
            key: deployment.key()?,
        })
    }

    /// The API with another key.
    pub fn with_key(&self, key: &str) -> Self {
        Self {
            key: key.to_owned(),
            ..self.clone()
        }
    }

    /// The same API of another admin.
    pub fn at(&self, api: SocketAddr) -> Self {
        Self {
            base: format!("http://{api}/api/v1"),
            ..self.clone()
        }
    }

    /// Any request: its status and JSON, null where there is none.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<(StatusCode, Value)> {
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.base))
            .bearer_auth(&self.key);
        if let Some(body) = body {
            request = request.json(&body);
        }
        Self::answered(request).await
    }

    /// A POST with an `Idempotency-Key`.
    pub async fn post_once(
        &self,
        path: &str,
        key: &str,
        body: Value,
    ) -> anyhow::Result<(StatusCode, Value)> {
        let request = self.http.post(format!("{}{path}", self.base));
        let request = request.bearer_auth(&self.key).json(&body);
        Self::answered(request.header("Idempotency-Key", key)).await
    }

    async fn answered(request: reqwest::RequestBuilder) -> anyhow::Result<(StatusCode, Value)> {
        let response = request.send().await?;
        let status = response.status();
        let text = response.text().await?;
        let json = if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text).context(text)?
        };
        Ok((status, json))
    }

    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.expect(Method::GET, path, None, StatusCode::OK).await
    }

    pub async fn post(&self, path: &str, body: Value) -> anyhow::Result<Value> {
        self.expect(Method::POST, path, Some(body), StatusCode::CREATED)
            .await
    }

    pub async fn patch(&self, path: &str, body: Value) -> anyhow::Result<Value> {
        self.expect(Method::PATCH, path, Some(body), StatusCode::OK)
            .await
    }

    /// A request that has to end with this status.
    pub async fn expect(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        wanted: StatusCode,
    ) -> anyhow::Result<Value> {
        let (status, json) = self.send(method.clone(), path, body).await?;
        ensure!(
            status == wanted,
            "{method} {path}: {status} instead of {wanted}: {json}"
        );
        Ok(json)
    }

    /// Sends a file of tags, and waits for the end of the job.
    pub async fn import(&self, kind: &str, file: String) -> anyhow::Result<Value> {
        let request = self
            .http
            .post(format!("{}/tags/import", self.base))
            .bearer_auth(&self.key);
        let request = request.header(header::CONTENT_TYPE, kind).body(file);
        let response = request.send().await?;
        ensure!(response.status() == StatusCode::ACCEPTED, "{response:?}");
        let mut job: Value = response.json().await?;
        let path = format!("/tags/import/{}", job["id"].as_str().context("an id")?);
        let deadline = tokio::time::Instant::now() + DEADLINE;
        while job["finished_at"].is_null() {
            ensure!(tokio::time::Instant::now() < deadline, "{job}");
            tokio::time::sleep(Duration::from_millis(50)).await;
            job = self.get(&path).await?;
        }
        Ok(job)
    }

    /// Runs a command of the program's that asks this API, which has to succeed; what it prints.
    pub async fn command(&self, arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_tagwire"));
        let url = self.base.trim_end_matches("/api/v1");
        let environment = [("TAGWIRE_URL", url), ("TAGWIRE_KEY", &self.key)];
        command.args(arguments).env_clear().envs(environment);
        let output = command.kill_on_drop(true).output().await?;
        let told = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{arguments:?}: {told}");
        Ok(output.stdout)
    }

    /// A body that is no JSON.
    pub async fn bytes(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        let response = self
            .http
            .get(format!("{}{path}", self.base))
            .bearer_auth(&self.key)
            .send()
            .await?;
        ensure!(
            response.status() == StatusCode::OK,
            "{path}: {}",
            response.status()
        );
        Ok(response.bytes().await?.to_vec())
    }
}

/// An answer to a scan.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub location: Option<String>,
}

/// Scans as a phone in Germany would, and does not follow.
pub async fn scan(edge: SocketAddr, code: &str) -> anyhow::Result<Answer> {
    let request = client()
        .get(format!("http://{edge}/{code}"))
        .header(header::USER_AGENT, IPHONE)
        // A public address of Deutsche Telekom's; the edge trusts this machine as a proxy.
        .header("X-Forwarded-For", "80.128.1.1");
    let response = request.send().await?;
    let location = response
        .headers()
        .get(header::LOCATION)
        .map(|location| location.to_str())
        .transpose()?;
    Ok(Answer {
        status: response.status().as_u16(),
        location: location.map(str::to_owned),
    })
}

/// Scans on every edge until each leads there, which in a standalone the first scan already has to.
pub async fn leads_to(
    deployment: &Deployment,
    code: &str,
    destination: &str,
) -> anyhow::Result<()> {
    answers(
        deployment,
        code,
        &Answer {
            status: 302,
            location: Some(destination.to_owned()),
        },
    )
    .await
}

/// Scans on every edge until each gives this answer.
pub async fn answers(deployment: &Deployment, code: &str, wanted: &Answer) -> anyhow::Result<()> {
    let patience = match deployment.shape() {
        Shape::Standalone => Duration::ZERO,
        Shape::Cluster => DEADLINE,
    };
    for &edge in deployment.redirects() {
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            let answer = scan(edge, code).await?;
            if answer == *wanted {
                break;
            }
            if tokio::time::Instant::now() >= deadline {
                bail!("{code} at {edge}: {answer:?} instead of {wanted:?}");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    Ok(())
}

/// Waits until every edge knows a code, by HEAD, which is kept apart from the scans that are counted.
pub async fn until_known(deployment: &Deployment, code: &str) -> anyhow::Result<()> {
    let client = client();
    for edge in deployment.redirects() {
        let url = format!("http://{edge}/{code}");
        let deadline = tokio::time::Instant::now() + DEADLINE;
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
