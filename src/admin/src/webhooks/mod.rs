//! Webhooks: alerts are sent to where their workspace wants them, signed as Standard Webhooks has it
//! (<https://github.com/standard-webhooks/standard-webhooks>, spec/standard-webhooks.md). What has to be sent lies in `alerts::outbox`;
//! `delivery` takes it from there, `call` is one attempt, `retries` says when the next one is, and `edits::webhooks` sets them.

mod call;
mod delivery;
mod event;
mod retries;
mod signature;

use std::sync::Arc;

use ipnet::IpNet;

pub(crate) use self::delivery::run;
pub(crate) use self::event::{alert_event, test_event};
pub(crate) use self::signature::{random_secret, secret_text};
use crate::index::IndexError;
use crate::proof::Resolver;
use crate::service::PublishOutcome;

/// Why it is not known whether a webhook is to be called.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LeadError {
    /// Where it is could not be read.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// Another admin has taken this one's place, or that cannot be found out.
    #[error(transparent)]
    Publish(#[from] PublishOutcome),
}

/// Where webhooks may lead, and who knows.
#[derive(Clone, Debug)]
pub struct WebhookOptions {
    /// Who is asked where a host is.
    pub resolver: Arc<dyn Resolver>,
    /// Networks that are not public and to which a webhook may lead all the same.
    pub networks: Vec<IpNet>,
}
