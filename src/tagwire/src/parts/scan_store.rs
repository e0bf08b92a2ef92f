//! The scan store that a configuration names, for commands that go to it themselves: where the roles would keep scans.

use std::path::PathBuf;
use std::sync::Arc;

use analytics::{ClickHouseStore, ScanStore, SqliteStore};

use super::cluster;
use crate::config::Config;

/// To ask alone: makes and changes nothing.
pub(crate) fn to_ask(config: &Config) -> anyhow::Result<Arc<dyn ScanStore>> {
    if config.clickhouse.is_configured() {
        return clickhouse(config);
    }
    Ok(Arc::new(SqliteStore::to_ask(&file(config)?)?))
}

/// To compute rollups too, where the tables are as this program knows them.
pub(crate) fn to_compute(config: &Config) -> anyhow::Result<Arc<dyn ScanStore>> {
    if config.clickhouse.is_configured() {
        return clickhouse(config);
    }
    let file = file(config)?;
    // Opening it to write would bring it up to date below a program that may be running.
    SqliteStore::to_ask(&file)?;
    Ok(Arc::new(SqliteStore::open(&file)?))
}

fn clickhouse(config: &Config) -> anyhow::Result<Arc<dyn ScanStore>> {
    let options = cluster::clickhouse_options(config, "command")?;
    Ok(Arc::new(ClickHouseStore::to_ask(&options)))
}

fn file(config: &Config) -> anyhow::Result<PathBuf> {
    let file = config.node.data_dir.join("scans.sqlite");
    anyhow::ensure!(
        file.is_file(),
        "there are no scans to look at: clickhouse.url is not set, and {} is not there; set clickhouse.url (--config, or TAGWIRE_CLICKHOUSE__URL), \
         or node.data_dir (--data-dir) to a standalone's",
        file.display()
    );
    Ok(file)
}
