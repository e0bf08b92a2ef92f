//! From the journal into the table, over a real journal.

use std::path::PathBuf;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use async_trait::async_trait;
use edge::{EdgeMetrics, Feed, FeedState, SnapshotOptions};
use journal::{
    Applied, Event, FollowError, Follower, Journal, Positions, PublishError, Since, SqliteJournal,
};
use prometheus::Registry;
use table::{SnapshotInfo, Table, read_snapshot_info};
use tags::{Change, Status, Tag, Topic};

use crate::fixture::{HOST, changes, tag};

#[tokio::test]
async fn what_is_published_is_in_the_table_when_its_position_is_said_to_be_applied() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Arc::new(SqliteJournal::open(&folder.path().join("journal.db")).unwrap());
    journal.become_writer().await.unwrap();
    journal.publish(changes()).await.unwrap();

    let (registry, table) = (Registry::new(), Arc::new(Table::new()));
    let (sender, applied) = Applied::new();
    let (hears, heard) = mpsc::channel();
    let metrics = EdgeMetrics::register(&registry).unwrap();
    let feed = Feed::start(
        journal.clone(),
        table.clone(),
        sender,
        metrics,
        None,
        move |state| hears.send(state).unwrap(),
    )
    .unwrap();

    assert_eq!(heard.recv().unwrap(), FeedState::Complete);
    assert!(table.is_complete());
    let tags = changes()
        .iter()
        .filter(|change| matches!(change, Change::Tag(_)))
        .count();
    assert_eq!(table.len(), tags);

    let edited = Tag {
        version: tag(HOST, "abc").version.next(),
        status: Status::Paused,
        ..tag(HOST, "abc")
    };
    let positions = journal.publish(vec![Change::Tag(edited)]).await.unwrap();
    applied.wait_for(&positions).await.unwrap();
    let state = table.load();
    assert_eq!(
        state.pin().tag(HOST, "abc").map(|tag| tag.status),
        Some(Status::Paused)
    );
    let gauges = prometheus::TextEncoder::new()
        .encode_to_string(&registry.gather())
        .unwrap();
    assert!(
        gauges.contains(&format!("tagwire_edge_tags {tags}")),
        "{gauges}"
    );
    feed.stop();
}

/// A journal whose followers end early: each gives one tag and breaks, until there are no more.
struct Breaking {
    tags: Vec<Tag>,
    followed_from: Arc<Mutex<Vec<Positions>>>,
}

struct BreakingFollower {
    events: Vec<Event>,
    breaks: bool,
}

#[async_trait]
impl Journal for Breaking {
    async fn become_writer(&self) -> Result<(), PublishError> {
        Err(PublishError::NotWriter)
    }

    async fn publish(&self, _: Vec<Change>) -> Result<Positions, PublishError> {
        Err(PublishError::NotWriter)
    }

    fn follow(&self, _: &[Topic], since: Since) -> Result<Box<dyn Follower>, FollowError> {
        let offset = since.positions.get(Topic::Tags, 0).unwrap_or(0);
        self.followed_from.lock().unwrap().push(since.positions);
        let change = self.tags.get(offset as usize).map(|tag| Event::Change {
            change: Box::new(Change::Tag(tag.clone())),
            topic: Topic::Tags,
            partition: 0,
            offset,
            published_at: jiff::Timestamp::now(),
        });
        let breaks = change.is_some();
        Ok(Box::new(BreakingFollower {
            events: change
                .into_iter()
                .chain((!breaks).then_some(Event::CaughtUp))
                .collect(),
            breaks,
        }))
    }
}

impl Follower for BreakingFollower {
    fn next(&mut self, wait: Duration) -> Result<Option<Event>, FollowError> {
        if let Some(event) = self.events.pop() {
            return Ok(Some(event));
        }
        if self.breaks {
            return Err(FollowError::Broken {
                place: "here".to_owned(),
                reason: "it broke".to_owned(),
            });
        }
        std::thread::sleep(wait); // nothing will come
        Ok(None)
    }

