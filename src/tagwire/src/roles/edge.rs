//! An edge of a cluster: redirects from memory, fed by the journal in Kafka, scans delivered to Kafka.

use std::time::Instant;

use ::edge::SnapshotOptions;
use journal::{JournalMetrics, KafkaEdges};

use super::Role;
use crate::config::Config;
use crate::parts::{DataDir, Operations, Redirects, bind, cluster};
use crate::program::Program;

const ROLE: &str = "edge";
/// In the data directory.
const SNAPSHOT: &str = "tags.snapshot";

pub(crate) struct Edge {
    redirects: Redirects,
    operations: Operations,
    _data: DataDir,
}

impl Edge {
    pub(crate) fn build(program: &Program) -> anyhow::Result<Self> {
        let config = &program.config;
        let kafka = cluster::journal_options(config, ROLE)?;
        let outlet = cluster::outlet(config, ROLE)?;
        let data = DataDir::hold(&config.node.data_dir)?;
        let operations = bind("metrics.listen", config.metrics.listen)?;
        let metrics = JournalMetrics::register(&program.registry, ROLE)?;
        let edges = KafkaEdges::new(kafka.clone(), metrics.clone());
        let journal = cluster::journal(config, kafka, metrics)?;
        let any_host = false;
        let snapshots = SnapshotOptions {
            file: data.path().join(SNAPSHOT),
            every: config.snapshot.interval,
        };
        let redirects = Redirects::start(
            program,
            &data,
            any_host,
            journal,
            Box::new(outlet),
            &edges,
            Some(snapshots),
        )?;
        let operations = Operations::start(program, operations)?;
        Ok(Self {
            redirects,
            operations,
            _data: data,
        })
    }
}

impl Role for Edge {
    fn announce(&self, program: &Program) {
        tracing::info!(
            node = program.config.node.id,
            redirects = ?self.redirects.addresses(),
            tls = ?self.redirects.tls_addresses(),
            metrics = %self.operations.address(),
            "edge started"
        );
    }

    fn reload(&self, config: &Config) -> &'static [&'static str] {
        self.redirects.reload(&config.edge)
    }

    fn drain(self: Box<Self>, program: &Program, deadline: Instant) {
        self.redirects.drain(deadline);
        self.operations.end(program);
    }
}
