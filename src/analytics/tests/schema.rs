//! Opening a store again: what is there stays, what is newer is refused.

use analytics::{
    ClickHouseOptions, ClickHouseStore, Period, ScanStore as _, SqliteStore, StoreError,
};
use jiff::Timestamp;

#[test]
fn a_sqlite_store_is_opened_again_and_a_newer_one_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("scans.db");
    for _ in 0..2 {
        SqliteStore::open(&path).expect("new, then there");
    }
    let connection = rusqlite::Connection::open(&path).expect("the same file");
    connection
        .pragma_update(None, "user_version", 99)
        .expect("a newer program's work");
    assert!(matches!(
        SqliteStore::open(&path),
        Err(StoreError::NewerSchema {
            found: 99,
            known: 5
        })
    ));
}

#[test]
fn who_only_asks_makes_and_changes_nothing_in_sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("scans.db");
    assert!(SqliteStore::to_ask(&path).is_err());
    assert!(!path.exists());
    std::fs::write(&path, b"").expect("a file without tables");
    let refused = SqliteStore::to_ask(&path).err();
    assert!(matches!(
        refused,
        Some(StoreError::OlderSchema { found: 0, known: 5 })
    ));
    assert_eq!(std::fs::read(&path).expect("the same file"), b"");
    SqliteStore::open(&path).expect("tables");
    SqliteStore::to_ask(&path).expect("as this program knows them");
}

#[test]
fn an_older_sqlite_store_is_brought_up_to_date_with_its_scans() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("scans.db");
    SqliteStore::open(&path).expect("a new one");
    let connection = rusqlite::Connection::open(&path).expect("the same file");
    let before = "
        DROP TABLE scans_expired;
        DROP TABLE rollup_periods; DROP TABLE scans_1m; DROP TABLE scans_1h; DROP TABLE scans_1h_tags;
        DROP TABLE rollup_days; DROP TABLE scans_1d; DROP TABLE scans_1d_tags;
        ALTER TABLE scans DROP COLUMN bot_reason;
        PRAGMA user_version = 1;
        INSERT INTO writers VALUES (1, 'edge-1', 1, 0);
        INSERT INTO scans VALUES (1, 7, 0, 'acme', 'qr.example.com', 'abc', '', 1, 'redirected', '', 0, 'get', 'navigation', 1,
            '203.0.113.0/24', 1, 'curl/8.10', '', '', '', '1.1', 'other', 'other', 'other', 1, '', '', '', 0)";
    connection.execute_batch(before).expect("as version 1 was");
    SqliteStore::open(&path).expect("brought up to date");
    let reason: (i64, String) = connection
        .query_row("SELECT seq, bot_reason FROM scans", [], |line| {
            Ok((line.get(0)?, line.get(1)?))
        })
        .expect("the scan is there");
    assert_eq!(reason, (7, String::new()));
    let hours: (i64, bool) = connection
        .query_row("SELECT hour, holds FROM rollup_periods", [], |line| {
            Ok((line.get(0)?, line.get(1)?))
        })
        .expect("its hour is known");
    assert_eq!(hours, (0, false));
}

#[test]
fn a_sqlite_store_in_no_folder_says_which_file() {
    let refused = SqliteStore::open(std::path::Path::new("/nowhere/at/all/scans.db"))
        .err()
        .expect("no such folder");
    assert!(
        refused.to_string().contains("/nowhere/at/all/scans.db"),
        "{refused}"
    );
}

#[test]
fn a_damaged_sqlite_store_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("scans.db");
    std::fs::write(&path, b"no database at all".repeat(500)).expect("a file");
    let refused = SqliteStore::open(&path).err().expect("no database");
    let message = refused.to_string();
    assert!(
        message.contains("scans.db is damaged") && message.contains("backup"),
        "{message}"
    );
}

#[tokio::test]
async fn a_clickhouse_database_is_prepared_and_brought_up_to_date_by_two_at_once_and_a_newer_one_refused()
 {
    let url = std::env::var("TAGWIRE_TEST_CLICKHOUSE").expect(
        "TAGWIRE_TEST_CLICKHOUSE names no ClickHouse server: run tests/run, which starts one",
    );
    let database = format!(
        "schema_{}_{}",
        std::process::id(),
        Timestamp::now().as_microsecond()
    );
    let options = ClickHouseOptions {
        url: url.clone(),
        user: None,
        password: None,
        database: database.clone(),
    };
    let everything = Period::new(Timestamp::UNIX_EPOCH, Timestamp::now()).expect("a period");
    let asked = async || {
        let store = ClickHouseStore::to_ask(&options);
        store.headers(&everything).await
    };
    let refused = asked().await.expect_err("there is no such database");
    let again = asked().await.expect_err("asking has made none");
    assert_eq!(refused.to_string(), again.to_string());
    assert!(refused.to_string().contains(&database), "{refused}");
    let (one, other) = tokio::join!(
        ClickHouseStore::connect(&options),
        ClickHouseStore::connect(&options)
    );
    one.and(other).expect("both");
    asked().await.expect("it is there");
    ClickHouseStore::connect(&options).await.expect("again");
    let client = clickhouse::Client::default()
        .with_url(url)
        .with_database(&database);
    // As version 1 was, with a scan.
    for statement in [
        "ALTER TABLE scans DROP COLUMN bot_reason",
        "TRUNCATE TABLE schema_versions",
        "INSERT INTO schema_versions (version) VALUES (1)",
        "INSERT INTO scans (seq, bot, automated) VALUES (7, true, true)",
    ] {
        let done = client.query_raw(statement).execute().await;
        done.expect(statement);
    }
    let refused = asked().await.expect_err("asking brings nothing up to date");
    assert!(matches!(
        refused,
        StoreError::OlderSchema { found: 1, known: 5 }
    ));
    let (one, other) = tokio::join!(
        ClickHouseStore::connect(&options),
        ClickHouseStore::connect(&options)
    );
    one.and(other).expect("both bring it up to date");
    let reason = client.query_raw("SELECT concat(toString(seq), bot_reason) FROM scans");
    let reason: String = reason.fetch_one().await.expect("the scan is there");
    assert_eq!(reason, "7");
    client
        .query_raw("INSERT INTO schema_versions (version) VALUES (99)")
        .execute()
        .await
        .expect("a newer program's work");
    let refused = ClickHouseStore::connect(&options).await;
    client
        .query_raw(&format!("DROP DATABASE {database} SYNC"))
        .execute()
        .await
        .expect("dropped");
    assert!(matches!(
        refused,
        Err(StoreError::NewerSchema {
            found: 99,
            known: 5
        })
    ));
}

#[tokio::test]
async fn a_clickhouse_that_is_away_is_said_to_be_unavailable() {
    // Port 1 (tcpmux) is served nowhere.
    let url = "http://127.0.0.1:1".to_owned();
    let options = ClickHouseOptions {
        url,
        user: None,
        password: None,
        database: "d".to_owned(),
    };
    let refused = ClickHouseStore::connect(&options)
        .await
        .err()
        .expect("nothing listens");
    assert!(matches!(refused, StoreError::Unavailable { .. }));
    assert!(refused.to_string().contains("refused"), "{refused}");
}
