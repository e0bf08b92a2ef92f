//! Alerts: what somebody should look at, as the admin has found it. They are found by `inspection`, kept in `store`, and sent from `outbox`.

mod outbox;
mod store;

use std::collections::HashSet;
use std::str::FromStr;

use blocklist::Listed;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tags::{Code, Domain, WorkspaceId};

pub(crate) use self::outbox::{Delivery, Receiver};
pub use self::store::AlertsError;
pub(crate) use self::store::{AlertCursor, AlertFilter, AlertStore, Reported};
use crate::codes::random_id;
use crate::index::IndexError;
use crate::metrics::DeliveryOutcome;
use crate::service::Admin;
use crate::webhooks::alert_event;

/// Something that somebody should look at. It never changes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Alert {
    /// Which.
    pub(crate) id: String,
    /// Whose matter it is.
    pub(crate) about: Subject,
    /// What was found.
    pub(crate) cause: Cause,
    /// When.
    pub(crate) created_at: Timestamp,
}

/// A tag, a domain, or a workspace.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Subject {
    /// Whose it is.
    pub(crate) workspace: WorkspaceId,
    /// Of the tag, or the domain itself; none: the workspace.
    pub(crate) domain: Option<Domain>,
    /// Of the tag.
    pub(crate) code: Option<Code>,
}

/// What was found, and by what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Cause {
    /// It leads to a host that is on a blocklist by now.
    Blocklist {
        /// The host.
        host: String,
        /// The list's name.
        list: String,
        /// What the list has: the host, or a domain above it.
        entry: String,
    },
}

impl Alert {
    /// That something leads to a host on a list.
    pub(crate) fn listed(
        about: Subject,
        host: String,
        Listed { list, entry }: Listed,
        now: Timestamp,
    ) -> Result<Self, getrandom::Error> {
        Ok(Self {
            id: random_id("al_")?,
            about,
            cause: Cause::Blocklist { host, list, entry },
            created_at: now,
        })
    }
}

impl Cause {
    pub(crate) fn kind(&self) -> AlertKind {
        match self {
            Self::Blocklist { .. } => AlertKind::Blocklist,
        }
    }

    /// What tells it from others of its kind: of the same subject, each is reported once.
    fn distinction(&self) -> &str {
        match self {
            Self::Blocklist { host, .. } => host,
        }
    }
}

/// What an alert is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AlertKind {
    /// See [`Cause::Blocklist`].
    Blocklist,
}

impl AlertKind {
    /// Each, for a metric that shows them from the start.
    pub(crate) const ALL: [Self; 1] = [Self::Blocklist];

    /// The word in the API and in metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Blocklist => "blocklist",
        }
    }
}

/// No kind of alert.
#[derive(Debug, thiserror::Error)]
#[error("'{0}' is no kind of alert: blocklist is")]
pub(crate) struct UnknownKind(String);

impl FromStr for AlertKind {
    type Err = UnknownKind;
    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| UnknownKind(text.to_owned()))
    }
}

/// Why alerts could not be raised.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RaiseError {
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(transparent)]
    Alerts(#[from] AlertsError),
}

impl Admin {
    /// Keeps those that have not been reported before, has them sent where their workspaces want them, and says how many they are. Waits for
    /// the disk.
    pub(crate) fn raise(&self, alerts: Vec<Alert>) -> Result<usize, RaiseError> {
        let mut called = HashSet::new();
        let workspaces: HashSet<_> = alerts.iter().map(|alert| &alert.about.workspace).collect();
        for workspace in workspaces {
            let webhook = self.index().installation().webhook(workspace)?;
            if webhook.is_some_and(|webhook| webhook.disabled_at.is_none()) {
                called.insert(workspace.clone());
            }
        }
        let event_of = |alert: &Alert| {
            let is_called = called.contains(&alert.about.workspace);
            is_called.then(|| alert_event(alert)).transpose()
        };
        let Reported { new, unsent } = self.alerts().report(alerts, event_of)?;
        for alert in &new {
            self.metrics().alerted(alert.cause.kind());
        }
        self.metrics().delivery(DeliveryOutcome::Dropped, unsent);
        Ok(new.len())
    }
}
