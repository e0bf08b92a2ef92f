//! Who has signed in. Sessions are in this process's memory alone: they end with it, at once when they are ended, and cost no more than so much.

mod attempts;
mod signed_in;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use tags::{SecretHash, User, UserId, WorkspaceId};

pub(crate) use self::attempts::Attempts;
pub(crate) use self::signed_in::{COOKIE, SignedIn, session_token};
use crate::auth::{hash_secret, random_token};

/// For how long one is signed in: a working day.
const LIFETIME: SignedDuration = SignedDuration::from_hours(12);
/// The most sessions, and of one user; beyond them, those that end soonest give way.
const MOST: usize = 10_000;
const MOST_OF_USER: usize = 20;

/// A person who has signed in.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) workspace: WorkspaceId,
    pub(crate) user: UserId,
    /// What has to come with every write, so that no other site makes a browser send one.
    pub(crate) csrf_token: String,
    pub(crate) expires_at: Timestamp,
}

/// All sessions, by what their tokens hash to.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<HashMap<[u8; 32], Session>>);

impl Sessions {
    /// A session of a user, and its token, which the browser keeps.
    pub(crate) fn begin(
        &self,
        user: &User,
        now: Timestamp,
    ) -> Result<(String, Session), getrandom::Error> {
        let token = random_token()?;
        let session = Session {
            workspace: user.workspace.clone(),
            user: user.id.clone(),
            csrf_token: random_token()?,
            expires_at: now.checked_add(LIFETIME).unwrap_or(now),
        };
        let mut sessions = self.all();
        sessions.retain(|_, session| now < session.expires_at);
        give_way(&mut sessions, MOST_OF_USER, |other| other.user == user.id);
        give_way(&mut sessions, MOST, |_| true);
        sessions.insert(key(&token), session.clone());
        Ok((token, session))
    }

    /// The session with a token that hashes to this, if it has not ended.
    pub(crate) fn find(&self, SecretHash(hash): &SecretHash, now: Timestamp) -> Option<Session> {
        let found = self.all().get(hash).cloned();
        found.filter(|session| now < session.expires_at)
    }

    /// Ends a session.
    pub(crate) fn end(&self, token: &str) {
        self.all().remove(&key(token));
    }

    fn all(&self) -> MutexGuard<'_, HashMap<[u8; 32], Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes room for one more among these.
fn give_way(
    sessions: &mut HashMap<[u8; 32], Session>,
    most: usize,
    among: impl Fn(&Session) -> bool,
) {
    let these = sessions.iter().filter(|(_, session)| among(session));
    let mut ends: Vec<_> = these
        .map(|(key, session)| (session.expires_at, *key))
        .collect();
    if ends.len() < most {
        return;
    }
    ends.sort_unstable();
    for (_, key) in ends.iter().take(ends.len() + 1 - most) {
        sessions.remove(key);
    }
}

fn key(token: &str) -> [u8; 32] {
    let SecretHash(hash) = hash_secret(token);
    hash
}

#[cfg(test)]
mod tests {
    use tags::{Email, PasswordHash, Role};

    use super::*;

    fn user(id: &str) -> User {
        User {
            id: UserId::parse(id).unwrap(),
            workspace: WorkspaceId::default_workspace(),
            email: Email::parse("ada@example.com").unwrap(),
            name: "Ada".to_owned(),
            role: Role::Viewer,
            password: PasswordHash(String::new()),
            created_at: Timestamp::UNIX_EPOCH,
            removed_at: None,
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn a_session_is_found_by_its_token_until_it_ends() {
        let sessions = Sessions::default();
        let (token, begun) = sessions.begin(&user("user_1"), at(0)).unwrap();
        let (other, _) = sessions.begin(&user("user_1"), at(0)).unwrap();
        let found = sessions.find(&hash_secret(&token), at(43_199)).unwrap();
        assert_eq!(found.csrf_token, begun.csrf_token);
        assert!(sessions.find(&hash_secret(&token), at(43_200)).is_none());
        assert!(sessions.find(&hash_secret("guessed"), at(0)).is_none());
        sessions.end(&token);
        assert!(sessions.find(&hash_secret(&token), at(1)).is_none());
        assert!(sessions.find(&hash_secret(&other), at(1)).is_some());
    }

    #[test]
    fn a_user_who_signs_in_for_ever_has_so_many_sessions_and_takes_nobody_else_s() {
        let sessions = Sessions::default();
        let (ada, _) = sessions.begin(&user("ada"), at(0)).unwrap();
        let mut of_bob = Vec::new();
        for second in 0..50 {
            of_bob.push(sessions.begin(&user("bob"), at(second)).unwrap().0);
        }
        let alive = |token: &String| sessions.find(&hash_secret(token), at(50)).is_some();
        let left: Vec<_> = of_bob.iter().map(alive).collect();
        assert_eq!(left, [vec![false; 30], vec![true; 20]].concat());
        assert!(alive(&ada));
        assert_eq!(sessions.all().len(), 21);
    }

    #[test]
    fn what_has_ended_is_forgotten_when_another_begins() {
        let sessions = Sessions::default();
        sessions.begin(&user("ada"), at(0)).unwrap();
        sessions.begin(&user("bob"), at(43_200)).unwrap();
        assert_eq!(sessions.all().len(), 1);
    }
}
