//! Files of a workspace's tags, and that they import unchanged.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Api, Server};

const NDJSON: &str = "application/x-ndjson";
const CSV: &str = "text/csv";

async fn export(api: &Api, path: &str, accept: &str) -> Answer {
    let request = api.request(Method::GET, path).header("accept", accept);
    api.send(request).await
}

/// Sends a file and waits for the end of the job, which makes or finds every line.
async fn import(api: &Api, kind: &str, file: &str) -> Value {
    let job = api
        .upload("/tags/import", kind, file.to_owned())
        .await
        .accepted();
    let job = api
        .job(&format!("/tags/import/{}", job["id"].as_str().unwrap()))
        .await;
    assert_eq!(job["errors"], json!([]), "{job}");
    job
}

/// Tags with every field, in every way that may be hard to write down.
async fn hard_tags(owner: &Api) {
    for (number, fields) in [
        json!({}),
        json!({"redirect_status": 301}),
        json!({"redirect_status": 308, "cache_max_age": 0}),
        json!({"query": "override", "fallback_url": "https://example.com/f?a=1,2;3"}),
        json!({"starts_at": "2020-01-01T00:00:00Z", "expires_at": "2099-01-01T00:00:00.000001Z"}),
        json!({"name": "=1+1", "campaign": "+49", "labels": ["-a", "b"]}),
        json!({"name": "'=1+1", "campaign": "'", "labels": ["a,b", "c"]}),
        json!({"name": "\"quoted\", 'and'", "campaign": "@x", "labels": ["[x]"]}),
        json!({"name": "日本 – Ω", "labels": ["12"], "status": "paused"}),
        json!({"name": "12", "campaign": "null", "labels": ["true"]}),
        json!({"name": "{\"a\": 1}", "campaign": "[1]", "labels": ["\"", "'x"]}),
        json!({"destination": "tel:+49301234"}),
        json!({"destination": "mailto:a@example.com?subject=Hi%2C"}),
    ]
    .into_iter()
    .enumerate()
    {
        let mut tag = json!({"code": format!("-h{number}"), "destination": "https://example.com/"});
        tag.as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        owner.post("/tags", tag).await.created();
    }
    owner.tag("gone").await;
    owner.delete("/tags/gone").await.no_content();
}

#[tokio::test]
async fn what_is_exported_imports_unchanged_and_is_exported_the_same_again() {
    let server = Server::start().await;
    let owner = server.owner();
    hard_tags(&owner).await;
    for kind in [NDJSON, CSV] {
        let answer = export(&owner, "/tags/export", kind).await;
        let file = answer.text();
        assert_eq!(answer.status, 200, "{file}");
        assert_eq!(answer.header("content-type").split(';').next(), Some(kind));
        assert!(
            answer
                .header("content-disposition")
                .starts_with("attachment; filename=")
        );
        assert!(!file.contains("gone"), "{file}");
        // In its own workspace there is nothing to be made.
        let again = import(&owner, kind, &file).await;
        assert_eq!(
            (&again["created"], &again["unchanged"]),
            (&json!(0), &json!(13))
        );
        let empty = Server::start().await;
        let job = import(&empty.owner(), kind, &file).await;
        assert_eq!(job["created"], 13);
        for kind in [NDJSON, CSV] {
            let before = export(&owner, "/tags/export", kind).await.text();
            assert_eq!(
                export(&empty.owner(), "/tags/export", kind).await.text(),
                before
            );
        }
    }
}

#[tokio::test]
async fn a_spreadsheet_finds_no_formula_in_any_cell() {
    let server = Server::start().await;
    let owner = server.owner();
    hard_tags(&owner).await;
    let file = export(&owner, "/tags/export", CSV).await.text();
    let mut reader = csv::Reader::from_reader(file.as_bytes());
    let mut cells = 0;
    for record in reader.records() {
        for cell in record.unwrap().iter() {
            assert!(
                !cell.starts_with(['=', '+', '-', '@', '\t', '\r']),
                "{cell}"
            );
            cells += usize::from(cell.starts_with('\''));
        }
    }
    assert_eq!(
        cells,
        13 + 4 + 1 + 1,
        "the codes, and those that are meant: {file}"
    );
    assert!(
        file.split_inclusive('\n')
            .all(|line| line.ends_with("\r\n"))
    );
}

