//! Questions about scans. What a store answers is tested with it; here, how questions are read.

use serde_json::json;

use crate::support::Server;

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
            "total": 0, "from": "2026-01-01T00:00:00Z", "to": "2026-01-01T02:00:00Z", "interval": "hour",
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
        ("interval=week", "interval"),
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
    for code in ["none", "", "a%20b", "%FF"] {
        owner
            .get(&format!("/analytics/scans?code={code}"))
            .await
            .problem(404);
    }
}
