//! How many of a partition's batches librdkafka is given before it has answered for those that it has.
//!
//! An idempotent producer sends no request of a partition while five messages of it are under way
//! (`RD_KAFKA_IDEMP_MAX_INFLIGHT`, counted in messages: librdkafka 2.12, `rd_kafka_toppar_producer_serve`). What waits behind them longer
//! than `linger.ms` has librdkafka's thread ask without a pause whether it may go: a whole processor, for as long as the broker is slow.
//! So what would wait there waits in the scan log. What comes together goes in one request, and there may be more of it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// As many as may be under way one by one.
const ONE_BY_ONE: u32 = 5;
/// As many as may come together: with 64 KiB each, below what librdkafka puts into one request (`batch.size`, 1 MB).
const TOGETHER: u32 = 12;

/// Every partition's window.
#[derive(Debug)]
pub(crate) struct Windows {
    /// How long what comes together may take: less than librdkafka waits for more (`linger.ms`).
    together_for: Duration,
    by_partition: HashMap<i32, Window>,
}

#[derive(Debug)]
struct Window {
    open: u32,
    /// When the first came of those that are open.
    began: Instant,
    /// More was wanted than had room. Then all that are open are waited for, and as many as may go together.
    held_back: bool,
}

impl Windows {
    pub(crate) fn new(linger: Duration) -> Self {
        Self {
            together_for: linger / 2,
            by_partition: HashMap::new(),
        }
    }

    /// Whether the partition has room for one more, which it then takes.
    pub(crate) fn take(&mut self, partition: i32, now: Instant) -> bool {
        let window = self.by_partition.entry(partition).or_insert(Window {
            open: 0,
            began: now,
            held_back: false,
        });
        if window.open == 0 {
            (window.began, window.held_back) = (now, false);
        }
        let together = now.duration_since(window.began) < self.together_for;
        let room = if together { TOGETHER } else { ONE_BY_ONE };
        window.held_back |= window.open >= room;
        if !window.held_back {
            window.open += 1;
        }
        !window.held_back
    }

    /// One was answered for, or not sent after all.
    pub(crate) fn give_back(&mut self, partition: i32) {
        if let Some(window) = self.by_partition.get_mut(&partition) {
            window.open = window.open.saturating_sub(1);
        }
    }

    /// Nothing is open any more.
    pub(crate) fn clear(&mut self) {
        self.by_partition.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINGER: Duration = Duration::from_millis(2);

    /// How many of `wanted` are taken at that time.
    fn taken(windows: &mut Windows, partition: i32, wanted: u32, at: Instant) -> u32 {
        (0..wanted)
            .map(|_| u32::from(windows.take(partition, at)))
            .sum()
    }

    #[test]
    fn five_are_under_way_one_by_one() {
        let (mut windows, start) = (Windows::new(LINGER), Instant::now());
        let at = |round: u32| start + round * 5 * LINGER;
        for round in 0..5 {
            assert_eq!(taken(&mut windows, 0, 1, at(round)), 1, "{round}");
        }
        assert_eq!(taken(&mut windows, 0, 1, at(5)), 0);
        assert_eq!(taken(&mut windows, 1, 1, at(5)), 1, "another partition's");
    }

    #[test]
    fn what_has_room_for_some_is_waited_for_until_all_go_together() {
        let (mut windows, start) = (Windows::new(LINGER), Instant::now());
        assert_eq!(taken(&mut windows, 0, 1, start), 1);
        let later = start + 3 * LINGER;
        assert_eq!(taken(&mut windows, 0, 20, later), 4);
        for _ in 0..4 {
            windows.give_back(0);
            assert_eq!(taken(&mut windows, 0, 20, later), 0, "one is still open");
        }
        windows.give_back(0);
        assert_eq!(taken(&mut windows, 0, 20, later), 12);
    }

    #[test]
    fn a_new_producer_has_nothing_open() {
        let (mut windows, start) = (Windows::new(LINGER), Instant::now());
        assert_eq!(taken(&mut windows, 0, 20, start), 12);
        windows.clear();
        assert_eq!(taken(&mut windows, 0, 20, start + LINGER), 12);
    }
}
