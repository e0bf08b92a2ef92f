//! Standalone's outlet over a real SQLite file: stored once, also when batches come again and the program starts anew.

use std::sync::Arc;
use std::time::{Duration, Instant};

use analytics::{Counted, Run, ScanStore, SqliteStore};
use facts::{Agents, PlacesFile};
use prometheus::Registry;
use scans::{
    Delivered, EncodedBatch, HttpVersion, IpPrefix, Method, NewScan, Outlet, Purpose, Visitor,
    WriterKey,
};
use sink::{DirectOutlet, Enricher, SinkMetrics};
use tags::Outcome;
use tokio::runtime::Runtime;

fn writer() -> WriterKey {
    WriterKey {
        edge: "laptop".into(),
        boot: 1,
        writer: 0,
    }
}

fn batch(first_seq: u64, count: u32) -> EncodedBatch {
    let scan = NewScan {
        time: "2026-11-25T10:00:00Z".parse().expect("a time"),
        workspace: "default",
        domain: "localhost",
        code: "c1",
        campaign: "",
        tag_version: 1,
        outcome: Outcome::Redirected,
        rule: "",
        destination_index: 0,
        method: Method::Get,
        purpose: Purpose::Navigation,
        ip_prefix: IpPrefix::of([203, 0, 113, 9].into()),
        visitor: Visitor::from_u64(1),
        user_agent: b"curl/8.5",
        language: b"",
        referrer_host: b"",
        http_version: HttpVersion::Http11,
        bot_network: "",
    };
    let bytes = scans::encode_batch(
        &writer(),
        first_seq,
        std::iter::repeat_n(scan, count as usize),
    );
    EncodedBatch {
        writer: writer(),
        first_seq,
        count,
        partition: None,
        bytes,
    }
}

fn deliver(outlet: &mut DirectOutlet, batches: Vec<EncodedBatch>) -> Vec<Delivered> {
    for batch in batches {
        outlet.send(batch).expect("room");
    }
    outlet
        .poll(Duration::ZERO)
        .into_iter()
        .map(|delivery| delivery.outcome)
        .collect()
}

#[test]
fn every_scan_is_stored_once_over_replays_restarts_and_poison() {
    let (runtime, folder) = (
        Runtime::new().expect("a runtime"),
        tempfile::tempdir().expect("a folder"),
    );
    let enricher = Arc::new(Enricher::new(
        Arc::new(Agents::new().expect("patterns")),
        Arc::new(PlacesFile::none()),
    ));
    let stored = Delivered::Stored { partition: None };
    let open = |registry: &Registry| {
        let store = Arc::new(SqliteStore::open(&folder.path().join("scans.db")).expect("a store"));
        let metrics = SinkMetrics::register(registry).expect("a new registry");
        (
            Arc::clone(&store),
            DirectOutlet::new(
                Arc::clone(&enricher),
                store,
                metrics,
                runtime.handle().clone(),
            ),
        )
    };
    {
        let (_, mut outlet) = open(&Registry::new());
        let delivered = deliver(&mut outlet, vec![batch(0, 10), batch(10, 5), batch(10, 5)]);
        assert_eq!(delivered, [stored.clone(), stored.clone(), stored.clone()]);
    }
    let registry = Registry::new();
    let (store, mut outlet) = open(&registry);
    // The last acknowledgement was lost with the process; and one record is torn.
    let torn = EncodedBatch {
        bytes: vec![0xff, 0],
        ..batch(15, 0)
    };
    assert_eq!(
        deliver(
            &mut outlet,
            vec![batch(5, 10), torn, batch(20, 10), batch(30, 0)]
        )
        .len(),
        4
    );
    let counted = runtime
        .block_on(store.count(&[Run {
            writer: writer(),
            first: 0,
            last: 100,
        }]))
        .expect("it answers");
    assert_eq!(
        counted,
        Counted {
            rows: 25,
            scans: 25
        }
    );
    for (name, expected) in [
        ("tagwire_sink_rows_total", 10.0),
        ("tagwire_sink_deduplicated_total", 10.0),
        ("tagwire_sink_dead_total", 1.0),
        ("tagwire_sink_missing_total", 5.0),
    ] {
        let families = registry.gather();
        let metric = &families
            .iter()
            .find(|family| family.name() == name)
            .expect("present")
            .get_metric()[0];
        assert_eq!(
            metric.get_counter().get_value() + metric.get_gauge().get_value(),
            expected,
            "{name}"
        );
    }
}

#[test]
fn what_a_failing_store_did_not_take_waits_and_is_stored_once_it_does() {
    let (runtime, folder) = (
        Runtime::new().expect("a runtime"),
        tempfile::tempdir().expect("a folder"),
    );
    let enricher = Arc::new(Enricher::new(
        Arc::new(Agents::new().expect("patterns")),
        Arc::new(PlacesFile::none()),
    ));
    let path = folder.path().join("scans.db");
    let store = Arc::new(SqliteStore::open(&path).expect("a store"));
    let metrics = SinkMetrics::register(&Registry::new()).expect("a new registry");
    let mut outlet = DirectOutlet::new(enricher, store, metrics, runtime.handle().clone());
    let beside = rusqlite::Connection::open(&path).expect("the same file");
    beside
        .execute_batch(
            "CREATE TRIGGER full BEFORE INSERT ON scans BEGIN SELECT RAISE(FAIL, 'no room'); END",
        )
        .expect("a trigger");
    assert_eq!(deliver(&mut outlet, vec![batch(0, 10)]), []);
    // The store is left alone for a while, in which more may come.
    assert_eq!(deliver(&mut outlet, vec![batch(10, 5)]), []);
    beside
        .execute_batch("DROP TRIGGER full")
        .expect("it is there");
    let deadline = Instant::now() + Duration::from_secs(60);
    let delivered = loop {
        let delivered = outlet.poll(Duration::from_millis(5));
        if !delivered.is_empty() {
            break delivered;
        }
        assert!(Instant::now() < deadline, "never stored");
    };
    let numbers: Vec<_> = delivered.iter().map(|d| (d.first_seq, d.count)).collect();
    assert_eq!(numbers, [(0, 10), (10, 5)]);
    let stored: i64 = beside
        .query_row("SELECT count(*) FROM scans", [], |line| line.get(0))
        .expect("a number");
    assert_eq!(stored, 15);
}

#[test]
fn a_full_outlet_gives_the_batch_back() {
    let (runtime, folder) = (
        Runtime::new().expect("a runtime"),
        tempfile::tempdir().expect("a folder"),
    );
    let enricher = Arc::new(Enricher::new(
        Arc::new(Agents::new().expect("patterns")),
        Arc::new(PlacesFile::none()),
    ));
    let store = Arc::new(SqliteStore::open(&folder.path().join("scans.db")).expect("a store"));
    let metrics = SinkMetrics::register(&Registry::new()).expect("a new registry");
    let mut outlet = DirectOutlet::new(enricher, store, metrics, runtime.handle().clone());
    let refused = (0..1_000)
        .find_map(|n| outlet.send(batch(n, 1)).err())
        .expect("bounded");
    let taken = refused.0.first_seq;
    assert_eq!(
        outlet.poll(Duration::ZERO).len() as u64,
        taken,
        "all that were taken are answered"
    );
    outlet.send(refused.0).expect("room again");
}
