//! The record of who changed what. Append-only; a tag's history is read from here, since the topic of tags is compacted.

use std::str::FromStr;

use jiff::Timestamp;

use crate::{InvalidValue, Tag, WorkspaceId};

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The subject is new.
    Create,
    /// Some of its fields changed.
    Update,
    /// An earlier version was made the newest.
    Rollback,
    /// It has another secret.
    Rotate,
    /// It ended for good.
    Revoke,
    /// A visitor was taken out of it.
    Erase,
}

impl Action {
    /// The word in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Rollback => "rollback",
            Self::Rotate => "rotate",
            Self::Revoke => "revoke",
            Self::Erase => "erase",
        }
    }
}

impl FromStr for Action {
    type Err = InvalidValue;
    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        match text {
            "create" => Ok(Self::Create),
            "update" => Ok(Self::Update),
            "rollback" => Ok(Self::Rollback),
            "rotate" => Ok(Self::Rotate),
            "revoke" => Ok(Self::Revoke),
            "erase" => Ok(Self::Erase),
            _ => Err(InvalidValue::new(
                "action",
                text,
                "create, update, rollback, rotate, revoke or erase",
            )),
        }
    }
}

/// One change.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditEntry {
    /// In which workspace.
    pub workspace: WorkspaceId,
    /// When.
    pub at: Timestamp,
    /// Which key or user.
    pub actor: String,
    /// From which address the request came.
    pub remote: String,
    /// What was done.
    pub action: Action,
    /// To what: `tag/DOMAIN/CODE`, `workspace/ID`, `domain/NAME`, `key/ID`, `user/ID`, `invitation/ID`, or the `scans/DAY` of
    /// a day.
    pub subject: String,
    /// The tag before, where the subject is one that existed.
    pub before: Option<Tag>,
    /// The tag after, where the subject is one.
    pub after: Option<Tag>,
    /// What another subject was before: a JSON object without secrets and without what they hash to.
    pub fields_before: Option<String>,
    /// And after.
    pub fields_after: Option<String>,
}
