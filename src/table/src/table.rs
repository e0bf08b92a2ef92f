//! The table itself: who may write, what is published when, and that readers never wait for either.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arc_swap::Guard;
use tags::Change;

use crate::arena::Room;
use crate::base::Put;
use crate::fold;
use crate::overlay;
use crate::record::Record;
use crate::settings::Settings;
use crate::shared::{Filling, Shared, State, TagName, Writer};
use crate::snapshot::SnapshotError;

/// All tags, domains and workspaces.
///
/// It begins empty and incomplete. Changes of the bootstrap fill a base that no reader sees; [`Table::complete`] publishes it, and
/// later changes are seen as soon as [`Table::apply`] returns. [`Table::begin_rebuild`] begins anew beside what readers see.
pub struct Table {
    pub(crate) shared: Arc<Shared>,
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
    /// A base cannot hold more than 16 GiB of tags: nothing changed. Whoever goes on after it, loses a tag.
    Full,
}

/// What many changes did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Tags that stand in the table now as they were changed.
    pub tags: usize,
    /// Changes that found no room, see [`Effect::Full`].
    pub lost: usize,
}

impl Default for Table {
    fn default() -> Self {
        Self::new()
    }
}

impl Table {
    /// Fewer changes are not worth a fold: they cost a few megabytes, and a look-up in the overlay is quick.
    pub const FOLD_AT: usize = 65_536;

    /// An empty table, about to be filled.
    #[must_use]
    pub fn new() -> Self {
        Self::with_fold_at(Self::FOLD_AT)
    }

    /// As [`Table::new`], but that so many changes, and 2 % of the tags, are folded into a new base.
    #[must_use]
    pub fn with_fold_at(changes: usize) -> Self {
        Self::with(changes, Room::default())
    }

    /// As [`Table::new`], but a base holds at most so many bytes of tags, counted in pieces of 32 MiB.
    #[must_use]
    pub fn with_room(bytes: usize) -> Self {
        Self::with(Self::FOLD_AT, Room::for_bytes(bytes))
    }

    /// As [`Table::new`]; `prepare` is called with the domain and code of each tag whose scans are counted before readers see it, or see it
    /// as such, and again with whatever changes it.
    #[must_use]
    pub fn with_counters(prepare: impl Fn(&str, &str) + Send + Sync + 'static) -> Self {
        let mut shared = Shared::new(Self::FOLD_AT, Room::default());
        shared.prepare_counter = Some(Box::new(prepare));
        Self {
            shared: Arc::new(shared),
        }
    }

    fn with(changes: usize, room: Room) -> Self {
        Self {
            shared: Arc::new(Shared::new(changes, room)),
        }
    }

    /// Takes a change in: into the bootstrap or the rebuild that is under way, or else where readers see it.
    ///
    /// Repeated and older versions of tags change nothing. Settings have no version: what comes last stands. So a journal may be read on
    /// from where it has been read to, which is what a snapshot's positions are, or again in a rebuild.
    pub fn apply(&self, change: Change) -> Effect {
        self.prepare(std::slice::from_ref(&change));
        self.take(change, &mut self.shared.writer())
    }

    /// Takes changes in, one after the other, as [`Table::apply`] does each; nothing is left of them. Quicker where there are many: the
    /// places of all in a base that is being filled are fetched into the processor's cache together, not one by one.
    pub fn apply_all(&self, changes: &mut Vec<Change>) -> Taken {
        self.take_all(changes, Self::take)
    }

    /// Takes changes in that are newer than all that a rebuild of the same log has still to read: readers see them at once, and in the
    /// rebuild they stand against what is older. Those that are lost are so to the rebuild; readers see them all the same. Where no
    /// rebuild is under way, this is [`Table::apply_all`].
    pub fn apply_all_beside_rebuild(&self, changes: &mut Vec<Change>) -> Taken {
        self.take_all(changes, Self::take_beside_rebuild)
    }

    /// Has this called before readers see the first tag whose rules ask what a User-Agent tells, and now if there has been one: to be able to
    /// tell it takes time and memory that are not spent for nothing. Of several the first is called.
    pub fn prepare_agents_with(&self, prepare: impl Fn() + Send + Sync + 'static) {
        let _ = self.shared.prepare_agents.set(Box::new(prepare));
        if self.shared.asks_agents.get().is_some() {
            self.shared.prepare_agents();
        }
    }

