//! Standalone from its first start to its end, and again.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::support::{IPHONE, Process, Start, client, data_dir, make_tag};

#[tokio::test]
async fn the_first_start_makes_a_key_and_says_what_to_do_next() {
    let data = data_dir();
    let process = Start::standalone(data.path()).run().await;
    let key_file = data.path().join("admin.key");
    assert_eq!(
        std::fs::metadata(&key_file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let said = process.says("/api/v1/analytics/scans").await;
    assert!(
        said.contains(key_file.to_str().unwrap()) && said.contains("curl "),
        "{said}"
    );
    let key = process.key();
    let health = client()
        .get(process.redirect_url("/healthz"))
        .send()
        .await
        .unwrap();
    assert_eq!(
        (
            health.status().as_u16(),
            health.text().await.unwrap().as_str()
        ),
        (200, "ok")
    );
    let ended = process.terminate().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(
        !ended.stdout.contains(&key) && !ended.stderr.contains(&key),
        "the key itself is never shown"
    );

    let again = Start::standalone(data.path()).run().await;
    assert_eq!(again.key(), key);
    let said = again.says("/metrics\n").await;
    assert!(!said.contains("What to do next"), "{said}");
}

#[tokio::test]
async fn load_balancers_are_told_of_the_end_while_it_still_answers() {
    let data = data_dir();
    let process = Start::standalone(data.path())
        .env("TAGWIRE_EDGE__DRAIN_DELAY", "30")
        .env("TAGWIRE_DRAIN__TIMEOUT", "100")
        .run()
        .await;
    process.signal(Signal::TERM);
    let health = || async {
        let answer = client().get(process.redirect_url("/healthz")).send().await;
        answer.expect("somebody listens").status()
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    while health().await != 503 {
        assert!(Instant::now() < deadline, "nobody is told");
    }
    for _ in 0..3 {
        assert_eq!(health().await, 503);
        let code = client().get(process.redirect_url("/nowhere")).send().await;
        assert_eq!(code.unwrap().status(), 404);
    }
    process.kill().await;
}

#[tokio::test]
async fn the_scan_log_lies_in_shared_memory_in_a_folder_of_the_data_directorys_own() {
    let data = data_dir();
    let path = data.path().canonicalize().unwrap();
    let hash = Sha256::digest(path.as_os_str().as_encoded_bytes());
    let hash: String = hash[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let folder = Path::new("/dev/shm").join(format!("tagwire-{hash}"));
    let process = Start::standalone(data.path())
        .without("TAGWIRE_SCAN_LOG__HOT")
        .run()
        .await;
    let mode = std::fs::metadata(&folder).unwrap().permissions().mode();
    process.terminate().await;
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(mode & 0o777, 0o700);
}

#[tokio::test]
async fn the_commands_that_it_shows_work_as_they_are() {
    let directory = data_dir();
    let process = Start::standalone(&directory.path().join("the data"))
        .run()
        .await;
    let said = process.says("/api/v1/analytics/scans").await;
    let next = said.split_once("keep it safe.\n").unwrap().1;
    let (make, count) = next.split_once("The answer ").unwrap();
    let count = count.split_once('\n').unwrap().1;
    let shell = |command: &str| {
        let done = std::process::Command::new("sh")
            .arg("-c")
            .arg(command)
            .output()
            .unwrap();
        serde_json::from_slice::<Value>(&done.stdout)
            .unwrap_or_else(|_| panic!("{command}: {done:?}"))
    };
    let tag = shell(make);
    let short_url = tag["short_url"].as_str().unwrap_or_else(|| panic!("{tag}"));
    let redirect = client().get(short_url).send().await.unwrap();
    assert_eq!(redirect.headers()["location"], "https://example.com/");
    assert!(shell(count)["total"].is_u64());
}

#[tokio::test]
async fn an_answered_scan_is_stored_before_the_process_ends() {
    let data = data_dir();
    let process = Start::standalone(data.path()).run().await;
    make_tag(
        &process,
        &json!({"code": "spring", "destination": "https://example.com/spring"}),
    )
    .await;
    for _ in 0..20 {
        let scan = client()
            .get(process.redirect_url("/spring"))
            .header("User-Agent", IPHONE)
            .send()
            .await
            .unwrap();
        assert_eq!(scan.status(), 302);
    }
    let addresses = process.addresses;
    process.end_with_every_scan_delivered().await;

    let again = Start::standalone(data.path())
        .on_addresses_of(&addresses)
        .run()
        .await;
    let report = client()
        .get(again.api_url("/analytics/scans?code=spring"))
        .bearer_auth(again.key())
        .send()
        .await
        .unwrap();
    assert_eq!(report.json::<Value>().await.unwrap()["total"], 20);
}

#[tokio::test]
async fn the_demo_redirects_and_shows_its_symbol_and_how_a_phone_gets_there() {
    let data = data_dir();
    let demo = Start::standalone(data.path()).arg("--demo");
    let process = demo.run().await;
    let said = process.says("--public-url http://").await;
    let short_url = process.redirect_url("/demo");
    assert!(
        said.contains(&format!("The demo tag: {short_url}\n")),
        "{said}"
    );
    assert!(said.contains('\u{2588}'), "no symbol: {said}");
    let port = process.addresses.redirects.unwrap().port();
    assert!(
        said.contains(&format!("--listen 0.0.0.0:{port} --public-url http://")),
        "{said}"
    );
    let redirect = client().get(short_url).send().await.unwrap();
    assert_eq!(
        (redirect.status().as_u16(), &redirect.headers()["location"]),
        (302, &"https://example.com/".parse().unwrap())
    );
    process.terminate().await;
    demo.run().await.says("The demo tag: ").await;
}

#[tokio::test]
async fn listening_on_every_address_shows_one_that_others_can_open() {
    let data = data_dir();
    let start = Start::standalone(data.path())
        .arg("--demo")
        .env("TAGWIRE_EDGE__LISTEN", "0.0.0.0:0");
    let process = start.run().await;
    let said = process.says("The demo tag: ").await;
    let port = process.addresses.redirects.unwrap().port();
    assert!(
        said.contains(&format!(":{port}/demo")) && !said.contains("http://0.0.0.0"),
        "{said}"
    );
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_up_the_end() {
    let data = data_dir();
    let process = Start::standalone(data.path())
        .env("TAGWIRE_DRAIN__TIMEOUT", "86400")
        .run()
        .await;
    let _idle = TcpStream::connect(process.addresses.redirects.unwrap())
        .await
        .unwrap();
    let _idle_api = TcpStream::connect(process.addresses.api.unwrap())
        .await
        .unwrap();
    let ended = process.terminate().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[tokio::test]
async fn a_signal_that_comes_twice_at_once_is_one_and_drains() {
    let data = data_dir();
    let process = Start::standalone(data.path()).run().await;
    process.signal(Signal::TERM);
    process.signal(Signal::TERM);
    let ended = process.ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("\"drained\""), "{}", ended.stderr);
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let data = data_dir();
    let process = Start::standalone(data.path())
        .env("TAGWIRE_EDGE__HEAD_TIMEOUT", "86400")
        .env("TAGWIRE_DRAIN__TIMEOUT", "86400")
        .run()
        .await;
    let _unfinished = unfinished_request(&process).await;
    process.signal(Signal::INT);
    process.logs("draining").await;
    process.not_ready("draining", "about to end").await;
    process
        .logs("a further signal ends the process at once")
        .await;
    process.signal(Signal::TERM);
    let ended = process.ended().await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("second signal"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_client_that_does_not_finish_is_cut_off_at_the_deadline() {
    let data = data_dir();
    let process = Start::standalone(data.path())
        .env("TAGWIRE_EDGE__HEAD_TIMEOUT", "86400")
        .env("TAGWIRE_DRAIN__TIMEOUT", "1")
        .run()
        .await;
    let _unfinished = unfinished_request(&process).await;
    let ended = process.terminate().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("cut off connections"),
        "{}",
        ended.stderr
    );
}

/// A connection in the middle of a request, which the edge has begun to read: a first request on it has been answered.
async fn unfinished_request(process: &Process) -> TcpStream {
    use tokio::io::AsyncReadExt as _;
    let mut stream = TcpStream::connect(process.addresses.redirects.unwrap())
        .await
        .unwrap();
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /healthz HTTP/1.1\r\n")
        .await
        .unwrap();
    let mut answer = [0; 512];
    assert!(stream.read(&mut answer).await.unwrap() > 0);
    stream
}
