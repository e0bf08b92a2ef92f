//! The admin of a cluster: the API over the journal in Kafka and the scans in ClickHouse.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Instant;

use admin::AdminOptions;
use facts::TrustedProxies;
use journal::{JournalMetrics, KafkaEdges};

use super::Role;
use crate::config::Config;
use crate::parts::{
    Api, BlocklistsWatch, CrawlersWatch, DataDir, Operations, PlacesWatch, bind, cluster,
};
use crate::program::Program;

const ROLE: &str = "admin";

pub(crate) struct Admin {
    api: Api,
    places: PlacesWatch,
    crawlers: CrawlersWatch,
    blocklists: BlocklistsWatch,
    operations: Operations,
    _data: DataDir,
}

impl Admin {
    pub(crate) fn build(program: &Program) -> anyhow::Result<Self> {
        let config = &program.config;
        let kafka = cluster::journal_options(config, ROLE)?;
        let clickhouse = cluster::clickhouse_options(config, ROLE)?;
        let public_url = config.node.public_url(ROLE)?.clone();
        let data = DataDir::hold(&config.node.data_dir)?;
        let api = bind("admin.listen", config.admin.listen)?;
        let operations = bind("metrics.listen", config.metrics.listen)?;
        let metrics = JournalMetrics::register(&program.registry, ROLE)?;
        let edges = Arc::new(KafkaEdges::new(kafka.clone(), metrics.clone()));
        let journal = cluster::journal(config, kafka, metrics)?;
        let store = cluster::clickhouse(program, clickhouse);
        let places = PlacesWatch::open(&config.geoip, &program.registry, &[ROLE])?;
        let crawlers = CrawlersWatch::open(&config.crawlers.networks, &program.registry, &[ROLE])?;
        let blocklists =
            BlocklistsWatch::open(&config.admin.blocklists, &program.registry, &[ROLE])?;
        let options = AdminOptions {
            data_dir: data.path().to_owned(),
            public_url,
            upstream_networks: config.upstream.networks.clone(),
            domain_proof: config.admin.domain_proof.clone(),
            requests_per_second: NonZeroU32::new(config.admin.requests_per_second),
            trusted_proxies: TrustedProxies::new(config.admin.trusted_proxies.clone()),
            places: places.file(),
            crawlers: crawlers.lists(),
            agents: Arc::default(),
            blocklists: blocklists.lists(),
            blocklist_action: config.admin.blocklist_action,
            unusual_alerts: config.admin.unusual_alerts,
            webhooks: config.admin.webhooks.clone(),
        };
        let api = Api::start(program, api, options, journal, store, edges, Vec::new())?;
        let operations = Operations::start(program, operations)?;
        Ok(Self {
            api,
            places,
            crawlers,
            blocklists,
            operations,
            _data: data,
        })
    }
}

impl Role for Admin {
    fn announce(&self, program: &Program) {
        tracing::info!(node = program.config.node.id, api = %self.api.address(), metrics = %self.operations.address(), "admin started");
    }

    fn reload(&self, config: &Config) -> anyhow::Result<Vec<&'static str>> {
        cluster::journal_options(config, ROLE)?;
        cluster::clickhouse_options(config, ROLE)?;
        config.node.public_url(ROLE)?;
        let blocklists = self.blocklists.prepare(&config.admin.blocklists)?;
        let crawlers = self.crawlers.prepare(&config.crawlers.networks)?;
        let places = self.places.reload(&config.geoip)?;
        Ok(vec![
            places,
            self.blocklists.take(blocklists),
            self.crawlers.take(crawlers),
        ])
    }

    fn drain(self: Box<Self>, program: &Program, deadline: Instant) {
        self.api.drain(program, deadline);
        self.places.end();
        self.crawlers.end();
        self.blocklists.end();
        self.operations.end(program);
    }
}
