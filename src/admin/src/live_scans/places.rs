//! How many may watch at once: of a workspace, so that none takes all places, and in all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tags::WorkspaceId;

use super::lock;

/// Places of a workspace: a few dashboards, each with some charts.
const OF_A_WORKSPACE: usize = 32;
/// Places in all. As many subjects cost the store as many questions a second, if no two watch the same.
const IN_ALL: usize = 256;

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Full {
    /// The workspace's are taken.
    #[error(
        "This workspace watches its scans {} times, as often as it may at once; end one of these streams, or try again in a moment.",
        OF_A_WORKSPACE
    )]
    Workspace,
    /// All are.
    #[error(
        "Scans are being watched {} times, as often as they may at once; try again in a moment.",
        IN_ALL
    )]
    All,
}

/// The places that are taken.
#[derive(Default)]
pub(super) struct Places(Mutex<HashMap<WorkspaceId, usize>>);

impl Places {
    pub(super) fn take(self: &Arc<Self>, workspace: &WorkspaceId) -> Result<Place, Full> {
        let mut taken = lock(&self.0);
        // At most as many workspaces as places.
        let in_all: usize = taken.values().sum();
        let of_this = taken.get(workspace).copied().unwrap_or(0);
        if of_this >= OF_A_WORKSPACE {
            return Err(Full::Workspace);
        }
        if in_all >= IN_ALL {
            return Err(Full::All);
        }
        taken.insert(workspace.clone(), of_this + 1);
        Ok(Place {
            places: Arc::clone(self),
            workspace: workspace.clone(),
        })
    }
}

/// A place that is taken, until it is dropped.
pub(super) struct Place {
    places: Arc<Places>,
    workspace: WorkspaceId,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = lock(&self.places.0);
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

    fn workspace(number: usize) -> WorkspaceId {
        WorkspaceId::parse(&format!("ws_{number}")).unwrap()
    }

    #[test]
    fn a_workspace_leaves_places_to_others_and_all_have_no_more_than_there_are() {
        let places = Arc::new(Places::default());
        let mut taken = Vec::new();
        let mut number = 0;
        let full = loop {
            match places.take(&workspace(number)) {
                Ok(place) => taken.push(place),
                Err(Full::Workspace) => {
                    number += 1;
                    assert_eq!(taken.len(), OF_A_WORKSPACE * number);
                }
                Err(Full::All) => break Full::All,
            }
        };
        assert_eq!((full, taken.len()), (Full::All, IN_ALL));
        drop(taken.pop());
        taken.push(places.take(&workspace(number)).unwrap());
        assert_eq!(places.take(&workspace(number)).err(), Some(Full::All));
        taken.clear();
        assert!(lock(&places.0).is_empty());
    }
}
