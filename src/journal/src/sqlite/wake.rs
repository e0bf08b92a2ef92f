//! Wakes this process's followers as soon as something has been committed.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

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

    /// Commits until now. Taken before reading, so that one between the reading and the waiting is not missed.
    pub(crate) fn seen(&self) -> u64 {
        *self.commits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a commit after `seen`, at most `wait`.
    pub(crate) fn wait_after(&self, seen: u64, wait: Duration) {
        let commits = self.commits.lock().unwrap_or_else(PoisonError::into_inner);
        // Woken or not, the reader looks again: the outcome does not matter.
        drop(
            self.changed
                .wait_timeout_while(commits, wait, |commits| *commits == seen),
        );
    }
}
