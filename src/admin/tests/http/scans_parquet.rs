//! A workspace's scans as Parquet, read by another's reader: ClickHouse's.

use analytics::Row;
use jiff::Timestamp;
use reqwest::Method;
use serde_json::Value;

use crate::analytics::store;
use crate::scanned::{Random, random_rows};
use crate::support::{Answer, Api, Server};

const PARQUET: &str = "application/vnd.apache.parquet";
const ALL: &str = "from=2026-01-01T00:00:00Z&to=2027-01-01T00:00:00Z&bots=include";
/// A little more than one row group of a file has.
const SCANS: u64 = 104_000;

async fn export(api: &Api, query: &str, accept: &str) -> Answer {
    let path = format!("/analytics/scans?{query}");
    let request = api.request(Method::GET, &path).header("accept", accept);
    api.send(request).await
}

/// What ClickHouse answers to a question about a file, `{file}` in it: a line of JSON each.
async fn clickhouse(question: &str, file: &[u8]) -> Result<Vec<Vec<Value>>, String> {
    let url = std::env::var("TAGWIRE_TEST_CLICKHOUSE").expect(
        "TAGWIRE_TEST_CLICKHOUSE names no ClickHouse server: run tests/run, which starts one",
    );
    let hex: String = file.iter().map(|byte| format!("{byte:02x}")).collect();
    let question = question.replace("{file}", &format!("format(Parquet, unhex('{hex}'))"));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let settings = [
        ("default_format", "JSONCompactEachRow".to_owned()),
        ("max_query_size", (question.len() + 1).to_string()),
    ];
    let answer = client.post(url).query(&settings).body(question);
    let answer = answer.send().await.unwrap();
    let is_answered = answer.status().is_success();
    let text = answer.text().await.unwrap();
    if !is_answered {
        return Err(text);
    }
    let lines = text.lines();
    Ok(lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect())
}

/// A value of the file as CSV has it.
fn cell(column: usize, value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) if column == 0 => {
            let time = format!("{}Z", text.replace(' ', "T"));
            time.parse::<Timestamp>().unwrap().to_string()
        }
        Value::String(text) if text.starts_with(['=', '+', '-', '@', '\t', '\r']) => {
            format!("'{text}")
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn ours(mut rows: Vec<Row>) -> Vec<Row> {
    for row in &mut rows {
        row.scan.workspace = "default".to_owned();
        // Of tags, each of them.
        row.scan.tag_version = row.scan.tag_version.max(1);
    }
    rows[0].scan.campaign = "=1+1".to_owned();
    rows[1].scan.campaign = "\"a\", b\r\nc\0'".to_owned();
    rows[2].scan.campaign = "x".repeat(5_000);
    rows
}

#[tokio::test]
async fn a_parquet_file_has_the_cells_of_the_csv_with_types_and_one_that_is_broken_off_is_none() {
    let server = Server::start().await;
    let owner = server.owner();
    store(&server, ours(random_rows(&mut Random::new(7), SCANS))).await;
    let answer = export(&owner, ALL, PARQUET).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), PARQUET);
    assert_eq!(
        answer.header("content-disposition"),
        "attachment; filename=\"scans.parquet\""
    );
    let file = answer.body;

    let columns = clickhouse("DESCRIBE {file}", &file).await.unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let columns: Vec<_> = columns
        .iter()
        .map(|it| (text(&it[0]), text(&it[1])))
        .collect();
    let csv = export(&owner, ALL, "text/csv").await.body;
    let mut csv = csv::Reader::from_reader(&*csv);
    let header = csv.headers().unwrap().clone();
    let names: Vec<&str> = header.iter().collect();
    let optional = "Nullable(String)";
    let types = names.iter().map(|name| match *name {
        "time" => "DateTime64(6, 'UTC')",
        "domain" | "code" | "outcome" => "String",
        "tag_version" => "Int64",
        "destination" => "Nullable(Int64)",
        "automated" => "Bool",
        _ => optional,
    });
    let expected = names.iter().map(|name| (*name).to_owned());
    let expected: Vec<_> = expected.zip(types.map(str::to_owned)).collect();
    assert_eq!(columns, expected);

    let rows = clickhouse(
        "SELECT * FROM {file} SETTINGS input_format_parquet_preserve_order = 1, max_threads = 1",
        &file,
    )
    .await
    .unwrap();
    assert_eq!(rows.len() as u64, SCANS);
    let mut lines = csv.records();
    for (number, row) in rows.iter().enumerate() {
        let line = lines.next().unwrap().unwrap();
        for (column, value) in row.iter().enumerate() {
            assert_eq!(
                cell(column, value),
                line[column],
                "{number} {}",
                names[column]
            );
        }
    }
    assert!(lines.next().is_none());

    // The last scan can no longer be read: the first row group is sent by then.
    let path = server.data_dir.join("scans.sqlite");
    let connection = rusqlite::Connection::open(&path).unwrap();
    let damage =
        "UPDATE scans SET city = CAST(x'ff' AS TEXT) WHERE time = (SELECT max(time) FROM scans)";
    assert!(connection.execute(damage, []).unwrap() > 0);
    let path = format!("/analytics/scans?{ALL}&format=parquet");
    let mut response = owner.request(Method::GET, &path).send().await.unwrap();
    let mut part = Vec::new();
    let error = loop {
        match response.chunk().await {
            Ok(Some(chunk)) => part.extend_from_slice(&chunk),
            Ok(None) => panic!("{} bytes look like all", part.len()),
            Err(error) => break error,
        }
    };
    assert!(error.is_body() || error.is_decode(), "{error:?}");
    // Whoever does not look at the transfer's end has a file without an end.
    assert!(part.len() > 100_000 && part.starts_with(b"PAR1") && file.starts_with(&part));
    assert!(file.ends_with(b"PAR1") && !part.ends_with(b"PAR1"));
    let refusal = clickhouse("SELECT count() FROM {file}", &part).await;
    refusal.unwrap_err();
}

#[tokio::test]
async fn a_file_without_scans_has_its_columns() {
    let server = Server::start().await;
    let owner = server.owner();
    let answer = export(&owner, "format=parquet", "text/csv").await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("content-type")),
        (200, PARQUET)
    );
    let columns = clickhouse("DESCRIBE {file}", &answer.body).await.unwrap();
    assert_eq!(columns.len(), 18);
}
