//! The way out to Kafka: each batch one record of the topic `scans`, in its writer's own partition.

use std::collections::{BTreeMap, HashSet};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use priority::Priority;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};

use crate::broker_log;
use crate::scans_topic::{ScansTopic, TopicError};
use crate::window::Windows;
use crate::{Delivered, Delivery, EncodedBatch, Full, Outlet, WriterKey};

/// Where the brokers are.
#[derive(Clone, Debug, Default)]
pub struct KafkaOutletOptions {
    /// `host:port`, comma-separated.
    pub brokers: String,
    /// What the topic's name begins with: `tagwire.`.
    pub prefix: String,
    /// Any settings of librdkafka; they win over ours.
    pub options: BTreeMap<String, String>,
    /// Copies of the topic if it has to be created; by default 3, or as many as there are brokers.
    pub replication: Option<i32>,
    /// Partitions of the topic if it has to be created.
    pub partitions: i32,
}

impl KafkaOutletOptions {
    /// With 12 partitions: they divide among 1, 2, 3, 4, 6 or 12 sinks.
    pub fn new(brokers: impl Into<String>, prefix: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            prefix: prefix.into(),
            options: BTreeMap::new(),
            replication: None,
            partitions: 12,
        }
    }
}

/// Why there can be no producer. An unreachable broker is no reason: it is waited for.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot make a Kafka producer for '{brokers}': {source}; see kafka.brokers and kafka.options"
)]
pub struct KafkaOutletError {
    brokers: String,
    source: KafkaError,
}

/// An idempotent producer, and what it has not answered for yet.
pub struct KafkaOutlet {
    config: ClientConfig,
    producer: BaseProducer<Reports>,
    topic: Arc<ScansTopic>,
    outstanding: HashSet<Sent>,
    windows: Windows,
    /// What was known at once, without the producer.
    immediate: Vec<Delivery>,
    partitions: Option<i32>,
    /// The topic is being looked for.
    look: Option<Receiver<Result<i32, TopicError>>>,
    /// Not before this time is it looked for again.
    next_look: Instant,
    /// The trouble that was logged, so that it is logged once, however long it lasts.
    trouble: Option<&'static str>,
}

const AWAY: &str = "no broker answers";

/// How long between two tries to reach the broker about the topic.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Batches are already made; waiting so long lets those of several writers share a request.
const LINGER: Duration = Duration::from_millis(2);

/// A batch that the producer has.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Sent {
    writer: WriterKey,
    first_seq: u64,
    count: u32,
    partition: i32,
}

impl Sent {
    fn is(self, outcome: Delivered) -> Delivery {
        Delivery {
            writer: self.writer,
            first_seq: self.first_seq,
            count: self.count,
            outcome,
        }
    }
}

/// The partition that it was stored in, or why not.
type Report = (Sent, Result<i32, KafkaError>);

/// Where librdkafka puts its delivery reports and errors. They come on the shipper's own thread, while it polls.
#[derive(Clone, Default)]
struct Reports(Arc<Mutex<Reported>>);

#[derive(Default)]
struct Reported {
    deliveries: Vec<Report>,
    /// What went wrong last with a broker.
    trouble: String,
    /// Since the last look, all brokers were found to be away.
    all_down: bool,
}

impl Reports {
    fn lock(&self) -> MutexGuard<'_, Reported> {
        self.0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn take(&self) -> Vec<Report> {
        std::mem::take(&mut self.lock().deliveries)
    }

    /// Why no broker is there, if that has been found since the last look.
    fn take_all_down(&self) -> Option<String> {
        let mut reported = self.lock();
        std::mem::take(&mut reported.all_down).then(|| reported.trouble.clone())
    }
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        broker_log::pass_on(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, "{reason}");
        let mut reported = self.lock();
        let all_down = error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown);
        reported.all_down |= all_down;
        // That all are away says less than why the last of them is.
        if !all_down || reported.trouble.is_empty() {
            reason.clone_into(&mut reported.trouble);
        }
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<Sent>;

    fn delivery(&self, result: &DeliveryResult<'_>, sent: Box<Sent>) {
        use rdkafka::Message;
        let outcome = match result {
            Ok(message) => Ok(message.partition()),
            Err((error, _)) => Err(error.clone()),
        };
        self.lock().deliveries.push((*sent, outcome));
    }
}

