//! Who may ask the index for what: a workspace for its own, and only for that.

use std::sync::Arc;

use ::tags::{
    ApiKey, Code, Domain, DomainClaim, DomainSettings, Email, IdempotencyEntry, IdempotencySlot,
    Invitation, Tag, User, Version, Webhook, Workspace, WorkspaceId,
};
use analytics::Day;
use jiff::Timestamp;
use tokio::sync::Semaphore;

use super::{AuditCursor, AuditFilter, AuditPage, Cursor, Index, IndexError, TagFilter, TagPage};

/// What one workspace sees of the index. There is no way to ask for a record without saying whose it has to be.
#[derive(Clone)]
pub struct Tenant {
    index: Arc<Index>,
    workspace: WorkspaceId,
}

/// What a workspace is told of a name.
pub enum Named {
    /// It may have it.
    Free,
    /// It has it, or had it and has revoked it.
    Own(Box<Tag>),
    /// Another has it, or had it.
    Taken,
}

impl Tenant {
    /// The index, as this workspace sees it.
    pub fn new(index: Arc<Index>, workspace: WorkspaceId) -> Self {
        Self { index, workspace }
    }

    /// The workspace itself.
    pub fn workspace(&self) -> Result<Option<Workspace>, IndexError> {
        self.index.workspace(&self.workspace)
    }

    /// A tag of the workspace's.
    pub fn tag(&self, domain: &Domain, code: &Code) -> Result<Option<Tag>, IndexError> {
        let found = self.index.tag(domain, code)?;
        Ok(found.filter(|tag| tag.workspace == self.workspace))
    }

    /// One version of a tag of the workspace's.
    pub fn version(
        &self,
        domain: &Domain,
        code: &Code,
        version: Version,
    ) -> Result<Option<Tag>, IndexError> {
        let found = self.index.version(domain, code, version)?;
        Ok(found.filter(|tag| tag.workspace == self.workspace))
    }

    /// So many versions of a tag of the workspace's, newest first: all, or those before one.
    pub fn versions(
        &self,
        domain: &Domain,
        code: &Code,
        before: Option<Version>,
        limit: usize,
    ) -> Result<Vec<Tag>, IndexError> {
        let mut versions = self.index.versions(domain, code, before, limit)?;
        versions.retain(|tag| tag.workspace == self.workspace);
        Ok(versions)
    }

    /// A page of who changed what in the workspace, newest first.
    pub fn audit(
        &self,
        filter: &AuditFilter,
        cursor: Option<&AuditCursor>,
        limit: usize,
    ) -> Result<AuditPage, IndexError> {
        self.index.audit(&self.workspace, filter, cursor, limit)
    }

    /// The newest answer under this hash of an `Idempotency-Key`.
    pub fn idempotency(&self, key_hash: &[u8; 32]) -> Result<Option<IdempotencyEntry>, IndexError> {
        self.index.idempotency(&self.workspace, key_hash)
    }

    /// Where the last answer was put.
    pub fn newest_idempotency_slot(&self) -> Result<Option<IdempotencySlot>, IndexError> {
        self.index.newest_idempotency_slot(&self.workspace)
    }

    /// A page of the workspace's tags, newest first.
    pub fn tags(
        &self,
        filter: &TagFilter,
        cursor: Option<Cursor>,
        limit: usize,
    ) -> Result<TagPage, IndexError> {
        self.index.tags(&self.workspace, filter, cursor, limit)
    }

    /// A page of those up to the one at a place, in the order in which they were made; for jobs and exports, beside which lists go on.
    pub fn tags_in_bulk(
        &self,
        filter: &TagFilter,
        cursor: Option<Cursor>,
        end: Cursor,
        limit: usize,
    ) -> Result<TagPage, IndexError> {
        self.index
            .tags_in_bulk(&self.workspace, filter, cursor, end, limit)
    }

