//! Starts that fail, and what they say.

use std::net::{SocketAddr, TcpListener};

use edge::{EdgeMetrics, EdgeOptions, EdgeServer, StartError};
use prometheus::Registry;

use crate::fixture::{Edge, table};

#[test]
fn a_port_in_use_is_named_before_anything_starts() {
    let edge = Edge::start();
    let taken = edge.server.addresses()[0];
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let metrics = EdgeMetrics::register(&Registry::new()).unwrap();
    let error = EdgeServer::start(
        EdgeOptions::new(vec![free, taken]),
        table(),
        &edge.scans.log,
        &metrics,
    )
    .err()
    .unwrap();
    assert!(matches!(error, StartError::Bind { address, .. } if address == taken));
    assert!(error.to_string().contains(&taken.to_string()), "{error}");
    TcpListener::bind(free).expect("the other address was let go again");
}

#[test]
fn nowhere_to_listen_is_an_error() {
    let edge = Edge::start();
    let metrics = EdgeMetrics::register(&Registry::new()).unwrap();
    let error = EdgeServer::start(EdgeOptions::new(vec![]), table(), &edge.scans.log, &metrics)
        .err()
        .unwrap();
    assert!(matches!(error, StartError::NoAddress));
}

#[test]
fn one_server_listens_on_many_addresses() {
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let edge = Edge::with(table(), |options| {
        options.listen = vec![any, "[::1]:0".parse().unwrap(), any]
    });
    for address in edge.server.addresses() {
        let mut client = crate::fixture::Client::connect(*address);
        client.send(b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\n\r\n");
        assert_eq!(client.response(false).unwrap().status, 302, "{address}");
    }
}
