//! What is done about something that leads to a host on a blocklist, where the operator has it so: nobody is sent there any more. These edits
//! are made by no key; the audit says `blocklist`.

use tags::{Action, AuditEntry, Change, Code, Destination, Domain, Status, Tag, WorkspaceId};

use crate::audited::Audited;
use crate::destinations::{DestinationPolicy, places_of, targets_of};
use crate::index::IndexError;
use crate::service::{Admin, PublishOutcome};

/// Who has made the edit.
const ACTOR: &str = "blocklist";

/// Why it was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PauseError {
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(transparent)]
    Publish(#[from] PublishOutcome),
}

impl Admin {
    /// Pauses a tag that leads to a listed host; takes a listed fallback away, for that is where a paused tag leads, and what is scheduled
    /// where that would lead there. Whether anything was to be done.
    pub(crate) async fn pause_listed_tag(
        &self,
        domain: &Domain,
        code: &Code,
    ) -> Result<bool, PauseError> {
        let _lock = self.lock(&format!("{domain}/{code}")).await;
        let Some(tag) = self.index().installation().tag(domain, code)? else {
            return Ok(false);
        };
        let tag = self.take_place(tag).await?;
        let Some(next) = self.without_listed(&tag) else {
            return Ok(false);
        };
        let subject = format!("tag/{domain}/{code}");
        let mut audit = self.by_blocklist(tag.workspace.clone(), subject);
        audit.before = Some(tag);
        audit.after = Some(next.clone());
        self.publish(vec![Change::Tag(next), Change::Audit(audit)])
            .await?;
        Ok(true)
    }

    /// Takes the home and the fallback of a domain away that lead to a listed host.
    pub(crate) async fn pause_listed_domain(&self, name: &Domain) -> Result<bool, PauseError> {
        let _lock = self.lock_domain(name.as_str()).await;
        let Some(mut domain) = self.index().installation().domain(name)? else {
            return Ok(false);
        };
        let policy = self.destination_policy();
        let before = domain.clone();
        take_listed(&policy, &mut domain.home_url);
        take_listed(&policy, &mut domain.fallback_url);
        drop(policy);
        if domain == before {
            return Ok(false);
        }
        let workspace = domain.workspace.clone();
        let workspace = workspace.unwrap_or_else(WorkspaceId::default_workspace);
        let mut audit = self.by_blocklist(workspace, format!("domain/{name}"));
        audit.fields_before = Some(before.audited().to_string());
        audit.fields_after = Some(domain.audited().to_string());
        self.publish(vec![Change::Domain(domain), Change::Audit(audit)])
            .await?;
        Ok(true)
    }

    /// Takes the fallback of a workspace away that leads to a listed host.
    pub(crate) async fn pause_listed_workspace(
        &self,
        id: &WorkspaceId,
    ) -> Result<bool, PauseError> {
        let _lock = self.lock(&format!("workspace/{id}")).await;
        let Some(mut workspace) = self.index().installation().workspace(id)? else {
            return Ok(false);
        };
        let before = workspace.clone();
        take_listed(&self.destination_policy(), &mut workspace.fallback_url);
        if workspace == before {
            return Ok(false);
        }
        let mut audit = self.by_blocklist(id.clone(), format!("workspace/{id}"));
        audit.fields_before = Some(before.audited().to_string());
        audit.fields_after = Some(workspace.audited().to_string());
        self.publish(vec![Change::Workspace(workspace), Change::Audit(audit)])
            .await?;
        Ok(true)
    }

    /// The tag's next version, in which it leads to no listed host; none: it leads to none as it is.
    fn without_listed(&self, tag: &Tag) -> Option<Tag> {
        if tag.status == Status::Revoked {
            return None;
        }
        let policy = self.destination_policy();
        let is_listed = |destination: &Destination| policy.check_lists(destination).is_err();
        let mut next = Tag {
            version: tag.version.next(),
            updated_at: self.now(),
            updated_by: ACTOR.to_owned(),
            ..tag.clone()
        };
        if targets_of(tag).any(|(_, url)| is_listed(url)) {
            next.status = Status::Paused;
        }
        take_listed(&policy, &mut next.fallback_url);
        let scheduled = tag.scheduled.as_deref();
        let is_to_be_listed =
            scheduled.is_some_and(|it| places_of(&it.tag).any(|(_, url)| is_listed(url)));
        if next.status == tag.status && next.fallback_url == tag.fallback_url && !is_to_be_listed {
            return None;
        }
        // By the rules for edits: what would put the tag on the air again, or lead there itself, is not valid any more.
        next.scheduled = self.rescheduled(tag, &next).unwrap_or_default();
        let is_as_before = |next: &Tag| {
            (next.status, &next.fallback_url, next.scheduled.is_some())
                == (tag.status, &tag.fallback_url, tag.scheduled.is_some())
        };
        Some(next).filter(|next| !is_as_before(next))
    }

    fn by_blocklist(&self, workspace: WorkspaceId, subject: String) -> AuditEntry {
        AuditEntry {
            workspace,
            at: self.now(),
            actor: ACTOR.to_owned(),
            // No request came.
            remote: String::new(),
            action: Action::Update,
            subject,
            before: None,
            after: None,
            fields_before: None,
            fields_after: None,
        }
    }
}

fn take_listed(policy: &DestinationPolicy<'_>, url: &mut Option<Destination>) {
    url.take_if(|url| policy.check_lists(url).is_err());
}
