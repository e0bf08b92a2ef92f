//! One edge takes the place of another: what may go wrong before it does. Without Kafka no edge gets ready, so that each of these moments
//! lasts; upgrades that come to their end are under `tests/faults`.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use crate::support::{DEADLINE, Process, Start, client, data_dir};

/// Nobody listens there: ports below 1024 take a privilege, and this one has no service that anyone runs.
const KAFKA: &str = "127.0.0.1:1";
const HELLO: &str = r#"{"hello":{"protocol":1,"version":"0.0.0"}}"#;

/// An edge, and how one is started that takes its place.
async fn running(data: &Path) -> (Process, Start) {
    let start = Start::edge("edge-1", data, KAFKA);
    let process = start.spawn().await;
    process.logs("edge started").await;
    let upgrade = start.on_addresses_of(&process.addresses).arg("--upgrade");
    until_listening(data);
    (process, upgrade)
}

fn socket(data: &Path) -> PathBuf {
    data.join("upgrade/socket")
}

fn until_listening(data: &Path) {
    let deadline = std::time::Instant::now() + DEADLINE;
    while !socket(data).exists() {
        assert!(std::time::Instant::now() < deadline, "no socket");
        std::thread::yield_now();
    }
}

async fn health(process: &Process) -> u16 {
    let request = client().get(process.redirect_url("/healthz"));
    request.send().await.unwrap().status().as_u16()
}

/// Says this by the socket; the answer's first line.
fn say(data: &Path, words: &[u8]) -> String {
    let mut stream = UnixStream::connect(socket(data)).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let _ = stream.write_all(words); // it may close before it has read all
    let mut answer = String::new();
    let _ = BufReader::new(stream).read_line(&mut answer); // as above
    answer
}

#[tokio::test]
async fn a_new_edge_that_is_gone_before_it_is_ready_leaves_the_running_one_as_it_was() {
    let data = data_dir();
    let (running, upgrade) = running(data.path()).await;

    let new = upgrade.spawn().await;
    running.logs("is about to take the place").await;
    let second = upgrade.refused().await;
    assert_eq!(second.code, Some(1), "{}", second.stderr);
    assert!(
        second.stderr.contains("is about to take its place"),
        "{}",
        second.stderr
    );
    new.kill().await;
    running.logs("this one goes on").await;
    assert_eq!(health(&running).await, 200);
    let attempts = "tagwire_edge_upgrades_total";
    assert_eq!(running.metric(attempts).await, 2.0);

    // Its turn is free again; and SIGTERM ends it as it would end any other.
    let third = upgrade.spawn().await;
    let ended = third.terminate().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    while running.metric(attempts).await < 3.0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(health(&running).await, 200);
    let ended = running.terminate().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(!socket(data.path()).exists());
}

#[tokio::test]
async fn a_running_edge_survives_whatever_comes_by_its_socket() {
    let data = data_dir();
    let (running, _) = running(data.path()).await;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data.path().join("upgrade")), 0o700);
    assert_eq!(mode(&socket(data.path())), 0o600);

    let silent = UnixStream::connect(socket(data.path())).unwrap();
    let endless = [b'{'; 100_000];
    for (words, answer) in [
        (&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], "something else"),
        (&[0, 255, b'\n'], "something else"),
        (&endless, ""),
        (b"\"serving\"\n", "hello first"),
        (b"{\"hello\":{}}\n", "something else"),
        (
            b"{\"hello\":{\"protocol\":99,\"version\":\"9.9\",\"more\":[]}}\n",
            "9.9 speaks protocol 99",
        ),
    ] {
        let heard = say(data.path(), words);
        assert!(heard.contains(answer), "{heard:?} instead of {answer:?}");
        assert!(!heard.contains("offer"), "{heard:?}");
    }
    let offer = say(data.path(), format!("{HELLO}\n").as_bytes());
    assert!(offer.contains("offer"), "{offer:?}");
    let redirects = running.addresses.redirects.unwrap().to_string();
    assert!(offer.contains(&redirects), "{offer:?}");
    running.logs("this one goes on").await;

    // Offered to one that then says what nobody should.
    let heard = say(data.path(), format!("{HELLO}\n\"ending\"\n").as_bytes());
    assert!(heard.contains("offer"), "{heard:?}");
    assert_eq!(health(&running).await, 200);
    drop(silent);
    assert_eq!(running.terminate().await.code, Some(0));
}

#[tokio::test]
async fn when_the_running_edge_ends_by_itself_the_new_one_serves() {
    let data = data_dir();
    let (running, upgrade) = running(data.path()).await;
    let new = upgrade.spawn().await;
    running.logs("is about to take the place").await;
    let ended = running.terminate().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    new.logs("before this one took its place").await;
    assert_eq!(health(&new).await, 200);
    assert_eq!(new.readyz().await.0, 503);
    new.logs("the edge before has ended").await;

    // It holds what the one before held, and may be replaced as that might.
    let data_path = data.path().display().to_string();
    let other = Start::edge("edge-1", data.path(), KAFKA).refused().await;
    assert!(
        other
            .stderr
            .contains(&format!("{data_path} is used by another")),
        "{}",
        other.stderr
    );
    until_listening(data.path());
    let newest = upgrade.spawn().await;
    new.logs("is about to take the place").await;
    new.kill().await;
    newest.logs("before this one took its place").await;
    assert_eq!(health(&newest).await, 200);
    assert_eq!(newest.terminate().await.code, Some(0));
}

#[tokio::test]
async fn addresses_that_are_new_are_bound_and_those_that_are_gone_are_closed() {
    let data = data_dir();
    let [kept, gone, new] = free_addresses();
    let listen = |one, other| {
        let start = Start::edge("edge-1", data.path(), KAFKA);
        start.env("TAGWIRE_EDGE__LISTEN", format!("{one},{other}"))
    };
    let running = listen(kept, gone).spawn().await;
    until_listening(data.path());
    let successor = listen(new, kept).arg("--upgrade").spawn().await;
    running.logs("is about to take the place").await;
    assert_eq!(running.terminate().await.code, Some(0));
    successor.logs("the edge before has ended").await;
    for address in [kept, new] {
        let request = client().get(format!("http://{address}/healthz")).send();
        assert_eq!(request.await.unwrap().status(), 200, "{address}");
    }
    TcpListener::bind(gone).expect("nobody listens there any more");
    assert_eq!(successor.terminate().await.code, Some(0));
}

fn free_addresses() -> [SocketAddr; 3] {
    let sockets = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    sockets.map(|socket| socket.local_addr().unwrap())
}

#[tokio::test]
async fn where_no_edge_runs_an_upgrade_is_a_start() {
    let data = data_dir();
    let (running, upgrade) = running(data.path()).await;
    running.kill().await;
    assert!(socket(data.path()).exists(), "nobody listens there");
    let process = upgrade.spawn().await;
    assert_eq!(health(&process).await, 200);
    process.logs("this one starts as usual").await;
    assert_eq!(process.terminate().await.code, Some(0));
}

#[tokio::test]
async fn a_standalone_says_that_it_cannot_be_replaced_so() {
    let data = data_dir();
    let start = Start::standalone(data.path()).arg("--upgrade");
    let refused = start.refused().await;
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(
        refused
            .stderr
            .starts_with("tagwire: --upgrade is for `tagwire edge`"),
        "{}",
        refused.stderr
    );
}
