//! Who is let in: how many connections there may be, from whom, and on which addresses.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use edge::Drained;

use crate::fixture::{Client, Edge, table};
use crate::http2_frames::Http2;

const GET: &[u8] = b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\n\r\n";

fn with_limits(total: usize, per_address: Option<usize>) -> Edge {
    Edge::with(table(), |options| {
        options.connections.total = NonZeroUsize::new(total).unwrap();
        options.connections.per_address = per_address.and_then(NonZeroUsize::new);
    })
}

/// A client that has had an answer, and so is in.
fn served(mut client: Client) -> Option<Client> {
    client.try_send(GET);
    let status = client.try_response()?.status;
    assert_eq!(status, 302);
    Some(client)
}

/// The first that is let in.
fn until_served(connect: impl Fn() -> Client) -> Client {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(client) = served(connect()) {
            return client;
        }
        assert!(Instant::now() < deadline, "nobody is let in any more");
        std::thread::yield_now();
    }
}

fn refused(edge: &Edge, reason: &str) -> f64 {
    edge.shown(&format!(
        "tagwire_edge_connections_refused_total{{reason=\"{reason}\"}}"
    ))
}

#[test]
fn beyond_the_limit_connections_are_closed_and_a_place_that_is_left_is_given_to_the_next() {
    let edge = with_limits(2, None);
    let mut first = served(edge.connect()).unwrap();
    let second = served(edge.connect()).unwrap();
    for _ in 0..3 {
        assert!(served(edge.connect()).is_none());
    }
    assert_eq!(refused(&edge, "total"), 3.0);
    assert_eq!(edge.shown("tagwire_edge_connections"), 2.0);
    drop(second);
    let _third = until_served(|| edge.connect());
    first.send(GET);
    assert_eq!(
        first.response(false).unwrap().status,
        302,
        "who is in stays"
    );
}

/// Ten places, one of which has somebody who is in the middle of asking.
fn with_ten_places() -> (Edge, Client) {
    let edge = Edge::with(table(), |options| {
        options.connections.total = NonZeroUsize::new(10).unwrap();
        options.h2c = true;
        options.limits.head = Duration::from_secs(60);
    });
    let mut asking = served(edge.connect()).unwrap();
    asking.send(&GET[..20]);
    (edge, asking)
}

/// Fills the last place, and has ten more come after each other.
fn ten_more_are_served(edge: &Edge, mut asking: Client) {
    let mut last = edge.connect();
    last.send(&GET[..20]);
    for _ in 0..10 {
        until_served(|| edge.connect());
    }
    for client in [&mut asking, &mut last] {
        client.send(&GET[20..]);
        assert_eq!(
            client.response(false).unwrap().status,
            302,
            "who asks stays"
        );
    }
}

#[test]
fn when_places_are_few_who_only_waits_leaves() {
    let (edge, asking) = with_ten_places();
    let _idle: Vec<Client> = (0..8).map(|_| served(edge.connect()).unwrap()).collect();
    ten_more_are_served(&edge, asking);
}

#[test]
fn when_places_are_few_who_waits_with_http_2_leaves_too() {
    let (edge, asking) = with_ten_places();
    let address = edge.server.addresses()[0];
    let mut idle: Vec<Http2> = (0..8).map(|_| Http2::open(address, b"")).collect();
    assert!(idle.iter_mut().all(|client| client.is_alive(1)));
    ten_more_are_served(&edge, asking);
}

#[test]
fn who_takes_the_last_place_does_not_keep_it() {
    let (edge, _asking) = with_ten_places();
    let _idle: Vec<Client> = (0..8).map(|_| served(edge.connect()).unwrap()).collect();
    let mut last = edge.connect();
    last.send(GET);
    let answer = last.response(false).unwrap();
    assert_eq!(
        (answer.status, answer.field("Connection")),
        (302, Some("close"))
    );
    assert!(last.is_closed());
}

#[test]
fn who_was_asking_when_places_became_few_hears_of_the_end_all_the_same() {
    let edge = Edge::with(table(), |options| {
        options.threads = NonZeroUsize::new(1);
        options.connections.total = NonZeroUsize::new(10).unwrap();
        options.limits.head = Duration::from_secs(600);
        options.limits.idle = Duration::from_secs(600);
    });
    let mut asking = served(edge.connect()).unwrap();
    // The half comes with the whole: when that is answered, it has been read.
    asking.send(&[GET, &GET[..20]].concat());
    assert_eq!(asking.response(false).unwrap().status, 302);
    let others: Vec<Client> = (0..9).map(|_| served(edge.connect()).unwrap()).collect();
    drop(others);
    let deadline = Instant::now() + Duration::from_secs(20);
    while edge.shown("tagwire_edge_connections") > 1.0 {
        assert!(Instant::now() < deadline, "the others stay");
        std::thread::yield_now();
    }
    asking.send(&GET[20..]);
    let answer = asking.response(false).unwrap();
    assert_eq!((answer.status, answer.field("Connection")), (302, None));
    let ended = edge.server.shutdown(Duration::from_secs(20));
    assert_eq!(ended, Drained::Finished);
}

#[test]
fn each_address_has_its_own_limit() {
    let edge = with_limits(100, Some(2));
    let address = edge.server.addresses()[0];
    let connect = |from: &str| Client::connect_from(from.parse().unwrap(), address);
    let held: Vec<Client> = ["127.0.0.1", "127.0.0.1", "127.0.0.2", "127.0.0.2"]
        .map(|from| served(connect(from)).unwrap())
        .into();
    assert!(served(connect("127.0.0.1")).is_none() && served(connect("127.0.0.2")).is_none());
    assert_eq!(refused(&edge, "address"), 2.0);
    assert!(served(connect("127.0.0.3")).is_some());
    drop(held);
    until_served(|| connect("127.0.0.2"));
}

#[test]
fn proxies_in_front_are_not_counted_as_one_client() {
    let edge = Edge::with(table(), |options| {
        options.connections.per_address = NonZeroUsize::new(1);
        options.trust.proxies = facts::TrustedProxies::new(vec!["127.0.0.9/32".parse().unwrap()]);
    });
    let address = edge.server.addresses()[0];
    let connect = |from: &str| Client::connect_from(from.parse().unwrap(), address);
    let held: Vec<_> = (0..5).map(|_| served(connect("127.0.0.9"))).collect();
    assert!(held.iter().all(Option::is_some));
    let _one = served(connect("127.0.0.1")).unwrap();
    assert!(served(connect("127.0.0.1")).is_none());
}

#[test]
fn who_connects_and_says_nothing_takes_nobodys_place() {
    let edge = with_limits(2, None);
    let silent: Vec<Client> = (0..10).map(|_| edge.connect()).collect();
    assert!(served(edge.connect()).is_some());
    assert_eq!(refused(&edge, "total"), 0.0);
    let mut late = silent.into_iter().next_back().unwrap();
    late.send(GET);
    assert_eq!(late.response(false).unwrap().status, 302);
}

#[test]
fn both_families_listen_on_one_port() {
    let port = TcpListener::bind("[::]:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let any = ["0.0.0.0", "::"].map(|ip| SocketAddr::new(ip.parse::<IpAddr>().unwrap(), port));
    let edge = Edge::with(table(), |options| options.listen = any.into());
    assert_eq!(edge.server.addresses(), any);
    for local in ["127.0.0.1", "::1"] {
        let address = SocketAddr::new(local.parse().unwrap(), port);
        assert!(served(Client::connect(address)).is_some(), "{local}");
    }
}
