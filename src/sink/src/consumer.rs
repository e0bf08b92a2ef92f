//! The connection to Kafka: its settings, how it is waited for, and what the group and the broker say.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Statistics, TopicPartitionList};
use scans::{KafkaOutletOptions, ScansTopic, broker_log};

use crate::{SinkError, SinkOptions};

pub(crate) type GroupConsumer = BaseConsumer<Group>;

/// How long a partition is kept, when it is to be another's, for a commit of it to come to its end: as long as the broker takes to find that a
/// member is gone. Meanwhile this sink stands still.
const COMMITS_END: Duration = Duration::from_secs(10);

/// What the group tells, in order.
#[derive(Debug)]
pub(crate) enum GroupEvent {
    Assigned(Vec<i32>),
    Revoked(Vec<i32>),
}

/// Takes down what librdkafka calls back with, within `poll`; the pipeline picks it up right after.
#[derive(Default)]
pub(crate) struct Group {
    events: Mutex<VecDeque<GroupEvent>>,
    broker: Mutex<Broker>,
    /// How many commits of each partition are under way.
    commits: Mutex<HashMap<i32, u32>>,
    commit_ended: Condvar,
}

/// A commit that is under way until this is dropped.
pub(crate) struct CommitUnderWay {
    consumer: Arc<GroupConsumer>,
    partition: i32,
}

impl CommitUnderWay {
    pub(crate) fn begin(consumer: Arc<GroupConsumer>, partition: i32) -> Self {
        *consumer.context().commits().entry(partition).or_default() += 1;
        Self {
            consumer,
            partition,
        }
    }
}

impl Drop for CommitUnderWay {
    fn drop(&mut self) {
        let group = self.consumer.context();
        if let Some(commits) = group.commits().get_mut(&self.partition) {
            *commits -= 1;
        }
        group.commit_ended.notify_all();
    }
}

/// What the client's statistics tell.
#[derive(Clone, Debug, Default)]
pub(crate) struct Broker {
    pub(crate) reachable: Option<bool>,
    /// How many times in a row no broker was connected.
    silent: u32,
    /// What went wrong last with a broker.
    pub(crate) trouble: String,
    pub(crate) ends: HashMap<i32, i64>,
}

impl Group {
    pub(crate) fn take(&self) -> VecDeque<GroupEvent> {
        std::mem::take(&mut self.events.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn broker(&self) -> Broker {
        self.broker
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn commits(&self) -> MutexGuard<'_, HashMap<i32, u32>> {
        self.commits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no commit of these partitions is under way. The coordinator takes one from any member, also of a partition that has another
    /// owner by then, whose intent it would overwrite.
    fn wait_for_commits(&self, partitions: &[i32]) {
        let under_way = |commits: &mut HashMap<i32, u32>| {
            let mut of_these = partitions.iter().filter_map(|number| commits.get(number));
            of_these.any(|commits| *commits > 0)
        };
        let commits = self.commits();
        let waited = self
            .commit_ended
            .wait_timeout_while(commits, COMMITS_END, under_way)
            .unwrap_or_else(PoisonError::into_inner);
        if waited.1.timed_out() {
            tracing::warn!(
                ?partitions,
                "partitions are given away while a commit of them is under way"
            );
        }
    }

    fn tell(&self, event: GroupEvent) {
        self.events
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_back(event);
    }
}

impl ClientContext for Group {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        broker_log::pass_on(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, "{reason}");
        let mut broker = self.broker.lock().unwrap_or_else(PoisonError::into_inner);
        // That all are away says less than why the last of them is.
        let all_down = error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown);
        if !all_down || broker.trouble.is_empty() {
            reason.clone_into(&mut broker.trouble);
        }
    }

    fn stats(&self, statistics: Statistics) {
        let mut broker = self.broker.lock().unwrap_or_else(PoisonError::into_inner);
        let mut states = statistics.brokers.values();
        let up = states.any(|broker| broker.state == "UP");
        broker.silent = if up { 0 } else { broker.silent + 1 };
        broker.reachable = match broker.silent {
            0 => Some(true),
            // Between two connections, as at the start.
            1 => broker.reachable,
            _ => Some(false),
        };
        // The sink reads one topic.
        for topic in statistics.topics.values() {
            let known = topic
                .partitions
                .values()
                .filter(|partition| partition.hi_offset >= 0);
            broker
                .ends
                .extend(known.map(|partition| (partition.partition, partition.hi_offset)));
        }
    }
}

impl ConsumerContext for Group {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Revoke(partitions) = rebalance {
            let partitions = numbers(partitions);
            self.wait_for_commits(&partitions);
            self.tell(GroupEvent::Revoked(partitions));
        }
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(partitions) => {
                // Nothing is read before the partition has recovered, which says from where.
                if let Err(error) = consumer.pause(partitions) {
                    tracing::error!("cannot pause partitions just assigned: {error}");
                }
                self.tell(GroupEvent::Assigned(numbers(partitions)));
            }
            Rebalance::Revoke(_) => {}
            Rebalance::Error(error) => {
                tracing::warn!("the group's rebalance failed, it is tried again: {error}")
            }
        }
    }
}

