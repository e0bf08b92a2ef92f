//! Which scans a question is about, in SQLite's words. Every value is a parameter.

use rusqlite::types::Value;
use tags::WorkspaceId;

use crate::{Bots, ScanFilter, Select};

/// What follows WHERE, and its parameters in their order.
pub(super) fn condition(workspace: &WorkspaceId, filter: &ScanFilter) -> (String, Vec<Value>) {
    let (from, to) = filter.stored_range();
    let mut bound: Vec<Value> = vec![workspace.as_str().to_owned().into(), from.into(), to.into()];
    let selected = selected(filter.select(), &mut bound);
    let automated = automated(filter.bots());
    (
        format!(
            "workspace = ? AND tag_version > 0 AND time >= ? AND time < ?{selected}{automated}"
        ),
        bound,
    )
}

/// The condition that narrows a workspace's scans to what is selected; its values are added to those that are bound.
pub(super) fn selected(select: &Select, bound: &mut Vec<Value>) -> &'static str {
    match select {
        Select::Workspace => "",
        Select::Code { domain, code } => {
            bound.extend([
                domain.as_str().to_owned().into(),
                code.as_str().to_owned().into(),
            ]);
            " AND domain = ? AND code = ?"
        }
        Select::Campaign(campaign) => {
            bound.push(campaign.clone().into());
            " AND campaign = ?"
        }
    }
}

/// The condition that narrows scans to people's, or to the others.
pub(super) fn automated(bots: Bots) -> &'static str {
    match bots {
        Bots::Exclude => " AND NOT automated",
        Bots::Include => "",
        Bots::Only => " AND automated",
    }
}
