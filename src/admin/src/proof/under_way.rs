//! How many proofs are looked for at a time: one of a workspace's, so that none takes the places of the others, and so many altogether.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tags::WorkspaceId;

/// The most at a time. Each may hold a connection for as long as it is waited for.
const MOST: usize = 8;

/// Whose proofs are being looked for.
#[derive(Clone, Default)]
pub(crate) struct ProofsUnderWay(Arc<Mutex<HashSet<WorkspaceId>>>);

/// A workspace's place among them, until it is dropped.
pub(crate) struct ProofUnderWay {
    all: ProofsUnderWay,
    workspace: WorkspaceId,
}

impl ProofsUnderWay {
    /// A place for the workspace; none while it has one, or all are taken.
    pub(crate) fn begin(&self, workspace: &WorkspaceId) -> Option<ProofUnderWay> {
        let mut workspaces = self.workspaces();
        if workspaces.len() >= MOST || !workspaces.insert(workspace.clone()) {
            return None;
        }
        Some(ProofUnderWay {
            all: self.clone(),
            workspace: workspace.clone(),
        })
    }

    /// What is in it is changed in one step, so that a panic elsewhere does it no harm.
    fn workspaces(&self) -> MutexGuard<'_, HashSet<WorkspaceId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ProofUnderWay {
    fn drop(&mut self) {
        self.all.workspaces().remove(&self.workspace);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace(number: usize) -> WorkspaceId {
        WorkspaceId::parse(&format!("ws_{number}")).unwrap()
    }

    #[test]
    fn a_workspace_has_one_place_and_all_together_have_eight() {
        let proofs = ProofsUnderWay::default();
        let first = proofs.begin(&workspace(0)).unwrap();
        assert!(proofs.begin(&workspace(0)).is_none());
        let others: Vec<_> = (1..MOST)
            .map(|number| proofs.begin(&workspace(number)).unwrap())
            .collect();
        assert!(proofs.begin(&workspace(MOST)).is_none());
        drop(first);
        assert!(proofs.begin(&workspace(MOST)).is_some());
        drop(others);
        assert!(proofs.workspaces().is_empty());
    }
}
