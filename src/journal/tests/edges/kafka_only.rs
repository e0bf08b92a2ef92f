//! What only Kafka has: a topic with settings, records of any bytes, brokers that are away.

use std::time::{Duration, Instant};

use anyhow::bail;
use journal::{Edges, EdgesError, EdgesEvent, JournalMetrics, KafkaEdges, KafkaOptions};
use rdkafka::admin::{AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};

use crate::hearing::{heartbeats, until, until_caught_up, until_heard};
use crate::place::KafkaPlace;
use crate::samples::heartbeat;

/// Runs a test and removes its topic, whatever came of it.
macro_rules! kafka_test {
    ($name:ident, $place:ident, $body:block) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() -> anyhow::Result<()> {
            let place = KafkaPlace::new()?;
            let $place = &place;
            let outcome: anyhow::Result<()> = async move { $body }.await;
            place.remove_topic().await;
            outcome
        }
    };
}

async fn make_topic(place: &KafkaPlace, settings: &[(&str, &str)]) -> anyhow::Result<()> {
    let topic = place.topic();
    let new = NewTopic::new(&topic, 1, TopicReplication::Fixed(1));
    let new = settings
        .iter()
        .fold(new, |new, (setting, value)| new.set(setting, value));
    let made = place
        .admin()?
        .create_topics([&new], &AdminOptions::new())
        .await?;
    assert!(made.iter().all(Result::is_ok), "{made:?}");
    Ok(())
}

kafka_test!(a_missing_topic_is_made_with_its_policy, place, {
    place.edges().prepare().await?;
    // Twice is once.
    place.edges().prepare().await?;
    let topic = place.topic();
    let described = place
        .admin()?
        .describe_configs([&ResourceSpecifier::Topic(&topic)], &AdminOptions::new())
        .await?;
    let Some(Ok(config)) = described.first() else {
        bail!("no description of {topic}")
    };
    for (setting, value) in [
        ("cleanup.policy", "compact,delete"),
        ("retention.ms", "86400000"),
        ("message.timestamp.type", "LogAppendTime"),
    ] {
        let found = config.get(setting).and_then(|entry| entry.value.as_deref());
        assert_eq!(found, Some(value), "{setting}");
    }
    Ok(())
});

kafka_test!(
    a_topic_with_the_wrong_policy_is_an_error_that_says_what_is_wrong,
    place,
    {
        make_topic(place, &[("cleanup.policy", "delete")]).await?;
        let outcome = place.edges().prepare().await;
        let Err(EdgesError::Topic(error)) = outcome else {
            bail!("not refused: {outcome:?}")
        };
        assert_eq!(error.topic, place.topic());
        assert_eq!((error.setting, &*error.found), ("cleanup.policy", "delete"));
        Ok(())
    }
);

kafka_test!(
    a_topic_whose_records_carry_the_edges_clock_is_an_error,
    place,
    {
        make_topic(place, &[("cleanup.policy", "compact")]).await?;
        let outcome = place.edges().prepare().await;
        let Err(EdgesError::Topic(error)) = outcome else {
            bail!("not refused: {outcome:?}")
        };
        assert_eq!(error.setting, "message.timestamp.type");
        Ok(())
    }
);

kafka_test!(
    poison_is_counted_and_skipped_and_what_was_said_before_stays,
    place,
    {
        let edges = place.edges();
        edges.prepare().await?;
        let (first, last) = (heartbeat("a", 1, 1), heartbeat("b", 1, 1));
        let mut reporter = edges.reporter()?;
        reporter.report(&first).await?;
        let key = first.run.to_string();
        let (key, good) = (key.as_bytes(), first.encode());
        // A later major = 2 (field 1, varint) wins over the first.
        let newer = [good.as_slice(), &[0x08, 0x02]].concat();
        let huge = vec![0x5a; 100_000];
        let poison = [
            (Some(key), Some(&newer[..])),
            (Some(key), Some(&b"\xff\xff\xff"[..])),
            (Some(key), Some(&b""[..])),
            (Some(key), Some(&huge)),
            (Some(&b"\xff\xfe"[..]), Some(&good)),
            (Some(b"../../etc/0000000000000001"), Some(&good)),
            (Some(b"another/0000000000000001"), Some(&good)),
            (Some(b"no run"), None),
        ];
        place.write(&poison)?;
        // A compacted topic takes no record without a key; the broker says so, and nothing comes of it.
        place.write(&[(None, Some(&good))])?;
        reporter.report(&last).await?;
        let mut follower = edges.follow()?;
        let events = until_heard(&mut *follower, &last)?;
        assert_eq!(heartbeats(&events), [first, last]);
        let refused = events
            .iter()
            .filter(|event| matches!(event, EdgesEvent::Refused { .. }))
            .count();
        assert_eq!(refused, poison.len(), "{events:#?}");
        assert_eq!(place.metrics.refused(), refused as u64);
        Ok(())
    }
);

