//! Salts that edges share, over a real journal: visitors are the same at each of them, and a day without one is no edge's trouble.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use edge::SharedSalts;
use jiff::civil::Date;
use jiff::tz::Offset;
use jiff::{Timestamp, ToSpan};
use journal::{FollowError, Journal, Salt, SaltChange, Salts, SaltsFollower, SqliteJournal};
use scans::{Visitor, VisitorKey};

use crate::fixture::Edge;

const SHARED: &str = "tagwire_edge_shared_salts ";
const LOCAL: &str = "tagwire_edge_local_salts_total ";

fn today() -> Date {
    Offset::UTC.to_datetime(Timestamp::now()).date()
}

fn salt(day: Date) -> Salt {
    Salt::new(day, [day.day().cast_unsigned(); Salt::BYTES].into())
}

/// Of yesterday to tomorrow, so that midnight may pass, and of a day that nobody may know any more.
fn days() -> Vec<SaltChange> {
    let days = [-2, -1, 0, 1].map(|ahead: i64| today().saturating_add(ahead.days()));
    days.map(|day| SaltChange::Publish(salt(day))).into()
}

struct Salted {
    edge: Edge,
    salts: SharedSalts,
    known: Arc<AtomicBool>,
}

impl Salted {
    fn start(place: &Arc<dyn Salts>) -> Self {
        Self::start_by(place, Timestamp::now)
    }

    fn start_by(place: &Arc<dyn Salts>, clock: impl Fn() -> Timestamp + Send + 'static) -> Self {
        let (edge, known) = (Edge::start(), Arc::<AtomicBool>::default());
        let (visitors, metrics) = (edge.server.visitors(), edge.metrics.clone());
        let is_known = Arc::clone(&known);
        let salts = SharedSalts::start(Arc::clone(place), visitors, metrics, clock, move || {
            is_known.store(true, Ordering::Relaxed);
        });
        Self {
            edge,
            salts: salts.unwrap(),
            known,
        }
    }

    fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !condition(self) {
            assert!(Instant::now() < deadline, "{what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn is_known(&self) -> bool {
        self.known.load(Ordering::Relaxed)
    }

    fn scan(&self) -> Visitor {
        self.edge
            .get("GET /abc HTTP/1.1\r\nHost: qr.example.com\r\nUser-Agent: Phone/1.0\r\n\r\n");
        self.edge.scans.all().last().unwrap().visitor
    }

    fn end(self) {
        self.salts.begin_stop();
    }
}

fn journal(folder: &tempfile::TempDir) -> Arc<SqliteJournal> {
    Arc::new(SqliteJournal::open(&folder.path().join("journal.sqlite")).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_is_the_same_at_every_edge_and_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(&folder);
    journal.become_writer().await.unwrap();
    journal.change_salts(days()).await.unwrap();
    let place: Arc<dyn Salts> = journal;
    let seen: Vec<Visitor> = (0..3)
        .map(|_| {
            let edge = Salted::start(&place);
            edge.until("it knows the salts", Salted::is_known);
            let visitor = edge.scan();
            edge.until("today's and tomorrow's", |edge| {
                edge.edge.shown(SHARED) >= 1.0
            });
            assert_eq!(edge.edge.shown(LOCAL), 0.0);
            edge.end();
            visitor
        })
        .collect();
    assert_eq!(seen, [seen[0]; 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_salt_an_edge_makes_one_until_the_shared_one_comes() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(&folder);
    let place: Arc<dyn Salts> = journal.clone();
    let edges = [Salted::start(&place), Salted::start(&place)];
    let scan = || {
        let scanned = edges.each_ref().map(|edge| {
            edge.until("it knows that there is none", Salted::is_known);
            edge.scan()
        });
        let local = edges.each_ref().map(|edge| edge.edge.shown(LOCAL));
        (scanned, local)
    };
    let (own, local) = scan();
    assert_ne!(own[0], own[1]);
    assert_eq!(local, [1.0, 1.0]);
    assert_eq!(scan(), (own, local), "for as long as there is none");

    journal.become_writer().await.unwrap();
    journal.change_salts(days()).await.unwrap();
    for edge in &edges {
        edge.until("it has heard of them", |edge| {
            edge.edge.shown(SHARED) >= 1.0
        });
    }
    let (shared, local) = scan();
    assert_eq!(shared[0], shared[1]);
    assert_ne!(shared[0], own[0]);
    assert_eq!(local, [1.0, 1.0]);
    edges.into_iter().for_each(Salted::end);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_was_wrong_leaves_no_edge_without_the_shared_salts() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(&folder);
    journal.become_writer().await.unwrap();
    let day = |text: &str| text.parse::<Date>().unwrap();
    let days = ["2026-11-29", "2026-11-30", "2026-12-01"].map(day);
    let changes = days.map(|day| SaltChange::Publish(salt(day)));
    journal.change_salts(changes.into()).await.unwrap();
    let place: Arc<dyn Salts> = journal;
    // Years behind when it starts, then right, then days ahead and right again.
    let noon = |text: &str| Offset::UTC.to_timestamp(day(text).at(12, 0, 0, 0)).unwrap();
    let now = Arc::new(AtomicI64::new(noon("1999-12-31").as_second()));
    let clock = Arc::clone(&now);
    let edge = Salted::start_by(&place, move || {
        Timestamp::from_second(clock.load(Ordering::Relaxed)).unwrap()
    });
    edge.until("it has read all of them", Salted::is_known);
    assert_eq!(edge.edge.shown(SHARED), 0.0);
    for (today, shared) in [
        ("2026-11-29", 3.0),
        ("2026-12-05", 0.0),
        ("2026-11-30", 2.0),
    ] {
        now.store(noon(today).as_second(), Ordering::Relaxed);
        edge.until(today, |edge| edge.edge.shown(SHARED) == shared);
        if shared > 0.0 {
            let (visitors, address) = (edge.edge.server.visitors(), IpAddr::from([192, 0, 2, 1]));
            let expected = VisitorKey::from_secret(salt(day(today)).secret());
            let seen = visitors.visitor(noon(today), address, b"agent");
            assert_eq!(seen, expected.visitor(address, b"agent"), "{today}");
        }
    }
    edge.end();
}

/// A place that cannot be followed.
struct Nowhere;

#[async_trait::async_trait]
impl Salts for Nowhere {
    async fn change_salts(&self, _: Vec<SaltChange>) -> Result<(), journal::PublishError> {
        panic!("an edge changes none")
    }

    fn follow_salts(&self) -> Result<Box<dyn SaltsFollower>, FollowError> {
        Err(FollowError::Start {
            place: "nowhere".to_owned(),
            reason: "a test says so".to_owned(),
        })
    }
}

#[test]
fn an_edge_that_cannot_hear_of_salts_is_ready_all_the_same() {
    let edge = Salted::start(&(Arc::new(Nowhere) as Arc<dyn Salts>));
    edge.until("it knows that it cannot", Salted::is_known);
    let visitor = edge.scan();
    assert_eq!(edge.scan(), visitor);
    assert_eq!(edge.edge.shown(LOCAL), 1.0);
    edge.end();
}
