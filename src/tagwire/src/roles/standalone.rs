//! All roles in one process, over files in the data directory: the same parts as in a cluster, with the three seams (journal, outlet,
//! scan store) in SQLite and in process.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use admin::AdminOptions;
use analytics::SqliteStore;
use facts::{Agents, LazyAgents, TrustedProxies};
use journal::{JournalMetrics, LocalEdges, SqliteJournal};
use sink::{DirectOutlet, Enricher, SinkMetrics};

use super::Role;
use crate::config::Config;
use crate::parts::{
    Api, Behind, BlocklistsWatch, CrawlersWatch, DataDir, Demo, InheritedRedirects, Operations,
    PlacesWatch, Redirects, Rollups, Welcome, bind, public_url, tls_options,
};
use crate::program::Program;

pub(crate) struct Standalone {
    redirects: Redirects,
    api: Api,
    rollups: Rollups,
    places: PlacesWatch,
    crawlers: CrawlersWatch,
    blocklists: BlocklistsWatch,
    operations: Operations,
    welcome: Welcome,
    demo: Option<Demo>,
    _data: DataDir,
}

impl Standalone {
    pub(crate) fn build(program: &Program, demo: bool) -> anyhow::Result<Self> {
        let (config, registry) = (&program.config, &program.registry);
        let data = DataDir::hold(&config.node.data_dir)?;
        let key_file = data.shown().join("admin.key");
        let first_start = !key_file.exists();
        let api = bind("admin.listen", config.admin.listen)?;
        let operations = bind("metrics.listen", config.metrics.listen)?;

        let edge_metrics = JournalMetrics::register(registry, "edge")?;
        let admin_metrics = JournalMetrics::register(registry, "admin")?;
        let journal =
            SqliteJournal::open_counting(&data.path().join("journal.sqlite"), admin_metrics)?;
        let store = Arc::new(SqliteStore::open(&data.path().join("scans.sqlite"))?);
        let places = PlacesWatch::open(&config.geoip, registry, &["admin", "edge", "sink"])?;
        let crawlers =
            CrawlersWatch::open(&config.crawlers.networks, registry, &["admin", "edge"])?;
        let blocklists = BlocklistsWatch::open(&config.admin.blocklists, registry, &["admin"])?;
        let agents = Arc::new(Agents::new()?);
        let enricher = Arc::new(Enricher::new(Arc::clone(&agents), places.file()));
        let agents = Arc::new(LazyAgents::made(agents));
        let sink_metrics = SinkMetrics::register(registry)?;
        let outlet = DirectOutlet::new(
            enricher,
            store.clone(),
            sink_metrics,
            program.runtime.handle().clone(),
        );

        let (followed, any_host) = (Arc::new(journal.for_role(edge_metrics)), true);
        let edges = LocalEdges::new();
        let behind = Behind {
            salts: followed.clone(),
            journal: followed,
            snapshots: None,
            outlet: Box::new(outlet),
            edges: &edges,
            counts: None,
            places: places.file(),
            crawlers: crawlers.lists(),
            agents: Arc::clone(&agents),
        };
        let rollups = Rollups::start(program, store.clone())?;
        let inherited = InheritedRedirects::nothing();
        let redirects = Redirects::start(program, &data, any_host, behind, inherited)?;
        let public_url = match &config.node.public_url {
            Some(given) => given.clone(),
            None => public_url::of_listener(redirects.addresses()[0])?,
        };
        let options = AdminOptions {
            data_dir: data.path().to_owned(),
            public_url: public_url.clone(),
            upstream_networks: config.upstream.networks.clone(),
            domain_proof: config.admin.domain_proof.clone(),
            requests_per_second: NonZeroU32::new(config.admin.requests_per_second),
            trusted_proxies: TrustedProxies::new(config.admin.trusted_proxies.clone()),
            places: places.file(),
            crawlers: crawlers.lists(),
            agents,
            blocklists: blocklists.lists(),
            blocklist_action: config.admin.blocklist_action,
            unusual_alerts: config.admin.unusual_alerts,
            webhooks: config.admin.webhooks.clone(),
        };
        let api = Api::start(
            program,
            api,
            options,
            Arc::new(journal),
            store,
            Arc::new(edges),
            vec![redirects.visible()],
        )?;
        let operations = Operations::start(program, operations)?;

        let demo =
            demo.then(|| Demo::new(api.address(), &key_file, &public_url, redirects.addresses()));
        let welcome = Welcome {
            public_url,
            api: api.address(),
            operations: operations.address(),
            key_file,
            first_start,
        };
        Ok(Self {
            redirects,
            api,
            rollups,
            places,
            crawlers,
            blocklists,
            operations,
            welcome,
            demo,
            _data: data,
        })
    }
}

impl Role for Standalone {
    fn announce(&self, program: &Program) {
        tracing::info!(
            node = program.config.node.id,
            redirects = ?self.redirects.addresses(),
            tls = ?self.redirects.tls_addresses(),
            api = %self.api.address(),
            metrics = %self.operations.address(),
            "standalone started"
        );
        let (ready, welcome, demo) = (self.api.ready(), self.welcome.clone(), self.demo.clone());
        program.runtime.spawn(async move {
            if ready.await {
                welcome.print();
                if let Some(demo) = demo {
                    demo.show().await;
                }
            }
        });
    }

    fn reload(&self, config: &Config) -> anyhow::Result<Vec<&'static str>> {
        tls_options(&config.edge)?;
        let blocklists = self.blocklists.prepare(&config.admin.blocklists)?;
        let crawlers = self.crawlers.prepare(&config.crawlers.networks)?;
        let places = self.places.reload(&config.geoip)?; // before what cannot fail
        let files = [
            places,
            self.blocklists.take(blocklists),
            self.crawlers.take(crawlers),
        ];
        Ok([&files, self.redirects.reload(&config.edge)].concat())
    }

    fn drain(self: Box<Self>, program: &Program, deadline: Instant) {
        self.rollups.end();
        self.redirects.begin_drain(deadline);
        // The API first: an edit under way waits for the edge to apply it. It gets half of the time at most.
        let half = deadline.saturating_duration_since(Instant::now()) / 2;
        self.api.drain(
            program,
            Instant::now() + half.max(Duration::from_millis(100)),
        );
        self.redirects.drain(deadline);
        self.places.end();
        self.crawlers.end();
        self.blocklists.end();
        self.operations.end(program);
    }
}
