//! Who is asking, and what they may do.

use axum::extract::FromRequestParts;
use axum::http::{StatusCode, header, request::Parts};
use sha2::{Digest, Sha256};
use tags::{KeyId, Role, SecretHash, WorkspaceId};

use crate::codes::random_text;
use crate::idempotency::Seal;
use crate::problem::Problem;
use crate::service::Admin;

/// Marks a secret as Tagwire's, for people and for scanners of leaked secrets.
const SECRET_PREFIX: &str = "tagwire_";
const SECRET_ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// 43 characters of 62 are 256 bits.
const SECRET_LENGTH: usize = 43;

/// A new secret. It is shown once and only its hash is kept.
pub fn random_secret() -> Result<String, getrandom::Error> {
    Ok(format!(
        "{SECRET_PREFIX}{}",
        random_text(SECRET_ALPHABET, SECRET_LENGTH)?
    ))
}

/// What is kept of a secret.
pub fn hash_secret(secret: &str) -> SecretHash {
    SecretHash(Sha256::digest(secret.as_bytes()).into())
}

/// The holder of a valid key, in the one workspace that it opens.
#[derive(Clone, Debug)]
pub struct Principal {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The role there.
    pub role: Role,
    /// The key.
    pub key: KeyId,
    /// From where the request came.
    pub remote: String,
    /// What seals that which only this client may read again.
    pub(crate) seal: Seal,
}

impl Principal {
    /// 403 unless the role is this one or one that includes it.
    pub fn require(&self, role: Role) -> Result<(), Problem> {
        if self.role >= role {
            return Ok(());
        }
        Err(forbidden(&format!(
            "This needs the role {}; the key has {}.",
            role.as_str(),
            self.role.as_str()
        )))
    }

    /// 403 unless this is an owner of the workspace `default`, which runs the installation.
    pub fn require_operator(&self) -> Result<(), Problem> {
        if self.role == Role::Owner && self.workspace == WorkspaceId::default_workspace() {
            return Ok(());
        }
        Err(forbidden(
            "This needs an owner's key of the workspace 'default'.",
        ))
    }
}

impl FromRequestParts<Admin> for Principal {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, admin: &Admin) -> Result<Self, Problem> {
        admin.require_ready()?;
        let Some(authorization) = parts.headers.get(header::AUTHORIZATION) else {
            return Err(Problem::unauthorized(
                "Send an API key: 'Authorization: Bearer KEY'.",
            ));
        };
        let secret = authorization.to_str().ok().and_then(bearer_token);
        // The hash is what is compared, so that the time it takes says nothing of the secret.
        let key = secret
            .map(|secret| admin.index().key_by_secret(&hash_secret(secret)))
            .transpose()?
            .flatten();
        let key = key.filter(|key| key.revoked_at.is_none());
        let (Some(secret), Some(key)) = (secret, key) else {
            return Err(Problem::unauthorized(
                "This key is not valid, or was revoked.",
            ));
        };
        let remote = parts
            .extensions
            .get::<axum::extract::ConnectInfo<std::net::SocketAddr>>();
        let remote = remote.map_or_else(String::new, |address| address.0.ip().to_string());
        Ok(Self {
            workspace: key.workspace,
            role: key.role,
            key: key.id,
            remote,
            seal: Seal::of(secret),
        })
    }
}

fn bearer_token(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    // Schemes are case-insensitive, RFC 9110 §11.1.
    let is_bearer = scheme.eq_ignore_ascii_case("bearer");
    Some(token.trim()).filter(|token| is_bearer && !token.is_empty())
}

fn forbidden(detail: &str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_long_and_recognisable_and_its_hash_is_sha_256() {
        let secret = random_secret().expect("random");
        assert_eq!(secret.len(), SECRET_PREFIX.len() + SECRET_LENGTH);
        assert!(secret.starts_with(SECRET_PREFIX));
        assert_ne!(secret, random_secret().expect("random"));
        // FIPS 180-4's example of "abc".
        assert_eq!(hash_secret("abc").0[..4], [0xba, 0x78, 0x16, 0xbf]);
    }

    #[test]
    fn a_bearer_token_is_found_in_any_case_of_the_scheme() {
        assert_eq!(bearer_token("Bearer x"), Some("x"));
        assert_eq!(bearer_token("bearer  x "), Some("x"));
        assert_eq!(bearer_token("Basic x"), None);
        for none in ["Bearer", "Bearer ", "Bearer   ", ""] {
            assert_eq!(bearer_token(none), None, "{none:?}");
        }
    }
}
