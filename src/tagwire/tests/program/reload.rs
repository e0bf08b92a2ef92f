//! SIGHUP: what a running process takes from a configuration that has changed.

use rustix::process::Signal;
use tokio::net::TcpStream;

use crate::support::{Start, client, data_dir};

/// Nobody listens there: ports below 1024 take a privilege, and this one has no service that anyone runs.
const KAFKA: &str = "127.0.0.1:1";

#[tokio::test]
async fn a_changed_configuration_is_taken_where_it_can_be_and_a_broken_one_is_refused() {
    let data = data_dir();
    let file = data.path().join("tagwire.toml");
    let write = |text: &str| std::fs::write(&file, text).unwrap();
    write("[edge]\nmax_connections = 100\n[log]\nfilter = \"info\"\n");
    let start = Start::edge("edge-1", data.path(), KAFKA).arg("--config");
    let process = start.arg(&file).spawn().await;
    let health = async || {
        let request = client().get(process.redirect_url("/healthz"));
        request.send().await.map(|answer| answer.status().as_u16())
    };

    write("[edge]\nmax_connections = 0\n");
    process.signal(Signal::HUP);
    let refused = process.logs("is refused; all stays as it was").await;
    assert!(
        refused.to_string().contains("edge.max_connections is"),
        "{refused}"
    );
    assert_eq!(health().await.unwrap(), 200);

    write("[edge]\nmax_connections = 1\n[log]\nfilter = \"warn\"\n");
    process.signal(Signal::HUP);
    let restart = process.logs("only a restart takes it").await;
    assert!(restart.to_string().contains("log.filter"), "{restart}");
    let taken = |line: &&str| line.contains("read anew\"") && line.contains("edge.max_connections");
    assert!(
        process.stderr().lines().any(|line| taken(&line)),
        "{}",
        process.stderr()
    );
    let holding = TcpStream::connect(process.addresses.redirects.unwrap())
        .await
        .unwrap();
    holding.writable().await.unwrap();
    holding
        .try_write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    holding.readable().await.unwrap();
    assert!(health().await.is_err(), "there is one already");
    drop(holding);
    let ended = process.terminate().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}
