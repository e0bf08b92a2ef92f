//! The table itself: who may write, what is published when, and that readers never wait for either.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, Guard};
use tags::{Change, Tag};

use crate::records::{Base, Overlay};
use crate::settings::Settings;
use crate::view::View;

/// All tags, domains and workspaces.
///
/// It begins empty and incomplete. Changes of the bootstrap fill a base that no reader sees; [`Table::complete`] publishes it, and
/// later changes are seen as soon as [`Table::apply`] returns.
pub struct Table {
    published: ArcSwap<State>,
    /// The one writer at a time; holds the bootstrap's base until it is published.
    writer: Mutex<Option<Base>>,
    len: AtomicUsize,
}

/// What one request reads from: base, overlay and settings of one moment.
pub struct State {
    pub(crate) base: Arc<Base>,
    pub(crate) overlay: Arc<Overlay>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) complete: bool,
}

/// What a change did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It stands in the table now.
    Applied,
    /// The table has the same or a newer version, or the tag is revoked: nothing changed.
    Superseded,
    /// It is nothing that a redirect reads.
    NotForRedirects,
}

impl Default for Table {
    fn default() -> Self {
        Self::new()
    }
}

impl Table {
    /// An empty table, about to be filled.
    #[must_use]
    pub fn new() -> Self {
        let state = State {
            base: Arc::default(),
            overlay: Arc::default(),
            settings: Arc::default(),
            complete: false,
        };
        Self {
            published: ArcSwap::from_pointee(state),
            writer: Mutex::new(Some(Base::default())),
            len: AtomicUsize::new(0),
        }
    }

    /// Takes a change in. Repeated and older ones change nothing, so a journal may be read again from any point.
    pub fn apply(&self, change: Change) -> Effect {
        let mut writer = self.writer();
        match change {
            Change::Tag(tag) => self.apply_tag(tag, &mut writer),
            Change::Workspace(workspace) => self.change_settings(|s| s.put_workspace(workspace)),
            Change::Domain(domain) => self.change_settings(|s| s.put_domain(domain)),
            Change::Key(_) | Change::Audit(_) => Effect::NotForRedirects,
        }
    }

    /// Ends the bootstrap: publishes what was applied so far. From now on a tag that is not there does not exist.
    pub fn complete(&self) {
        if let Some(base) = self.writer().take() {
            let now = self.published.load();
            self.len.store(base.0.len(), Ordering::Relaxed);
            self.published.store(Arc::new(State {
                base: Arc::new(base),
                overlay: Arc::default(),
                complete: true,
                ..now.share()
            }));
        }
    }

    /// Begins again from nothing: from now on changes fill a base that no reader sees, while readers keep the old state until
    /// [`Table::complete`] swaps the new one in, whole. Nothing of the old state stands against what is applied.
    pub fn begin_rebuild(&self) {
        *self.writer() = Some(Base::default());
    }

    /// Gives a rebuild up: readers keep the old state, and changes go into it again. What was applied since
    /// [`Table::begin_rebuild`] is forgotten, so the journal is to be read again from where the rebuild began.
    pub fn abandon_rebuild(&self) {
        let mut writer = self.writer();
        if self.is_complete() {
            *writer = None;
        }
    }

    /// Whether the bootstrap is over.
    pub fn is_complete(&self) -> bool {
        self.published.load().complete
    }

    /// Whether changes go into a base that no reader sees.
    pub(crate) fn is_filling(&self) -> bool {
        self.writer().is_some()
    }

    /// How many tags are held, revoked ones among them.
    pub fn len(&self) -> usize {
        // A figure for people; it orders nothing.
        self.len.load(Ordering::Relaxed)
    }

    /// Whether no tag is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The state of this moment. Take a new one for each request: it does not change under its reader, but for tags.
    pub fn load(&self) -> Guard<Arc<State>> {
        self.published.load()
    }

    fn apply_tag(&self, tag: Tag, bootstrap: &mut Option<Base>) -> Effect {
        match bootstrap {
            Some(base) => {
                if !base.put(tag) {
                    return Effect::Superseded;
                }
                if !self.published.load().complete {
                    self.len.store(base.0.len(), Ordering::Relaxed);
                }
            }
            None => {
                let state = self.published.load();
                match state.overlay.put(tag, &state.base) {
                    None => return Effect::Superseded,
                    Some(is_new) => self.len.fetch_add(usize::from(is_new), Ordering::Relaxed),
                };
            }
        }
        Effect::Applied
    }

    /// Copies the settings, changes the copy, publishes it. Called under the writer's lock, so that no change is lost.
    fn change_settings(&self, change: impl FnOnce(&mut Settings)) -> Effect {
        let now = self.published.load();
        let mut settings = Settings::clone(&now.settings);
        change(&mut settings);
        self.published.store(Arc::new(State {
            settings: Arc::new(settings),
            ..now.share()
        }));
        Effect::Applied
    }

    fn writer(&self) -> MutexGuard<'_, Option<Base>> {
        // Nothing is left half done when a writer panics: a tag is stored whole or not at all.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Pins the state for reading.
    pub fn pin(&self) -> View<'_> {
        View::new(self)
    }

    fn share(&self) -> Self {
        Self {
            base: Arc::clone(&self.base),
            overlay: Arc::clone(&self.overlay),
            settings: Arc::clone(&self.settings),
            complete: self.complete,
        }
    }
}
