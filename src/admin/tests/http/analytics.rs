//! Questions about scans. What a store answers is tested with it; here, how questions are read.

use analytics::{Row, ScanStore, SqliteStore};
use scans::Visitor;
use serde_json::{Value, json};

use crate::scanned::{at, block, row};
use crate::support::Server;

/// A scan of `spring` by a person, the first of each number a visitor's of their own.
pub fn scan(seq: u64, time: &str) -> Row {
    let mut row = row(seq, at(time));
    row.scan.workspace = "default".to_owned();
    row.scan.domain = "go.example.net".to_owned();
    row.scan.code = "spring".to_owned();
    row
}

/// Puts scans where the sink would.
pub async fn store(server: &Server, rows: Vec<Row>) {
    let store = SqliteStore::open(&server.data_dir.join("scans.sqlite")).unwrap();
    store.insert(&block(0, rows)).await.unwrap();
}

fn series(report: &Value) -> Vec<(&str, u64)> {
    let points = report["series"].as_array().unwrap().iter();
    let point = |point: &'_ Value| point["scans"].as_u64().unwrap();
    points
        .map(|it| (it["start"].as_str().unwrap(), point(it)))
        .collect()
}

#[tokio::test]
async fn a_tag_without_scans_has_a_series_of_zeros() {
    let server = Server::start().await;
    let owner = server.owner();
    owner.tag("spring").await;
    let path = "/analytics/scans?code=spring&from=2026-01-01T00:00:00Z&to=2026-01-01T03:00:00%2B01:00&by=country,device,country";
    let report = owner.get(path).await.ok();
    assert_eq!(
        report,
        json!({
            "total": 0, "from": "2026-01-01T00:00:00Z", "to": "2026-01-01T02:00:00Z", "interval": "hour", "time_zone": "UTC",
            "series": [{"start": "2026-01-01T00:00:00Z", "scans": 0}, {"start": "2026-01-01T01:00:00Z", "scans": 0}],
            "breakdown": {"country": [], "device": []},
        })
    );
    let report = owner.get("/analytics/scans").await.ok();
    assert!([24, 25].contains(&report["series"].as_array().unwrap().len()));
    let report = owner
        .get("/analytics/scans?campaign=c&interval=day&to=2026-01-02T00:00:00Z&bots=only")
        .await
        .ok();
    assert_eq!(
        report["series"],
        json!([{"start": "2026-01-01T00:00:00Z", "scans": 0}])
    );
    let path = "/analytics/scans?interval=second&from=2026-01-01T00:00:00Z&to=2026-01-01T00:00:02Z";
    let report = owner.get(path).await.ok();
    assert_eq!(
        report["series"],
        json!([{"start": "2026-01-01T00:00:00Z", "scans": 0}, {"start": "2026-01-01T00:00:01Z", "scans": 0}])
    );
}

