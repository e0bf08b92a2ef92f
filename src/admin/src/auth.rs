//! Who is asking, and what they may do.

use std::convert::Infallible;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::http::{Extensions, HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts};
use axum::middleware::Next;
use axum::response::Response;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tags::{KeyId, OpenedBy, Permission, Permissions, SecretHash, User, UserId, WorkspaceId};

use crate::codes::random_text;
use crate::idempotency::Seal;
use crate::index::{IndexError, Tenant};
use crate::problem::Problem;
use crate::service::Admin;
use crate::sessions::{SignedIn, session_token};

/// Marks a secret as Tagwire's, for people and for scanners of leaked secrets.
const SECRET_PREFIX: &str = "tagwire_";
const SECRET_ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// 43 characters of 62 are 256 bits.
const SECRET_LENGTH: usize = 43;

/// A new secret. It is shown once and only its hash is kept.
pub fn random_secret() -> Result<String, getrandom::Error> {
    Ok(format!("{SECRET_PREFIX}{}", random_token()?))
}

/// What nobody can guess.
pub fn random_token() -> Result<String, getrandom::Error> {
    random_text(SECRET_ALPHABET, SECRET_LENGTH)
}

/// What is kept of a secret.
pub fn hash_secret(secret: &str) -> SecretHash {
    SecretHash(Sha256::digest(secret.as_bytes()).into())
}

/// Whoever does something, as the audit names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A program, or a person with a key.
    Key(KeyId),
    /// A person who has signed in.
    User(UserId),
}

impl Actor {
    /// The key's or user's id, which says what of both it is.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Key(id) => id.as_str(),
            Self::User(id) => id.as_str(),
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whose request it is: the peer's, or the one's whom trusted proxies name.
#[derive(Clone, Copy, Debug)]
struct ClientAddress(IpAddr);

/// Finds out for whom proxies ask, before anything is counted or written down under the client's address.
pub(crate) async fn know_client(
    State(admin): State<Admin>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    let headers = request.headers();
    let lines = |name| headers.get_all(name).into_iter().map(HeaderValue::as_bytes);
    let proxies = &admin.options().trusted_proxies;
    let client = proxies.client(peer.ip(), lines("x-forwarded-for"), lines("forwarded"));
    request.extensions_mut().insert(ClientAddress(client));
    next.run(request).await
}

/// From where a request came, as the audit says it.
#[derive(Clone, Debug)]
pub struct Remote(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Remote {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self(remote(&parts.extensions)))
    }
}

fn remote(extensions: &Extensions) -> String {
    let client = extensions.get::<ClientAddress>();
    client.map_or_else(String::new, |client| client.0.to_string())
}

/// Who asks, and what an endpoint lets nobody do without.
#[derive(Clone, Debug)]
pub(crate) struct Asks {
    pub(crate) who: Principal,
    pub(crate) permission: Permission,
}

impl Asks {
    /// 401 or 403 where whoever was let in would not be by now, see [`Principal::by_now`].
    pub(crate) fn may_still(&self, admin: &Admin) -> Result<(), Problem> {
        self.who.by_now(admin)?.require(self.permission)
    }
}

/// What shows who somebody is, kept so that it can be looked at again.
#[derive(Clone, Debug)]
enum Proof {
    /// One of a key's secrets.
    Secret(SecretHash),
    /// A session's token.
    Session(SecretHash),
    /// None: who began a job is not asking any more.
    Job,
}

/// Who is asking, in the one workspace that this opens.
#[derive(Clone, Debug)]
pub struct Principal {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// What may be done there.
    pub permissions: Permissions,
    /// What the key may do, and not by this secret, which was replaced.
    withheld: Permissions,
    /// When the key, or the secret that was replaced, ends; none: it does not, or a person is asking.
    pub expires_at: Option<Timestamp>,
    /// Which key or user.
    pub actor: Actor,
    /// From where the request came.
    pub remote: String,
    /// What proves it.
    proof: Proof,
    /// What seals that which only this client may read again.
    pub(crate) seal: Seal,
}

