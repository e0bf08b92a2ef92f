//! What the audit keeps of settings and accounts: what was set, by the names that the API has for it, and never a secret nor what it hashes to.
//! Of each record all fields are taken apart, so that one that is added later is not forgotten here.

use serde_json::{Value, json};
use tags::{
    ApiKey, DomainClaim, DomainSettings, Hsts, Invitation, Limits, Permission, QueryMode,
    RedirectStatus, TagDefaults, User, Webhook, Workspace,
};

/// What there is to say of a record that is no tag.
pub(crate) trait Audited {
    /// A JSON object.
    fn audited(&self) -> Value;
}

impl Audited for Workspace {
    fn audited(&self) -> Value {
        let Self {
            id: _,
            name,
            fallback_url,
            defaults:
                TagDefaults {
                    redirect_status,
                    query,
                },
            limits:
                Limits {
                    max_tags,
                    max_keys,
                    api_requests_per_second,
                    redirects_per_second,
                },
            retention_days,
            created_at: _,
        } = self;
        json!({
            "name": name,
            "fallback_url": fallback_url.as_ref().map(ToString::to_string),
            "default_redirect_status": redirect_status.map(RedirectStatus::code),
            "default_query": query.map(QueryMode::as_str),
            "max_tags": max_tags,
            "max_keys": max_keys,
            "api_requests_per_second": api_requests_per_second,
            "redirects_per_second": redirects_per_second,
            "retention_days": retention_days,
        })
    }
}

impl Audited for DomainSettings {
    fn audited(&self) -> Value {
        let Self {
            name: _,
            workspace: _,
            is_default,
            home_url,
            fallback_url,
            upstream_url,
            upstream_host,
            https_redirect,
            hsts,
            case_insensitive,
            created_at: _,
        } = self;
        json!({
            "status": "verified",
            "is_default": is_default,
            "home_url": home_url.as_ref().map(ToString::to_string),
            "fallback_url": fallback_url.as_ref().map(ToString::to_string),
            "upstream_url": upstream_url.as_ref().map(ToString::to_string),
            "upstream_host": upstream_host.as_str(),
            "https_redirect": https_redirect,
            "hsts_max_age": hsts.map(|Hsts { max_age, .. }| max_age),
            "hsts_include_subdomains": hsts.map(|Hsts { include_subdomains, .. }| include_subdomains),
            "case_insensitive": case_insensitive,
        })
    }
}

impl Audited for DomainClaim {
    fn audited(&self) -> Value {
        let Self {
            workspace: _,
            domain,
            token: _,
            ended_at: _,
        } = self;
        let mut domain = domain.audited();
        domain["status"] = "pending".into();
        domain
    }
}

impl Audited for ApiKey {
    fn audited(&self) -> Value {
        let Self {
            id: _,
            workspace: _,
            name,
            role,
            scopes: _,
            secret_hash: _,
            previous,
            created_at: _,
            expires_at,
            revoked_at,
        } = self;
        let permissions: Vec<_> = self.permissions().iter().map(Permission::as_str).collect();
        json!({
            "name": name,
            "role": role.as_str(),
            "scopes": permissions,
            "previous_expires_at": previous.as_ref().map(|previous| previous.expires_at),
            "expires_at": expires_at,
            "revoked_at": revoked_at,
        })
    }
}

impl Audited for User {
    fn audited(&self) -> Value {
        let Self {
            id: _,
            workspace: _,
            email,
            name,
            role,
            password: _,
            created_at: _,
            removed_at,
        } = self;
        json!({
            "email": email.as_str(),
            "name": name,
            "role": role.as_str(),
            "removed_at": removed_at,
        })
    }
}

impl Audited for Invitation {
    fn audited(&self) -> Value {
        let Self {
            id: _,
            workspace: _,
            email,
            role,
            token_hash: _,
            invited_by,
            created_at: _,
            expires_at,
            ended_at,
        } = self;
        json!({
            "email": email.as_str(),
            "role": role.as_str(),
            "invited_by": invited_by,
            "expires_at": expires_at,
            "ended_at": ended_at,
        })
    }
}

impl Audited for Webhook {
    /// Of its URL the host alone: what is behind may be a secret of its receiver's.
    fn audited(&self) -> Value {
        let Self {
            workspace: _,
            url,
            secret: _,
            previous,
            created_at: _,
            disabled_at,
            ended_at: _,
        } = self;
        json!({
            "host": url.as_destination().host(),
            "previous_expires_at": previous.as_ref().map(|previous| previous.expires_at),
            "disabled_at": disabled_at,
        })
    }
}
