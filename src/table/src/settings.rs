//! Domains and workspaces: few, read by every request, changed rarely, and so copied whole at each change.

use hashbrown::HashMap;
use tags::{Change, DomainSettings, Workspace};

/// Everything that is set for more than one tag.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    domains: HashMap<Box<str>, DomainSettings>,
    workspaces: HashMap<Box<str>, Workspace>,
    default_domain: Option<Box<str>>,
    has_other_domains: bool,
    has_case_insensitive: bool,
}

impl Settings {
    /// Takes in what is for more than one tag.
    pub(crate) fn put(&mut self, change: Change) {
        match change {
            Change::Domain(domain) => self.put_domain(domain),
            Change::Workspace(workspace) => self.put_workspace(workspace),
            Change::Tag(_) | Change::Key(_) | Change::Audit(_) => {}
        }
    }

    fn put_domain(&mut self, domain: DomainSettings) {
        self.domains.insert(domain.name.as_str().into(), domain);
        let defaults = self.domains.values().filter(|d| d.is_default);
        // When the default moves, the two records come one after the other: until then the younger one is it.
        self.default_domain = defaults
            .max_by_key(|d| (d.created_at, &d.name))
            .map(|d| d.name.as_str().into());
        self.has_other_domains = self.domains.values().any(|d| !d.is_default);
        self.has_case_insensitive = self.domains.values().any(|d| d.case_insensitive);
    }

    fn put_workspace(&mut self, workspace: Workspace) {
        self.workspaces
            .insert(workspace.id.as_str().into(), workspace);
    }

    pub(crate) fn changes(&self) -> impl Iterator<Item = Change> {
        let domains = self.domains.values().cloned().map(Change::Domain);
        let workspaces = self.workspaces.values().cloned().map(Change::Workspace);
        domains.chain(workspaces)
    }

    pub(crate) fn domain(&self, host: &str) -> Option<&DomainSettings> {
        self.domains.get(host)
    }

    pub(crate) fn workspace(&self, id: &str) -> Option<&Workspace> {
        self.workspaces.get(id)
    }

    pub(crate) fn default_domain(&self) -> Option<&DomainSettings> {
        self.domain(self.default_domain.as_deref()?)
    }

    pub(crate) fn has_other_domains(&self) -> bool {
        self.has_other_domains
    }

    /// Whether codes of this domain are looked up in lower case.
    pub(crate) fn folds_case(&self, domain: &str) -> bool {
        self.has_case_insensitive && self.domain(domain).is_some_and(|d| d.case_insensitive)
    }
}
