//! A change as the journal carries it: one whole record, its topic and its key.

use crate::{
    ApiKey, AuditEntry, Code, Domain, DomainClaim, DomainSettings, IdempotencyEntry, Invitation,
    Tag, User, Webhook, WireError, Workspace, wire,
};

/// The journal's topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// Whole tags by `domain/code`, compacted.
    Tags,
    /// Workspaces and domains by `kind/id`, compacted: what edges need beside tags.
    Settings,
    /// Keys, claims, users, invitations, webhooks and answers to idempotent requests by `kind/id`, compacted: the admin alone reads it.
    Accounts,
    /// Every change, in order, for ever.
    Audit,
}

impl Topic {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Tags, Self::Settings, Self::Accounts, Self::Audit];
    /// What an edge follows.
    pub const EDGE: [Self; 2] = [Self::Tags, Self::Settings];

    /// The topic's name, before the configured prefix.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tags => "tags",
            Self::Settings => "settings",
            Self::Accounts => "accounts",
            Self::Audit => "audit",
        }
    }
}

impl std::fmt::Display for Topic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One whole record that replaces what had its key before; an audit entry replaces nothing.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "changes pass through one at a time; where many are kept, they are kept encoded"
)]
pub enum Change {
    /// A tag.
    Tag(Tag),
    /// A tenant.
    Workspace(Workspace),
    /// A host name.
    Domain(DomainSettings),
    /// A key to the API.
    Key(ApiKey),
    /// A host name that is not proven yet.
    Claim(DomainClaim),
    /// Who may sign in.
    User(User),
    /// Who may become a user.
    Invitation(Invitation),
    /// Where a workspace's alerts are sent.
    Webhook(Webhook),
    /// What a request that made something was answered.
    Idempotency(IdempotencyEntry),
    /// Who changed what.
    Audit(AuditEntry),
}

impl Change {
    /// Where it is published.
    pub fn topic(&self) -> Topic {
        match self {
            Self::Tag(_) => Topic::Tags,
            Self::Workspace(_) | Self::Domain(_) => Topic::Settings,
            Self::Key(_)
            | Self::Claim(_)
            | Self::User(_)
            | Self::Invitation(_)
            | Self::Webhook(_)
            | Self::Idempotency(_) => Topic::Accounts,
            Self::Audit(_) => Topic::Audit,
        }
    }

    /// The record's key; changes of one key keep their order.
    pub fn key(&self) -> String {
        match self {
            Self::Tag(tag) => tag_key(&tag.domain, &tag.code),
            Self::Workspace(workspace) => format!("workspace/{}", workspace.id),
            Self::Domain(domain) => format!("domain/{}", domain.name),
            Self::Key(key) => format!("key/{}", key.id),
            Self::Claim(claim) => format!("claim/{}/{}", claim.workspace, claim.domain.name),
            Self::User(user) => format!("user/{}", user.id),
            Self::Invitation(invitation) => format!("invitation/{}", invitation.id),
            Self::Webhook(webhook) => format!("webhook/{}", webhook.workspace),
            Self::Idempotency(entry) => {
                format!("idempotency/{}/{}", entry.workspace, entry.slot.get())
            }
            Self::Audit(entry) => entry.workspace.to_string(),
        }
    }

    /// Whether this is its key: of a tag, of which there are millions, without putting it together.
    fn has_key(&self, key: &str) -> bool {
        match self {
            // A domain has no slash.
            Self::Tag(tag) => key.split_once('/') == Some((tag.domain.as_str(), tag.code.as_str())),
            _ => self.key() == key,
        }
    }

    /// The record's value.
    pub fn encode(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// Reads a record back. A record that is not valid in every field, or of a newer major format, is refused whole.
    pub fn decode(topic: Topic, key: &str, value: &[u8]) -> Result<Self, WireError> {
        let change = wire::decode(topic, key, value)?;
        // A record under another's key would be replaced, by compaction or by the next change, in the wrong order.
        if !change.has_key(key) {
            return Err(WireError::Key {
                expected: change.key(),
            });
        }
        Ok(change)
    }
}

fn tag_key(domain: &Domain, code: &Code) -> String {
    format!("{domain}/{code}")
}
