//! SIGHUP: the configuration is read anew, what can change in a running process is taken, what cannot is named.

use telemetry::logging::LogFilter;

use crate::config::Config;
use crate::roles::Role;

/// What a process goes by, and how that changes.
pub(crate) struct Reloading<'a> {
    role: &'a dyn Role,
    log_filter: LogFilter,
    /// As far as it could be taken.
    current: Config,
}

impl<'a> Reloading<'a> {
    pub(crate) fn new(role: &'a dyn Role, log_filter: LogFilter, at_start: Config) -> Self {
        Self {
            role,
            log_filter,
            current: at_start,
        }
    }

    /// Takes what was read, unless it is not valid or cannot be taken: then all stays as it is.
    pub(crate) fn take(&mut self, read: anyhow::Result<Config>, at_start: &Config) {
        let taken = read.and_then(|config| Ok((self.give(&config)?, config)));
        let (can_change, config) = match taken {
            Ok(taken) => taken,
            Err(error) => {
                tracing::error!(%error, "the configuration was read anew and is refused; all stays as it was");
                return;
            }
        };
        let (mut taken, mut restart) = (
            self.current.changed_keys(&config),
            at_start.changed_keys(&config),
        );
        taken.retain(|key| can_change.contains(&key.as_str()));
        restart.retain(|key| !can_change.contains(&key.as_str()));
        tracing::info!(?taken, "the configuration was read anew and taken");
        if !restart.is_empty() {
            tracing::warn!(keys = ?restart, "the configuration has changed where only a restart takes it");
        }
        self.current = config;
    }

    fn give(&self, config: &Config) -> anyhow::Result<Vec<&'static str>> {
        let mut keys = self.role.reload(config)?;
        self.log_filter.set(&config.log.filter)?; // it has been found well-formed when it was read
        keys.push("log.filter");
        Ok(keys)
    }
}
