//! The redirects and what hangs on them: the table with its feed, the scan log with its shipper, the listeners, the heartbeats.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use ::edge::{
    AboutEdge, ConnectionLimits, CountExchange, Counting, Drained, EdgeMetrics, EdgeOptions,
    EdgeServer, Feed, FeedState, Heartbeats, Inherited, Limits, SharedSalts, Site, SnapshotOptions,
    SnapshotOrders, SocketOptions, Trust, UpstreamOptions,
};
use admin::Visible;
use facts::{CrawlerNetworks, LazyAgents, PlacesFile, TrustedProxies};
use journal::{Applied, Counts, EdgeRun, Edges, Journal, Salts};
use scans::{Outlet, ScanLog, ScanLogOptions, Shipper, ShipperOptions, SpoolOptions};
use table::Table;
use tags::Topic;
use telemetry::Check;

use super::DataDir;
use super::descriptors;
use super::hot_folder;
use super::tls::TlsWatch;
use crate::config::{Config, Edge, Upstream};
use crate::program::Program;
use crate::upgrade::Descriptor;

/// In the data directory.
const COUNTS: &str = "counts.sqlite";
/// There too.
const SPOOL: &str = "scan_log.spool";

const FIRST_COUNTS: &str = "hearing what other edges have counted";
const FIRST_SALTS: &str = "hearing the days' salts";
const FIRST_READING: &str = "reading the journal for the first time";

/// What ending takes behind the last scan: a producer that cannot reach its broker gives up after half a second, and a follower of the
/// journal looks up every half second. It belongs to the drain's time, of which it gets a fifth at most.
const ENDING: Duration = Duration::from_millis(1_500);
/// What a farewell gets behind the last scan, beside which it has been under way.
const FAREWELL: Duration = Duration::from_millis(200);

/// As small as segments become for many threads and a small `scan_log.max_bytes`.
const SMALLEST_SEGMENT: u64 = 64 << 10;

/// What comes from a process whose place this one takes.
pub(crate) struct InheritedRedirects {
    pub(crate) sockets: Inherited,
    pub(crate) scan_log_lock: Option<OwnedFd>,
}

impl InheritedRedirects {
    /// There is none.
    pub(crate) fn nothing() -> Self {
        Self {
            sockets: Inherited::nothing(),
            scan_log_lock: None,
        }
    }
}

pub(crate) struct Redirects {
    server: EdgeServer,
    shipper: Shipper,
    scan_log_lock: OwnedFd,
    feed: Feed,
    tls: TlsWatch,
    applied: Applied,
    heartbeats: Heartbeats,
    counts: CountExchange,
    salts: SharedSalts,
    drain_delay: Duration,
}

/// What is behind the redirects, of one kind in a cluster and another in standalone.
pub(crate) struct Behind<'a> {
    pub(crate) journal: Arc<dyn Journal>,
    /// For a journal that can be out of reach.
    pub(crate) snapshots: Option<SnapshotOptions>,
    pub(crate) outlet: Box<dyn Outlet>,
    pub(crate) edges: &'a dyn Edges,
    /// Where edges tell each other their counts; none: this is the only one.
    pub(crate) counts: Option<Arc<dyn Counts>>,
    /// Where the days' salts are.
    pub(crate) salts: Arc<dyn Salts>,
    pub(crate) places: Arc<PlacesFile>,
    pub(crate) crawlers: Arc<CrawlerNetworks>,
    pub(crate) agents: Arc<LazyAgents>,
}