kafka_test!(a_thousand_boots_that_are_gone_are_read_through, place, {
    let edges = place.edges();
    edges.prepare().await?;
    let stale: Vec<_> = (0..1_000).map(|boot| heartbeat("a", boot, 1)).collect();
    let records: Vec<_> = stale
        .iter()
        .map(|beat| (beat.run.to_string(), beat.encode()))
        .collect();
    let records: Vec<_> = records
        .iter()
        .map(|(key, value)| (Some(key.as_bytes()), Some(value.as_slice())))
        .collect();
    place.write(&records)?;
    let mut follower = edges.follow()?;
    let events = until_caught_up(&mut *follower)?;
    assert_eq!(heartbeats(&events), stale);
    assert_eq!(events.len(), 1_001, "and nothing else");
    Ok(())
});

kafka_test!(
    a_follower_waits_for_its_topic_and_an_edge_does_not_make_it,
    place,
    {
        let edges = place.edges();
        let (mut follower, mut reporter) = (edges.follow()?, edges.reporter()?);
        let events = until(&mut *follower, |event| {
            matches!(event, EdgesEvent::Disconnected { .. })
        })?;
        let [EdgesEvent::Disconnected { reason }] = &events[..] else {
            bail!("{events:?}")
        };
        assert!(reason.contains(&place.topic()), "{reason}");
        let said = heartbeat("a", 1, 1);
        let error = reporter.report(&said).await.unwrap_err().to_string();
        assert!(error.contains("does not exist yet"), "{error}");

        edges.prepare().await?;
        // The broker may need a moment to know of it.
        let deadline = Instant::now() + Duration::from_secs(60);
        while let Err(error) = reporter.report(&said).await {
            assert!(Instant::now() < deadline, "{error}");
        }
        let events = until_heard(&mut *follower, &said)?;
        assert!(events.contains(&EdgesEvent::Connected), "{events:?}");
        Ok(())
    }
);

kafka_test!(
    a_topic_that_is_deleted_ends_its_follower_and_the_next_hears_what_is_said_in_the_one_made_again,
    place,
    {
        let edges = place.edges();
        edges.prepare().await?;
        let mut reporter = edges.reporter()?;
        reporter.report(&heartbeat("a", 1, 1)).await?;
        let mut follower = edges.follow()?;
        until_caught_up(&mut *follower)?;
        place.remove_topic().await;
        let ended = until(&mut *follower, |_| false).unwrap_err();
        assert!(ended.to_string().contains("is gone"), "{ended}");

        let mut follower = edges.follow()?;
        edges.prepare().await?;
        let said = heartbeat("b", 1, 1);
        let deadline = Instant::now() + Duration::from_secs(60);
        while let Err(error) = reporter.report(&said).await {
            assert!(Instant::now() < deadline, "{error}");
        }
        let events = until_heard(&mut *follower, &said)?;
        assert_eq!(heartbeats(&events), [said]);
        Ok(())
    }
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_broker_a_report_fails_and_a_follower_says_so_and_neither_ends()
-> anyhow::Result<()> {
    // Port 1 is reserved, and nothing listens there.
    let options = KafkaOptions::new("127.0.0.1:1");
    let edges = KafkaEdges::new(options, JournalMetrics::unregistered());
    let mut reporter = edges.reporter()?;
    for _ in 0..2 {
        let error = reporter.report(&heartbeat("a", 1, 1)).await.unwrap_err();
        assert!(
            matches!(&error, EdgesError::Unavailable { place, .. } if place == "127.0.0.1:1"),
            "{error}"
        );
    }
    let mut follower = edges.follow()?;
    until(&mut *follower, |event| {
        matches!(event, EdgesEvent::Disconnected { .. })
    })?;
    Ok(())
}
