//! The stores under test: SQLite in a temporary folder, ClickHouse in a database of the test's own, dropped at its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use analytics::{ClickHouseOptions, ClickHouseStore, ScanStore, SqliteStore};
use tokio::runtime::Runtime;

/// Runs the test on each store; panics on any error.
pub(crate) fn with_each_store(
    mut test: impl FnMut(&'static str, &dyn ScanStore, &Runtime) -> anyhow::Result<()>,
) {
    let runtime = Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let sqlite = SqliteStore::open(&folder.path().join("scans.db")).expect("a new store");
    test("SQLite", &sqlite, &runtime).expect("SQLite");

    let database = Database::new();
    let clickhouse = runtime
        .block_on(ClickHouseStore::connect(&database.options))
        .expect("a new database");
    test("ClickHouse", &clickhouse, &runtime).expect("ClickHouse");
}

/// A store and what lies below it.
pub(crate) struct Opened<'a> {
    pub(crate) name: &'static str,
    pub(crate) store: Arc<dyn ScanStore>,
    pub(crate) runtime: &'a Runtime,
    /// Carries out a statement, past the store.
    pub(crate) execute: &'a dyn Fn(&str) -> anyhow::Result<()>,
}

/// Runs the test on each store, where hours are computed as soon as they are over; panics on any error.
pub(crate) fn with_each_opened(mut test: impl FnMut(Opened<'_>) -> anyhow::Result<()>) {
    let runtime = Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("scans.db");
    let opened = Opened {
        name: "SQLite",
        store: Arc::new(SqliteStore::open(&path).expect("a new store")),
        runtime: &runtime,
        execute: &|statement| {
            let connection = rusqlite::Connection::open(&path)?;
            connection.busy_timeout(Duration::from_secs(10))?;
            Ok(connection.execute_batch(statement)?)
        },
    };
    test(opened).expect("SQLite");

    let database = Database::new();
    let connected = runtime.block_on(ClickHouseStore::connect(&database.options));
    let store = connected.expect("a new database");
    let client = database.client();
    let opened = Opened {
        name: "ClickHouse",
        store: Arc::new(store.settled_after(Duration::ZERO)),
        runtime: &runtime,
        execute: &|statement| {
            let query = client.query_raw(statement);
            let query = query.with_setting("mutations_sync", "2");
            Ok(runtime.block_on(query.execute())?)
        },
    };
    test(opened).expect("ClickHouse");
}

/// A database that ends with the test.
pub(crate) struct Database {
    pub(crate) options: ClickHouseOptions,
}

impl Database {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let url = std::env::var("TAGWIRE_TEST_CLICKHOUSE").expect(
            "TAGWIRE_TEST_CLICKHOUSE names no ClickHouse server: run tests/run, which starts one",
        );
        // Counting alone; nothing is ordered by it.
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let database = format!(
            "contract_{}_{}_{number}",
            std::process::id(),
            jiff::Timestamp::now().as_microsecond()
        );
        Self {
            options: ClickHouseOptions {
                url,
                user: None,
                password: None,
                database,
            },
        }
    }
}

impl Database {
    pub(crate) fn client(&self) -> clickhouse::Client {
        clickhouse::Client::default()
            .with_url(&self.options.url)
            .with_database(&self.options.database)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let client = clickhouse::Client::default().with_url(&self.options.url);
        let drop = client
            .query_raw("DROP DATABASE IF EXISTS {name:Identifier} SYNC")
            .param("name", &self.options.database);
        if let Ok(runtime) = Runtime::new() {
            // A test that failed has more to say than this.
            let _ = runtime.block_on(drop.execute());
        }
    }
}
