//! Scans as they come in, second by second: who watches what. `window` says which seconds are told when, `poller` asks the scan store for
//! them, once for all who watch the same.

mod poller;
mod window;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use analytics::{Bots, Point, ScanStore, Select};
use tags::WorkspaceId;
use tokio::sync::{Semaphore, watch};

use self::poller::Poller;
pub(crate) use self::window::Begin;
use self::window::Window;
use crate::places::{Bounds, Full, Place, Places};

/// Questions to the scan store at a time, whatever is watched: each holds a connection or a thread.
const QUESTIONS: usize = 4;

/// Of a workspace, a few dashboards, each with some charts. In all, as many subjects cost the store as many questions a second, if no two
/// watch the same.
const PLACES: Bounds = Bounds {
    of_a_workspace: 32,
    in_all: 256,
};

/// What is watched.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Subject {
    pub(crate) workspace: WorkspaceId,
    pub(crate) select: Select,
    pub(crate) bots: Bots,
}

/// The window of each subject that is watched, which its poller owns.
type Windows = Mutex<HashMap<Subject, Weak<watch::Sender<Window>>>>;

/// What is being watched, and by how many.
pub(crate) struct LiveScans {
    store: Arc<dyn ScanStore>,
    turns: Arc<Semaphore>,
    windows: Arc<Windows>,
    places: Places,
    closed: watch::Sender<bool>,
}

impl LiveScans {
    pub(crate) fn new(store: Arc<dyn ScanStore>) -> Self {
        Self {
            store,
            turns: Arc::new(Semaphore::new(QUESTIONS)),
            windows: Arc::default(),
            places: Places::new(PLACES),
            closed: watch::Sender::new(false),
        }
    }

    /// Watches a subject, with all who watch the same; else says of what there are too many. To be called within Tokio's runtime.
    pub(crate) fn watch(&self, subject: Subject, begin: Begin) -> Result<Viewer, Full> {
        let place = self.places.take(&subject.workspace)?;
        let mut windows = lock(&self.windows);
        let there = windows.get(&subject).and_then(Weak::upgrade);
        let mut window = match there {
            Some(window) => window.subscribe(),
            None => {
                let (window, receiver) = watch::channel(Window::default());
                let window = Arc::new(window);
                windows.insert(subject.clone(), Arc::downgrade(&window));
                let poller = Poller {
                    subject,
                    store: Arc::clone(&self.store),
                    turns: Arc::clone(&self.turns),
                    windows: Arc::clone(&self.windows),
                    window,
                };
                tokio::spawn(poller.run(self.closed.subscribe()));
                receiver
            }
        };
        // What is in it already is news to this one.
        window.mark_changed();
        Ok(Viewer {
            window,
            begin,
            _place: place,
        })
    }

    /// Ends all watching, also such as begins later.
    pub(crate) fn close(&self) {
        self.closed.send_replace(true);
    }
}

/// What is told of a subject.
#[derive(Debug)]
pub(crate) enum Update {
    /// The seconds behind those that were told before, in order.
    Points(Vec<Point>),
    /// The scan store has not answered, and is asked again.
    Unavailable,
}

/// One who watches a subject, and has a place while they do.
pub(crate) struct Viewer {
    window: watch::Receiver<Window>,
    begin: Begin,
    _place: Place,
}

impl Viewer {
    /// Waits for what has not been told yet; none: the watching was ended. Who asks too seldom misses seconds that are in no window any more.
    pub(crate) async fn next(&mut self) -> Option<Update> {
        loop {
            self.window.changed().await.ok()?;
            let window = self.window.borrow_and_update();
            let points = window.since(self.begin);
            if let Some(last) = points.last() {
                self.begin = Begin::After(last.start);
                return Some(Update::Points(points));
            }
            if window.is_unavailable() {
                return Some(Update::Unavailable);
            }
        }
    }
}

/// What is in it is changed in one step, so that a panic elsewhere does it no harm.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use analytics::SqliteStore;
    use tempfile::TempDir;

    use super::*;

    fn live_scans() -> (TempDir, LiveScans) {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("scans.sqlite")).unwrap();
        (folder, LiveScans::new(Arc::new(store)))
    }

    fn subject(workspace: &str, campaign: &str) -> Subject {
        Subject {
            workspace: WorkspaceId::parse(workspace).unwrap(),
            select: Select::Campaign(campaign.to_owned()),
            bots: Bots::Exclude,
        }
    }

    async fn until_watched(live: &LiveScans, subjects: usize) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while lock(&live.windows).len() != subjects {
            assert!(Instant::now() < deadline, "{subjects}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn all_who_watch_the_same_have_one_poller_which_ends_with_the_last_of_them() {
        let (_folder, live) = live_scans();
        let watch = |workspace, campaign| {
            let viewer = live.watch(subject(workspace, campaign), Begin::Newest);
            viewer.unwrap()
        };
        let viewers: Vec<_> = (0..10).map(|_| watch("ws_a", "spring")).collect();
        let others = [watch("ws_b", "spring"), watch("ws_a", "autumn")];
        until_watched(&live, 3).await;
        let first = viewers.first().unwrap();
        assert!(
            viewers
                .iter()
                .all(|it| it.window.same_channel(&first.window))
        );
        assert!(
            others
                .iter()
                .all(|it| !it.window.same_channel(&first.window))
        );
        drop(others);
        until_watched(&live, 1).await;
        drop(viewers);
        until_watched(&live, 0).await;
    }

    #[tokio::test]
    async fn who_comes_later_is_told_what_is_known_already_and_all_are_told_the_same() {
        let (_folder, live) = live_scans();
        let told = async |viewer: &mut Viewer| match viewer.next().await {
            Some(Update::Points(points)) => points,
            other => panic!("{other:?}"),
        };
        let mut early = live
            .watch(subject("ws_a", "spring"), Begin::Newest)
            .unwrap();
        let first = told(&mut early).await;
        assert_eq!(first.len(), 60);
        let second = told(&mut early).await;
        let mut late = live
            .watch(subject("ws_a", "spring"), Begin::After(first[58].start))
            .unwrap();
        let backlog = told(&mut late).await;
        assert_eq!(backlog[0], first[59]);
        assert_eq!(backlog[1..=second.len()], second);
    }

    #[tokio::test]
    async fn no_one_watches_any_more_once_it_is_closed() {
        let (_folder, live) = live_scans();
        let mut viewer = live
            .watch(subject("ws_a", "spring"), Begin::Newest)
            .unwrap();
        live.close();
        while viewer.next().await.is_some() {}
        let mut later = live
            .watch(subject("ws_a", "spring"), Begin::Newest)
            .unwrap();
        while later.next().await.is_some() {}
    }
}
