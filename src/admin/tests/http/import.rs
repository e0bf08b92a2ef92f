//! Files of tags: what is taken from them, and all that is refused.

use serde_json::{Value, json};

use crate::support::{Api, Server, codes};

const NDJSON: &str = "application/x-ndjson";
const CSV: &str = "text/csv";

/// Sends a file, and waits for the job's end.
async fn import(api: &Api, kind: &str, file: impl Into<reqwest::Body>) -> Value {
    run(api, "/tags/import", kind, file).await
}

async fn try_out(api: &Api, kind: &str, file: impl Into<reqwest::Body>) -> Value {
    run(api, "/tags/import?dry_run=true", kind, file).await
}

async fn run(api: &Api, path: &str, kind: &str, file: impl Into<reqwest::Body>) -> Value {
    let answer = api.upload(path, kind, file).await;
    let job = answer.accepted();
    let id = job["id"].as_str().unwrap();
    let location = format!("/api/v1/tags/import/{id}");
    assert_eq!(answer.header("location"), location);
    api.job(&format!("/tags/import/{id}")).await
}

/// The numbers of a job: read, created, unchanged, withheld, invalid.
fn numbers(job: &Value) -> [u64; 5] {
    ["read", "created", "unchanged", "withheld", "invalid"].map(|name| job[name].as_u64().unwrap())
}

/// The line and pointer of each error.
fn errors(job: &Value) -> Vec<(u64, &str)> {
    let errors = job["errors"].as_array().unwrap();
    let place = |error: &'_ Value| error["line"].as_u64().unwrap();
    errors
        .iter()
        .map(|error| (place(error), error["pointer"].as_str().unwrap()))
        .collect()
}

fn tag(code: &str) -> String {
    format!("{{\"code\": \"{code}\", \"destination\": \"https://example.com/{code}\"}}\n")
}

fn tags(range: std::ops::Range<u32>) -> String {
    range.map(|number| tag(&format!("t{number}"))).collect()
}

