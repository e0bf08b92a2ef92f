//! What the table and its background thread have in common: what readers see, and what only the one writer at a time does.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use arc_swap::ArcSwap;
use tags::TagView;

use crate::arena::Room;
use crate::base::Base;
use crate::key::KeyHasher;
use crate::names::Names;
use crate::overlay::Overlay;
use crate::settings::Settings;
use crate::view::View;

/// What the table and its background thread have in common.
pub(crate) struct Shared {
    pub(crate) published: ArcSwap<State>,
    pub(crate) writer: Mutex<Writer>,
    pub(crate) len: AtomicUsize,
    pub(crate) folds: AtomicUsize,
    pub(crate) hasher: KeyHasher,
    pub(crate) room: Room,
    /// The fewest changes that are folded.
    pub(crate) fold_at: usize,
    /// Held by whoever keeps a base in memory for long: a fold or a snapshot.
    pub(crate) background: Mutex<()>,
    /// What is called before readers see the first tag whose rules ask what a User-Agent tells.
    pub(crate) prepare_agents: OnceLock<Box<dyn Fn() + Send + Sync>>,
    /// Set when there has been such a tag.
    pub(crate) asks_agents: OnceLock<()>,
    /// What is called before readers see a tag whose scans are counted.
    pub(crate) prepare_counter: Option<Box<PrepareCounter>>,
}

/// Takes a domain and a code.
pub(crate) type PrepareCounter = dyn Fn(&str, &str) + Send + Sync;

/// What only the one writer at a time sees.
#[derive(Default)]
pub(crate) struct Writer {
    pub(crate) filling: Option<Filling>,
    /// Whether the thread of the background is running.
    pub(crate) in_background: bool,
    /// Whether it is to go on when it has done what it is at.
    pub(crate) goes_on: bool,
    /// How many changes there were when a fold last failed, if none has succeeded since.
    pub(crate) fold_failed_at: Option<crate::overlay::Size>,
    /// Whether no thread could be started for it the last time.
    pub(crate) start_failed: bool,
    /// States that have been replaced. They are kept until no reader holds them, so that no reader has to free one.
    pub(crate) retired: Vec<Arc<State>>,
}

/// A base that no reader sees yet, with its settings.
pub(crate) struct Filling {
    pub(crate) base: Base,
    pub(crate) settings: Settings,
    /// The keys of settings that came beside the rebuild, and so are newer than what it reads.
    pub(crate) newer: HashSet<String>,
    /// Whether a tag that was read from a snapshot asks what a User-Agent tells.
    pub(crate) asks_agents: bool,
    /// Tags that were read from a snapshot and whose scans are counted.
    pub(crate) counted: Vec<TagName>,
}

/// A tag's domain and code.
pub(crate) struct TagName {
    pub(crate) domain: Box<str>,
    pub(crate) code: Box<str>,
}

impl TagName {
    pub(crate) fn of(tag: &TagView<'_>) -> Self {
        Self {
            domain: tag.domain.into(),
            code: tag.code.into(),
        }
    }
}

/// What one request reads from: base, overlays and settings of one moment.
pub struct State {
    pub(crate) base: Arc<Base>,
    /// Changes that are being folded into the next base.
    pub(crate) frozen: Option<Arc<Overlay>>,
    /// Changes since then.
    pub(crate) live: Arc<Overlay>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) complete: bool,
}

impl Shared {
    /// Of an empty table, about to be filled.
    pub(crate) fn new(changes: usize, room: Room) -> Self {
        let hasher = KeyHasher::default();
        let state = State {
            base: Arc::new(Base::for_tags(0, hasher.clone(), Names::default(), room)),
            frozen: None,
            live: Arc::default(),
            settings: Arc::default(),
            complete: false,
        };
        let shared = Shared {
            published: ArcSwap::from_pointee(state),
            writer: Mutex::default(),
            len: AtomicUsize::new(0),
            folds: AtomicUsize::new(0),
            hasher,
            room,
            fold_at: changes.max(1),
            background: Mutex::default(),
            prepare_agents: OnceLock::new(),
            asks_agents: OnceLock::new(),
            prepare_counter: None,
        };
        shared.writer().filling = Some(shared.filling(0));
        shared
    }

    /// To be called before readers see a tag whose rules ask what a User-Agent tells.
    pub(crate) fn prepare_agents(&self) {
        // Set before the look, as who gives the call looks after having given it: one of the two sees the other.
        let _ = self.asks_agents.set(());
        if let Some(prepare) = self.prepare_agents.get() {
            prepare();
        }
    }

    /// To be called before readers see a tag whose scans are counted.
    pub(crate) fn prepare_counter(&self, domain: &str, code: &str) {
        if let Some(prepare) = &self.prepare_counter {
            prepare(domain, code);
        }
    }

    pub(crate) fn writer(&self) -> MutexGuard<'_, Writer> {
        // Nothing is left half done when a writer panics: a tag is stored whole or not at all.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces what readers see. Whoever holds the writer's lock is alone, so nothing is lost between a load and this.
    pub(crate) fn publish(&self, writer: &mut Writer, state: State) {
        let old = self.published.swap(Arc::new(state));
        writer.retired.push(old);
        // Those with a base of their own are left to the background's thread.
        let current = self.published.load();
        let light = |state: &Arc<State>| Arc::ptr_eq(&state.base, &current.base);
        writer
            .retired
            .retain(|state| Arc::strong_count(state) > 1 || !light(state));
    }

    pub(crate) fn count_fold(&self) {
        self.folds.fetch_add(1, Ordering::Relaxed);
    }

    /// An empty base with room for so many tags.
    pub(crate) fn filling(&self, tags: usize) -> Filling {
        Filling {
            base: Base::for_tags(tags, self.hasher.clone(), Names::default(), self.room),
            settings: Settings::default(),
            newer: HashSet::new(),
            asks_agents: false,
            counted: Vec::new(),
        }
    }
}

impl Writer {
    /// Whether changes fill a base that no reader sees.
    pub(crate) fn is_rebuilding(&self) -> bool {
        self.filling.is_some()
    }

    /// Takes out the retired states that nobody else holds. No reader can get hold of one again.
    pub(crate) fn take_unheld(&mut self) -> impl Iterator<Item = State> {
        let unheld = self
            .retired
            .extract_if(.., |state| Arc::strong_count(state) == 1);
        unheld.filter_map(Arc::into_inner)
    }
}

impl State {
    /// Pins the state for reading.
    pub fn pin(&self) -> View<'_> {
        View::new(self)
    }

    pub(crate) fn share(&self) -> Self {
        Self {
            base: Arc::clone(&self.base),
            frozen: self.frozen.clone(),
            live: Arc::clone(&self.live),
            settings: Arc::clone(&self.settings),
            complete: self.complete,
        }
    }
}