impl Redirects {
    /// `any_host`: whether the only domain answers every Host.
    pub(crate) fn start(
        program: &Program,
        data: &DataDir,
        any_host: bool,
        behind: Behind<'_>,
        inherited: InheritedRedirects,
    ) -> anyhow::Result<Self> {
        let Behind {
            journal,
            snapshots,
            outlet,
            edges,
            counts,
            salts,
            places,
            crawlers,
            agents,
        } = behind;
        let log = ScanLog::open_beside(
            &scan_log_options(&program.config, data),
            inherited.scan_log_lock,
            &program.registry,
        )?;
        let scan_log_lock = log.lock().try_clone_to_owned()?;
        let run = EdgeRun::new(&program.config.node.id, log.boot())?;
        let metrics = EdgeMetrics::register(&program.registry)?;
        let counts_file = data.path().join(COUNTS);
        let counting = Counting::open(&program.config.node.id, &log, &counts_file, &metrics);
        let table = Arc::new(Table::with_counters(counting.prepare()));
        let tls = TlsWatch::open(&program.config.edge, &program.registry)?;
        let server = EdgeServer::start_with(
            inherited.sockets,
            EdgeOptions {
                places,
                crawlers,
                agents,
                tallies: counting.tallies(),
                ..edge_options(
                    &program.config.edge,
                    &program.config.upstream,
                    any_host,
                    &tls,
                )
            },
            table.clone(),
            &log,
            &metrics,
        )?;
        let shipper = Shipper::start(log, outlet, ShipperOptions::default())?;
        let (sender, applied) = Applied::new();
        let salts_check = program.health.check("salts");
        salts_check.not_ready(FIRST_SALTS);
        let salts = SharedSalts::start(
            salts,
            server.visitors(),
            metrics.clone(),
            jiff::Timestamp::now,
            move || salts_check.ready(),
        )?;
        let check = program.health.check("table");
        check.not_ready(FIRST_READING);
        let fed = Arc::clone(&table);
        let feed = Feed::start(
            journal,
            Arc::clone(&table),
            sender,
            metrics,
            snapshots,
            move |state| tell(&check, &fed, state),
        )?;
        let counts_check = program.health.check("counts");
        counts_check.not_ready(FIRST_COUNTS);
        let counts = counting.start(counts, move || counts_check.ready())?;
        let about = AboutEdge {
            run,
            version: env!("CARGO_PKG_VERSION"),
            addresses: [server.addresses(), server.tls_addresses()].concat(),
        };
        let runtime = program.runtime.handle();
        let heartbeats = Heartbeats::start(runtime, edges, about, table, applied.clone())?;
        Ok(Self {
            server,
            shipper,
            scan_log_lock,
            feed,
            tls,
            applied,
            heartbeats,
            counts,
            salts,
            drain_delay: program.config.edge.drain_delay,
        })
    }

    /// What the process that takes the place of this one needs of it.
    pub(crate) fn descriptors(&self) -> io::Result<Vec<(Descriptor, OwnedFd)>> {
        let sockets = self.server.sockets().iter().map(Descriptor::listener);
        let lock = self.scan_log_lock.try_clone();
        let lock = lock.map(|lock| (Descriptor::ScanLogLock, lock));
        sockets.chain([lock]).collect()
    }

    /// Whether and when the snapshot file is written.
    pub(crate) fn snapshots(&self) -> SnapshotOrders {
        self.feed.snapshots()
    }

    /// Where they listen.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        self.server.addresses()
    }

    /// Where they listen for TLS.
    pub(crate) fn tls_addresses(&self) -> &[SocketAddr] {
        self.server.tls_addresses()
    }

    /// What an edit waits for, to be seen by the next redirect.
    pub(crate) fn visible(&self) -> Visible {
        Visible {
            applied: self.applied.clone(),
            topics: &Topic::EDGE,
        }
    }

    /// Takes other limits and trusted proxies, and looks at the certificates and ticket keys now. Gives the keys that this is all of.
    pub(crate) fn reload(&self, config: &Edge) -> &'static [&'static str] {
        self.server.limit_connections(connection_limits(config));
        self.server.trust(trust(config));
        self.server.limit_rates(config.limits);
        if let Some(tls) = self.tls.tls() {
            tls.reload();
        }
        &[
            "edge.limits.redirects_per_address_per_second",
            "edge.limits.redirects_per_tag_per_second",
            "edge.limits.unknown_codes_per_address_per_second",
            "edge.max_connections",
            "edge.max_connections_per_address",
            "edge.proxy_protocol_from",
            "edge.trusted_proxies",
        ]
    }

    /// Tells load balancers to go elsewhere, and still answers for as long as they need to notice; but leaves half of the time until the
    /// deadline for everything else.
    pub(crate) fn begin_drain(&self, deadline: Instant) {
        self.server.begin_drain();
        let half = deadline.saturating_duration_since(Instant::now()) / 2;
        std::thread::sleep(self.drain_delay.min(half));
        // Until now an edit had to reach this edge.
        self.heartbeats.begin_drain();
    }

    /// Answers what is being asked, delivers what is recorded, ends.
    pub(crate) fn drain(self, deadline: Instant) {
        self.end(deadline, EdgeServer::shutdown);
    }

    /// As above, when another process is about to answer from the same sockets.
    pub(crate) fn leave(self, deadline: Instant) {
        self.end(deadline, EdgeServer::leave);
    }

    /// As above, when another process answers in the place of this one.
    pub(crate) fn give_way(self, deadline: Instant) {
        self.end(deadline, EdgeServer::give_way);
    }

    fn end(self, deadline: Instant, shutdown: fn(EdgeServer, Duration) -> Drained) {
        self.heartbeats.begin_drain();
        // Clients that do not take their answers must not use up the time in which scans are delivered.
        let for_answers = deadline.saturating_duration_since(Instant::now()) / 2;
        if shutdown(self.server, for_answers) == Drained::CutOff {
            tracing::warn!("cut off connections whose clients did not finish in time");
        }
        // Nobody has to wait for this edge any more.
        self.heartbeats.begin_farewell();
        self.counts.begin_stop();
        self.salts.begin_stop();
        self.feed.begin_stop(deadline);
        let left = deadline.saturating_duration_since(Instant::now());
        let ledger = self.shipper.drain(deadline - ENDING.min(left / 5));
        let (accepted, acknowledged, waiting) =
            (ledger.accepted, ledger.acknowledged, ledger.waiting());
        if waiting == 0 {
            tracing::info!(accepted, acknowledged, "every scan is delivered");
        } else {
            tracing::warn!(
                accepted,
                acknowledged,
                waiting,
                "not every scan was delivered in time; those waiting stay in the scan log for the next start"
            );
        }
        self.counts.stop(deadline);
        self.heartbeats.end(FAREWELL);
        self.feed.stop();
        self.tls.end();
    }
}

