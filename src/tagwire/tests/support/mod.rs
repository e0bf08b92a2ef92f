//! The real binary as tests drive it: on free ports and a data directory of the test's, its output captured, ended with the test.
//!
//! [`Start`] says how; [`Start::run`] waits until the process is ready, [`Start::spawn`] only until it has started,
//! [`Start::refused`] expects it to end by itself. A [`Process`] that is dropped is killed.

#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used)] // each test program uses its part of it

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// After it, something is broken, not slow.
const DEADLINE: Duration = Duration::from_secs(90);

/// A User-Agent that counts as a person's.
pub const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1";

/// A folder for a process's data, in memory where there is such a place: the scan log is in it too.
pub fn data_dir() -> TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

/// How a process is started.
#[derive(Clone, Debug)]
pub struct Start {
    role: &'static str,
    data: Option<PathBuf>,
    arguments: Vec<OsString>,
    environment: Vec<(String, String)>,
}

impl Start {
    /// All roles, on files in `data`.
    pub fn standalone(data: &Path) -> Self {
        let start = Self::of("standalone").data(data);
        start
            .env("TAGWIRE_EDGE__LISTEN", "127.0.0.1:0")
            .env("TAGWIRE_ADMIN__LISTEN", "127.0.0.1:0")
    }

    /// An edge of a cluster, with a name of its own.
    pub fn edge(id: &str, data: &Path, kafka: &str) -> Self {
        let start = Self::of("edge").data(data).env("TAGWIRE_NODE__ID", id);
        start
            .env("TAGWIRE_EDGE__LISTEN", "127.0.0.1:0")
            .env("TAGWIRE_KAFKA__BROKERS", kafka)
    }

    /// The sink of a cluster.
    pub fn sink(kafka: &str, clickhouse: &str) -> Self {
        let start = Self::of("sink").env("TAGWIRE_KAFKA__BROKERS", kafka);
        start.env("TAGWIRE_CLICKHOUSE__URL", clickhouse)
    }

    /// The admin of a cluster.
    pub fn admin(data: &Path, kafka: &str, clickhouse: &str, public_url: &str) -> Self {
        let start = Self::of("admin")
            .data(data)
            .env("TAGWIRE_KAFKA__BROKERS", kafka);
        let start = start
            .env("TAGWIRE_ADMIN__LISTEN", "127.0.0.1:0")
            .env("TAGWIRE_NODE__PUBLIC_URL", public_url);
        start.env("TAGWIRE_CLICKHOUSE__URL", clickhouse)
    }

    /// A role with nothing but a free port for its metrics.
    pub fn of(role: &'static str) -> Self {
        let start = Self {
            role,
            data: None,
            arguments: Vec::new(),
            environment: Vec::new(),
        };
        start.env("TAGWIRE_METRICS__LISTEN", "127.0.0.1:0")
    }

    /// Sets a variable, instead of an earlier value.
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.retain(|(other, _)| other != name);
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// Adds an argument.
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// On the addresses that a process had, for a restart that clients must not notice. That process must have ended.
    pub fn on_addresses_of(self, process: &Addresses) -> Self {
        let mut start = self;
        for (name, address) in [
            ("TAGWIRE_EDGE__LISTEN", process.redirects),
            ("TAGWIRE_ADMIN__LISTEN", process.api),
            ("TAGWIRE_METRICS__LISTEN", process.metrics),
        ] {
            if let Some(address) = address {
                start = start.env(name, address.to_string());
            }
        }
        start
    }

    /// Without a variable that was set.
    pub fn without(mut self, name: &str) -> Self {
        self.environment.retain(|(other, _)| other != name);
        self
    }

    /// Starts it, and waits until it is ready.
    pub async fn run(&self) -> Process {
        let process = self.spawn().await;
        process.ready().await;
        process
    }

    /// Starts it, and waits until it listens.
    pub async fn spawn(&self) -> Process {
        let mut process = self.launch();
        let started = format!("{} started", self.role);
        let line = process
            .stderr
            .line(|line| line["message"] == started.as_str())
            .await;
        let line = line.unwrap_or_else(|| panic!("it ended at once: {}", process.stderr.text()));
        let address = |field: &str| {
            line[field]
                .as_str()?
                .trim_matches(['[', ']'])
                .split(", ")
                .next()?
                .parse()
                .ok()
        };
        process.addresses = Addresses {
            redirects: address("redirects"),
            api: address("api"),
            metrics: address("metrics"),
        };
        process
    }

