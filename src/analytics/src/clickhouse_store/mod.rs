//! The scan store over ClickHouse. Which tables there are is in `schema`, how rows enter in `insert`, how rollups are derived from them in
//! `rollups` and `days` and when they hold in `periods`, how questions are put in `report`, `visitors`, `export`, `hours`, `ledger` and `usage`, how scans are deleted in
//! `retention`, and visitors erased in `erasure`.

mod clock;
mod days;
mod erasure;
mod export;
mod filter;
mod hours;
mod insert;
mod ledger;
mod periods;
mod positions;
mod report;
mod retention;
mod rollups;
mod schema;
mod usage;
mod visitors;

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use clickhouse::Client;
use clickhouse::error::Error;
use jiff::civil::Date;
use scans::ScanId;
use tags::WorkspaceId;
use tokio::sync::OnceCell;

use crate::rollups::{HourRange, HoursToRollUp, SETTLED_AFTER, Which};
use crate::{
    Block, Counted, Erasure, Expiry, Headers, Hour, Kept, Period, Positions, Run, ScanCursor,
    ScanFilter, ScanPage, ScanQuery, ScanReport, ScanStore, ScannedTag, Source, StoreError,
    TagHours, Usage, VisitorDay, VisitorQuery,
};
use clock::Clock;

/// Where the server is and who we are to it.
#[derive(Clone, Debug)]
pub struct ClickHouseOptions {
    /// Its HTTP interface.
    pub url: String,
    /// The user; created by the operator, may create the database or be given one.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<String>,
    /// The database; created when it is not there.
    pub database: String,
}

/// How long one request may take: a server that answers half and then nothing must not hold a partition for ever.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many runs one query asks about: five parameters each.
const RUNS_IN_A_QUERY: usize = 64;

/// A store in a ClickHouse database.
#[derive(Clone)]
pub struct ClickHouseStore {
    server: Client,
    database: String,
    makes_tables: bool,
    settled: Duration,
    holds_within: Duration,
    prepared: Arc<OnceCell<Client>>,
    clock: Arc<Clock>,
}

impl ClickHouseStore {
    /// Does not reach for the server yet: whatever is asked first makes the database and its tables where they are not there, and
    /// says so when the server is away.
    pub fn new(options: &ClickHouseOptions) -> Self {
        let mut server = Client::default().with_url(&options.url);
        if let Some(user) = &options.user {
            server = server.with_user(user);
        }
        if let Some(password) = &options.password {
            server = server.with_password(password);
        }
        Self {
            server,
            database: options.database.clone(),
            makes_tables: true,
            settled: SETTLED_AFTER,
            holds_within: periods::HOLDS_WITHIN,
            prepared: Arc::default(),
            clock: Arc::default(),
        }
    }

    /// The same with another time than [`SETTLED_AFTER`] until an hour's rollup is computed, the same for all who use the database. An
    /// insert must be done, or given up, within half of it.
    #[must_use]
    pub fn settled_after(self, settled: Duration) -> Self {
        Self { settled, ..self }
    }

    /// The same with less time than half an hour for the computation of some hours' rollups, after which it is given up.
    #[must_use]
    pub fn rolling_up_within(self, patience: Duration) -> Self {
        let holds_within = patience.min(periods::HOLDS_WITHIN);
        Self {
            holds_within,
            ..self
        }
    }

    /// The same, to ask alone: makes no database, no table and no newer schema, and is refused where they are not as this program knows
    /// them.
    pub fn to_ask(options: &ClickHouseOptions) -> Self {
        Self {
            makes_tables: false,
            ..Self::new(options)
        }
    }

    /// Reaches the server and prepares the database.
    pub async fn connect(options: &ClickHouseOptions) -> Result<Self, StoreError> {
        let store = Self::new(options);
        store.client().await?;
        Ok(store)
    }

    /// The database's client.
    async fn client(&self) -> Result<&Client, StoreError> {
        let server = || self.server.clone();
        let prepare = async || match self.makes_tables {
            true => schema::prepare(server(), &self.database).await,
            false => schema::check(server(), &self.database).await,
        };
        self.prepared.get_or_try_init(prepare).await
    }

