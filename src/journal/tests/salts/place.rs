//! Where the salts under test are: a file in a temporary folder, and topics with a prefix of their own on a real broker.

use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use journal::{Journal, KafkaJournal, KafkaOptions, Salts, SqliteJournal};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use tags::Topic;

/// One log, by its two traits.
pub(crate) struct Opened {
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) salts: Arc<dyn Salts>,
}

impl Opened {
    fn of(log: Arc<impl Journal + Salts>) -> Self {
        Self {
            journal: log.clone(),
            salts: log,
        }
    }
}

/// A place that can be opened more than once.
pub(crate) trait Place: Sync {
    /// An instance, as a process of its own would have it.
    fn open(&self) -> anyhow::Result<Opened>;
}

pub(crate) struct Sqlite {
    folder: tempfile::TempDir,
}

impl Sqlite {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        Ok(Self { folder })
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("journal.sqlite")
    }
}

impl Place for Sqlite {
    fn open(&self) -> anyhow::Result<Opened> {
        Ok(Opened::of(Arc::new(SqliteJournal::open(&self.file())?)))
    }
}

pub(crate) struct Kafka {
    pub(crate) options: KafkaOptions,
}

impl Kafka {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let brokers = std::env::var("TAGWIRE_TEST_KAFKA").context(
            "TAGWIRE_TEST_KAFKA does not name a Kafka broker: run tests/run, which starts one",
        )?;
        let prefix = format!("test-{:016x}.", RandomState::new().hash_one("salts"));
        Ok(Self {
            options: KafkaOptions {
                prefix,
                tag_partitions: 1,
                ..KafkaOptions::new(brokers)
            },
        })
    }

    pub(crate) fn topic(&self) -> String {
        format!("{}salts", self.options.prefix)
    }

    pub(crate) fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.options.brokers);
        config
    }

    pub(crate) fn admin(&self) -> anyhow::Result<AdminClient<DefaultClientContext>> {
        Ok(self.config().create()?)
    }

    /// So that the broker does not fill up; it is of no matter whether that succeeds.
    pub(crate) async fn remove_topics(&self) {
        let topics = Topic::ALL.map(|topic| format!("{}{topic}", self.options.prefix));
        let topics = topics.into_iter().chain([self.topic()]);
        let topics = topics.collect::<Vec<_>>();
        let topics = topics.iter().map(String::as_str).collect::<Vec<_>>();
        if let Ok(admin) = self.admin() {
            let _ = admin.delete_topics(&topics, &AdminOptions::new()).await;
        }
    }
}

impl Place for Kafka {
    fn open(&self) -> anyhow::Result<Opened> {
        let journal = KafkaJournal::new(self.options.clone())?;
        Ok(Opened::of(Arc::new(journal)))
    }
}
