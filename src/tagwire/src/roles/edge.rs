//! An edge of a cluster: redirects from memory, fed by the journal in Kafka, scans delivered to Kafka.

use std::sync::Arc;
use std::time::Instant;

use ::edge::{Inherited, SnapshotOptions};
use journal::{JournalMetrics, KafkaCounts, KafkaEdges};
use tokio::sync::watch;

use super::Role;
use crate::config::Config;
use crate::parts::{
    Behind, CrawlersWatch, DataDir, InheritedRedirects, Operations, PlacesWatch, Redirects, bind,
    cluster, tls_options,
};
use crate::program::Program;
use crate::upgrade::{Descriptor, Handed, Offer, Predecessor, Upgrades};

const ROLE: &str = "edge";
/// In the data directory.
const SNAPSHOT: &str = "tags.snapshot";

pub(crate) struct Edge {
    redirects: Redirects,
    places: PlacesWatch,
    crawlers: CrawlersWatch,
    operations: Operations,
    upgrades: Upgrades,
    _data: DataDir,
}

impl Edge {
    /// `upgrade`: whether it takes the place of one that runs.
    pub(crate) fn build(program: &Program, upgrade: bool) -> anyhow::Result<Self> {
        let config = &program.config;
        let kafka = cluster::journal_options(config, ROLE)?;
        let outlet = cluster::outlet(config, ROLE)?;
        let (predecessor, handed) = match upgrade {
            true => taken_from_running(program)?,
            false => (None, Handed::default()),
        };
        let (begin, begins) = watch::channel(predecessor.is_none());
        let data = DataDir::hold_with(&config.node.data_dir, handed.data_dir_lock)?;
        let mut inherited = Inherited::new(handed.listeners, begins.clone())?;
        let operations = match inherited.take(config.metrics.listen) {
            Some(operations) => operations,
            None => bind("metrics.listen", config.metrics.listen)?,
        };
        let places = PlacesWatch::open(&config.geoip, &program.registry, &[ROLE])?;
        let crawlers = CrawlersWatch::open(&config.crawlers.networks, &program.registry, &[ROLE])?;
        let metrics = JournalMetrics::register(&program.registry, ROLE)?;
        let edges = KafkaEdges::new(kafka.clone(), metrics.clone());
        let counts = KafkaCounts::new(kafka.clone(), metrics.clone());
        let journal = cluster::journal(config, kafka, metrics)?;
        let any_host = false;
        let snapshots = SnapshotOptions {
            file: data.path().join(SNAPSHOT),
            every: config.snapshot.interval,
            build: env!("CARGO_PKG_VERSION"),
            held: predecessor.is_some(),
        };
        let behind = Behind {
            salts: journal.clone(),
            journal,
            snapshots: Some(snapshots),
            outlet: Box::new(outlet),
            edges: &edges,
            counts: Some(Arc::new(counts)),
            places: places.file(),
            crawlers: crawlers.lists(),
            agents: Arc::default(),
        };
        let inherited = InheritedRedirects {
            sockets: inherited,
            scan_log_lock: handed.scan_log_lock,
        };
        let redirects = Redirects::start(program, &data, any_host, behind, inherited)?;
        let mut descriptors = redirects.descriptors()?;
        descriptors.extend([
            Descriptor::listener(&operations)?,
            (Descriptor::DataDirLock, data.lock()?),
        ]);
        let operations = Operations::start_at(program, operations, begins)?;
        let offer = Offer {
            data: data.path().to_owned(),
            descriptors,
            snapshots: redirects.snapshots(),
        };
        let upgrades = Upgrades::start(program, offer, predecessor, begin)?;
        Ok(Self {
            redirects,
            places,
            crawlers,
            operations,
            upgrades,
            _data: data,
        })
    }
}

/// Asks the edge that runs with this data directory for its place.
fn taken_from_running(program: &Program) -> anyhow::Result<(Option<Predecessor>, Handed)> {
    let asked = Predecessor::ask(&program.config.node.data_dir);
    Ok(match program.runtime.block_on(asked)? {
        Some((predecessor, handed)) => (Some(predecessor), handed),
        None => {
            tracing::info!("no edge runs with this data directory: this one starts as usual");
            (None, Handed::default())
        }
    })
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
        let crawlers = self.crawlers.prepare(&config.crawlers.networks)?;
        let places = self.places.reload(&config.geoip)?; // before what cannot fail
        let files = [places, self.crawlers.take(crawlers)];
        Ok([&files, self.redirects.reload(&config.edge)].concat())
    }

    fn drain(self: Box<Self>, program: &Program, deadline: Instant) {
        let Self {
            redirects,
            places,
            crawlers,
            operations,
            upgrades,
            _data,
        } = *self;
        let upgrades = upgrades.end(program);
        if upgrades.replaced {
            // Who asks how this edge is gets the answer of the one that serves.
            operations.end(program);
            redirects.give_way(deadline);
        } else {
            redirects.begin_drain(deadline);
            match upgrades.followed {
                true => redirects.leave(deadline),
                false => redirects.drain(deadline),
            }
            operations.end(program);
        }
        places.end();
        crawlers.end();
    }
}
