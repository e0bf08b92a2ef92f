//! A journal that fails under the admin: edits are refused and never wait for ever.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use journal::{
    Event, FollowError, Follower, Journal, Positions, PublishError, Since, SqliteJournal,
};
use serde_json::json;
use tags::{Change, Topic};
use tokio::sync::RwLock;

use crate::support::{PUBLIC_URL, Server, listed};

/// Which faults there are now.
#[derive(Clone, Default)]
pub struct Faults {
    reader_ends: Arc<AtomicBool>,
    /// Nothing is taken in.
    pub reader_rests: Arc<AtomicBool>,
    /// How often nothing was.
    pub rested: Arc<AtomicUsize>,
    pub nothing_is_written: Arc<AtomicBool>,
    outcomes_lost: Arc<AtomicUsize>,
    refused_after_loss: Arc<AtomicUsize>,
    /// Whoever writes to it keeps all publishing waiting.
    pub held: Arc<RwLock<()>>,
    pub publishing: Arc<AtomicUsize>,
    /// How often something was written.
    pub published: Arc<AtomicUsize>,
}

/// Takes one, if there is one left.
fn one_of(left: &AtomicUsize) -> bool {
    let one_less = |left: usize| left.checked_sub(1);
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less)
        .is_ok()
}

/// The real journal, with faults.
struct FaultyJournal {
    journal: SqliteJournal,
    faults: Faults,
}

struct FaultyFollower {
    follower: Box<dyn Follower>,
    faults: Faults,
}

type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, PublishError>> + Send + 'a>>;

