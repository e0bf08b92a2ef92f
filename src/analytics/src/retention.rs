//! What is no longer kept: which scans of which workspace.

use jiff::Timestamp;
use tags::WorkspaceId;

/// The scans of a workspace before a moment, by their own time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// Whose.
    pub workspace: WorkspaceId,
    /// The first moment that is still kept.
    pub before: Timestamp,
}
