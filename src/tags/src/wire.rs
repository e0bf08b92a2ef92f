//! The journal's records in protobuf, as `proto/tags.proto` lays them down, and the way to and from the checked types.

mod accounts;
mod idempotency;
mod rules;
mod scheduled;
mod webhook;

use jiff::Timestamp;
use prost::Message;

use self::accounts::{ClaimRecord, InvitationRecord, KeyRecord, UserRecord};
use self::rules::RuleRecord;
use crate::spelling::UnknownValue;
use crate::{
    Action, AuditEntry, Change, Code, Destination, DestinationError, Domain, DomainSettings, Hsts,
    InvalidName, InvalidRuleValue, InvalidValue, Limits, MaxScans, QueryMode, RedirectStatus,
    Status, Tag, TagDefaults, Topic, UpstreamError, UpstreamHost, UpstreamUrl, Version,
    WebhookUrlError, Workspace, WorkspaceId, major_format,
};
use idempotency::IdempotencyRecord;
use scheduled::ScheduledRecord;
use webhook::WebhookRecord;

/// The major format that this build writes.
const MAJOR: u32 = 1;
/// The one in which it writes tags with rules: a build that does not know them would send everybody to the tag's own destination.
const MAJOR_WITH_RULES: u32 = 2;
/// The one in which it writes tags with a limit of scans: a build that does not know it would go on for ever.
const MAJOR_WITH_LIMIT: u32 = 3;

