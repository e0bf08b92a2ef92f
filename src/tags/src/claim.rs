//! A domain that a workspace wants to use and has not proven to be its own yet. Only the admin reads these: no edge serves it.

use jiff::Timestamp;

use crate::{DomainSettings, WorkspaceId};

/// A claim. Several workspaces may have one to the same name; the first to prove it gets the domain.
#[derive(Clone, Debug, PartialEq)]
pub struct DomainClaim {
    /// Whose it is.
    pub workspace: WorkspaceId,
    /// What the domain will be.
    pub domain: DomainSettings,
    /// What its owner has to show.
    pub token: String,
    /// Since when it is over: proven, or withdrawn.
    pub ended_at: Option<Timestamp>,
}
