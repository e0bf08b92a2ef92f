//! The sink's road: Kafka to the store. One thread polls and drives each partition's protocol; the store is asked on the runtime.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use analytics::{Positions, ScanStore, Source, StoreError};
use jiff::Timestamp;
use rdkafka::Message;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use tokio::runtime::Handle;

use crate::consumer::{GroupEvent, join};
use crate::partition::{Answer, Partition, Shared};
use crate::{Enricher, SinkMetrics, blocks};

/// Where to read and how to cut.
#[derive(Clone, Debug)]
pub struct SinkOptions {
    /// Kafka's bootstrap servers.
    pub brokers: String,
    /// What topics' and the group's names begin with.
    pub prefix: String,
    /// Any librdkafka setting; those that the protocol rests on are not changed by it.
    pub kafka_options: BTreeMap<String, String>,
    /// Of the topic, if it has to be created; none: as many as there are brokers, at most 3.
    pub replication: Option<i32>,
    /// Of the topic, if it has to be created.
    pub partitions: i32,
    /// About how many scans a block holds; well below the server's `max_insert_block_size` (a million).
    pub block_scans: u64,
    /// How long a scan waits for others of its block.
    pub linger: Duration,
    /// How many scans all partitions together hold in memory.
    pub held_scans: u64,
    /// How often the writers' positions are saved: how much is read again after a crash.
    pub save_positions_every: Duration,
}

impl SinkOptions {
    /// The defaults.
    pub fn new(brokers: impl Into<String>, prefix: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            prefix: prefix.into(),
            kafka_options: BTreeMap::new(),
            replication: None,
            partitions: 8,
            block_scans: 50_000,
            linger: Duration::from_millis(400),
            held_scans: 200_000,
            save_positions_every: Duration::from_secs(30),
        }
    }
}

/// Why the sink cannot run.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// librdkafka does not take its settings.
    #[error("cannot use the Kafka settings: {0}; see kafka.brokers and kafka.options")]
    Settings(KafkaError),
    /// librdkafka can't go on.
    #[error("the Kafka client cannot go on: {0}; start the sink again")]
    Fatal(String),
}

/// How long a stopping sink has to settle what it holds; what is not settled is for the next one.
const DRAIN: Duration = Duration::from_secs(6);
/// How long the thread waits for a record: the longest that an answer of the store lies around.
const TURN: Duration = Duration::from_millis(10);

/// Runs until `shutdown`; meant for a thread of its own. `health` hears of every turn for the better or the worse.
pub fn run(
    options: &SinkOptions,
    store: Arc<dyn ScanStore>,
    enricher: Arc<Enricher>,
    metrics: SinkMetrics,
    health: &dyn Fn(Result<(), String>),
    runtime: Handle,
    shutdown: &AtomicBool,
) -> Result<(), SinkError> {
    // Relaxed: a flag that guards no other memory.
    let stopped = || shutdown.load(Ordering::Relaxed);
    let waiting = |reason| health(Err(reason));
    let Some((consumer, topic, cluster)) = join(options, waiting, stopped)? else {
        return Ok(());
    };
    let (answers, answered) = channel();
    let shared = Shared {
        consumer: Arc::new(consumer),
        store,
        enricher,
        metrics,
        runtime,
        answers,
    };
    let mut sink = Sink {
        options,
        shared,
        answered,
        topic,
        cluster,
        partitions: BTreeMap::new(),
        assignments: 0,
        said: None,
        cut_off: false,
        save_at: Instant::now() + options.save_positions_every,
        saving: channel(),
    };
    while !stopped() {
        sink.turn(true)?;
        sink.tell(health);
    }
    sink.drain()
}

struct Sink<'a> {
    options: &'a SinkOptions,
    shared: Shared,
    answered: Receiver<Answer>,
    topic: String,
    cluster: String,
    partitions: BTreeMap<i32, Partition>,
    assignments: u64,
    said: Option<Result<(), String>>,
    cut_off: bool,
    save_at: Instant,
    saving: (std::sync::mpsc::Sender<Saved>, Receiver<Saved>),
}

type Saved = (Positions, Result<(), StoreError>);