/// Why a record of the journal was refused.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// Not protobuf, or other types in it.
    #[error("the record is not a valid protobuf message: {0}")]
    Malformed(#[from] prost::DecodeError),
    /// From the future.
    #[error("the record has major format {found}, this build reads up to {newest}: upgrade it")]
    Major {
        /// The record's.
        found: u32,
        /// The newest that this build reads of its kind.
        newest: u32,
    },
    /// A field's content is not allowed.
    #[error("field {field}: {reason}")]
    Field {
        /// Its name in the `.proto` file.
        field: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The record is not of this topic.
    #[error("key '{0}' belongs to no kind of record of its topic")]
    Kind(String),
    /// The record was published under another's key.
    #[error("the record belongs under key '{expected}'")]
    Key {
        /// What its content says.
        expected: String,
    },
}

pub(crate) fn encode(change: &Change) -> Vec<u8> {
    match change {
        Change::Tag(tag) => TagRecord::from(tag).encode_to_vec(),
        Change::Workspace(workspace) => WorkspaceRecord::from(workspace).encode_to_vec(),
        Change::Domain(domain) => DomainRecord::from(domain).encode_to_vec(),
        Change::Key(key) => KeyRecord::from(key).encode_to_vec(),
        Change::Claim(claim) => ClaimRecord::from(claim).encode_to_vec(),
        Change::User(user) => UserRecord::from(user).encode_to_vec(),
        Change::Invitation(invitation) => InvitationRecord::from(invitation).encode_to_vec(),
        Change::Webhook(webhook) => WebhookRecord::from(webhook).encode_to_vec(),
        Change::Idempotency(entry) => IdempotencyRecord::from(entry).encode_to_vec(),
        Change::Audit(entry) => AuditRecord::from(entry).encode_to_vec(),
    }
}

pub(crate) fn decode(topic: Topic, key: &str, value: &[u8]) -> Result<Change, WireError> {
    match (topic, key.split_once('/').map(|(kind, _)| kind)) {
        (Topic::Tags, _) => Ok(Change::Tag(read::<TagRecord, _>(value)?)),
        (Topic::Settings, Some("workspace")) => {
            Ok(Change::Workspace(read::<WorkspaceRecord, _>(value)?))
        }
        (Topic::Settings, Some("domain")) => Ok(Change::Domain(read::<DomainRecord, _>(value)?)),
        (Topic::Accounts, Some("key")) => Ok(Change::Key(read::<KeyRecord, _>(value)?)),
        (Topic::Accounts, Some("claim")) => Ok(Change::Claim(read::<ClaimRecord, _>(value)?)),
        (Topic::Accounts, Some("user")) => Ok(Change::User(read::<UserRecord, _>(value)?)),
        (Topic::Accounts, Some("invitation")) => {
            Ok(Change::Invitation(read::<InvitationRecord, _>(value)?))
        }
        (Topic::Accounts, Some("webhook")) => Ok(Change::Webhook(read::<WebhookRecord, _>(value)?)),
        (Topic::Accounts, Some("idempotency")) => {
            Ok(Change::Idempotency(read::<IdempotencyRecord, _>(value)?))
        }
        (Topic::Audit, _) => Ok(Change::Audit(read::<AuditRecord, _>(value)?)),
        _ => Err(WireError::Kind(key.to_owned())),
    }
}

fn read<R, T>(value: &[u8]) -> Result<T, WireError>
where
    R: Versioned,
    T: TryFrom<R, Error = WireError>,
{
    match R::decode(value) {
        Ok(record) if R::reads(record.major()) => T::try_from(record),
        // The major is judged first: the rest of a newer record need not even be well-formed for an older reader.
        decoded => {
            let found = major_format(value)?;
            if !R::reads(found) {
                let newest = R::NEWEST;
                return Err(WireError::Major { found, newest });
            }
            T::try_from(decoded?)
        }
    }
}

/// A record that says in which major format it is.
trait Versioned: Message + Default {
    /// The newest that this build reads.
    const NEWEST: u32;

    fn major(&self) -> u32;

    fn reads(major: u32) -> bool {
        (1..=Self::NEWEST).contains(&major)
    }
}

macro_rules! versioned {
    ($($record:ty: $newest:expr),*) => {
        $(impl Versioned for $record {
            const NEWEST: u32 = $newest;

            fn major(&self) -> u32 {
                self.major
            }
        })*
    };
}

versioned!(
    TagRecord: MAJOR_WITH_LIMIT,
    WorkspaceRecord: MAJOR,
    DomainRecord: MAJOR,
    KeyRecord: MAJOR,
    ClaimRecord: MAJOR,
    UserRecord: MAJOR,
    InvitationRecord: MAJOR,
    WebhookRecord: MAJOR,
    AuditRecord: MAJOR_WITH_LIMIT
);

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
enum StatusRecord {
    Unspecified = 0,
    Active = 1,
    Paused = 2,
    Revoked = 3,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
enum QueryModeRecord {
    Unspecified = 0,
    Drop = 1,
    Append = 2,
    Override = 3,
}

impl From<QueryMode> for QueryModeRecord {
    fn from(mode: QueryMode) -> Self {
        match mode {
            QueryMode::Drop => Self::Drop,
            QueryMode::Append => Self::Append,
            QueryMode::Override => Self::Override,
        }
    }
}

fn query_mode(record: QueryModeRecord) -> Option<QueryMode> {
    match record {
        QueryModeRecord::Unspecified => None,
        QueryModeRecord::Drop => Some(QueryMode::Drop),
        QueryModeRecord::Append => Some(QueryMode::Append),
        QueryModeRecord::Override => Some(QueryMode::Override),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
enum UpstreamHostRecord {
    Unspecified = 0,
    Visitor = 1,
    Upstream = 2,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
enum ActionRecord {
    Unspecified = 0,
    Create = 1,
    Update = 2,
    Rollback = 3,
    Revoke = 4,
    Rotate = 5,
    Erase = 6,
}

#[derive(Clone, PartialEq, Message)]
struct TagRecord {
    #[prost(uint32, tag = "1")]
    major: u32,
    #[prost(string, tag = "2")]
    workspace: String,
    #[prost(string, tag = "3")]
    domain: String,
    #[prost(string, tag = "4")]
    code: String,
    #[prost(uint64, tag = "5")]
    version: u64,
    #[prost(enumeration = "StatusRecord", tag = "6")]
    status: i32,
    #[prost(string, tag = "7")]
    destination: String,
    #[prost(uint32, tag = "8")]
    redirect_status: u32,
    #[prost(uint32, optional, tag = "9")]
    cache_max_age: Option<u32>,
    #[prost(int64, optional, tag = "10")]
    starts_at: Option<i64>,
    #[prost(int64, optional, tag = "11")]
    expires_at: Option<i64>,
    #[prost(string, tag = "12")]
    fallback_url: String,
    #[prost(enumeration = "QueryModeRecord", tag = "13")]
    query: i32,
    #[prost(string, tag = "14")]
    campaign: String,
    #[prost(string, tag = "15")]
    name: String,
    #[prost(string, repeated, tag = "16")]
    labels: Vec<String>,
    #[prost(int64, tag = "17")]
    created_at: i64,
    #[prost(int64, tag = "18")]
    updated_at: i64,
    #[prost(string, tag = "19")]
    updated_by: String,
    #[prost(message, repeated, tag = "20")]
    rules: Vec<RuleRecord>,
    #[prost(uint64, optional, tag = "21")]
    max_scans: Option<u64>,
    #[prost(message, optional, boxed, tag = "30")]
    scheduled: Option<Box<ScheduledRecord>>,
}

#[derive(Clone, PartialEq, Message)]
struct WorkspaceRecord {
    #[prost(uint32, tag = "1")]
    major: u32,
    #[prost(string, tag = "2")]
    id: String,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(string, tag = "4")]
    fallback_url: String,
    #[prost(int64, tag = "5")]
    created_at: i64,
    #[prost(uint32, tag = "6")]
    default_redirect_status: u32,
    #[prost(enumeration = "QueryModeRecord", tag = "7")]
    default_query: i32,
    #[prost(uint32, optional, tag = "8")]
    max_tags: Option<u32>,
    #[prost(uint32, optional, tag = "9")]
    max_keys: Option<u32>,
    #[prost(uint32, optional, tag = "10")]
    api_requests_per_second: Option<u32>,
    #[prost(uint32, optional, tag = "11")]
    redirects_per_second: Option<u32>,
    #[prost(uint32, optional, tag = "12")]
    retention_days: Option<u32>,
}

#[derive(Clone, PartialEq, Message)]
struct DomainRecord {
    #[prost(uint32, tag = "1")]
    major: u32,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(string, tag = "3")]
    workspace: String,
    #[prost(bool, tag = "4")]
    is_default: bool,
    #[prost(string, tag = "5")]
    home_url: String,
    #[prost(string, tag = "6")]
    fallback_url: String,
    #[prost(bool, tag = "7")]
    case_insensitive: bool,
    #[prost(int64, tag = "8")]
    created_at: i64,
    #[prost(string, tag = "14")]
    upstream_url: String,
    #[prost(enumeration = "UpstreamHostRecord", tag = "15")]
    upstream_host: i32,
    #[prost(bool, tag = "9")]
    https_redirect: bool,
    #[prost(uint32, optional, tag = "10")]
    hsts_max_age: Option<u32>,
    #[prost(bool, tag = "11")]
    hsts_include_subdomains: bool,
}

#[derive(Clone, PartialEq, Message)]
struct AuditRecord {
    #[prost(uint32, tag = "1")]
    major: u32,
    #[prost(string, tag = "2")]
    workspace: String,
    #[prost(int64, tag = "3")]
    at: i64,
    #[prost(string, tag = "4")]
    actor: String,
    #[prost(string, tag = "5")]
    remote: String,
    #[prost(enumeration = "ActionRecord", tag = "6")]
    action: i32,
    #[prost(string, tag = "7")]
    subject: String,
    #[prost(message, optional, tag = "8")]
    before: Option<TagRecord>,
    #[prost(message, optional, tag = "9")]
    after: Option<TagRecord>,
    #[prost(string, tag = "10")]
    fields_before: String,
    #[prost(string, tag = "11")]
    fields_after: String,
}

/// The major format of a tag, which is as new as what it has or will have asks for.
fn major_of(tag: &Tag) -> u32 {
    let scheduled = tag.scheduled.as_deref();
    let later = scheduled.map_or(MAJOR, |scheduled| major_of(&scheduled.tag));
    let now = match (tag.max_scans, tag.rules.is_empty()) {
        (Some(_), _) => MAJOR_WITH_LIMIT,
        (None, false) => MAJOR_WITH_RULES,
        (None, true) => MAJOR,
    };
    now.max(later)
}

impl From<&Tag> for TagRecord {
    fn from(tag: &Tag) -> Self {
        Self {
            major: major_of(tag),
            workspace: tag.workspace.to_string(),
            domain: tag.domain.to_string(),
            code: tag.code.to_string(),
            version: tag.version.get(),
            status: match tag.status {
                Status::Active => StatusRecord::Active,
                Status::Paused => StatusRecord::Paused,
                Status::Revoked => StatusRecord::Revoked,
            }
            .into(),
            destination: tag.destination.to_string(),
            redirect_status: tag.redirect_status.code().into(),
            cache_max_age: tag.cache_max_age,
            starts_at: tag.starts_at.map(Timestamp::as_microsecond),
            expires_at: tag.expires_at.map(Timestamp::as_microsecond),
            fallback_url: text(tag.fallback_url.as_ref()),
            query: QueryModeRecord::from(tag.query).into(),
            campaign: tag.campaign.clone(),
            name: tag.name.clone(),
            labels: tag.labels.clone(),
            created_at: tag.created_at.as_microsecond(),
            updated_at: tag.updated_at.as_microsecond(),
            updated_by: tag.updated_by.clone(),
            rules: rules::records(&tag.rules),
            max_scans: tag.max_scans.map(MaxScans::get),
            scheduled: tag.scheduled.as_deref().map(scheduled::record),
        }
    }
}

impl TryFrom<TagRecord> for Tag {
    type Error = WireError;
    fn try_from(mut record: TagRecord) -> Result<Self, WireError> {
        let scheduled = record.scheduled.take();
        let tag = Self {
            status: match record.status() {
                StatusRecord::Active => Status::Active,
                StatusRecord::Paused => Status::Paused,
                StatusRecord::Revoked => Status::Revoked,
                StatusRecord::Unspecified => return Err(unspecified("status")),
            },
            query: query_mode(record.query()).ok_or_else(|| unspecified("query"))?,
            workspace: field("workspace", WorkspaceId::keep(record.workspace))?,
            domain: field("domain", Domain::keep(record.domain))?,
            code: field("code", Code::keep(record.code))?,
            version: Version::new(record.version).ok_or_else(|| unspecified("version"))?,
            destination: field("destination", Destination::keep(record.destination))?,
            redirect_status: field(
                "redirect_status",
                RedirectStatus::try_from(record.redirect_status),
            )?,
            cache_max_age: record.cache_max_age,
            starts_at: record.starts_at.map(|t| time("starts_at", t)).transpose()?,
            expires_at: record
                .expires_at
                .map(|t| time("expires_at", t))
                .transpose()?,
            fallback_url: url("fallback_url", record.fallback_url)?,
            campaign: record.campaign,
            name: record.name,
            labels: record.labels,
            created_at: time("created_at", record.created_at)?,
            updated_at: time("updated_at", record.updated_at)?,
            updated_by: record.updated_by,
            rules: rules::rules(record.rules)?,
            max_scans: record
                .max_scans
                .map(|scans| field("max_scans", MaxScans::new(scans)))
                .transpose()?,
            scheduled: None,
        };
        match scheduled {
            None => Ok(tag),
            Some(record) => {
                let scheduled = Some(Box::new(scheduled::read(*record, &tag)?));
                Ok(Self { scheduled, ..tag })
            }
        }
    }
}

impl From<&Workspace> for WorkspaceRecord {
    fn from(workspace: &Workspace) -> Self {
        Self {
            major: MAJOR,
            id: workspace.id.to_string(),
            name: workspace.name.clone(),
            fallback_url: text(workspace.fallback_url.as_ref()),
            created_at: workspace.created_at.as_microsecond(),
            default_redirect_status: workspace
                .defaults
                .redirect_status
                .map_or(0, |status| status.code().into()),
            default_query: match workspace.defaults.query {
                None => QueryModeRecord::Unspecified,
                Some(mode) => mode.into(),
            }
            .into(),
            max_tags: workspace.limits.max_tags,
            max_keys: workspace.limits.max_keys,
            api_requests_per_second: workspace.limits.api_requests_per_second,
            redirects_per_second: workspace.limits.redirects_per_second,
            retention_days: workspace.retention_days,
        }
    }
}

impl TryFrom<WorkspaceRecord> for Workspace {
    type Error = WireError;
    fn try_from(record: WorkspaceRecord) -> Result<Self, WireError> {
        let redirect_status = match record.default_redirect_status {
            0 => None,
            code => Some(field(
                "default_redirect_status",
                RedirectStatus::try_from(code),
            )?),
        };
        Ok(Self {
            defaults: TagDefaults {
                redirect_status,
                query: query_mode(record.default_query()),
            },
            limits: Limits {
                max_tags: record.max_tags,
                max_keys: record.max_keys,
                api_requests_per_second: record.api_requests_per_second,
                redirects_per_second: record.redirects_per_second,
            },
            retention_days: record.retention_days,
            id: field("id", WorkspaceId::parse(&record.id))?,
            name: record.name,
            fallback_url: url("fallback_url", record.fallback_url)?,
            created_at: time("created_at", record.created_at)?,
        })
    }
}

impl From<&DomainSettings> for DomainRecord {
    fn from(domain: &DomainSettings) -> Self {
        Self {
            major: MAJOR,
            name: domain.name.to_string(),
            workspace: text(domain.workspace.as_ref()),
            is_default: domain.is_default,
            home_url: text(domain.home_url.as_ref()),
            fallback_url: text(domain.fallback_url.as_ref()),
            case_insensitive: domain.case_insensitive,
            created_at: domain.created_at.as_microsecond(),
            upstream_url: text(domain.upstream_url.as_ref()),
            upstream_host: match domain.upstream_host {
                UpstreamHost::Visitor => UpstreamHostRecord::Visitor,
                UpstreamHost::Upstream => UpstreamHostRecord::Upstream,
            }
            .into(),
            https_redirect: domain.https_redirect,
            hsts_max_age: domain.hsts.map(|hsts| hsts.max_age),
            hsts_include_subdomains: domain.hsts.is_some_and(|hsts| hsts.include_subdomains),
        }
    }
}

impl TryFrom<DomainRecord> for DomainSettings {
    type Error = WireError;
    fn try_from(record: DomainRecord) -> Result<Self, WireError> {
        let workspace = match record.workspace.as_str() {
            "" => None,
            id => Some(field("workspace", WorkspaceId::parse(id))?),
        };
        let upstream_url = match record.upstream_url.as_str() {
            "" => None,
            url => Some(field("upstream_url", UpstreamUrl::from_stored(url))?),
        };
        Ok(Self {
            upstream_url,
            upstream_host: match record.upstream_host() {
                UpstreamHostRecord::Visitor | UpstreamHostRecord::Unspecified => {
                    UpstreamHost::Visitor
                }
                UpstreamHostRecord::Upstream => UpstreamHost::Upstream,
            },
            name: field("name", Domain::parse(&record.name))?,
            workspace,
            is_default: record.is_default,
            home_url: url("home_url", record.home_url)?,
            fallback_url: url("fallback_url", record.fallback_url)?,
            case_insensitive: record.case_insensitive,
            https_redirect: record.https_redirect,
            hsts: record.hsts_max_age.map(|max_age| Hsts {
                max_age,
                include_subdomains: record.hsts_include_subdomains,
            }),
            created_at: time("created_at", record.created_at)?,
        })
    }
}

impl From<&AuditEntry> for AuditRecord {
    fn from(entry: &AuditEntry) -> Self {
        let tags = entry.before.iter().chain(&entry.after);
        Self {
            major: tags.map(major_of).max().unwrap_or(MAJOR),
            workspace: entry.workspace.to_string(),
            at: entry.at.as_microsecond(),
            actor: entry.actor.clone(),
            remote: entry.remote.clone(),
            action: match entry.action {
                Action::Create => ActionRecord::Create,
                Action::Update => ActionRecord::Update,
                Action::Rollback => ActionRecord::Rollback,
                Action::Rotate => ActionRecord::Rotate,
                Action::Revoke => ActionRecord::Revoke,
                Action::Erase => ActionRecord::Erase,
            }
            .into(),
            subject: entry.subject.clone(),
            before: entry.before.as_ref().map(TagRecord::from),
            after: entry.after.as_ref().map(TagRecord::from),
            fields_before: entry.fields_before.clone().unwrap_or_default(),
            fields_after: entry.fields_after.clone().unwrap_or_default(),
        }
    }
}

impl TryFrom<AuditRecord> for AuditEntry {
    type Error = WireError;
    fn try_from(record: AuditRecord) -> Result<Self, WireError> {
        Ok(Self {
            action: match record.action() {
                ActionRecord::Create => Action::Create,
                ActionRecord::Update => Action::Update,
                ActionRecord::Rollback => Action::Rollback,
                ActionRecord::Rotate => Action::Rotate,
                ActionRecord::Revoke => Action::Revoke,
                ActionRecord::Erase => Action::Erase,
                ActionRecord::Unspecified => return Err(unspecified("action")),
            },
            workspace: field("workspace", WorkspaceId::parse(&record.workspace))?,
            at: time("at", record.at)?,
            actor: record.actor,
            remote: record.remote,
            subject: record.subject,
            before: record.before.map(Tag::try_from).transpose()?,
            after: record.after.map(Tag::try_from).transpose()?,
            fields_before: Some(record.fields_before).filter(|fields| !fields.is_empty()),
            fields_after: Some(record.fields_after).filter(|fields| !fields.is_empty()),
        })
    }
}

/// The kinds of refusal that a field can meet.
trait Reason: std::fmt::Display {}
impl Reason for InvalidName {}
impl Reason for InvalidValue {}
impl Reason for DestinationError {}
impl Reason for UpstreamError {}
impl Reason for WebhookUrlError {}
impl Reason for UnknownValue {}
impl Reason for InvalidRuleValue {}

fn field<T, E: Reason>(field: &'static str, result: Result<T, E>) -> Result<T, WireError> {
    result.map_err(|reason| WireError::Field {
        field,
        reason: reason.to_string(),
    })
}

fn unspecified(field: &'static str) -> WireError {
    WireError::Field {
        field,
        reason: "is not set".into(),
    }
}

fn time(field: &'static str, microseconds: i64) -> Result<Timestamp, WireError> {
    Timestamp::from_microsecond(microseconds).map_err(|_| WireError::Field {
        field,
        reason: format!("{microseconds} µs is outside the years -9999 to 9999"),
    })
}

fn url(name: &'static str, text: String) -> Result<Option<Destination>, WireError> {
    if text.is_empty() {
        Ok(None)
    } else {
        field(name, Destination::keep(text)).map(Some)
    }
}

fn text(value: Option<&impl ToString>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}
