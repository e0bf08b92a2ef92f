//! What a scout makes of the brokers' answers: of the real ones at `TAGWIRE_TEST_KAFKA`, one of which is at times made to be wrong.

use std::hash::{BuildHasher, RandomState};

use jiff::Timestamp;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::super::other_log::Newest;
use super::*;

/// Topics of two partitions each, which go with it.
struct Stage {
    config: ClientConfig,
    prefix: String,
}

impl Stage {
    fn new() -> Self {
        let brokers = std::env::var("TAGWIRE_TEST_KAFKA")
            .expect("TAGWIRE_TEST_KAFKA names a Kafka broker: run tests/run, which starts one");
        let prefix = format!("test-{:016x}.", RandomState::new().hash_one("scout"));
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &brokers);
        config.set("group.id", format!("{prefix}followers"));
        Self { config, prefix }
    }

    fn name(&self, topic: Topic) -> String {
        format!("{}{topic}", self.prefix)
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.config.create().unwrap()
    }

    async fn make_topics(&self) {
        assert!(self.try_make_topics().await);
        self.until_there();
    }

    /// Waits until who leads them answers, and no more as those of before that had the same names.
    fn until_there(&self) {
        let consumer: BaseConsumer = self.config.create().unwrap();
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        for (topic, partition) in Topic::EDGE
            .into_iter()
            .flat_map(|topic| [(topic, 0), (topic, 1)])
        {
            let name = self.name(topic);
            let end = || consumer.fetch_watermarks(&name, partition, ANSWER).ok();
            while end() != Some((0, 0)) {
                assert!(std::time::Instant::now() < deadline, "{name}/{partition}");
            }
        }
    }

    /// False while they are still being deleted.
    async fn try_make_topics(&self) -> bool {
        let names = Topic::EDGE.map(|topic| self.name(topic));
        let new = names
            .each_ref()
            .map(|name| NewTopic::new(name, 2, TopicReplication::Fixed(1)));
        let made = self.admin().create_topics(&new, &AdminOptions::new()).await;
        let is_there = |made: &Result<String, (String, RDKafkaErrorCode)>| made.is_ok();
        made.unwrap().iter().all(is_there)
    }

    async fn remove_topics(&self) {
        let names = Topic::EDGE.map(|topic| self.name(topic));
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let options = AdminOptions::new();
        let removed = self.admin().delete_topics(&names, &options).await.unwrap();
        assert!(removed.iter().all(Result::is_ok), "{removed:?}");
    }

    async fn make_topics_anew(&self) {
        self.remove_topics().await;
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        while !self.try_make_topics().await {
            assert!(std::time::Instant::now() < deadline, "they cannot be made");
        }
        self.until_there();
    }

    /// Writes records of these dates, in milliseconds, into the tags' partition 0.
    fn writer(&self) -> impl Fn(i64) + use<> {
        let producer: BaseProducer = self.config.create().unwrap();
        let name = self.name(Topic::Tags);
        move |millis| {
            let record = BaseRecord::to(&name).partition(0).key("k").payload("v");
            producer.send(record.timestamp(millis)).unwrap();
            producer.flush(Duration::from_secs(20)).unwrap();
        }
    }

    fn scout(&self, since: Since) -> Scout {
        let consumer = self.config.create_with_context(Listener::default());
        Scout {
            consumer: Arc::new(consumer.unwrap()),
            topics: Topic::EDGE.map(|topic| (topic, self.name(topic))).to_vec(),
            prefix: self.prefix.clone(),
            post: Arc::new(Post::of(&since)),
            since,
        }
    }
}

/// Looks until there is something to follow: a topic that was made a moment ago is not known at once.
fn look_until_found(scout: &Scout, memory: &mut Memory) -> Sighting {
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    loop {
        match scout.look(memory) {
            Sighting::Absent(absence) => {
                assert!(std::time::Instant::now() < deadline, "{absence}");
            }
            sighting => return sighting,
        }
    }
}

