//! One edge's producer of heartbeats: one record under way at a time, never sent again when it did not arrive in time.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::ToBytes;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::KafkaEdges;
use crate::edges::{EdgeRun, EdgesError, Heartbeat, Reporter};
use crate::kafka::client::Listener;
use crate::kafka::topics::replicas;

/// How long the brokers have to take a heartbeat; by then there is a newer one.
const DELIVERY: Duration = Duration::from_secs(2);

/// How often it is looked whether a heartbeat has arrived, while one is under way. The producer's own waiting asks without a pause through
/// the last millisecond of each wait, and a thread that waits for ever does so for ever.
const LOOK: Duration = Duration::from_millis(1);

/// The producer of one edge.
pub(super) struct KafkaReporter {
    edges: KafkaEdges,
    topic: String,
    producer: Arc<BaseProducer<Deliveries>>,
    /// A broker that makes topics at the mention of their name would make this one with the wrong policy: it is looked for first.
    topic_is_there: bool,
}

impl KafkaReporter {
    pub(super) fn new(edges: KafkaEdges) -> Result<Self, KafkaError> {
        let config = edges.options.client(&[
            ("linger.ms", "0"),
            // A heartbeat that is lost with its broker is followed by another.
            ("acks", "1"),
            ("message.timeout.ms", &DELIVERY.as_millis().to_string()),
            // The same key's partition as Java's producer would choose, so that others may write tools.
            ("partitioner", "murmur2_random"),
        ]);
        let producer = config.create_with_context(Deliveries(Listener::default()))?;
        Ok(Self {
            topic: edges.topic(),
            edges,
            producer: Arc::new(producer),
            topic_is_there: false,
        })
    }

    async fn look_for_the_topic(&mut self) -> Result<(), EdgesError> {
        if self.topic_is_there {
            return Ok(());
        }
        let (producer, topic) = (Arc::clone(&self.producer), self.topic.clone());
        let looked = tokio::task::spawn_blocking(move || {
            let metadata = producer.client().fetch_metadata(None, DELIVERY)?;
            Ok(replicas(&metadata, &topic).is_some())
        });
        let there = looked
            .await
            .map_err(|error| self.edges.unavailable(&error))?;
        self.topic_is_there = there.map_err(|error| self.failed(&error))?;
        if self.topic_is_there {
            return Ok(());
        }
        Err(self
            .edges
            .unavailable(&"it does not exist yet: the admin makes it when it starts"))
    }

    async fn send<V: ToBytes + ?Sized>(
        &mut self,
        run: &EdgeRun,
        value: Option<&V>,
    ) -> Result<(), EdgesError> {
        self.look_for_the_topic().await?;
        let (delivered, mut delivery) = oneshot::channel();
        let key = run.to_string();
        let mut record = BaseRecord::with_opaque_to(&self.topic, Box::new(delivered)).key(&key);
        record.payload = value;
        self.producer
            .send(record)
            .map_err(|(error, _)| self.failed(&error))?;
        // It ends: a record that does not arrive is given up after its time.
        let outcome = loop {
            self.producer.poll(Duration::ZERO);
            if let Ok(outcome) = timeout(LOOK, &mut delivery).await {
                break outcome;
            }
        };
        match outcome {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                use RDKafkaErrorCode::{UnknownTopic, UnknownTopicOrPartition};
                let code = error.rdkafka_error_code();
                self.topic_is_there &=
                    !matches!(code, Some(UnknownTopic | UnknownTopicOrPartition));
                Err(self.failed(&error))
            }
            Err(_) => Err(self.edges.unavailable(&"the producer has ended")),
        }
    }

    fn failed(&self, error: &KafkaError) -> EdgesError {
        let reason = self.producer.context().0.explain(error);
        self.edges.unavailable(&reason)
    }
}

#[async_trait]
impl Reporter for KafkaReporter {
    async fn report(&mut self, heartbeat: &Heartbeat) -> Result<(), EdgesError> {
        self.send(&heartbeat.run, Some(&heartbeat.encode())).await
    }

    async fn farewell(&mut self, run: &EdgeRun) -> Result<(), EdgesError> {
        self.send(run, None::<&[u8]>).await
    }
}

/// Tells who sent a record what became of it.
struct Deliveries(Listener);

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.0.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.error(error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<oneshot::Sender<Result<(), KafkaError>>>;

    fn delivery(&self, result: &DeliveryResult<'_>, delivered: Self::DeliveryOpaque) {
        let outcome = result
            .as_ref()
            .map(|_| ())
            .map_err(|(error, _)| error.clone());
        let _ = delivered.send(outcome); // fails when nobody waits any more
    }
}
