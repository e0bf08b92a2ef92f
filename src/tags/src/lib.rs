//! What a tag is and what a request for it gets. Pure: no I/O, no clock, no randomness; what those give comes in as arguments.
//!
//! Read in this order: [`Tag`] and the names that it is made of, [`Destination`], [`Rules`], [`decide()`] with the [`Facts`] that it
//! asks for, and last [`Change`], the form in which all of it travels through the journal.

mod account;
mod agent;
mod audit;
mod change;
mod claim;
mod decide;
mod destination;
mod facts;
mod idempotency;
mod major_format;
mod names;
mod path;
mod permission;
mod query;
mod rules;
mod scheduled;
mod settings;
mod spelling;
mod tag;
mod upstream;
mod user;
mod webhook;
mod wire;

pub use account::{
    ApiKey, InvitationId, KeyId, OpenedBy, PreviousSecret, Role, SecretHash, UserId,
};
pub use agent::{Browser, Device, Os};
pub use audit::{Action, AuditEntry};
pub use change::{Change, Topic};
pub use claim::DomainClaim;
pub use decide::{Decision, Outcome, decide, judge_rules};
pub use destination::{Destination, DestinationError};
pub use facts::Facts;
pub use idempotency::{IdempotencyEntry, IdempotencySlot};
pub use major_format::major_format;
pub use names::{Code, Domain, InvalidName, WorkspaceId};
pub use path::{CODE_PREFIXES, code_in_path};
pub use permission::{Permission, Permissions};
pub use query::QueryMode;
pub use rules::{
    Condition, Country, Dates, Day, Hours, InvalidRuleValue, Judged, LanguageTag, Region, Rule,
    RuleError, RuleWarning, Rules, RulesView, ScanNumbers, Share, Target, Targets, TimeOfDay,
    Weight, When, Zone, parse_network,
};
pub use scheduled::Scheduled;
pub use settings::{DomainSettings, Hsts, Limits, TagDefaults, Workspace};
pub use spelling::UnknownValue;
pub use tag::{InvalidValue, MaxScans, RedirectStatus, Status, Tag, TagView, Version};
pub use upstream::{UpstreamError, UpstreamHost, UpstreamUrl, is_upstream_address};
pub use user::{Email, Invitation, PasswordHash, User};
pub use webhook::{PreviousWebhookSecret, Webhook, WebhookSecret, WebhookUrl, WebhookUrlError};
pub use wire::WireError;
