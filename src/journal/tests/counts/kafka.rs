//! The topic under test, with a prefix of its own on a real broker.

use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use anyhow::Context;
use journal::{
    Counts, CountsError, CountsEvent, CountsFollower, FollowError, JournalMetrics, KafkaCounts,
    KafkaOptions,
};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

use crate::count;
use crate::waiting::until;

struct Place {
    options: KafkaOptions,
    metrics: JournalMetrics,
}

impl Place {
    fn new() -> anyhow::Result<Self> {
        let brokers = std::env::var("TAGWIRE_TEST_KAFKA").context(
            "TAGWIRE_TEST_KAFKA does not name a Kafka broker: run tests/run, which starts one",
        )?;
        let prefix = format!("test-{:016x}.", RandomState::new().hash_one("counts"));
        Ok(Self {
            options: KafkaOptions {
                prefix,
                ..KafkaOptions::new(brokers)
            },
            metrics: JournalMetrics::unregistered(),
        })
    }

    fn counts(&self) -> KafkaCounts {
        KafkaCounts::new(self.options.clone(), self.metrics.clone())
    }

    fn topic(&self) -> String {
        format!("{}counts", self.options.prefix)
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.options.brokers);
        config
    }

    fn admin(&self) -> anyhow::Result<AdminClient<DefaultClientContext>> {
        Ok(self.config().create()?)
    }

    /// Writes records that no edge would.
    fn write(&self, records: &[(&str, Option<&[u8]>)]) -> anyhow::Result<()> {
        let producer: ThreadedProducer<DefaultProducerContext> = self.config().create()?;
        let topic = self.topic();
        for (key, value) in records {
            let mut record: BaseRecord<'_, str, [u8]> = BaseRecord::to(&topic).key(key);
            record.payload = *value;
            producer.send(record).map_err(|(error, _)| error)?;
        }
        Ok(producer.flush(Duration::from_secs(20))?)
    }

    async fn remove(&self) -> anyhow::Result<()> {
        let admin = self.admin()?;
        admin
            .delete_topics(&[&self.topic()], &AdminOptions::new())
            .await?;
        Ok(())
    }
}

/// Tests a place, which does not fill up the broker afterwards.
async fn at_a_place<F: Future<Output = anyhow::Result<()>>>(
    test: impl FnOnce(std::sync::Arc<Place>) -> F,
) -> anyhow::Result<()> {
    let place = std::sync::Arc::new(Place::new()?);
    let outcome = test(std::sync::Arc::clone(&place)).await;
    let _ = place.remove().await; // it may be gone
    outcome
}

/// What comes up to the event that `last` accepts.
fn heard(
    follower: &mut dyn CountsFollower,
    last: impl FnMut(&CountsEvent) -> bool,
) -> anyhow::Result<Vec<CountsEvent>> {
    until(|wait| Ok(follower.next(wait)?), last)
}

