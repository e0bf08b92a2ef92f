//! `tagwire ledger` over a standalone's scans: exact when nothing is lost, and 1 when something is.

use std::time::Instant;

use serde_json::{Value, json};

use crate::commands::{Installation, run};
use crate::support::{DEADLINE, IPHONE, client, data_dir};

const SCANS: u64 = 25;

#[tokio::test]
async fn what_was_accepted_is_stored_and_a_scan_that_goes_missing_is_told() {
    let here = Installation::start().await;
    let tag = ["tags", "create", "https://example.com/", "--code", "spring"];
    here.run(&tag).await.ok();
    for _ in 0..SCANS {
        let scan = client().get(here.process.redirect_url("/spring"));
        let scan = scan.header("User-Agent", IPHONE).send().await.unwrap();
        assert_eq!(scan.status(), 302);
    }
    // It may look while the process that it judges goes on.
    let deadline = Instant::now() + DEADLINE;
    let exact = loop {
        let told = here.run(&["ledger", "--json"]).await.json();
        if told["total"]["accepted"] == SCANS {
            break told;
        }
        assert!(Instant::now() < deadline, "{told}");
    };
    for (name, number) in [
        ("stored", json!(SCANS)),
        ("rows", json!(SCANS)),
        ("dropped", json!({})),
        ("missing", json!(0)),
        ("unexplained", json!(0)),
        ("duplicates", json!(0)),
    ] {
        assert_eq!(exact["total"][name], number, "{name} in {exact}");
    }
    assert_eq!(
        (&exact["verdict"], &exact["under_way"]["batches"]),
        (&json!("exact"), &json!(0))
    );

    let table = here.run(&["ledger"]).await;
    assert!(table.stderr.starts_with("Exact: "), "{}", table.stderr);
    let table = table.ok();
    assert!(table.starts_with("EDGE"), "{table}");
    let all: Vec<_> = table.lines().last().unwrap().split_whitespace().collect();
    assert_eq!(
        all,
        ["all", "25", "25", "0", "0", "0", "0", "0", "0", "0"],
        "{table}"
    );
    let of_workspace = here
        .run(&["ledger", "--workspace", "default", "--json"])
        .await
        .json();
    assert_eq!(
        of_workspace["total"],
        json!({"stored": SCANS, "rows": SCANS, "duplicates": 0})
    );
    assert_eq!(of_workspace["verdict"], "no_duplicates");
    let before = ["ledger", "--to", "2026-01-01T00:00:00Z", "--json"];
    assert_eq!(here.run(&before).await.json()["verdict"], "nothing");

    let file = rusqlite::Connection::open(here.data.path().join("scans.sqlite")).unwrap();
    let deleted = file.execute(
        "DELETE FROM scans WHERE rowid = (SELECT min(rowid) FROM scans)",
        [],
    );
    assert_eq!(deleted, Ok(1));
    let differs = here.run(&["ledger", "--json"]).await;
    let report: Value = serde_json::from_str(&differs.stdout).unwrap();
    let told: Value = serde_json::from_str(&differs.failed()).unwrap();
    assert!(
        told["detail"]
            .as_str()
            .unwrap()
            .contains("nothing explains: 1"),
        "{told}"
    );
    let total = &report["total"];
    assert_eq!(
        (
            &report["verdict"],
            &total["stored"],
            &total["missing"],
            &total["unexplained"]
        ),
        (&json!("differs"), &json!(SCANS - 1), &json!(1), &json!(1))
    );
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_by_its_name() {
    let data = data_dir();
    let environment = [("TAGWIRE_NODE__DATA_DIR", data.path().to_str().unwrap())];
    for (arguments, words) in [
        (
            &["--from", "yesterday"][..],
            &["--from", "RFC 3339", "2026-11-29T06:00:00Z"][..],
        ),
        (&["--to", "2026-11-29"], &["--to", "RFC 3339"]),
        (
            &[
                "--from",
                "2026-11-29T00:00:00Z",
                "--to",
                "2026-11-29T01:00:00+01:00",
            ],
            &["--to (2026-11-29T00:00:00Z) must be after --from (2026-11-29T00:00:00Z)"],
        ),
        (
            &["--workspace", "No Name"],
            &["--workspace", "1 to 64 characters of a-z"],
        ),
    ] {
        let refused = run(&environment, &[&["ledger"], arguments].concat()).await;
        assert_eq!(refused.code, Some(2), "{}", refused.stderr);
        for word in words {
            assert!(refused.stderr.contains(word), "{word}: {}", refused.stderr);
        }
    }
    let nothing = run(&environment, &["ledger"]).await.failed();
    assert!(
        nothing.contains("clickhouse.url is not set") && nothing.contains("scans.sqlite"),
        "{nothing}"
    );
    assert!(
        !data.path().join("scans.sqlite").exists(),
        "looking makes nothing"
    );
    std::fs::write(data.path().join("scans.sqlite"), b"").unwrap();
    let empty = run(&environment, &["ledger"]).await.failed();
    assert!(empty.contains("schema has version 0"), "{empty}");
    // Port 1 (tcpmux) is served nowhere.
    let away = [("TAGWIRE_CLICKHOUSE__URL", "http://127.0.0.1:1")];
    let told = run(&away, &["ledger"]).await.failed();
    assert!(told.contains("the scan store is not available"), "{told}");
}
