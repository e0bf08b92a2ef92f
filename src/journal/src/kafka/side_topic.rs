//! A topic beside the journal's own, with settings of its own: made where it is missing, checked where it is there.

use std::time::Duration;

use rdkafka::admin::{AdminClient, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::FromClientConfig;
use rdkafka::error::RDKafkaErrorCode;

use super::KafkaOptions;
use super::topics::{REQUEST, TopicSettingError, replicas, request};

/// How often, and how far apart, the broker is asked for the settings of a topic that it does not know yet.
const ASKED: usize = 20;
const PAUSE: Duration = Duration::from_millis(100);

/// How a topic has to be.
pub(crate) struct SideTopic {
    /// Its name, with the prefix.
    pub(crate) name: String,
    /// How many it has when it is new.
    pub(crate) partitions: i32,
    /// What it is made with.
    pub(crate) settings: &'static [(&'static str, &'static str)],
    /// What it must have, whoever made it; of a list of words, one of them. What is left is a matter of size.
    pub(crate) required: &'static [(&'static str, &'static str)],
}

/// Why it cannot be made or checked.
pub(crate) enum SideTopicError {
    /// It may work later.
    Unavailable(String),
    /// It is there, but not as it has to be.
    Setting(TopicSettingError),
}

impl SideTopic {
    /// Makes it if it is missing, then checks it.
    pub(crate) async fn ensure(self, options: &KafkaOptions) -> Result<(), SideTopicError> {
        let admin = AdminClient::from_config(&options.client(&[])).map_err(unavailable)?;
        // The one request of these that has no future: on a thread that may wait.
        let (admin, metadata) = tokio::task::spawn_blocking(move || {
            let metadata = admin.inner().fetch_metadata(None, REQUEST);
            (admin, metadata)
        })
        .await
        .map_err(unavailable)?;
        let metadata = metadata.map_err(unavailable)?;
        if replicas(&metadata, &self.name).is_none() {
            let copies = match options.replication {
                Some(copies) => i32::from(copies),
                None => i32::try_from(metadata.brokers().len().clamp(1, 3)).unwrap_or(3),
            };
            self.create(&admin, copies).await?;
        }
        self.check(&admin).await
    }

    async fn create(
        &self,
        admin: &AdminClient<DefaultClientContext>,
        copies: i32,
    ) -> Result<(), SideTopicError> {
        let new = NewTopic::new(&self.name, self.partitions, TopicReplication::Fixed(copies));
        let settings = self.settings.iter();
        let new = settings.fold(new, |new, (setting, value)| new.set(setting, value));
        let results = admin
            .create_topics([&new], &request())
            .await
            .map_err(unavailable)?;
        for result in results {
            match result {
                Ok(topic) => tracing::info!(topic, copies, "made a topic"),
                // Made by another process meanwhile; the check that follows is what counts.
                Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((_, code)) => return Err(unavailable(format!("creating it: {code}"))),
            }
        }
        Ok(())
    }

    async fn check(self, admin: &AdminClient<DefaultClientContext>) -> Result<(), SideTopicError> {
        let config = self.describe(admin).await?;
        let value = |setting: &str| {
            let entry = config.get(setting);
            entry
                .and_then(|entry| entry.value.clone())
                .unwrap_or_default()
        };
        for &(setting, wanted) in self.required {
            let found = value(setting);
            if !found.split(',').any(|word| word.trim() == wanted) {
                return Err(SideTopicError::Setting(TopicSettingError {
                    topic: self.name,
                    setting,
                    found,
                    wanted: wanted.to_owned(),
                }));
            }
        }
        Ok(())
    }

    /// A topic that was made a moment ago is not known to every broker yet; it is asked for again.
    async fn describe(
        &self,
        admin: &AdminClient<DefaultClientContext>,
    ) -> Result<ConfigResource, SideTopicError> {
        for _ in 0..ASKED {
            let described = admin
                .describe_configs([&ResourceSpecifier::Topic(&self.name)], &request())
                .await
                .map_err(unavailable)?;
            let mut configs = described.into_iter().flatten();
            if let Some(config) = configs.find(|config| !config.entries.is_empty()) {
                return Ok(config);
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(unavailable("the broker does not tell its settings yet"))
    }
}

fn unavailable(error: impl ToString) -> SideTopicError {
    SideTopicError::Unavailable(error.to_string())
}