impl Journal for FaultyJournal {
    fn become_writer<'a, 'b>(&'a self) -> Answer<'b, ()>
    where
        'a: 'b,
    {
        self.journal.become_writer()
    }

    fn publish<'a, 'b>(&'a self, changes: Vec<Change>) -> Answer<'b, Positions>
    where
        'a: 'b,
    {
        Box::pin(async move {
            self.faults.publishing.fetch_add(1, Ordering::SeqCst);
            let _goes_on = self.faults.held.read().await;
            if self.faults.nothing_is_written.load(Ordering::SeqCst) {
                let (place, reason) = ("here".to_owned(), "a test says so".to_owned());
                return Err(PublishError::Unavailable { place, reason });
            }
            let is_lost = one_of(&self.faults.outcomes_lost);
            if !is_lost && one_of(&self.faults.refused_after_loss) {
                let (place, reason) = ("here".to_owned(), "a test says so".to_owned());
                return Err(PublishError::Unavailable { place, reason });
            }
            let written = self.journal.publish(changes).await?;
            self.faults.published.fetch_add(1, Ordering::SeqCst);
            if is_lost {
                let reason = "a test says so".to_owned();
                return Err(PublishError::InDoubt { reason });
            }
            Ok(written)
        })
    }

    fn follow(&self, topics: &[Topic], from: Since) -> Result<Box<dyn Follower>, FollowError> {
        let follower = self.journal.follow(topics, from)?;
        let faults = self.faults.clone();
        Ok(Box::new(FaultyFollower { follower, faults }))
    }
}

impl Follower for FaultyFollower {
    fn next(&mut self, wait: Duration) -> Result<Option<Event>, FollowError> {
        if self.faults.reader_rests.load(Ordering::SeqCst) {
            self.faults.rested.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(5));
            return Ok(None);
        }
        let next = self.follower.next(wait)?;
        if self.faults.reader_ends.load(Ordering::SeqCst) {
            let (place, reason) = ("here".to_owned(), "a test says so".to_owned());
            return Err(FollowError::Broken { place, reason });
        }
        Ok(next)
    }
}

pub async fn start(faults: &Faults) -> Server {
    let faults = faults.clone();
    Server::start_with(|journal| Arc::new(FaultyJournal { journal, faults })).await
}

#[tokio::test]
async fn an_edit_is_refused_when_the_reader_of_the_journal_has_ended() {
    let faults = Faults::default();
    let server = start(&faults).await;
    let owner = server.owner();
    owner.tag("spring").await;
    faults.reader_ends.store(true, Ordering::SeqCst);
    // Again and again: the first does not keep the tag locked.
    for _ in 0..3 {
        let answer = owner.patch("/tags/spring", json!({"name": "n"})).await;
        answer.problem(503);
    }
    // Nor are there old answers: a key may have been revoked meanwhile.
    owner.get("/tags/spring").await.problem(503);
    server.admin.reader_ended().await;
    faults.reader_ends.store(false, Ordering::SeqCst);
    let key = server.first_key();
    let server = server.restart(PUBLIC_URL).await;
    let versions = server
        .with_key(&key)
        .get("/tags/spring/versions")
        .await
        .ok();
    // The one that was under way may have been written, and none after it.
    assert!(versions["items"].as_array().unwrap().len() <= 2);
}

#[tokio::test]
async fn an_edit_that_cannot_be_published_is_refused_and_may_be_tried_again() {
    let faults = Faults::default();
    let server = start(&faults).await;
    let owner = server.owner();
    owner.tag("spring").await;
    faults.nothing_is_written.store(true, Ordering::SeqCst);
    let answer = owner.patch("/tags/spring", json!({"name": "n"})).await;
    assert!(
        answer.problem(503)["detail"]
            .as_str()
            .unwrap()
            .contains("nothing was written")
    );
    assert_eq!(owner.get("/tags/spring").await.ok()["version"], 1);
    faults.nothing_is_written.store(false, Ordering::SeqCst);
    assert_eq!(
        owner.patch("/tags/spring", json!({"name": "n"})).await.ok()["version"],
        2
    );
}

#[tokio::test]
async fn an_edit_whose_outcome_was_lost_is_made_for_certain_and_once() {
    let faults = Faults::default();
    let server = start(&faults).await;
    let owner = server.owner();
    owner.tag("spring").await;
    for (lost, refused, version) in [(1, 0, 2), (2, 3, 3)] {
        faults.refused_after_loss.store(refused, Ordering::SeqCst);
        faults.outcomes_lost.store(lost, Ordering::SeqCst);
        let edits = (0..2).map(|number| {
            let (owner, name) = (owner.clone(), format!("n{version}-{number}"));
            tokio::spawn(async move {
                owner
                    .patch("/tags/spring", json!({"name": name}))
                    .await
                    .ok()
            })
        });
        for edit in edits.collect::<Vec<_>>() {
            edit.await.unwrap();
        }
    }
    let versions = owner.get("/tags/spring/versions").await.ok();
    let numbers: Vec<_> = versions["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| tag["version"].as_u64())
        .collect();
    assert_eq!(numbers, [5, 4, 3, 2, 1].map(Some));
    let newest = owner.get("/tags/spring").await.ok();
    assert_eq!(listed(&newest), versions["items"][0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_create_under_way_is_not_begun_again_also_when_its_client_has_gone() {
    let faults = Faults::default();
    let server = start(&faults).await;
    let owner = server.owner();
    let create = || {
        let body = json!({"destination": "https://example.com/"});
        let request = owner.request(reqwest::Method::POST, "/tags");
        request.header("Idempotency-Key", "spring").json(&body)
    };
    let published = faults.publishing.load(Ordering::SeqCst);
    let held = faults.held.write().await;
    let first = tokio::spawn(create().send());
    while faults.publishing.load(Ordering::SeqCst) == published {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    owner.send(create()).await.problem(409);
    first.abort();
    let under_way = owner.send(create()).await;
    assert_eq!(under_way.header("retry-after"), "1");
    under_way.problem(409);
    drop(held);
    let made = loop {
        let again = owner.send(create()).await;
        if again.status.as_u16() != 409 {
            break again.created();
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    let list = owner.get("/tags").await.ok();
    assert_eq!(list["items"], json!([listed(&made)]));
}

#[tokio::test]
async fn a_create_whose_outcome_was_lost_or_refused_is_made_once_by_its_repetition() {
    let faults = Faults::default();
    let server = start(&faults).await;
    let owner = server.owner();
    let create = async |key: &str| {
        let body = json!({"destination": "https://example.com/"});
        let request = owner.request(reqwest::Method::POST, "/tags");
        owner
            .send(request.header("Idempotency-Key", key).json(&body))
            .await
    };
    faults.nothing_is_written.store(true, Ordering::SeqCst);
    create("refused").await.problem(503);
    faults.nothing_is_written.store(false, Ordering::SeqCst);
    let made = create("refused").await.created();
    assert_eq!(create("refused").await.created(), made);
    faults.outcomes_lost.store(2, Ordering::SeqCst);
    let lost = create("lost").await.created();
    assert_eq!(create("lost").await.created(), lost);
    let list = owner.get("/tags").await.ok();
    assert_eq!(list["items"], json!([listed(&lost), listed(&made)]));
}
