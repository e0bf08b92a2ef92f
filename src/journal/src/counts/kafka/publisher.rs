//! Writes counts to the topic. The larger of two counts of a key is the newer, so nothing is lost when some are written twice; but compaction
//! keeps the last, so that they have to be written in order: an idempotent producer, one batch at a time.

use std::time::Duration;

use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tokio::time::timeout;

use super::KafkaCounts;
use crate::counts::{Count, CountsError, CountsPublisher};
use crate::kafka::client::Listener;

/// How long a batch may take to be stored.
const DELIVERY: Duration = Duration::from_secs(3);
/// How many records are sent together: far fewer than librdkafka's queue takes.
const TOGETHER: usize = 10_000;
/// How often it is looked whether they have arrived. The producer's own waiting asks without a pause through the last millisecond of each
/// wait.
const LOOK: Duration = Duration::from_millis(1);

/// One edge's producer.
pub(super) struct KafkaCountsPublisher {
    counts: KafkaCounts,
    topic: String,
    /// Made when there is something to write, and anew after each failure: nothing of it is left under way then.
    producer: Option<BaseProducer<Listener>>,
}

impl KafkaCountsPublisher {
    pub(super) fn new(counts: KafkaCounts) -> Self {
        Self {
            topic: counts.topic(),
            counts,
            producer: None,
        }
    }

    /// A producer, and a topic to write to.
    fn connect(&self) -> Result<BaseProducer<Listener>, CountsError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(|error| self.counts.unavailable(&error))?;
        let ensured = runtime.block_on(async { timeout(DELIVERY, self.counts.ensure()).await });
        // What still waits for the brokers on the runtime's threads ends by itself.
        runtime.shutdown_background();
        ensured.unwrap_or_else(|_| Err(self.counts.unavailable(&"the brokers do not answer")))?;
        let config = self.counts.options.client(&[
            ("acks", "all"),
            ("enable.idempotence", "true"),
            ("linger.ms", "0"),
            ("message.timeout.ms", &DELIVERY.as_millis().to_string()),
            // The same key's partition as Java's producer would choose, so that others may write tools.
            ("partitioner", "murmur2_random"),
        ]);
        let producer = config.create_with_context(Listener::default());
        producer.map_err(|error: KafkaError| self.counts.unavailable(&error))
    }

    fn send(&self, producer: &BaseProducer<Listener>, counts: &[Count]) -> Result<(), CountsError> {
        let listener = producer.context();
        let failed = |error: &KafkaError| self.counts.unavailable(&listener.explain(error));
        listener.clear_reports();
        for (number, count) in counts.iter().enumerate() {
            let (key, value) = (count.key(), count.encode());
            let record = BaseRecord::with_opaque_to(&self.topic, number);
            producer
                .send(record.key(&key).payload(&value))
                .map_err(|(error, _)| failed(&error))?;
        }
        let mut left = counts.len();
        // It ends: a record that does not arrive is given up after its time.
        while left > 0 {
            producer.poll(Duration::ZERO);
            let reports = listener.take_reports(left, LOOK);
            left -= reports.len();
            if let Some((_, Err(error))) = reports.iter().find(|(_, place)| place.is_err()) {
                return Err(failed(error));
            }
        }
        Ok(())
    }
}

impl CountsPublisher for KafkaCountsPublisher {
    fn publish(&mut self, counts: &[Count]) -> Result<(), CountsError> {
        let producer = match self.producer.take() {
            Some(producer) => producer,
            None => self.connect()?,
        };
        for batch in counts.chunks(TOGETHER) {
            self.send(&producer, batch)?;
        }
        self.producer = Some(producer);
        Ok(())
    }
}
