//! Who may do what: API keys and roles, and how those who may are named. Only the admin reads these.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

use crate::{InvalidValue, Permissions, WorkspaceId};

macro_rules! account_id {
    ($name:ident, $what:literal) => {
        impl $name {
            /// `[a-z0-9_]{1,64}`.
            pub fn parse(text: &str) -> Result<Self, InvalidValue> {
                let ok = (1..=64).contains(&text.len())
                    && text
                        .bytes()
                        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
                if ok {
                    Ok(Self(text.into()))
                } else {
                    Err(InvalidValue::new(
                        $what,
                        text,
                        "1 to 64 characters of a-z, 0-9 and '_'",
                    ))
                }
            }

            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

/// The public part of an API key's identity; the secret is never stored.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(Box<str>);
account_id!(KeyId, "key id");

/// A user's identifier.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(Box<str>);
account_id!(UserId, "user id");

/// An invitation's identifier.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InvitationId(Box<str>);
account_id!(InvitationId, "invitation id");

/// What a key or user may do in its workspace; each role may also do what the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Reads tags.
    Viewer,
    /// Also analytics, export and audit.
    Analyst,
    /// Also writes tags and imports.
    Editor,
    /// Everything.
    Owner,
}

impl Role {
    /// The word in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Analyst => "analyst",
            Self::Editor => "editor",
            Self::Owner => "owner",
        }
    }
}

impl FromStr for Role {
    type Err = InvalidValue;
    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        match text {
            "viewer" => Ok(Self::Viewer),
            "analyst" => Ok(Self::Analyst),
            "editor" => Ok(Self::Editor),
            "owner" => Ok(Self::Owner),
            _ => Err(InvalidValue::new(
                "role",
                text,
                "owner, editor, analyst or viewer",
            )),
        }
    }
}

/// SHA-256 of a key's secret. A secret has 256 random bits, so that a plain hash is enough.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretHash(pub [u8; 32]);

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(..)")
    }
}

/// A key to the admin API.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiKey {
    /// Its public identifier.
    pub id: KeyId,
    /// The one workspace that it opens.
    pub workspace: WorkspaceId,
    /// For people.
    pub name: String,
    /// What it may do there at most.
    pub role: Role,
    /// What of that it may do; none: all of it.
    pub scopes: Option<Permissions>,
    /// What the presented secret must hash to.
    pub secret_hash: SecretHash,
    /// The secret that it had before it was rotated.
    pub previous: Option<PreviousSecret>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it opens nothing.
    pub expires_at: Option<Timestamp>,
    /// Since when it no longer opens anything.
    pub revoked_at: Option<Timestamp>,
}

/// A secret that another has replaced, and that is good for a while longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviousSecret {
    /// What it must hash to.
    pub hash: SecretHash,
    /// From when on it opens nothing.
    pub expires_at: Timestamp,
}

/// Which of its secrets opens a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenedBy {
    /// The one that it has.
    Secret,
    /// The one that it had before, within the overlap.
    PreviousSecret,
}

impl ApiKey {
    /// A key that may all that its role may, without an end.
    #[must_use]
    pub fn new(
        id: KeyId,
        workspace: WorkspaceId,
        role: Role,
        secret_hash: SecretHash,
        created_at: Timestamp,
    ) -> Self {
        Self {
            id,
            workspace,
            name: String::new(),
            role,
            scopes: None,
            secret_hash,
            previous: None,
            created_at,
            expires_at: None,
            revoked_at: None,
        }
    }

    /// What it may do in its workspace.
    pub fn permissions(&self) -> Permissions {
        let most = Permissions::of(self.role).within(&self.workspace);
        self.scopes.map_or(most, |scopes| most.and(scopes))
    }

    /// Whether it opens anything at this time.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }

    /// By which of its secrets one that hashes to this opens it at this time; none: it does not.
    pub fn opened_by(&self, hash: &SecretHash, now: Timestamp) -> Option<OpenedBy> {
        if !self.is_valid(now) {
            return None;
        }
        if self.secret_hash == *hash {
            return Some(OpenedBy::Secret);
        }
        let previous = self.previous.as_ref()?;
        let is_good = previous.hash == *hash && now < previous.expires_at;
        is_good.then_some(OpenedBy::PreviousSecret)
    }

    /// Whether it may do all that an owner may, for as long as nobody ends it.
    pub fn is_lasting_owner(&self) -> bool {
        self.role == Role::Owner
            && self.scopes.is_none()
            && self.expires_at.is_none()
            && self.revoked_at.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Permission;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn key() -> ApiKey {
        ApiKey {
            id: KeyId::parse("key_1").unwrap(),
            workspace: WorkspaceId::default_workspace(),
            name: "n".to_owned(),
            role: Role::Owner,
            scopes: None,
            secret_hash: SecretHash([2; 32]),
            previous: Some(PreviousSecret {
                hash: SecretHash([1; 32]),
                expires_at: at(10),
            }),
            created_at: at(0),
            expires_at: Some(at(20)),
            revoked_at: None,
        }
    }

    #[test]
    fn the_secret_before_is_good_until_the_overlap_is_over_and_none_when_the_key_has_ended() {
        let opened =
            |key: &ApiKey, secret: u8, second| key.opened_by(&SecretHash([secret; 32]), at(second));
        let (newest, previous) = (Some(OpenedBy::Secret), Some(OpenedBy::PreviousSecret));
        let key = key();
        for (secret, second, expected) in [
            (2, 9, newest),
            (2, 19, newest),
            (2, 20, None),
            (1, 9, previous),
            (1, 10, None),
            (3, 9, None),
        ] {
            assert_eq!(
                opened(&key, secret, second),
                expected,
                "{secret} at {second}"
            );
        }
        let revoked = ApiKey {
            revoked_at: Some(at(5)),
            ..key
        };
        assert_eq!(
            (opened(&revoked, 1, 6), opened(&revoked, 2, 6)),
            (None, None)
        );
    }

    #[test]
    fn a_key_may_what_is_in_its_role_and_its_scopes_both() {
        let viewer = ApiKey {
            role: Role::Viewer,
            scopes: Some(
                [Permission::TagsRead, Permission::TagsWrite]
                    .into_iter()
                    .collect(),
            ),
            ..key()
        };
        assert_eq!(viewer.permissions().to_string(), "tags:read");
    }

    #[test]
    fn the_installation_is_run_by_owners_of_the_default_workspace_alone() {
        let elsewhere = ApiKey {
            workspace: WorkspaceId::parse("ws_1").unwrap(),
            ..key()
        };
        assert!(key().permissions().contains(Permission::Operations));
        assert!(!elsewhere.permissions().contains(Permission::Operations));
    }
}