    fn log(&self) -> Option<&str> {
        Some("cluster")
    }
}

#[test]
fn a_follower_that_ends_is_followed_by_another_that_goes_on_where_it_was() {
    let followed_from = Arc::default();
    let journal = Breaking {
        tags: vec![tag(HOST, "abc"), tag(HOST, "def")],
        followed_from: Arc::clone(&followed_from),
    };
    let table = Arc::new(Table::new());
    let (sender, applied) = Applied::new();
    let (hears, heard) = mpsc::channel();
    let metrics = EdgeMetrics::register(&Registry::new()).unwrap();
    let feed = Feed::start(
        Arc::new(journal),
        table.clone(),
        sender,
        metrics,
        None,
        move |state| hears.send(state).unwrap(),
    )
    .unwrap();

    assert!(
        matches!(heard.recv().unwrap(), FeedState::Away { reason } if reason.contains("it broke"))
    );
    assert!(
        !table.is_complete(),
        "what has been read is not all there is"
    );
    let until_complete: Vec<_> = heard
        .iter()
        .take(10)
        .take_while(|state| *state != FeedState::Complete)
        .collect();
    let told: Vec<_> = until_complete
        .iter()
        .map(|state| matches!(state, FeedState::Back))
        .collect();
    assert_eq!(
        told,
        [true, false, true],
        "back, away again with the second follower, back: {until_complete:?}"
    );
    assert!(table.is_complete());
    assert_eq!(table.len(), 2);
    assert_eq!(applied.positions().get(Topic::Tags, 0), Some(2));
    feed.stop();
    let offsets: Vec<_> = followed_from
        .lock()
        .unwrap()
        .iter()
        .map(|from: &Positions| from.get(Topic::Tags, 0))
        .collect();
    assert_eq!(offsets, [None, Some(1), Some(2)]);
}

/// The build that the tests' edges are of.
const BUILD: &str = "1.2.3";

/// A table with one tag, as a snapshot that was taken then by this build.
fn snapshot(file: &std::path::Path, code: &str, taken_at: jiff::Timestamp, build: &str) {
    let table = Table::new();
    for change in changes() {
        if !matches!(change, Change::Tag(_)) {
            table.apply(change);
        }
    }
    table.apply(Change::Tag(tag(HOST, code)));
    table.complete();
    let info = SnapshotInfo {
        cluster: "cluster".to_owned(),
        positions: vec![(Topic::Tags, 0, 1)],
        taken_at,
        build: build.to_owned(),
    };
    table.write_snapshot(file, &info).unwrap();
}

/// A feed that keeps its snapshot in this file, and what is heard of it.
fn start(
    journal: impl Journal,
    table: &Arc<Table>,
    registry: &Registry,
    file: PathBuf,
) -> (Feed, Receiver<FeedState>) {
    let (sender, _) = Applied::new();
    let (hears, heard) = mpsc::channel();
    let options = SnapshotOptions {
        file,
        every: Duration::from_secs(300),
        build: BUILD,
        held: false,
    };
    let feed = Feed::start(
        Arc::new(journal),
        Arc::clone(table),
        sender,
        EdgeMetrics::register(registry).unwrap(),
        Some(options),
        move |state| hears.send(state).unwrap(),
    );
    (feed.unwrap(), heard)
}

