//! The topic under test, with a prefix of its own on a real broker.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use anyhow::Context;
use journal::{JournalMetrics, KafkaEdges, KafkaOptions};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

/// A record, key and value, either of which may be missing.
pub(crate) type Raw<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

pub(crate) struct KafkaPlace {
    brokers: String,
    prefix: String,
    pub(crate) metrics: JournalMetrics,
}

impl KafkaPlace {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let brokers = std::env::var("TAGWIRE_TEST_KAFKA").context(
            "TAGWIRE_TEST_KAFKA does not name a Kafka broker: run tests/run, which starts one",
        )?;
        let prefix = format!("test-{:016x}.", RandomState::new().hash_one("edges"));
        let metrics = JournalMetrics::unregistered();
        Ok(Self {
            brokers,
            prefix,
            metrics,
        })
    }

    pub(crate) fn edges(&self) -> KafkaEdges {
        let mut options = KafkaOptions::new(&self.brokers);
        options.prefix.clone_from(&self.prefix);
        KafkaEdges::new(options, self.metrics.clone())
    }

    pub(crate) fn topic(&self) -> String {
        format!("{}edges", self.prefix)
    }

    pub(crate) fn admin(&self) -> anyhow::Result<AdminClient<DefaultClientContext>> {
        Ok(ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .create()?)
    }

    /// Writes records that no edge would.
    pub(crate) fn write(&self, records: &[Raw<'_>]) -> anyhow::Result<()> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers);
        let producer: ThreadedProducer<DefaultProducerContext> = config.create()?;
        let topic = self.topic();
        for (key, value) in records {
            let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&topic);
            (record.key, record.payload) = (*key, *value);
            producer.send(record).map_err(|(error, _)| error)?;
        }
        tokio::task::block_in_place(|| producer.flush(Duration::from_secs(20)))?;
        Ok(())
    }

    /// So that the broker does not fill up; it is of no matter whether that succeeds.
    pub(crate) async fn remove_topic(&self) {
        if let Ok(admin) = self.admin() {
            let _ = admin
                .delete_topics(&[&self.topic()], &AdminOptions::new())
                .await;
        }
    }
}
