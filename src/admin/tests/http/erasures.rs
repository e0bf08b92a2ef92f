//! A visitor is taken out of a day's scans, in one workspace, and whoever asks for what cannot be is told what can.

use std::net::IpAddr;

use analytics::{Row, ScanStore, SqliteStore};
use jiff::civil::Date;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use journal::Salt;
use scans::VisitorKey;
use serde_json::{Value, json};

use crate::salts::{day, is_in_files, salts_of, today, with_salts_of};
use crate::scanned::{block, row};
use crate::support::{Api, Server};

const ADDRESS: &str = "203.0.113.77";
const AGENT: &str = "Whom-One-Forgets/1.0 (a phone)";

/// A scan of theirs, as the sink would have stored it.
fn scan(seq: u64, workspace: &str, salt: &Salt, agent: &str) -> Row {
    let noon = Offset::UTC
        .to_timestamp(salt.day().at(12, 0, 0, 0))
        .unwrap();
    let mut row = row(seq, noon.min(Timestamp::now()));
    let address: IpAddr = ADDRESS.parse().unwrap();
    let key = VisitorKey::from_secret(salt.secret());
    row.scan.workspace = workspace.to_owned();
    row.scan.visitor = key.visitor(address, agent.as_bytes());
    row.scan.user_agent = agent.to_owned();
    row.scan.referrer_host = "social.example".to_owned();
    row
}

async fn store(server: &Server, offset: i64, rows: Vec<Row>) {
    let store = SqliteStore::open(&server.data_dir.join("scans.sqlite")).unwrap();
    store.insert(&block(offset, rows)).await.unwrap();
}

fn of(day: Date) -> Value {
    json!({"address": ADDRESS, "user_agent": AGENT, "day": day})
}

/// How many scans since yesterday, and of which cities.
async fn cities(api: &Api) -> Value {
    let from = Timestamp::now() - SignedDuration::from_hours(48);
    let path = format!("/analytics/scans?interval=day&by=city,device&from={from}");
    let report = api.get(&path).await.ok();
    json!([report["total"], report["breakdown"]["city"]])
}

#[tokio::test]
async fn a_visitor_is_erased_on_one_day_in_one_s_own_workspace() {
    let server = with_salts_of(Server::start().await, &[day(-1)]).await;
    let (owner, other) = (server.owner(), server.other_tenant().await);
    let acme = server.workspace_of(&other).await;
    let (today, yesterday) = (today(), day(-1));
    let salts = salts_of(&server);
    let rows = vec![
        scan(0, "default", &salts[&today], AGENT),
        scan(1, "default", &salts[&today], AGENT),
        scan(2, "default", &salts[&yesterday], AGENT),
        scan(3, "default", &salts[&today], "another"),
        scan(4, &acme, &salts[&today], AGENT),
    ];
    store(&server, 0, rows).await;
    let named = |scans: u64| json!([{"value": "Vienna", "scans": scans}]);
    assert_eq!(cities(&owner).await, json!([4, named(4)]));

    let done = owner.post("/erasures", of(today)).await.ok();
    assert_eq!(done, json!({"day": today, "scans": 2}));
    let left = json!([{"value": "Vienna", "scans": 2}, {"value": "unknown", "scans": 2}]);
    let found = cities(&owner).await;
    assert_eq!(found[0], 4, "they are counted as before");
    let mut values = found[1].as_array().unwrap().clone();
    values.sort_by_key(|value| value["value"].to_string());
    assert_eq!(Value::Array(values), left);
    assert_eq!(cities(&other).await, json!([1, named(1)]));
    // There is nothing left, and what comes late is found.
    assert_eq!(owner.post("/erasures", of(today)).await.ok()["scans"], 0);
    let late = scan(5, "default", &salts[&today], AGENT);
    store(&server, 1, vec![late]).await;
    assert_eq!(owner.post("/erasures", of(today)).await.ok()["scans"], 1);
    let done = owner.post("/erasures", of(yesterday)).await.ok();
    assert_eq!(done, json!({"day": yesterday, "scans": 1}));

    let audit = owner.get("/audit?action=erase").await.ok();
    let entries = audit["items"].as_array().unwrap();
    assert_eq!(entries.len(), 4);
    assert_eq!(entries[0]["subject"], format!("scans/{yesterday}"));
    let nobody = audit.to_string();
    assert!(
        !nobody.contains(ADDRESS) && !nobody.contains(AGENT),
        "{nobody}"
    );
    let audit = other.get("/audit?action=erase").await.ok();
    assert_eq!(audit["items"], json!([]));
}

#[tokio::test]
async fn nothing_of_who_was_erased_is_left_in_the_files() {
    let server = Server::start().await;
    let salts = salts_of(&server);
    let rows = (0..500).map(|seq| scan(seq, "default", &salts[&today()], AGENT));
    store(&server, 0, rows.collect()).await;
    let visitor = scan(0, "default", &salts[&today()], AGENT).scan.visitor;
    let needles = [
        AGENT.as_bytes().to_vec(),
        b"social.example".to_vec(),
        visitor.as_u64().to_be_bytes().to_vec(),
    ];
    for needle in &needles {
        assert!(
            is_in_files(server.folder(), needle),
            "it is looked for where it is"
        );
    }
    let done = server.owner().post("/erasures", of(today())).await.ok();
    assert_eq!(done["scans"], 500);
    for needle in &needles {
        assert!(!is_in_files(server.folder(), needle), "{needle:?}");
    }
    let address = ADDRESS.as_bytes();
    assert!(
        !is_in_files(server.folder(), address),
        "it was asked for by it alone"
    );
}

#[tokio::test]
async fn what_is_wrong_is_named_and_which_days_can_be_erased() {
    let server = with_salts_of(Server::start().await, &[day(-1)]).await;
    let owner = server.owner();
    let refused = async |body: Value| owner.post("/erasures", body).await.pointers(422);
    let all = ["/address", "/user_agent", "/day"];
    assert_eq!(refused(json!({})).await, all);
    let none = json!({"address": null, "user_agent": null, "day": null});
    assert_eq!(refused(none).await, all);
    let with = |field: &str, value: Value| {
        let mut body = of(today());
        body[field] = value;
        body
    };
    for (field, wrong) in [
        ("address", json!("203.0.113.0/24")),
        ("address", json!("qr.example.com")),
        ("address", json!(7)),
        ("user_agent", json!("a\r\nb")),
        ("user_agent", json!(" a")),
        ("user_agent", json!("a\u{7f}")),
        ("user_agent", json!("a".repeat(65_537))),
        ("day", json!("today")),
        ("day", json!(format!("{}T00:00:00Z", today()))),
        ("day", json!(day(1))),
        ("day", json!(day(-2))),
    ] {
        let pointers = refused(with(field, wrong.clone())).await;
        assert_eq!(pointers, [format!("/{field}")], "{wrong}");
    }
    assert_eq!(refused(with("visitor", json!(1))).await, ["/visitor"]);
    let detail = owner.post("/erasures", of(day(-2))).await.problem(422);
    let days = format!("{} or {}", day(-1), today());
    assert!(
        detail["detail"].as_str().unwrap().contains(&days),
        "{detail}"
    );
    // Nobody of that name has been here; that is no error.
    let v6 = with("address", json!("2001:db8::1"));
    assert_eq!(owner.post("/erasures", v6).await.ok()["scans"], 0);
    let silent = with("user_agent", json!(""));
    assert_eq!(owner.post("/erasures", silent).await.ok()["scans"], 0);
    let audit = owner.get("/audit?action=erase").await.ok();
    assert_eq!(audit["items"].as_array().unwrap().len(), 2);
}
