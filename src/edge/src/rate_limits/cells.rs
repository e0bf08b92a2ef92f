//! How often things have been asked for, in a fixed number of cells, whatever the number of things.
//!
//! Each thing is limited by the generic cell rate algorithm (ITU-T I.371, annex A, as virtual scheduling; the meter of RFC 2697 with one
//! colour): a cell holds the moment at which all that was let through would have been, had it come evenly. How far that lies ahead of now is the
//! debt. As much is let through as keeps the debt within a second, so that a second's worth may come at once.
//!
//! A cell is one word: 16 bits that tell the thing from others, and 48 bits of time by a clock that only goes forth, in ticks of 64 ns, which come around
//! every 208 days: whoever is silent for exactly so long, within a minute, is held to owe something. What lies more than a minute ahead is therefore past, and nothing is owed. What lies more than a second ahead is neither:
//! the thread that looks was kept from running since it read the clock, while others counted on, and is not to put that back. The hash of a thing chooses a set of
//! eight cells, one cache line. A thing that has none there takes the cell of the one that owes least, which mostly owes nothing and so loses
//! nothing; where it owes something, that is forgiven. So those who ask most keep their cells, and nobody is held to account
//! for others, but where the 16 bits are the same: with eight others in its set, all of them at their limit, for one in 8,192.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};

/// Cells in a set.
const WAYS: usize = 8;
/// Nanoseconds.
pub(super) const TICK: u64 = 64;
const SECOND: u64 = 1_000_000_000 / TICK;
/// For how long a thread may be kept from running between reading the clock and counting.
const LATE: u64 = 60 * SECOND;
/// The part of a cell that is a time.
const TIME: u64 = (1 << 48) - 1;

#[derive(Default)]
#[repr(align(64))]
struct Set([AtomicU64; WAYS]);

/// See the module.
pub(super) struct Cells(Box<[Set]>);

impl Cells {
    /// At least so many, each of eight bytes.
    pub(super) fn new(cells: usize) -> Self {
        let sets = cells.div_ceil(WAYS).next_power_of_two();
        Self((0..sets).map(|_| Set::default()).collect())
    }

    /// Lets one more of a thing through, at most so many a second. `hash` names the thing; who asks must not be able to choose it. What is
    /// refused counts for nothing. `now` is in ticks since a moment that stays the same.
    pub(super) fn admits(&self, hash: u64, rate: NonZeroU32, now: u64) -> bool {
        // A rate is let through a little faster than it is: by less than 7 per cent up to a million a second. Rates above sixteen million are
        // the same as that.
        let one = (SECOND / u64::from(rate.get())).max(1);
        let set = &self.0[hash as usize & (self.0.len() - 1)];
        let name = hash & !TIME;
        loop {
            let (cell, before, owed) = set.cell_of(name, now);
            let owed = owed + one;
            if owed > SECOND {
                return false;
            }
            let after = name | (now.wrapping_add(owed) & TIME);
            // Relaxed: the word is all that is shared. When another thread was quicker, it is looked at again: each failure is another's
            // success.
            let exchanged =
                cell.compare_exchange_weak(before, after, Ordering::Relaxed, Ordering::Relaxed);
            if exchanged.is_ok() {
                return true;
            }
        }
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.0)
    }
}

impl Set {
    /// A thing's cell, what is in it, and what the thing owes; or the cell that it is to have.
    fn cell_of(&self, name: u64, now: u64) -> (&AtomicU64, u64, u64) {
        let (mut least, mut least_owed) = ((&self.0[0], 0), u64::MAX);
        for cell in &self.0 {
            let word = cell.load(Ordering::Relaxed);
            let owed = owed(word, now);
            if word & !TIME == name {
                return (cell, word, owed);
            }
            if owed < least_owed {
                (least, least_owed) = ((cell, word), owed);
            }
        }
        (least.0, least.1, 0)
    }
}

