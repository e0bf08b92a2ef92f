//! An hour with far more scans than usual, or with many from where few come from, is told: in the API, as a metric, and to the webhook.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use analytics::{Hour, Row, ScanStore, SqliteStore};
use jiff::{SignedDuration, Timestamp};
use prometheus::Registry;
use serde_json::{Value, json};

use crate::receiver::{Receiver, put};
use crate::scanned::{block, row};
use crate::support::{Api, PUBLIC_URL, Server};

/// So many scans by people of a code from a country in an hour.
fn scans(code: &str, country: &str, hour: Hour, count: u64) -> Vec<Row> {
    static SEQ: AtomicU64 = AtomicU64::new(0);
    let scan = |_| {
        // Counting alone; nothing is ordered by it.
        let seq = SEQ.fetch_add(1, Ordering::Relaxed);
        let mut row = row(seq, hour.start() + SignedDuration::from_secs(60));
        row.scan.workspace = "default".to_owned();
        row.scan.domain = "go.example.net".to_owned();
        row.scan.code = code.to_owned();
        row.country = country.to_owned();
        row
    };
    (0..count).map(scan).collect()
}

/// Of eight weeks, and of the hour that is judged next: `flood` and `abroad` as their names say, and by programs alone `bots`.
fn history() -> Vec<Row> {
    let mut rows = Vec::new();
    // Ten minutes after an hour's end it is judged. Whichever of two it is when the admin starts.
    let newest = Hour::of(Timestamp::now() - SignedDuration::from_mins(10)).before(1);
    for hour in [newest, newest.before(-1)] {
        for code in ["flood", "abroad", "bots", "quiet"] {
            for week in 0..=8 {
                rows.extend(scans(code, "DE", hour.before(week * 168), 30));
            }
        }
        rows.extend(scans("flood", "DE", hour, 300));
        rows.extend(scans("abroad", "BR", hour, 20));
        rows.extend(
            scans("bots", "US", hour, 300)
                .into_iter()
                .map(|row| Row { bot: true, ..row }),
        );
    }
    rows
}

/// Puts scans where the admin will find them.
fn store(data_dir: &Path, rows: Vec<Row>) {
    let path = data_dir.join("scans.sqlite");
    let stored = std::thread::spawn(move || {
        let store = SqliteStore::open(&path).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(store.insert(&block(0, rows))).unwrap();
    });
    stored.join().unwrap();
}

async fn alerts(api: &Api, count: usize) -> Vec<Value> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let page = api.get("/alerts").await.ok();
        let items = page["items"].as_array().unwrap();
        if items.len() >= count {
            return items.clone();
        }
        assert!(Instant::now() < deadline, "{page}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_flood_and_a_country_from_where_nobody_comes_are_told_once() {
    let unwatched = Server::start_configured(|options| {
        options.unusual_alerts = false;
        store(&options.data_dir, history());
    })
    .await;
    let receiver = Receiver::start().await;
    put(&unwatched.owner(), "default", &receiver.url())
        .await
        .created();
    for code in ["flood", "abroad"] {
        unwatched.owner().tag(code).await;
    }
    let none = json!({"items": [], "next_cursor": null});
    assert_eq!(unwatched.owner().get("/alerts").await.ok(), none);

    let server = unwatched.restart(PUBLIC_URL).await;
    let owner = server.owner();
    let registry = Registry::new();
    server.admin.register_metrics(&registry).unwrap();
    let told = alerts(&owner, 2).await;
    let of = |code: &str| told.iter().find(|alert| alert["code"] == code).unwrap();
    let flood = of("flood");
    let expected =
        json!({"kind": "rate", "observed": 330, "expected": 30.0, "domain": "go.example.net"});
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&flood[name], value, "{flood}");
    }
    let abroad = of("abroad");
    let expected = json!({"kind": "country", "country": "BR", "observed": 20, "expected": 0.0});
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&abroad[name], value, "{abroad}");
    }
    let hour: Timestamp = flood["hour"].as_str().unwrap().parse().unwrap();
    assert_eq!(
        (&abroad["hour"], hour.as_second() % 3_600),
        (&flood["hour"], 0)
    );

    let mut sent: Vec<_> = receiver
        .called(2)
        .await
        .iter()
        .map(|call| call.json())
        .collect();
    sent.sort_by_key(|event| event["type"].to_string());
    let types: Vec<_> = sent
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    assert_eq!(types, ["alert.country", "alert.rate"]);
    assert_eq!(sent[0]["data"]["country"], "BR");
    let narrowed = owner.get("/alerts?kind=country&code=abroad").await.ok();
    assert_eq!(narrowed["items"], json!([abroad]));
    assert_eq!(
        owner.get("/alerts?kind=rate").await.ok()["items"],
        json!([flood])
    );
    let text = || {
        let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather());
        text.unwrap()
    };
    for kind in ["rate", "country"] {
        let raised = format!("tagwire_admin_alerts_total{{kind=\"{kind}\"}} 1\n");
        assert!(text().contains(&raised), "{}", text());
    }
    let judged = format!(
        "tagwire_admin_judged_hour_end_seconds {}\n",
        hour.as_second() + 3_600
    );
    server
        .until("the hour is judged", || text().contains(&judged))
        .await;

    // An hour is judged once.
    let server = server.restart(PUBLIC_URL).await;
    assert_eq!(alerts(&server.owner(), 2).await, told);
}
