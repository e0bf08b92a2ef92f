//! All rollups of a time, computed anew: what an operator asks for by hand.

use super::{HourRange, Piece, Which};
use crate::{Hour, ScanStore, StoreError};

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Hours whose rollups were computed, and replaced what was there.
    pub hours: u64,
    /// Days whose rollups were derived from those of their hours, in this time or another.
    pub days: u64,
    /// Hours that have ended and were left out: scans have come for them too lately, or they have been made dirty meanwhile.
    pub later: u64,
}

/// Computes all rollups from the first hour to the second, which is outside, the newest first, as the job computes those that do not hold.
/// `told` hears of each step when it is done, and of each that failed for lack of time, with why: half of its hours are tried then, down to one.
/// What was computed before an error holds.
pub async fn rebuild(
    store: &dyn ScanStore,
    from: Hour,
    to: Hour,
    mut told: impl FnMut(&HourRange, Option<&StoreError>),
) -> Result<Rebuilt, StoreError> {
    let mut left = store.hours_to_roll_up(Which::Within(from, to)).await?;
    let mut rebuilt = Rebuilt {
        hours: 0,
        days: 0,
        later: left.later,
    };
    let mut piece = Piece::default();
    while let Some(run) = left.newest_run(piece) {
        let hold = match (store.roll_up(&run).await, Piece::half_of(&run)) {
            (Err(error @ StoreError::TookTooLong { .. }), Some(half)) => {
                told(&run, Some(&error));
                piece = half;
                continue;
            }
            (hold, _) => hold?,
        };
        rebuilt.hours += hold;
        rebuilt.later += run.count() - hold;
        told(&run, None);
        piece = piece.doubled();
        left.ready.drain(..run.count() as usize);
    }
    loop {
        match store.roll_up_days().await? {
            0 => return Ok(rebuilt),
            days => rebuilt.days += days,
        }
    }
}
