//! Listening sockets that one server opens and another goes on with: nobody in their queues notices.

use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::thread;
use std::time::Duration;

use edge::{Drained, EdgeMetrics, EdgeOptions, EdgeServer, Inherited};
use prometheus::Registry;
use tokio::sync::watch;

use crate::fixture::{Client, Edge, shown, table};

const SCAN: &[u8] = b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\n\r\n";
const HEALTH: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: qr.example.com\r\n\r\n";
const FOR_ANSWERS: Duration = Duration::from_secs(20);

/// A server on the sockets of another, which it does not accept from before it is told.
fn beside(edge: &Edge) -> (EdgeServer, watch::Sender<bool>) {
    beside_and_counting(edge, &Registry::new())
}

fn beside_and_counting(edge: &Edge, registry: &Registry) -> (EdgeServer, watch::Sender<bool>) {
    let (begin, begins) = watch::channel(false);
    let sockets = edge.server.sockets().iter();
    let sockets = sockets.map(|socket| socket.try_clone().unwrap());
    let unused = TcpListener::bind("127.0.0.1:0").unwrap();
    let inherited = Inherited::new(sockets.chain([unused]), begins).unwrap();
    let mut options = EdgeOptions::new(edge.server.addresses().to_vec());
    options.threads = NonZeroUsize::new(1);
    let metrics = EdgeMetrics::register(registry).unwrap();
    let server = EdgeServer::start_with(inherited, options, table(), &edge.scans.log, &metrics);
    (server.unwrap(), begin)
}

fn status(client: &mut Client) -> u16 {
    client.response(false).unwrap().status
}

#[test]
fn who_waits_in_the_queue_of_an_inherited_socket_is_answered_by_the_one_who_begins() {
    let edge = Edge::start();
    let address = edge.server.addresses()[0];
    let (successor, begin) = beside(&edge);
    assert_eq!(successor.addresses(), [address]);
    for _ in 0..8 {
        let mut client = Client::connect(address);
        client.send(SCAN);
        assert_eq!(status(&mut client), 302, "the one that runs answers");
    }
    assert_eq!(edge.server.give_way(FOR_ANSWERS), Drained::Finished);
    let mut waiting = Client::connect(address);
    waiting.send(SCAN);
    begin.send_replace(true);
    assert_eq!(status(&mut waiting), 302);
    assert_eq!(successor.shutdown(FOR_ANSWERS), Drained::Finished);
    TcpListener::bind(address).expect("nobody listens any more");
}

#[test]
fn who_ends_before_it_has_begun_takes_nobody_from_the_queue() {
    let edge = Edge::start();
    let (successor, _begin) = beside(&edge);
    assert_eq!(successor.shutdown(FOR_ANSWERS), Drained::Finished);
    for _ in 0..8 {
        let mut client = edge.connect();
        client.send(SCAN);
        assert_eq!(status(&mut client), 302);
    }
}

#[test]
fn who_ends_leaves_what_the_kernel_keeps_to_whoever_goes_on_with_the_sockets() {
    let edge = Edge::start();
    let address = edge.server.addresses()[0];
    let registry = Registry::new();
    let (successor, begin) = beside_and_counting(&edge, &registry);
    // It serves before the one that ends has ended.
    begin.send_replace(true);
    assert_eq!(edge.server.leave(FOR_ANSWERS), Drained::Finished);
    let mut silent = Client::connect(address);
    let mut client = Client::connect(address);
    client.send(SCAN);
    assert_eq!(status(&mut client), 302);
    let open = shown(&registry, "tagwire_edge_connections");
    assert_eq!(open, 1.0, "who says nothing is nobody yet");
    silent.send(SCAN);
    assert_eq!(status(&mut silent), 302);
    assert_eq!(successor.shutdown(FOR_ANSWERS), Drained::Finished);
}

#[test]
fn a_kept_connection_is_closed_with_its_next_answer_and_not_under_its_next_request() {
    let edge = Edge::start();
    let (mut asks_again, mut stays_idle) = (edge.connect(), edge.connect());
    for client in [&mut asks_again, &mut stays_idle] {
        client.send(SCAN);
        assert_eq!(status(client), 302);
    }
    let server = edge.server;
    let ended = thread::spawn(move || server.give_way(FOR_ANSWERS));
    until_nobody_listens(asks_again.server());
    asks_again.send(SCAN);
    let answer = asks_again.response(false).unwrap();
    assert_eq!(
        (answer.status, answer.field("connection")),
        (302, Some("close"))
    );
    assert_eq!(stays_idle.response(false), None);
    assert_eq!(ended.join().unwrap(), Drained::Finished);
}

/// It drains when nobody accepts any more.
fn until_nobody_listens(address: SocketAddr) {
    while TcpListener::bind(address).is_err() {
        thread::yield_now();
    }
}

#[test]
fn load_balancers_are_told_of_an_end_and_not_of_a_replacement() {
    for (replaced, wanted) in [(false, 503), (true, 200)] {
        let edge = Edge::start();
        let mut client = edge.connect();
        // The half comes with the whole: when that is answered, it has been read.
        let (half, rest) = HEALTH.split_at(20);
        client.send(&[HEALTH, half].concat());
        assert_eq!(status(&mut client), 200);
        let server = edge.server;
        let ended = thread::spawn(move || match replaced {
            true => server.give_way(FOR_ANSWERS),
            false => server.shutdown(FOR_ANSWERS),
        });
        until_nobody_listens(client.server());
        client.send(rest);
        let answer = client.response(false).unwrap();
        assert_eq!(answer.status, wanted);
        assert_eq!(answer.field("connection"), Some("close"));
        assert_eq!(ended.join().unwrap(), Drained::Finished);
    }
}
