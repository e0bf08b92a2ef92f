//! Processes of the real binary, put together to a deployment: started, killed, started again.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// How long a condition may take before a case fails: far longer than it ever does.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// How the roles are spread over processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Standalone,
    Cluster,
}

impl Shape {
    pub fn name(self) -> &'static str {
        match self {
            Self::Standalone => "standalone",
            Self::Cluster => "cluster",
        }
    }
}

/// One process of the binary under test, with ports and a data folder that outlive it.
pub struct Process {
    role: &'static str,
    environment: Vec<(String, String)>,
    folder: PathBuf,
    metrics: SocketAddr,
    child: Mutex<Option<Child>>,
}

impl Process {
    fn new(
        role: &'static str,
        folder: PathBuf,
        settings: &[(&str, String)],
    ) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&folder)?;
        let metrics = free_address()?;
        let mut environment: Vec<_> = settings
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.clone()))
            .collect();
        environment.push(("TAGWIRE_METRICS__LISTEN".into(), metrics.to_string()));
        environment.push((
            "TAGWIRE_NODE__DATA_DIR".into(),
            folder.join("data").display().to_string(),
        ));
        Ok(Self {
            role,
            environment,
            folder,
            metrics,
            child: Mutex::new(None),
        })
    }

    /// Starts it, and does not wait for it to be ready.
    pub fn start(&self) -> anyhow::Result<()> {
        let log = File::options().create(true).append(true).open(self.log())?;
        let child = Command::new(env!("CARGO_BIN_EXE_tagwire"))
            .arg(self.role)
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let earlier = self.child.lock().unwrap().replace(child);
        assert!(earlier.is_none(), "{} runs already", self.role);
        Ok(())
    }

    /// Waits until it says that it is ready.
    pub fn wait_until_ready(&self) -> anyhow::Result<()> {
        let ready = format!("http://{}/readyz", self.metrics);
        eventually(&format!("{} to be ready", self.role), || {
            if let Some(status) = self
                .child
                .lock()
                .unwrap()
                .as_mut()
                .and_then(|child| child.try_wait().ok().flatten())
            {
                bail!(
                    "{} ended with {status}: {}",
                    self.role,
                    self.last_log_lines()
                );
            }
            Ok(http_get(&ready)
                .is_ok_and(|(status, _)| status == 200)
                .then_some(()))
        })
    }

    /// SIGKILL: it has no moment to write anything.
    pub fn kill(&self) {
        if let Some(mut child) = self.child.lock().unwrap().take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// SIGTERM, and its exit.
    pub fn terminate(&self) -> anyhow::Result<ExitStatus> {
        let mut child = self
            .child
            .lock()
            .unwrap()
            .take()
            .context("it does not run")?;
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        Ok(child.wait()?)
    }

    /// The sum of a metric over its labels; none while the process does not answer.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let (_, text) = http_get(&format!("http://{}/metrics", self.metrics)).ok()?;
        let values = text
            .lines()
            .filter(|line| line.split(['{', ' ']).next() == Some(name));
        values
            .map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    pub fn data_dir(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    fn last_log_lines(&self) -> String {
        let log = std::fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<_> = log.lines().rev().take(15).collect();
        lines
            .into_iter()
            .rev()
            .map(|line| format!("  {}: {line}\n", self.role))
            .collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A running deployment.
pub struct Deployment {
    shape: Shape,
    processes: Vec<Process>,
    redirects: Vec<SocketAddr>,
    api: SocketAddr,
    database: String,
    _folder: tempfile::TempDir,
}

impl Deployment {
    pub fn start(shape: Shape) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let deployment = match shape {
            Shape::Standalone => Self::standalone(folder)?,
            Shape::Cluster => Self::cluster(folder)?,
        };
        for process in &deployment.processes {
            process.start()?;
        }
        for process in &deployment.processes {
            process.wait_until_ready()?;
        }
        Ok(deployment)
    }

    fn standalone(folder: tempfile::TempDir) -> anyhow::Result<Self> {
        let (redirects, api) = (free_address()?, free_address()?);
        let settings = [
            ("TAGWIRE_EDGE__LISTEN", redirects.to_string()),
            ("TAGWIRE_ADMIN__LISTEN", api.to_string()),
            ("TAGWIRE_EDGE__TRUSTED_PROXIES", "127.0.0.0/8".to_owned()),
            ("TAGWIRE_GEOIP__FILE", given("TAGWIRE_TEST_GEOIP_COUNTRY")?),
        ];
        let process = Process::new("standalone", folder.path().join("standalone"), &settings)?;
        let (redirects, database) = (vec![redirects], String::new());
        Ok(Self {
            shape: Shape::Standalone,
            processes: vec![process],
            redirects,
            api,
            database,
            _folder: folder,
        })
    }

    fn cluster(folder: tempfile::TempDir) -> anyhow::Result<Self> {
        let (first, second, api) = (free_address()?, free_address()?, free_address()?);
        // Topics and tables of its own on servers that others use too.
        let unique = format!("{}_{}", std::process::id(), first.port());
        let database = format!("tagwire_end_to_end_{unique}");
        let kafka = [
            ("TAGWIRE_KAFKA__BROKERS", given("TAGWIRE_TEST_KAFKA")?),
            ("TAGWIRE_KAFKA__PREFIX", format!("end-to-end-{unique}.")),
        ];
        let clickhouse = [
            ("TAGWIRE_CLICKHOUSE__URL", given("TAGWIRE_TEST_CLICKHOUSE")?),
            ("TAGWIRE_CLICKHOUSE__DATABASE", database.clone()),
        ];
        let admin = [
            ("TAGWIRE_ADMIN__LISTEN", api.to_string()),
            ("TAGWIRE_NODE__PUBLIC_URL", format!("http://{first}")),
        ];
        let sink = [("TAGWIRE_GEOIP__FILE", given("TAGWIRE_TEST_GEOIP_COUNTRY")?)];
        let edge = |id: &str, listen: SocketAddr| {
            let own = [
                ("TAGWIRE_NODE__ID", id.to_owned()),
                ("TAGWIRE_EDGE__LISTEN", listen.to_string()),
                ("TAGWIRE_EDGE__TRUSTED_PROXIES", "127.0.0.0/8".to_owned()),
            ];
            Process::new(
                "edge",
                folder.path().join(id),
                &[kafka.as_slice(), &own].concat(),
            )
        };
        let processes = vec![
            Process::new(
                "admin",
                folder.path().join("admin"),
                &[kafka.as_slice(), &clickhouse, &admin].concat(),
            )?,
            edge("edge-1", first)?,
            edge("edge-2", second)?,
            Process::new(
                "sink",
                folder.path().join("sink"),
                &[kafka.as_slice(), &clickhouse, &sink].concat(),
            )?,
        ];
        Ok(Self {
            shape: Shape::Cluster,
            processes,
            redirects: vec![first, second],
            api,
            database,
            _folder: folder,
        })
    }

    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The processes that answer scans.
    pub fn edges(&self) -> impl Iterator<Item = &Process> {
        self.processes
            .iter()
            .filter(|process| matches!(process.role, "edge" | "standalone"))
    }

    /// The process that stores scans.
    pub fn sink(&self) -> &Process {
        self.role("sink")
    }

    /// The process that has the API.
    pub fn admin(&self) -> &Process {
        self.role("admin")
    }

    /// All processes.
    pub fn processes(&self) -> &[Process] {
        &self.processes
    }

    fn role(&self, role: &str) -> &Process {
        let mut processes = self.processes.iter();
        processes
            .find(|process| process.role == role || process.role == "standalone")
            .unwrap()
    }

    /// Where scans are answered, an address for each edge.
    pub fn redirects(&self) -> &[SocketAddr] {
        &self.redirects
    }

    /// Where the API is.
    pub fn api(&self) -> SocketAddr {
        self.api
    }

    /// The first owner's key.
    pub fn key(&self) -> anyhow::Result<String> {
        Ok(
            std::fs::read_to_string(self.admin().data_dir().join("admin.key"))?
                .trim()
                .to_owned(),
        )
    }

    /// ClickHouse's address and this deployment's database there.
    pub fn clickhouse(&self) -> anyhow::Result<(String, &str)> {
        Ok((given("TAGWIRE_TEST_CLICKHOUSE")?, &self.database))
    }

    /// The file with the stored scans of a standalone.
    pub fn sqlite(&self) -> PathBuf {
        self.admin().data_dir().join("scans.sqlite")
    }

    /// Waits until every accepted scan has been delivered.
    pub fn wait_until_delivered(&self) -> anyhow::Result<()> {
        for edge in self.edges() {
            eventually("all scans to be delivered", || {
                Ok((edge.metric("tagwire_edge_scans_waiting") == Some(0.0)).then_some(()))
            })?;
        }
        Ok(())
    }

    pub fn last_log_lines(&self) -> String {
        self.processes.iter().map(Process::last_log_lines).collect()
    }
}

/// An environment variable that `tests/run` sets.
pub fn given(name: &str) -> anyhow::Result<String> {
    std::env::var(name).with_context(|| {
        format!("{name} is not set: run tests/run, which starts what the tests need")
    })
}

/// Asks again and again until there is an answer, or it has taken too long.
pub fn eventually<T>(
    what: &str,
    mut ask: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if Instant::now() > deadline {
            bail!("waited {DEADLINE:?} for {what}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A plain GET, on a connection of its own.
fn http_get(url: &str) -> anyhow::Result<(u16, String)> {
    let url = url.to_owned();
    // On a thread of its own, since a case's runtime may be the one that asks.
    let asked = std::thread::spawn(move || -> anyhow::Result<(u16, String)> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let client = reqwest::Client::builder()
                .timeout(Duration::from_secs(5))
                .build()?;
            let response = client.get(url).send().await?;
            Ok((response.status().as_u16(), response.text().await?))
        })
    });
    asked
        .join()
        .map_err(|_| anyhow::anyhow!("the asking thread panicked"))?
}

/// A loopback address that was free a moment ago.
fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Whether a file holds a text.
pub fn file_holds(path: &Path, text: &str) -> anyhow::Result<bool> {
    let content = std::fs::read(path)?;
    Ok(content
        .windows(text.len())
        .any(|window| window == text.as_bytes()))
}
