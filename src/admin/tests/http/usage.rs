//! What is used, day by day: scans and tags of a workspace, and of all.

use analytics::{ScanStore, SqliteStore};
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};

use crate::scanned::{block, row};
use crate::support::{Api, Server};

/// So many scans of a workspace, at a time.
async fn scanned(server: &Server, workspace: &str, first: u64, count: u64, at: Timestamp) {
    let store = SqliteStore::open(&server.data_dir.join("scans.sqlite")).unwrap();
    let rows = (first..first + count).map(|seq| {
        let mut row = row(seq, at);
        row.scan.workspace = workspace.to_owned();
        row
    });
    let block = block(i64::try_from(first).unwrap(), rows.collect());
    store.insert(&block).await.unwrap();
}

async fn items(api: &Api, query: &str) -> Vec<Value> {
    let usage = api.get(&format!("/usage{query}")).await.ok();
    usage["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn every_day_has_its_scans_and_the_tags_that_were_made_by_its_end() {
    let server = Server::start().await;
    let (owner, other) = (server.owner(), server.other_tenant().await);
    let acme = server.workspace_of(&other).await;
    for code in ["one", "two"] {
        owner.tag(code).await;
    }
    owner.delete("/tags/two").await;
    let now = Timestamp::now();
    let day = |at: Timestamp| Offset::UTC.to_datetime(at).date().to_string();
    let before = now - SignedDuration::from_hours(48);
    scanned(&server, "default", 0, 5, now).await;
    scanned(&server, "default", 5, 3, before).await;
    scanned(&server, &acme, 8, 7, now).await;

    let (from, to) = (day(before), day(now));
    let range = format!("?from={from}&to={to}");
    let of_owner = items(&owner, &range).await;
    let told = |item: &Value| {
        let number = |name: &str| item[name].as_u64().unwrap();
        (
            item["day"].clone(),
            number("scans"),
            number("tags"),
            number("stored_bytes") > 0,
        )
    };
    let between = day(now - SignedDuration::from_hours(24));
    assert_eq!(
        of_owner.iter().map(told).collect::<Vec<_>>(),
        [
            (json!(from), 3, 0, true),
            (json!(between), 0, 0, false),
            (json!(to), 5, 2, true)
        ]
    );
    let of_other = items(&other, &range).await;
    let scans: Vec<_> = of_other.iter().map(|it| it["scans"].clone()).collect();
    assert_eq!(scans, [0, 0, 7], "another's scans are not among its own");

    let all = items(&owner, &format!("{range}&workspaces=all")).await;
    let names: Vec<_> = all
        .iter()
        .map(|it| (&it["workspace"], &it["day"]))
        .collect();
    let mut expected = [
        (&json!(acme), &json!(to)),
        (&json!("default"), &json!(from)),
        (&json!("default"), &json!(to)),
    ];
    expected.sort_by_key(|(workspace, day)| (workspace.as_str(), day.as_str()));
    assert_eq!(names, expected);
    other.get("/usage?workspaces=all").await.problem(403);
    // Without days: this month, up to today.
    let month = items(&owner, "").await;
    assert_eq!(month[0]["day"], format!("{}-01", &to[..7]));
    assert_eq!(month.last().unwrap()["day"], to);

    let wanted = owner
        .request(Method::GET, &format!("/usage{range}"))
        .header("Accept", "text/csv");
    let csv = owner.send(wanted).await.text();
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines[0], "workspace,day,scans,tags,stored_bytes");
    assert!(
        lines[1].starts_with(&format!("default,{from},3,0,")),
        "{csv}"
    );
    assert_eq!(lines.len(), 4);
    let wanted = owner
        .request(Method::GET, &format!("/usage{range}"))
        .header("Accept", "application/x-ndjson");
    let lines = owner.send(wanted).await.text();
    let lines = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    assert_eq!(lines.collect::<Vec<Value>>(), of_owner);
}

#[tokio::test]
async fn days_that_are_none_or_too_many_are_refused_by_name() {
    let server = Server::start().await;
    let owner = server.owner();
    for (query, parameter) in [
        ("from=2026-11-29T00:00:00Z", "from"),
        ("from=20261129", "from"),
        ("to=2026-02-30", "to"),
        ("to=tomorrow", "to"),
        ("from=2026-11-02&to=2026-11-01", "to"),
        ("from=9999-12-31", "from"),
        ("from=2026-01-01&to=2026-04-03", "from"),
        ("from=-9999-01-01&to=9999-12-31", "from"),
        ("workspaces=acme", "workspaces"),
        ("workspace=acme", "workspace"),
    ] {
        let answer = owner.get(&format!("/usage?{query}")).await;
        assert_eq!(answer.parameter(), parameter, "{query}");
    }
    for range in [
        "from=2026-01-01&to=2026-04-02",
        "from=9999-12-31&to=9999-12-31",
    ] {
        owner.get(&format!("/usage?{range}")).await.ok();
    }
}
