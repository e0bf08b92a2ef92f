//! The edits: each checks what was asked against what is, publishes the next version with its audit entry in one transaction, and returns
//! when it can be seen.

mod claims;
mod domains;
mod keys;
mod people;
mod room;
mod schedule;
mod tags;
mod workspaces;

use std::sync::Arc;

use ::tags::{Action, AuditEntry, Domain};

pub(crate) use self::domains::OwnDomain;
pub(crate) use self::keys::{NewKey, random_key_id};
pub(crate) use self::people::NewInvitation;
pub(crate) use self::room::Rooms;
pub(crate) use self::schedule::nothing_scheduled;
pub(crate) use self::tags::{Precondition, READ_ONLY, TagName};
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
    fn audit(&self, who: &Principal, action: Action, subject: String) -> AuditEntry {
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

    /// Whether a host is one of ours, so that a destination there may be a loop. A host that cannot be looked up counts as ours: refusing
    /// a good destination can be mended, a loop in print cannot.
    pub(crate) fn is_own_domain(&self) -> impl Fn(&str) -> bool {
        let index = Arc::clone(self.index());
        move |host| match Domain::parse(host) {
            Ok(domain) => index.is_domain(&domain).unwrap_or(true),
            Err(_) => false,
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
