//! What only Kafka has: a topic that has to be set so that it forgets, and a broker that does.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use journal::{Journal, KafkaJournal, KafkaOptions, PublishError, SaltChange, SaltsEvent};
use rdkafka::admin::{AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

use crate::place::{Kafka, Place};
use crate::suite::{heard, publish, there};
use crate::{day, salt};

/// Longer than any broker takes that is alive.
const DEADLINE: Duration = Duration::from_secs(180);

/// Those on which the end of a salt hangs, as they have to be.
const POLICY: [(&str, &str); 6] = [
    ("cleanup.policy", "compact,delete"),
    ("retention.ms", "777600000"),
    ("segment.ms", "3600000"),
    ("max.compaction.lag.ms", "3600000"),
    ("min.compaction.lag.ms", "0"),
    ("message.timestamp.type", "LogAppendTime"),
];

async fn make(place: &Kafka, settings: &[(&str, &str)]) -> anyhow::Result<()> {
    let topic = place.topic();
    let new = NewTopic::new(&topic, 1, TopicReplication::Fixed(1));
    let new = settings
        .iter()
        .fold(new, |new, (name, value)| new.set(name, value));
    let admin = place.admin()?;
    let made = admin.create_topics([&new], &AdminOptions::new()).await?;
    ensure!(made.iter().all(Result::is_ok), "{made:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_would_keep_salts_for_longer_is_refused() -> anyhow::Result<()> {
    for (setting, wrong) in [
        ("cleanup.policy", "compact"),
        ("cleanup.policy", "delete"),
        ("retention.ms", "-1"),
        ("segment.ms", "604800000"),
        ("max.compaction.lag.ms", "9223372036854775807"),
        ("message.timestamp.type", "CreateTime"),
    ] {
        let place = Kafka::new()?;
        let settings = POLICY.map(|(name, value)| match name == setting {
            true => (name, wrong),
            false => (name, value),
        });
        make(&place, &settings).await?;
        let refused = KafkaJournal::new(place.options.clone())?
            .become_writer()
            .await;
        place.remove_topics().await;
        match refused {
            Err(PublishError::Topic(error)) => {
                assert_eq!((error.setting, &*error.found), (setting, wrong));
            }
            other => panic!("{setting}={wrong}: {other:?}"),
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_salt_changes_nothing() -> anyhow::Result<()> {
    let place = Kafka::new()?;
    let admin = place.open()?;
    admin.journal.become_writer().await?;
    let producer: ThreadedProducer<DefaultProducerContext> = place.config().create()?;
    let poison: [(&str, Option<&[u8]>); 3] = [
        ("2026-11-29", Some(b"\xff\xff")),
        ("no day", None),
        ("2026-11-28", Some(&[0x08, 2])),
    ];
    let topic = place.topic();
    for (key, value) in poison {
        let mut record: BaseRecord<'_, str, [u8]> = BaseRecord::to(&topic).key(key);
        record.payload = value;
        producer.send(record).map_err(|(error, _)| error)?;
    }
    tokio::task::block_in_place(|| producer.flush(Duration::from_secs(20)))?;
    admin.salts.change_salts(publish(&["2026-11-29"])).await?;
    let mut events = there(&mut *admin.salts.follow_salts()?)?;
    place.remove_topics().await;
    assert_eq!(events.pop(), Some(SaltsEvent::Salt(salt("2026-11-29"))));
    let refused = events.iter().map(|event| match event {
        SaltsEvent::Refused { day, .. } => *day,
        other => panic!("{other:?}"),
    });
    let days = [Some(day("2026-11-29")), None, Some(day("2026-11-28"))];
    assert_eq!(refused.collect::<Vec<_>>(), days);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_broker_a_follower_does_not_end_and_says_so() -> anyhow::Result<()> {
    let place = Kafka {
        options: KafkaOptions::new("127.0.0.1:1"),
    };
    let mut follower = place.open()?.salts.follow_salts()?;
    let away = |event: &SaltsEvent| matches!(event, SaltsEvent::Disconnected { .. });
    heard(&mut *follower, away)?;
    Ok(())
}

/// The topic's folder, where the broker is one of this machine's.
fn folder_of(topic: &str) -> anyhow::Result<PathBuf> {
    let stack = std::env::var("TAGWIRE_TEST_STACK")
        .context("TAGWIRE_TEST_STACK names no folder: run tests/run")?;
    let folder = Path::new(&stack)
        .join("kafka/data")
        .join(format!("{topic}-0"));
    ensure!(folder.is_dir(), "no folder {}", folder.display());
    Ok(folder)
}

/// Whether a day's salt is anywhere in the topic's files, also in those that are about to be deleted.
fn is_in_files(folder: &Path, of: &str) -> anyhow::Result<bool> {
    let salt = salt(of);
    for entry in std::fs::read_dir(folder)? {
        // One that has been removed meanwhile holds nothing any more.
        let Ok(content) = std::fs::read(entry?.path()) else {
            continue;
        };
        let mut windows = content.windows(salt.secret().len());
        if windows.any(|bytes| bytes == salt.secret()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// With hours made to a tenth of a second, and nothing else changed: the salt goes from the broker's files, and the others stay.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_destroyed_salt_goes_from_the_brokers_files() -> anyhow::Result<()> {
    let place = Kafka::new()?;
    let admin = place.open()?;
    admin.journal.become_writer().await?;
    let topic = place.topic();
    let hours = POLICY.into_iter().map(|(name, value)| match value {
        "3600000" => (name, "100"),
        _ => (name, value),
    });
    let mut config = AlterConfig::new(ResourceSpecifier::Topic(&topic))
        .set("delete.retention.ms", "100")
        .set("file.delete.delay.ms", "100");
    for (name, value) in hours {
        config = config.set(name, value);
    }
    let brokers = place.admin()?;
    let altered = brokers.alter_configs([&config], &AdminOptions::new());
    let altered = altered.await?;
    ensure!(altered.iter().all(Result::is_ok), "{altered:?}");

    let days = ["2026-11-27", "2026-11-28", "2026-11-29"];
    admin.salts.change_salts(publish(&days)).await?;
    let folder = folder_of(&topic)?;
    ensure!(
        is_in_files(&folder, days[0])?,
        "it is looked for where it is"
    );
    let deadline = Instant::now() + DEADLINE;
    while is_in_files(&folder, days[0])? {
        ensure!(Instant::now() < deadline, "it is still there");
        // As the admin does each hour.
        let destroy = vec![SaltChange::Destroy(day(days[0]))];
        admin.salts.change_salts(destroy).await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let left = there(&mut *admin.salts.follow_salts()?)?;
    let left = left.iter().filter_map(|event| match event {
        SaltsEvent::Salt(salt) => Some(salt.clone()),
        _ => None,
    });
    assert_eq!(left.collect::<Vec<_>>(), [salt(days[1]), salt(days[2])]);
    place.remove_topics().await;
    Ok(())
}