    /// Starts it, and expects it to end by itself.
    pub async fn refused(&self) -> Ended {
        self.launch().ended().await
    }

    fn data(mut self, data: &Path) -> Self {
        self.data = Some(data.to_owned());
        // Not where it is by default: nobody would remove it after the test.
        let hot = data.join("hot").to_str().unwrap().to_owned();
        self.env("TAGWIRE_NODE__DATA_DIR", data.to_str().unwrap())
            .env("TAGWIRE_SCAN_LOG__HOT", hot)
    }

    fn launch(&self) -> Process {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tagwire"));
        for (name, _) in std::env::vars_os() {
            if name
                .to_str()
                .is_some_and(|name| name.starts_with("TAGWIRE_"))
            {
                command.env_remove(name);
            }
        }
        command
            .arg(self.role)
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command
            .spawn()
            .expect("the program was built with the tests");
        let stdout = Output::capture(child.stdout.take().unwrap());
        let stderr = Output::capture(child.stderr.take().unwrap());
        Process {
            child,
            stdout,
            stderr,
            addresses: Addresses::default(),
            data: self.data.clone(),
        }
    }
}

/// Where a process listens; the first address where there are several.
#[derive(Clone, Copy, Debug, Default)]
pub struct Addresses {
    pub redirects: Option<SocketAddr>,
    pub api: Option<SocketAddr>,
    pub metrics: Option<SocketAddr>,
}

/// A running process.
pub struct Process {
    child: Child,
    stdout: Output,
    stderr: Output,
    pub addresses: Addresses,
    data: Option<PathBuf>,
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

    /// The sum of all series of a metric.
    pub async fn metric(&self, name: &str) -> f64 {
        let text = client()
            .get(self.metrics_url("/metrics"))
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        let of_name = |line: &&str| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with([' ', '{']))
        };
        text.lines()
            .filter(of_name)
            .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
            .sum()
    }

    /// Waits for a line of the log; its fields.
    pub async fn logs(&self, message: &str) -> Value {
        let line = self
            .stderr
            .line(|line| {
                line["message"]
                    .as_str()
                    .is_some_and(|text| text.contains(message))
            })
            .await;
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

/// A client that shows redirects instead of following them.
pub fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(DEADLINE)
        .build()
        .unwrap()
}

/// Makes a tag; the API's answer.
pub async fn make_tag(process: &Process, tag: &Value) -> Value {
    let request = client()
        .post(process.api_url("/tags"))
        .bearer_auth(process.key())
        .json(tag);
    let answer = request.send().await.unwrap();
    assert_eq!(
        answer.status(),
        201,
        "{}\n{}",
        answer.text().await.unwrap(),
        process.stderr()
    );
    answer.json().await.unwrap()
}

/// One stream of a process, read line by line as it comes.
struct Output {
    seen: watch::Receiver<Seen>,
    reader: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    text: String,
    /// Those lines that are JSON.
    lines: Vec<Value>,
}

impl Output {
    fn capture(stream: impl AsyncRead + Unpin + Send + 'static) -> Self {
        let (sender, seen) = watch::channel(Seen::default());
        let reader = tokio::spawn(async move {
            let mut lines = BufReader::new(stream).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                sender.send_modify(|seen| {
                    seen.lines.extend(serde_json::from_str::<Value>(&line));
                    seen.text.push_str(&line);
                    seen.text.push('\n');
                });
            }
        });
        Self { seen, reader }
    }

    fn text(&self) -> String {
        self.seen.borrow().text.clone()
    }

    /// The first JSON line, past or to come, that fits; none when the stream ends without.
    async fn line(&self, fits: impl Fn(&Value) -> bool) -> Option<Value> {
        let mut seen = self.seen.clone();
        let found = timeout(DEADLINE, seen.wait_for(|seen| seen.lines.iter().any(&fits))).await;
        let found = found.unwrap_or_else(|_| panic!("that line does not come: {}", self.text()));
        found
            .ok()
            .and_then(|seen| seen.lines.iter().find(|line| fits(line)).cloned())
    }

    async fn whole(self) -> String {
        self.reader.await.unwrap();
        self.seen.borrow().text.clone()
    }
}
