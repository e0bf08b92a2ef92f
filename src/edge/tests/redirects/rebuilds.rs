//! Reading the journal again behind a snapshot that is not relied on, while its tail goes on; and a table that is full.

use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use edge::{EdgeMetrics, Feed, FeedState, SnapshotOptions};
use jiff::Timestamp;
use journal::{Applied, Event, FollowError, Follower, Journal, Positions, PublishError, Since};
use prometheus::Registry;
use table::{SnapshotInfo, Table, read_snapshot_info};
use tags::{Change, Status, Tag, Topic};

use crate::fixture::{HOST, destination, domain, tag};

/// A journal whose followers say what the test tells them to.
struct Told {
    followed: Mutex<Sender<Reading>>,
}

/// A follower, from the test's side.
struct Reading {
    from: Positions,
    events: Sender<Event>,
}

struct ToldFollower(Receiver<Event>);

#[async_trait]
impl Journal for Told {
    async fn become_writer(&self) -> Result<(), PublishError> {
        Err(PublishError::NotWriter)
    }

    async fn publish(&self, _: Vec<Change>) -> Result<Positions, PublishError> {
        Err(PublishError::NotWriter)
    }

    fn follow(&self, _: &[Topic], since: Since) -> Result<Box<dyn Follower>, FollowError> {
        let (events, told) = mpsc::channel();
        let from = since.positions;
        let reading = Reading { from, events };
        let _ = self.followed.lock().unwrap().send(reading); // the test may be over
        Ok(Box::new(ToldFollower(told)))
    }
}

impl Follower for ToldFollower {
    fn next(&mut self, wait: Duration) -> Result<Option<Event>, FollowError> {
        match self.0.recv_timeout(wait) {
            Ok(event) => Ok(Some(event)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(FollowError::Broken {
                place: "here".to_owned(),
                reason: "the test let it go".to_owned(),
            }),
        }
    }

    fn at_hand(&mut self) -> Option<Event> {
        self.0.try_recv().ok()
    }

    fn log(&self) -> Option<&str> {
        Some("cluster")
    }
}

impl Reading {
    fn says(&self, topic: Topic, offset: i64, change: Change) {
        let event = Event::Change {
            change: Box::new(change),
            topic,
            partition: 0,
            offset,
            published_at: Timestamp::now(),
        };
        let _ = self.events.send(event); // a follower that is done with hears nothing more
    }

    fn says_tag(&self, offset: i64, tag: Tag) {
        self.says(Topic::Tags, offset, Change::Tag(tag));
    }

    fn is_at_its_end(&self) {
        let _ = self.events.send(Event::CaughtUp); // as above
    }
}

const BUILD: &str = "1.2.3";

/// An edge that starts from a snapshot, and what its journal is asked.
struct Fixture {
    folder: tempfile::TempDir,
    table: Arc<Table>,
    feed: Feed,
    heard: Receiver<FeedState>,
    followed: Receiver<Reading>,
    applied: Applied,
}

impl Fixture {
    /// With a snapshot of another build: a tag that it misread at offset 0, and one of version 1 and the domain without a home.
    fn of_another_build(table: Table) -> Self {
        let folder = tempfile::tempdir().unwrap();
        snapshot(&folder.path().join("tags.snapshot"));
        Self::start(table, folder)
    }

    fn start(table: Table, folder: tempfile::TempDir) -> Self {
        let table = Arc::new(table);
        let (sender, applied) = Applied::new();
        let (followed, readings) = mpsc::channel();
        let (hears, heard) = mpsc::channel();
        let feed = Feed::start(
            Arc::new(Told {
                followed: Mutex::new(followed),
            }),
            Arc::clone(&table),
            sender,
            EdgeMetrics::register(&Registry::new()).unwrap(),
            Some(SnapshotOptions {
                file: folder.path().join("tags.snapshot"),
                every: Duration::from_secs(300),
                build: BUILD,
                held: false,
            }),
            move |state| {
                let _ = hears.send(state); // the test may be over
            },
        );
        Self {
            folder,
            table,
            feed: feed.unwrap(),
            heard,
            followed: readings,
            applied,
        }
    }

