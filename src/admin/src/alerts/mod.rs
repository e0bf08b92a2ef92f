//! Alerts: what somebody should look at, as the admin has found it. They are found by `inspection` in where tags lead, and by
//! `watch` in how they are scanned; kept in `store`, and sent from `outbox`.

mod baseline;
mod judged;
mod outbox;
mod store;
mod unusual;
mod watch;

use std::collections::HashSet;
use std::str::FromStr;

use analytics::Hour;
use blocklist::Listed;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tags::{Code, Domain, WorkspaceId};

pub(crate) use self::outbox::{Delivery, Receiver};
pub use self::store::AlertsError;
pub(crate) use self::store::{AlertCursor, AlertFilter, AlertStore, Reported};
pub(crate) use self::watch::run;
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// It was scanned by far more people in an hour than it usually is.
    Rate {
        /// When the hour begins.
        hour: Timestamp,
        /// How many scans there were.
        observed: u64,
        /// How many there usually are.
        expected: f64,
    },
    /// It was scanned in an hour from a country from where it usually is not, or by far fewer.
    Country {
        /// ISO 3166-1 alpha-2.
        country: String,
        /// When the hour begins.
        hour: Timestamp,
        /// How many scans there were from there.
        observed: u64,
        /// How many there usually are.
        expected: f64,
    },
}

impl Alert {
    /// That scans of something are unusual.
    fn unusual(about: Subject, cause: Cause, now: Timestamp) -> Result<Self, getrandom::Error> {
        Ok(Self {
            id: random_id("al_")?,
            about,
            cause,
            created_at: now,
        })
    }

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
            Self::Rate { .. } => AlertKind::Rate,
            Self::Country { .. } => AlertKind::Country,
        }
    }

    /// What tells it from others of its kind: of the same subject, each is reported once.
    fn distinction(&self) -> String {
        match self {
            Self::Blocklist { host, .. } => host.clone(),
            // What lasts for hours is said once a day.
            Self::Rate { hour, .. } => judged::day_of(Hour::of(*hour)),
            Self::Country { hour, country, .. } => {
                format!("{} {country}", judged::day_of(Hour::of(*hour)))
            }
        }
    }
}

/// What an alert is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AlertKind {
    /// See [`Cause::Blocklist`].
    Blocklist,
    /// See [`Cause::Rate`].
    Rate,
    /// See [`Cause::Country`].
    Country,
}

impl AlertKind {
    /// Each, for a metric that shows them from the start.
    pub(crate) const ALL: [Self; 3] = [Self::Blocklist, Self::Rate, Self::Country];

    /// The word in the API and in metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Blocklist => "blocklist",
            Self::Rate => "rate",
            Self::Country => "country",
        }
    }
}

/// No kind of alert.
#[derive(Debug, thiserror::Error)]
#[error("'{0}' is no kind of alert: blocklist, rate and country are")]
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
