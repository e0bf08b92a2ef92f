//! Asks the scan store for one subject's seconds as they are due, for all who watch it, until nobody does.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use analytics::{Interval, InvalidQuery, Point, ScanQuery, ScanStore, StoreError};
use jiff::Timestamp;
use tokio::sync::{AcquireError, Semaphore, watch};
use tokio::task::JoinError;

use super::window::{Window, until_next};
use super::{Subject, Windows, lock};

/// How long an answer may take before it is said that there is none; it is waited for all the same.
const PATIENCE: Duration = Duration::from_secs(3);

/// Why there are no points.
#[derive(Debug, thiserror::Error)]
enum Unanswered {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Query(#[from] InvalidQuery),
    #[error(transparent)]
    Turn(#[from] AcquireError),
    #[error(transparent)]
    Task(#[from] JoinError),
}

pub(super) struct Poller {
    pub(super) subject: Subject,
    pub(super) store: Arc<dyn ScanStore>,
    /// Whoever holds one may ask.
    pub(super) turns: Arc<Semaphore>,
    pub(super) windows: Arc<Windows>,
    /// Nobody else keeps it: who watches learns of this task's end.
    pub(super) window: Arc<watch::Sender<Window>>,
}

impl Poller {
    pub(super) async fn run(self, mut closed: watch::Receiver<bool>) {
        tokio::select! {
            () = self.poll() => {}
            () = self.until_nobody_watches() => {}
            _ = closed.wait_for(|closed| *closed) => {}
        }
    }

    /// Asks once a second, and no sooner than it was answered. Ends when the clock was set back, so that who comes anew is told anew.
    async fn poll(&self) {
        loop {
            let now = Timestamp::now();
            if self.window.borrow().is_ahead_of(now) {
                lock(&self.windows).remove(&self.subject);
                return;
            }
            let due = self.window.borrow().due(now);
            if let Some(seconds) = due {
                match self.answer(seconds).await {
                    Ok(points) => self.window.send_modify(|window| window.extend(points)),
                    Err(error) => self.miss(&error.to_string()),
                }
            }
            tokio::time::sleep(until_next(Timestamp::now())).await;
        }
    }

    /// The points of these seconds, however late they come; meanwhile it is said that they are missing.
    async fn answer(&self, seconds: (Timestamp, Timestamp)) -> Result<Vec<Point>, Unanswered> {
        let mut asked = pin!(self.ask(seconds));
        loop {
            tokio::select! {
                answer = &mut asked => return answer,
                () = tokio::time::sleep(PATIENCE) => self.miss("no answer yet"),
            }
        }
    }

    async fn ask(&self, seconds: (Timestamp, Timestamp)) -> Result<Vec<Point>, Unanswered> {
        let Subject {
            workspace,
            select,
            bots,
        } = self.subject.clone();
        let query = ScanQuery::new(select, seconds, Interval::Second, &[], bots)?;
        let turn = Arc::clone(&self.turns).acquire_owned().await?;
        let store = Arc::clone(&self.store);
        // A store that works on a question goes on though nobody waits for it any more, and so it keeps its turn.
        let asked = tokio::spawn(async move {
            let _turn = turn;
            store.scans(&workspace, &query).await
        });
        Ok(asked.await??.series)
    }

    /// Tells who watches; the log only has the first of an outage.
    fn miss(&self, reason: &str) {
        self.window.send_modify(|window| {
            if window.miss() {
                tracing::warn!(%reason, "live scans wait for the scan store");
            }
        });
    }

    /// Comes when the last has gone, and whoever comes now begins with another poller.
    async fn until_nobody_watches(&self) {
        loop {
            self.window.closed().await;
            let mut windows = lock(&self.windows);
            // Somebody may have come in between; nobody can while this is locked.
            if self.window.receiver_count() == 0 {
                windows.remove(&self.subject);
                return;
            }
        }
    }
}
