//! The edits: each checks what was asked against what is, publishes the next version with its audit entry in one transaction, and returns
//! when it can be seen.

mod accounts;
mod claims;
mod domains;
mod erasures;
mod keys;
mod new_tag;
mod pause;
mod people;
mod room;
mod schedule;
mod tags;
mod webhooks;
mod workspaces;

use ::tags::{Action, AuditEntry};

pub(crate) use self::domains::OwnDomain;
pub(crate) use self::erasures::Erased;
pub(crate) use self::keys::{NewKey, random_key_id};
pub(crate) use self::new_tag::{NewTag, NewTagTerms, READ_ONLY, tag_key, taken};
pub(crate) use self::pause::PauseError;
pub(crate) use self::people::NewInvitation;
pub(crate) use self::room::{Room, Rooms};
pub(crate) use self::schedule::nothing_scheduled;
pub(crate) use self::tags::{Precondition, TagName};
pub(crate) use self::webhooks::PutWebhook;
pub(crate) use self::workspaces::NewWorkspace;
use crate::audited::Audited;
use crate::auth::Principal;
use crate::draft::MAX_NAME;
use crate::fields::{Fields, Given};
use crate::service::{Admin, Commit};

/// What an edit made of something, and when it was published.
pub(crate) struct Edited<T> {
    pub(crate) what: T,
    pub(crate) commit: Commit,
}

impl Admin {
    pub(crate) fn audit(&self, who: &Principal, action: Action, subject: String) -> AuditEntry {
        AuditEntry {
            workspace: who.workspace.clone(),
            at: self.now(),
            actor: who.actor.to_string(),
            remote: who.remote.clone(),
            action,
            subject,
            before: None,
            after: None,
            fields_before: None,
            fields_after: None,
        }
    }

    /// The entry of a change of what is no tag.
    fn audit_of<T: Audited>(
        &self,
        who: &Principal,
        action: Action,
        subject: String,
        before: Option<&T>,
        after: Option<&T>,
    ) -> AuditEntry {
        let fields = |it: Option<&T>| it.map(|it| it.audited().to_string());
        AuditEntry {
            fields_before: fields(before),
            fields_after: fields(after),
            ..self.audit(who, action, subject)
        }
    }
}

fn required_name(fields: &mut Fields) -> String {
    let name = fields.label("name", MAX_NAME);
    let missing = !fields.has("name") || name == Given::Null;
    if missing {
        fields.refuse("name", "is required");
    }
    name.value().unwrap_or_default()
}