    /// The same for questions: the server gives one up when nobody waits for it any more.
    async fn asking(&self) -> Result<Client, StoreError> {
        let client = self.client().await?.clone();
        Ok(client.with_setting("max_execution_time", PATIENCE.as_secs().to_string()))
    }
}

#[async_trait]
impl ScanStore for ClickHouseStore {
    async fn insert(&self, block: &Block) -> Result<(), StoreError> {
        let client = self.client().await?;
        // Headers and dead records replace themselves by their offset, so they may be there before the rows are.
        insert::headers(client, block).await?;
        insert::dead(client, block).await?;
        // Before, as whoever is killed in between says nothing afterwards; and after, in case that the insert has taken its time.
        let hours = periods::hours_of(block);
        periods::mark_late(client, &self.clock, self.settled, &hours).await?;
        insert::rows(client, block).await?;
        periods::mark_late(client, &self.clock, self.settled, &hours).await?;
        match &block.positions {
            Some(positions) => self.save_positions(positions).await,
            None => Ok(()),
        }
    }

    async fn count(&self, runs: &[Run]) -> Result<Counted, StoreError> {
        let client = self.client().await?;
        let mut counted = Counted::default();
        for some in runs.chunks(RUNS_IN_A_QUERY) {
            let select = "SELECT count(), uniqExact(edge, boot, writer, seq) FROM scans WHERE ";
            let (rows, scans): (u64, u64) = within(
                "count a block's rows",
                of_runs(client, select, some).fetch_one(),
            )
            .await?;
            counted.rows += rows;
            counted.scans += scans;
        }
        Ok(counted)
    }

    async fn stored(&self, runs: &[Run]) -> Result<HashSet<ScanId>, StoreError> {
        let client = self.client().await?;
        let mut stored = HashSet::new();
        for some in runs.chunks(RUNS_IN_A_QUERY) {
            let query = of_runs(
                client,
                "SELECT DISTINCT edge, boot, writer, seq FROM scans WHERE ",
                some,
            );
            let ids: Vec<(String, u64, u32, u64)> =
                within("look for a block's rows", query.fetch_all()).await?;
            stored.extend(ids.into_iter().map(|(edge, boot, writer, seq)| ScanId {
                edge: edge.into(),
                boot,
                writer,
                seq,
            }));
        }
        Ok(stored)
    }

    async fn end_inserts(&self, source: &Source) -> Result<(), StoreError> {
        let client = self.client().await?;
        let kill = client
            .query_raw("KILL QUERY WHERE startsWith(query_id, {prefix:String}) SYNC")
            .param("prefix", insert::query_id_prefix(client, source));
        within("end an earlier sink's inserts", kill.execute()).await
    }

    async fn load_positions(
        &self,
        source: &Source,
        up_to: i64,
    ) -> Result<Option<Positions>, StoreError> {
        let client = self.client().await?;
        positions::load(client, source, up_to).await
    }

    async fn save_positions(&self, positions: &Positions) -> Result<(), StoreError> {
        let client = self.client().await?;
        positions::save(client, positions).await
    }

    async fn scans(
        &self,
        workspace: &WorkspaceId,
        query: &ScanQuery,
    ) -> Result<ScanReport, StoreError> {
        let client = self.asking().await?;
        report::answer(&client, self.settled, workspace, query).await
    }

    async fn hours_to_roll_up(&self, which: Which) -> Result<HoursToRollUp, StoreError> {
        let client = self.client().await?;
        periods::to_roll_up(client, self.settled, which).await
    }

    async fn roll_up(&self, hours: &HourRange) -> Result<u64, StoreError> {
        let client = self.client().await?;
        // What takes longer would not count any more: there is no use in going on.
        let computing = rollups::compute(client, self.settled, hours);
        let computed = tokio::time::timeout(self.holds_within, computing).await;
        let computed = computed.map_err(|_| periods::too_long(self.holds_within))??;
        if let Err(error) = rollups::sweep(client).await {
            tracing::warn!(%error, "rollups that were replaced are still there; the next computation removes them");
        }
        Ok(computed)
    }

    async fn roll_up_days(&self) -> Result<u64, StoreError> {
        let client = self.client().await?;
        days::compute_newest(client, self.settled).await
    }