#[tokio::test]
async fn a_parameter_that_is_wrong_is_named() {
    let server = Server::start().await;
    let owner = server.owner();
    owner.tag("spring").await;
    for (query, parameter) in [
        ("from=yesterday", "from"),
        ("to=2026-01-01", "to"),
        ("from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "to"),
        ("from=2090-01-01T00:00:00Z", "from"),
        ("interval=month", "interval"),
        (
            "interval=week&from=0001-01-01T00:00:00Z&to=9999-12-30T00:00:00Z",
            "interval",
        ),
        // 50,001 seconds.
        (
            "interval=second&from=2026-01-01T00:00:00Z&to=2026-01-01T13:53:20.000001Z",
            "interval",
        ),
        ("time_zone=..%2Fetc%2Fpasswd", "time_zone"),
        ("time_zone=%2Fetc%2Flocaltime", "time_zone"),
        ("time_zone=", "time_zone"),
        ("time_zone=%00", "time_zone"),
        ("time_zone=europe/berlin", "time_zone"),
        ("time_zone=%2B01:00", "time_zone"),
        ("time_zone=UTC&time_zone=UTC", "time_zone"),
        ("compare=next", "compare"),
        (
            "compare=previous&from=0000-01-01T00:00:00Z&to=0000-01-02T00:00:00Z",
            "compare",
        ),
        (
            "interval=second&from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z",
            "interval",
        ),
        (
            "interval=minute&from=2020-01-01T00:00:00Z&to=2026-01-01T00:00:00Z",
            "interval",
        ),
        (
            "from=0001-01-01T00:00:00Z&to=9999-12-30T00:00:00Z",
            "interval",
        ),
        ("by=country,planet", "by"),
        ("bots=yes", "bots"),
        ("code=spring&campaign=c", "campaign"),
        ("domain=go.example.net", "domain"),
        ("code=spring&domain=a%20b", "domain"),
        ("device=mobile", "device"),
        ("by=country&by=city", "by"),
    ] {
        assert_eq!(
            owner
                .get(&format!("/analytics/scans?{query}"))
                .await
                .parameter(),
            parameter,
            "{query}"
        );
    }
    for (path, parameter) in [
        ("peaks?interval=hour", "interval"),
        ("peaks?time_zone=Berlin", "time_zone"),
        // 50,001 hours.
        (
            "peaks?from=2020-01-01T00:00:00Z&to=2025-09-14T08:00:00.000001Z",
            "from",
        ),
        ("visitors?time_zone=UTC", "time_zone"),
        (
            "visitors?from=0000-01-01T00:00:00Z&to=9999-12-30T22:00:00Z",
            "from",
        ),
    ] {
        let answer = owner.get(&format!("/analytics/{path}")).await;
        assert_eq!(answer.parameter(), parameter, "{path}");
    }
    for path in ["scans", "peaks", "visitors"] {
        for code in ["none", "", "a%20b", "%FF"] {
            let path = format!("/analytics/{path}?code={code}");
            owner.get(&path).await.problem(404);
        }
    }
}

#[tokio::test]
async fn a_time_zone_that_there_is_not_comes_back_with_the_nearest_that_there_is() {
    let server = Server::start().await;
    for (given, nearest) in [
        ("Europe/Berlim", "Europe/Berlin"),
        ("New York", "America/New_York"),
    ] {
        let path = format!("/analytics/scans?time_zone={given}");
        let problem = server.owner().get(&path).await.problem(400);
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.ends_with(&format!("did you mean {nearest}?")),
            "{detail}"
        );
    }
}

#[tokio::test]
async fn days_and_weeks_are_of_the_clocks_of_the_zone_that_is_asked_for() {
    let server = Server::start().await;
    let owner = server.owner();
    // Clocks are set back on Sunday, 2026-10-25.
    let times = [
        "2026-10-24T21:59:59Z",
        "2026-10-24T22:00:00Z",
        "2026-10-25T22:59:59Z",
        "2026-10-25T23:00:00Z",
    ];
    store(
        &server,
        (0..)
            .zip(times)
            .map(|(seq, time)| scan(seq, time))
            .collect(),
    )
    .await;
    let range = "from=2026-10-23T22:00:00Z&to=2026-10-26T23:00:00Z";
    let path = format!("/analytics/scans?interval=day&time_zone=Europe/Berlin&{range}");
    let report = owner.get(&path).await.ok();
    let days = [
        ("2026-10-23T22:00:00Z", 1),
        ("2026-10-24T22:00:00Z", 2),
        ("2026-10-25T23:00:00Z", 1),
    ];
    assert_eq!(series(&report), days);
    assert_eq!(report["time_zone"], "Europe/Berlin");
    let path = format!("/analytics/scans?interval=week&time_zone=Europe/Berlin&{range}");
    let report = owner.get(&path).await.ok();
    let weeks = [("2026-10-18T22:00:00Z", 3), ("2026-10-25T23:00:00Z", 1)];
    assert_eq!(series(&report), weeks);
    let path = format!("/analytics/scans?interval=week&{range}");
    let report = owner.get(&path).await.ok();
    let weeks = [("2026-10-19T00:00:00Z", 4), ("2026-10-26T00:00:00Z", 0)];
    assert_eq!(series(&report), weeks);
}