    /// Ends the bootstrap or the rebuild: publishes what was applied since it began, whole. From now on a tag that is not there
    /// does not exist.
    pub fn complete(&self) {
        let mut writer = self.shared.writer();
        let Some(Filling { base, settings, .. }) = writer.filling.take() else {
            return;
        };
        writer.fold_failed_at = None;
        self.shared.len.store(base.len(), Ordering::Relaxed);
        let state = State {
            base: Arc::new(base),
            frozen: None,
            live: Arc::default(),
            settings: Arc::new(settings),
            complete: true,
        };
        self.shared.publish(&mut writer, state);
        fold::start_if_due(&self.shared, &mut writer);
        if !writer.retired.is_empty() {
            fold::start(&self.shared, &mut writer);
        }
    }

    /// Begins again from nothing: from now on changes fill a base that no reader sees, while readers keep the old state until
    /// [`Table::complete`] swaps the new one in, whole. Nothing of the old state stands against what is applied.
    ///
    /// Until then nothing is folded, and a fold under way is given up: with it there would be three bases.
    pub fn begin_rebuild(&self) {
        let now = self.shared.published.load();
        let filling = self.shared.filling(now.base.len());
        self.shared.writer().filling = Some(filling);
        if !now.complete {
            self.shared.len.store(0, Ordering::Relaxed);
        }
    }

    /// Gives a rebuild up: readers keep what they see, and changes go there again. What was applied to the rebuild alone is forgotten.
    pub fn abandon_rebuild(&self) {
        let mut writer = self.shared.writer();
        if self.is_complete() {
            writer.filling = None;
            // A fold that gave way has left its changes frozen.
            fold::start_if_due(&self.shared, &mut writer);
        }
    }

    /// Whether the bootstrap is over.
    pub fn is_complete(&self) -> bool {
        self.shared.published.load().complete
    }

    /// Whether a thread is folding changes into a new base, or freeing an old one.
    pub fn is_folding(&self) -> bool {
        self.shared.writer().in_background
    }

    /// How many times changes have been folded into a new base.
    pub fn folds(&self) -> usize {
        // A figure for people; it orders nothing.
        self.shared.folds.load(Ordering::Relaxed)
    }

    /// How many tags are held, revoked ones among them: of those that readers see, or that the bootstrap has read so far.
    pub fn len(&self) -> usize {
        // A figure for people; it orders nothing.
        self.shared.len.load(Ordering::Relaxed)
    }

    /// Whether no tag is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The state of this moment. Take a new one for each request: it does not change under its reader, but for tags.
    pub fn load(&self) -> Guard<Arc<State>> {
        self.shared.published.load()
    }

    /// Whether changes go into a base that no reader sees.
    pub(crate) fn is_filling(&self) -> bool {
        self.shared.writer().is_rebuilding()
    }

    /// Fills on from what has been read elsewhere; what was filled before stays where that stands against it.
    pub(crate) fn take_over(&self, mut read: Filling) -> Result<(), SnapshotError> {
        if read.asks_agents {
            self.shared.prepare_agents();
        }
        for TagName { domain, code } in read.counted.drain(..) {
            self.shared.prepare_counter(&domain, &code);
        }
        let mut writer = self.shared.writer();
        let Some(filling) = &mut writer.filling else {
            return Err(SnapshotError::NotFilling);
        };
        for (record, _) in filling.base.records() {
            let put = read.base.put_before(&record);
            put.map_err(|_| SnapshotError::Full)?; // nothing of the file is in the table
        }
        for change in filling.settings.changes() {
            read.settings.put(change);
        }
        *filling = read;
        let now = self.shared.published.load();
        if !now.complete {
            self.shared.len.store(filling.base.len(), Ordering::Relaxed);
            let settings = Arc::new(filling.settings.clone());
            self.shared.publish(
                &mut writer,
                State {
                    settings,
                    ..now.share()
                },
            );
        }
        Ok(())
    }

    /// What has to be there before readers see these changes.
    fn prepare(&self, changes: &[Change]) {
        let tags = changes.iter().filter_map(|change| match change {
            Change::Tag(tag) => Some(tag),
            _ => None,
        });
        let (mut ask_agents, counts) = (false, self.shared.prepare_counter.is_some());
        for tag in tags {
            ask_agents |= tag.rules.view().ask_agent();
            // Who is a bot is not counted.
            if counts && Record::of(tag).is_counted() {
                ask_agents = true;
                self.shared
                    .prepare_counter(tag.domain.as_str(), tag.code.as_str());
            }
        }
        if ask_agents {
            self.shared.prepare_agents();
        }
    }

