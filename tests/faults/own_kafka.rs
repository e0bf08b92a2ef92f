//! What cases do to their Kafka beside ending it: topics changed behind everyone's back, records that nobody of ours would write.

use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, NewPartitions, ResourceSpecifier};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::ground::OwnServer;
use crate::support::DEADLINE;

impl OwnServer {
    /// Gives a topic more partitions.
    pub async fn add_partitions(&self, topic: &str, partitions: usize) -> anyhow::Result<()> {
        let admin: AdminClient<_> = self.client()?.create()?;
        let wanted = [NewPartitions::new(topic, partitions)];
        let answers = admin
            .create_partitions(&wanted, &AdminOptions::new())
            .await?;
        for answer in answers {
            answer.map_err(|(topic, error)| anyhow::anyhow!("{topic}: {error}"))?;
        }
        Ok(())
    }

    /// Deletes topics.
    pub async fn delete_topics(&self, topics: &[String]) -> anyhow::Result<()> {
        let admin: AdminClient<_> = self.client()?.create()?;
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        let answers = admin.delete_topics(&topics, &AdminOptions::new()).await?;
        for answer in answers {
            answer.map_err(|(topic, error)| anyhow::anyhow!("{topic}: {error}"))?;
        }
        Ok(())
    }

    /// Deletes all of a topic's records but the one that was written last, in its own transaction.
    pub async fn keep_the_last_record(&self, topic: &str) -> anyhow::Result<()> {
        let admin: AdminClient<_> = self.client()?.create()?;
        let consumer: BaseConsumer = self.client()?.create()?;
        let mut ends = Vec::new();
        let metadata = consumer.fetch_metadata(Some(topic), DEADLINE)?;
        for partition in metadata.topics()[0].partitions() {
            let (_, end) = consumer.fetch_watermarks(topic, partition.id(), DEADLINE)?;
            ends.push((partition.id(), end));
        }
        // The one that was written last is in the partition that has the most: a record, and its transaction's end.
        let most = ends.iter().map(|(_, end)| *end).max().unwrap_or_default();
        let mut before = TopicPartitionList::new();
        for (partition, end) in ends {
            let keep = if end == most { 2 } else { 0 };
            before.add_partition_offset(topic, partition, Offset::Offset(end - keep))?;
        }
        // Records of a topic that is only compacted cannot be deleted.
        for policy in ["compact,delete", "compact"] {
            let topic = ResourceSpecifier::Topic(topic);
            let config = AlterConfig::new(topic).set("cleanup.policy", policy);
            let altered = admin.alter_configs(&[config], &AdminOptions::new()).await?;
            altered.into_iter().try_for_each(|one| {
                one.map(drop)
                    .map_err(|(topic, error)| anyhow::anyhow!("{topic:?}: {error}"))
            })?;
            if policy != "compact" {
                let deleted = admin.delete_records(&before, &AdminOptions::new()).await?;
                for one in deleted.elements() {
                    one.error()?;
                }
            }
        }
        Ok(())
    }

    /// Writes a record, and waits until it is there.
    pub fn produce(&self, topic: &str, key: &str, value: &[u8]) -> anyhow::Result<()> {
        let mut config = self.client()?;
        config.set("message.max.bytes", "20000000");
        let producer: BaseProducer = config.create()?;
        let record = BaseRecord::to(topic).key(key).payload(value);
        producer.send(record).map_err(|(error, _)| error)?;
        Ok(producer.flush(DEADLINE)?)
    }

    /// Begins a transaction, writes into it, and leaves it open until what is returned is dropped.
    pub fn open_transaction(&self, topic: &str) -> anyhow::Result<BaseProducer> {
        let mut config = self.client()?;
        config.set("transactional.id", "left-open");
        let producer: BaseProducer = config.create()?;
        producer.init_transactions(DEADLINE)?;
        producer.begin_transaction()?;
        for partition in 0..8 {
            let record = BaseRecord::to(topic).key("left/open").payload("x");
            producer
                .send(record.partition(partition))
                .map_err(|(error, _)| error)?;
        }
        producer.flush(DEADLINE)?;
        Ok(producer)
    }

    fn client(&self) -> anyhow::Result<ClientConfig> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.address()?);
        Ok(config)
    }
}
