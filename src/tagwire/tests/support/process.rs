//! A process from its start to its end: where it listens, what it says, whether it is ready.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::process::Child;
use tokio::time::timeout;

use super::output::Output;
use super::{DEADLINE, client};

/// Where a process listens; the first address where there are several.
#[derive(Clone, Copy, Debug, Default)]
pub struct Addresses {
    pub redirects: Option<SocketAddr>,
    pub api: Option<SocketAddr>,
    pub metrics: Option<SocketAddr>,
}

/// A running process.
pub struct Process {
    pub(super) child: Child,
    pub(super) stdout: Output,
    pub(super) stderr: Output,
    pub addresses: Addresses,
    pub(super) data: Option<PathBuf>,
}

/// How a process ended.
#[derive(Debug)]
pub struct Ended {
    /// The exit code; none when a signal killed it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Process {
    /// The URL of a path on the redirect listener.
    pub fn redirect_url(&self, path: &str) -> String {
        format!(
            "http://{}{path}",
            self.addresses.redirects.expect("it has redirects")
        )
    }

    /// The URL of a path below `/api/v1`.
    pub fn api_url(&self, path: &str) -> String {
        format!(
            "http://{}/api/v1{path}",
            self.addresses.api.expect("it has an API")
        )
    }

    /// The first key.
    pub fn key(&self) -> String {
        let path = self
            .data
            .as_ref()
            .expect("it has a data directory")
            .join("admin.key");
        std::fs::read_to_string(path).unwrap().trim().to_owned()
    }

    /// Waits until `/readyz` says 200.
    pub async fn ready(&self) {
        let mut last = Value::Null;
        let ready = async {
            loop {
                let (status, body) = self.readyz().await;
                if status == 200 {
                    return;
                }
                last = body;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let ready = timeout(DEADLINE, ready).await;
        ready.unwrap_or_else(|_| panic!("not ready: {last}\n{}", self.stderr.text()));
    }

    /// Waits until a check of `/readyz` is not ready for a reason that holds `words`.
    pub async fn not_ready(&self, check: &str, words: &str) {
        let mut last = Value::Null;
        let not_ready = async {
            loop {
                let (status, body) = self.readyz().await;
                let checks = body["checks"].as_array().cloned().unwrap_or_default();
                let reason = checks
                    .iter()
                    .find(|one| one["name"] == check)
                    .and_then(|one| one["reason"].as_str());
                if status == 503 && reason.is_some_and(|reason| reason.contains(words)) {
                    return;
                }
                last = body;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let not_ready = timeout(DEADLINE, not_ready).await;
        not_ready.unwrap_or_else(|_| {
            panic!(
                "{check} does not say {words:?}: {last}\n{}",
                self.stderr.text()
            )
        });
    }

    /// What `/readyz` answers.
    pub async fn readyz(&self) -> (u16, Value) {
        let answer = client().get(self.metrics_url("/readyz")).send().await;
        let answer =
            answer.unwrap_or_else(|error| panic!("/readyz: {error}\n{}", self.stderr.text()));
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id().expect("it has not been waited for")
    }

    /// What `/metrics` shows.
    pub async fn metrics(&self) -> String {
        let request = client().get(self.metrics_url("/metrics"));
        request.send().await.unwrap().text().await.unwrap()
    }

    /// The sum of all series of a metric, of which there has to be one: a misspelt name must not pass for 0.
    pub async fn metric(&self, name: &str) -> f64 {
        let text = self.metrics().await;
        let of_name = |line: &&str| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with([' ', '{']))
        };
        let series: Vec<f64> = text
            .lines()
            .filter(of_name)
            .map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
            .collect();
        assert!(!series.is_empty(), "no {name} in /metrics:\n{text}");
        series.iter().sum()
    }

    /// Waits for a line of the log; its fields.
    pub async fn logs(&self, message: &str) -> Value {
        self.logs_again(1, message).await
    }

    /// Waits for the nth line of the log with that message, counted from 1; its fields.
    pub async fn logs_again(&self, nth: usize, message: &str) -> Value {
        let fits = |line: &Value| {
            let text = line["message"].as_str();
            text.is_some_and(|text| text.contains(message))
        };
        let line = self.stderr.nth_line(nth, fits).await;
        line.unwrap_or_else(|| {
            panic!(
                "it ended without logging {message:?}: {}",
                self.stderr.text()
            )
        })
    }

    /// Waits for words on standard output; all of it so far.
    pub async fn says(&self, words: &str) -> String {
        let mut seen = self.stdout.seen.clone();
        let said = timeout(
            DEADLINE,
            seen.wait_for(|output| output.text.contains(words)),
        )
        .await;
        match said {
            Ok(Ok(output)) => output.text.clone(),
            _ => panic!(
                "it does not say {words:?}: {}\n{}",
                self.stdout.text(),
                self.stderr.text()
            ),
        }
    }

    /// What it has said so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// What it has logged so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id().expect("it has not been waited for")).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    /// SIGTERM, and the end.
    pub async fn terminate(self) -> Ended {
        self.signal(Signal::TERM);
        self.ended().await
    }

    /// SIGTERM, and a clean end that leaves no scan behind.
    pub async fn end_with_every_scan_delivered(self) {
        let ended = self.terminate().await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(
            ended.stderr.contains("every scan is delivered"),
            "{}",
            ended.stderr
        );
    }

    /// SIGKILL, and the end.
    pub async fn kill(self) -> Ended {
        self.signal(Signal::KILL);
        self.ended().await
    }

    /// Waits for its end.
    pub async fn ended(mut self) -> Ended {
        let status = timeout(DEADLINE, self.child.wait()).await;
        let status = status
            .unwrap_or_else(|_| panic!("it does not end: {}", self.stderr.text()))
            .unwrap();
        Ended {
            code: status.code(),
            stdout: self.stdout.whole().await,
            stderr: self.stderr.whole().await,
        }
    }

    fn metrics_url(&self, path: &str) -> String {
        format!(
            "http://{}{path}",
            self.addresses.metrics.expect("every role has metrics")
        )
    }
}
