//! Visitors whose scans of a day were erased, as long as the day's salt tells who they are: scans of theirs that come later are erased too.
//!
//! Kept in memory alone, and by the day's hash alone, which is nobody's any more when the salt is gone.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use analytics::Erasure;
use jiff::civil::Date;

use crate::service::{Admin, WeakAdmin};

/// How often they are erased again: what an edge could not deliver comes late.
const AGAIN: Duration = Duration::from_secs(600);
/// As many as may be looked for each time.
const MOST: usize = 1_000;

/// The erasures of days that still have a salt.
#[derive(Default)]
pub(crate) struct Erasures(Mutex<BTreeSet<Erasure>>);

impl Erasures {
    /// Has it repeated until its day's salt is gone. False: there are too many already.
    pub(crate) fn repeat(&self, erasure: Erasure) -> bool {
        let mut erasures = self.erasures();
        if erasures.len() >= MOST && !erasures.contains(&erasure) {
            return false;
        }
        erasures.insert(erasure);
        true
    }

    fn since(&self, first: Date) -> Vec<Erasure> {
        let mut erasures = self.erasures();
        erasures.retain(|erasure| erasure.day >= first);
        erasures.iter().cloned().collect()
    }

    /// Only ever changed entry by entry, so that a panic elsewhere does it no harm.
    fn erasures(&self) -> MutexGuard<'_, BTreeSet<Erasure>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs until the admin is gone.
pub(crate) fn run(admin: WeakAdmin) {
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(AGAIN).await;
            let Some(admin) = admin.upgrade() else {
                return;
            };
            again(&admin).await;
        }
    });
}

async fn again(admin: &Admin) {
    let Some(first) = admin.salts().first() else {
        return;
    };
    for erasure in admin.erasures().since(first) {
        match admin.store().erase(&erasure).await {
            Ok(0) => {}
            Ok(scans) => tracing::info!(
                scans,
                day = %erasure.day,
                "scans came late of a visitor who was erased, and were erased too"
            ),
            Err(error) => {
                tracing::warn!(%error, "scans that came late of visitors who were erased are not erased yet; trying again");
                return;
            }
        }
    }
}
