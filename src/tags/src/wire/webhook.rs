//! The record of a workspace's webhook.

use jiff::Timestamp;
use prost::Message;

use super::accounts::optional_time;
use super::{MAJOR, WireError, field, time};
use crate::{PreviousWebhookSecret, Webhook, WebhookSecret, WebhookUrl, WorkspaceId};

#[derive(Clone, PartialEq, Message)]
pub(super) struct WebhookRecord {
    #[prost(uint32, tag = "1")]
    pub(super) major: u32,
    #[prost(string, tag = "2")]
    workspace: String,
    #[prost(string, tag = "3")]
    url: String,
    #[prost(bytes = "vec", tag = "4")]
    secret: Vec<u8>,
    #[prost(bytes = "vec", tag = "5")]
    previous_secret: Vec<u8>,
    #[prost(int64, tag = "6")]
    previous_expires_at: i64,
    #[prost(int64, tag = "7")]
    created_at: i64,
    #[prost(int64, optional, tag = "8")]
    disabled_at: Option<i64>,
    #[prost(int64, optional, tag = "9")]
    ended_at: Option<i64>,
}

impl From<&Webhook> for WebhookRecord {
    fn from(webhook: &Webhook) -> Self {
        let previous = webhook.previous.as_ref();
        Self {
            major: MAJOR,
            workspace: webhook.workspace.to_string(),
            url: webhook.url.to_string(),
            secret: webhook.secret.0.to_vec(),
            previous_secret: previous.map(|it| it.secret.0.to_vec()).unwrap_or_default(),
            previous_expires_at: previous.map_or(0, |it| it.expires_at.as_microsecond()),
            created_at: webhook.created_at.as_microsecond(),
            disabled_at: webhook.disabled_at.map(Timestamp::as_microsecond),
            ended_at: webhook.ended_at.map(Timestamp::as_microsecond),
        }
    }
}

impl TryFrom<WebhookRecord> for Webhook {
    type Error = WireError;
    fn try_from(record: WebhookRecord) -> Result<Self, WireError> {
        let previous = match record.previous_secret.as_slice() {
            [] => None,
            bytes => Some(PreviousWebhookSecret {
                secret: secret("previous_secret", bytes)?,
                expires_at: time("previous_expires_at", record.previous_expires_at)?,
            }),
        };
        Ok(Self {
            workspace: field("workspace", WorkspaceId::parse(&record.workspace))?,
            url: field("url", WebhookUrl::from_stored(&record.url))?,
            secret: secret("secret", &record.secret)?,
            previous,
            created_at: time("created_at", record.created_at)?,
            disabled_at: optional_time("disabled_at", record.disabled_at)?,
            ended_at: optional_time("ended_at", record.ended_at)?,
        })
    }
}

/// Of a wrong length, nothing of it is told.
fn secret(name: &'static str, bytes: &[u8]) -> Result<WebhookSecret, WireError> {
    let secret = <[u8; 32]>::try_from(bytes).map_err(|_| WireError::Field {
        field: name,
        reason: "not 32 bytes".into(),
    })?;
    Ok(WebhookSecret(secret))
}
