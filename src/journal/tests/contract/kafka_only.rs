//! What only Kafka has: topics with settings, partitions, records of any bytes, brokers that are away.

use std::time::{Duration, Instant};

use anyhow::bail;
use journal::{Event, Journal, KafkaJournal, KafkaOptions, PublishError, Since};
use rdkafka::admin::{AdminOptions, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication};
use tags::Topic;

use crate::following::{changes, changes_coming, to_the_end, until};
use crate::places::{KafkaPlace, settings};
use crate::samples::{change, domain};

/// Runs a test and removes its topics, whatever came of it.
macro_rules! kafka_test {
    ($name:ident, $place:ident, $body:block) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() -> anyhow::Result<()> {
            let place = KafkaPlace::new()?;
            let $place = &place;
            let outcome: anyhow::Result<()> = async move { $body }.await;
            place.remove_topics().await;
            outcome
        }
    };
}

async fn make_topic(
    place: &KafkaPlace,
    topic: Topic,
    partitions: i32,
    sets: &[(&str, &str)],
) -> anyhow::Result<()> {
    let name = place.topic(topic);
    let mut new = NewTopic::new(&name, partitions, TopicReplication::Fixed(1));
    for &(key, value) in sets {
        new = new.set(key, value);
    }
    let [made] = &place
        .admin()?
        .create_topics([&new], &AdminOptions::new())
        .await?[..]
    else {
        bail!("one answer")
    };
    made.clone()
        .map_err(|(name, code)| anyhow::anyhow!("{name}: {code}"))?;
    Ok(())
}

kafka_test!(
    missing_topics_are_made_with_the_policies_of_the_design,
    place,
    {
        KafkaJournal::new(place.options())?.become_writer().await?;
        let admin = place.admin()?;
        for (topic, wanted) in [
            (Topic::Tags, vec![("cleanup.policy", "compact")]),
            (Topic::Settings, vec![("cleanup.policy", "compact")]),
            (Topic::Accounts, vec![("cleanup.policy", "compact")]),
            (
                Topic::Audit,
                vec![
                    ("cleanup.policy", "delete"),
                    ("retention.ms", "-1"),
                    ("retention.bytes", "-1"),
                ],
            ),
        ] {
            let name = place.topic(topic);
            let described = admin
                .describe_configs([&ResourceSpecifier::Topic(&name)], &AdminOptions::new())
                .await?;
            let Some(Ok(config)) = described.first() else {
                bail!("no description of {name}")
            };
            for (setting, value) in wanted {
                assert_eq!(
                    config.get(setting).and_then(|entry| entry.value.as_deref()),
                    Some(value),
                    "{name} {setting}"
                );
            }
        }
        Ok(())
    }
);

kafka_test!(
    a_topic_with_the_wrong_policy_is_an_error_that_says_what_is_wrong,
    place,
    {
        make_topic(
            place,
            Topic::Tags,
            1,
            &[
                ("cleanup.policy", "delete"),
                ("max.message.bytes", "2000000"),
            ],
        )
        .await?;
        let outcome = KafkaJournal::new(place.options())?.become_writer().await;
        let Err(PublishError::Topic(error)) = outcome else {
            bail!("not refused: {outcome:?}")
        };
        assert_eq!(error.topic, place.topic(Topic::Tags));
        assert_eq!(
            (error.setting, &*error.found, &*error.wanted),
            ("cleanup.policy", "delete", "compact")
        );
        Ok(())
    }
);

kafka_test!(an_audit_that_would_be_thrown_away_is_an_error, place, {
    make_topic(
        place,
        Topic::Audit,
        1,
        &[
            ("retention.ms", "604800000"),
            ("max.message.bytes", "2000000"),
        ],
    )
    .await?;
    let outcome = KafkaJournal::new(place.options())?.become_writer().await;
    let Err(PublishError::Topic(error)) = outcome else {
        bail!("not refused: {outcome:?}")
    };
    assert_eq!((error.setting, &*error.wanted), ("retention.ms", "-1"));
    Ok(())
});

kafka_test!(
    more_than_one_partition_of_settings_or_accounts_is_an_error_that_says_what_to_do,
    place,
    {
        KafkaJournal::new(place.options())?.become_writer().await?;
        for topic in [Topic::Accounts, Topic::Settings] {
            let name = place.topic(topic);
            let added = place
                .admin()?
                .create_partitions([&NewPartitions::new(&name, 8)], &AdminOptions::new())
                .await?;
            assert!(added.iter().all(Result::is_ok), "{added:?}");
            // Until the broker has heard of it, it says one.
            let deadline = Instant::now() + Duration::from_secs(60);
            loop {
                match KafkaJournal::new(place.options())?.become_writer().await {
                    Err(PublishError::Partitions(error)) if error.topic == name => {
                        assert_eq!(error.found, 8);
                        let error = error.to_string();
                        assert!(error.contains("make the topic anew"), "{error}");
                        break;
                    }
                    outcome => assert!(Instant::now() < deadline, "{outcome:?}"),
                }
            }
            // So that the other is looked at.
            let deleted = place
                .admin()?
                .delete_topics(&[&name], &AdminOptions::new())
                .await?;
            assert!(deleted.iter().all(Result::is_ok), "{deleted:?}");
        }
        Ok(())
    }
);