/// How far a cell's time is ahead.
fn owed(word: u64, now: u64) -> u64 {
    let ahead = word.wrapping_sub(now) & TIME;
    if ahead <= SECOND + LATE { ahead } else { 0 }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
    use std::thread;

    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_795_000_000 * SECOND;

    fn rate(per_second: u32) -> NonZeroU32 {
        NonZeroU32::new(per_second).unwrap()
    }

    fn admitted(cells: &Cells, hash: u64, per_second: u32, now: u64, times: usize) -> usize {
        let admits = || cells.admits(hash, rate(per_second), now);
        (0..times).filter(|_| admits()).count()
    }

    #[test]
    fn a_second_s_worth_comes_at_once_and_then_one_at_a_time() {
        let cells = Cells::new(8);
        for per_second in [1, 2, 3, 7, 10, 1_000] {
            let hash = u64::from(per_second) << 48;
            let most = per_second as usize;
            assert_eq!(admitted(&cells, hash, per_second, NOW, 2 * most), most);
            let one = SECOND / u64::from(per_second);
            let next = NOW + one;
            assert_eq!(admitted(&cells, hash, per_second, next - one / 2, 3), 0);
            assert_eq!(admitted(&cells, hash, per_second, next, 3), 1);
            let later = next + SECOND;
            assert_eq!(admitted(&cells, hash, per_second, later, 2 * most), most);
        }
    }

    proptest! {
        /// A bucket of tokens in floating point, filled evenly: it holds as many as a second brings.
        #[test]
        fn it_is_a_token_bucket(
            per_second in prop_oneof![1_u32..10, 1_u32..1_000, 1_u32..1_000_000],
            start in any::<u64>(),
            // From one request to the next, in thousandths of what one takes.
            steps in prop::collection::vec(prop_oneof![Just(0_u64), 0_u64..2_000, 0_u64..1_000_000], 1..300),
        ) {
            let cells = Cells::new(1);
            let capacity = f64::from(per_second);
            let (mut tokens, mut now) = (capacity, start);
            // Ticks are whole: what one takes is a little less than it should be.
            let mut rounded = 1e-6;
            for step in steps {
                let passed = step * SECOND / u64::from(per_second) / 1_000;
                now = now.wrapping_add(passed);
                tokens = (tokens + passed as f64 * capacity / SECOND as f64).min(capacity);
                let admits = cells.admits(7 << 48, rate(per_second), now);
                let sure = (tokens - 1.0).abs() > rounded;
                prop_assert!(!sure || admits == (tokens >= 1.0), "{tokens} tokens, {admits}");
                if admits {
                    tokens -= 1.0;
                    rounded += capacity / SECOND as f64;
                }
            }
        }
    }

    #[test]
    fn who_was_silent_for_hours_or_days_owes_nothing() {
        let (cells, hour) = (Cells::new(8), 3_600 * SECOND);
        let mut now = NOW;
        for silence in [0, 1, 39, 78, 79, 24 * 208, 24 * 365] {
            now += silence * hour + SECOND;
            assert_eq!(admitted(&cells, 1 << 48, 10, now, 20), 10, "{silence} h");
        }
    }

    #[test]
    fn a_thread_that_looks_late_gives_nothing_back() {
        let cells = Cells::new(8);
        assert_eq!(admitted(&cells, 1 << 48, 1_000, NOW, 2_000), 1_000);
        for late in [1, SECOND / 1_000, SECOND / 2, SECOND, 5 * SECOND, LATE] {
            let before = NOW - late;
            assert_eq!(admitted(&cells, 1 << 48, 1_000, before, 10), 0, "{late}");
            assert_eq!(admitted(&cells, 1 << 48, 1_000, NOW, 10), 0, "{late}");
        }
        assert_eq!(admitted(&cells, 1 << 48, 1_000, NOW + SECOND, 2_000), 1_000);
    }

    #[test]
    fn a_limit_that_is_lowered_or_raised_holds_at_once() {
        let cells = Cells::new(8);
        assert_eq!(admitted(&cells, 1 << 48, 100, NOW, 50), 50);
        // Half a second is owed, whatever the limit.
        assert_eq!(admitted(&cells, 1 << 48, 10, NOW, 50), 5);
        assert_eq!(admitted(&cells, 1 << 48, 1_000, NOW, 50), 0);
        assert_eq!(admitted(&cells, 1 << 48, 1_000, NOW + SECOND / 100, 50), 10);
    }

    #[test]
    fn who_is_at_the_limit_keeps_the_cell_whoever_comes() {
        let cells = Cells::new(1);
        let flood = 1 << 48;
        assert_eq!(admitted(&cells, flood, 10, NOW, 20), 10);
        for other in 2..10_000 {
            assert_eq!(admitted(&cells, other << 48, 10, NOW, 1), 1, "{other}");
        }
        assert_eq!(admitted(&cells, flood, 10, NOW, 20), 0);
    }

    /// Each with a clock of its own that is late now and then, as when the thread is kept from running.
    #[test]
    fn threads_together_let_through_what_one_would() {
        const STEP: u64 = SECOND / 10_000;
        const STEPS: u64 = 4 * SECOND / STEP;
        let cells = Cells::new(64);
        let all: usize = thread::scope(|scope| {
            let count = |thread: u64| {
                let cells = &cells;
                let ask = move |step| {
                    let late = step * (thread + 1) % 7 * 30 * STEP;
                    admitted(cells, 5 << 48, 1_000, NOW + step * STEP - late, 1)
                };
                scope.spawn(move || (0..STEPS).map(ask).sum::<usize>())
            };
            let threads: Vec<_> = (0..4).map(count).collect();
            threads.into_iter().map(|one| one.join().unwrap()).sum()
        });
        assert!((1_000..=5_000).contains(&all), "{all} in four seconds");
    }

    /// A million addresses in ten seconds, each once; among them a hundred that ask a hundred times as often as they may, and ten
    /// thousand that ask once a second. The hash has no secret here, so that it comes to the same each time.
    #[test]
    fn a_million_addresses_take_no_more_memory_and_hide_neither_those_who_flood_nor_those_who_do_not()
     {
        const LIMIT: u32 = 10;
        let cells = Cells::new(1 << 18);
        let names = BuildHasherDefault::<DefaultHasher>::new();
        let bytes = cells.bytes();
        assert_eq!(bytes, 2 << 20);
        let admits = |name: (&str, u64), now| cells.admits(names.hash_one(name), rate(LIMIT), now);
        let mut let_through: HashMap<&str, (usize, usize)> = HashMap::new();
        let mut ask = |name: (&'static str, u64), now| {
            let (asked, answered) = let_through.entry(name.0).or_default();
            *asked += 1;
            *answered += usize::from(admits(name, now));
        };
        let counted = allocation_counter::measure(|| {
            for number in 0..1_000_000 {
                let now = NOW + number * 10_000 / TICK;
                ask(("once", number), now);
                ask(("flood", number % 100), now);
                if number % 10 == 0 {
                    ask(("honest", number / 10 % 10_000), now);
                }
            }
        });
        println!("{let_through:?}, of {LIMIT} a second");
        assert_eq!(cells.bytes(), bytes);
        assert!(
            counted.count_total < 10,
            "{counted:?}: for the test's own map"
        );
        let refused = |name: &str| let_through[name].0 - let_through[name].1;
        assert_eq!(refused("once"), 0, "of 1,000,000");
        assert_eq!(refused("honest"), 0, "of 100,000");
        // A second's worth at first, and then ten seconds.
        let flooded = let_through["flood"].1;
        assert!(
            (10_000..=11_100).contains(&flooded),
            "{flooded} of 1,000,000"
        );
    }
}
