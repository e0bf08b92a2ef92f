//! What the roles of a cluster reach over the network: the parts' options from the configuration, and ClickHouse, waited for.

use std::sync::Arc;
use std::time::Duration;

use analytics::{ClickHouseOptions, ClickHouseStore, ScanStore};
use journal::{JournalMetrics, KafkaJournal, KafkaOptions};
use scans::{KafkaOutlet, KafkaOutletOptions};
use sink::SinkOptions;

use crate::config::Config;
use crate::program::Program;

/// How long until ClickHouse is asked again.
const RETRY: Duration = Duration::from_secs(1);

/// The journal's Kafka.
pub(crate) fn journal_options(config: &Config, role: &'static str) -> anyhow::Result<KafkaOptions> {
    let kafka = &config.kafka;
    Ok(KafkaOptions {
        prefix: kafka.prefix.clone(),
        options: kafka.options.clone(),
        ..KafkaOptions::new(kafka.brokers(role)?)
    })
}

/// The journal in that Kafka; connects to nothing yet.
pub(crate) fn journal(
    config: &Config,
    options: KafkaOptions,
    metrics: JournalMetrics,
) -> anyhow::Result<Arc<KafkaJournal>> {
    let journal = KafkaJournal::new_counting(options, metrics);
    Ok(Arc::new(journal.map_err(|error| {
        anyhow::anyhow!(config.kafka.without_values(&error))
    })?))
}

/// The scans' way out to Kafka.
pub(crate) fn outlet(config: &Config, role: &'static str) -> anyhow::Result<KafkaOutlet> {
    let outlet = KafkaOutlet::new(&outlet_options(config, role)?);
    outlet.map_err(|error| anyhow::anyhow!(config.kafka.without_values(&error)))
}

/// The scans' way in from Kafka. Whoever comes first makes the topic, so both say how.
pub(crate) fn sink_options(config: &Config, role: &'static str) -> anyhow::Result<SinkOptions> {
    let outlet = outlet_options(config, role)?;
    Ok(SinkOptions {
        kafka_options: outlet.options,
        replication: outlet.replication,
        partitions: outlet.partitions,
        ..SinkOptions::new(outlet.brokers, outlet.prefix)
    })
}

/// ClickHouse, with the password from its file.
pub(crate) fn clickhouse_options(
    config: &Config,
    role: &'static str,
) -> anyhow::Result<ClickHouseOptions> {
    let clickhouse = &config.clickhouse;
    let url = clickhouse.url(role)?.to_string();
    let read = |path: &std::path::PathBuf| {
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|error| {
            anyhow::anyhow!("clickhouse.password_file {}: {error}", path.display())
        })?;
        anyhow::Ok(text.trim_end_matches(['\r', '\n']).to_owned())
    };
    let password = clickhouse.password_file.as_ref().map(read).transpose()?;
    Ok(ClickHouseOptions {
        url,
        user: clickhouse.user.clone(),
        password,
        database: clickhouse.database.clone(),
    })
}

/// The store. The process is not ready until it has been reached once; whoever uses the store meanwhile is told that it is away.
pub(crate) fn clickhouse(program: &Program, options: ClickHouseOptions) -> Arc<dyn ScanStore> {
    let check = program.health.check("clickhouse");
    let (store, url) = (ClickHouseStore::new(&options), options.url.clone());
    program.runtime.spawn(async move {
        let mut told = None;
        while let Err(error) = ClickHouseStore::connect(&options).await {
            let reason = error.to_string();
            check.not_ready(reason.clone());
            if told.as_ref() != Some(&reason) {
                tracing::warn!(url, reason, "waiting for ClickHouse");
                told = Some(reason);
            }
            tokio::time::sleep(RETRY).await;
        }
        tracing::info!(url, "reached ClickHouse");
        check.ready();
    });
    Arc::new(store)
}

fn outlet_options(config: &Config, role: &'static str) -> anyhow::Result<KafkaOutletOptions> {
    let kafka = &config.kafka;
    let brokers = kafka.brokers(role)?;
    Ok(KafkaOutletOptions {
        options: kafka.options.clone(),
        ..KafkaOutletOptions::new(brokers, &kafka.prefix)
    })
}
