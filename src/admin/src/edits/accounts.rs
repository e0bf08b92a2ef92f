//! What all edits of access begin with: of keys, users, invitations, and of workspaces, which come with a key.

use tags::{Permission, WorkspaceId};
use tokio::sync::MutexGuard;

use crate::auth::Principal;
use crate::problem::Problem;
use crate::service::Admin;

impl Admin {
    /// Who asks for an edit of access, as they are by now, and the right to carry it out. A request's head is judged before its body has come,
    /// which takes as long as the client likes; whose access was ended meanwhile, or no longer has the permission, is refused here (401, 403),
    /// and nobody's can end while the lock is held.
    pub(super) async fn account_edit(
        &self,
        who: &Principal,
        permission: Permission,
    ) -> Result<(Principal, MutexGuard<'_, ()>), Problem> {
        let lock = self.lock_accounts(&who.workspace).await;
        let who = who.by_now(self)?;
        who.require(permission)?;
        Ok((who, lock))
    }

    /// Keeps all other edits of a workspace's keys, users and invitations out: what one of them may depends on the others.
    pub(super) async fn lock_accounts(&self, workspace: &WorkspaceId) -> MutexGuard<'_, ()> {
        self.lock(&format!("accounts/{workspace}")).await
    }
}
