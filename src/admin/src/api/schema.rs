//! The shapes of requests and answers, as the OpenAPI document shows them.
//!
//! Requests are read field by field (see `fields`), so that all that is wrong with one is reported at once; their types here are documentation,
//! and a test holds the two together.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use tags::{DomainSettings, MaxScans, QueryMode, RedirectStatus, Scheduled, Tag, Workspace};
use utoipa::ToSchema;

use super::domains::ChallengeAnswer;
use super::keys::KeyWithSecret;
use super::wait::PropagationAnswer;
use crate::edits::NewWorkspace;
use crate::rules::{RuleJson, WarningJson};
use crate::service::Admin;

/// A tag: one printed code and where it leads.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Tag)]
pub(crate) struct TagAnswer {
    /// Whose it is.
    workspace: String,
    /// The host of its short URL.
    domain: String,
    /// The path of its short URL.
    code: String,
    /// What is printed.
    short_url: String,
    /// How often it has changed; the first is 1.
    version: u64,
    /// `active`, `paused` or `revoked`.
    status: &'static str,
    /// Where it leads, unless a rule says otherwise.
    destination: String,
    /// Where it leads for whom.
    rules: Vec<RuleJson>,
    /// The status code of its redirect.
    redirect_status: u16,
    /// For how many seconds clients may keep a 301 or 308; null with others.
    cache_max_age: Option<u32>,
    /// It redirects from this moment on.
    #[schema(value_type = Option<String>, format = DateTime)]
    starts_at: Option<Timestamp>,
    /// It redirects until this moment.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// It redirects so many times: GET requests of people, at all edges together.
    max_scans: Option<u64>,
    /// Where it leads while it does not redirect.
    fallback_url: Option<String>,
    /// What becomes of the visitor's query: `drop`, `append` or `override`.
    query: &'static str,
    /// A name to count by.
    campaign: Option<String>,
    /// A name for people.
    name: Option<String>,
    /// Words to filter by.
    labels: Vec<String>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When this version was made.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    /// The key that made this version.
    updated_by: String,
    /// Where its symbol is.
    qr: QrLinks,
    /// What is allowed in it, and hardly meant; in answers about one tag as it is now, not in lists and versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    warnings: Option<Vec<WarningJson>>,
    /// What becomes of it by itself.
    scheduled: Option<ScheduledAnswer>,
}

/// A change that takes place by itself, at every edge at once.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Scheduled)]
pub(crate) struct ScheduledAnswer {
    /// From this moment on.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// The fields that change then, as PATCH takes them; applied anew when the tag changes before.
    #[schema(value_type = Object)]
    set: Value,
    /// The key that has scheduled it.
    by: String,
}

impl From<&Scheduled> for ScheduledAnswer {
    fn from(scheduled: &Scheduled) -> Self {
        Self {
            at: scheduled.at,
            // It was JSON when it was taken.
            set: serde_json::from_str(&scheduled.set).unwrap_or_default(),
            by: scheduled.by.clone(),
        }
    }
}

/// What is to become of a tag.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents what `Admin::schedule_tag` reads")]
pub(crate) struct NewSchedule {
    /// When, in the future.
    #[schema(format = DateTime)]
    at: String,
    /// The fields that change then, as PATCH takes them.
    set: TagPatch,
}

/// A tag that was made or changed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EditedTag {
    #[serde(flatten)]
    pub(crate) tag: TagAnswer,
    /// What became of the edit on the edges; with `wait`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) propagation: Option<PropagationAnswer>,
}

/// A tag that was revoked, with `wait`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Revoked {
    /// What became of the edit on the edges.
    pub(crate) propagation: PropagationAnswer,
}

/// Where a tag's symbol is, as paths of this API.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct QrLinks {
    /// For print.
    svg: String,
    /// For screens.
    png: String,
}

