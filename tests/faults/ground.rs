//! What the cases stand on: one Kafka that they may kill and start again, and deployments on it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, NewPartitions, ResourceSpecifier};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::deployment::{Deployment, Plan, Shape, given};
use crate::support::DEADLINE;

/// Started by the first case that needs it.
#[derive(Default)]
pub struct Ground {
    kafka: Option<OwnKafka>,
}

impl Ground {
    /// The plan of a cluster on the Kafka that may be killed.
    pub fn plan(&mut self) -> anyhow::Result<Plan> {
        let mut plan = Plan::given(Shape::Cluster)?;
        plan.kafka = self.kafka()?.address()?;
        Ok(plan)
    }

    /// A cluster of three edges, an admin and a sink, all of them ready.
    pub async fn cluster(&mut self) -> anyhow::Result<Deployment> {
        Deployment::start(&self.plan()?).await
    }

    /// The Kafka that may be killed; it runs when this returns.
    pub fn kafka(&mut self) -> anyhow::Result<&OwnKafka> {
        let kafka = match self.kafka.take() {
            Some(kafka) => kafka,
            None => OwnKafka {
                folder: tempfile::tempdir().context("making a folder for Kafka")?,
            },
        };
        let kafka = self.kafka.insert(kafka);
        kafka.start()?;
        Ok(kafka)
    }

    /// Ends it.
    pub fn end(&mut self) {
        self.kafka = None;
    }
}

/// A Kafka of the cases' own.
pub struct OwnKafka {
    folder: TempDir,
}

impl OwnKafka {
    /// Starts it where it was, with its data, and waits until it answers; nothing when it runs.
    pub fn start(&self) -> anyhow::Result<()> {
        self.run("start")
    }

    /// SIGKILL.
    pub fn kill(&self) -> anyhow::Result<()> {
        self.run("kill")
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = std::fs::read_to_string(self.folder.path().join("kafka/pid"))?;
        let pid = Pid::from_raw(pid.trim().parse()?).context("Kafka's pid")?;
        Ok(kill_process(pid, signal)?)
    }

    /// Its bootstrap server.
    pub fn address(&self) -> anyhow::Result<String> {
        let port = std::fs::read_to_string(self.folder.path().join("kafka/port"))
            .context("reading Kafka's port")?;
        Ok(format!("127.0.0.1:{}", port.trim()))
    }

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

    fn run(&self, what: &str) -> anyhow::Result<()> {
        let output = Command::new(stack().join("kafka"))
            .arg(what)
            .arg(self.folder.path())
            .env_remove("TAGWIRE_TEST_KAFKA")
            .output()
            .context("running tests/stack/kafka")?;
        ensure!(
            output.status.success(),
            "tests/stack/kafka {what}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }
}

impl Drop for OwnKafka {
    fn drop(&mut self) {
        let _ = self.kill(); // its folder goes with it; what is left of the process is ended with the test run
    }
}

/// The scripts that start servers, and the files that they have downloaded.
fn stack() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/stack")
}

/// A file that `tests/run` names.
pub fn given_file(name: &str) -> anyhow::Result<PathBuf> {
    Ok(PathBuf::from(given(name)?))
}
