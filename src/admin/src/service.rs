//! The admin's parts, and its start: take over as the writer, read the journal to its end, and only then serve.

use std::collections::BTreeSet;
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
    Applied, Edges, EdgesError, FollowError, Heartbeat, Journal, Positions, PublishError,
    RefusedRecord, Since,
};
use prometheus::Registry;
use tags::{Change, Permission, Topic, WorkspaceId};
use tokio::sync::Mutex;

use crate::alerts::{self, AlertStore, AlertsError};
use crate::auth::Principal;
use crate::bulk::{Claim, Claims, Jobs};
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
use crate::places::{Bounds, Full, Place, Places};
use crate::problem::Problem;
use crate::proof::DomainProof;
use crate::public_url::PublicUrl;
use crate::rate_limits::RateLimiter;
use crate::schedules;
use crate::sessions::{Attempts, Sessions};
use crate::webhooks::{self, WebhookOptions};

/// Edits of one key wait for one another; this many keys at a time do not.
const EDIT_LOCKS: usize = 1024;

/// Proofs of domains that are looked for: each may hold a connection for as long as it is waited for.
const PROOFS: Bounds = Bounds {
    of_a_workspace: 1,
    in_all: 8,
};
/// Exports that are sent: each waits for its turn at every page, behind all others.
const EXPORTS: Bounds = Bounds {
    of_a_workspace: 4,
    in_all: 64,
};

/// How long to wait before writing again what is in doubt.
const DOUBT_PAUSE: Duration = Duration::from_millis(200);

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
    /// An admin that answers 503 until [`Admin::take_over`] has succeeded. `also_visible` are those besides its own index for whom an
    /// edit waits.
    pub fn new(
        options: AdminOptions,
        journal: Arc<dyn Journal>,
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
        schedules::run(WeakAdmin(Arc::downgrade(&self.0)));
        inspection::run(WeakAdmin(Arc::downgrade(&self.0)));
        alerts::run(WeakAdmin(Arc::downgrade(&self.0)));
        webhooks::run(WeakAdmin(Arc::downgrade(&self.0)));
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
    /// `tagwire_admin_webhook_waiting` and `tagwire_admin_judged_hour_end_seconds`. Fails when the registry has them already.
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

    /// Keeps other edits of the same key out until the guard is dropped. Waits for a job that has claimed it.
    pub(crate) async fn lock(&self, key: &str) -> tokio::sync::MutexGuard<'_, ()> {
        loop {
            let lock = self.0.locks[lock_of(key)].lock().await;
            if !self.0.claims.contains(key) {
                return lock;
            }
            drop(lock);
            self.0.claims.released(key).await;
        }
    }

    /// Keeps edits of all these keys out until the claim is dropped, and no others.
    pub(crate) async fn claim(&self, keys: Vec<Arc<str>>) -> Claim {
        let locks: BTreeSet<usize> = keys.iter().map(|key| lock_of(key)).collect();
        let claim = self.0.claims.claim(keys).await;
        // Who has a lock now may not know of the claim, and has it until the edit can be seen.
        for lock in locks {
            drop(self.0.locks[lock].lock().await);
        }
        claim
    }

    /// Publishes changes and waits until they can be seen. The caller holds the lock of what they change.
    pub(crate) async fn publish(&self, changes: Vec<Change>) -> Result<Commit, PublishOutcome> {
        self.require_reader()?;
        let began = Timestamp::now();
        let written = changes.iter().map(Change::topic).collect();
        let publish = || self.0.journal.publish(changes.clone());
        let published = publish_for_certain(publish).await;
        self.note_lead(&published);
        let positions = published?;
        let commit = Commit::now(&positions, Some(began), Records::Written(written));
        self.until_seen(&positions).await?;
        Ok(commit)
    }

    /// Publishes a part of many changes, behind edits for which somebody waits, and says where they lie, just behind the last of them. The
    /// caller holds the claim of what they change until they can be seen.
    pub(crate) async fn write(&self, changes: &[Change]) -> Result<Positions, PublishOutcome> {
        self.require_reader()?;
        publish_for_certain(|| self.0.journal.publish_in_bulk(changes)).await
    }

    /// How long ago this admin was known to be the journal's writer; none: it is not known to be.
    pub(crate) fn since_published(&self) -> Option<Duration> {
        let published = self.0.published.lock();
        let published = *published.unwrap_or_else(PoisonError::into_inner);
        published.map(|at| at.elapsed())
    }

    /// Whether another admin is known to publish by now, or nobody can before a restart.
    pub(crate) fn is_fenced(&self) -> bool {
        self.0.fenced.load(Ordering::Relaxed)
    }

    fn note_lead(&self, published: &Result<Positions, PublishOutcome>) {
        let leads = match published {
            Ok(_) => Some(Instant::now()),
            Err(outcome) if outcome.is_final() => {
                // Relaxed: nothing else depends on when it is seen.
                self.0.fenced.store(true, Ordering::Relaxed);
                None
            }
            Err(_) => return,
        };
        let published = self.0.published.lock();
        *published.unwrap_or_else(PoisonError::into_inner) = leads;
    }

    /// What the index does not show any more must not be changed: the next version would be counted from an old one.
    fn require_reader(&self) -> Result<(), PublishOutcome> {
        match self.0.reader.has_ended() {
            true => Err(PublishOutcome::ReaderEnded),
            false => Ok(()),
        }
    }

    /// Waits until everyone for whom edits wait has applied the journal up to these positions.
    pub(crate) async fn until_seen(&self, positions: &Positions) -> Result<(), PublishOutcome> {
        for visible in &self.0.visible {
            let seen = visible.wait_for(positions).await;
            seen.map_err(PublishOutcome::NotVisible)?;
        }
        Ok(())
    }

    /// What this admin has applied itself.
    pub(crate) fn applied(&self) -> Positions {
        // The first is its own.
        let own = self.0.visible.first();
        own.map(|own| own.applied.positions()).unwrap_or_default()
    }

    /// The commit of an edit that changes nothing: whatever made things as they are has been applied here.
    pub(crate) fn earlier_commit(&self) -> Commit {
        let own = self.0.visible.first();
        let refused_here = own.map(|own| own.applied.refused());
        let records = Records::Earlier {
            refused_here: refused_here.unwrap_or_default(),
        };
        Commit::now(&self.applied(), None, records)
    }

    pub(crate) fn now(&self) -> Timestamp {
        let now = Timestamp::now();
        // The journal keeps microseconds; what is answered must be what is kept.
        Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
    }
}

