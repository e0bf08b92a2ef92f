//! Roles of a cluster whose servers cannot be reached: they start, say what they wait for, and end when told.

use crate::support::{Start, client, data_dir};

/// Nobody listens there: ports below 1024 take a privilege, and this one has no service that anyone runs.
const KAFKA: &str = "127.0.0.1:1";
const CLICKHOUSE: &str = "http://127.0.0.1:1";

#[tokio::test]
async fn an_edge_without_kafka_answers_and_says_that_its_table_is_not_complete() {
    let data = data_dir();
    let process = Start::edge("edge-1", data.path(), KAFKA).spawn().await;
    process
        .not_ready("table", "the journal cannot be reached")
        .await;
    let health = client()
        .get(process.redirect_url("/healthz"))
        .send()
        .await
        .unwrap();
    assert_eq!(health.status(), 200);
    let scan = client()
        .get(process.redirect_url("/spring"))
        .send()
        .await
        .unwrap();
    assert_eq!(scan.status(), 503, "never 404 before the table is complete");
    assert!(scan.headers().contains_key("retry-after"));
    let ended = process.terminate().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[tokio::test]
async fn a_sink_without_kafka_and_clickhouse_waits_and_says_so() {
    let process = Start::sink(KAFKA, CLICKHOUSE).spawn().await;
    process.not_ready("clickhouse", "not available").await;
    process.not_ready("kafka", "").await;
    process.logs("waiting for ClickHouse").await;
    process.logs("waits for Kafka").await;
    let ended = process.terminate().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[tokio::test]
async fn an_admin_without_kafka_and_clickhouse_waits_and_says_so() {
    let data = data_dir();
    let process = Start::admin(data.path(), KAFKA, CLICKHOUSE, "https://qr.example.com")
        .spawn()
        .await;
    process.not_ready("clickhouse", "not available").await;
    process
        .not_ready("journal", "becoming the journal's only writer")
        .await;
    process
        .logs("waiting for Kafka, which has not answered within 2s")
        .await;
    let amiss = format!("Kafka at {KAFKA} cannot be reached");
    process.not_ready("journal", &amiss).await;
    let answer = client()
        .get(process.api_url("/tags"))
        .bearer_auth("any")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 503);
    let ended = process.terminate().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(!data.path().join("admin.key").exists());
}
