//! What a request sees of the table: whole records of one moment, borrowed, found without allocating.

use std::num::NonZeroU32;

use jiff::Timestamp;
use papaya::LocalGuard;
use tags::{Code, DomainSettings, TagView, Workspace};

use crate::overlay::Overlay;
use crate::record::Record;
use crate::shared::State;

/// A pinned [`State`]. Keep it for one request or one batch of them: memory of replaced tags waits for it.
pub struct View<'a> {
    state: &'a State,
    live: LocalGuard<'a>,
    frozen: Option<(&'a Overlay, LocalGuard<'a>)>,
}

impl<'a> View<'a> {
    pub(crate) fn new(state: &'a State) -> Self {
        let frozen = state.frozen.as_deref();
        Self {
            state,
            live: state.live.guard(),
            frozen: frozen.map(|overlay| (overlay, overlay.guard())),
        }
    }

    /// Whether the whole journal has been read once. Until then a missing tag is not known to be missing.
    pub fn is_complete(&self) -> bool {
        self.state.complete
    }

    /// The settings of a host name, which is given as [`tags::Domain`] keeps it: lower case, no port, no trailing dot.
    pub fn domain(&self, host: &str) -> Option<&'a DomainSettings> {
        self.state.settings.domain(host)
    }

    /// The domain of requests that name no host, and of tags without a domain of their own.
    pub fn default_domain(&self) -> Option<&'a DomainSettings> {
        self.state.settings.default_domain()
    }

    /// Whether there is any domain but the default one.
    pub fn has_other_domains(&self) -> bool {
        self.state.settings.has_other_domains()
    }

    /// A tenant.
    pub fn workspace(&self, id: &str) -> Option<&'a Workspace> {
        self.state.settings.workspace(id)
    }

    /// How many redirects a workspace may have in a second; none: as many as come.
    pub fn redirects_per_second(&self, workspace: &str) -> Option<NonZeroU32> {
        self.state.settings.redirects_per_second(workspace)
    }

    /// The newest version of a tag; of a revoked one, only what its answer needs. On a case-insensitive domain the code is found in
    /// any case.
    pub fn tag(&self, domain: &str, code: &str) -> Option<TagView<'_>> {
        Some(self.record(domain, code)?.tag)
    }

    /// The same tag as it is at this moment: what was scheduled for an earlier one has taken place.
    pub fn tag_at(&self, domain: &str, code: &str, now: Timestamp) -> Option<TagView<'_>> {
        Some(self.record(domain, code)?.at(now))
    }

    fn record(&self, domain: &str, code: &str) -> Option<Record<'_>> {
        if !self.state.settings.folds_case(domain) {
            return self.stored(domain, code);
        }
        let mut folded = [0_u8; Code::MAX_LEN];
        let folded = folded.get_mut(..code.len())?;
        folded.copy_from_slice(code.as_bytes());
        folded.make_ascii_lowercase();
        self.stored(domain, str::from_utf8(folded).ok()?)
    }

    fn stored(&self, domain: &str, code: &str) -> Option<Record<'_>> {
        let State { base, live, .. } = self.state;
        let key = base.hasher().key(domain, code);
        let changed = live.get(&key, &self.live).or_else(|| {
            let (overlay, guard) = self.frozen.as_ref()?;
            overlay.get(&key, guard)
        });
        changed.or_else(|| base.record(&key))
    }
}
