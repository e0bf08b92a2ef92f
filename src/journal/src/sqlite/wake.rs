//! Wakes this process's followers as soon as something has been committed.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Counts commits; whoever has seen fewer has something to read.
#[derive(Debug, Default)]
pub(crate) struct Wake {
    commits: Mutex<u64>,
    changed: Condvar,
}

impl Wake {
    /// Tells every waiter of a commit.
    pub(crate) fn notify(&self) {
        *self.commits.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.changed.notify_all();
    }

    /// What `look` finds, which is asked again after each commit, and every `poll` for those of other processes; none within `wait`.
    pub(crate) fn next<T>(
        &self,
        wait: Duration,
        poll: Duration,
        mut look: impl FnMut() -> Option<T>,
    ) -> Option<T> {
        let deadline = Instant::now() + wait;
        loop {
            // Before the look, so that a commit between that and the waiting is not missed.
            let seen = *self.commits.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(found) = look() {
                return Some(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            self.wait_after(seen, left.min(poll));
        }
    }

    /// Waits for a commit after `seen`, at most `wait`.
    fn wait_after(&self, seen: u64, wait: Duration) {
        let commits = self.commits.lock().unwrap_or_else(PoisonError::into_inner);
        // Woken or not, the reader looks again: the outcome does not matter.
        drop(
            self.changed
                .wait_timeout_while(commits, wait, |commits| *commits == seen),
        );
    }
}