kafka_test!(
    a_follower_waits_for_its_topics_and_goes_on_when_they_are_made,
    place,
    {
        let journal = KafkaJournal::new(place.options())?;
        let mut follower = journal.follow(&Topic::EDGE, Since::default())?;
        let events = until(&mut *follower, |event| {
            matches!(event, Event::Disconnected { .. })
        })?;
        let expected = format!("topic {} does not exist yet", place.topic(Topic::Tags));
        assert!(
            matches!(&events[..], [Event::Disconnected { reason }] if reason.contains(&expected)),
            "{events:?}"
        );

        journal.become_writer().await?;
        journal
            .publish(vec![change("a", 1), domain("qr.example.com")])
            .await?;
        let events = changes_coming(&mut *follower, 2)?;
        assert!(events.contains(&Event::Connected), "{events:?}");
        assert!(!events.contains(&Event::CaughtUp) || changes(&events).len() == 2);
        Ok(())
    }
);

kafka_test!(
    a_follower_that_has_read_nothing_goes_on_when_its_topics_are_made_anew,
    place,
    {
        KafkaJournal::new(place.options())?.become_writer().await?;
        let journal = KafkaJournal::new(place.options())?;
        let mut follower = journal.follow(&[Topic::Tags], Since::default())?;
        to_the_end(&mut *follower)?;
        place.remove_topics().await;
        until(&mut *follower, |event| {
            matches!(event, Event::Disconnected { .. })
        })?;
        journal.become_writer().await?;
        journal.publish(vec![change("a", 1)]).await?;
        let events = changes_coming(&mut *follower, 1)?;
        assert!(events.contains(&Event::Connected), "{events:?}");
        assert_eq!(changes(&events), [change("a", 1)]);
        Ok(())
    }
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_without_a_broker_says_so_and_keeps_its_waiting_short() -> anyhow::Result<()> {
    // Port 1 is reserved, and nothing listens there.
    let journal = KafkaJournal::new(KafkaOptions::new("127.0.0.1:1"))?;
    let mut follower = journal.follow(&Topic::EDGE, Since::default())?;
    let events = until(&mut *follower, |event| {
        matches!(event, Event::Disconnected { .. })
    })?;
    assert!(
        matches!(&events[..], [Event::Disconnected { reason }] if reason.contains("127.0.0.1:1")),
        "{events:?}"
    );
    let started = Instant::now();
    assert_eq!(
        follower.next(Duration::from_millis(1))?,
        None,
        "the outage goes on, which is no news"
    );
    assert!(
        started.elapsed() < Duration::from_secs(60),
        "it came back at all"
    );
    Ok(())
}

#[test]
fn a_setting_that_librdkafka_does_not_know_is_refused_at_once() {
    let mut options = KafkaOptions::new("127.0.0.1:1");
    options.options = settings(&[("no.such.setting", "1")]);
    let message = KafkaJournal::new(options).unwrap_err().to_string();
    assert!(
        message.contains("no.such.setting") && message.contains("kafka.options"),
        "{message}"
    );
}

#[test]
fn passwords_do_not_show_when_options_are_printed() {
    let mut options = KafkaOptions::new("127.0.0.1:1");
    options.options = settings(&[("sasl.password", "hunter2")]);
    let journal = KafkaJournal::new(options).unwrap();
    assert!(!format!("{journal:?}").contains("hunter2"));
}

kafka_test!(
    huge_records_garbage_keys_and_tombstones_do_not_stop_a_follower,
    place,
    {
        make_topic(
            place,
            Topic::Tags,
            1,
            &[
                ("cleanup.policy", "compact"),
                ("max.message.bytes", "20000000"),
            ],
        )
        .await?;
        let journal = KafkaJournal::new(place.options())?;
        journal.become_writer().await?;
        journal.publish(vec![change("a", 1)]).await?;
        let huge = vec![0x5a; 10_000_000];
        tokio::task::block_in_place(|| {
            place.produce(Topic::Tags, Some(b"qr.example.com/a"), Some(&huge))?;
            place.produce(Topic::Tags, Some(b"\xff\xfe\x00"), Some(b"x"))?;
            place.produce(Topic::Tags, Some(b"qr.example.com/a"), None)
        })?;
        journal.publish(vec![change("b", 1)]).await?;

        let mut follower = journal.follow(&[Topic::Tags], Since::default())?;
        let events = to_the_end(&mut *follower)?;
        assert_eq!(changes(&events), [change("a", 1), change("b", 1)]);
        assert_eq!(journal.metrics().refused(), 3);
        Ok(())
    }
);

kafka_test!(
    partitions_that_are_added_are_followed_by_who_starts_later,
    place,
    {
        let journal = KafkaJournal::new(place.options())?;
        journal.become_writer().await?;
        journal.publish(vec![change("a", 1)]).await?;
        let name = place.topic(Topic::Tags);
        let added = place
            .admin()?
            .create_partitions([&NewPartitions::new(&name, 5)], &AdminOptions::new())
            .await?;
        assert!(added.iter().all(Result::is_ok), "{added:?}");
        for number in 0..20 {
            journal
                .publish(vec![change(&format!("t{number}"), 1)])
                .await?;
        }
        let mut follower = journal.follow(&[Topic::Tags], Since::default())?;
        assert_eq!(changes(&changes_coming(&mut *follower, 21)?).len(), 21);
        Ok(())
    }
);