#[tokio::test]
async fn lines_become_tags_with_all_their_fields() {
    let server = Server::start().await;
    let owner = server.owner();
    let file = r#"{"code": "a", "destination": "https://example.com/a"}
{"code": "b", "destination": "https://example.com/b", "domain": "go.example.net", "redirect_status": 308, "cache_max_age": 60, "query": "drop",
"#.to_owned();
    let file = file.replace(",\n", ", ")
        + r#""campaign": "summer", "name": "Bär", "labels": ["x", "y"], "status": "paused", "fallback_url": "https://example.com/f"}"#;
    let job = import(&owner, NDJSON, file).await;
    assert_eq!(
        (job["status"].as_str(), numbers(&job)),
        (Some("done"), [2, 2, 0, 0, 0])
    );
    assert_eq!(job["errors"], json!([]));
    let b = owner.get("/tags/b").await.ok();
    for (name, value) in [
        ("destination", json!("https://example.com/b")),
        ("redirect_status", json!(308)),
        ("cache_max_age", json!(60)),
        ("query", json!("drop")),
        ("campaign", json!("summer")),
        ("name", json!("Bär")),
        ("labels", json!(["x", "y"])),
        ("status", json!("paused")),
        ("fallback_url", json!("https://example.com/f")),
        ("version", json!(1)),
    ] {
        assert_eq!(b[name], value, "{name}");
    }
    assert_eq!(codes(&owner.get("/tags").await.ok()), ["b", "a"]);
    let csv = "code,destination,labels,redirect_status,expires_at,name\r\nc,https://example.com/c,\"x, z\",301,,'=1\r\nd,https://example.com/d,\"[\"\"a,b\"\"]\",,2099-01-01T00:00:00Z,\"two\r\"\r\n";
    let job = import(&owner, CSV, csv).await;
    assert_eq!(errors(&job), [(3, "/name")]);
    let job = import(
        &owner,
        "text/csv; charset=UTF-8",
        csv.replace("two\r", "two"),
    )
    .await;
    assert_eq!(numbers(&job), [2, 2, 0, 0, 0], "{job}");
    let c = owner.get("/tags/c").await.ok();
    assert_eq!(
        (&c["labels"], &c["name"], &c["redirect_status"]),
        (&json!(["x", "z"]), &json!("=1"), &json!(301))
    );
    assert_eq!(owner.get("/tags/d").await.ok()["labels"], json!(["a,b"]));
    let versions = owner.get("/tags/d/versions").await.ok();
    assert_eq!(versions["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_file_sent_again_makes_what_is_missing_and_nothing_else() {
    let server = Server::start().await;
    let owner = server.owner();
    assert_eq!(
        numbers(&import(&owner, NDJSON, tags(0..5)).await),
        [5, 5, 0, 0, 0]
    );
    assert_eq!(
        numbers(&import(&owner, NDJSON, tags(0..8)).await),
        [8, 3, 5, 0, 0]
    );
    assert_eq!(
        numbers(&import(&owner, NDJSON, tags(0..8)).await),
        [8, 0, 8, 0, 0]
    );
    // Twice in one file is once.
    let twice = tags(7..9) + &tags(8..9);
    assert_eq!(
        numbers(&import(&owner, NDJSON, twice).await),
        [3, 1, 2, 0, 0]
    );
    for code in ["t0", "t8"] {
        assert_eq!(owner.get(&format!("/tags/{code}")).await.ok()["version"], 1);
    }
    // One that differs is an error that names it, and what differs.
    let other = r#"{"code": "t3", "destination": "https://example.com/other", "name": "x"}"#;
    let job = import(&owner, NDJSON, tags(9..10) + other).await;
    assert_eq!(
        (numbers(&job), errors(&job)),
        ([2, 0, 0, 1, 1], vec![(2, "/code")])
    );
    let detail = job["errors"][0]["detail"].as_str().unwrap();
    assert!(
        detail.contains("'t3'") && detail.contains("destination, name."),
        "{detail}"
    );
    owner.get("/tags/t9").await.problem(404);
}

#[tokio::test]
async fn a_chunk_with_a_bad_line_is_not_written_and_the_others_are() {
    let server = Server::start().await;
    let owner = server.owner();
    let file = tags(0..10_000)
        + &tags(10_000..15_000)
        + "\n{\n"
        + &tags(15_001..20_001)
        + &tags(20_001..20_003);
    let job = import(&owner, NDJSON, file).await;
    // A blank line counts for none: the second chunk has 5,000, the bad one, and 4,999.
    assert_eq!(numbers(&job), [20_003, 10_003, 0, 9_999, 1], "{job}");
    assert_eq!(errors(&job), [(15_002, "")]);
    for (code, status) in [
        ("t0", 200),
        ("t9999", 200),
        ("t10000", 404),
        ("t19999", 404),
        ("t20000", 200),
        ("t20002", 200),
    ] {
        assert_eq!(
            owner.get(&format!("/tags/{code}")).await.status,
            status,
            "{code}"
        );
    }
}

#[tokio::test]
async fn all_that_is_wrong_is_told_by_line_and_field() {
    let server = Server::start().await;
    let owner = server.owner();
    let other = server.other_tenant().await;
    other.tag("theirs").await;
    owner.tag("gone").await;
    owner.delete("/tags/gone").await.no_content();
    let lines = [
        (r#"{"destination": "https://example.com/"}"#, vec!["/code"]),
        (r#"{"code": "a"}"#, vec!["/destination"]),
        (
            r#"{"code": "a b", "destination": "ftp://x", "redirect_status": 200, "colour": 1, "version": 1}"#,
            vec![
                "/code",
                "/destination",
                "/redirect_status",
                "/colour",
                "/version",
            ],
        ),
        (
            r#"{"code": "b", "destination": "https://go.example.net/x"}"#,
            vec!["/destination"],
        ),
        (
            r#"{"code": "b", "destination": "http://localhost/"}"#,
            vec!["/destination"],
        ),
        (
            r#"{"code": "b", "destination": "https://example.com/", "fallback_url": "javascript:alert(1)"}"#,
            vec!["/fallback_url"],
        ),
        (
            r#"{"code": "b", "destination": "https://example.com/", "domain": "other.example.org"}"#,
            vec!["/domain"],
        ),
        (
            r#"{"code": "b", "destination": "https://example.com/", "code": "c"}"#,
            vec!["/code"],
        ),
        (
            r#"{"code": "b", "destination": "https://example.com/", "name": "a\u0000"}"#,
            vec!["/name"],
        ),
        (
            r#"{"code": "b", "destination": "https://example.com/", "labels": ["", 1]}"#,
            vec!["/labels/0", "/labels/1"],
        ),
        (
            r#"{"code": "b", "destination": "https://example.com/", "status": "revoked"}"#,
            vec!["/status"],
        ),
        (
            r#"{"code": "theirs", "destination": "https://example.com/theirs"}"#,
            vec!["/code"],
        ),
        (
            r#"{"code": "gone", "destination": "https://example.com/gone"}"#,
            vec!["/code"],
        ),
        (
            r#"{"code": "import", "destination": "https://example.com/"}"#,
            vec!["/code"],
        ),
        (
            r#"{"code": "healthz", "destination": "https://example.com/"}"#,
            vec!["/code"],
        ),
        ("null", vec![""]),
        (
            "{\"code\": \"a\", \"destination\": \"https://example.com/\u{0}\"}",
            vec![""],
        ),
    ];
    let file: String = lines.iter().map(|(line, _)| format!("{line}\n")).collect();
    let expected: Vec<(u64, &str)> = lines
        .iter()
        .zip(1..)
        .flat_map(|((_, pointers), line)| pointers.iter().map(move |pointer| (line, *pointer)))
        .collect();
    for job in [
        try_out(&owner, NDJSON, file.clone()).await,
        import(&owner, NDJSON, file.clone()).await,
    ] {
        assert_eq!(errors(&job), expected);
        assert_eq!(numbers(&job), [17, 0, 0, 0, 17]);
        assert_eq!(job["error_count"], 22);
        for error in job["errors"].as_array().unwrap() {
            assert_ne!(error["detail"], "");
        }
        assert_eq!(job["status"], "done");
    }
    let text = import(&owner, NDJSON, file).await.to_string();
    assert!(
        !text.contains("Another"),
        "what is another tenant's is not told: {text}"
    );
    assert_eq!(
        codes(&owner.get("/tags?status=active").await.ok()),
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let server = Server::start().await;
    let owner = server.owner();
    owner.tag("t1").await;
    let job = try_out(&owner, NDJSON, tags(0..4)).await;
    assert_eq!(
        (numbers(&job), &job["dry_run"]),
        ([4, 3, 1, 0, 0], &json!(true))
    );
    assert_eq!(codes(&owner.get("/tags").await.ok()), ["t1"]);
    // A name that comes again in another chunk, with another destination or the same.
    let other = r#"{"code": "t5", "destination": "https://example.com/other"}"#;
    let job = try_out(&owner, NDJSON, tags(2..10_002) + &tags(7..8) + other).await;
    assert_eq!(numbers(&job), [10_002, 10_000, 1, 0, 1], "{job}");
    assert_eq!(errors(&job), [(10_002, "/code")]);
    // As the import itself has it.
    let job = import(&owner, NDJSON, tags(2..10_002) + &tags(7..8) + other).await;
    assert_eq!(numbers(&job), [10_002, 10_000, 1, 0, 1], "{job}");
}

#[tokio::test]
async fn a_thousand_errors_are_kept_and_all_are_counted() {
    let server = Server::start().await;
    let owner = server.owner();
    let name = "x".repeat(100_000);
    let huge =
        format!("{{\"code\": \"a\", \"destination\": \"https://example.com/\", \"{name}\": 1}}\n");
    let job = import(&owner, NDJSON, huge.repeat(20) + &"{\n".repeat(3_000)).await;
    assert_eq!(
        (&job["error_count"], numbers(&job)),
        (&json!(3_020), [3_020, 0, 0, 0, 3_020])
    );
    assert_eq!(job["errors"].as_array().unwrap().len(), 1_000);
    assert!(job.to_string().len() < 500_000);
}

#[tokio::test]
async fn a_header_that_is_wrong_fails_the_whole_file() {
    let server = Server::start().await;
    let owner = server.owner();
    for (file, pointers) in [
        (
            "code;destination\na;https://example.com/\n",
            vec![(1, "/code;destination")],
        ),
        (
            "code,code,short_url,colour\n",
            vec![(1, "/code"), (1, "/short_url"), (1, "/colour")],
        ),
        ("", vec![(1, "")]),
    ] {
        let job = import(&owner, CSV, file).await;
        assert_eq!(
            (&job["status"], errors(&job)),
            (&json!("failed"), pointers),
            "{file}"
        );
        assert_ne!(job["detail"], Value::Null);
    }
    let utf16: Vec<u8> = "\u{feff}code,destination\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    assert_eq!(import(&owner, CSV, utf16).await["status"], "failed");
    assert_eq!(
        numbers(&import(&owner, CSV, "code,destination\n").await),
        [0; 5]
    );
    assert_eq!(import(&owner, NDJSON, "").await["status"], "done");
}

#[tokio::test]
async fn what_is_not_a_file_of_tags_is_refused_before_it_is_read() {
    let server = Server::start().await;
    let owner = server.owner();
    for kind in [
        "application/json",
        "text/csv; charset=iso-8859-1",
        "text/plain",
        "application/gzip",
        "",
    ] {
        owner
            .upload("/tags/import", kind, tags(0..1))
            .await
            .problem(415);
    }
    let compressed = owner
        .request(reqwest::Method::POST, "/tags/import")
        .header("content-type", NDJSON)
        .header("content-encoding", "gzip")
        .body("x");
    owner.send(compressed).await.problem(415);
    for query in [
        "?dry_run=yes",
        "?dry_run=",
        "?dry=true",
        "?dry_run=true&dry_run=true",
    ] {
        let answer = owner
            .upload(&format!("/tags/import{query}"), NDJSON, tags(0..1))
            .await;
        answer.problem(400);
    }
    assert_eq!(codes(&owner.get("/tags").await.ok()), Vec::<String>::new());
    assert_eq!(
        std::fs::read_dir(server.data_dir.join("jobs")).map_or(0, Iterator::count),
        0
    );
}

#[tokio::test]
async fn an_upload_that_is_cut_off_leaves_nothing_behind() {
    use tokio::io::AsyncWriteExt;
    let server = Server::start().await;
    let address = server.url.strip_prefix("http://").unwrap();
    let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /api/v1/tags/import HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\nContent-Type: {NDJSON}\r\nContent-Length: 1000000\r\n\r\n",
        server.first_key()
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    connection.write_all(tags(0..100).as_bytes()).await.unwrap();
    let folder = server.data_dir.join("jobs");
    let files = || std::fs::read_dir(&folder).map_or(0, Iterator::count);
    server.until("the upload has begun", || files() == 1).await;
    drop(connection);
    server
        .until("the upload is taken away", || files() == 0)
        .await;
    assert_eq!(
        codes(&server.owner().get("/tags").await.ok()),
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn an_upload_that_does_not_come_is_given_up() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let timeouts = admin::Timeouts {
        body: std::time::Duration::from_millis(500),
        ..admin::Timeouts::default()
    };
    let server = Server::start_within(timeouts).await;
    let address = server.url.strip_prefix("http://").unwrap();
    let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /api/v1/tags/import HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\nContent-Type: {NDJSON}\r\nContent-Length: 1000000\r\n\r\n",
        server.first_key()
    );
    connection
        .write_all((head + &tags(0..10)).as_bytes())
        .await
        .unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert_eq!(
        std::fs::read_dir(server.data_dir.join("jobs"))
            .unwrap()
            .count(),
        0
    );
}

#[tokio::test]
async fn a_job_is_its_own_workspaces_and_ends_with_its_key() {
    let server = Server::start().await;
    let owner = server.owner();
    let other = server.other_tenant().await;
    let job = import(&owner, NDJSON, tags(0..2)).await;
    let path = format!("/tags/import/{}", job["id"].as_str().unwrap());
    other.get(&path).await.problem(404);
    owner.get("/tags/import/job_none").await.problem(404);
    owner.get(&format!("{path}?x=1")).await.problem(400);
    for (role, may) in [("viewer", false), ("analyst", false), ("editor", true)] {
        let api = server.with_role(&owner, role).await;
        let answers = [
            api.get(&path).await,
            api.upload("/tags/import?dry_run=true", NDJSON, tags(0..1))
                .await,
        ];
        for answer in answers {
            assert_eq!(answer.status.as_u16() != 403, may, "{role}");
        }
    }
    // On the default domain the codes are the first one's.
    let theirs = import(&other, NDJSON, tags(1..3)).await;
    assert_eq!(
        (numbers(&theirs), errors(&theirs)),
        ([2, 0, 0, 1, 1], vec![(1, "/code")])
    );
}

#[tokio::test]
async fn four_jobs_of_a_workspace_are_under_way_at_a_time() {
    use tokio::io::AsyncWriteExt;
    let server = Server::start().await;
    let owner = server.owner();
    let address = server.url.strip_prefix("http://").unwrap();
    let mut open = Vec::new();
    for _ in 0..4 {
        let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
        let head = format!(
            "POST /api/v1/tags/import HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\nContent-Type: {NDJSON}\r\nContent-Length: 9\r\n\r\n",
            server.first_key()
        );
        connection.write_all(head.as_bytes()).await.unwrap();
        open.push(connection);
    }
    let folder = server.data_dir.join("jobs");
    let uploads = || std::fs::read_dir(&folder).map_or(0, Iterator::count);
    server
        .until("four uploads have begun", || uploads() == 4)
        .await;
    let refused = owner.upload("/tags/import", NDJSON, tags(0..1)).await;
    refused.problem(429);
    assert_ne!(refused.header("retry-after"), "");
    let other = server.other_tenant().await;
    assert_eq!(
        numbers(&import(&other, NDJSON, tags(0..1)).await),
        [1, 1, 0, 0, 0]
    );
    drop(open);
    server
        .until("the uploads are taken away", || uploads() == 1)
        .await;
    assert_eq!(
        numbers(&import(&owner, NDJSON, tags(1..2)).await),
        [1, 1, 0, 0, 0]
    );
}

#[tokio::test]
async fn an_edit_of_a_code_that_is_being_imported_comes_after_it() {
    let server = Server::start().await;
    let owner = server.owner();
    let importing = tokio::spawn({
        let owner = owner.clone();
        async move { import(&owner, NDJSON, tags(0..3_000)).await }
    });
    let mut made = 0;
    for number in 0..3_000 {
        if importing.is_finished() {
            break;
        }
        let fields =
            json!({"code": format!("t{number}"), "destination": "https://example.com/mine"});
        let answer = owner.post("/tags", fields).await;
        assert!(
            [201, 409].contains(&answer.status.as_u16()),
            "{}",
            answer.text()
        );
        made += u64::from(answer.status == 201);
    }
    let job = importing.await.unwrap();
    // Either all of the file, or none, since one of its codes was there before.
    if job["invalid"] == 0 {
        assert_eq!((numbers(&job), made), ([3_000, 3_000, 0, 0, 0], 0));
    } else {
        assert_eq!(job["created"], 0, "{job}");
    }
    for number in 0..made {
        let versions = owner.get(&format!("/tags/t{number}/versions")).await.ok();
        assert_eq!(versions["items"].as_array().unwrap().len(), 1);
    }
}
