//! A limit of scans holds over restarts and kills: no number is given twice, and none is lost but those that were on their way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;
use tokio::task::JoinSet;

use crate::support::{IPHONE, Process, Start, client, data_dir, make_tag};

const LIMIT: u64 = 3_000;
/// Each has one request under way.
const CLIENTS: u64 = 8;

#[tokio::test]
async fn a_limit_is_kept_to_the_scan_over_kills_in_mid_load() {
    let data = data_dir();
    let process = Start::standalone(data.path()).run().await;
    let tag = json!({"code": "few", "destination": "https://example.com/", "max_scans": LIMIT});
    make_tag(&process, &tag).await;
    let redirected = Arc::<AtomicU64>::default();
    let again = Start::standalone(data.path()).on_addresses_of(&process.addresses);

    let mut process = process;
    for part in 1..=2 {
        let load = scan(&process, &redirected);
        while redirected.load(Ordering::Relaxed) < part * LIMIT / 3 {
            tokio::task::yield_now().await;
        }
        process.kill().await;
        load.join_all().await;
        process = again.run().await;
    }
    assert!(
        redirected.load(Ordering::Relaxed) < LIMIT,
        "it was killed in mid-load"
    );
    scan(&process, &redirected).join_all().await;
    let redirected = redirected.load(Ordering::Relaxed);
    // At each kill, some had a number and no answer yet.
    assert!(
        (LIMIT - 2 * CLIENTS..=LIMIT).contains(&redirected),
        "{redirected}"
    );

    process.kill().await;
    let process = again.run().await;
    assert_eq!(status(&process).await, 410);
    // What lies in memory may be lost with the machine.
    process.terminate().await;
    std::fs::remove_dir_all(data.path().join("hot")).unwrap();
    let process = again.run().await;
    assert_eq!(status(&process).await, 410);
}

/// Scans until the limit is reached, or the process is gone.
fn scan(process: &Process, redirected: &Arc<AtomicU64>) -> JoinSet<()> {
    let url = process.redirect_url("/few");
    let mut load = JoinSet::new();
    for _ in 0..CLIENTS {
        let (url, redirected, client) = (url.clone(), Arc::clone(redirected), client());
        load.spawn(async move {
            loop {
                let request = client.get(&url).header("User-Agent", IPHONE);
                match request.send().await.map(|answer| answer.status().as_u16()) {
                    Ok(302) => redirected.fetch_add(1, Ordering::Relaxed),
                    Ok(410) | Err(_) => return,
                    Ok(other) => panic!("{other}"),
                };
            }
        });
    }
    load
}

async fn status(process: &Process) -> u16 {
    let request = client().get(process.redirect_url("/few"));
    let request = request.header("User-Agent", IPHONE);
    request.send().await.unwrap().status().as_u16()
}
