//! The spool, as the shipper has it: what waits too long is written to disk too, memory that is short is given back for it, and what is on disk
//! alone is read again when its turn comes. From then on that is done by a thread of its own (`disk`), for which nobody waits; only what another
//! run has left is looked through by the start itself, and beside a process that hands over by the shipper (`adoption`, `boots`).

mod disk;
mod folder;
mod metrics;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::segment::{Extent, HEADER, Head, Segment};
use crate::source::ToCopy;
use crate::sources::Sources;
use crate::unread::Spooled;
use crate::{ScanLog, ScanLogError};
use disk::{Event, Job};
pub(crate) use folder::SpoolFolder;

/// Where the scan log goes when it waits for long, and how much of it.
#[derive(Clone, Debug)]
pub struct SpoolOptions {
    /// The folder, on a disk. It is created if need be.
    pub folder: PathBuf,
    /// The most that the files there may take.
    pub max_bytes: u64,
}

/// So many segments that were on disk alone are in memory at once, beside one of each writer.
const LOADED: usize = 4;
/// After a disk has failed, how long until it is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(2);
/// A drain that takes no longer writes nothing to disk.
const QUICK_DRAIN: Duration = Duration::from_millis(250);
/// A disk that has not answered for so long hangs.
const SILENCE: Duration = Duration::from_secs(10);
/// How long a disk that hangs keeps the process from ending.
const GIVE_UP: Duration = Duration::from_secs(1);

pub(crate) struct Spool {
    folder: Arc<SpoolFolder>,
    /// How long until what is not stored is written.
    after: Duration,
    jobs: Option<Sender<Job>>,
    events: Receiver<Event>,
    thread: Option<JoinHandle<()>>,
    /// One at a time, so that what is to be written next is decided late.
    copying: bool,
    /// Jobs of which nothing has been heard: when they were told.
    told: VecDeque<Instant>,
    hangs: bool,
    loaded: usize,
    /// Copies that could not be removed, and when that is tried again.
    left: Vec<(PathBuf, Option<Arc<Segment>>)>,
    remove_again_at: Instant,
    state: State,
    draining: Option<Instant>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Available,
    Full,
    Failing(Instant),
}

impl Spool {
    pub(crate) fn start(folder: Arc<SpoolFolder>, after: Duration) -> Result<Self, ScanLogError> {
        let (jobs, received) = channel();
        let (sender, events) = channel();
        let thread = std::thread::Builder::new()
            .name("scan-log-spool".into())
            .spawn(move || disk::run(&received, &sender));
        let thread = thread.map_err(|source| ScanLogError::Thread { source })?;
        Ok(Self {
            folder,
            after,
            jobs: Some(jobs),
            events,
            thread: Some(thread),
            copying: false,
            told: VecDeque::new(),
            hangs: false,
            loaded: 0,
            left: Vec::new(),
            remove_again_at: Instant::now(),
            state: State::Available,
            draining: None,
        })
    }

    /// What there is to do now. Waits for nothing.
    pub(crate) fn round(
        &mut self,
        sources: &mut Sources,
        log: &ScanLog,
        draining: bool,
        now: Instant,
    ) {
        while let Ok(event) = self.events.try_recv() {
            self.take(event, sources, log, now);
        }
        if draining && self.draining.is_none() {
            self.draining = Some(now);
        }
        self.look_at_disk(now);
        self.load(sources, now);
        for source in sources.each() {
            source.note_overdue(self.after, now);
        }
        let short = log.is_short();
        if short {
            self.give_back(sources, log);
        }
        if now >= self.remove_again_at {
            self.remove_left();
        }
        if let State::Failing(until) = self.state
            && now < until
        {
            return;
        }
        let all = self
            .draining
            .is_some_and(|since| now.saturating_duration_since(since) >= QUICK_DRAIN);
        self.copy_next(sources, short, all);
    }