    /// What there is under these names, in the names' order; for jobs.
    pub fn tags_named<'a>(
        &self,
        names: impl IntoIterator<Item = (&'a Domain, &'a Code)>,
    ) -> Result<Vec<Named>, IndexError> {
        let found = self.index.tags_named(names)?.into_iter();
        let seen = |tag: Option<Tag>| match tag {
            None => Named::Free,
            Some(tag) if tag.workspace == self.workspace => Named::Own(Box::new(tag)),
            Some(_) => Named::Taken,
        };
        Ok(found.map(seen).collect())
    }

    /// Turns at lists, of all workspaces.
    pub(crate) fn list_turns(&self) -> Arc<Semaphore> {
        self.index.list_turns()
    }

    /// The place of the tag that was made last; what is made later lies behind it.
    pub fn newest(&self) -> Result<Cursor, IndexError> {
        self.index.newest(&self.workspace)
    }

    /// How many tags the workspace has made, by day, in order.
    pub fn tags_made(&self) -> Result<Vec<(Day, u64)>, IndexError> {
        self.index.tags_made(&self.workspace)
    }

    /// How many of the workspace's tags are not revoked.
    pub fn live_tags(&self) -> Result<u64, IndexError> {
        self.index.live_tags(&self.workspace)
    }

    /// The domains on which the workspace may have tags: its own, oldest first, then the default one that all share.
    pub fn domains(&self) -> Result<Vec<DomainSettings>, IndexError> {
        self.index.domains(&self.workspace)
    }

    /// A domain of the workspace's own, or one that nobody owns.
    pub fn domain(&self, name: &Domain) -> Result<Option<DomainSettings>, IndexError> {
        let is_visible = |domain: &DomainSettings| {
            let owner = domain.workspace.as_ref();
            owner.is_none_or(|owner| *owner == self.workspace)
        };
        Ok(self.index.domain(name)?.filter(is_visible))
    }

    /// The domains that the workspace wants and has not proven yet, by name.
    pub fn claims(&self) -> Result<Vec<DomainClaim>, IndexError> {
        self.index.claims(&self.workspace)
    }

    /// One of them.
    pub fn claim(&self, name: &Domain) -> Result<Option<DomainClaim>, IndexError> {
        let mut claims = self.claims()?.into_iter();
        Ok(claims.find(|claim| claim.domain.name == *name))
    }

    /// The workspace's users, by e-mail address.
    pub fn users(&self) -> Result<Vec<User>, IndexError> {
        self.index.users(&self.workspace)
    }

    /// One of them.
    pub fn user(&self, id: &str) -> Result<Option<User>, IndexError> {
        self.index.user(&self.workspace, id)
    }

    /// The one with this address.
    pub fn user_by_email(&self, email: &Email) -> Result<Option<User>, IndexError> {
        self.index.user_by_email(&self.workspace, email)
    }

    /// The workspace's invitations that were neither accepted nor withdrawn.
    pub fn invitations(&self) -> Result<Vec<Invitation>, IndexError> {
        self.index.invitations(&self.workspace)
    }

    /// The workspace's keys, also revoked ones, oldest first.
    pub fn keys(&self) -> Result<Vec<ApiKey>, IndexError> {
        self.index.keys(&self.workspace)
    }
}

/// What is the same for all workspaces, or seen by who runs the installation: never an answer to a tenant's request.
pub struct Installation<'a>(&'a Index);

impl Index {
    /// The index across all workspaces.
    pub fn installation(&self) -> Installation<'_> {
        Installation(self)
    }

    /// Whether a code of a domain has a tag, or had one, whoever's it is.
    pub fn is_taken(&self, domain: &Domain, code: &Code) -> Result<bool, IndexError> {
        Ok(self.tag(domain, code)?.is_some())
    }

    /// Whether a host is one of ours, whoever's it is.
    pub fn is_domain(&self, name: &Domain) -> Result<bool, IndexError> {
        Ok(self.domain(name)?.is_some())
    }

    /// Whether case does not matter on a domain.
    pub fn is_case_insensitive(&self, name: &Domain) -> Result<bool, IndexError> {
        let found = self.domain(name)?;
        Ok(found.is_some_and(|domain| domain.case_insensitive))
    }
}

impl Installation<'_> {
    /// All workspaces.
    pub fn workspaces(&self) -> Result<Vec<Workspace>, IndexError> {
        self.0.workspaces()
    }

    /// Any workspace.
    pub fn workspace(&self, id: &WorkspaceId) -> Result<Option<Workspace>, IndexError> {
        self.0.workspace(id)
    }

    /// Any workspace's webhook.
    pub fn webhook(&self, workspace: &WorkspaceId) -> Result<Option<Webhook>, IndexError> {
        self.0.webhook(workspace)
    }

    /// The default domain; more than one only while the default changes.
    pub fn default_domains(&self) -> Result<Vec<DomainSettings>, IndexError> {
        self.0.default_domains()
    }

    /// Any domain.
    pub fn domain(&self, name: &Domain) -> Result<Option<DomainSettings>, IndexError> {
        self.0.domain(name)
    }

    /// Tags whose scheduled change has come by now, the oldest first.
    pub fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<(Domain, Code)>, IndexError> {
        self.0.due(now, limit)
    }

    /// Any tag.
    pub fn tag(&self, domain: &Domain, code: &Code) -> Result<Option<Tag>, IndexError> {
        self.0.tag(domain, code)
    }

    /// So many of all workspaces' tags that are not revoked, by their names, behind this one.
    pub fn walk_tags(
        &self,
        behind: Option<&(Domain, Code)>,
        limit: usize,
    ) -> Result<Vec<Tag>, IndexError> {
        self.0.walk_tags(behind, limit)
    }

    /// All domains.
    pub fn walk_domains(&self) -> Result<Vec<DomainSettings>, IndexError> {
        self.0.walk_domains()
    }

    /// Whether any key was ever made.
    pub fn has_keys(&self) -> Result<bool, IndexError> {
        self.0.has_keys()
    }
}