#[tokio::test]
async fn an_export_is_narrowed_like_a_list_and_holds_the_keys_own_workspace_alone() {
    let server = Server::start().await;
    let owner = server.owner();
    let other = server.other_tenant().await;
    other.tag("theirs").await;
    for (code, campaign) in [("t0", "even"), ("t1", "odd"), ("t2", "even")] {
        let tag =
            json!({"code": code, "destination": "https://example.com/", "campaign": campaign});
        owner.post("/tags", tag).await.created();
    }
    let rest: String = (3..1_203)
        .map(|number| format!("{{\"code\": \"t{number}\", \"destination\": \"https://example.com/\", \"campaign\": \"odd\", \"status\": \"paused\"}}\n"))
        .collect();
    import(&owner, NDJSON, &rest).await;
    let codes = |answer: Answer| -> Vec<String> {
        let line = |line: &str| {
            serde_json::from_str::<Value>(line).unwrap()["code"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        answer.text().lines().map(line).collect()
    };
    let all: Vec<String> = (0..1_203).map(|number| format!("t{number}")).collect();
    assert_eq!(codes(owner.get("/tags/export").await), all);
    assert_eq!(
        codes(owner.get("/tags/export?campaign=even").await),
        ["t0", "t2"]
    );
    assert_eq!(
        codes(owner.get("/tags/export?campaign=odd&status=active").await),
        ["t1"]
    );
    assert_eq!(
        codes(owner.get("/tags/export?status=paused").await),
        all[3..]
    );
    assert_eq!(
        codes(owner.get("/tags/export?q=T120").await),
        ["t120", "t1200", "t1201", "t1202"]
    );
    assert_eq!(codes(other.get("/tags/export").await), ["theirs"]);
    let answer = owner.get("/tags/export?status=revoked").await;
    assert_eq!(answer.parameter(), "status");
    assert_eq!(owner.get("/tags/export?limit=1").await.parameter(), "limit");
    export(&owner, "/tags/export", "application/json")
        .await
        .problem(406);
}

#[tokio::test]
async fn a_workspace_has_four_exports_under_way_and_leaves_others_theirs() {
    let server = Server::start().await;
    let owner = server.owner();
    // More than lies between a server and a client that does not read.
    let name = "n".repeat(200);
    let line = |number| {
        let tag = json!({"code": format!("t{number}"), "destination": "https://example.com/", "name": name});
        tag.to_string() + "\n"
    };
    let file: String = (0..40_000).map(line).collect();
    import(&owner, NDJSON, &file).await;
    let begin = async || {
        let request = owner.request(Method::GET, "/tags/export");
        request.send().await.unwrap()
    };
    let mut under_way = Vec::new();
    for _ in 0..4 {
        let export = begin().await;
        assert_eq!(export.status(), 200);
        under_way.push(export);
    }
    assert_eq!(begin().await.status(), 429);
    let log = export(&owner, "/audit", NDJSON).await;
    log.problem(429);
    let other = server.other_tenant().await;
    assert_eq!(export(&other, "/tags/export", NDJSON).await.text(), "");
    // One that is over, and one that is given up.
    let whole = under_way.remove(0).text().await.unwrap();
    assert_eq!(whole.lines().count(), 40_000);
    assert_eq!(begin().await.status(), 200);
    drop(under_way);
    let deadline = Instant::now() + Duration::from_secs(60);
    while begin().await.status() == 429 {
        assert!(Instant::now() < deadline, "none has ended");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
