//! `tagwire analytics rebuild` over a standalone's scans, while that runs.

use std::time::Instant;

use serde_json::json;

use crate::commands::{Installation, run};
use crate::support::{DEADLINE, IPHONE, client, data_dir};

#[tokio::test]
async fn rollups_are_computed_anew_beside_the_process_that_stores() {
    let here = Installation::start().await;
    let tag = ["tags", "create", "https://example.com/", "--code", "spring"];
    here.run(&tag).await.ok();
    let scan = client().get(here.process.redirect_url("/spring"));
    let scan = scan.header("User-Agent", IPHONE).send().await.unwrap();
    assert_eq!(scan.status(), 302);
    let deadline = Instant::now() + DEADLINE;
    while here.process.metric("tagwire_sink_rows_total").await < 1.0 {
        assert!(Instant::now() < deadline, "the scan is not stored");
    }

    // Three hours ago, when nobody scanned: an hour that is over.
    let file = rusqlite::Connection::open(here.data.path().join("scans.sqlite")).unwrap();
    let before = "UPDATE scans SET time = time - 3 * 3600000000;
        INSERT INTO rollup_periods SELECT time / 3600000000, FALSE, NULL FROM scans";
    file.execute_batch(before).unwrap();
    let computed = || {
        let scans = "SELECT sum(scans), count(*) FROM scans_1h_tags WHERE code = 'spring'";
        let read = |line: &rusqlite::Row<'_>| Ok((line.get(0)?, line.get(1)?));
        file.query_row::<(Option<i64>, i64), _, _>(scans, [], read)
    };
    for _ in 0..2 {
        let told = here.run(&["analytics", "rebuild", "--json"]).await.json();
        assert_eq!(told["hours"], 1, "{told}");
        assert_eq!(computed(), Ok((Some(1), 1)), "replaced, not added to");
    }
    let told = here.run(&["analytics", "rebuild"]).await;
    let words = "Hours computed: 1, in ";
    assert!(told.stderr.contains(words), "{}", told.stderr);
    let elsewhen = ["analytics", "rebuild", "--to", "2026-01-01T00:00:00Z"];
    let told = here.run(&[&elsewhen[..], &["--json"]].concat()).await;
    let told = told.json();
    assert_eq!((&told["hours"], &told["later"]), (&json!(0), &json!(0)));
    let failures = here.process.metric("tagwire_rollup_failures_total").await;
    assert_eq!(failures, 0.0);
}

#[tokio::test]
async fn what_cannot_be_computed_is_refused_by_its_name() {
    let data = data_dir();
    let environment = [("TAGWIRE_NODE__DATA_DIR", data.path().to_str().unwrap())];
    let rebuild = ["analytics", "rebuild"];
    for (arguments, words) in [
        (&["--from", "yesterday"][..], "RFC 3339"),
        (
            &[
                "--from",
                "2026-11-29T00:00:00Z",
                "--to",
                "2026-11-28T00:00:00Z",
            ],
            "--to (2026-11-28T00:00:00Z) must be after --from (2026-11-29T00:00:00Z)",
        ),
    ] {
        let refused = run(&environment, &[&rebuild, arguments].concat()).await;
        assert_eq!(refused.code, Some(2), "{}", refused.stderr);
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
    }
    let nothing = run(&environment, &rebuild).await.failed();
    assert!(nothing.contains("clickhouse.url is not set"), "{nothing}");
    let file = data.path().join("scans.sqlite");
    assert!(!file.exists(), "nothing is made");
    std::fs::write(&file, b"").unwrap();
    let empty = run(&environment, &rebuild).await.failed();
    assert!(empty.contains("schema has version 0"), "{empty}");
}