fn is_caught_up(event: &CountsEvent) -> bool {
    *event == CountsEvent::CaughtUp
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_tells_others_hear_whether_they_listen_or_come_later() -> anyhow::Result<()> {
    at_a_place(async |place| {
        let mut publisher = place.counts().publisher();
        tokio::task::block_in_place(|| publisher.publish(&[]))?;
        let mut listens = place.counts().follow()?;
        let first = heard(&mut *listens, is_caught_up)?;
        assert_eq!(first, [CountsEvent::CaughtUp]);
        let told = [
            count("a", "edge-1", 1, 5),
            count("a", "edge-2", 1, 7),
            count("b", "edge-1", 1, 1),
        ];
        tokio::task::block_in_place(|| publisher.publish(&told))?;
        let mut left = told.len();
        let mut live = heard(&mut *listens, |event| {
            left -= usize::from(matches!(event, CountsEvent::Count(_)));
            left == 0
        })?;
        let mut comes_later = place.counts().follow()?;
        let mut later = heard(&mut *comes_later, is_caught_up)?;
        assert_eq!(later.pop(), Some(CountsEvent::CaughtUp));
        for events in [&mut live, &mut later] {
            events.sort_by_key(|event| match event {
                CountsEvent::Count(count) => count.key(),
                other => panic!("{other:?}"),
            });
            assert_eq!(*events, told.clone().map(CountsEvent::Count));
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_count_is_counted_as_refused_and_changes_nothing() -> anyhow::Result<()> {
    at_a_place(async |place| {
        let mut publisher = place.counts().publisher();
        let good = count("a", "edge-1", 1, 5);
        let poison: [(&str, Option<&[u8]>); 4] = [
            (&good.key(), Some(b"\xff\xff")),
            (&good.key(), Some(&[0x08, 2])),
            (&good.key(), None),
            ("nonsense", Some(&good.encode())),
        ];
        tokio::task::block_in_place(|| publisher.publish(&[]))?;
        tokio::task::block_in_place(|| place.write(&poison))?;
        tokio::task::block_in_place(|| publisher.publish(std::slice::from_ref(&good)))?;
        let mut follower = place.counts().follow()?;
        let events = heard(&mut *follower, is_caught_up)?;
        let counts: Vec<_> = events
            .iter()
            .filter(|event| matches!(event, CountsEvent::Count(_)))
            .collect();
        assert_eq!(counts, [&CountsEvent::Count(good)]);
        assert_eq!((events.len(), place.metrics.refused()), (6, 4));
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_deleted_ends_its_followers_and_is_made_again_by_who_tells()
-> anyhow::Result<()> {
    at_a_place(async |place| {
        let mut publisher = place.counts().publisher();
        let told = [count("a", "edge-1", 1, 5)];
        tokio::task::block_in_place(|| publisher.publish(&told))?;
        let mut follower = place.counts().follow()?;
        heard(&mut *follower, is_caught_up)?;
        place.remove().await?;
        let gone = heard(&mut *follower, |_| false).unwrap_err();
        let gone = gone.downcast_ref::<FollowError>();
        assert!(
            matches!(gone, Some(FollowError::OtherLog { .. })),
            "{gone:?}"
        );
        let again = tokio::task::block_in_place(|| {
            // The broker may take a moment to be done with the old one.
            let mut attempts = (0..20).map(|_| publisher.publish(&told));
            attempts.find(Result::is_ok)
        });
        assert!(again.is_some());
        let mut follower = place.counts().follow()?;
        let events = heard(&mut *follower, is_caught_up)?;
        let [count] = told;
        assert!(events.contains(&CountsEvent::Count(count)), "{events:?}");
        Ok(())
    })
    .await
}

/// Tells it when the broker is done with a topic that was deleted.
fn publish_anew(place: &Place, told: &[journal::Count]) -> anyhow::Result<()> {
    let mut publisher = place.counts().publisher();
    let mut attempts = (0..20).map(|_| publisher.publish(told));
    attempts.find(Result::is_ok).context("no topic again")??;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_replaced_by_a_shorter_one_at_once_ends_its_followers() -> anyhow::Result<()>
{
    for again in [1, 0] {
        at_a_place(async |place| {
            let mut publisher = place.counts().publisher();
            let told = [1, 2].map(|scans| count("a", "edge-1", 1, scans));
            tokio::task::block_in_place(|| publisher.publish(&told))?;
            let mut follower = place.counts().follow()?;
            heard(&mut *follower, is_caught_up)?;
            place.remove().await?;
            tokio::task::block_in_place(|| publish_anew(&place, &told[..again]))?;
            let replaced = heard(&mut *follower, |_| false).unwrap_err();
            let replaced = replaced.downcast_ref::<FollowError>();
            assert!(
                matches!(replaced, Some(FollowError::OtherLog { .. })),
                "{again}: {replaced:?}"
            );
            Ok(())
        })
        .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_forgets_is_refused() -> anyhow::Result<()> {
    at_a_place(async |place| {
        let topic = place.topic();
        let forgetful = NewTopic::new(&topic, 1, TopicReplication::Fixed(1));
        let made = place
            .admin()?
            .create_topics([&forgetful], &AdminOptions::new())
            .await?;
        made.into_iter()
            .try_for_each(|one| one.map(drop).map_err(|(_, code)| code))?;
        let mut publisher = place.counts().publisher();
        let refused = tokio::task::block_in_place(|| publisher.publish(&[])).unwrap_err();
        assert!(
            matches!(&refused, CountsError::Topic(error) if error.setting == "cleanup.policy"),
            "{refused}"
        );
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_broker_neither_ends_and_both_say_so() -> anyhow::Result<()> {
    let options = KafkaOptions::new("127.0.0.1:1");
    let counts = KafkaCounts::new(options, JournalMetrics::unregistered());
    let mut publisher = counts.publisher();
    let told = tokio::task::block_in_place(|| publisher.publish(&[count("a", "edge-1", 1, 5)]));
    assert!(matches!(told, Err(CountsError::Unavailable { .. })));
    let mut follower = counts.follow()?;
    let events = heard(&mut *follower, |event| {
        matches!(event, CountsEvent::Disconnected { .. })
    })?;
    assert_eq!(events.len(), 1);
    Ok(())
}