    /// Takes a segment of which everything is stored. Its copy goes too.
    pub(crate) fn stored(&mut self, segment: Arc<Segment>, log: &ScanLog) {
        let path = self.path_of(&segment);
        let has_copy = self.folder.has(&path);
        if segment.is_copy() {
            // A header alone has no copy of its own.
            self.loaded = self.loaded.saturating_sub(usize::from(has_copy));
        }
        // A copy that is left alone would be taken for what its writer has left: of one that lives, its later segments tell that it is not.
        let keeps = has_copy && !segment.is_copy() && segment.key().boot != log.boot();
        let (kept, free) = match keeps {
            true => (Some(segment), None),
            false => (None, Some(segment)),
        };
        if has_copy {
            self.tell(Job::Remove {
                path,
                segment: kept,
            });
        }
        if let Some(segment) = free.filter(|segment| !segment.is_copy()) {
            log.retire(segment);
        }
    }

    /// Waits until the disk's thread holds no segment, as far as the disk lets it.
    pub(crate) fn let_go(&mut self, sources: &mut Sources, log: &ScanLog, until: Instant) {
        while self.copying && self.wait(sources, log, until) {}
    }

    /// Before the last segment of a writer is removed, which has ended and is stored: removes its copy, as far as the disk does it in time.
    pub(crate) fn remove_copies<'a>(
        &mut self,
        stored: impl Iterator<Item = &'a Segment>,
        sources: &mut Sources,
        log: &ScanLog,
        until: Instant,
    ) {
        for segment in stored {
            let path = self.path_of(segment);
            if self.folder.has(&path) {
                self.tell(Job::Remove {
                    path,
                    segment: None,
                });
            }
        }
        while !self.told.is_empty() && self.wait(sources, log, until) {}
    }

    /// Whether a segment has a copy, which is not known to be gone.
    pub(crate) fn has_copy(&self, segment: &Segment) -> bool {
        self.folder.has(&self.path_of(segment))
    }

    /// Writes what is not stored, before the process ends. Whether all of it is on disk.
    pub(crate) fn finish(&mut self, sources: &mut Sources, log: &ScanLog, until: Instant) -> bool {
        loop {
            let now = Instant::now();
            for source in sources.each() {
                source.note_overdue(self.after, now);
            }
            if self.state == State::Available {
                self.copy_next(sources, false, true);
            }
            if !self.copying {
                return self.state == State::Available;
            }
            if !self.wait(sources, log, until) {
                return false;
            }
        }
    }

    /// Waits for the disk. False: it is too late.
    fn wait(&mut self, sources: &mut Sources, log: &ScanLog, until: Instant) -> bool {
        let left = until.saturating_duration_since(Instant::now());
        match self.events.recv_timeout(left) {
            Ok(event) => {
                self.take(event, sources, log, Instant::now());
                true
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => false,
        }
    }

    fn take(&mut self, event: Event, sources: &mut Sources, log: &ScanLog, now: Instant) {
        self.told.pop_front();
        match event {
            Event::Copied {
                path,
                writer,
                number,
                to,
                extent,
                result,
            } => {
                self.copying = false;
                let source = sources.each().find(|source| *source.key() == writer);
                let (to, extent) = match result {
                    Ok(()) => {
                        self.set_state(State::Available);
                        (to, extent)
                    }
                    Err((error, kept)) => {
                        self.folder.forget(&path);
                        if kept > 0 {
                            self.folder.count(&path, (HEADER + kept) as u64);
                        }
                        self.fail(&path, &error, now);
                        (kept, Extent::Part)
                    }
                };
                if let Some(source) = source {
                    source.set_copied(number, to, extent);
                }
            }
            Event::Loaded { writer, read } => {
                if let Err(error) = &read {
                    self.loaded = self.loaded.saturating_sub(1);
                    self.folder.metrics.count_error();
                    tracing::debug!(%error, "a copy was not read");
                }
                let source = sources.each().find(|source| *source.key() == writer);
                let given_up = source.and_then(|source| source.loaded(read, now));
                if let Some(Spooled { path, .. }) = given_up {
                    self.tell(Job::SetAside { path });
                }
            }
            Event::Removed {
                path,
                segment,
                result,
            } => match result {
                Ok(()) => {
                    self.folder.forget(&path);
                    if let Some(segment) = segment {
                        log.retire(segment);
                    }
                }
                Err(error) => {
                    self.fail(&path, &error, now);
                    self.remove_again_at = now + TRY_AGAIN;
                    self.left.push((path, segment));
                }
            },
            Event::SetAside { path } => self.folder.forget(&path),
        }
    }

    /// Reads the next segments of writers of whom it is only on disk.
    fn load(&mut self, sources: &mut Sources, now: Instant) {
        for source in sources.each() {
            // One is always every writer's: who waits for nothing must not keep the others waiting.
            if self.loaded >= LOADED && source.has_loaded() {
                continue;
            }
            let path = source.next_to_load(now).map(|next| next.path.clone());
            if let Some(path) = path {
                let writer = source.key().clone();
                self.loaded += 1;
                self.tell(Job::Load { writer, path });
            }
        }
    }

    /// Gives memory back to the writers, of segments that are on disk.
    fn give_back(&mut self, sources: &mut Sources, log: &ScanLog) {
        let folder = &self.folder;
        let copy = |segment: &Segment| {
            let path = folder.copy_path(segment.key(), segment.number());
            let next = segment.next().filter(|_| folder.has(&path))?;
            let head = Head::of(segment, next);
            Some(Spooled::new(head, path))
        };
        for source in sources.each() {
            while log.is_short() {
                let Some(segment) = source.take_copied(copy) else {
                    break;
                };
                log.retire(segment);
            }
        }
    }

    fn copy_next(&mut self, sources: &mut Sources, short: bool, all: bool) {
        if self.copying {
            return;
        }
        let Some(what) = sources
            .each()
            .find_map(|source| source.next_copy(short, all))
        else {
            if self.left.is_empty() && self.told.is_empty() {
                self.set_state(State::Available);
            }
            return;
        };
        let ToCopy { segment, to, .. } = &what;
        let path = self.path_of(segment);
        if !self.folder.reserve(&path, (HEADER + to) as u64) {
            self.set_state(State::Full);
            return;
        }
        self.copying = true;
        self.tell(Job::Copy { path, what });
    }

    /// Tries again to remove what could not be.
    fn remove_left(&mut self) {
        for (path, segment) in std::mem::take(&mut self.left) {
            self.tell(Job::Remove { path, segment });
        }
    }

    fn path_of(&self, segment: &Segment) -> PathBuf {
        match segment.is_copy() {
            true => segment.path().to_owned(),
            false => self.folder.copy_path(segment.key(), segment.number()),
        }
    }

    fn tell(&mut self, job: Job) {
        if let Some(jobs) = &self.jobs
            && jobs.send(job).is_ok()
        {
            self.told.push_back(Instant::now());
        }
    }

    /// A disk that does not answer, or a thread that is gone, says nothing by itself.
    fn look_at_disk(&mut self, now: Instant) {
        let silent = |told: &Instant| now.saturating_duration_since(*told) >= SILENCE;
        let gone = self.thread.as_ref().is_none_or(JoinHandle::is_finished);
        let hangs = gone || self.told.front().is_some_and(silent);
        if hangs == self.hangs {
            return;
        }
        self.hangs = hangs;
        self.say_available();
        let spool = self.folder.path().display();
        if hangs {
            tracing::error!(%spool, "the disk of the scan log's spool does not answer: what waits is in memory alone");
        } else {
            tracing::info!(%spool, "the disk of the scan log's spool answers again");
        }
    }

    fn say_available(&self) {
        let available = self.state == State::Available && !self.hangs;
        self.folder.metrics.set_available(available);
    }

    fn fail(&mut self, path: &std::path::Path, error: &std::io::Error, now: Instant) {
        self.folder.metrics.count_error();
        if !matches!(self.state, State::Failing(_)) {
            tracing::error!(path = %path.display(), %error, "the scan log's spool fails: what waits is in memory alone; it is tried again");
        }
        self.state = State::Failing(now + TRY_AGAIN);
        self.say_available();
    }

    fn set_state(&mut self, state: State) {
        if self.state == state {
            return;
        }
        self.state = state;
        self.say_available();
        let spool = self.folder.path().display();
        match state {
            State::Available => tracing::info!(%spool, "the scan log's spool takes scans again"),
            State::Full => {
                tracing::warn!(%spool, "the scan log's spool is full: scans will be dropped when memory is full too");
            }
            State::Failing(_) => {}
        }
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.jobs = None;
        let until = Instant::now() + GIVE_UP;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    tracing::error!(
                        "the disk of the scan log's spool does not answer: it is not waited for"
                    );
                    return;
                }
            }
        }
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the scan log's spool panicked");
        }
    }
}
