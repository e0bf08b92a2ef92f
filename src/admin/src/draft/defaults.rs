//! What a new tag begins with.

use tags::TagDefaults;

use super::Draft;

impl Draft {
    /// A tag about which nothing was said yet, in a workspace with these defaults.
    pub fn with(defaults: &TagDefaults) -> Self {
        let new = Self::new();
        Self {
            redirect_status: defaults.redirect_status.unwrap_or(new.redirect_status),
            query: defaults.query.unwrap_or(new.query),
            ..new
        }
    }
}
