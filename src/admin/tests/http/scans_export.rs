//! Files of a workspace's scans: what is in them, in which order, and that none is taken for whole that is not.

use std::time::{Duration, Instant};

use analytics::Row;
use jiff::SignedDuration;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::analytics::{scan, store};
use crate::support::{Answer, Api, Server};

const NDJSON: &str = "application/x-ndjson";
const CSV: &str = "text/csv";
const PARQUET: &str = "application/vnd.apache.parquet";
const DAY: &str = "from=2026-11-25T00:00:00Z&to=2026-11-26T00:00:00Z";
const NOON: &str = "2026-11-25T12:00:00Z";

async fn export(api: &Api, query: &str, accept: &str) -> Answer {
    let path = format!("/analytics/scans?{query}");
    let request = api.request(Method::GET, &path).header("accept", accept);
    api.send(request).await
}

/// An export of the day whose answer is read by and by.
async fn begin(api: &Api) -> Response {
    let path = format!("/analytics/scans?{DAY}");
    let request = api.request(Method::GET, &path).header("accept", NDJSON);
    request.send().await.unwrap()
}

/// Scans a second apart from noon backwards: more than lies between a server and a client that does not read.
fn many(count: u64) -> Vec<Row> {
    let rows = (0..count).map(|seq| {
        let mut row = scan(seq, NOON);
        row.scan.time -= SignedDuration::from_secs(seq as i64);
        row.scan.campaign = "c".repeat(100);
        row
    });
    rows.collect()
}

#[tokio::test]
async fn a_scan_is_a_line_with_what_is_known_of_it_and_nothing_that_points_to_a_person() {
    let server = Server::start().await;
    let owner = server.owner();
    let mut rows = vec![scan(1, "2026-11-25T12:00:00.5Z"), scan(0, NOON)];
    rows[0].scan.outcome = tags::Outcome::Paused;
    rows[0].scan.campaign = "=1+1".to_owned();
    rows[0].scan.rule = "\"-x\", y".to_owned();
    rows[0].city = String::new();
    rows[0].scan.referrer_host = "news.example.com".to_owned();
    let visitor = rows[0].scan.visitor;
    store(&server, rows).await;
    let answer = export(&owner, DAY, CSV).await;
    let file = answer.text();
    assert_eq!(answer.status, 200, "{file}");
    assert_eq!(
        file,
        "time,domain,code,tag_version,campaign,outcome,rule,destination,country,region,city,device,os,browser,language,referrer,automated,bot_reason\r\n\
         2026-11-25T12:00:00Z,go.example.net,spring,1,,redirected,,0,AT,AT-9,Vienna,mobile,ios,safari,de,,false,\r\n\
         2026-11-25T12:00:00.5Z,go.example.net,spring,1,'=1+1,paused,\"\"\"-x\"\", y\",,AT,AT-9,,mobile,ios,safari,de,news.example.com,false,\r\n"
    );
    assert_eq!(
        answer.header("content-type"),
        "text/csv; charset=utf-8; header=present"
    );
    assert_eq!(
        answer.header("content-disposition"),
        "attachment; filename=\"scans.csv\""
    );
    assert_eq!(answer.header("cache-control"), "no-store");
    let answer = export(&owner, DAY, NDJSON).await;
    let text = answer.text();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(
        lines[1],
        json!({
            "time": "2026-11-25T12:00:00.5Z", "domain": "go.example.net", "code": "spring", "tag_version": 1, "campaign": "=1+1",
            "outcome": "paused", "rule": "\"-x\", y", "destination": null, "country": "AT", "region": "AT-9", "city": null,
            "device": "mobile", "os": "ios", "browser": "safari", "language": "de", "referrer": "news.example.com", "automated": false,
            "bot_reason": null,
        })
    );
    assert_eq!(answer.header("content-type"), NDJSON);
    for file in [file, text] {
        for personal in [
            "203.0.113",
            "curl/8",
            "q=0.9",
            &visitor.to_string(),
            &visitor.as_u64().to_string(),
        ] {
            assert!(!file.contains(personal), "{personal}: {file}");
        }
    }
}

