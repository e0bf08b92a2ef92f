//! The socket and the messages, without the processes.

use std::io::Write as _;
use std::net::TcpListener;
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tokio::net::UnixStream;

use super::message::{Channel, Descriptor, HearingError, Message, PROTOCOL};
use super::socket;

fn pair() -> (Channel, Channel) {
    let (one, other) = UnixStream::pair().unwrap();
    (Channel::new(one), Channel::new(other))
}

fn listeners(count: usize) -> Vec<TcpListener> {
    let bind = |_| TcpListener::bind("127.0.0.1:0").unwrap();
    (0..count).map(bind).collect()
}

async fn pass(listeners: &[TcpListener]) -> Vec<(Descriptor, std::net::SocketAddr)> {
    let (one, mut other) = pair();
    let descriptors = listeners
        .iter()
        .map(|listener| Descriptor::Listener(listener.local_addr().unwrap()));
    let offer = Message::Offer {
        version: "1.2.3".to_owned(),
        descriptors: descriptors.collect(),
    };
    let beside: Vec<_> = listeners.iter().map(|listener| listener.as_fd()).collect();
    let (sent, received) = tokio::join!(one.send(&offer, &beside), other.receive_offer());
    sent.unwrap();
    let (message, passed) = received.unwrap();
    assert_eq!(message, offer);
    let Message::Offer { descriptors, .. } = message else {
        unreachable!()
    };
    let addresses = passed
        .into_iter()
        .map(|passed| TcpListener::from(passed).local_addr().unwrap());
    descriptors.into_iter().zip(addresses).collect()
}

#[tokio::test]
async fn listening_sockets_arrive_in_the_order_in_which_they_are_named() {
    for count in [1, 3, 253] {
        let passed = pass(&listeners(count)).await;
        assert_eq!(passed.len(), count);
        for (named, address) in passed {
            assert_eq!(named, Descriptor::Listener(address));
        }
    }
}

#[tokio::test]
async fn more_descriptors_than_one_message_takes_are_refused_by_the_sender() {
    let (one, _other) = pair();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let many = vec![listener.as_fd(); 254];
    let error = one.send(&Message::Serving, &many).await.unwrap_err();
    assert!(error.to_string().contains("254 descriptors"), "{error}");
}

#[tokio::test]
async fn descriptors_that_nobody_has_asked_for_are_not_kept() {
    let (one, mut other) = pair();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    one.send(&Message::Serving, &[listener.as_fd()])
        .await
        .unwrap();
    assert_eq!(other.receive().await.unwrap(), Message::Serving);
    drop(listener);
    TcpListener::bind(address).expect("closed by all");
}

#[tokio::test]
async fn messages_may_come_in_pieces_and_together() {
    let (one, other) = std::os::unix::net::UnixStream::pair().unwrap();
    other.set_nonblocking(true).unwrap();
    let mut channel = Channel::new(UnixStream::from_std(other).unwrap());
    let hello = format!("{{\"hello\":{{\"protocol\":{PROTOCOL},\"version\":\"1\",\"new\":0}}}}\n");
    let (first, rest) = hello.split_at(7);
    (&one).write_all(first.as_bytes()).unwrap();
    let heard = tokio::spawn(async move {
        let both = (channel.receive().await, channel.receive().await);
        (both, channel.receive().await)
    });
    tokio::task::yield_now().await;
    (&one)
        .write_all(format!("{rest}\"serving\"\n").as_bytes())
        .unwrap();
    drop(one);
    let ((hello, serving), end) = heard.await.unwrap();
    assert!(matches!(
        hello,
        Ok(Message::Hello {
            protocol: PROTOCOL,
            ..
        })
    ));
    assert!(matches!(serving, Ok(Message::Serving)));
    assert!(matches!(end, Err(HearingError::Closed)));
}

#[tokio::test]
async fn the_socket_is_its_users_alone_however_long_its_path_is() {
    let folder = tempfile::tempdir().unwrap();
    for data in [
        folder.path().to_owned(),
        folder.path().join("a".repeat(150)),
    ] {
        assert!(connects(&data).await.is_none(), "nobody listens");
        let (listener, first) = socket::listen(&data).unwrap();
        assert!(connects(&data).await.is_some());
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let path = socket::path(&data);
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        // A process that takes over finds the old one's socket, and one that was killed leaves it.
        let (successor, second) = socket::listen(&data).unwrap();
        first.remove();
        drop(listener);
        assert!(connects(&data).await.is_some());
        drop(successor);
        assert!(connects(&data).await.is_none());
        second.remove();
        assert!(!path.exists());
    }
}

async fn connects(data: &Path) -> Option<UnixStream> {
    socket::connect(data).await.unwrap()
}
