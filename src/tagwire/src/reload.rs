//! SIGHUP: the configuration is read anew, what can change in a running process is taken, what cannot is named.

use crate::config::Config;
use crate::roles::Role;

/// Gives a role what was read, unless it is not valid or cannot be taken: then all stays as it is.
pub(crate) fn reload(read: anyhow::Result<Config>, at_start: &Config, role: &dyn Role) {
    let taken = read.and_then(|config| Ok((role.reload(&config)?, config)));
    let (can_change, config) = match taken {
        Ok(taken) => taken,
        Err(error) => {
            tracing::error!(%error, "the configuration was read anew and is refused; all stays as it was");
            return;
        }
    };
    let (taken, restart): (Vec<_>, Vec<_>) = at_start
        .changed_keys(&config)
        .into_iter()
        .partition(|key| can_change.contains(&key.as_str()));
    tracing::info!(?taken, "the configuration was read anew");
    if !restart.is_empty() {
        tracing::warn!(keys = ?restart, "the configuration has changed where only a restart takes it");
    }
}