    fn take_all(
        &self,
        changes: &mut Vec<Change>,
        take: impl Fn(&Self, Change, &mut Writer) -> Effect,
    ) -> Taken {
        self.prepare(changes);
        let mut writer = self.shared.writer();
        if let Some(filling) = &writer.filling {
            let places = changes.iter().map(|change| match change {
                Change::Tag(tag) => filling.base.touch(tag.domain.as_str(), tag.code.as_str()),
                _ => 0,
            });
            std::hint::black_box(places.fold(0, u8::wrapping_add));
        }
        let mut taken = Taken::default();
        for change in changes.drain(..) {
            let is_tag = matches!(change, Change::Tag(_));
            match take(self, change, &mut writer) {
                Effect::Applied => taken.tags += usize::from(is_tag),
                Effect::Full => taken.lost += 1,
                Effect::Superseded | Effect::NotForRedirects => {}
            }
        }
        taken
    }

    fn take(&self, change: Change, writer: &mut Writer) -> Effect {
        match change {
            Change::Tag(tag) => {
                let record = Record::of(&tag);
                match self.fill(&record, writer) {
                    Some(effect) => effect,
                    None => self.serve(&record, writer),
                }
            }
            change @ (Change::Workspace(_) | Change::Domain(_)) => match &mut writer.filling {
                Some(filling) if filling.newer.contains(&change.key()) => Effect::Superseded,
                Some(filling) => {
                    filling.settings.put(change);
                    if !self.is_complete() {
                        let settings = filling.settings.clone();
                        self.publish_settings(settings, writer);
                    }
                    Effect::Applied
                }
                None => self.serve_settings(change, writer),
            },
            Change::Key(_)
            | Change::Claim(_)
            | Change::User(_)
            | Change::Invitation(_)
            | Change::Webhook(_)
            | Change::Idempotency(_)
            | Change::Audit(_) => Effect::NotForRedirects,
        }
    }

    fn take_beside_rebuild(&self, change: Change, writer: &mut Writer) -> Effect {
        if !self.is_complete() {
            return self.take(change, writer);
        }
        match change {
            Change::Tag(tag) => {
                let record = Record::of(&tag);
                let effect = self.serve(&record, writer);
                match self.fill(&record, writer) {
                    Some(Effect::Full) => Effect::Full,
                    _ => effect,
                }
            }
            change @ (Change::Workspace(_) | Change::Domain(_)) => {
                if let Some(filling) = &mut writer.filling {
                    filling.newer.insert(change.key());
                    filling.settings.put(change.clone());
                }
                self.serve_settings(change, writer)
            }
            Change::Key(_)
            | Change::Claim(_)
            | Change::User(_)
            | Change::Invitation(_)
            | Change::Webhook(_)
            | Change::Idempotency(_)
            | Change::Audit(_) => Effect::NotForRedirects,
        }
    }

    /// Puts a tag into what is being filled. None: nothing is.
    fn fill(&self, record: &Record<'_>, writer: &mut Writer) -> Option<Effect> {
        let filling = writer.filling.as_mut()?;
        let effect = match filling.base.put(record) {
            Ok(Put::New | Put::Replaced) => Effect::Applied,
            Ok(Put::Superseded) => Effect::Superseded,
            Err(_) => Effect::Full,
        };
        if !self.is_complete() {
            self.shared.len.store(filling.base.len(), Ordering::Relaxed);
        }
        Some(effect)
    }

    /// Puts a tag where readers see it.
    fn serve(&self, record: &Record<'_>, writer: &mut Writer) -> Effect {
        let now = self.shared.published.load();
        let key = self.shared.hasher.key(record.tag.domain, record.tag.code);
        let overlays = [Some(&*now.live), now.frozen.as_deref()];
        let (stands, is_new) = overlay::known(overlays, &now.base, &key, |known| {
            (
                known.is_none_or(|known| record.supersedes(known)),
                known.is_none(),
            )
        });
        if !stands {
            return Effect::Superseded;
        }
        now.live.put(record, &self.shared.hasher);
        self.shared
            .len
            .fetch_add(usize::from(is_new), Ordering::Relaxed);
        fold::start_if_due(&self.shared, writer);
        Effect::Applied
    }

    fn serve_settings(&self, change: Change, writer: &mut Writer) -> Effect {
        let mut settings = Settings::clone(&self.shared.published.load().settings);
        settings.put(change);
        self.publish_settings(settings, writer);
        Effect::Applied
    }

    fn publish_settings(&self, settings: Settings, writer: &mut Writer) {
        let state = State {
            settings: Arc::new(settings),
            ..self.shared.published.load().share()
        };
        self.shared.publish(writer, state);
    }
}