impl TagAnswer {
    pub(crate) fn new(admin: &Admin, tag: &Tag) -> Self {
        let public = &admin.options().public_url;
        let (domain, code) = (&tag.domain, &tag.code);
        let symbol = |format: &str| format!("/api/v1/tags/{code}/qr.{format}?domain={domain}");
        Self {
            workspace: tag.workspace.to_string(),
            domain: domain.to_string(),
            code: code.to_string(),
            short_url: public.short_url(domain, code.as_str()),
            version: tag.version.get(),
            status: tag.status.as_str(),
            destination: tag.destination.to_string(),
            rules: RuleJson::of(tag),
            redirect_status: tag.redirect_status.code(),
            cache_max_age: tag
                .redirect_status
                .is_permanent()
                .then(|| tag.cache_max_age.unwrap_or(Tag::DEFAULT_CACHE_MAX_AGE)),
            starts_at: tag.starts_at,
            expires_at: tag.expires_at,
            max_scans: tag.max_scans.map(MaxScans::get),
            fallback_url: tag.fallback_url.as_ref().map(ToString::to_string),
            query: tag.query.as_str(),
            campaign: non_empty(&tag.campaign),
            name: non_empty(&tag.name),
            labels: tag.labels.clone(),
            created_at: tag.created_at,
            updated_at: tag.updated_at,
            updated_by: tag.updated_by.clone(),
            qr: QrLinks {
                svg: symbol("svg"),
                png: symbol("png"),
            },
            warnings: None,
            scheduled: tag.scheduled.as_deref().map(ScheduledAnswer::from),
        }
    }

    /// With its warnings. They compare every rule with those before it, which is too much work for each of a list.
    pub(crate) fn with_warnings(admin: &Admin, tag: &Tag) -> Self {
        Self {
            warnings: Some(WarningJson::of(tag, admin.now())),
            ..Self::new(admin, tag)
        }
    }
}

fn non_empty(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// What a request may set of a tag that is made.
#[derive(serde::Deserialize, ToSchema)]
#[expect(dead_code, reason = "documents what `Draft::read` reads")]
pub(crate) struct NewTag {
    /// The path of the short URL: 1 to 64 of `A-Z a-z 0-9 - _`. Without one, a random code is made.
    #[schema(pattern = "^[A-Za-z0-9_-]{1,64}$")]
    code: Option<String>,
    /// One of the workspace's domains; without one, its own oldest, else the default.
    domain: Option<String>,
    #[serde(flatten)]
    fields: TagPatch,
}

/// What a request may change of a tag. Null puts the default back.
#[derive(serde::Deserialize, ToSchema)]
#[expect(dead_code, reason = "documents what `Draft::read` reads")]
pub(crate) struct TagPatch {
    /// Where it leads: an `http`, `https`, `tel`, `mailto` or `sms` URL of at most 2,048 bytes. Required when a tag is made.
    #[schema(example = "https://example.com/summer")]
    destination: Option<String>,
    /// Where it leads for whom: at most 32, tried in order. A list replaces the one before, whole. Not with 301 and 308.
    #[schema(max_items = 32)]
    #[schema(value_type = Option<Vec<RuleJson>>)]
    rules: Option<Vec<serde_json::Value>>,
    /// 301, 302 (the default), 303, 307 or 308.
    redirect_status: Option<u16>,
    /// Seconds; with 301 and 308 alone. The default is 3600.
    #[schema(maximum = 31536000)]
    cache_max_age: Option<u32>,
    /// Not with 301 and 308.
    #[schema(format = DateTime)]
    starts_at: Option<String>,
    /// Not with 301 and 308; in the future when a tag is made.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    /// After so many redirects of people's GET requests it has ended. What was counted before an edit counts on. Not with 301 and 308.
    #[schema(minimum = 1, maximum = 9007199254740991_i64)]
    max_scans: Option<u64>,
    /// As `destination`.
    fallback_url: Option<String>,
    /// `drop`, `append` (the default) or `override`.
    query: Option<String>,
    /// At most 200 characters.
    #[schema(max_length = 200)]
    campaign: Option<String>,
    /// At most 200 characters.
    #[schema(max_length = 200)]
    name: Option<String>,
    /// At most 32 of at most 64 characters.
    #[schema(max_items = 32)]
    labels: Option<Vec<String>>,
    /// `active` (the default) or `paused`.
    status: Option<String>,
}

/// A page of tags, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TagList {
    pub(crate) items: Vec<TagAnswer>,
    /// Give it as `cursor` to have the next page; null on the last.
    pub(crate) next_cursor: Option<String>,
}

