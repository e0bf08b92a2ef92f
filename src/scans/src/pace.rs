//! How fast the shipper goes through what an outage has left. Unbounded, it would take the processors, the network and the broker from
//! those who answer scans now, for as long as there is anything left.

use std::time::{Duration, Instant};

/// How many scans may leave the log: each takes a permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CatchUp {
    /// Permits that come with each scan that is recorded. One is for itself, so that while nothing waits the pace holds nothing up; the rest are
    /// for what waits before it. So there have to be 2 at least, or what waits gets no less while scans come.
    pub for_each_recorded: u32,
    /// Permits that come with each second, for where few scans come; so many are kept at most.
    pub a_second: u32,
}

impl Default for CatchUp {
    /// What waits gets less nine times as fast as scans come in, and by 25,000 scans a second beside: at the 1 µs of processor time that one may
    /// cost (`benches/scans`), a fortieth of a processor.
    fn default() -> Self {
        Self {
            for_each_recorded: 10,
            a_second: 25_000,
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// The permits that there are: a token bucket.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Below zero when the last batch took more than there were.
    permits: i64,
    /// Scans that have brought theirs.
    recorded: u64,
    /// Until when time has brought its.
    until: Option<Instant>,
}

impl Pace {
    /// Takes in what the time until now brings, and all scans that have been recorded by now, counted from the beginning.
    pub(crate) fn refill(&mut self, catch_up: CatchUp, recorded: u64, now: Instant) {
        let a_second = catch_up.a_second.max(1);
        let each = SECOND / a_second;
        let passed = now.saturating_duration_since(*self.until.get_or_insert(now));
        let passed = passed.min(SECOND);
        let with_time = passed.as_nanos() / each.as_nanos();
        // What is less than a permit's time counts the next time.
        let rest = Duration::from_nanos((passed.as_nanos() % each.as_nanos()) as u64);
        self.until = Some(now.checked_sub(rest).unwrap_or(now));

        let more = recorded.saturating_sub(self.recorded);
        self.recorded = recorded;
        let with_scans = more.saturating_mul(catch_up.for_each_recorded.into());
        let brought = i64::try_from(with_time + u128::from(with_scans)).unwrap_or(i64::MAX);
        // As many as have just been recorded, where that is more: they may all go.
        let most = i64::try_from(more.max(a_second.into())).unwrap_or(i64::MAX);
        self.permits = self.permits.saturating_add(brought).min(most);
    }

    /// Whether a batch may leave, of however many scans.
    pub(crate) fn has_permits(&self) -> bool {
        self.permits > 0
    }

    /// A batch of so many has left.
    pub(crate) fn take(&mut self, scans: u32) {
        self.permits -= i64::from(scans);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND: Duration = Duration::from_millis(5);
    const BATCH: u32 = 250;

    /// A log before an outlet that takes whatever it is given, in rounds as a shipper has them.
    struct Log {
        pace: Pace,
        recorded: u64,
        left: u64,
        now: Instant,
    }

    impl Log {
        fn with_backlog(scans: u64) -> Self {
            Self {
                pace: Pace::default(),
                recorded: 0,
                left: scans,
                now: Instant::now(), // a beginning, which nothing depends on
            }
        }

        /// How many scans leave in a round in which so many are recorded.
        fn round(&mut self, recorded: u64) -> u64 {
            self.now += ROUND;
            self.recorded += recorded;
            self.left += recorded;
            self.pace
                .refill(CatchUp::default(), self.recorded, self.now);
            let before = self.left;
            while self.pace.has_permits() && self.left > 0 {
                let batch = self.left.min(BATCH.into());
                self.left -= batch;
                self.pace.take(batch as u32);
            }
            before - self.left
        }

        /// How many leave in a second with so many recorded in each round.
        fn second(&mut self, recorded: u64) -> u64 {
            (0..SECOND.as_millis() / ROUND.as_millis())
                .map(|_| self.round(recorded))
                .sum()
        }
    }

    #[test]
    fn what_is_recorded_leaves_at_once_while_nothing_waits() {
        let mut log = Log::with_backlog(0);
        // Also a sudden crowd, and one that a shipper finds which had no processor for long.
        for recorded in [1, 0, 50, 50, 5_000, 0, 1, 400_000, 50] {
            assert_eq!(log.round(recorded), recorded);
        }
    }

    #[test]
    fn a_backlog_leaves_with_ten_scans_for_each_that_is_recorded_and_some_with_time() {
        let mut log = Log::with_backlog(10_000_000);
        log.second(0);
        // 10,000 a second.
        let left = log.second(50);
        let expected = 10 * 10_000 + 25_000;
        assert!(left.abs_diff(expected) <= u64::from(BATCH), "{left}");
    }

    #[test]
    fn a_backlog_leaves_where_nothing_is_recorded_any_more() {
        let mut log = Log::with_backlog(100_000);
        let left = log.second(0);
        assert!(left.abs_diff(25_000) <= u64::from(BATCH), "{left}");
    }

    #[test]
    fn what_was_not_used_is_kept_for_a_second_at_most() {
        let mut log = Log::with_backlog(0);
        for _ in 0..60 {
            log.second(50);
        }
        log.left = 1_000_000;
        let left = log.round(0);
        assert!(left.abs_diff(25_000) <= u64::from(BATCH), "{left}");
    }

    #[test]
    fn time_that_brings_no_whole_permit_is_not_lost() {
        let few = CatchUp {
            a_second: 3,
            ..CatchUp::default()
        };
        let (mut pace, start) = (Pace::default(), Instant::now());
        let came = (0..=100).filter(|tenth| {
            pace.refill(few, 0, start + SECOND / 10 * *tenth);
            let came = pace.has_permits();
            pace.take(came.into());
            came
        });
        // In ten seconds; the last may still be short of its time by what a third of a second is rounded by.
        assert!((29..=30).contains(&came.count()));
    }
}
