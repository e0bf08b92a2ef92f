//! Readiness: named checks that roles set, and draining. How it is served is left to [`crate::ops`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

/// The process's checks, shared by its roles.
///
/// It is ready when there is at least one check, all are ready, and it is not draining.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<Mutex<State>>);

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
        let mut state = self.lock();
        state.checks.push(CheckState::not_ready(name, "starting"));
        Check {
            health: self.clone(),
            index: state.checks.len() - 1,
        }
    }

    /// Says for good that the process is about to end, so that load balancers turn away before it closes.
    pub fn draining(&self) {
        self.lock().draining = true;
    }

    /// The checks as they stand.
    pub fn readiness(&self) -> Readiness {
        let state = self.lock();
        let mut checks = state.checks.clone();
        if state.draining {
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

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is a single assignment, so a panic elsewhere leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        let check = &mut self.health.lock().checks[self.index];
        (check.ready, check.reason) = (ready, reason);
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
