//! Whether a workspace may have more tags. Tags that are being made count too, so that no number of requests at once makes more.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::http::StatusCode;
use tags::WorkspaceId;

use crate::auth::Principal;
use crate::problem::Problem;
use crate::service::Admin;

/// How many tags each workspace is making just now; of those alone that have a limit.
#[derive(Default)]
pub(crate) struct Rooms(Mutex<HashMap<WorkspaceId, u64>>);

/// Room for tags that are being made, until it is dropped. By then they are in the index, or they never will be.
pub(crate) struct Room {
    admin: Admin,
    workspace: WorkspaceId,
    tags: u64,
}

impl Admin {
    /// Room for so many new tags of the principal's; 409 if there is none. None: there is no limit.
    pub(crate) fn room_for_tags(
        &self,
        who: &Principal,
        tags: u64,
    ) -> Result<Option<Room>, Problem> {
        let tenant = self.tenant(who);
        let workspace = tenant.workspace()?;
        let Some(most) = workspace.and_then(|workspace| workspace.limits.max_tags) else {
            return Ok(None);
        };
        let mut rooms = self.rooms().being_made();
        let being_made = rooms.get(&who.workspace).copied().unwrap_or(0);
        // Read with the lock held: what has come into the index meanwhile is counted twice at worst, and never not at all.
        let live = tenant.live_tags()?;
        if live + being_made + tags > most.into() {
            let detail = format!(
                "The workspace may have {most} tags (max_tags), and has {live}; revoke some, or ask who runs the installation for more."
            );
            return Err(Problem::new(StatusCode::CONFLICT, detail));
        }
        rooms.insert(who.workspace.clone(), being_made + tags);
        Ok(Some(Room {
            admin: self.clone(),
            workspace: who.workspace.clone(),
            tags,
        }))
    }
}

impl Rooms {
    fn being_made(&self) -> MutexGuard<'_, HashMap<WorkspaceId, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut rooms = self.admin.rooms().being_made();
        let left = rooms.get(&self.workspace).copied().unwrap_or(0);
        match left.saturating_sub(self.tags) {
            0 => rooms.remove(&self.workspace),
            left => rooms.insert(self.workspace.clone(), left),
        };
    }
}
