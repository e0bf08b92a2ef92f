//! The stores under test: SQLite in a temporary folder, ClickHouse in a database of the test's own, dropped at its end.

use std::sync::atomic::{AtomicU32, Ordering};

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
