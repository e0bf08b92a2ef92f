//! How often things have been asked for, in memory of a fixed size, whatever the number of things.

use std::hash::{BuildHasher, Hash, RandomState};
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// Places of a table's row: two rows of 16 bytes each make 256 KiB a table.
const PLACES: usize = 8_192;

/// So many at once, and then one in so long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    pub(crate) burst: u32,
    pub(crate) every: Duration,
}

impl Rate {
    /// Evenly so many a second, of which a second's worth may come at once. Rates above a billion are the same as a billion.
    pub(crate) fn per_second(most: NonZeroU32) -> Self {
        let burst = most.get().min(1_000_000_000);
        Self {
            burst,
            every: Duration::from_secs(1) / burst,
        }
    }
}

/// The generic cell rate algorithm (ITU-T I.371) in two rows: what meets another name's place in one row is judged by the other, so that a
/// name is refused for another's sake only where it meets one in both.
pub(crate) struct Table([Row; 2]);

struct Row {
    hasher: RandomState,
    /// From when on all that a name was let through for is forgotten.
    full_at: Box<[Option<Instant>]>,
}

impl Default for Table {
    fn default() -> Self {
        let row = || Row {
            hasher: RandomState::new(),
            full_at: vec![None; PLACES].into(),
        };
        Self([row(), row()])
    }
}

impl Table {
    /// Lets one more of a name through, and counts it; else says after how long there may be another, and counts nothing.
    pub(crate) fn take(
        &mut self,
        name: impl Hash,
        Rate { burst, every }: Rate,
        now: Instant,
    ) -> Result<(), Duration> {
        let latest = now + every * (burst - 1);
        let waits = self.0.iter_mut().map(|row| {
            let full_at = row.place(&name).unwrap_or(now);
            full_at.saturating_duration_since(latest)
        });
        let wait = waits.min().unwrap_or_default();
        if !wait.is_zero() {
            return Err(wait);
        }
        for row in &mut self.0 {
            let place = row.place(&name);
            *place = Some(place.map_or(now, |full_at| full_at.max(now)) + every);
        }
        Ok(())
    }

    /// Takes back what was counted once, at the same rate.
    pub(crate) fn give_back(&mut self, name: impl Hash, rate: Rate) {
        for row in &mut self.0 {
            let place = row.place(&name);
            *place = place.and_then(|full_at| full_at.checked_sub(rate.every));
        }
    }
}

impl Row {
    fn place(&mut self, name: &impl Hash) -> &mut Option<Instant> {
        let hash = self.hasher.hash_one(name);
        let place = usize::try_from(hash % (PLACES as u64)).unwrap_or(0);
        &mut self.full_at[place]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        burst: 10,
        every: Duration::from_secs(60),
    };

    fn taken(table: &mut Table, per_second: u32, now: Instant) -> u32 {
        let rate = Rate::per_second(NonZeroU32::new(per_second).unwrap());
        let take = |_: &u32| table.take("name", rate, now).is_ok();
        u32::try_from((0..2_000).filter(take).count()).unwrap()
    }

    #[test]
    fn a_second_s_worth_comes_at_once_and_then_evenly() {
        for per_second in [1, 2, 3, 7, 1_000] {
            let (mut table, now) = (Table::default(), Instant::now());
            assert_eq!(taken(&mut table, per_second, now), per_second);
            let one = Duration::from_secs(1) / per_second;
            assert_eq!(taken(&mut table, per_second, now + one / 2), 0);
            assert_eq!(taken(&mut table, per_second, now + one), 1);
            let later = now + one + Duration::from_secs(1);
            assert_eq!(taken(&mut table, per_second, later), per_second);
        }
    }

    #[test]
    fn another_rate_holds_at_once_and_the_largest_is_one() {
        let (mut table, now) = (Table::default(), Instant::now());
        let rate = Rate::per_second(NonZeroU32::new(1_000).unwrap());
        for _ in 0..500 {
            table.take("name", rate, now).unwrap();
        }
        // Half a second is owed, whatever the rate.
        assert_eq!(taken(&mut table, 10, now), 5);
        assert_eq!(taken(&mut table, 1_000, now), 0);
        let later = now + Duration::from_secs(1);
        assert_eq!(taken(&mut table, u32::MAX, later), 2_000);
    }

    #[test]
    fn names_that_are_refused_leave_room_for_others_in_the_same_memory() {
        let (mut table, now) = (Table::default(), Instant::now());
        for name in 0..1_000 {
            for _ in 0..10 {
                let _ = table.take(name, RATE, now);
            }
        }
        // One in (8,192 / 1,000)², 67, meets some of them in both rows.
        let innocent = (1_000_000..1_001_000).filter(|name| table.take(name, RATE, now).is_ok());
        assert!(innocent.count() > 950);
        assert_eq!(table.0[0].full_at.len(), PLACES);
    }
}
