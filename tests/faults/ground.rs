//! What the cases stand on: a Kafka and a ClickHouse that they may kill and start again, and deployments on them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::deployment::{Deployment, Plan, Shape, given};
use crate::support::client;

/// Each server is started by the first case that needs it.
#[derive(Default)]
pub struct Ground {
    kafka: Option<OwnServer>,
    clickhouse: Option<OwnServer>,
}

impl Ground {
    /// The plan of a cluster on the Kafka that may be killed.
    pub fn plan(&mut self) -> anyhow::Result<Plan> {
        let mut plan = Plan::given(Shape::Cluster)?;
        plan.kafka = self.kafka()?.address()?;
        Ok(plan)
    }

    /// A cluster of three edges, an admin and a sink, all of them ready.
    pub async fn cluster(&mut self) -> anyhow::Result<Deployment> {
        Deployment::start(&self.plan()?).await
    }

    /// The plan of a cluster of which also the ClickHouse may be killed.
    pub fn plan_on_own(&mut self) -> anyhow::Result<Plan> {
        let mut plan = self.plan()?;
        plan.clickhouse = self.clickhouse()?.url()?;
        Ok(plan)
    }

    /// The Kafka that may be killed; it runs when this returns.
    pub fn kafka(&mut self) -> anyhow::Result<&OwnServer> {
        OwnServer::running(&mut self.kafka, "kafka")
    }

    /// The ClickHouse that may be killed; it runs when this returns.
    pub fn clickhouse(&mut self) -> anyhow::Result<&OwnServer> {
        OwnServer::running(&mut self.clickhouse, "clickhouse")
    }

    /// Ends them.
    pub fn end(&mut self) {
        (self.kafka, self.clickhouse) = (None, None);
    }
}

/// A server of the cases' own, in a folder of its own.
pub struct OwnServer {
    /// As the script in tests/stack that starts and ends it is called.
    name: &'static str,
    folder: TempDir,
}

impl OwnServer {
    fn running<'a>(server: &'a mut Option<Self>, name: &'static str) -> anyhow::Result<&'a Self> {
        let server = match server.take() {
            Some(made) => server.insert(made),
            None => server.insert(Self {
                name,
                folder: tempfile::tempdir().with_context(|| format!("a folder for {name}"))?,
            }),
        };
        server.start()?;
        Ok(server)
    }

    /// Starts it where it was, with its data, and waits until it answers; nothing when it runs.
    pub fn start(&self) -> anyhow::Result<()> {
        self.run("start")
    }

    /// SIGKILL.
    pub fn kill(&self) -> anyhow::Result<()> {
        self.run("kill")
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = Pid::from_raw(self.told("pid")?.parse()?).context("its pid")?;
        Ok(kill_process(pid, signal)?)
    }

    /// Where it listens.
    pub fn address(&self) -> anyhow::Result<String> {
        Ok(format!("127.0.0.1:{}", self.told("port")?))
    }

    /// The same, of one that speaks HTTP.
    pub fn url(&self) -> anyhow::Result<String> {
        Ok(format!("http://{}", self.address()?))
    }

    /// A file that the script has written.
    fn told(&self, what: &str) -> anyhow::Result<String> {
        let file = self.folder.path().join(self.name).join(what);
        let text = std::fs::read_to_string(&file);
        let text = text.with_context(|| format!("reading {}", file.display()))?;
        Ok(text.trim().to_owned())
    }

    fn run(&self, what: &str) -> anyhow::Result<()> {
        let output = Command::new(stack().join(self.name))
            .arg(what)
            .arg(self.folder.path())
            .output()
            .with_context(|| format!("running tests/stack/{}", self.name))?;
        ensure!(
            output.status.success(),
            "tests/stack/{} {what}: {}",
            self.name,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        let _ = self.kill(); // its folder goes with it; what is left of the process is ended with the test run
    }
}

/// Asks a deployment's database, or changes it; the answer's text.
pub async fn ask_clickhouse(deployment: &Deployment, query: &str) -> anyhow::Result<String> {
    let (url, database) = deployment.clickhouse();
    let request = client().post(url).query(&[("database", database)]);
    let answer = request.body(query.to_owned()).send().await?;
    let status = answer.status();
    let text = answer.text().await?;
    ensure!(status.is_success(), "{query}: {text}");
    Ok(text.trim().to_owned())
}

/// The scripts that start servers, and the files that they have downloaded.
fn stack() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/stack")
}

/// A file that `tests/run` names.
pub fn given_file(name: &str) -> anyhow::Result<PathBuf> {
    Ok(PathBuf::from(given(name)?))
}