fn is_found(sighting: &Sighting, open: bool) -> bool {
    matches!(sighting, Sighting::Found { stalled, topics, .. } if stalled.is_empty() != open && topics.len() == 2)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_answer_that_a_topic_is_unknown_is_no_proof_that_it_was_made_anew() {
    let stage = Stage::new();
    stage.make_topics().await;
    let mut scout = stage.scout(Since::default());
    let mut memory = Memory::default();
    let sighting = look_until_found(&scout, &mut memory);
    assert!(is_found(&sighting, false), "{sighting:?}");
    let right = scout.topics[0].1.clone();
    scout.topics[0].1 = format!("{right}-which-nobody-knows");
    let sighting = scout.look(&mut memory);
    assert!(
        matches!(&sighting, Sighting::Absent(Absence::Topic(_))),
        "{sighting:?}"
    );
    scout.topics[0].1 = right;
    let sighting = scout.look(&mut memory);
    assert!(is_found(&sighting, false), "{sighting:?}");
    stage.remove_topics().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_been_read_beyond_the_end_was_of_another_log() {
    let stage = Stage::new();
    stage.make_topics().await;
    let scout = stage.scout(Since::default());
    let mut memory = Memory::default();
    look_until_found(&scout, &mut memory);
    scout.post.reached(Topic::Tags, 1, 3, None);
    scout.post.suspect();
    let sighting = scout.look(&mut memory);
    assert!(
        matches!(&sighting, Sighting::OtherLog { foreign: false, reason } if reason.contains("position 3")),
        "{sighting:?}"
    );
    stage.remove_topics().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_nobody_leads_keeps_no_other_from_being_judged_and_followed() {
    let stage = Stage::new();
    stage.make_topics().await;
    let scout = stage.scout(Since::default());
    look_until_found(&scout, &mut Memory::default());
    let at_the_start = Reached {
        next_offset: 0,
        newest: None,
    };
    let beyond = Reached {
        next_offset: 9,
        ..at_the_start
    };
    let mut found = scout.find().unwrap();
    let tags = found.iter_mut().find(|found| found.topic == Topic::Tags);
    tags.unwrap().partitions[1].leader = None;
    let judge = |first, second| {
        let reached = [((Topic::Tags, 0), first), ((Topic::Tags, 1), second)];
        scout.judge(reached.into_iter(), &found, &mut BTreeSet::new())
    };
    let judged = judge(at_the_start, beyond);
    assert!(judged.any && judged.other.is_none());
    assert_eq!(judged.unjudged, BTreeSet::from([(Topic::Tags, 1)]));
    let without_a_leader = BTreeSet::from([(Topic::Tags, 1)]);
    assert_eq!(
        stalled(&found, &BTreeSet::new(), &BTreeSet::new()),
        without_a_leader
    );
    // What can be asked still refutes.
    assert!(judge(beyond, at_the_start).other.is_some());
    stage.remove_topics().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_is_gone_when_it_is_missing_twice() {
    let stage = Stage::new();
    stage.make_topics().await;
    let since = Since {
        positions: crate::Positions::from_iter([(Topic::Tags, 0, 0), (Topic::Tags, 7, 4)]),
        log: None,
    };
    let mut memory = Memory::default();
    let scout = stage.scout(since);
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while !matches!(
        scout.look(&mut memory),
        Sighting::Absent(Absence::Partition(Topic::Tags, 7))
    ) {
        assert!(std::time::Instant::now() < deadline);
    }
    let sighting = scout.look(&mut memory);
    assert!(
        matches!(&sighting, Sighting::OtherLog { reason, .. } if reason.contains("no partition 7")),
        "{sighting:?}"
    );
    stage.remove_topics().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_that_were_made_anew_and_filled_further_are_told_by_their_records_times() {
    let stage = Stage::new();
    stage.make_topics().await;
    let scout = stage.scout(Since::default());
    let mut memory = Memory::default();
    // It starts where everything is empty.
    look_until_found(&scout, &mut memory);
    let write = stage.writer();
    let now = Timestamp::now();
    let hour_ago = now - jiff::SignedDuration::from_hours(1);
    write(hour_ago.as_millisecond());
    scout.post.reached(
        Topic::Tags,
        0,
        1,
        Some(Newest {
            before: 1,
            at: hour_ago,
        }),
    );
    let sighting = scout.look(&mut memory);
    assert!(is_found(&sighting, false), "{sighting:?}");
    // What has no date here, such as the end of a transaction that came to nothing, moves the position on.
    write(now.as_millisecond());
    scout.post.reached(Topic::Tags, 0, 2, None);
    for _ in 0..2 {
        let sighting = scout.look(&mut memory);
        assert!(is_found(&sighting, false), "{sighting:?}");
    }
    // In the place of that record are others, and what is behind them has been read on from there.
    stage.make_topics_anew().await;
    for _ in 0..3 {
        write(now.as_millisecond());
    }
    scout
        .post
        .reached(Topic::Tags, 0, 3, Some(Newest { before: 3, at: now }));
    let sighting = look_until_found(&scout, &mut memory);
    assert!(
        matches!(&sighting, Sighting::OtherLog { reason, .. } if reason.contains("younger")),
        "{sighting:?}"
    );
    stage.remove_topics().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_that_were_made_anew_within_moments_are_told_by_having_nothing_as_old() {
    let stage = Stage::new();
    stage.make_topics().await;
    let scout = stage.scout(Since::default());
    let mut memory = Memory::default();
    look_until_found(&scout, &mut memory);
    let write = stage.writer();
    let now = Timestamp::now();
    write(now.as_millisecond());
    let read = Newest { before: 1, at: now };
    scout.post.reached(Topic::Tags, 0, 1, Some(read));
    let sighting = scout.look(&mut memory);
    assert!(is_found(&sighting, false), "{sighting:?}");
    stage.make_topics_anew().await;
    for later in [1, 2] {
        write(now.as_millisecond() + later);
    }
    let sighting = look_until_found(&scout, &mut memory);
    assert!(
        matches!(&sighting, Sighting::OtherLog { reason, .. } if reason.contains("younger")),
        "{sighting:?}"
    );
    stage.remove_topics().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_record_that_is_dated_ahead_of_what_follows_it_makes_no_other_log() {
    let stage = Stage::new();
    stage.make_topics().await;
    let scout = stage.scout(Since::default());
    let mut memory = Memory::default();
    look_until_found(&scout, &mut memory);
    let write = stage.writer();
    let now = Timestamp::now();
    let ahead = now + jiff::SignedDuration::from_mins(1);
    write(ahead.as_millisecond());
    write(now.as_millisecond());
    let refused = crate::Event::Refused {
        topic: Topic::Tags,
        partition: 0,
        offset: 0,
        published_at: Some(ahead),
        error: "of a newer format".to_owned(),
    };
    let next = Newest { before: 2, at: now };
    let read = Newest::of(&refused).into_iter().chain([next]);
    let read = read.reduce(Newest::and);
    scout.post.reached(Topic::Tags, 0, 2, read);
    for _ in 0..2 {
        let sighting = scout.look(&mut memory);
        assert!(is_found(&sighting, false), "{sighting:?}");
    }
    stage.remove_topics().await;
}
