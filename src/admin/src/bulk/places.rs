//! How many jobs may be under way, and how much their files may take: of one workspace, and of all together.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tags::WorkspaceId;

use crate::problem::Problem;

/// Jobs of one workspace that may be under way at a time, uploads among them.
const MOST_OF_WORKSPACE: usize = 4;
/// Of those, ones that only say what they would do: each remembers what it has read, and writes nothing by which it would be held up.
const MOST_DRY_RUNS: usize = 1;
/// Dry runs of all workspaces, since each remembers what it has read.
const MOST_DRY_RUNS_OF_ALL: usize = 4;
/// Jobs of all workspaces.
const MOST: usize = 64;
/// Bytes of one workspace's files.
const MOST_BYTES_OF_WORKSPACE: u64 = 2 * 1024 * 1024 * 1024;
/// Bytes of all files.
const MOST_BYTES: u64 = 8 * 1024 * 1024 * 1024;

/// What is under way.
#[derive(Clone, Default)]
pub(super) struct Places(Arc<Mutex<HashMap<String, UnderWay>>>);

#[derive(Default)]
struct UnderWay {
    jobs: usize,
    dry_runs: usize,
    bytes: u64,
}

/// A job's place among those that are under way, until it is dropped.
pub(crate) struct Place {
    places: Places,
    workspace: String,
    dry_run: bool,
    bytes: u64,
}

impl Places {
    /// A place for another job; 429 when there are as many as there may be.
    pub(super) fn take(&self, workspace: &WorkspaceId, dry_run: bool) -> Result<Place, Problem> {
        let mut under_way = self.lock();
        let all: usize = under_way.values().map(|it| it.jobs).sum();
        let all_dry: usize = under_way.values().map(|it| it.dry_runs).sum();
        let own = under_way.get(workspace.as_str());
        let (own_jobs, own_dry) = own.map_or((0, 0), |own| (own.jobs, own.dry_runs));
        let refused = if own_jobs >= MOST_OF_WORKSPACE {
            Some(format!(
                "This workspace has {MOST_OF_WORKSPACE} imports or bulk edits under way, as many as it may; wait for one to end."
            ))
        } else if dry_run && own_dry >= MOST_DRY_RUNS {
            Some("A dry run of this workspace is under way, and there is one at a time; wait for its end.".to_owned())
        } else if all >= MOST || dry_run && all_dry >= MOST_DRY_RUNS_OF_ALL {
            Some("There are as many imports and bulk edits under way as there may be; try again later.".to_owned())
        } else {
            None
        };
        match refused {
            Some(detail) => Err(Problem::busy(detail)),
            None => Ok(self.add(&mut under_way, workspace.as_str(), dry_run, 0)),
        }
    }

    /// The place of a job that an earlier run has begun, with a file of this length.
    pub(super) fn place(&self, workspace: &str, dry_run: bool, bytes: u64) -> Place {
        self.add(&mut self.lock(), workspace, dry_run, bytes)
    }

    fn add(
        &self,
        under_way: &mut HashMap<String, UnderWay>,
        workspace: &str,
        dry_run: bool,
        bytes: u64,
    ) -> Place {
        let own = under_way.entry(workspace.to_owned()).or_default();
        own.jobs += 1;
        own.dry_runs += usize::from(dry_run);
        own.bytes += bytes;
        Place {
            places: self.clone(),
            workspace: workspace.to_owned(),
            dry_run,
            bytes,
        }
    }

    /// Nothing is left half-done under this lock.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, UnderWay>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Room for more bytes of the job's file; 429 when there is none.
    pub(super) fn grow(&mut self, bytes: u64) -> Result<(), Problem> {
        let mut under_way = self.places.lock();
        let all: u64 = under_way.values().map(|it| it.bytes).sum();
        let own = under_way.entry(self.workspace.clone()).or_default();
        if own.bytes + bytes > MOST_BYTES_OF_WORKSPACE || all + bytes > MOST_BYTES {
            return Err(Problem::busy(
                "The files of the imports that are under way take as much as they may; wait for one to end.",
            ));
        }
        own.bytes += bytes;
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut under_way = self.places.lock();
        if let Some(own) = under_way.get_mut(&self.workspace) {
            own.jobs -= 1;
            own.dry_runs -= usize::from(self.dry_run);
            own.bytes -= self.bytes;
            if own.jobs == 0 {
                under_way.remove(&self.workspace);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace(id: &str) -> WorkspaceId {
        WorkspaceId::parse(id).unwrap()
    }

    #[test]
    fn a_workspace_has_so_many_places_and_one_for_a_dry_run() {
        let places = Places::default();
        let (one, other) = (workspace("ws_one"), workspace("ws_other"));
        let dry = places.take(&one, true).ok().unwrap();
        assert!(places.take(&one, true).is_err());
        let taken: Vec<_> = (0..3)
            .map(|_| places.take(&one, false).ok().unwrap())
            .collect();
        assert!(places.take(&one, false).is_err());
        assert!(places.take(&other, true).is_ok());
        drop(dry);
        assert!(places.take(&one, true).is_ok());
        drop(taken);
        assert!(places.lock().is_empty());
    }

    #[test]
    fn all_together_have_so_many_places() {
        let places = Places::default();
        let taken: Vec<_> = (0..MOST)
            .map(|number| {
                places
                    .take(&workspace(&format!("ws_{number}")), false)
                    .ok()
                    .unwrap()
            })
            .collect();
        assert!(places.take(&workspace("ws_more"), false).is_err());
        assert_eq!(places.lock().len(), MOST);
        drop(taken);
        assert!(places.take(&workspace("ws_more"), false).is_ok());
    }

    #[test]
    fn all_together_have_fewer_places_for_dry_runs() {
        let places = Places::default();
        let take = |number: usize, dry_run| {
            let workspace = workspace(&format!("ws_{number}"));
            places.take(&workspace, dry_run).ok()
        };
        let taken: Vec<_> = (0..MOST_DRY_RUNS_OF_ALL)
            .map(|number| take(number, true).unwrap())
            .collect();
        assert!(take(MOST_DRY_RUNS_OF_ALL, true).is_none());
        assert!(take(MOST_DRY_RUNS_OF_ALL, false).is_some());
        drop(taken);
        assert!(take(MOST_DRY_RUNS_OF_ALL, true).is_some());
    }

    #[test]
    fn files_take_so_much_of_a_workspace_and_in_all() {
        let places = Places::default();
        let one = workspace("ws_one");
        let mut first = places.take(&one, false).ok().unwrap();
        let mut second = places.take(&one, false).ok().unwrap();
        assert!(first.grow(MOST_BYTES_OF_WORKSPACE - 10).is_ok());
        assert!(second.grow(11).is_err());
        assert!(second.grow(10).is_ok());
        let full: Vec<_> = (1..4)
            .map(|number| places.place(&format!("ws_{number}"), false, MOST_BYTES_OF_WORKSPACE))
            .collect();
        let mut more = places.take(&workspace("ws_more"), false).ok().unwrap();
        assert!(more.grow(1).is_err());
        drop(first);
        assert!(more.grow(1).is_ok());
        drop(full);
    }
}
