//! An edge of a cluster: redirects from memory, fed by the journal in Kafka, scans delivered to Kafka.

use std::time::Instant;

use ::edge::SnapshotOptions;
use journal::{JournalMetrics, KafkaEdges};

use super::Role;
use crate::config::Config;
use crate::parts::{
    Behind, DataDir, Operations, PlacesWatch, Redirects, bind, cluster, tls_options,
};
use crate::program::Program;

const ROLE: &str = "edge";
/// In the data directory.
const SNAPSHOT: &str = "tags.snapshot";

pub(crate) struct Edge {
    redirects: Redirects,
    places: PlacesWatch,
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
        let places = PlacesWatch::open(&config.geoip, &program.registry, &[ROLE])?;
        let metrics = JournalMetrics::register(&program.registry, ROLE)?;
        let edges = KafkaEdges::new(kafka.clone(), metrics.clone());
        let journal = cluster::journal(config, kafka, metrics)?;
        let any_host = false;
        let snapshots = SnapshotOptions {
            file: data.path().join(SNAPSHOT),
            every: config.snapshot.interval,
            build: env!("CARGO_PKG_VERSION"),
        };
        let behind = Behind {
            journal,
            snapshots: Some(snapshots),
            outlet: Box::new(outlet),
            edges: &edges,
            places: places.file(),
        };
        let redirects = Redirects::start(program, &data, any_host, behind)?;
        let operations = Operations::start(program, operations)?;
        Ok(Self {
            redirects,
            places,
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

    fn reload(&self, config: &Config) -> anyhow::Result<Vec<&'static str>> {
        cluster::journal_options(config, ROLE)?;
        tls_options(&config.edge)?;
        let places = self.places.reload(&config.geoip)?; // before what cannot fail
        Ok([&[places], self.redirects.reload(&config.edge)].concat())
    }

    fn drain(self: Box<Self>, program: &Program, deadline: Instant) {
        self.redirects.drain(deadline);
        self.places.end();
        self.operations.end(program);
    }
}
