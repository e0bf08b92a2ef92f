//! What is set for more than one tag: workspaces and domains.

use std::fmt;

use jiff::Timestamp;

use crate::{
    Destination, Domain, QueryMode, RedirectStatus, UpstreamHost, UpstreamUrl, WorkspaceId,
};

/// A tenant.
#[derive(Clone, Debug, PartialEq)]
pub struct Workspace {
    /// Its identifier.
    pub id: WorkspaceId,
    /// For people.
    pub name: String,
    /// Where its tags lead when they do not redirect and have no fallback of their own.
    pub fallback_url: Option<Destination>,
    /// What new tags have that say nothing of it.
    pub defaults: TagDefaults,
    /// What it may have and use; none: as much as there is.
    pub limits: Limits,
    /// For how many days its scans are kept; none: for ever.
    pub retention_days: Option<u32>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Workspace {
    /// A workspace about which nothing is said.
    #[must_use]
    pub fn new(id: WorkspaceId, name: String, created_at: Timestamp) -> Self {
        Self {
            id,
            name,
            fallback_url: None,
            defaults: TagDefaults::default(),
            limits: Limits::default(),
            retention_days: None,
            created_at,
        }
    }
}

/// What new tags of a workspace have that say nothing of it; none: what is so everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct TagDefaults {
    /// The status code of their redirects.
    pub redirect_status: Option<RedirectStatus>,
    /// What becomes of a visitor's query.
    pub query: Option<QueryMode>,
}

/// What a workspace may have and use at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Limits {
    /// Tags that are not revoked.
    pub max_tags: Option<u32>,
    /// Keys that have not ended.
    pub max_keys: Option<u32>,
    /// Requests to the admin API, in one second.
    pub api_requests_per_second: Option<u32>,
    /// Scans that each edge answers, in one second.
    pub redirects_per_second: Option<u32>,
}

/// A host name and how it answers what is not a tag.
#[derive(Clone, Debug, PartialEq)]
pub struct DomainSettings {
    /// The host name.
    pub name: Domain,
    /// Whose it is; the default domain is shared by all workspaces that have none of their own.
    pub workspace: Option<WorkspaceId>,
    /// Whether requests without a host, and tags without a domain, belong here.
    pub is_default: bool,
    /// Where `/` leads.
    pub home_url: Option<Destination>,
    /// Where unknown codes lead.
    pub fallback_url: Option<Destination>,
    /// The brand's own site, which answers every path that is neither a tag's nor the health check's.
    pub upstream_url: Option<UpstreamUrl>,
    /// Which host a request to that site names.
    pub upstream_host: UpstreamHost,
    /// Whether `/ABC` and `/abc` are the same code.
    pub case_insensitive: bool,
    /// Whether requests over plain HTTP are sent on to HTTPS.
    pub https_redirect: bool,
    /// What browsers are told over HTTPS about plain HTTP.
    pub hsts: Option<Hsts>,
    /// When it was added.
    pub created_at: Timestamp,
}

impl DomainSettings {
    /// A domain that all workspaces share and about which nothing is said.
    #[must_use]
    pub fn new(name: Domain, added_at: Timestamp) -> Self {
        Self {
            name,
            workspace: None,
            is_default: false,
            home_url: None,
            fallback_url: None,
            upstream_url: None,
            upstream_host: UpstreamHost::Visitor,
            case_insensitive: false,
            https_redirect: false,
            hsts: None,
            created_at: added_at,
        }
    }
}

/// For how long a browser uses HTTPS alone (RFC 6797). Shown as the value of `Strict-Transport-Security`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hsts {
    /// In seconds; 0 makes a browser forget.
    pub max_age: u32,
    /// Whether for all names below the domain too.
    pub include_subdomains: bool,
}

impl fmt::Display for Hsts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "max-age={}", self.max_age)?;
        if self.include_subdomains {
            f.write_str("; includeSubDomains")?;
        }
        Ok(())
    }
}