/// Which version to go back to.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents what `Admin::roll_back_tag` reads")]
pub(crate) struct Rollback {
    #[schema(minimum = 1)]
    version: u32,
}

/// A tenant.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Workspace)]
pub(crate) struct WorkspaceAnswer {
    id: String,
    name: String,
    /// Where its tags lead when they do not redirect and have no fallback of their own.
    fallback_url: Option<String>,
    /// The `redirect_status` of new tags that say nothing of it; null: 302.
    default_redirect_status: Option<u16>,
    /// The `query` of new tags that say nothing of it; null: `append`.
    default_query: Option<&'static str>,
    /// For how many days its scans are kept; null: for ever.
    retention_days: Option<u32>,
    /// How many tags it may have that are not revoked; null: no limit, here and below.
    max_tags: Option<u32>,
    /// How many keys it may have that have not ended.
    max_keys: Option<u32>,
    /// How many requests to this API its keys and users together may make in a second; beyond it 429.
    api_requests_per_second: Option<u32>,
    /// How many of its scans each edge answers in a second; beyond it 429.
    redirects_per_second: Option<u32>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<&Workspace> for WorkspaceAnswer {
    fn from(workspace: &Workspace) -> Self {
        let (defaults, limits) = (&workspace.defaults, &workspace.limits);
        Self {
            id: workspace.id.to_string(),
            name: workspace.name.clone(),
            fallback_url: workspace.fallback_url.as_ref().map(ToString::to_string),
            default_redirect_status: defaults.redirect_status.map(RedirectStatus::code),
            default_query: defaults.query.map(QueryMode::as_str),
            retention_days: workspace.retention_days,
            max_tags: limits.max_tags,
            max_keys: limits.max_keys,
            api_requests_per_second: limits.api_requests_per_second,
            redirects_per_second: limits.redirects_per_second,
            created_at: workspace.created_at,
        }
    }
}

/// A new tenant and its first owner's key.
#[derive(Serialize, ToSchema)]
pub(crate) struct NewWorkspaceAnswer {
    #[serde(flatten)]
    pub(crate) workspace: WorkspaceAnswer,
    pub(crate) key: KeyWithSecret,
}

/// What a request sets of a workspace.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "documents what `Admin::create_workspace` and `Admin::patch_workspace` read"
)]
pub(crate) struct WorkspaceFields {
    /// Required when one is made; at most 200 characters.
    name: Option<String>,
    /// As a tag's `destination`.
    fallback_url: Option<String>,
    /// 302, 303 or 307.
    default_redirect_status: Option<u16>,
    /// `drop`, `append` or `override`.
    default_query: Option<String>,
    /// 1 to 3650.
    #[schema(minimum = 1, maximum = 3650)]
    retention_days: Option<u32>,
    /// For an owner of `default` to set, as are those below.
    #[schema(minimum = 1)]
    max_tags: Option<u32>,
    #[schema(minimum = 1)]
    max_keys: Option<u32>,
    #[schema(minimum = 1)]
    api_requests_per_second: Option<u32>,
    #[schema(minimum = 1)]
    redirects_per_second: Option<u32>,
}

/// All tenants.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WorkspaceList {
    pub(crate) items: Vec<WorkspaceAnswer>,
}

impl From<&NewWorkspace> for NewWorkspaceAnswer {
    fn from(new: &NewWorkspace) -> Self {
        Self {
            workspace: WorkspaceAnswer::from(&new.workspace),
            key: KeyWithSecret::from(&new.key),
        }
    }
}