/// Publishes the same changes until it is known that they are written, or that they are not. An edit in doubt must not be followed
/// by one that takes its version, of which every reader would keep the first alone; the same one written twice changes nothing.
async fn publish_for_certain<F>(publish: impl Fn() -> F) -> Result<Positions, PublishOutcome>
where
    F: Future<Output = Result<Positions, PublishError>>,
{
    let mut in_doubt = false;
    loop {
        match publish().await {
            Err(error @ PublishError::InDoubt { .. }) => {
                tracing::warn!(%error, "whether a change was written is not known; writing it again");
                in_doubt = true;
            }
            // Of this attempt nothing was written.
            Err(error) if in_doubt && error.is_retryable() => {}
            outcome => return outcome.map_err(PublishOutcome::Refused),
        }
        tokio::time::sleep(DOUBT_PAUSE).await;
    }
}

/// Which of the locks is a key's.
fn lock_of(key: &str) -> usize {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    usize::try_from(hasher.finish() % (EDIT_LOCKS as u64)).unwrap_or(0)
}

/// When something was published, and what an edge has applied that has applied it.
#[derive(Clone, Debug)]
pub(crate) struct Commit {
    pub(crate) positions: Positions,
    /// No change of it was published before that, by this process's clock, which dates them in the journal. None: not known.
    pub(crate) not_before: Option<Timestamp>,
    pub(crate) records: Records,
    pub(crate) at: Instant,
}

/// Which records a commit is made of.
#[derive(Clone, Debug)]
pub(crate) enum Records {
    /// One in each of these topics, just before the commit's positions.
    Written(Vec<Topic>),
    /// Some before the positions; this admin took all but these.
    Earlier { refused_here: Vec<RefusedRecord> },
}

