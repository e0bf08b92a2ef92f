//! The records of topic `accounts`: who may use the admin API. The admin alone reads them.

use jiff::Timestamp;
use prost::Message;

use super::{DomainRecord, MAJOR, WireError, field, time, unspecified};
use crate::{
    ApiKey, DomainClaim, Email, Invitation, InvitationId, KeyId, PasswordHash, Permission,
    Permissions, PreviousSecret, Role, SecretHash, User, UserId, WorkspaceId,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(super) enum RoleRecord {
    Unspecified = 0,
    Viewer = 1,
    Analyst = 2,
    Editor = 3,
    Owner = 4,
}

impl From<Role> for RoleRecord {
    fn from(role: Role) -> Self {
        match role {
            Role::Viewer => Self::Viewer,
            Role::Analyst => Self::Analyst,
            Role::Editor => Self::Editor,
            Role::Owner => Self::Owner,
        }
    }
}

fn role(record: RoleRecord) -> Result<Role, WireError> {
    match record {
        RoleRecord::Viewer => Ok(Role::Viewer),
        RoleRecord::Analyst => Ok(Role::Analyst),
        RoleRecord::Editor => Ok(Role::Editor),
        RoleRecord::Owner => Ok(Role::Owner),
        RoleRecord::Unspecified => Err(unspecified("role")),
    }
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct KeyRecord {
    #[prost(uint32, tag = "1")]
    pub(super) major: u32,
    #[prost(string, tag = "2")]
    id: String,
    #[prost(string, tag = "3")]
    workspace: String,
    #[prost(string, tag = "4")]
    name: String,
    #[prost(enumeration = "RoleRecord", tag = "5")]
    role: i32,
    #[prost(bytes = "vec", tag = "6")]
    secret_hash: Vec<u8>,
    #[prost(int64, tag = "7")]
    created_at: i64,
    #[prost(int64, optional, tag = "8")]
    revoked_at: Option<i64>,
    #[prost(string, repeated, tag = "9")]
    scopes: Vec<String>,
    #[prost(int64, optional, tag = "10")]
    expires_at: Option<i64>,
    #[prost(bytes = "vec", tag = "11")]
    previous_secret_hash: Vec<u8>,
    #[prost(int64, tag = "12")]
    previous_expires_at: i64,
}

impl From<&ApiKey> for KeyRecord {
    fn from(key: &ApiKey) -> Self {
        let previous = key.previous.as_ref();
        Self {
            major: MAJOR,
            id: key.id.to_string(),
            workspace: key.workspace.to_string(),
            name: key.name.clone(),
            role: RoleRecord::from(key.role).into(),
            secret_hash: key.secret_hash.0.to_vec(),
            created_at: key.created_at.as_microsecond(),
            revoked_at: key.revoked_at.map(Timestamp::as_microsecond),
            scopes: key.scopes.map(words).unwrap_or_default(),
            expires_at: key.expires_at.map(Timestamp::as_microsecond),
            previous_secret_hash: previous.map(|p| p.hash.0.to_vec()).unwrap_or_default(),
            previous_expires_at: previous.map_or(0, |p| p.expires_at.as_microsecond()),
        }
    }
}

impl TryFrom<KeyRecord> for ApiKey {
    type Error = WireError;
    fn try_from(record: KeyRecord) -> Result<Self, WireError> {
        let previous = match record.previous_secret_hash.as_slice() {
            [] => None,
            hash => Some(PreviousSecret {
                hash: secret_hash("previous_secret_hash", hash)?,
                expires_at: time("previous_expires_at", record.previous_expires_at)?,
            }),
        };
        Ok(Self {
            role: role(record.role())?,
            id: field("id", KeyId::parse(&record.id))?,
            workspace: field("workspace", WorkspaceId::parse(&record.workspace))?,
            name: record.name,
            scopes: permissions(&record.scopes),
            secret_hash: secret_hash("secret_hash", &record.secret_hash)?,
            previous,
            created_at: time("created_at", record.created_at)?,
            expires_at: optional_time("expires_at", record.expires_at)?,
            revoked_at: optional_time("revoked_at", record.revoked_at)?,
        })
    }
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ClaimRecord {
    #[prost(uint32, tag = "1")]
    pub(super) major: u32,
    #[prost(string, tag = "2")]
    workspace: String,
    #[prost(message, optional, tag = "3")]
    domain: Option<DomainRecord>,
    #[prost(string, tag = "4")]
    token: String,
    #[prost(int64, optional, tag = "5")]
    ended_at: Option<i64>,
}

impl From<&DomainClaim> for ClaimRecord {
    fn from(claim: &DomainClaim) -> Self {
        Self {
            major: MAJOR,
            workspace: claim.workspace.to_string(),
            domain: Some(DomainRecord::from(&claim.domain)),
            token: claim.token.clone(),
            ended_at: claim.ended_at.map(Timestamp::as_microsecond),
        }
    }
}

impl TryFrom<ClaimRecord> for DomainClaim {
    type Error = WireError;
    fn try_from(record: ClaimRecord) -> Result<Self, WireError> {
        // An empty token would be proven by an empty record.
        if record.token.is_empty() {
            return Err(unspecified("token"));
        }
        let domain = record.domain.ok_or_else(|| unspecified("domain"))?;
        Ok(Self {
            workspace: field("workspace", WorkspaceId::parse(&record.workspace))?,
            domain: domain.try_into()?,
            token: record.token,
            ended_at: optional_time("ended_at", record.ended_at)?,
        })
    }
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct UserRecord {
    #[prost(uint32, tag = "1")]
    pub(super) major: u32,
    #[prost(string, tag = "2")]
    id: String,
    #[prost(string, tag = "3")]
    workspace: String,
    #[prost(string, tag = "4")]
    email: String,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(enumeration = "RoleRecord", tag = "6")]
    role: i32,
    #[prost(string, tag = "7")]
    password_hash: String,
    #[prost(int64, tag = "8")]
    created_at: i64,
    #[prost(int64, optional, tag = "9")]
    removed_at: Option<i64>,
}

impl From<&User> for UserRecord {
    fn from(user: &User) -> Self {
        Self {
            major: MAJOR,
            id: user.id.to_string(),
            workspace: user.workspace.to_string(),
            email: user.email.to_string(),
            name: user.name.clone(),
            role: RoleRecord::from(user.role).into(),
            password_hash: user.password.0.clone(),
            created_at: user.created_at.as_microsecond(),
            removed_at: user.removed_at.map(Timestamp::as_microsecond),
        }
    }
}

impl TryFrom<UserRecord> for User {
    type Error = WireError;
    fn try_from(record: UserRecord) -> Result<Self, WireError> {
        Ok(Self {
            role: role(record.role())?,
            id: field("id", UserId::parse(&record.id))?,
            workspace: field("workspace", WorkspaceId::parse(&record.workspace))?,
            email: field("email", Email::parse(&record.email))?,
            name: record.name,
            password: PasswordHash(record.password_hash),
            created_at: time("created_at", record.created_at)?,
            removed_at: optional_time("removed_at", record.removed_at)?,
        })
    }
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct InvitationRecord {
    #[prost(uint32, tag = "1")]
    pub(super) major: u32,
    #[prost(string, tag = "2")]
    id: String,
    #[prost(string, tag = "3")]
    workspace: String,
    #[prost(string, tag = "4")]
    email: String,
    #[prost(enumeration = "RoleRecord", tag = "5")]
    role: i32,
    #[prost(bytes = "vec", tag = "6")]
    token_hash: Vec<u8>,
    #[prost(string, tag = "7")]
    invited_by: String,
    #[prost(int64, tag = "8")]
    created_at: i64,
    #[prost(int64, tag = "9")]
    expires_at: i64,
    #[prost(int64, optional, tag = "10")]
    ended_at: Option<i64>,
}

impl From<&Invitation> for InvitationRecord {
    fn from(invitation: &Invitation) -> Self {
        Self {
            major: MAJOR,
            id: invitation.id.to_string(),
            workspace: invitation.workspace.to_string(),
            email: invitation.email.to_string(),
            role: RoleRecord::from(invitation.role).into(),
            token_hash: invitation.token_hash.0.to_vec(),
            invited_by: invitation.invited_by.clone(),
            created_at: invitation.created_at.as_microsecond(),
            expires_at: invitation.expires_at.as_microsecond(),
            ended_at: invitation.ended_at.map(Timestamp::as_microsecond),
        }
    }
}

impl TryFrom<InvitationRecord> for Invitation {
    type Error = WireError;
    fn try_from(record: InvitationRecord) -> Result<Self, WireError> {
        Ok(Self {
            role: role(record.role())?,
            id: field("id", InvitationId::parse(&record.id))?,
            workspace: field("workspace", WorkspaceId::parse(&record.workspace))?,
            email: field("email", Email::parse(&record.email))?,
            token_hash: secret_hash("token_hash", &record.token_hash)?,
            invited_by: record.invited_by,
            created_at: time("created_at", record.created_at)?,
            expires_at: time("expires_at", record.expires_at)?,
            ended_at: optional_time("ended_at", record.ended_at)?,
        })
    }
}

fn words(permissions: Permissions) -> Vec<String> {
    permissions.iter().map(|one| one.to_string()).collect()
}

/// A permission that this build does not know is one that it has not to give; the others are no more for it.
fn permissions(words: &[String]) -> Option<Permissions> {
    let known = words
        .iter()
        .filter_map(|word| word.parse::<Permission>().ok());
    (!words.is_empty()).then(|| known.collect())
}

fn secret_hash(name: &'static str, bytes: &[u8]) -> Result<SecretHash, WireError> {
    let hash = <[u8; 32]>::try_from(bytes).map_err(|_| WireError::Field {
        field: name,
        reason: "not 32 bytes".into(),
    })?;
    Ok(SecretHash(hash))
}

pub(super) fn optional_time(
    name: &'static str,
    microseconds: Option<i64>,
) -> Result<Option<Timestamp>, WireError> {
    microseconds.map(|at| time(name, at)).transpose()
}
