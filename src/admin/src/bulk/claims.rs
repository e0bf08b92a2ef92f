//! Names of tags that a job makes or changes just now, which others keep their hands off until it can be seen what became of them.
//!
//! An edit of one tag holds a lock instead. A job of thousands of tags would have to hold all locks there are, and every edit would wait.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// All claims of the process.
#[derive(Clone, Default)]
pub(crate) struct Claims(Arc<Shared>);

#[derive(Default)]
struct Shared {
    keys: Mutex<HashSet<Arc<str>>>,
    released: Notify,
}

/// One job's claim, until it is dropped.
pub(crate) struct Claim {
    shared: Arc<Shared>,
    keys: Vec<Arc<str>>,
}

impl Claims {
    /// Whether the tag under this name is claimed.
    pub(crate) fn contains(&self, key: &str) -> bool {
        self.0.keys().contains(key)
    }

    /// Claims all of these, each of which is given once, when nobody else does.
    pub(crate) async fn claim(&self, keys: Vec<Arc<str>>) -> Claim {
        loop {
            let mut released = pin!(self.0.released.notified());
            // From here on no release is missed.
            released.as_mut().enable();
            if self.0.take(&keys) {
                let shared = Arc::clone(&self.0);
                return Claim { shared, keys };
            }
            released.await;
        }
    }

    /// Waits until the tag under this name is not claimed.
    pub(crate) async fn released(&self, key: &str) {
        loop {
            let mut released = pin!(self.0.released.notified());
            released.as_mut().enable();
            if !self.contains(key) {
                return;
            }
            released.await;
        }
    }
}

impl Shared {
    fn keys(&self) -> std::sync::MutexGuard<'_, HashSet<Arc<str>>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All or none.
    fn take(&self, keys: &[Arc<str>]) -> bool {
        let mut claimed = self.keys();
        let free = keys.iter().all(|key| !claimed.contains(key));
        if free {
            claimed.extend(keys.iter().cloned());
        }
        free
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut claimed = self.shared.keys();
        for key in &self.keys {
            claimed.remove(key);
        }
        drop(claimed);
        self.shared.released.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Vec<Arc<str>> {
        text.split(' ').map(Arc::from).collect()
    }

    #[tokio::test]
    async fn what_is_claimed_is_had_by_one_at_a_time() {
        let claims = Claims::default();
        let first = claims.claim(keys("a b")).await;
        let other = claims.claim(keys("c")).await;
        let waiting = tokio::spawn({
            let claims = claims.clone();
            async move {
                let _second = claims.claim(keys("b d")).await;
                assert!(claims.contains("d") && !claims.contains("a"));
            }
        });
        tokio::task::yield_now().await;
        assert!(claims.contains("a") && !claims.contains("d"));
        drop(other);
        tokio::task::yield_now().await;
        assert!(!claims.contains("d"), "all or none");
        drop(first);
        waiting.await.unwrap();
        claims.released("b").await;
        assert!(claims.0.keys().is_empty());
    }
}
