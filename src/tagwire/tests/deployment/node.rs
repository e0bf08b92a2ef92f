//! A process of a deployment: ended and started again where it was.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use crate::support::{Ended, Process, Start};

/// A process that cases end and start again; its addresses and its data outlive it.
pub struct Node {
    pub(super) start: Start,
    data: PathBuf,
    pub(super) redirects: Option<SocketAddr>,
    pub(super) api: Option<SocketAddr>,
    process: Option<Process>,
    /// What its processes wrote until they ended.
    written: String,
}

impl Node {
    /// Starts it on free ports, and waits until it listens.
    pub(super) async fn spawn(start: Start, data: PathBuf) -> Self {
        let process = start.spawn().await;
        let addresses = process.addresses;
        Self {
            start: start.on_addresses_of(&addresses),
            data,
            redirects: addresses.redirects,
            api: addresses.api,
            process: Some(process),
            written: String::new(),
        }
    }

    /// Starts it again after it has ended, and waits until it listens.
    pub async fn start(&mut self) {
        assert!(self.process.is_none(), "{} runs already", self.start.role);
        self.process = Some(self.start.spawn().await);
    }

    /// Waits until it says that it is ready.
    pub async fn ready(&self) {
        self.process().ready().await;
    }

    /// Starts another process that takes the place of this one; the one before, which serves until the other is ready.
    pub async fn upgrade(&mut self) -> Process {
        let successor = self.successor(&[]).await;
        self.process
            .replace(successor)
            .unwrap_or_else(|| panic!("{} does not run", self.start.role))
    }

    /// A process that wants to take the place of this one, with these variables.
    pub async fn successor(&self, environment: &[(&str, &str)]) -> Process {
        let start = self.start.clone().arg("--upgrade");
        let environment = environment.iter();
        let start = environment.fold(start, |start, (name, value)| start.env(name, *value));
        start.spawn().await
    }

    /// SIGKILL: it has no moment to write anything.
    pub async fn kill(&mut self) {
        let process = self.take();
        let ended = process.kill().await;
        self.keep(&ended);
    }

    /// SIGTERM, and how it ended.
    pub async fn terminate(&mut self) -> Ended {
        let process = self.take();
        let ended = process.terminate().await;
        self.keep(&ended);
        ended
    }

    /// The sum of a metric over its labels.
    pub async fn metric(&self, name: &str) -> f64 {
        self.process().metric(name).await
    }

    /// What it does in the deployment.
    pub fn role(&self) -> &'static str {
        self.start.role
    }

    /// Sends a signal, and waits for nothing.
    pub fn signal(&self, signal: Signal) {
        self.process().signal(signal);
    }

    /// The process, for what is asked of one alone.
    pub fn process(&self) -> &Process {
        let process = self.process.as_ref();
        process.unwrap_or_else(|| panic!("{} does not run", self.start.role))
    }

    /// Sets a variable for its next start.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.start = self.start.clone().env(name, value);
    }

    /// Has its next start run by this command.
    pub fn start_through(&mut self, command: &[&str]) {
        self.start = self.start.clone().through(command);
    }

    /// Where its API is.
    pub fn api(&self) -> Option<SocketAddr> {
        self.api
    }

    /// Whether it has been started and has not been ended.
    pub fn runs(&self) -> bool {
        self.process.is_some()
    }

    /// Kills it if it runs.
    pub async fn end(mut self) {
        if self.runs() {
            self.kill().await;
        }
    }

    /// Where its data is.
    pub fn data_dir(&self) -> &Path {
        &self.data
    }

    /// What all of its processes have written.
    pub fn log(&self) -> String {
        let mut log = self.written.clone();
        if let Some(process) = &self.process {
            log.push_str(&process.stdout());
            log.push_str(&process.stderr());
        }
        log
    }

    fn take(&mut self) -> Process {
        let process = self.process.take();
        process.unwrap_or_else(|| panic!("{} does not run", self.start.role))
    }

    fn keep(&mut self, ended: &Ended) {
        self.written.push_str(&ended.stdout);
        self.written.push_str(&ended.stderr);
    }

    pub(super) fn last_log_lines(&self) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(15)..]
            .iter()
            .map(|line| format!("  {}: {line}\n", self.start.role))
            .collect()
    }
}