fn numbers(partitions: &TopicPartitionList) -> Vec<i32> {
    partitions
        .elements()
        .iter()
        .map(|element| element.partition())
        .collect()
}

/// A member of the group, once the broker answers and the topic is there. None: it was told to stop before that.
pub(crate) fn join(
    options: &SinkOptions,
    waiting: impl Fn(String),
    stopped: impl Fn() -> bool,
) -> Result<Option<(GroupConsumer, String, String)>, SinkError> {
    let config = config(options);
    let topic = KafkaOutletOptions {
        brokers: options.brokers.clone(),
        prefix: options.prefix.clone(),
        options: options.kafka_options.clone(),
        replication: options.replication,
        partitions: options.partitions,
    };
    let mut client = ClientConfig::new();
    client
        .set("bootstrap.servers", &options.brokers)
        .extend(options.kafka_options.clone());
    let topic = ScansTopic::new(&client, &topic).map_err(SinkError::Settings)?;
    let consumer: GroupConsumer = config
        .create_with_context(Group::default())
        .map_err(SinkError::Settings)?;
    let mut said = false;
    while !stopped() {
        let ready = match topic.partitions_or_create() {
            Ok(_) => match consumer.client().fetch_cluster_id(Duration::from_secs(2)) {
                Some(cluster) => Ok(cluster),
                None => Err("the broker does not say of which cluster it is".to_owned()),
            },
            Err(error) => Err(error.to_string()),
        };
        match ready {
            Ok(cluster) => {
                consumer
                    .subscribe(&[topic.name()])
                    .map_err(SinkError::Settings)?;
                return Ok(Some((consumer, topic.name().to_owned(), cluster)));
            }
            Err(reason) => {
                if !std::mem::replace(&mut said, true) {
                    tracing::warn!(
                        brokers = options.brokers,
                        "the sink waits for Kafka: {reason}"
                    );
                }
                waiting(reason);
                std::thread::sleep(Duration::from_millis(500));
            }
        }
    }
    Ok(None)
}

fn config(options: &SinkOptions) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("statistics.interval.ms", "1000")
        // Bounds what librdkafka holds beyond the blocks.
        .set("queued.max.messages.kbytes", "16384")
        .set("fetch.wait.max.ms", "100")
        // How long a killed sink's scans wait, and all of them after a broker's restart. The default is 45 s.
        .set("session.timeout.ms", "10000")
        .set("reconnect.backoff.max.ms", "1000")
        .extend(options.kafka_options.clone());
    // The protocol rests on these.
    config
        .set("bootstrap.servers", &options.brokers)
        .set("group.id", format!("{}sink", options.prefix))
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "earliest");
    config
}
