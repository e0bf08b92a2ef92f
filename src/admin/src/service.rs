//! The admin's parts, and its start: take over as the writer, read the journal to its end, and only then serve.

mod commit;
mod publishing;

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, Weak};
use std::time::{Duration, Instant};

use analytics::ScanStore;
use axum::extract::Request;
use blocklist::Blocklists;
use facts::{CrawlerNetworks, LazyAgents, PlacesFile, TrustedProxies};
use ipnet::IpNet;
use jiff::Timestamp;
use journal::{
    Applied, Edges, EdgesError, FollowError, Journal, Positions, PublishError, Salts, Since,
};
use prometheus::Registry;
use tags::{Permission, Topic, WorkspaceId};
use tokio::sync::Mutex;

use crate::alerts::{self, AlertStore, AlertsError};
use crate::auth::Principal;
use crate::bulk::{Claims, Jobs};
use crate::edits::Rooms;
use crate::first_start::{self, FirstStartError};
use crate::fleet::{self, Fleet};
use crate::follow::{self, Progress, Reader};
use crate::idempotency::Idempotency;
use crate::index::{Index, IndexError, Installation, Tenant};
use crate::inspection::{self, BlocklistAction, Overtaken};
use crate::live_scans::LiveScans;
use crate::metrics::AdminMetrics;
use crate::passwords::Passwords;
use crate::places::{ERASURES, EXPORTS, Full, PROOFS, Place, Places};
use crate::problem::Problem;
use crate::proof::DomainProof;
use crate::public_url::PublicUrl;
use crate::rate_limits::RateLimiter;
use crate::retention;
use crate::salts::{self, DaySalts};
use crate::schedules;
use crate::sessions::{Attempts, Sessions};
use crate::webhooks::{self, WebhookOptions};

pub(crate) use self::commit::{Commit, Records, Standing};
pub(crate) use self::publishing::PublishOutcome;

/// Edits of one key wait for one another; this many keys at a time do not.
const EDIT_LOCKS: usize = 1024;

/// How often it is asked what taking over waits for, which is for people.
const LOOK: Duration = Duration::from_millis(500);
/// What taking over begins with.
const WRITER: &str = "becoming the journal's only writer";
/// How long after a failure the place where edges say how they are is asked for again.
const RETRY: Duration = Duration::from_secs(1);

/// What the admin needs to know at start.
#[derive(Clone, Debug)]
pub struct AdminOptions {
    /// Its folder: the index and the first key lie there.
    pub data_dir: PathBuf,
    /// What short URLs begin with.
    pub public_url: PublicUrl,
    /// Networks that are not public and to which a domain's upstream, and the proof of a domain, may lead all the same.
    pub upstream_networks: Vec<IpNet>,
    /// What a workspace has to show before it may use a domain.
    pub domain_proof: DomainProof,
    /// How many requests one key or user may make in a second; none: as many as they like. What a workspace may is in its settings.
    pub requests_per_second: Option<NonZeroU32>,
    /// Proxies whose word about clients' addresses is taken.
    pub trusted_proxies: TrustedProxies,
    /// Where addresses are, for simulations; whoever gives it keeps it current.
    pub places: Arc<PlacesFile>,
    /// What browsers say of themselves, for simulations.
    pub agents: Arc<LazyAgents>,
    /// Whose crawlers have which addresses, for simulations; whoever gives it keeps it current.
    pub crawlers: Arc<CrawlerNetworks>,
    /// Hosts that no tag may lead to; whoever gives it keeps it current.
    pub blocklists: Arc<Blocklists>,
    /// What is done when tags lead to a host that has been listed since.
    pub blocklist_action: BlocklistAction,
    /// Whether unusual scans raise alerts.
    pub unusual_alerts: bool,
    /// Where alerts may be sent.
    pub webhooks: WebhookOptions,
}

/// Someone who applies changes, and for whom an edit waits before it is answered: the admin's own index; in one process with an edge, also
/// the edge's table.
#[derive(Clone, Debug)]
pub struct Visible {
    /// What it has applied.
    pub applied: Applied,
    /// What it follows.
    pub topics: &'static [Topic],
}

impl Visible {
    async fn wait_for(&self, positions: &Positions) -> Result<(), journal::Closed> {
        let followed = positions
            .iter()
            .filter(|(topic, ..)| self.topics.contains(topic))
            .collect();
        self.applied.wait_for(&followed).await
    }
}