impl KafkaOutlet {
    /// Makes the producer; does not wait for a broker.
    pub fn new(options: &KafkaOutletOptions) -> Result<Self, KafkaOutletError> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &options.brokers)
            .set("client.id", "tagwire-scans")
            .set("acks", "all")
            .set("enable.idempotence", "true")
            // Never gives up: the scan log bounds what waits, and the idempotent producer then keeps the order.
            .set("message.timeout.ms", "0")
            .set("compression.type", "lz4")
            .set("reconnect.backoff.max.ms", "1000")
            .set("linger.ms", LINGER.as_millis().to_string())
            // Above what the shipper lets be on its way, so that this queue is not the bound.
            .set("queue.buffering.max.kbytes", "65536")
            .set("queue.buffering.max.messages", "100000");
        for (key, value) in &options.options {
            config.set(key, value);
        }
        let error = |source| KafkaOutletError {
            brokers: options.brokers.clone(),
            source,
        };
        // On a thread of lower priority, which librdkafka's own inherit.
        let made = std::thread::scope(|scope| {
            let making = scope.spawn(|| {
                priority::lower(Priority::Delivery);
                Ok((
                    config.create_with_context(Reports::default())?,
                    ScansTopic::new(&config, options)?,
                ))
            });
            making
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        let (producer, topic) = made.map_err(error)?;
        Ok(Self {
            config,
            producer,
            topic: Arc::new(topic),
            outstanding: HashSet::new(),
            windows: Windows::new(LINGER),
            immediate: Vec::new(),
            partitions: None,
            look: None,
            next_look: Instant::now(),
            trouble: None,
        })
    }

    /// After a fatal error the producer answers nothing any more: another takes over, and all that is open is sent again.
    fn replace_producer(&mut self, reason: &str) {
        match self.config.create_with_context(Reports::default()) {
            Ok(producer) => {
                tracing::error!(
                    reason,
                    open = self.outstanding.len(),
                    "the Kafka producer failed for good and was replaced: open batches are sent again"
                );
                self.producer = producer;
                self.windows.clear();
                let failed = |sent: Sent| {
                    sent.is(Delivered::Failed {
                        reason: reason.to_owned(),
                    })
                };
                self.immediate.extend(self.outstanding.drain().map(failed));
            }
            Err(error) => {
                self.note_trouble("no new producer after a fatal error", &error.to_string())
            }
        }
    }

    /// Looks for the topic on a thread of its own: a broker that is away would hold up the shipper for seconds, also at its end.
    fn begin_look(&mut self) {
        let (found, look) = channel();
        let topic = Arc::clone(&self.topic);
        let looking = std::thread::Builder::new()
            .name("scans-topic".into())
            .spawn(move || {
                let _ = found.send(topic.partitions_or_create()); // fails when the outlet has ended
            });
        match looking {
            Ok(_) => self.look = Some(look),
            Err(error) => {
                self.next_look = Instant::now() + LOOK_AGAIN;
                self.note_trouble("no thread to look for the topic", &error.to_string());
            }
        }
    }

    /// The reports that are there. The producer hands out one event at a time.
    fn take_reports(&self) -> Vec<Report> {
        let mut reports = Vec::new();
        loop {
            self.producer.poll(Duration::ZERO);
            let more = self.producer.context().take();
            if more.is_empty() {
                return reports;
            }
            reports.extend(more);
        }
    }

    fn note_trouble(&mut self, trouble: &'static str, reason: &str) {
        if self.trouble.replace(trouble) != Some(trouble) {
            tracing::warn!(
                topic = self.topic.name(),
                trouble,
                reason,
                "scans cannot be delivered to Kafka for now; they wait in the scan log"
            );
        }
    }
}