#[tokio::test]
async fn every_scan_of_the_range_comes_once_in_the_order_of_time_and_of_no_other_workspace() {
    let server = Server::start().await;
    let owner = server.owner();
    owner.tag("spring").await;
    let mut rows = many(25_000);
    for (number, row) in rows.iter_mut().enumerate() {
        row.bot = number % 5 == 0;
        row.scan.campaign = ["even", "odd"][number % 2].to_owned();
        if number % 3 == 0 {
            row.scan.workspace = "another".to_owned();
        }
    }
    store(&server, rows).await;
    let count = async |query: &str| {
        let text = export(&owner, query, NDJSON).await.text();
        let times: Vec<String> = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["time"].to_string())
            .collect();
        assert!(times.is_sorted_by(|one, next| one < next), "{query}");
        let csv = export(&owner, query, CSV).await.text();
        assert_eq!(csv.lines().count(), times.len() + 1, "{query}");
        times.len()
    };
    let expected = |passes: fn(usize) -> bool| {
        (0..25_000)
            .filter(|number| number % 3 != 0 && passes(*number))
            .count()
    };
    assert_eq!(
        count(&format!("{DAY}&bots=include")).await,
        expected(|_| true)
    );
    assert_eq!(count(DAY).await, expected(|number| number % 5 != 0));
    assert_eq!(
        count(&format!("{DAY}&bots=only")).await,
        expected(|number| number % 5 == 0)
    );
    assert_eq!(
        count(&format!("{DAY}&campaign=even")).await,
        expected(|number| number % 5 != 0 && number % 2 == 0)
    );
    assert_eq!(
        count(&format!("{DAY}&code=spring")).await,
        expected(|number| number % 5 != 0)
    );
    let hour = "from=2026-11-25T11:00:00Z&to=2026-11-25T12:00:00Z";
    assert_eq!(
        count(hour).await,
        expected(|number| number % 5 != 0 && (1..=3_600).contains(&number))
    );
    let all = "from=0000-01-01T00:00:00Z&to=9999-12-30T22:00:00Z";
    assert_eq!(count(all).await, expected(|number| number % 5 != 0));
    let other = server.other_tenant().await;
    assert_eq!(export(&other, DAY, NDJSON).await.text(), "");
    export(&other, &format!("{DAY}&code=spring"), NDJSON)
        .await
        .problem(404);
}

#[tokio::test]
async fn an_export_takes_no_parameters_of_counts_and_asks_for_its_own_permission() {
    let server = Server::start().await;
    let owner = server.owner();
    for parameter in [
        "interval=day",
        "time_zone=UTC",
        "by=code",
        "compare=previous",
    ] {
        let name = parameter.split('=').next().unwrap();
        let answer = export(&owner, parameter, CSV).await;
        assert_eq!(answer.parameter(), name);
    }
    let backwards = "from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z";
    assert_eq!(export(&owner, backwards, CSV).await.parameter(), "to");
    for named in ["format=xml", "format=", "format=CSV"] {
        let refusal = export(&owner, named, CSV).await;
        assert_eq!(refusal.parameter(), "format", "{named}");
    }
    export(&owner, DAY, "application/parquet")
        .await
        .problem(406);
    let scoped = async |scopes: Value| {
        let key = json!({"name": "scoped", "role": "owner", "scopes": scopes});
        let made = owner.post("/keys", key).await.created();
        server.with_key(made["secret"].as_str().unwrap())
    };
    let counts = scoped(json!(["analytics:read"])).await;
    counts.get("/analytics/scans").await.ok();
    for kind in [CSV, NDJSON, PARQUET] {
        let refusal = export(&counts, DAY, kind).await.problem(403);
        let detail = refusal["detail"].as_str().unwrap();
        assert!(detail.contains("the permission export;"), "{detail}");
    }
    let tags = scoped(json!(["export"])).await;
    export(&tags, DAY, CSV).await.problem(403);
    let both = scoped(json!(["analytics:read", "export"])).await;
    assert_eq!(export(&both, DAY, CSV).await.status, 200);
}

#[tokio::test]
async fn an_export_of_scans_has_one_of_the_places_that_exports_have() {
    let server = Server::start().await;
    let owner = server.owner();
    store(&server, many(40_000)).await;
    let mut under_way = Vec::new();
    for _ in 0..4 {
        let export = begin(&owner).await;
        assert_eq!(export.status(), 200);
        under_way.push(export);
    }
    assert_eq!(begin(&owner).await.status(), 429);
    owner.get("/tags/export").await.problem(429);
    owner.get("/analytics/scans").await.ok();
    let other = server.other_tenant().await;
    assert_eq!(export(&other, DAY, NDJSON).await.status, 200);
    let whole = under_way.remove(0).text().await.unwrap();
    assert_eq!(whole.lines().count(), 40_000);
    drop(under_way);
    let deadline = Instant::now() + Duration::from_secs(60);
    while begin(&owner).await.status() == 429 {
        assert!(Instant::now() < deadline, "none has ended");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn an_export_that_cannot_go_on_is_broken_off() {
    let server = Server::start().await;
    let owner = server.owner();
    store(&server, many(40_000)).await;
    let key = json!({"name": "k", "role": "analyst"});
    let key = owner.post("/keys", key).await.created();
    let revoked = begin(&server.with_key(key["secret"].as_str().unwrap())).await;
    let without_store = begin(&owner).await;
    let path = format!("/keys/{}", key["id"].as_str().unwrap());
    owner.delete(&path).await.no_content();
    // The file's other connection finds it gone.
    let file = rusqlite::Connection::open(server.data_dir.join("scans.sqlite")).unwrap();
    file.busy_timeout(Duration::from_secs(60)).unwrap();
    file.execute_batch("ALTER TABLE scans RENAME TO gone")
        .unwrap();
    for export in [revoked, without_store] {
        assert_eq!(export.status(), 200);
        let error = export.bytes().await.unwrap_err();
        assert!(error.is_body() || error.is_decode(), "{error:?}");
    }
}
