//! How a process is started: its role, arguments and environment, none of which comes from the tests' own.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use super::output::Output;
use super::process::{Addresses, Ended, Process};

/// How a process is started.
#[derive(Clone, Debug)]
pub struct Start {
    pub role: &'static str,
    data: Option<PathBuf>,
    /// A command that runs it, in the same process; none: it is run itself.
    through: Vec<OsString>,
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
            through: Vec::new(),
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

    /// Run by this command, to which the program and its arguments are given.
    pub fn through(mut self, command: &[&str]) -> Self {
        self.through = command.iter().map(OsString::from).collect();
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

    /// With its data in this folder.
    pub fn data(mut self, data: &Path) -> Self {
        self.data = Some(data.to_owned());
        // Not where it is by default: nobody would remove it after the test.
        let hot = data.join("hot").to_str().unwrap().to_owned();
        self.env("TAGWIRE_NODE__DATA_DIR", data.to_str().unwrap())
            .env("TAGWIRE_SCAN_LOG__HOT", hot)
    }

    fn launch(&self) -> Process {
        let mut words = self
            .through
            .iter()
            .cloned()
            .chain([env!("CARGO_BIN_EXE_tagwire").into()]);
        let mut command = Command::new(words.next().expect("the program at least"));
        command.args(words);
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
