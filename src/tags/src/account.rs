//! Who may do what: API keys and roles. Only the admin reads these.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

use crate::{InvalidValue, WorkspaceId};

/// The public part of an API key's identity; the secret is never stored.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(Box<str>);

impl KeyId {
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
                "key id",
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

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a key may do in its workspace; each role may also do what the ones before it may.
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
    /// What it may do there.
    pub role: Role,
    /// What the presented secret must hash to.
    pub secret_hash: SecretHash,
    /// When it was made.
    pub created_at: Timestamp,
    /// Since when it no longer opens anything.
    pub revoked_at: Option<Timestamp>,
}
