//! When a snapshot is served without the journal's end, what is said of how far that has been read, and in what order.

use std::sync::Mutex;

use journal::Applied;
use prometheus::Registry;
use tags::{Change, Code, Destination, Domain, Tag, Topic, WorkspaceId};

use super::*;

struct Fixture {
    taker: Taker,
    table: Arc<Table>,
    registry: Registry,
    applied: Applied,
    /// What had been said to be applied whenever something was heard.
    applied_when_heard: Arc<Mutex<Vec<Positions>>>,
}

impl Fixture {
    /// With a snapshot in reserve.
    fn in_reserve() -> Self {
        let (table, registry) = (Arc::new(Table::new()), Registry::new());
        let metrics = EdgeMetrics::register(&registry).expect("new");
        let (sender, applied) = Applied::new();
        let applied_when_heard = Arc::<Mutex<Vec<Positions>>>::default();
        let (heard, then) = (Arc::clone(&applied_when_heard), applied.clone());
        let hears = move |_| heard.lock().expect("no panic").push(then.positions());
        let mut taker = Taker::new(Arc::clone(&table), sender, metrics, None, Box::new(hears));
        table.apply(tag("abc"));
        taker.in_reserve = true;
        taker.positions.advance(Topic::Tags, 0, 7);
        taker.abreast -= Duration::from_secs(60);
        Self {
            taker,
            table,
            registry,
            applied,
            applied_when_heard,
        }
    }

    /// An event from another partition than that which cannot be read.
    fn hear_something(&mut self) {
        let event = Event::Advanced {
            topic: Topic::Settings,
            partition: 0,
            next_offset: 1,
        };
        self.hear(event);
    }

    fn hear(&mut self, event: Event) {
        assert!(!self.taker.take_turn(event, &mut NothingMore).full);
    }

    fn lag(&self) -> f64 {
        let families = self.registry.gather();
        let mut families = families.iter();
        let lag = families.find(|it| it.name() == "tagwire_edge_journal_lag_seconds");
        lag.expect("it is there").get_metric()[0]
            .get_gauge()
            .get_value()
    }
}

struct NothingMore;

impl Follower for NothingMore {
    fn next(&mut self, _: Duration) -> Result<Option<Event>, FollowError> {
        Ok(None)
    }

    fn log(&self) -> Option<&str> {
        Some("cluster")
    }
}

fn tag(code: &str) -> Change {
    Change::Tag(Tag::new(
        WorkspaceId::default_workspace(),
        Domain::parse("qr.example.com").expect("a domain"),
        Code::parse(code).expect("a code"),
        Destination::parse("https://example.com/").expect("a destination"),
        Timestamp::UNIX_EPOCH,
    ))
}

#[test]
fn a_snapshot_is_served_after_a_while_although_the_journal_is_never_silent_and_never_at_its_end() {
    let mut fixture = Fixture::in_reserve();
    fixture.hear_something();
    assert!(!fixture.table.is_complete(), "its end may come any moment");
    fixture.taker.loaded_at -= PATIENCE_AT_MOST;
    fixture.hear_something();
    assert!(fixture.table.is_complete());
    assert!(!fixture.taker.away);

    // A partition without a leader is told from one without news by the end that has not been seen.
    fixture.taker.nothing_new();
    assert!(fixture.lag() >= 60.0, "{}", fixture.lag());
    fixture.hear(Event::CaughtUp);
    fixture.taker.nothing_new();
    assert_eq!(fixture.lag(), 0.0);
}

#[test]
fn while_a_partition_cannot_be_read_it_is_not_known_how_far_behind_the_table_is() {
    let mut fixture = Fixture::in_reserve();
    fixture.hear(Event::CaughtUp);
    fixture.taker.nothing_new();
    assert_eq!(fixture.lag(), 0.0);
    fixture.hear(Event::Stalled {
        partitions: vec![(Topic::Tags, 3)],
    });
    fixture.taker.abreast -= Duration::from_secs(60);
    fixture.taker.nothing_new();
    assert!(fixture.lag() >= 60.0, "{}", fixture.lag());
    // What another partition brings says nothing of this one.
    fixture.hear(Event::Change {
        change: Box::new(tag("def")),
        topic: Topic::Tags,
        partition: 0,
        offset: 7,
        published_at: Timestamp::now(),
    });
    assert!(fixture.lag() >= 60.0, "{}", fixture.lag());
    assert!(!fixture.taker.away);
    fixture.hear(Event::Stalled {
        partitions: Vec::new(),
    });
    fixture.taker.nothing_new();
    assert_eq!(fixture.lag(), 0.0);
}

#[test]
fn a_record_that_is_refused_has_been_read_like_any_other() {
    let mut fixture = Fixture::in_reserve();
    fixture.hear(Event::CaughtUp);
    let published_at = Timestamp::now();
    fixture.hear(Event::Refused {
        topic: Topic::Tags,
        partition: 0,
        offset: 7,
        published_at: Some(published_at),
        error: "of a newer format".to_owned(),
    });
    // Whoever published it waits for both, and asks then whether it was refused.
    assert_eq!(fixture.applied.positions().get(Topic::Tags, 0), Some(8));
    assert_eq!(fixture.applied.newest(), Some(published_at));
    assert_eq!(fixture.applied.refused().len(), 1);
}

#[test]
fn what_is_said_of_the_log_is_no_younger_than_what_has_been_read_of_it_before_its_end() {
    let mut fixture = Fixture::in_reserve();
    let at = Timestamp::now() - Duration::from_secs(60);
    fixture.taker.log = Some(KnownLog {
        identity: "cluster".to_owned(),
        at,
    });
    let known_at = |fixture: &Fixture| fixture.taker.log.as_ref().map(|log| log.at);
    fixture.hear_something();
    assert_eq!(known_at(&fixture), Some(at));
    fixture.taker.newest = at + Duration::from_secs(10);
    fixture.hear_something();
    assert_eq!(known_at(&fixture), Some(fixture.taker.newest));
    fixture.hear(Event::CaughtUp);
    fixture.hear_something();
    assert!(known_at(&fixture) > Some(at + Duration::from_secs(50)));
}

#[test]
fn positions_of_a_log_that_was_replaced_are_never_said_to_be_applied() {
    let mut fixture = Fixture::in_reserve();
    let why = FollowError::OtherLog {
        place: "here".to_owned(),
        reason: "it was made anew".to_owned(),
        foreign: false,
    };
    fixture.taker.begin_again(&why, false);
    assert!(fixture.table.is_complete(), "as of the journal before");
    let heard = fixture.applied_when_heard.lock().expect("no panic");
    assert_eq!(*heard, [Positions::default()]);
}