    async fn visitor_days(
        &self,
        workspace: &WorkspaceId,
        query: &VisitorQuery,
    ) -> Result<Vec<VisitorDay>, StoreError> {
        let client = self.asking().await?;
        visitors::answer(&client, workspace, query).await
    }

    async fn scan_page(
        &self,
        workspace: &WorkspaceId,
        filter: &ScanFilter,
        begin: Option<&ScanCursor>,
        most: usize,
    ) -> Result<ScanPage, StoreError> {
        let client = self.asking().await?;
        export::page(&client, workspace, filter, begin, most).await
    }

    async fn busiest(
        &self,
        hour: Hour,
        least: u64,
        most: usize,
    ) -> Result<Vec<ScannedTag>, StoreError> {
        let client = self.client().await?;
        hours::busiest(client, hour, least, most).await
    }

    async fn tag_hours(
        &self,
        tags: &[ScannedTag],
        hours: &[Hour],
        since: Hour,
    ) -> Result<Vec<TagHours>, StoreError> {
        let client = self.client().await?;
        hours::of_tags(client, tags, hours, since).await
    }

    async fn headers(&self, period: &Period) -> Result<Headers, StoreError> {
        let client = self.client().await?;
        ledger::headers(client, period).await
    }

    async fn kept(&self, run: &Run, workspace: Option<&WorkspaceId>) -> Result<Kept, StoreError> {
        let client = self.client().await?;
        ledger::kept(client, run, workspace).await
    }

    async fn expire(
        &self,
        expiries: &[Expiry],
        still: &(dyn Fn() -> bool + Sync),
    ) -> Result<Option<u64>, StoreError> {
        let client = self.client().await?;
        retention::expire(client, expiries, still).await
    }

    async fn erase(&self, erasure: &Erasure) -> Result<u64, StoreError> {
        let client = self.client().await?;
        erasure::erase(client, erasure).await
    }

    async fn usage(
        &self,
        days: RangeInclusive<Date>,
        workspace: Option<&WorkspaceId>,
    ) -> Result<Vec<Usage>, StoreError> {
        let client = self.asking().await?;
        usage::of_days(&client, &days, workspace).await
    }
}

/// A query about the scans of these runs; `select` ends in its WHERE.
fn of_runs(client: &Client, select: &str, runs: &[Run]) -> clickhouse::query::Query {
    let any: Vec<String> = (0..runs.len())
        .map(|n| {
            format!(
                "(edge = {{e{n}:String}} AND boot = {{b{n}:UInt64}} AND writer = {{w{n}:UInt32}} \
                 AND seq BETWEEN {{f{n}:UInt64}} AND {{l{n}:UInt64}})"
            )
        })
        .collect();
    let mut query = client.query_raw(&format!("{select}{}", any.join(" OR ")));
    for (n, run) in runs.iter().enumerate() {
        query = query
            .param(&format!("e{n}"), &*run.writer.edge)
            .param(&format!("b{n}"), run.writer.boot)
            .param(&format!("w{n}"), run.writer.writer)
            .param(&format!("f{n}"), run.first)
            .param(&format!("l{n}"), run.last);
    }
    query
}

/// Waits for a request, but not for ever, and says of its failure whether trying again may help.
async fn within<T>(
    doing: &'static str,
    request: impl Future<Output = Result<T, Error>>,
) -> Result<T, StoreError> {
    within_time(PATIENCE, doing, request).await
}

async fn within_time<T>(
    patience: Duration,
    doing: &'static str,
    request: impl Future<Output = Result<T, Error>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(patience, request).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(failure(doing, &error)),
        Err(_) => Err(StoreError::Unavailable {
            doing,
            reason: format!("no answer within {} s", patience.as_secs()),
        }),
    }
}

fn failure(doing: &'static str, error: &Error) -> StoreError {
    let mut reason = error.to_string();
    // "client error (Connect)" says little; what lies below it says "connection refused".
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let text = cause.to_string();
        if !reason.contains(&text) {
            reason = format!("{reason}: {text}");
        }
        source = cause.source();
    }
    let ours = matches!(
        error,
        Error::InvalidParams(_)
            | Error::SchemaMismatch(_)
            | Error::Unsupported(_)
            | Error::InvalidColumnsHeader(_)
    );
    if ours {
        StoreError::Refused { doing, reason }
    } else {
        StoreError::Unavailable { doing, reason }
    }
}