#[tokio::test]
async fn a_period_is_compared_with_the_one_before_in_local_days() {
    let server = Server::start().await;
    let owner = server.owner();
    // In Berlin, the day before Monday, 2026-10-26 has 25 hours: this is its first.
    let times = [
        "2026-10-24T22:30:00Z",
        "2026-10-25T10:00:00Z",
        "2026-10-25T23:00:00Z",
        "2026-10-26T10:00:00Z",
        "2026-10-26T11:00:00Z",
    ];
    let mut rows: Vec<Row> = (0..)
        .zip(times)
        .map(|(seq, time)| scan(seq, time))
        .collect();
    for row in &mut rows[..4] {
        row.scan.campaign = "cans".to_owned();
    }
    store(&server, rows).await;
    let path = "/analytics/scans?interval=day&time_zone=Europe/Berlin&from=2026-10-25T23:00:00Z&to=2026-10-26T23:00:00Z&by=campaign";
    assert!(owner.get(path).await.ok().get("previous").is_none());
    let report = owner.get(&format!("{path}&compare=previous")).await.ok();
    let previous = json!({
        "total": 2, "change": 50.0, "from": "2026-10-24T22:00:00Z", "to": "2026-10-25T23:00:00Z",
        "series": [{"start": "2026-10-24T22:00:00Z", "scans": 2}],
    });
    assert_eq!(
        (&report["total"], &report["previous"]),
        (&json!(3), &previous)
    );
    let of_campaign = owner
        .get(&format!("{path}&compare=previous&campaign=cans"))
        .await
        .ok();
    assert_eq!(of_campaign["previous"]["change"], 0.0);
    let before =
        "/analytics/scans?from=2026-10-24T22:00:00Z&to=2026-10-24T23:00:00Z&compare=previous";
    let report = owner.get(before).await.ok();
    assert_eq!(report["previous"]["change"], Value::Null);
    assert_eq!(report["previous"]["from"], "2026-10-24T21:00:00Z");
    let after =
        "/analytics/scans?from=2026-10-26T12:00:00Z&to=2026-10-27T12:00:00Z&compare=previous";
    assert_eq!(owner.get(after).await.ok()["previous"]["change"], -100.0);
    let other = server.other_tenant().await;
    let report = other
        .get("/analytics/scans?from=2026-10-25T23:00:00Z&to=2026-10-26T23:00:00Z&compare=previous")
        .await
        .ok();
    assert_eq!(
        (&report["total"], &report["previous"]["total"]),
        (&json!(0), &json!(0))
    );
}

#[tokio::test]
async fn peak_times_are_hours_of_the_week_on_the_zones_clocks() {
    let server = Server::start().await;
    let owner = server.owner();
    owner.tag("spring").await;
    // Sunday, twice between two and three in Berlin, and Monday, midnight.
    let times = [
        "2026-10-25T00:30:00Z",
        "2026-10-25T01:30:00Z",
        "2026-10-25T23:00:00Z",
        "2026-11-01T23:59:59Z",
    ];
    let mut rows: Vec<Row> = (0..)
        .zip(times)
        .map(|(seq, time)| scan(seq, time))
        .collect();
    rows[3].bot = true;
    store(&server, rows).await;
    let range = "from=2026-10-10T00:00:00Z&to=2026-11-07T00:00:00Z";
    let path = format!("/analytics/peaks?time_zone=Europe/Berlin&code=spring&{range}");
    let peaks = owner.get(&path).await.ok();
    let mut expected = json!({});
    for day in ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] {
        expected[day] = json!(vec![0; 24]);
    }
    expected["sun"][2] = json!(2);
    expected["mon"][0] = json!(1);
    assert_eq!(
        peaks,
        json!({
            "total": 3, "from": "2026-10-10T00:00:00Z", "to": "2026-11-07T00:00:00Z", "time_zone": "Europe/Berlin", "hours": expected,
        })
    );
    let peaks = owner
        .get(&format!("/analytics/peaks?bots=only&{range}"))
        .await
        .ok();
    assert_eq!(
        (&peaks["total"], &peaks["hours"]["sun"][23]),
        (&json!(1), &json!(1))
    );
    let other = server.other_tenant().await;
    let peaks = other.get(&format!("/analytics/peaks?{range}")).await.ok();
    assert_eq!(peaks["total"], 0);
    // Four weeks until now, in which nothing was scanned.
    assert_eq!(other.get("/analytics/peaks").await.ok()["total"], 0);
}

