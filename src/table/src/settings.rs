//! Domains and workspaces: read by every request, and changed rarely, but in crowds when there are thousands.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use jiff::Timestamp;
use tags::{Change, Domain, DomainSettings, Workspace};

use crate::shared_map::SharedMap;

/// Everything that is set for more than one tag. A copy costs next to nothing, and neither does a change of one of them.
#[derive(Clone, Default)]
pub(crate) struct Settings {
    domains: SharedMap<DomainSettings>,
    workspaces: SharedMap<Workspace>,
    /// The domains that are the default, in order of their age: mostly one.
    defaults: BTreeSet<(Timestamp, Domain)>,
    /// How many domains are not.
    others: usize,
    case_insensitive: usize,
    /// How many workspaces may only have so many redirects.
    limited: usize,
}

impl Settings {
    /// Takes in what is for more than one tag.
    pub(crate) fn put(&mut self, change: Change) {
        match change {
            Change::Domain(domain) => self.put_domain(domain),
            Change::Workspace(workspace) => {
                let id = workspace.id.clone();
                self.limited += usize::from(redirects_per_second(&workspace).is_some());
                let before = self.workspaces.insert(id.as_str(), workspace);
                let was_limited =
                    before.is_some_and(|before| redirects_per_second(&before).is_some());
                self.limited -= usize::from(was_limited);
            }
            Change::Tag(_)
            | Change::Key(_)
            | Change::Claim(_)
            | Change::User(_)
            | Change::Invitation(_)
            | Change::Webhook(_)
            | Change::Idempotency(_)
            | Change::Audit(_) => {}
        }
    }

    fn put_domain(&mut self, domain: DomainSettings) {
        let name = domain.name.clone();
        let by_age = |domain: &DomainSettings| (domain.created_at, domain.name.clone());
        // First what was, then what is: of both there may be the same.
        if let Some(before) = self.domains.get(name.as_str()) {
            self.others -= usize::from(!before.is_default);
            self.case_insensitive -= usize::from(before.case_insensitive);
            self.defaults.remove(&by_age(before));
        }
        self.others += usize::from(!domain.is_default);
        self.case_insensitive += usize::from(domain.case_insensitive);
        if domain.is_default {
            self.defaults.insert(by_age(&domain));
        }
        self.domains.insert(name.as_str(), domain);
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

    /// How many redirects a workspace may have in a second. Where none has a limit, there is nothing to look up.
    pub(crate) fn redirects_per_second(&self, workspace: &str) -> Option<NonZeroU32> {
        if self.limited == 0 {
            return None;
        }
        redirects_per_second(self.workspace(workspace)?)
    }

    /// When the default moves, the two records come one after the other: until then the younger one is it.
    pub(crate) fn default_domain(&self) -> Option<&DomainSettings> {
        let (_, name) = self.defaults.last()?;
        self.domain(name.as_str())
    }

    pub(crate) fn has_other_domains(&self) -> bool {
        self.others > 0
    }

    /// Whether codes of this domain are looked up in lower case.
    pub(crate) fn folds_case(&self, domain: &str) -> bool {
        self.case_insensitive > 0 && self.domain(domain).is_some_and(|d| d.case_insensitive)
    }
}

fn redirects_per_second(workspace: &Workspace) -> Option<NonZeroU32> {
    NonZeroU32::new(workspace.limits.redirects_per_second?)
}

#[cfg(test)]
mod tests {
    use tags::WorkspaceId;

    use super::*;

    fn domain(name: &str, second: i64, is_default: bool, case_insensitive: bool) -> Change {
        Change::Domain(DomainSettings {
            name: Domain::parse(name).expect("a domain"),
            workspace: None,
            is_default,
            home_url: None,
            fallback_url: None,
            upstream_url: None,
            upstream_host: tags::UpstreamHost::Visitor,
            case_insensitive,
            https_redirect: false,
            hsts: None,
            created_at: Timestamp::from_second(second).expect("a time"),
        })
    }

    #[test]
    fn what_is_known_of_all_domains_follows_each_change_of_one() {
        let mut settings = Settings::default();
        let (a, b) = ("a.example.com", "b.example.com");
        // The change, and then: the default, whether there are others, whether b folds case.
        for (change, default, others, folds) in [
            (domain(a, 1, true, false), Some(a), false, false),
            (domain(b, 2, false, true), Some(a), true, true),
            (domain(b, 2, true, true), Some(b), false, true),
            (domain(b, 2, true, true), Some(b), false, true),
            (domain(a, 1, false, false), Some(b), true, true),
            (domain(b, 2, true, false), Some(b), true, false),
            (domain(a, 3, true, false), Some(a), false, false),
            (domain(a, 0, true, false), Some(b), false, false),
            (domain(b, 2, false, false), Some(a), true, false),
            (domain(a, 0, false, false), None, true, false),
        ] {
            settings.put(change);
            let now = settings.default_domain();
            assert_eq!(now.map(|domain| domain.name.as_str()), default);
            assert_eq!(settings.has_other_domains(), others);
            assert_eq!(settings.folds_case(b), folds);
        }
        assert_eq!(settings.changes().count(), 2);
    }

    #[test]
    fn what_a_workspace_may_have_follows_each_change_of_it() {
        let mut settings = Settings::default();
        let mut set = |id: &str, redirects_per_second| {
            let id = WorkspaceId::parse(id).expect("a workspace's name");
            let mut workspace = Workspace::new(id, String::new(), Timestamp::UNIX_EPOCH);
            workspace.limits.redirects_per_second = redirects_per_second;
            settings.put(Change::Workspace(workspace));
            let of = |id| settings.redirects_per_second(id).map(NonZeroU32::get);
            (of("a"), of("b"), settings.limited)
        };
        assert_eq!(set("a", None), (None, None, 0));
        assert_eq!(set("a", Some(5)), (Some(5), None, 1));
        assert_eq!(set("b", None), (Some(5), None, 1));
        assert_eq!(set("a", Some(6)), (Some(6), None, 1));
        assert_eq!(set("b", Some(7)), (Some(6), Some(7), 2));
        // Nobody can set it; it is no limit then.
        assert_eq!(set("a", Some(0)), (None, Some(7), 1));
        assert_eq!(set("b", None), (None, None, 0));
    }
}
