//! Who is asking, by the cookie that signing in has set.

use axum::http::{HeaderMap, Method, StatusCode, header};
use cookie::Cookie;
use tags::{SecretHash, User};

use super::Session;
use crate::auth::hash_secret;
use crate::index::Tenant;
use crate::problem::Problem;
use crate::service::Admin;

/// The prefix makes browsers keep to what is said of it: this host alone, all of its paths, over HTTPS (RFC 6265bis §4.1.3.2).
pub(crate) const COOKIE: &str = "__Host-tagwire-session";
/// Where a write says that the page that signed in has sent it.
const CSRF_TOKEN: &str = "x-csrf-token";

/// A user and their session.
#[derive(Clone)]
pub(crate) struct SignedIn {
    pub(crate) user: User,
    pub(crate) session: Session,
}

impl SignedIn {
    /// 401 without a session of someone who is still a user; 403 for a write without the session's token.
    pub(crate) fn find(
        admin: &Admin,
        method: &Method,
        headers: &HeaderMap,
    ) -> Result<Self, Problem> {
        let token = session_token(headers).ok_or_else(not_signed_in)?;
        let signed_in = Self::by_token(admin, &hash_secret(&token))?;
        if !method.is_safe() && !has_token(headers, &signed_in.session) {
            let detail = "A write needs the session's csrf_token as X-CSRF-Token.";
            return Err(Problem::new(StatusCode::FORBIDDEN, detail));
        }
        Ok(signed_in)
    }

    /// Who has signed in, by a token that hashes to this. 401 when the session or the user is no more.
    pub(crate) fn by_token(admin: &Admin, token_hash: &SecretHash) -> Result<Self, Problem> {
        let session = admin.sessions().find(token_hash, admin.now());
        let user = match &session {
            Some(session) => {
                let tenant = Tenant::new(admin.index().clone(), session.workspace.clone());
                tenant.user(session.user.as_str())?
            }
            None => None,
        };
        let (Some(session), Some(user)) = (session, user) else {
            return Err(not_signed_in());
        };
        Ok(Self { user, session })
    }
}

fn not_signed_in() -> Problem {
    Problem::unauthorized("You are not signed in, or no longer: POST /api/v1/session.")
}

/// The token in a request's session cookie.
pub(crate) fn session_token(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(header::COOKIE).iter();
    let mut cookies = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(Cookie::split_parse)
        .filter_map(Result::ok);
    let found = cookies.find(|cookie| cookie.name() == COOKIE)?;
    Some(found.value().to_owned())
}

/// Hashes are compared, so that the time it takes says nothing of the token.
fn has_token(headers: &HeaderMap, session: &Session) -> bool {
    let given = headers
        .get(CSRF_TOKEN)
        .and_then(|value| value.to_str().ok());
    given.is_some_and(|given| hash_secret(given) == hash_secret(&session.csrf_token))
}
