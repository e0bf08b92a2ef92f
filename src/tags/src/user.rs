//! Who may sign in: people of a workspace, and those who are invited to it. Only the admin reads these.

use std::fmt;
use std::str::FromStr;

use email_address::{EmailAddress, Options};
use jiff::Timestamp;

use crate::{InvalidValue, InvitationId, Permissions, Role, SecretHash, UserId, WorkspaceId};

/// An e-mail address in lower case: there is no provider that tells two people apart by the case of theirs, and people write it as they like.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Email(Box<str>);

impl Email {
    /// The longest address, in bytes (RFC 5321 §4.5.3.1.3, less the brackets of a path).
    pub const MAX_LEN: usize = 254;

    /// An address (RFC 5322 §3.4.1) at a domain with a dot, without a display name.
    pub fn parse(text: &str) -> Result<Self, InvalidValue> {
        let refused = || {
            InvalidValue::new(
                "e-mail address",
                text,
                "one such as ada@example.com, of at most 254 bytes",
            )
        };
        if text.len() > Self::MAX_LEN {
            return Err(refused());
        }
        let options = Options::default()
            .with_required_tld()
            .without_display_text()
            .without_domain_literal();
        let address = EmailAddress::parse_with_options(text, options).map_err(|_| refused())?;
        Ok(Self(address.as_str().to_lowercase().into()))
    }

    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Email {
    type Err = InvalidValue;
    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        Self::parse(text)
    }
}

/// What is kept of a password: an Argon2id hash with its salt and costs, as a PHC string.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(pub String);

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

/// A person in one workspace. Who works in two is two users, so that neither workspace learns of the other.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    /// Its identifier.
    pub id: UserId,
    /// The workspace.
    pub workspace: WorkspaceId,
    /// Unique in the workspace.
    pub email: Email,
    /// For people.
    pub name: String,
    /// What they may do there.
    pub role: Role,
    /// What the password must hash to.
    pub password: PasswordHash,
    /// When the invitation was accepted.
    pub created_at: Timestamp,
    /// Since when they are no longer of the workspace.
    pub removed_at: Option<Timestamp>,
}

impl User {
    /// What they may do in their workspace.
    pub fn permissions(&self) -> Permissions {
        Permissions::of(self.role).within(&self.workspace)
    }
}

/// A person who may become a user by a token that was shown once.
#[derive(Clone, Debug, PartialEq)]
pub struct Invitation {
    /// Its identifier.
    pub id: InvitationId,
    /// The workspace.
    pub workspace: WorkspaceId,
    /// Who is invited.
    pub email: Email,
    /// What they will be.
    pub role: Role,
    /// What the token must hash to.
    pub token_hash: SecretHash,
    /// The key or user that invites.
    pub invited_by: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it cannot be accepted.
    pub expires_at: Timestamp,
    /// Since when it is over: accepted, withdrawn, or replaced by another.
    pub ended_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_mailbox_at_a_domain_in_any_case() {
        for (text, expected) in [
            ("ada@example.com", "ada@example.com"),
            (
                "Ada.Lovelace+qr@Mail.Example.COM",
                "ada.lovelace+qr@mail.example.com",
            ),
            ("o'brien@example.co.uk", "o'brien@example.co.uk"),
        ] {
            assert_eq!(Email::parse(text).unwrap().as_str(), expected);
        }
        let long = format!("{}@example.com", "x".repeat(300));
        for text in [
            "",
            "ada",
            "ada@",
            "@example.com",
            "ada@localhost",
            "ada@[192.0.2.1]",
            "Ada <ada@example.com>",
            "ada@example.com, bob@example.com",
            " ada@example.com",
            "ada@example.com\r\nBcc: bob@example.com",
            "a b@example.com",
            &long,
        ] {
            assert!(Email::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn no_hash_is_shown() {
        let hash = PasswordHash("$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA".to_owned());
        assert_eq!(format!("{hash:?}"), "PasswordHash(..)");
    }
}