#[test]
fn an_old_snapshot_serves_until_the_journal_has_been_read_from_its_beginning_and_no_longer() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tags.snapshot");
    let long_ago = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(25);
    snapshot(&file, "forgotten", long_ago, BUILD);
    let followed_from = Arc::default();
    let journal = Breaking {
        tags: vec![tag(HOST, "abc")],
        followed_from: Arc::clone(&followed_from),
    };
    let table = Arc::new(Table::new());
    let registry = Registry::new();
    let (feed, heard) = start(journal, &table, &registry, file);
    let known = |code: &str| table.load().pin().tag(HOST, code).is_some();

    assert_eq!(heard.recv().unwrap(), FeedState::Complete, "the snapshot");
    let rebuilt = heard.iter().find(|state| *state == FeedState::Complete);
    assert!(rebuilt.is_some(), "the journal");
    assert!(known("abc") && !known("forgotten"));
    feed.stop();
    let followed_from = followed_from.lock().unwrap();
    let from = followed_from.iter().map(|from| from.get(Topic::Tags, 0));
    let from: Vec<_> = from.take(2).collect();
    assert_eq!(from, [Some(1), None], "first what has changed, then all");
    let page = prometheus::TextEncoder::new()
        .encode_to_string(&registry.gather())
        .unwrap();
    assert!(
        page.contains("tagwire_edge_snapshots_refused_total{reason=\"outdated\"} 1"),
        "{page}"
    );
}

/// A journal that never answers.
struct Silent;

#[async_trait]
impl Journal for Silent {
    async fn become_writer(&self) -> Result<(), PublishError> {
        Err(PublishError::NotWriter)
    }

    async fn publish(&self, _: Vec<Change>) -> Result<Positions, PublishError> {
        Err(PublishError::NotWriter)
    }

    fn follow(&self, _: &[Topic], _: Since) -> Result<Box<dyn Follower>, FollowError> {
        Ok(Box::new(BreakingFollower {
            events: Vec::new(),
            breaks: false,
        }))
    }
}

#[test]
fn a_snapshot_serves_while_the_journal_is_silent() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tags.snapshot");
    snapshot(&file, "abc", jiff::Timestamp::now(), BUILD);
    let table = Arc::new(Table::new());
    let (feed, heard) = start(Silent, &table, &Registry::new(), file);
    assert_eq!(heard.recv().unwrap(), FeedState::Complete);
    assert!(table.load().pin().tag(HOST, "abc").is_some());
    feed.stop();
}

#[test]
fn a_snapshot_of_another_build_is_followed_on_and_then_the_journal_read_again_behind_it() {
    for build in ["", "1.2.2"] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tags.snapshot");
        // That build refused the journal's first record, and took it for something else.
        snapshot(&file, "misread", jiff::Timestamp::now(), build);
        let followed_from = Arc::default();
        let journal = Breaking {
            tags: vec![tag(HOST, "abc")],
            followed_from: Arc::clone(&followed_from),
        };
        let table = Arc::new(Table::new());
        let (feed, heard) = start(journal, &table, &Registry::new(), file.clone());
        let known = |code: &str| table.load().pin().tag(HOST, code).is_some();

        assert_eq!(heard.recv().unwrap(), FeedState::Complete, "the snapshot");
        let rebuilt = heard.iter().find(|state| *state == FeedState::Complete);
        assert!(rebuilt.is_some(), "the journal");
        assert!(known("abc") && !known("misread"));
        feed.stop();
        let followed_from = followed_from.lock().unwrap();
        let from = followed_from.iter().map(|from| from.get(Topic::Tags, 0));
        let from: Vec<_> = from.take(2).collect();
        assert_eq!(from, [Some(1), None], "first what has changed, then all");
        assert_eq!(read_snapshot_info(&file).unwrap().build, BUILD);
    }
}

#[test]
fn what_another_build_wrote_is_not_written_again_as_this_ones() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tags.snapshot");
    snapshot(&file, "abc", jiff::Timestamp::now(), "1.2.2");
    let table = Arc::new(Table::new());
    let (feed, heard) = start(Silent, &table, &Registry::new(), file.clone());
    assert_eq!(heard.recv().unwrap(), FeedState::Complete, "it serves");
    feed.stop();
    assert_eq!(read_snapshot_info(&file).unwrap().build, "1.2.2");
}
