//! Where the journals under test are: a file in a temporary folder, and topics with a prefix of their own on a real broker.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use anyhow::{Context, anyhow};
use async_trait::async_trait;
use journal::{Journal, JournalMetrics, KafkaJournal, KafkaOptions, SqliteJournal};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use tags::Topic;

/// An instance of a journal and what it counts.
pub(crate) struct Opened {
    pub(crate) journal: Box<dyn Journal>,
    pub(crate) metrics: JournalMetrics,
}

/// One journal's place, which can be opened more than once.
#[async_trait]
pub(crate) trait Place: Sync {
    /// An instance, as a process of its own would have it.
    fn open(&self) -> anyhow::Result<Opened>;

    /// Writes a record that the journal itself never would.
    async fn write_raw(&self, topic: Topic, key: &[u8], value: &[u8]) -> anyhow::Result<()>;
}

pub(crate) struct SqlitePlace {
    folder: tempfile::TempDir,
}

impl SqlitePlace {
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self {
            folder: tempfile::tempdir()?,
        })
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("journal.sqlite")
    }
}

#[async_trait]
impl Place for SqlitePlace {
    fn open(&self) -> anyhow::Result<Opened> {
        let metrics = JournalMetrics::unregistered();
        let journal = Box::new(SqliteJournal::open_counting(&self.path(), metrics.clone())?);
        Ok(Opened { journal, metrics })
    }

    async fn write_raw(&self, topic: Topic, key: &[u8], value: &[u8]) -> anyhow::Result<()> {
        let connection = rusqlite::Connection::open(self.path())?;
        connection.busy_timeout(Duration::from_secs(10))?;
        connection.execute(
            "INSERT INTO records (topic, \"offset\", key, value, published_at)
             SELECT ?1, coalesce(max(\"offset\") + 1, 0), ?2, ?3, 0 FROM records WHERE topic = ?1",
            (topic.as_str(), std::str::from_utf8(key)?, value),
        )?;
        Ok(())
    }
}

pub(crate) struct KafkaPlace {
    pub(crate) brokers: String,
    pub(crate) prefix: String,
}

impl KafkaPlace {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let brokers = std::env::var("TAGWIRE_TEST_KAFKA").context(
            "TAGWIRE_TEST_KAFKA does not name a Kafka broker: run tests/run, which starts one",
        )?;
        let prefix = format!("test-{:016x}.", RandomState::new().hash_one("journal"));
        Ok(Self { brokers, prefix })
    }

    pub(crate) fn options(&self) -> KafkaOptions {
        let mut options = KafkaOptions::new(&self.brokers);
        options.prefix.clone_from(&self.prefix);
        options.tag_partitions = 3;
        options
    }

    pub(crate) fn topic(&self, topic: Topic) -> String {
        format!("{}{topic}", self.prefix)
    }

    pub(crate) fn admin(&self) -> anyhow::Result<AdminClient<DefaultClientContext>> {
        Ok(ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .create()?)
    }

    /// Writes a record outside any transaction, any key and value, also none.
    pub(crate) fn produce(
        &self,
        topic: Topic,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> anyhow::Result<()> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("message.max.bytes", "20000000");
        let producer: ThreadedProducer<DefaultProducerContext> = config.create()?;
        let name = self.topic(topic);
        let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&name).partition(0);
        record.key = key;
        record.payload = value;
        producer.send(record).map_err(|(error, _)| error)?;
        producer.flush(Duration::from_secs(20))?;
        Ok(())
    }

    /// So that the broker does not fill up; it is of no matter whether that succeeds.
    pub(crate) async fn remove_topics(&self) {
        let names = Topic::ALL.map(|topic| self.topic(topic));
        let salts = format!("{}salts", self.prefix);
        let names: Vec<&str> = names.iter().chain([&salts]).map(String::as_str).collect();
        if let Ok(admin) = self.admin() {
            let _ = admin.delete_topics(&names, &AdminOptions::new()).await;
        }
    }
}

#[async_trait]
impl Place for KafkaPlace {
    fn open(&self) -> anyhow::Result<Opened> {
        let metrics = JournalMetrics::unregistered();
        let journal = Box::new(KafkaJournal::new_counting(self.options(), metrics.clone())?);
        Ok(Opened { journal, metrics })
    }

    async fn write_raw(&self, topic: Topic, key: &[u8], value: &[u8]) -> anyhow::Result<()> {
        tokio::task::block_in_place(|| self.produce(topic, Some(key), Some(value)))
    }
}

/// Settings that are not the default ones.
pub(crate) fn settings(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|&(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// A future of one of several tasks that must all succeed.
pub(crate) async fn all<T: Send + 'static>(
    tasks: Vec<tokio::task::JoinHandle<anyhow::Result<T>>>,
) -> anyhow::Result<Vec<T>> {
    let mut outcomes = Vec::with_capacity(tasks.len());
    for task in tasks {
        outcomes.push(task.await.map_err(|error| anyhow!(error))??);
    }
    Ok(outcomes)
}
