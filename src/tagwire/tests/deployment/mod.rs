//! Processes of the real binary, put together to a deployment: started, killed, started again where they were.

#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used)] // each test program uses its part of it

pub mod client;
pub mod ledger;
pub mod load;
mod node;
pub mod stored;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use tempfile::TempDir;

pub use node::Node;

use crate::support::{DEADLINE, Start, data_dir};

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

/// What a deployment is made of.
#[derive(Clone, Debug)]
pub struct Plan {
    pub shape: Shape,
    /// Bootstrap servers.
    pub kafka: String,
    /// The server's URL.
    pub clickhouse: String,
    /// How many edges a cluster has.
    pub edges: usize,
    /// Variables for the processes that answer scans.
    pub edge_environment: Vec<(&'static str, String)>,
    /// Variables for a cluster's admin.
    pub admin_environment: Vec<(&'static str, String)>,
    /// Variables for a cluster's sinks.
    pub sink_environment: Vec<(&'static str, String)>,
}

impl Plan {
    /// On the servers that `tests/run` has started, a cluster with three edges.
    pub fn given(shape: Shape) -> anyhow::Result<Self> {
        Ok(Self {
            shape,
            kafka: given("TAGWIRE_TEST_KAFKA")?,
            clickhouse: given("TAGWIRE_TEST_CLICKHOUSE")?,
            edges: 3,
            edge_environment: Vec::new(),
            admin_environment: Vec::new(),
            sink_environment: Vec::new(),
        })
    }
}

/// A running deployment.
pub struct Deployment {
    plan: Plan,
    nodes: Vec<Node>,
    redirects: Vec<SocketAddr>,
    api: SocketAddr,
    database: String,
    kafka_prefix: String,
    folders: Folders,
}

/// Data on disk; scan logs in memory, as they are by default, but in a folder that goes away with the deployment.
struct Folders {
    data: TempDir,
    scan_logs: TempDir,
}

impl Folders {
    fn make() -> anyhow::Result<Self> {
        Ok(Self {
            data: tempfile::tempdir().context("making a folder for the processes' data")?,
            scan_logs: data_dir(),
        })
    }

    fn data(&self, node: &str) -> PathBuf {
        self.data.path().join(node)
    }

    fn scan_log(&self, node: &str) -> PathBuf {
        self.scan_logs.path().join(node)
    }

    fn edge(&self, plan: &Plan, start: Start, node: &str) -> Start {
        let hot = self.scan_log(node);
        let start = start
            .env("TAGWIRE_SCAN_LOG__HOT", hot.display().to_string())
            .env("TAGWIRE_EDGE__TRUSTED_PROXIES", "127.0.0.0/8");
        let environment = plan.edge_environment.iter();
        environment.fold(start, |start, (name, value)| start.env(name, value))
    }
}

impl Deployment {
    /// Starts all processes, and waits until they are ready.
    pub async fn start(plan: &Plan) -> anyhow::Result<Self> {
        let deployment = match plan.shape {
            Shape::Standalone => Self::standalone(plan).await?,
            Shape::Cluster => Self::cluster(plan).await?,
        };
        for node in &deployment.nodes {
            node.ready().await;
        }
        Ok(deployment)
    }

    async fn standalone(plan: &Plan) -> anyhow::Result<Self> {
        let (folders, name) = (Folders::make()?, "standalone");
        let data = folders.data(name);
        let places = given("TAGWIRE_TEST_GEOIP_COUNTRY")?;
        let start = Start::standalone(&data).env("TAGWIRE_GEOIP__FILE", places);
        let start = folders.edge(plan, start, name);
        let node = Node::spawn(start, data).await;
        Ok(Self {
            plan: plan.clone(),
            redirects: vec![node.redirects.context("its redirects' address")?],
            api: node.api.context("its API's address")?,
            nodes: vec![node],
            database: String::new(),
            kafka_prefix: String::new(),
            folders,
        })
    }

    /// The edges first: short URLs lead to one of them, which the admin has to be told.
    async fn cluster(plan: &Plan) -> anyhow::Result<Self> {
        let folders = Folders::make()?;
        let (kafka, clickhouse) = (&plan.kafka, &plan.clickhouse);
        // Topics and tables of its own on servers that others use too.
        let nanoseconds = std::time::UNIX_EPOCH.elapsed()?.as_nanos();
        let unique = format!("{}_{nanoseconds}", std::process::id());
        let database = format!("tagwire_end_to_end_{unique}");
        let prefix = format!("end-to-end-{unique}.");
        let in_kafka = |start: Start| start.env("TAGWIRE_KAFKA__PREFIX", &prefix);
        let in_clickhouse =
            |start: Start| in_kafka(start).env("TAGWIRE_CLICKHOUSE__DATABASE", &database);

        let (mut nodes, mut redirects) = (Vec::new(), Vec::new());
        for number in 1..=plan.edges {
            let id = format!("edge-{number}");
            let data = folders.data(&id);
            let start = in_kafka(Start::edge(&id, &data, kafka));
            let start = start.env("TAGWIRE_GEOIP__FILE", given("TAGWIRE_TEST_GEOIP_COUNTRY")?);
            let edge = Node::spawn(folders.edge(plan, start, &id), data).await;
            redirects.push(edge.redirects.context("an edge's address")?);
            nodes.push(edge);
        }
        let (data, public_url) = (folders.data("admin"), format!("http://{}", redirects[0]));
        let start = in_clickhouse(Start::admin(&data, kafka, clickhouse, &public_url));
        // Cases edit as fast as edits are taken, with one key.
        let start = start.env("TAGWIRE_ADMIN__REQUESTS_PER_SECOND", "0");
        let variables = plan.admin_environment.iter();
        let start = variables.fold(start, |start, (name, value)| start.env(name, value));
        let admin = Node::spawn(start, data).await;
        let api = admin.api.context("the admin's address")?;
        let start = in_clickhouse(Start::sink(kafka, clickhouse));
        let start = start.env("TAGWIRE_GEOIP__FILE", given("TAGWIRE_TEST_GEOIP_COUNTRY")?);
        let variables = plan.sink_environment.iter();
        let start = variables.fold(start, |start, (name, value)| start.env(name, value));
        let sink = Node::spawn(start, folders.data("sink")).await;
        nodes.extend([admin, sink]);
        Ok(Self {
            plan: plan.clone(),
            nodes,
            redirects,
            api,
            database,
            kafka_prefix: prefix,
            folders,
        })
    }

    /// Kills what runs, so that nothing writes below the folders when they are removed.
    pub async fn end(mut self) {
        for node in &mut self.nodes {
            if node.runs() {
                node.kill().await;
            }
        }
    }

    pub fn shape(&self) -> Shape {
        self.plan.shape
    }

    /// The processes that answer scans.
    pub fn edges(&self) -> impl Iterator<Item = &Node> {
        let answers = |node: &&Node| matches!(node.start.role, "edge" | "standalone");
        self.nodes.iter().filter(answers)
    }

    /// One of the processes that answer scans.
    pub fn edge(&mut self) -> &mut Node {
        self.role("edge")
    }

    /// The process that stores scans.
    pub fn sink(&mut self) -> &mut Node {
        self.role("sink")
    }

    /// The process that takes edits.
    pub fn admin_mut(&mut self) -> &mut Node {
        self.role("admin")
    }

    /// Starts another process that takes edits, on the same topics, with data of its own.
    pub async fn second_admin(&self) -> Node {
        let data = self.folders.data("second-admin");
        let start = self.admin().start.clone().data(&data);
        let start = start
            .env("TAGWIRE_ADMIN__LISTEN", "127.0.0.1:0")
            .env("TAGWIRE_METRICS__LISTEN", "127.0.0.1:0");
        Node::spawn(start, data).await
    }

    /// Starts another process that stores scans, of the same group, with these variables.
    pub async fn another_sink(&self, environment: &[(&str, &str)]) -> Node {
        let mut sinks = self.nodes.iter();
        let sink = sinks.find(|node| node.role() == "sink").unwrap();
        let start = sink
            .start
            .clone()
            .env("TAGWIRE_METRICS__LISTEN", "127.0.0.1:0");
        let variables = environment.iter();
        let start = variables.fold(start, |start, (name, value)| start.env(name, *value));
        Node::spawn(start, self.folders.data("sink")).await
    }

    /// The folder of an edge's scan log; edges are counted from 1.
    pub fn scan_log(&self, edge: usize) -> PathBuf {
        self.folders.scan_log(&format!("edge-{edge}"))
    }

    /// All processes.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    fn role(&mut self, role: &str) -> &mut Node {
        let mut nodes = self.nodes.iter_mut();
        nodes
            .find(|node| node.start.role == role || node.start.role == "standalone")
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
        let file = self.admin().data_dir().join("admin.key");
        let key = std::fs::read_to_string(&file)
            .with_context(|| format!("reading {}", file.display()))?;
        Ok(key.trim().to_owned())
    }

    /// ClickHouse's address and this deployment's database there.
    pub fn clickhouse(&self) -> (&str, &str) {
        (&self.plan.clickhouse, &self.database)
    }

    /// What its topics' names begin with.
    pub fn kafka_prefix(&self) -> &str {
        &self.kafka_prefix
    }

    /// Where its processes write: what is on disk, and what is in memory.
    pub fn folders(&self) -> [&Path; 2] {
        [self.folders.data.path(), self.folders.scan_logs.path()]
    }

    /// Kafka's bootstrap servers.
    pub fn kafka(&self) -> &str {
        &self.plan.kafka
    }

    /// The processes that answer scans, to be ended and started again.
    pub fn edges_mut(&mut self) -> impl Iterator<Item = &mut Node> {
        let answers = |node: &&mut Node| matches!(node.start.role, "edge" | "standalone");
        self.nodes.iter_mut().filter(answers)
    }

    /// All processes, to be ended and started again.
    pub fn nodes_mut(&mut self) -> &mut [Node] {
        &mut self.nodes
    }

    /// The file with the stored scans of a standalone.
    pub fn sqlite(&self) -> PathBuf {
        self.admin().data_dir().join("scans.sqlite")
    }

    /// Waits until every accepted scan has been delivered.
    pub async fn delivered(&self) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + DEADLINE;
        for edge in self.edges() {
            loop {
                let waiting = edge.metric("tagwire_edge_scans_waiting").await;
                if waiting == 0.0 {
                    break;
                }
                if tokio::time::Instant::now() > deadline {
                    bail!("{waiting} scans still wait after {DEADLINE:?}");
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Ok(())
    }

    /// Waits until every edge has the salts that all share.
    pub async fn salted(&self) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + DEADLINE;
        for edge in self.edges() {
            while edge.metric("tagwire_edge_shared_salts").await < 8.0 {
                if tokio::time::Instant::now() > deadline {
                    bail!("an edge has no salts after {DEADLINE:?}");
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(())
    }

    pub fn last_log_lines(&self) -> String {
        self.nodes.iter().map(Node::last_log_lines).collect()
    }

    fn admin(&self) -> &Node {
        let has_api = |node: &&Node| node.api.is_some();
        self.nodes.iter().find(has_api).unwrap()
    }
}

/// An environment variable that `tests/run` sets.
pub fn given(name: &str) -> anyhow::Result<String> {
    std::env::var(name).with_context(|| {
        format!("{name} is not set: run tests/run, which starts what the tests need")
    })
}