impl Sink<'_> {
    /// One turn of the loop: a record, the group's news, the store's answers, the timers.
    fn turn(&mut self, reading: bool) -> Result<(), SinkError> {
        self.poll()?;
        for event in self.shared.consumer.context().take() {
            self.group(event);
        }
        while let Ok(answer) = self.answered.try_recv() {
            let partition = self.partitions.get_mut(&answer.partition);
            if let Some(partition) =
                partition.filter(|partition| partition.assignment == answer.assignment)
            {
                partition.answered(&self.shared, answer.result);
            }
        }
        let now = Instant::now();
        let held: u64 = self
            .partitions
            .values()
            .map(|partition| partition.protocol.held())
            .sum();
        let room = reading && held < self.options.held_scans;
        let linger = if reading {
            self.options.linger
        } else {
            Duration::ZERO
        };
        // One of those that make good an earlier sink's intent reads on in any case: until its block is whole, nothing of it can be
        // stored, and where all waited for room there would never be any.
        let mut reads_on = reading;
        for partition in self.partitions.values_mut() {
            partition.tick(&self.shared, now, linger);
            let goes_first = partition.protocol.makes_good() && std::mem::take(&mut reads_on);
            partition.steer(&self.shared, room || goes_first);
        }
        self.save_positions(now);
        Ok(())
    }

    /// Takes what there is, up to a bound, so that the rest has its turn too.
    fn poll(&mut self) -> Result<(), SinkError> {
        let mut wait = TURN;
        for _ in 0..1_000 {
            match self.shared.consumer.poll(wait) {
                None => break,
                Some(Ok(message)) => {
                    // A partition just revoked has no owner here any more.
                    if let Some(partition) = self.partitions.get_mut(&message.partition()) {
                        let bytes = message.payload().unwrap_or_default();
                        let record = blocks::read(message.offset(), appended_at(&message), bytes);
                        partition.read(&self.shared, record, Instant::now());
                        // At once when its block is full: what librdkafka holds of it is dropped, and fetched again later.
                        if !partition.protocol.wants_records() {
                            partition.steer(&self.shared, false);
                        }
                    }
                }
                Some(Err(error)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) => {
                    return Err(SinkError::Fatal(error.to_string()));
                }
                // librdkafka recovers by itself; what matters shows in the statistics.
                Some(Err(error)) => tracing::debug!("Kafka: {error}"),
            }
            wait = Duration::ZERO;
        }
        Ok(())
    }

    fn group(&mut self, event: GroupEvent) {
        match event {
            GroupEvent::Assigned(numbers) => {
                for number in numbers {
                    self.assignments += 1;
                    let source = Source {
                        cluster: self.cluster.clone(),
                        topic: self.topic.clone(),
                        partition: number,
                    };
                    let partition =
                        Partition::new(source, self.assignments, self.options.block_scans);
                    self.partitions.insert(number, partition);
                }
            }
            GroupEvent::Revoked(numbers) => {
                // What was not settled is the next owner's, who ends our inserts, if there are any, before it begins.
                for partition in numbers
                    .iter()
                    .filter_map(|number| self.partitions.remove(number))
                {
                    tracing::info!(partition = %partition.source, "partition revoked");
                }
            }
        }
    }

    fn save_positions(&mut self, now: Instant) {
        while let Ok((positions, result)) = self.saving.1.try_recv() {
            match (result, self.partitions.get_mut(&positions.source.partition)) {
                (Ok(()), Some(partition)) => partition.protocol.saved(&positions),
                (Ok(()), None) => {}
                (Err(error), _) => {
                    tracing::warn!("{error}; more is read again after a crash until it succeeds")
                }
            }
        }
        if now < self.save_at {
            return;
        }
        self.save_at = now + self.options.save_positions_every;
        for positions in self
            .partitions
            .values()
            .filter_map(|partition| partition.protocol.unsaved())
        {
            let (store, saved) = (Arc::clone(&self.shared.store), self.saving.0.clone());
            self.shared.runtime.spawn(async move {
                let result = store.save_positions(&positions).await;
                // Nobody listens any more: the sink has ended.
                let _ = saved.send((positions, result));
            });
        }
    }

    /// Readiness and the gauges.
    fn tell(&mut self, health: &dyn Fn(Result<(), String>)) {
        let broker = self.shared.consumer.context().broker();
        let (mut lag, mut missing, mut trouble) = (0, 0, None);
        for (number, partition) in &self.partitions {
            let end = broker
                .ends
                .get(number)
                .copied()
                .unwrap_or(0)
                .max(partition.end);
            lag += (end - partition.protocol.position().unwrap_or(0)).max(0);
            missing += partition.protocol.missing();
            trouble = trouble.or(partition.trouble.clone());
        }
        self.shared.metrics.lag.set(lag);
        self.shared
            .metrics
            .missing
            .set(i64::try_from(missing).unwrap_or(i64::MAX));
        let cut_off = broker.reachable == Some(false);
        match (std::mem::replace(&mut self.cut_off, cut_off), cut_off) {
            (false, true) => {
                let reason = &broker.trouble;
                tracing::warn!(reason, "no Kafka broker can be reached; the sink waits");
            }
            (true, false) => tracing::info!("a Kafka broker can be reached again"),
            _ => {}
        }
        let state = match (broker.reachable, trouble) {
            (Some(false), _) => Err("no Kafka broker can be reached".to_owned()),
            (_, Some(reason)) => Err(reason),
            // Another sink may have all partitions: that is fine.
            (_, None) => Ok(()),
        };
        if self.said.as_ref() != Some(&state) {
            health(state.clone());
            self.said = Some(state);
        }
    }

    /// Settles what was read, saves the positions, leaves the group.
    fn drain(mut self) -> Result<(), SinkError> {
        let deadline = Instant::now() + DRAIN;
        while Instant::now() < deadline
            && !self
                .partitions
                .values()
                .all(|partition| partition.protocol.is_idle())
        {
            self.turn(false)?;
        }
        let unsaved: Vec<_> = self
            .partitions
            .values()
            .filter_map(|partition| partition.protocol.unsaved())
            .collect();
        for positions in unsaved {
            let saved = self.shared.runtime.block_on(async {
                tokio::time::timeout(
                    Duration::from_secs(1),
                    self.shared.store.save_positions(&positions),
                )
                .await
            });
            if !matches!(saved, Ok(Ok(()))) {
                tracing::warn!(partition = %positions.source, "the writers' positions were not saved; the next sink reads more again");
            }
        }
        Ok(())
    }
}

/// The broker's time, as the topic is set to `LogAppendTime`.
fn appended_at(message: &BorrowedMessage<'_>) -> Timestamp {
    let millis = message.timestamp().to_millis();
    millis
        .and_then(|millis| Timestamp::from_millisecond(millis).ok())
        .unwrap_or_else(Timestamp::now)
}
