//! What an edge says of itself, and when: heard by a fake that takes one heartbeat at a time, when the test lets it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use edge::{AboutEdge, Heartbeats};
use jiff::Timestamp;
use journal::{
    Applied, AppliedSender, EdgeRun, EdgeState, Edges, EdgesError, EdgesFollower, FollowError,
    Heartbeat, Positions, Reporter,
};
use table::Table;
use tags::Topic;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};

const DEADLINE: Duration = Duration::from_secs(60);

/// What was said; none: the farewell.
type Said = Option<Heartbeat>;

/// Takes as many heartbeats as it has permits for.
#[derive(Clone)]
struct Ear {
    said: mpsc::UnboundedSender<Said>,
    permits: Arc<Semaphore>,
    fails: bool,
}

#[async_trait]
impl Edges for Ear {
    async fn prepare(&self) -> Result<(), EdgesError> {
        Ok(())
    }

    fn reporter(&self) -> Result<Box<dyn Reporter>, EdgesError> {
        Ok(Box::new(self.clone()))
    }

    fn follow(&self) -> Result<Box<dyn EdgesFollower>, FollowError> {
        panic!("an edge does not follow")
    }
}

#[async_trait]
impl Reporter for Ear {
    async fn report(&mut self, heartbeat: &Heartbeat) -> Result<(), EdgesError> {
        self.said.send(Some(heartbeat.clone())).unwrap();
        self.permits.acquire().await.unwrap().forget();
        if self.fails {
            return Err(EdgesError::Unavailable {
                topic: "edges".to_owned(),
                place: "here".to_owned(),
                reason: "a test says so".to_owned(),
            });
        }
        Ok(())
    }

    async fn farewell(&mut self, run: &EdgeRun) -> Result<(), EdgesError> {
        assert_eq!(*run, EdgeRun::new("edge-1", 7).unwrap());
        self.said.send(None).unwrap();
        Ok(())
    }
}

struct Fixture {
    heartbeats: Heartbeats,
    table: Arc<Table>,
    applied: AppliedSender,
    said: mpsc::UnboundedReceiver<Said>,
    permits: Arc<Semaphore>,
}

impl Fixture {
    fn start(permits: usize, fails: bool) -> Self {
        let (sender, said) = mpsc::unbounded_channel();
        let permits = Arc::new(Semaphore::new(permits));
        let ear = Ear {
            said: sender,
            permits: Arc::clone(&permits),
            fails,
        };
        let (table, (sender, applied)) = (Arc::new(Table::new()), Applied::new());
        let about = AboutEdge {
            run: EdgeRun::new("edge-1", 7).unwrap(),
            version: "1.2.3",
            addresses: vec!["127.0.0.1:8080".parse().unwrap()],
        };
        let runtime = Handle::current();
        let heartbeats =
            Heartbeats::start(&runtime, &ear, about, Arc::clone(&table), applied).unwrap();
        Self {
            heartbeats,
            table,
            applied: sender,
            said,
            permits,
        }
    }

    async fn next(&mut self) -> Said {
        let said = tokio::time::timeout(DEADLINE, self.said.recv()).await;
        said.expect("nothing is said any more").unwrap()
    }

    /// The next one that says something else than those before it.
    async fn next_where(&mut self, wanted: impl Fn(&Heartbeat) -> bool) -> Heartbeat {
        loop {
            let heartbeat = self.next().await.expect("no farewell yet");
            if wanted(&heartbeat) {
                return heartbeat;
            }
        }
    }
}

fn tags_at(next_offset: i64) -> Positions {
    Positions::from_iter([(Topic::Tags, 0, next_offset)])
}

#[tokio::test]
async fn an_edge_says_that_it_starts_serves_drains_and_is_gone() {
    let mut edge = Fixture::start(Semaphore::MAX_PERMITS, false);
    let first = edge.next().await.unwrap();
    assert_eq!(first.state, EdgeState::Starting);
    assert_eq!(first.positions, Positions::default());
    assert_eq!(
        (first.version.as_str(), first.addresses, first.tags),
        ("1.2.3", vec!["127.0.0.1:8080".to_owned()], 0)
    );
    let published = Timestamp::from_second(1_800_000_000).unwrap();
    edge.applied.published(published);
    edge.applied.advance(Topic::Tags, 0, 5);
    edge.table.complete();
    let serving = edge
        .next_where(|said| said.state == EdgeState::Serving)
        .await;
    assert_eq!(serving.positions, tags_at(5));
    assert_eq!((first.newest, serving.newest), (None, Some(published)));
    edge.heartbeats.begin_drain();
    let draining = edge
        .next_where(|said| said.state == EdgeState::Draining)
        .await;
    assert_eq!(draining.started_at, first.started_at);
    // It still applies what comes, since it still answers.
    edge.applied.advance(Topic::Tags, 0, 6);
    edge.next_where(|said| said.positions == tags_at(6)).await;
    edge.heartbeats.begin_farewell();
    while edge.next().await.is_some() {}
    assert_eq!(edge.said.recv().await, None, "and nothing behind it");
}

#[tokio::test]
async fn many_changes_are_said_in_one_heartbeat() {
    let mut edge = Fixture::start(Semaphore::MAX_PERMITS, false);
    edge.table.complete();
    edge.next_where(|said| said.state == EdgeState::Serving)
        .await;
    for next_offset in 1..=1_000 {
        edge.applied.advance(Topic::Tags, 0, next_offset);
    }
    // An idle one may come between.
    let said = edge
        .next_where(|said| said.positions != Positions::default())
        .await;
    assert_eq!(said.positions, tags_at(1_000));
}

#[tokio::test]
async fn while_one_heartbeat_is_under_way_none_piles_up_and_then_the_newest_is_said() {
    let mut edge = Fixture::start(0, false);
    edge.table.complete();
    edge.next().await.unwrap();
    for next_offset in 1..=100 {
        edge.applied.advance(Topic::Tags, 0, next_offset);
        tokio::task::yield_now().await;
    }
    assert!(edge.said.try_recv().is_err(), "one is under way still");
    edge.permits.add_permits(1);
    assert_eq!(edge.next().await.unwrap().positions, tags_at(100));
    assert!(edge.said.try_recv().is_err(), "and the next one is");
    // Nor does it keep the farewell waiting.
    edge.heartbeats.begin_farewell();
    assert_eq!(edge.next().await, None);
}

#[tokio::test]
async fn heartbeats_that_fail_are_followed_by_others() {
    let mut edge = Fixture::start(Semaphore::MAX_PERMITS, true);
    edge.table.complete();
    for next_offset in 1..=3 {
        edge.applied.advance(Topic::Tags, 0, next_offset);
        edge.next_where(|said| said.positions == tags_at(next_offset))
            .await;
    }
}

#[tokio::test]
async fn an_edge_that_says_nothing_new_still_says_that_it_lives() {
    let mut edge = Fixture::start(Semaphore::MAX_PERMITS, false);
    edge.table.complete();
    let first = edge
        .next_where(|said| said.state == EdgeState::Serving)
        .await;
    let second = edge.next().await.unwrap();
    assert!(second.sent_at > first.sent_at);
    let same = Heartbeat {
        sent_at: first.sent_at,
        ..second
    };
    assert_eq!(same, first);
    // The reader of the journal ends: that it lives is still true.
    let Fixture { applied, .. } = edge;
    drop(applied);
    let next = tokio::time::timeout(DEADLINE, edge.said.recv()).await;
    assert!(next.unwrap().unwrap().is_some());
}
