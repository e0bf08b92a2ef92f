//! The sink of a cluster: scans from Kafka, enriched, to ClickHouse.

use std::sync::Arc;
use std::time::Instant;

use facts::Agents;
use sink::Enricher;

use super::Role;
use crate::config::Config;
use crate::parts::{Operations, PlacesWatch, Rollups, ScanSink, bind, cluster};
use crate::program::Program;

const ROLE: &str = "sink";

pub(crate) struct Sink {
    sink: ScanSink,
    rollups: Rollups,
    places: PlacesWatch,
    operations: Operations,
}

impl Sink {
    pub(crate) fn build(program: &Program) -> anyhow::Result<Self> {
        let config = &program.config;
        let options = cluster::sink_options(config, ROLE)?;
        let clickhouse = cluster::clickhouse_options(config, ROLE)?;
        let operations = bind("metrics.listen", config.metrics.listen)?;
        let places = PlacesWatch::open(&config.geoip, &program.registry, &[ROLE])?;
        let enricher = Arc::new(Enricher::new(Arc::new(Agents::new()?), places.file()));
        let store = cluster::clickhouse(program, clickhouse);
        let sink = ScanSink::start(program, options, Arc::clone(&store), enricher)?;
        let rollups = Rollups::start(program, store)?;
        let operations = Operations::start(program, operations)?;
        Ok(Self {
            sink,
            rollups,
            places,
            operations,
        })
    }
}

impl Role for Sink {
    fn announce(&self, program: &Program) {
        tracing::info!(node = program.config.node.id, metrics = %self.operations.address(), "sink started");
    }

    fn reload(&self, config: &Config) -> anyhow::Result<Vec<&'static str>> {
        cluster::sink_options(config, ROLE)?;
        cluster::clickhouse_options(config, ROLE)?;
        Ok(vec![self.places.reload(&config.geoip)?])
    }

    fn drain(self: Box<Self>, program: &Program, deadline: Instant) {
        self.rollups.end();
        self.sink.drain(deadline);
        self.places.end();
        self.operations.end(program);
    }
}