impl Principal {
    /// Whoever a request's headers prove it to be from: a key's holder, or who has signed in. Else 401.
    pub fn authenticate(
        admin: &Admin,
        method: &Method,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Result<Self, Problem> {
        let Some(authorization) = headers.get(header::AUTHORIZATION) else {
            if let Some(token) = session_token(headers) {
                let SignedIn { user, .. } = SignedIn::find(admin, method, headers)?;
                let (token_hash, seal) = (hash_secret(&token), Seal::of(&token));
                return Ok(Self::of_user(user, token_hash, remote(extensions), seal));
            }
            return Err(Problem::unauthorized(
                "Send an API key: 'Authorization: Bearer KEY', or sign in.",
            ));
        };
        let secret = authorization.to_str().ok().and_then(bearer_token);
        let secret = secret.ok_or_else(ended)?;
        // The hash is what is compared, so that the time it takes says nothing of the secret.
        let hash = hash_secret(secret);
        Self::of_key(admin, hash, remote(extensions), Seal::of(secret))
    }

    /// Whoever asks, as they are by now, with no more than they had when their request came: its body may have come long after its head. 401
    /// once their key, the secret or session that they ask by, or they themselves are no more.
    pub(crate) fn by_now(&self, admin: &Admin) -> Result<Self, Problem> {
        let (remote, seal) = (self.remote.clone(), self.seal.clone());
        let now = match &self.proof {
            Proof::Secret(hash) => Self::of_key(admin, hash.clone(), remote, seal)?,
            Proof::Session(hash) => {
                let SignedIn { user, .. } = SignedIn::by_token(admin, hash)?;
                Self::of_user(user, hash.clone(), remote, seal)
            }
            Proof::Job => {
                let (workspace, actor) = (self.workspace.clone(), self.actor.as_str());
                let found = Self::of_job(admin, workspace, actor, remote)?;
                found.ok_or_else(ended)?
            }
        };
        Ok(Self {
            permissions: now.permissions.and(self.permissions),
            ..now
        })
    }

    /// The holder of a secret that hashes to this. Else 401.
    fn of_key(
        admin: &Admin,
        hash: SecretHash,
        remote: String,
        seal: Seal,
    ) -> Result<Self, Problem> {
        let key = admin.index().key_by_secret(&hash)?.ok_or_else(ended)?;
        let opened = key.opened_by(&hash, admin.now()).ok_or_else(ended)?;
        let all = key.permissions();
        let previous_end = key.previous.map(|previous| previous.expires_at);
        let (withheld, expires_at) = match opened {
            OpenedBy::Secret => (Permissions::default(), key.expires_at),
            OpenedBy::PreviousSecret => (
                all.and(Permissions::that_outlast()),
                key.expires_at.into_iter().chain(previous_end).min(),
            ),
        };
        Ok(Self {
            permissions: all.without(withheld),
            withheld,
            workspace: key.workspace,
            expires_at,
            actor: Actor::Key(key.id),
            remote,
            proof: Proof::Secret(hash),
            seal,
        })
    }

    /// Who has signed in, by a token that hashes to this.
    fn of_user(user: User, token_hash: SecretHash, remote: String, seal: Seal) -> Self {
        Self {
            permissions: user.permissions(),
            withheld: Permissions::default(),
            workspace: user.workspace,
            expires_at: None,
            actor: Actor::User(user.id),
            remote,
            proof: Proof::Session(token_hash),
            seal,
        }
    }

    /// Whoever has begun a job, as they are now; none: the key or user is no more.
    pub(crate) fn of_job(
        admin: &Admin,
        workspace: WorkspaceId,
        actor: &str,
        remote: String,
    ) -> Result<Option<Self>, IndexError> {
        let tenant = Tenant::new(Arc::clone(admin.index()), workspace.clone());
        let keys = tenant.keys()?.into_iter();
        let mut keys = keys.filter(|key| key.id.as_str() == actor && key.is_valid(admin.now()));
        let found = match keys.next() {
            Some(key) => Some((key.permissions(), key.expires_at, Actor::Key(key.id))),
            None => tenant
                .user(actor)?
                .map(|user| (user.permissions(), None, Actor::User(user.id))),
        };
        Ok(found.map(|(permissions, expires_at, actor)| Self {
            workspace,
            permissions,
            withheld: Permissions::default(),
            expires_at,
            actor,
            remote,
            proof: Proof::Job,
            // A job keeps nothing that a client alone may read.
            seal: Seal::of(""),
        }))
    }

    /// 403 without this permission.
    pub fn require(&self, permission: Permission) -> Result<(), Problem> {
        if self.permissions.contains(permission) {
            return Ok(());
        }
        let detail = if self.withheld.contains(permission) {
            format!(
                "This secret was replaced, and has {permission} no more; use the key's new one."
            )
        } else {
            format!(
                "This needs the permission {permission}; who asks has {}.",
                self.permissions
            )
        };
        Err(Problem::new(StatusCode::FORBIDDEN, detail))
    }
}

/// No endpoint without a permission knows who is asking.
#[derive(Debug, thiserror::Error)]
#[error("an endpoint asks who is asking, and is open to everyone")]
struct Unguarded;

impl FromRequestParts<Admin> for Principal {
    type Rejection = Problem;

    /// Who the endpoint's permission was judged for.
    async fn from_request_parts(parts: &mut Parts, _admin: &Admin) -> Result<Self, Problem> {
        let found = parts.extensions.remove::<Self>();
        found.ok_or_else(|| Problem::internal(&Unguarded))
    }
}

fn ended() -> Problem {
    Problem::unauthorized(
        "This key is not valid, or no longer: it was revoked, was replaced, or has expired.",
    )
}

fn bearer_token(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    // Schemes are case-insensitive, RFC 9110 §11.1.
    let is_bearer = scheme.eq_ignore_ascii_case("bearer");
    Some(token.trim()).filter(|token| is_bearer && !token.is_empty())
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
