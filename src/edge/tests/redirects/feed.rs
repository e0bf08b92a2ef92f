//! From the journal into the table, over a real journal.

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use async_trait::async_trait;
use edge::{EdgeMetrics, Feed, FeedState};
use journal::{
    Applied, Event, FollowError, Follower, Journal, Positions, PublishError, SqliteJournal,
};
use prometheus::Registry;
use table::Table;
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

    fn follow(&self, _: &[Topic], from: Positions) -> Result<Box<dyn Follower>, FollowError> {
        let offset = from.get(Topic::Tags, 0).unwrap_or(0);
        self.followed_from.lock().unwrap().push(from);
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
