//! Readiness: named checks that roles set, and draining. How it is served is left to [`crate::ops`].

use std::sync::Arc;

use serde::Serialize;
use tokio::sync::watch;

/// The process's checks, shared by its roles.
///
/// It is ready when there is at least one check, all are ready, and it is not draining.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<watch::Sender<State>>);

#[derive(Debug, Default)]
struct State {
    checks: Vec<CheckState>,
    draining: bool,
}

/// One named check, for whoever knows its state.
#[derive(Debug, Clone)]
pub struct Check {
    health: Health,
    index: usize,
}

/// A check as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckState {
    /// What is checked, as `table`.
    pub name: String,
    /// Whether it allows traffic.
    pub ready: bool,
    /// Why not; none while ready.
    pub reason: Option<String>,
}

/// All checks as they stand together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// Whether traffic should be sent here.
    pub ready: bool,
    /// The checks in the order in which they were registered; draining, or that there is none, is one too.
    pub checks: Vec<CheckState>,
}

impl Health {
    /// No checks yet, so not ready.
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers a check, not ready until it says so. Checks are never removed: register once, at start.
    pub fn check(&self, name: impl Into<String>) -> Check {
        let mut index = 0;
        self.0.send_modify(|state| {
            index = state.checks.len();
            state.checks.push(CheckState::not_ready(name, "starting"));
        });
        Check {
            health: self.clone(),
            index,
        }
    }

    /// Says for good that the process is about to end, so that load balancers turn away before it closes.
    pub fn draining(&self) {
        self.0.send_modify(|state| state.draining = true);
    }

    /// The checks as they stand.
    pub fn readiness(&self) -> Readiness {
        self.0.borrow().readiness()
    }

    /// Waits until the process is ready.
    pub async fn until_ready(&self) {
        let mut state = self.0.subscribe();
        // Fails only without a sender, which is `self`.
        let _ = state.wait_for(|state| state.readiness().ready).await;
    }
}

impl State {
    fn readiness(&self) -> Readiness {
        let mut checks = self.checks.clone();
        if self.draining {
            checks.push(CheckState::not_ready(
                "draining",
                "the process is about to end",
            ));
        }
        if checks.is_empty() {
            checks.push(CheckState::not_ready("start", "no role has started yet"));
        }
        Readiness {
            ready: checks.iter().all(|check| check.ready),
            checks,
        }
    }
}

impl Check {
    /// Allows traffic.
    pub fn ready(&self) {
        self.set(true, None);
    }

    /// Refuses traffic, in words an operator understands: `loading tags: 12,000 so far`.
    pub fn not_ready(&self, reason: impl Into<String>) {
        self.set(false, Some(reason.into()));
    }

    fn set(&self, ready: bool, reason: Option<String>) {
        self.health.0.send_modify(|state| {
            let check = &mut state.checks[self.index];
            (check.ready, check.reason) = (ready, reason);
        });
    }
}

impl CheckState {
    fn not_ready(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ready: false,
            reason: Some(reason.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_without_checks_is_not_ready() {
        let readiness = Health::new().readiness();
        assert!(!readiness.ready);
        assert_eq!(
            readiness.checks,
            [CheckState::not_ready("start", "no role has started yet")]
        );
    }

    #[test]
    fn every_check_has_to_be_ready() {
        let health = Health::new();
        let (table, journal) = (health.check("table"), health.check("journal"));
        assert_eq!(
            health.readiness().checks[0],
            CheckState::not_ready("table", "starting")
        );
        table.ready();
        assert!(!health.readiness().ready);
        journal.ready();
        assert!(health.readiness().ready);
        table.clone().not_ready("loading tags: 12,000 so far");
        let readiness = health.readiness();
        assert!(!readiness.ready);
        assert_eq!(
            readiness.checks[0],
            CheckState::not_ready("table", "loading tags: 12,000 so far")
        );
        assert_eq!(
            readiness.checks[1],
            CheckState {
                name: "journal".into(),
                ready: true,
                reason: None
            }
        );
    }

    #[tokio::test]
    async fn who_waits_until_it_is_ready_hears_when_the_last_check_is() {
        let health = Health::new();
        let (table, journal) = (health.check("table"), health.check("journal"));
        let waiting = tokio::spawn({
            let health = health.clone();
            async move { health.until_ready().await }
        });
        table.ready();
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        journal.ready();
        waiting.await.unwrap();
    }

    #[test]
    fn draining_is_for_good() {
        let health = Health::new();
        let table = health.check("table");
        table.ready();
        health.clone().draining();
        table.ready();
        let readiness = health.readiness();
        assert!(!readiness.ready);
        assert_eq!(
            readiness.checks[1],
            CheckState::not_ready("draining", "the process is about to end")
        );
    }
}
