//! What is sent: an event's type, its time and its data (Standard Webhooks, "Payload structure").

use jiff::Timestamp;
use serde::Serialize;
use tags::WorkspaceId;

use crate::alerts::Alert;
use crate::api::AlertAnswer;

#[derive(Serialize)]
struct Event<'a, T> {
    #[serde(rename = "type")]
    kind: String,
    timestamp: Timestamp,
    data: Data<'a, T>,
}

/// One receiver may be that of several workspaces.
#[derive(Serialize)]
struct Data<'a, T> {
    workspace: &'a str,
    #[serde(flatten)]
    what: T,
}

/// That an alert was raised: all that `GET /api/v1/alerts` says of it.
pub(crate) fn alert_event(alert: &Alert) -> Result<String, serde_json::Error> {
    serde_json::to_string(&Event {
        kind: format!("alert.{}", alert.cause.kind().as_str()),
        timestamp: alert.created_at,
        data: Data {
            workspace: alert.about.workspace.as_str(),
            what: AlertAnswer::from(alert.clone()),
        },
    })
}

/// An event that says nothing.
pub(crate) fn test_event(
    workspace: &WorkspaceId,
    now: Timestamp,
) -> Result<String, serde_json::Error> {
    #[derive(Serialize)]
    struct Nothing {}
    serde_json::to_string(&Event {
        kind: "webhook.test".to_owned(),
        timestamp: now,
        data: Data {
            workspace: workspace.as_str(),
            what: Nothing {},
        },
    })
}
