//! How much of a kind may be under way at once: of a workspace, so that none takes all places, and in all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tags::WorkspaceId;

/// So many places, of which a workspace may have so many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) of_a_workspace: usize,
    pub(crate) in_all: usize,
}

/// Proofs of domains that are looked for: each may hold a connection for as long as it is waited for.
pub(crate) const PROOFS: Bounds = Bounds {
    of_a_workspace: 1,
    in_all: 8,
};
/// Exports that are sent: each waits for its turn at every page, behind all others.
pub(crate) const EXPORTS: Bounds = Bounds {
    of_a_workspace: 4,
    in_all: 64,
};

/// Erasures that are carried out: each may rewrite parts of the scan store.
pub(crate) const ERASURES: Bounds = Bounds {
    of_a_workspace: 1,
    in_all: 4,
};

/// Whose places are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// The workspace's.
    Workspace,
    /// All.
    All,
}

/// The places of a kind.
#[derive(Clone)]
pub(crate) struct Places {
    bounds: Bounds,
    taken: Arc<Mutex<HashMap<WorkspaceId, usize>>>,
}

/// A place that is taken, until it is dropped.
pub(crate) struct Place {
    places: Places,
    workspace: WorkspaceId,
}

impl Places {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            taken: Arc::default(),
        }
    }

    pub(crate) fn take(&self, workspace: &WorkspaceId) -> Result<Place, Full> {
        let mut taken = self.lock();
        // At most as many workspaces as places.
        let in_all: usize = taken.values().sum();
        let of_this = taken.get(workspace).copied().unwrap_or(0);
        if of_this >= self.bounds.of_a_workspace {
            return Err(Full::Workspace);
        }
        if in_all >= self.bounds.in_all {
            return Err(Full::All);
        }
        taken.insert(workspace.clone(), of_this + 1);
        Ok(Place {
            places: self.clone(),
            workspace: workspace.clone(),
        })
    }

    /// What is in it is changed in one step, so that a panic elsewhere does it no harm.
    fn lock(&self) -> MutexGuard<'_, HashMap<WorkspaceId, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        if let Some(count) = taken.get_mut(&self.workspace) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.workspace);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        of_a_workspace: 3,
        in_all: 8,
    };

    fn workspace(number: usize) -> WorkspaceId {
        WorkspaceId::parse(&format!("ws_{number}")).unwrap()
    }

    #[test]
    fn a_workspace_leaves_places_to_others_and_all_have_no_more_than_there_are() {
        let places = Places::new(BOUNDS);
        let mut taken = Vec::new();
        let mut number = 0;
        let full = loop {
            match places.take(&workspace(number)) {
                Ok(place) => taken.push(place),
                Err(Full::Workspace) => {
                    number += 1;
                    assert_eq!(taken.len(), BOUNDS.of_a_workspace * number);
                }
                Err(Full::All) => break Full::All,
            }
        };
        assert_eq!((full, taken.len()), (Full::All, BOUNDS.in_all));
        drop(taken.pop());
        taken.push(places.take(&workspace(number)).unwrap());
        assert_eq!(places.take(&workspace(number)).err(), Some(Full::All));
        taken.clear();
        assert!(places.lock().is_empty());
    }
}