/// A table that is complete serves what it has: a journal that is away takes no edge out.
fn tell(check: &Check, table: &Table, state: FeedState) {
    match state {
        FeedState::Complete => check.ready(),
        FeedState::Away { reason } if !table.is_complete() => {
            check.not_ready(format!("the journal cannot be reached: {reason}"))
        }
        FeedState::Back if !table.is_complete() => check.not_ready(FIRST_READING),
        FeedState::Away { .. } | FeedState::Back => {}
    }
}

fn scan_log_options(config: &Config, data: &DataDir) -> ScanLogOptions {
    let mut options = ScanLogOptions::new(&config.node.id, "");
    let threads = config
        .edge
        .threads
        .or_else(|| available_parallelism().ok())
        .map_or(1, |threads| threads.get());
    let segments = (threads + options.spares) as u64;
    options.hot = config
        .scan_log
        .hot
        .clone()
        .unwrap_or_else(|| hot_folder::choose(data.path(), segments));
    // Each thread's open segment, another, and the spare ones: with less, a thread could wait for ever for what is open elsewhere.
    let least = 2 * segments;
    match config.scan_log.max_bytes {
        None => options.max_bytes = options.max_bytes.max(least * options.segment_bytes),
        Some(bytes) => {
            options.max_bytes = bytes;
            let pages = (bytes / least) & !4095;
            options.segment_bytes = options.segment_bytes.min(pages).max(SMALLEST_SEGMENT);
        }
    }
    let spool = &config.scan_log;
    options.spool = (spool.spool_max_bytes > 0).then(|| SpoolOptions {
        folder: match &spool.spool {
            Some(folder) => folder.clone(),
            None => data.path().join(SPOOL),
        },
        max_bytes: spool.spool_max_bytes,
    });
    options
}

fn edge_options(config: &Edge, upstream: &Upstream, any_host: bool, tls: &TlsWatch) -> EdgeOptions {
    let defaults = EdgeOptions::new(config.listen.clone());
    EdgeOptions {
        tls_listen: config.tls_listen.clone(),
        tls: tls.tls(),
        h2c: config.h2c,
        threads: config.threads,
        sockets: SocketOptions {
            backlog: config.backlog,
            defer_accept: config.defer_accept,
        },
        connections: connection_limits(config),
        trust: trust(config),
        site: Site {
            any_host,
            health_path: config.health_path.clone(),
            https_port: config.https_port,
            ..defaults.site
        },
        limits: Limits {
            target: config.max_target_bytes,
            headers: config.max_header_bytes,
            head: config.head_timeout,
            idle: config.idle_timeout,
            send: config.send_timeout,
            body: config.body_timeout,
            min_rate: config.min_rate,
            ..defaults.limits
        },
        unknown_codes_per_second: config.unknown_codes_per_second,
        rate_limits: config.limits,
        upstream: upstream_options(upstream),
        ..defaults
    }
}

fn connection_limits(config: &Edge) -> ConnectionLimits {
    ConnectionLimits {
        total: descriptors::connections(config.max_connections),
        per_address: config.max_connections_per_address,
    }
}

fn trust(config: &Edge) -> Trust {
    Trust {
        proxy_protocol_from: TrustedProxies::new(config.proxy_protocol_from.clone()),
        proxies: TrustedProxies::new(config.trusted_proxies.clone()),
    }
}

fn upstream_options(config: &Upstream) -> UpstreamOptions {
    UpstreamOptions {
        networks: config.networks.clone(),
        ca_file: config.ca_file.clone(),
        connect: config.connect_timeout,
        read: config.read_timeout,
        send: config.send_timeout,
        total: config.total_timeout,
        max_body: config.max_body_bytes,
        max_requests: config.max_requests,
        max_total_requests: config.max_total_requests,
    }
}