#[tokio::test]
async fn visitors_are_counted_by_the_day_and_their_days_are_summed() {
    let server = Server::start().await;
    let owner = server.owner();
    owner.tag("spring").await;
    let seen = [
        ("2026-10-25T10:00:00Z", 1),
        ("2026-10-25T11:00:00Z", 1),
        ("2026-10-25T23:59:59Z", 2),
        ("2026-10-26T00:00:00Z", 1),
    ];
    let rows = (0..).zip(seen).map(|(seq, (time, visitor))| {
        let mut row = scan(seq, time);
        row.scan.visitor = Visitor::from_u64(visitor);
        row
    });
    store(&server, rows.collect()).await;
    let range = "from=2026-10-25T00:00:00Z&to=2026-10-28T00:00:00Z";
    let expected = json!({
        "total": 4, "visitor_days": 3, "repeated": 1, "from": "2026-10-25T00:00:00Z", "to": "2026-10-28T00:00:00Z",
        "series": [
            {"start": "2026-10-25T00:00:00Z", "scans": 3, "visitors": 2, "repeated": 1},
            {"start": "2026-10-26T00:00:00Z", "scans": 1, "visitors": 1, "repeated": 0},
            {"start": "2026-10-27T00:00:00Z", "scans": 0, "visitors": 0, "repeated": 0},
        ],
    });
    for select in ["", "&code=spring"] {
        let path = format!("/analytics/visitors?{range}{select}");
        assert_eq!(owner.get(&path).await.ok(), expected);
    }
    for nobody in ["campaign=cans", "bots=only"] {
        let path = format!("/analytics/visitors?{range}&{nobody}");
        assert_eq!(owner.get(&path).await.ok()["visitor_days"], 0);
    }
    let other = server.other_tenant().await;
    let report = other
        .get(&format!("/analytics/visitors?{range}"))
        .await
        .ok();
    assert_eq!(
        (&report["total"], &report["visitor_days"]),
        (&json!(0), &json!(0))
    );
    let week = owner.get("/analytics/visitors").await.ok();
    assert_eq!(week["series"].as_array().unwrap().len(), 8);
}

#[tokio::test]
async fn a_range_may_end_with_the_calendar() {
    let server = Server::start().await;
    for path in [
        "scans?interval=week&time_zone=Pacific/Kiritimati&from=0000-01-01T00:00:00Z&to=0000-01-02T00:00:00Z",
        "scans?interval=day&time_zone=Etc/GMT%2B12&from=9999-12-29T22:00:00Z&to=9999-12-30T22:00:00Z&compare=previous",
        "scans?to=0000-01-01T00:00:00.000001Z",
        "visitors?to=0000-01-01T00:00:00.000001Z",
        "peaks?from=9999-12-29T22:00:00Z&to=9999-12-30T22:00:00Z&time_zone=Pacific/Apia",
    ] {
        let report = server.owner().get(&format!("/analytics/{path}")).await.ok();
        let moment = |value: &Value| {
            value.as_str().unwrap().len() >= 20 && value.as_str().unwrap().starts_with(['0', '9'])
        };
        assert!(moment(&report["from"]), "{path}: {report}");
        let points = report["series"].as_array().into_iter().flatten();
        assert!(
            points.map(|point| &point["start"]).all(moment),
            "{path}: {report}"
        );
        assert_eq!(report["total"], 0);
    }
}
