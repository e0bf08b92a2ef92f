//! Connections beyond one request: halves that close, pipelines that are long, a server that ends.

use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use edge::Drained;
use proptest::prelude::*;

use crate::fixture::{Client, Edge, table};
use crate::http2_frames::*;

const GET: &[u8] = b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\n\r\n";

#[test]
fn a_client_that_has_nothing_more_to_say_still_gets_its_answers() {
    let edge = Edge::start();
    let mut client = edge.connect();
    client.send(&GET.repeat(3));
    client.half_close();
    for _ in 0..3 {
        assert_eq!(client.response(false).unwrap().status, 302);
    }
    assert!(client.is_closed());
}

#[test]
fn a_client_that_leaves_in_the_middle_of_a_request_gets_none() {
    let edge = Edge::start();
    let mut client = edge.connect();
    client.send(&GET[..20]);
    client.half_close();
    assert_eq!(client.response(false), None);
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let edge = Edge::start();
    let mut client = edge.connect();
    for _ in 0..2 {
        GET.iter().for_each(|byte| client.send(&[*byte]));
        assert_eq!(client.response(false).unwrap().status, 302);
    }
}

#[test]
fn a_long_pipeline_is_answered_in_order() {
    let edge = Edge::start();
    let mut client = edge.connect();
    let requests: String = (0..1_000)
        .map(|n| format!("GET /abc?n={n} HTTP/1.1\r\nHost: qr.example.com\r\n\r\n"))
        .collect();
    client.send(requests.as_bytes());
    for n in 0..1_000 {
        let response = client.response(false).unwrap();
        assert_eq!(
            response.field("Location"),
            Some(&*format!("https://example.com/abc?n={n}"))
        );
    }
}

#[test]
fn a_shutdown_closes_idle_connections_and_answers_the_one_that_is_asking() {
    let edge = Edge::start();
    let address = edge.server.addresses()[0];
    let (mut idle, mut asking) = (edge.connect(), edge.connect());
    for client in [&mut idle, &mut asking] {
        client.send(GET);
        assert_eq!(client.response(false).unwrap().status, 302);
    }
    asking.send(&GET[..20]);
    settle(address);
    let ending = thread::spawn(move || edge.server.shutdown(Duration::from_secs(20)));
    assert!(idle.is_closed());
    asking.send(&GET[20..]);
    let last = asking.response(false).unwrap();
    assert_eq!(
        (last.status, last.field("Connection")),
        (302, Some("close"))
    );
    assert!(asking.is_closed());
    drop(asking);
    assert_eq!(ending.join().unwrap(), Drained::Finished);
    assert!(
        TcpStream::connect(address).is_err(),
        "nobody listens any more"
    );
}

/// Both workers have taken in what was sent before: each of these connections has been answered after it.
fn settle(address: std::net::SocketAddr) {
    for _ in 0..50 {
        let mut client = Client::connect(address);
        client.send(GET);
        assert_eq!(client.response(false).unwrap().status, 302);
    }
}

#[test]
fn a_shutdown_cuts_off_who_does_not_come_to_an_end() {
    let edge = Edge::start();
    let address = edge.server.addresses()[0];
    let mut stuck = edge.connect();
    stuck.send(&GET[..20]);
    settle(address);
    assert_eq!(
        edge.server.shutdown(Duration::from_millis(100)),
        Drained::CutOff
    );
    assert_eq!(stuck.response(false), None);
}

#[test]
fn while_draining_the_health_check_fails_and_every_answer_closes() {
    let edge = Edge::start();
    let mut client = edge.connect();
    client.send(GET);
    assert_eq!(client.response(false).unwrap().status, 302);
    edge.server.begin_drain();
    client.send(GET);
    let last = client.response(false).unwrap();
    assert_eq!(
        (last.status, last.field("Connection")),
        (302, Some("close"))
    );
    let health = edge.get("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!((health.status, &*health.body), (503, "draining"));
}

#[test]
fn whatever_bytes_come_every_answer_is_one_and_the_next_client_gets_its_own() {
    let edge = Edge::start();
    let piece = prop_oneof![
        3 => Just(b"GET /abc?x=%zz|{} HTTP/1.1\r\nHost: qr.example.com\r\n\r\n".to_vec()),
        1 => Just(b"GET /nowhere HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".to_vec()),
        1 => "[!-~]{1,20}".prop_map(|target| format!("GET /{target} HTTP/1.1\r\nHost: qr.example.com\r\n\r\n").into_bytes()),
        1 => "[ -~\\t\\r\\n]{0,30}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..30),
    ];
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(300));
    let outcome = runner.run(&prop::collection::vec(piece, 0..6), |pieces| {
        let mut client = edge.connect();
        client.try_send(&pieces.concat());
        client.half_close();
        while let Some(response) = client.response(false) {
            prop_assert!(
                [200, 302, 400, 404, 501, 505].contains(&response.status),
                "{response:?}"
            );
        }
        let mut next = edge.connect();
        next.send(GET);
        prop_assert_eq!(
            next.response(false).map(|response| response.status),
            Some(302)
        );
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn a_shutdown_answers_those_that_nobody_has_accepted_yet() {
    for round in 0..6 {
        let edge = Edge::with(table(), |options| options.h2c = round % 2 == 1);
        let address = edge.server.addresses()[0];
        let clients: Vec<Client> = (0..200)
            .map(|_| {
                let mut client = Client::connect(address);
                client.send(GET);
                client
            })
            .collect();
        assert_eq!(
            edge.server.shutdown(Duration::from_secs(20)),
            Drained::Finished
        );
        for mut client in clients {
            let response = client.try_response();
            assert_eq!(response.map(|response| response.status), Some(302));
        }
    }
}

/// Waits until a shutdown has begun, by a connection that has nothing to say.
fn until_it_stops(mut idle: Client) {
    assert!(idle.is_closed());
}

#[test]
fn a_shutdown_answers_those_that_connected_before_and_speak_a_moment_later() {
    let edge = Edge::start();
    let address = edge.server.addresses()[0];
    let mut idle = edge.connect();
    idle.send(GET);
    assert_eq!(idle.response(false).unwrap().status, 302);
    // The kernel keeps them to itself: nobody here knows of them.
    let clients: Vec<Client> = (0..50).map(|_| Client::connect(address)).collect();
    let ending = thread::spawn(move || edge.server.shutdown(Duration::from_secs(20)));
    until_it_stops(idle);
    for mut client in clients {
        client.send(GET);
        let response = client.try_response();
        assert_eq!(response.map(|response| response.status), Some(302));
    }
    assert_eq!(ending.join().unwrap(), Drained::Finished);
}

#[test]
fn a_shutdown_answers_a_new_connection_that_turns_out_to_be_http_2() {
    let edge = Edge::with(table(), |options| {
        options.h2c = true;
        options.sockets.defer_accept = false;
    });
    let address = edge.server.addresses()[0];
    let mut idle = edge.connect();
    idle.send(GET);
    assert_eq!(idle.response(false).unwrap().status, 302);
    let mut late: Vec<_> = (0..20).map(|_| Http2::connect(address)).collect();
    let ending = thread::spawn(move || edge.server.shutdown(Duration::from_secs(20)));
    until_it_stops(idle);
    for client in &mut late {
        let settings = frame(SETTINGS, 0, 0, b"");
        client.send(&[PREFACE, &settings, &request(1, &get("/abc"))].concat());
    }
    for client in &mut late {
        let answer = client.until(|frame| frame.kind == HEADERS);
        assert!(answer.is_some(), "closed without an answer");
    }
    drop(late);
    assert_eq!(ending.join().unwrap(), Drained::Finished);
}