    fn status(&self, code: &str) -> Option<Status> {
        let state = self.table.load();
        state.pin().tag(HOST, code).map(|tag| tag.status)
    }

    fn home(&self) -> Option<String> {
        let state = self.table.load();
        let home = state.pin().domain(HOST)?.home_url.as_ref()?.to_string();
        Some(home)
    }

    async fn wait_for(&self, topic: Topic, next_offset: i64) {
        let positions = Positions::from_iter([(topic, 0, next_offset)]);
        self.applied.wait_for(&positions).await.unwrap();
    }
}

fn snapshot(file: &Path) {
    let table = Table::new();
    table.apply(Change::Domain(domain(HOST)));
    table.apply(Change::Tag(tag(HOST, "misread")));
    table.apply(Change::Tag(tag(HOST, "abc")));
    table.complete();
    let info = SnapshotInfo {
        cluster: "cluster".to_owned(),
        positions: vec![(Topic::Tags, 0, 2), (Topic::Settings, 0, 1)],
        taken_at: Timestamp::now(),
        build: "1.2.2".to_owned(),
    };
    table.write_snapshot(file, &info).unwrap();
}

fn revoked(code: &str) -> Tag {
    let before = tag(HOST, code);
    Tag {
        version: before.version.next(),
        status: Status::Revoked,
        ..before
    }
}

fn at_home(home: &str) -> Change {
    let mut domain = domain(HOST);
    domain.home_url = Some(destination(home));
    Change::Domain(domain)
}

#[tokio::test]
async fn edits_reach_redirects_while_the_journal_is_read_again_behind_a_snapshot_of_another_build()
{
    let edge = Fixture::of_another_build(Table::new());
    let tail = edge.followed.recv().unwrap();
    assert_eq!(tail.from.get(Topic::Tags, 0), Some(2));
    tail.is_at_its_end();
    assert_eq!(edge.heard.recv().unwrap(), FeedState::Complete);
    let behind = edge.followed.recv().unwrap();
    assert_eq!(behind.from, Positions::default());

    // Nothing of what is behind has been read yet.
    tail.says_tag(2, revoked("abc"));
    tail.says(Topic::Settings, 1, at_home("https://example.com/new"));
    edge.wait_for(Topic::Tags, 3).await;
    edge.wait_for(Topic::Settings, 2).await;
    assert_eq!(edge.status("abc"), Some(Status::Revoked));
    assert_eq!(edge.home().as_deref(), Some("https://example.com/new"));
    assert_eq!(edge.status("misread"), Some(Status::Active));

    behind.says(Topic::Settings, 0, at_home("https://example.com/old"));
    behind.says_tag(0, tag(HOST, "read-right"));
    behind.says_tag(1, tag(HOST, "abc"));
    behind.says_tag(2, revoked("abc"));
    // The tail has not come so far, and brings it when it does.
    behind.says(Topic::Settings, 2, at_home("https://example.com/newest"));
    behind.is_at_its_end();
    assert_eq!(edge.heard.recv().unwrap(), FeedState::Complete, "rebuilt");
    assert_eq!(edge.status("misread"), None);
    assert_eq!(edge.status("read-right"), Some(Status::Active));
    assert_eq!(edge.status("abc"), Some(Status::Revoked));
    assert_eq!(edge.home().as_deref(), Some("https://example.com/new"));

    // The same follower goes on, and from where it is.
    tail.says_tag(3, tag(HOST, "def"));
    edge.wait_for(Topic::Tags, 4).await;
    assert_eq!(edge.status("def"), Some(Status::Active));
    edge.feed.stop();
    let info = read_snapshot_info(&edge.folder.path().join("tags.snapshot")).unwrap();
    assert_eq!(info.build, BUILD);
    assert_eq!(
        Positions::from_iter(info.positions),
        edge.applied.positions()
    );
}

#[tokio::test]
async fn a_reading_behind_the_tail_that_breaks_goes_on_where_it_was_and_edits_do_not_wait_for_it() {
    let edge = Fixture::of_another_build(Table::new());
    let tail = edge.followed.recv().unwrap();
    tail.is_at_its_end();
    assert_eq!(edge.heard.recv().unwrap(), FeedState::Complete);
    let behind = edge.followed.recv().unwrap();
    behind.says_tag(0, tag(HOST, "read-right"));
    drop(behind);
    tail.says_tag(2, revoked("abc"));
    edge.wait_for(Topic::Tags, 3).await;
    assert_eq!(edge.status("abc"), Some(Status::Revoked));
    assert_eq!(edge.status("misread"), Some(Status::Active));

    let behind = edge.followed.recv().unwrap();
    assert_eq!(behind.from.get(Topic::Tags, 0), Some(1));
    behind.says_tag(1, tag(HOST, "abc"));
    behind.is_at_its_end();
    assert_eq!(edge.heard.recv().unwrap(), FeedState::Complete, "rebuilt");
    assert_eq!(edge.status("abc"), Some(Status::Revoked));
    assert_eq!(edge.status("misread"), None);
    assert_eq!(edge.status("read-right"), Some(Status::Active));
    edge.feed.stop();
}

#[tokio::test]
async fn an_emptied_journal_behind_the_tail_takes_no_tag_away() {
    let edge = Fixture::of_another_build(Table::new());
    let tail = edge.followed.recv().unwrap();
    tail.is_at_its_end();
    let behind = edge.followed.recv().unwrap();
    behind.is_at_its_end();
    for offset in 2..100 {
        tail.says_tag(offset, tag(HOST, &format!("new-{offset}")));
        edge.wait_for(Topic::Tags, offset + 1).await;
    }
    assert_eq!(edge.status("abc"), Some(Status::Active));
    assert_eq!(edge.status("new-99"), Some(Status::Active));
    edge.feed.stop();
}

/// More tags than fit into 32 MiB, the least that a table holds.
fn too_many() -> impl Iterator<Item = Tag> {
    let long = destination(&format!("https://example.com/{}", "x".repeat(1900)));
    (0..18_000).map(move |number| Tag {
        destination: long.clone(),
        ..tag(HOST, &format!("many-{number}"))
    })
}

#[tokio::test]
async fn a_table_without_room_for_the_journal_is_not_complete_and_no_change_is_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let edge = Fixture::start(Table::with_room(1), folder);
    let tail = edge.followed.recv().unwrap();
    for (offset, tag) in too_many().enumerate() {
        tail.says_tag(offset as i64, tag);
    }
    tail.is_at_its_end();
    let FeedState::Away { reason } = edge.heard.recv().unwrap() else {
        panic!("it has read all that does not fit");
    };
    assert!(reason.contains("full"), "{reason}");
    assert!(!edge.table.is_complete());
    let read = edge.applied.positions().get(Topic::Tags, 0).unwrap();
    let held = edge.table.len() as i64;
    assert!(
        read <= held && held < 18_000,
        "none is skipped: {read}, {held}"
    );
    let file = edge.folder.path().join("tags.snapshot");
    edge.feed.stop();
    assert!(!file.exists());
}

#[tokio::test]
async fn a_reading_behind_the_tail_without_room_leaves_the_table_that_serves_and_its_edits() {
    let edge = Fixture::of_another_build(Table::with_room(1));
    let tail = edge.followed.recv().unwrap();
    tail.is_at_its_end();
    assert_eq!(edge.heard.recv().unwrap(), FeedState::Complete);
    let _behind = edge.followed.recv().unwrap(); // has much to read still
    for (number, tag) in too_many().enumerate() {
        tail.says_tag(2 + number as i64, tag);
    }
    edge.wait_for(Topic::Tags, 2 + 18_000).await;
    assert_eq!(edge.status("abc"), Some(Status::Active));
    assert_eq!(edge.status("misread"), Some(Status::Active));
    for number in [0, 17_999] {
        let code = format!("many-{number}");
        assert_eq!(edge.status(&code), Some(Status::Active), "{code}");
    }
    edge.feed.stop();
    let info = read_snapshot_info(&edge.folder.path().join("tags.snapshot")).unwrap();
    assert_eq!(info.build, "1.2.2");
}