/// Why the admin could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Not the writer.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// No reader.
    #[error(transparent)]
    Follow(#[from] FollowError),
    /// The edges cannot be heard.
    #[error(transparent)]
    Edges(#[from] EdgesError),
    /// No index.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// No place for alerts.
    #[error(transparent)]
    Alerts(#[from] AlertsError),
    /// No first key or domain.
    #[error(transparent)]
    FirstStart(#[from] FirstStartError),
    /// No thread.
    #[error("starting a reader thread of the admin's: {0}")]
    Thread(std::io::Error),
    /// There is one reader of the journal, and it has been started.
    #[error("the admin has taken over already; make another to do it again")]
    Twice,
    /// The jobs of the last run cannot be gone on with.
    #[error("reading the jobs in the data directory: {0}; see to its rights, and restart")]
    Jobs(std::io::Error),
    /// The reader of the journal ended before it had read all of it.
    #[error("the reader of the journal ended: {0}")]
    ReaderEnded(journal::Closed),
}

/// Every request is given its admin by the server.
#[derive(Debug, thiserror::Error)]
#[error("a request was not given its admin")]
struct Alone;

/// The running admin; cheap to clone.
#[derive(Clone)]
pub struct Admin(Arc<Parts>);

/// The admin, for who must not keep it.
pub(crate) struct WeakAdmin(Weak<Parts>);

impl WeakAdmin {
    pub(crate) fn upgrade(&self) -> Option<Admin> {
        self.0.upgrade().map(Admin)
    }
}

struct Parts {
    options: AdminOptions,
    journal: Arc<dyn Journal>,
    salts_place: Arc<dyn Salts>,
    salts: DaySalts,
    erasures: Places,
    store: Arc<dyn ScanStore>,
    edges: Arc<dyn Edges>,
    fleet: Arc<Fleet>,
    index: Arc<Index>,
    alerts: AlertStore,
    visible: Vec<Visible>,
    locks: Vec<Mutex<()>>,
    rooms: Rooms,
    passwords: Passwords,
    sessions: Sessions,
    attempts: Attempts,
    rate_limiter: RateLimiter,
    proofs: Places,
    exports: Places,
    idempotency: Idempotency,
    claims: Claims,
    jobs: Jobs,
    overtaken: Overtaken,
    live_scans: LiveScans,
    /// When something was last published: this admin was the writer then.
    published: std::sync::Mutex<Option<Instant>>,
    /// Whether another admin is known to have taken this one's place.
    fenced: AtomicBool,
    ready: AtomicBool,
    metrics: AdminMetrics,
    reader: Reader,
    /// For the reader thread, until it is started.
    progress: std::sync::Mutex<Option<Progress>>,
}

impl Admin {
    /// An admin that answers 503 until [`Admin::take_over`] has succeeded. `salts_place` is the same log as the journal; `also_visible` are those besides its own index for whom an
    /// edit waits.
    pub fn new(
        options: AdminOptions,
        journal: Arc<dyn Journal>,
        salts_place: Arc<dyn Salts>,
        store: Arc<dyn ScanStore>,
        edges: Arc<dyn Edges>,
        also_visible: Vec<Visible>,
    ) -> Result<Self, StartError> {
        let index = Arc::new(Index::create(&options.data_dir.join("index.sqlite"))?);
        let alerts = AlertStore::open(&options.data_dir.join("alerts.sqlite"))?;
        let (progress, reader, applied) = Progress::new();
        let own = Visible {
            applied,
            topics: &Topic::ALL,
        };
        // Its own index comes first: the next edit is judged by it, whatever became of the others.
        let visible = std::iter::once(own).chain(also_visible).collect();
        let locks = (0..EDIT_LOCKS).map(|_| Mutex::new(())).collect();
        let jobs = Jobs::new(&options.data_dir);
        Ok(Self(Arc::new(Parts {
            live_scans: LiveScans::new(Arc::clone(&store)),
            options,
            journal,
            salts_place,
            salts: DaySalts::default(),
            erasures: Places::new(ERASURES),
            store,
            edges,
            fleet: Arc::new(Fleet::new()),
            index,
            alerts,
            visible,
            locks,
            rooms: Rooms::default(),
            passwords: Passwords::default(),
            sessions: Sessions::default(),
            attempts: Attempts::default(),
            rate_limiter: RateLimiter::default(),
            proofs: Places::new(PROOFS),
            exports: Places::new(EXPORTS),
            idempotency: Idempotency::default(),
            claims: Claims::default(),
            jobs,
            overtaken: Overtaken::default(),
            published: std::sync::Mutex::default(),
            fenced: AtomicBool::new(false),
            ready: AtomicBool::new(false),
            metrics: AdminMetrics::unregistered(),
            reader,
            progress: std::sync::Mutex::new(Some(progress)),
        })))
    }

    /// Becomes the journal's writer, reads it to its end, and makes what a first start needs. Waits as long as the journal cannot be
    /// reached; `waiting` is told what for.
    pub async fn take_over(&self, waiting: impl Fn(&str)) -> Result<(), StartError> {
        waiting(WRITER);
        let mut taking = pin!(self.0.journal.become_writer());
        loop {
            if let Ok(taken) = tokio::time::timeout(LOOK, &mut taking).await {
                taken?;
                break;
            }
            match self.0.journal.waits_for() {
                Some(amiss) => waiting(&format!("{WRITER}: {amiss}")),
                None => waiting(WRITER),
            }
        }
        self.prepare_edges(&waiting).await?;
        // Only now is the end of the log final: an older writer can no longer add to it.
        waiting("reading the journal to its end");
        let follower = self.0.journal.follow(&Topic::ALL, Since::default())?;
        let progress = self
            .0
            .progress
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
            .ok_or(StartError::Twice)?;
        fleet::listen(Arc::clone(&self.0.edges), &self.0.fleet).map_err(StartError::Thread)?;
        follow::start(follower, Arc::clone(&self.0.index), progress).map_err(StartError::Thread)?;
        self.0
            .reader
            .caught_up()
            .await
            .map_err(StartError::ReaderEnded)?;
        first_start::prepare(self).await?;
        salts::start(self).await;
        schedules::run(WeakAdmin(Arc::downgrade(&self.0)));
        inspection::run(WeakAdmin(Arc::downgrade(&self.0)));
        alerts::run(WeakAdmin(Arc::downgrade(&self.0)));
        webhooks::run(WeakAdmin(Arc::downgrade(&self.0)));
        retention::run(WeakAdmin(Arc::downgrade(&self.0)));
        let jobs = &self.0.jobs;
        jobs.resume(self).map_err(StartError::Jobs)?;
        // Release: who sees the admin ready sees what was prepared.
        self.0.ready.store(true, Ordering::Release);
        Ok(())
    }

    /// Makes and checks the place where edges say how they are, as soon as it can be reached.
    async fn prepare_edges(&self, waiting: impl Fn(&str)) -> Result<(), StartError> {
        let mut told = false;
        loop {
            match self.0.edges.prepare().await {
                Err(error @ EdgesError::Unavailable { .. }) => {
                    if !std::mem::replace(&mut told, true) {
                        tracing::warn!(%error, "waiting for the place where edges say how they are");
                    }
                    waiting(&error.to_string());
                }
                done => return Ok(done?),
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Comes when the admin can no longer read its journal. From then on it answers 503, since it would not know of a change, nor of a
    /// revoked key; only a restart helps.
    pub async fn reader_ended(&self) {
        self.0.reader.ended().await;
    }

    /// The admin that a request was sent to; 503 while it cannot answer.
    pub(crate) fn serving(request: &Request) -> Result<Self, Problem> {
        let admin: Option<&Self> = request.extensions().get();
        let admin = admin.cloned().ok_or_else(|| Problem::internal(&Alone))?;
        admin.require_ready()?;
        Ok(admin)
    }

    /// 503 until the admin is ready, and when it no longer can be.
    pub(crate) fn require_ready(&self) -> Result<(), Problem> {
        if self.0.reader.has_ended() {
            return Err(PublishOutcome::ReaderEnded.into());
        }
        if self.0.ready.load(Ordering::Acquire) {
            return Ok(());
        }
        Err(Problem::unavailable(
            "The admin is still reading its journal; try again in a moment.",
        ))
    }

    /// Shows in a registry what the admin counts: `tagwire_admin_requests_total{method,status}`,
    /// `tagwire_admin_request_duration_seconds`, `tagwire_admin_alerts_total{kind}`, `tagwire_admin_webhook_deliveries_total{outcome}`,
    /// `tagwire_admin_webhook_waiting`, `tagwire_admin_judged_hour_end_seconds`, `tagwire_admin_retention_scans_total` and
    /// `tagwire_admin_retention_timestamp_seconds`. Fails when the registry has them already.
    pub fn register_metrics(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        self.0.metrics.register(registry)
    }

    pub(crate) fn metrics(&self) -> &AdminMetrics {
        &self.0.metrics
    }

    pub(crate) fn index(&self) -> &Arc<Index> {
        &self.0.index
    }

    /// What the principal's workspace sees of the index.
    pub(crate) fn tenant(&self, who: &Principal) -> Tenant {
        Tenant::new(Arc::clone(self.index()), who.workspace.clone())
    }

    /// The index across all workspaces; 403 unless the principal runs the installation.
    pub(crate) fn installation(&self, who: &Principal) -> Result<Installation<'_>, Problem> {
        who.require(Permission::Operations)?;
        Ok(self.index().installation())
    }

    pub(crate) fn alerts(&self) -> &AlertStore {
        &self.0.alerts
    }

    pub(crate) fn idempotency(&self) -> &Idempotency {
        &self.0.idempotency
    }

    pub(crate) fn store(&self) -> &Arc<dyn ScanStore> {
        &self.0.store
    }

    /// Where the days' salts are written, for whoever keeps them.
    pub(crate) fn salts_place(&self) -> &Arc<dyn Salts> {
        &self.0.salts_place
    }

    /// The days' salts that can still be used.
    pub(crate) fn salts(&self) -> &DaySalts {
        &self.0.salts
    }

    /// A place for an erasure, while it is carried out; 429 when there is none.
    pub(crate) fn place_for_erasure(&self, workspace: &WorkspaceId) -> Result<Place, Problem> {
        self.0.erasures.take(workspace).map_err(|full| {
            Problem::busy(match full {
                Full::Workspace => {
                    "This workspace has an erasure under way; ask again when it is done."
                }
                Full::All => {
                    "There are as many erasures under way as there may be; try again later."
                }
            })
        })
    }

    /// For who must not keep it.
    pub(crate) fn weak(&self) -> WeakAdmin {
        WeakAdmin(Arc::downgrade(&self.0))
    }

    pub(crate) fn live_scans(&self) -> &LiveScans {
        &self.0.live_scans
    }

    pub(crate) fn fleet(&self) -> &Fleet {
        &self.0.fleet
    }

    pub(crate) fn sessions(&self) -> &Sessions {
        &self.0.sessions
    }

    /// How often passwords were tried.
    pub(crate) fn attempts(&self) -> &Attempts {
        &self.0.attempts
    }

    /// How often the API was asked.
    pub(crate) fn rate_limiter(&self) -> &RateLimiter {
        &self.0.rate_limiter
    }

    pub(crate) fn passwords(&self) -> &Passwords {
        &self.0.passwords
    }

    /// How many tags are being made.
    pub(crate) fn rooms(&self) -> &Rooms {
        &self.0.rooms
    }

    /// Whoever holds one may look for a domain's proof.
    pub(crate) fn proofs(&self) -> &Places {
        &self.0.proofs
    }

    /// A place for an export, while it is sent; 429 when there is none.
    pub(crate) fn place_for_export(&self, workspace: &WorkspaceId) -> Result<Place, Problem> {
        self.0.exports.take(workspace).map_err(|full| {
            Problem::busy(match full {
                Full::Workspace => {
                    "This workspace has as many exports under way as it may; wait for one to end."
                }
                Full::All => {
                    "There are as many exports under way as there may be; try again later."
                }
            })
        })
    }

    pub(crate) fn jobs(&self) -> &Jobs {
        &self.0.jobs
    }

    /// How often a change of the blocklists has overtaken an edit.
    pub(crate) fn overtaken(&self) -> &Overtaken {
        &self.0.overtaken
    }

    pub(crate) fn options(&self) -> &AdminOptions {
        &self.0.options
    }

    pub(crate) fn now(&self) -> Timestamp {
        let now = Timestamp::now();
        // The journal keeps microseconds; what is answered must be what is kept.
        Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
    }
}