impl Outlet for KafkaOutlet {
    fn send(&mut self, batch: EncodedBatch) -> Result<(), Full> {
        // A batch without a partition comes before the topic is known.
        let Some(partition) = batch.partition else {
            return Err(Full(batch));
        };
        if self.partitions.is_none() && self.partitions().is_none() {
            return Err(Full(batch));
        }
        if !self.windows.take(partition, Instant::now()) {
            return Err(Full(batch));
        }
        let sent = Sent {
            writer: batch.writer.clone(),
            first_seq: batch.first_seq,
            count: batch.count,
            partition,
        };
        let record =
            BaseRecord::<(), [u8], _>::with_opaque_to(self.topic.name(), Box::new(sent.clone()))
                .partition(partition)
                .payload(batch.bytes.as_slice());
        let sending = self.producer.send(record);
        if sending.is_err() {
            self.windows.give_back(partition);
        }
        match sending {
            Ok(()) => {
                self.outstanding.insert(sent);
            }
            Err((error, _)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => {
                return Err(Full(batch));
            }
            Err((error, _)) => {
                if is_unknown(&error) {
                    self.partitions = None; // looked for, and created, again
                }
                self.immediate.push(sent.is(outcome_of(&error)));
            }
        }
        Ok(())
    }

    fn poll(&mut self, wait: Duration) -> Vec<Delivery> {
        // Not by the producer's own waiting: it counts in whole milliseconds, and asks without a pause through the last of them,
        // which of rounds of 5 ms is a fifth of a processor.
        std::thread::sleep(wait);
        let mut deliveries = std::mem::take(&mut self.immediate);
        let mut unknown_topic = false;
        for (sent, result) in self.take_reports() {
            self.outstanding.remove(&sent);
            self.windows.give_back(sent.partition);
            let outcome = match result {
                Ok(partition) => {
                    if self.trouble.take().is_some() {
                        tracing::info!(
                            topic = self.topic.name(),
                            "scans are delivered to Kafka again"
                        );
                    }
                    Delivered::Stored {
                        partition: Some(partition),
                    }
                }
                Err(error) => {
                    self.note_trouble("batches are not taken", &error.to_string());
                    unknown_topic |= is_unknown(&error);
                    outcome_of(&error)
                }
            };
            deliveries.push(sent.is(outcome));
        }
        if let Some(reason) = self.producer.context().take_all_down() {
            self.note_trouble(AWAY, &reason);
        }
        if unknown_topic {
            self.partitions = None; // looked for, and created, again
        }
        if let Some((code, reason)) = self.producer.client().fatal_error() {
            self.replace_producer(&format!("{code}: {reason}"));
        }
        deliveries
    }

    fn partitions(&mut self) -> Option<i32> {
        if self.partitions.is_some() {
            return self.partitions;
        }
        match self.look.as_ref().map(Receiver::try_recv) {
            None if Instant::now() >= self.next_look => self.begin_look(),
            None | Some(Err(TryRecvError::Empty)) => {}
            Some(found) => {
                (self.look, self.next_look) = (None, Instant::now() + LOOK_AGAIN);
                match found {
                    Ok(Ok(partitions)) => self.partitions = Some(partitions),
                    Ok(Err(TopicError::Unreachable(error))) => {
                        self.note_trouble(AWAY, &error.to_string())
                    }
                    // Found at the next look.
                    Ok(Err(TopicError::JustCreated { .. })) => {}
                    Ok(Err(error @ TopicError::Refused { .. })) => {
                        self.note_trouble("the topic is missing", &error.to_string())
                    }
                    Err(_) => self.note_trouble("the look for the topic failed", "it panicked"),
                }
            }
        }
        self.partitions
    }
}

fn is_unknown(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{UnknownPartition, UnknownTopic, UnknownTopicOrPartition};
    matches!(
        error.rdkafka_error_code(),
        Some(UnknownPartition | UnknownTopic | UnknownTopicOrPartition)
    )
}

/// Whether the batch itself is at fault, or the moment.
fn outcome_of(error: &KafkaError) -> Delivered {
    use RDKafkaErrorCode::{
        InvalidMessage, InvalidMessageSize, InvalidRecord, InvalidTimestamp, MessageSizeTooLarge,
    };
    let reason = error.to_string();
    match error.rdkafka_error_code() {
        Some(
            MessageSizeTooLarge | InvalidMessageSize | InvalidMessage | InvalidRecord
            | InvalidTimestamp,
        ) => Delivered::Refused { reason },
        _ => Delivered::Failed { reason },
    }
}
