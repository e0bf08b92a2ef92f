//! The admin: the HTTP API, and the only writer of the journal.
//!
//! The path of an edit, in reading order: `api::tags` takes the request, [`edits`](crate::Admin) validates it and publishes it through the
//! journal, `follow` applies it to the [`Index`], and only then the request is answered.

mod alerts;
mod api;
mod audited;
mod auth;
mod body;
mod bulk;
mod codes;
mod destinations;
mod difference;
mod draft;
mod edits;
mod fields;
mod first_start;
mod fleet;
mod follow;
#[doc(hidden)]
pub mod fuzzing;
mod idempotency;
mod index;
mod inspection;
mod live_scans;
mod metrics;
mod passwords;
mod places;
mod problem;
mod proof;
mod public_url;
mod rate_limits;
mod retention;
mod rules;
mod salts;
mod schedules;
mod service;
mod sessions;
mod strict_json;
mod texts;
mod webhooks;

pub use alerts::AlertsError;
pub use api::{Timeouts, openapi, serve, serve_within};
pub use first_start::FirstStartError;
pub use index::{Index, IndexError};
pub use inspection::BlocklistAction;
pub use proof::{DomainProof, Resolver, SystemResolver};
pub use public_url::{PublicUrl, PublicUrlError};
pub use service::{Admin, AdminOptions, StartError, Visible};
pub use webhooks::WebhookOptions;