/// How an edge stands to a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing<'a> {
    /// Its next redirect goes by it.
    Applied,
    /// It has read it, and goes by what was there before.
    Refused {
        /// Why, for people.
        reason: &'a str,
    },
    /// It has not read it yet.
    Behind,
}

/// What is said of another's record, whose content is no matter of who asks.
const ANOTHERS: &str = "it has refused a record of the journal that this admin has taken";

impl Commit {
    fn now(positions: &Positions, began: Option<Timestamp>, records: Records) -> Self {
        let followed = positions.iter();
        let followed = followed.filter(|(topic, ..)| Topic::EDGE.contains(topic));
        // Kafka keeps milliseconds.
        let began = began.map(|at| at.as_millisecond());
        Self {
            positions: followed.collect(),
            not_before: began.and_then(|at| Timestamp::from_millisecond(at).ok()),
            records,
            at: Instant::now(),
        }
    }

    /// How an edge stands to it that says this.
    pub(crate) fn on<'a>(&self, edge: &'a Heartbeat) -> Standing<'a> {
        if !self.is_passed_by(edge) {
            return Standing::Behind;
        }
        let mut refused = edge.refused.iter();
        match refused.find(|refused| self.holds(refused)) {
            None => Standing::Applied,
            Some(refused) => Standing::Refused {
                reason: match self.records {
                    Records::Written(_) => &refused.reason,
                    Records::Earlier { .. } => ANOTHERS,
                },
            },
        }
    }

    /// Whether a record that an edge has refused is one of its own, or may be.
    fn holds(&self, refused: &RefusedRecord) -> bool {
        let (topic, partition, offset) = (refused.topic, refused.partition, refused.offset);
        let Some(end) = self.positions.get(topic, partition) else {
            return false;
        };
        let begin = match &self.records {
            Records::Written(topics) => {
                let count = topics.iter().filter(|written| **written == topic).count();
                end.saturating_sub(i64::try_from(count).unwrap_or(i64::MAX))
            }
            Records::Earlier { refused_here } => {
                let is_it = |here: &RefusedRecord| {
                    (here.topic, here.partition, here.offset) == (topic, partition, offset)
                };
                if refused_here.iter().any(is_it) {
                    return false;
                }
                0
            }
        };
        (begin..end).contains(&offset)
    }

    /// Whether the edge has read as far as that.
    fn is_passed_by(&self, edge: &Heartbeat) -> bool {
        // Where topics were made anew, an edge that has not noticed yet stands at larger positions of the old ones.
        let of_this_log = match (self.not_before, edge.newest) {
            (Some(not_before), Some(newest)) => newest >= not_before,
            _ => true,
        };
        self.positions == Positions::default()
            || of_this_log && edge.positions.covers(&self.positions)
    }
}

/// How a publication that did not succeed ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishOutcome {
    /// Nothing was written, or it is not known.
    #[error(transparent)]
    Refused(PublishError),
    /// Nothing was written, since nobody would apply it.
    #[error(
        "the admin's reader of the journal has ended; see the log for why, and restart the process"
    )]
    ReaderEnded,
    /// It was written, but no one applies it.
    #[error(transparent)]
    NotVisible(journal::Closed),
}

impl PublishOutcome {
    /// Whether another admin publishes by now, or nobody can before a restart.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Self::Refused(error) => matches!(error, PublishError::Fenced { .. }),
            Self::ReaderEnded | Self::NotVisible(_) => true,
        }
    }
}

impl From<PublishOutcome> for Problem {
    fn from(outcome: PublishOutcome) -> Self {
        match outcome {
            PublishOutcome::Refused(error) => error.into(),
            PublishOutcome::ReaderEnded => Self::unavailable(
                "This admin no longer reads its journal and must be restarted; nothing was written.",
            ),
            PublishOutcome::NotVisible(_) => Self::unavailable(
                "The change was published, but this admin no longer reads the journal; read it elsewhere.",
            ),
        }
    }
}