/// A host name that answers short URLs.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Domain)]
pub(crate) struct DomainAnswer {
    name: String,
    /// `verified`: it is the workspace's, and may have tags; or `pending`: that has to be proven first, and no edge answers it.
    status: &'static str,
    /// How to prove it; null once it is.
    challenge: Option<ChallengeAnswer>,
    /// Whether tags without a domain, of workspaces without one of their own, belong here.
    is_default: bool,
    /// Where `/` leads.
    home_url: Option<String>,
    /// Where unknown codes lead; with an upstream, where its visitors go while it is down.
    fallback_url: Option<String>,
    /// The brand's own site, which answers every path that is not a tag's.
    upstream_url: Option<String>,
    /// Which host a request to the upstream names: `visitor` or `upstream`.
    upstream_host: &'static str,
    /// Whether `/ABC` and `/abc` are the same code. Set once.
    case_insensitive: bool,
    /// Whether requests over plain HTTP are sent on to HTTPS.
    https_redirect: bool,
    /// For how many seconds browsers are told, over HTTPS, to use nothing else.
    hsts_max_age: Option<u32>,
    /// Whether for all names below the domain too.
    hsts_include_subdomains: bool,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<&DomainSettings> for DomainAnswer {
    fn from(domain: &DomainSettings) -> Self {
        Self {
            name: domain.name.to_string(),
            status: "verified",
            challenge: None,
            is_default: domain.is_default,
            home_url: domain.home_url.as_ref().map(ToString::to_string),
            fallback_url: domain.fallback_url.as_ref().map(ToString::to_string),
            upstream_url: domain.upstream_url.as_ref().map(ToString::to_string),
            upstream_host: domain.upstream_host.as_str(),
            case_insensitive: domain.case_insensitive,
            https_redirect: domain.https_redirect,
            hsts_max_age: domain.hsts.map(|hsts| hsts.max_age),
            hsts_include_subdomains: domain.hsts.is_some_and(|hsts| hsts.include_subdomains),
            created_at: domain.created_at,
        }
    }
}

impl DomainAnswer {
    pub(super) fn pending(self, challenge: ChallengeAnswer) -> Self {
        Self {
            status: "pending",
            challenge: Some(challenge),
            ..self
        }
    }
}

/// A domain that was made or changed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EditedDomain {
    #[serde(flatten)]
    pub(crate) domain: DomainAnswer,
    /// What became of the edit on the edges; with `wait`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) propagation: Option<PropagationAnswer>,
}

/// What a request sets of a new domain.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents what `Admin::create_domain` reads")]
pub(crate) struct NewDomain {
    /// A host name, without scheme and port.
    #[schema(example = "qr.example.com")]
    name: String,
    /// As a tag's `destination`.
    home_url: Option<String>,
    /// As a tag's `destination`.
    fallback_url: Option<String>,
    /// The origin of the brand's own site, which answers every path that is not a tag's: `http` or `https`, a host on the public
    /// internet, perhaps a port.
    #[schema(example = "https://www.example.com")]
    upstream_url: Option<String>,
    /// Which host a request to the upstream names: `visitor` (the default) or `upstream`.
    upstream_host: Option<String>,
    /// Whether `/ABC` and `/abc` are to be the same code.
    case_insensitive: Option<bool>,
    /// Whether requests over plain HTTP are to be sent on to HTTPS.
    https_redirect: Option<bool>,
    /// `Strict-Transport-Security` over HTTPS: for so many seconds, at most 63072000; null for none.
    hsts_max_age: Option<u32>,
    /// `includeSubDomains`.
    hsts_include_subdomains: Option<bool>,
}

/// What a request changes of a domain.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents what `Admin::patch_domain` reads")]
pub(crate) struct DomainPatch {
    /// As a tag's `destination`.
    home_url: Option<String>,
    /// As a tag's `destination`.
    fallback_url: Option<String>,
    /// The origin of the brand's own site, which answers every path that is not a tag's: `http` or `https`, a host on the public
    /// internet, perhaps a port.
    #[schema(example = "https://www.example.com")]
    upstream_url: Option<String>,
    /// Which host a request to the upstream names: `visitor` (the default) or `upstream`.
    upstream_host: Option<String>,
    /// Whether requests over plain HTTP are to be sent on to HTTPS.
    https_redirect: Option<bool>,
    /// `Strict-Transport-Security` over HTTPS: for so many seconds, at most 63072000; null for none.
    hsts_max_age: Option<u32>,
    /// `includeSubDomains`.
    hsts_include_subdomains: Option<bool>,
}

/// The domains on which a workspace may make tags, and those that wait for their proof.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DomainList {
    pub(crate) items: Vec<DomainAnswer>,
}
