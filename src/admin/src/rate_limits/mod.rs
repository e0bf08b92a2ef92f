//! How many requests a key or a user, and all of a workspace together, may make in a second. What is beyond is answered 429.
//!
//! Who is asking has been proven by then. A request that proves nothing is refused for that, and not counted: a secret is too long to be
//! guessed, and behind a proxy all clients have one address.

mod table;

use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use axum::http::HeaderName;
use tags::WorkspaceId;

pub(crate) use self::table::{Rate, Table};
use crate::auth::Actor;
use crate::index::Tenant;
use crate::problem::Problem;
use crate::service::Admin;

/// Who may make only so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RateLimit {
    Key,
    User,
    Workspace,
}

impl RateLimit {
    fn of(actor: &Actor) -> Self {
        match actor {
            Actor::Key(_) => Self::Key,
            Actor::User(_) => Self::User,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::User => "user",
            Self::Workspace => "workspace",
        }
    }
}

/// A limit that is exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exceeded {
    limit: RateLimit,
    per_second: NonZeroU32,
}

impl Exceeded {
    /// What to tell whoever has asked.
    pub(crate) fn detail(self) -> String {
        let (limit, most) = (self.limit.as_str(), self.per_second);
        format!("This {limit} may make at most {most} requests in a second; try again in 1 s.")
    }

    /// `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-11 §3 and §4): so many in a window of one second, of which
    /// there is nothing left for a second, within which the next is let through.
    pub(crate) fn fields(self) -> [(HeaderName, String); 2] {
        let (limit, most) = (self.limit.as_str(), self.per_second);
        [
            (
                HeaderName::from_static("ratelimit-policy"),
                format!("\"{limit}\";q={most};w=1"),
            ),
            (
                HeaderName::from_static("ratelimit"),
                format!("\"{limit}\";r=0;t=1"),
            ),
        ]
    }
}

/// Requests, by who makes them.
#[derive(Default)]
pub(crate) struct RateLimiter(Mutex<Tables>);

#[derive(Default)]
struct Tables {
    actors: Table,
    workspaces: Table,
}

impl RateLimiter {
    /// Counts a request; else says which limit it exceeds. What exceeds the actor's does not count for the workspace, so that one key takes
    /// from the others no more than it may have. No rate: as many as come.
    fn begin(
        &self,
        (actor, of_actor): (&Actor, Option<NonZeroU32>),
        (workspace, of_workspace): (&WorkspaceId, Option<NonZeroU32>),
        now: Instant,
    ) -> Result<(), Exceeded> {
        let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(per_second) = of_actor {
            let limit = RateLimit::of(actor);
            let taken = (tables.actors).take(actor.as_str(), Rate::per_second(per_second), now);
            taken.map_err(|_| Exceeded { limit, per_second })?;
        }
        if let Some(per_second) = of_workspace {
            let limit = RateLimit::Workspace;
            let rate = Rate::per_second(per_second);
            let taken = tables.workspaces.take(workspace.as_str(), rate, now);
            taken.map_err(|_| Exceeded { limit, per_second })?;
        }
        Ok(())
    }
}

impl Admin {
    /// Counts a request of whoever has proven to be the actor; 429 beyond what they, or all of their workspace, may make.
    pub(crate) fn admit(&self, actor: &Actor, workspace: &WorkspaceId) -> Result<(), Problem> {
        let settings = Tenant::new(self.index().clone(), workspace.clone()).workspace()?;
        let of_workspace = settings.and_then(|settings| settings.limits.api_requests_per_second);
        let begun = self.rate_limiter().begin(
            (actor, self.options().requests_per_second),
            (workspace, of_workspace.and_then(NonZeroU32::new)),
            Instant::now(),
        );
        begun.map_err(Problem::rate_limited)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tags::{KeyId, UserId};

    use super::*;

    fn key(id: &str) -> Actor {
        Actor::Key(KeyId::parse(id).unwrap())
    }

    fn per_second(most: u32) -> Option<NonZeroU32> {
        NonZeroU32::new(most)
    }

    #[test]
    fn a_key_has_its_own_limit_until_all_of_the_workspace_have_reached_theirs() {
        let (limiter, now) = (RateLimiter::default(), Instant::now());
        let (ours, theirs) = (
            WorkspaceId::parse("ws_ours").unwrap(),
            WorkspaceId::parse("ws_theirs").unwrap(),
        );
        let ask = |actor: &Actor, now| {
            limiter.begin((actor, per_second(10)), (&ours, per_second(25)), now)
        };
        let let_through = |actor: &Actor, now| {
            let asked = (0..100).filter(|_| ask(actor, now).is_ok());
            asked.count()
        };
        let (first, second, third) = (key("key_1"), key("key_2"), key("key_3"));
        assert_eq!(let_through(&first, now), 10);
        let refused = ask(&first, now).unwrap_err();
        assert_eq!(
            (refused.limit, refused.per_second.get()),
            (RateLimit::Key, 10)
        );
        // Ninety of the first key's requests were refused, and have taken nothing from the others.
        assert_eq!(let_through(&second, now), 10);
        assert_eq!(let_through(&third, now), 5);
        let user = Actor::User(UserId::parse("user_1").unwrap());
        let refused = ask(&user, now).unwrap_err();
        assert_eq!(
            (refused.limit, refused.per_second.get()),
            (RateLimit::Workspace, 25)
        );
        let other = limiter.begin((&key("key_4"), per_second(10)), (&theirs, None), now);
        other.unwrap();
        let later = now + Duration::from_secs(1);
        assert_eq!(let_through(&first, later), 10);
    }

    #[test]
    fn without_a_limit_there_are_as_many_as_come() {
        let (limiter, now) = (RateLimiter::default(), Instant::now());
        let workspace = WorkspaceId::default_workspace();
        for _ in 0..100_000 {
            let begun = limiter.begin((&key("key_1"), None), (&workspace, None), now);
            begun.unwrap();
        }
    }
}
