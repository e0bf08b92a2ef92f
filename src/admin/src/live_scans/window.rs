//! The newest seconds of one subject: which are due, and what is told of them. It has no clock.

use std::collections::VecDeque;
use std::time::Duration;

use analytics::Point;
use jiff::{SignedDuration, Timestamp};

/// How long after its end a second is told, so that what was scanned in it is stored by then. With the second itself, 200 ms for the
/// question and the way remain of the three seconds that a scan may take.
const SETTLING: SignedDuration = SignedDuration::from_millis(1_800);
/// How far back it goes: who was cut off for no longer misses nothing.
pub(crate) const KEPT: usize = 600;
/// What who has seen nothing is told first.
pub(crate) const NEWEST: usize = 60;

/// Where somebody begins.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Begin {
    /// With the last [`NEWEST`] seconds.
    Newest,
    /// Behind the second that began then.
    After(Timestamp),
}

/// Seconds without a gap between them, and whether the store answers.
#[derive(Debug, Default)]
pub(crate) struct Window {
    points: VecDeque<Point>,
    is_unavailable: bool,
}

impl Window {
    /// The seconds that can be told by now and are not known yet, `from` inside and `to` outside; at most [`KEPT`].
    pub(super) fn due(&self, now: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let end = now.checked_sub(SETTLING).ok()?.as_second();
        let oldest = end - KEPT as i64;
        let next = self.points.back().map(|point| point.start.as_second() + 1);
        let begin = next.map_or(oldest, |next| next.max(oldest));
        let moment = |second| Timestamp::from_second(second).ok();
        (begin < end).then_some((moment(begin)?, moment(end)?))
    }

    /// Whether seconds have been told that are still to come, as the clock was ahead.
    pub(super) fn is_ahead_of(&self, now: Timestamp) -> bool {
        self.points.back().is_some_and(|point| point.start > now)
    }

    /// Takes in what was answered about the seconds that were due.
    pub(super) fn extend(&mut self, points: Vec<Point>) {
        self.is_unavailable = false;
        self.points.extend(points);
        let beyond = self.points.len().saturating_sub(KEPT);
        self.points.drain(..beyond);
    }

    /// Notes that there is no answer; true: there was one before.
    pub(super) fn miss(&mut self) -> bool {
        !std::mem::replace(&mut self.is_unavailable, true)
    }

    /// Whether the store did not answer when it was last asked.
    pub(super) fn is_unavailable(&self) -> bool {
        self.is_unavailable
    }

    /// What is to be told to somebody who begins there.
    pub(super) fn since(&self, begin: Begin) -> Vec<Point> {
        let skipped = match begin {
            Begin::Newest => self.points.len().saturating_sub(NEWEST),
            Begin::After(second) => self.points.partition_point(|point| point.start <= second),
        };
        self.points.iter().skip(skipped).copied().collect()
    }
}

/// How long it is until another second can be told; a second at most, also where the clock is set.
pub(super) fn until_next(now: Timestamp) -> Duration {
    let into = (now - SETTLING)
        .subsec_nanosecond()
        .rem_euclid(1_000_000_000);
    Duration::from_secs(1) - Duration::from_nanos(u64::try_from(into).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// What a store answers that has as many scans in each second as it is away from 1970.
    fn answer((from, to): (Timestamp, Timestamp)) -> Vec<Point> {
        let seconds = from.as_second()..to.as_second();
        let point = |second| Point {
            start: Timestamp::from_second(second).unwrap(),
            scans: second as u64,
        };
        seconds.map(point).collect()
    }

    fn starts(points: &[Point]) -> Vec<i64> {
        points.iter().map(|point| point.start.as_second()).collect()
    }

    #[test]
    fn a_second_is_due_once_it_is_over_and_settled_and_then_once() {
        let mut window = Window::default();
        let now = at("2026-11-25T10:00:02.8Z");
        let (from, to) = window.due(now).unwrap();
        assert_eq!(
            (from, to),
            (at("2026-11-25T09:50:01Z"), at("2026-11-25T10:00:01Z"))
        );
        window.extend(answer((from, to)));
        assert_eq!(window.due(now), None);
        assert_eq!(window.due(at("2026-11-25T10:00:03.799999Z")), None);
        assert_eq!(
            window.due(at("2026-11-25T10:00:03.8Z")),
            Some((to, at("2026-11-25T10:00:02Z")))
        );
        // A clock that is set back makes nothing due again.
        let before = at("2026-11-25T09:00:00Z");
        assert_eq!(window.due(before), None);
        assert!(window.is_ahead_of(before) && !window.is_ahead_of(now));
    }

    #[test]
    fn the_wait_ends_with_the_next_second_that_is_due() {
        for (now, millis) in [
            ("2026-11-25T10:00:02.8Z", 1_000),
            ("2026-11-25T10:00:02.9Z", 900),
            ("2026-11-25T10:00:03Z", 800),
            ("2026-11-25T10:00:03.799Z", 1),
        ] {
            assert_eq!(until_next(at(now)), Duration::from_millis(millis), "{now}");
        }
    }

    #[test]
    fn an_outage_is_made_up_for_as_far_as_the_window_goes_and_without_a_gap_in_it() {
        for (outage, resumed) in [(1, 1), (300, 300), (600, 600), (601, 600), (100_000, 600)] {
            let mut window = Window::default();
            let now = at("2026-11-25T10:00:02.8Z");
            window.extend(answer(window.due(now).unwrap()));
            let seen = window.points.back().unwrap().start;
            assert!(window.miss());
            assert!(!window.miss());
            assert!(window.is_unavailable());
            let after = now + SignedDuration::from_secs(outage);
            window.extend(answer(window.due(after).unwrap()));
            assert!(!window.is_unavailable());
            let told = window.since(Begin::After(seen));
            assert_eq!(told.len(), resumed, "{outage}");
            let all = starts(&window.since(Begin::After(Timestamp::UNIX_EPOCH)));
            assert_eq!(all.len(), KEPT);
            let last = all[KEPT - 1];
            assert_eq!(last, after.as_second() - 2);
            assert_eq!(all, (last - 599..=last).collect::<Vec<_>>());
        }
    }

    #[test]
    fn who_begins_is_told_the_last_minute_and_who_has_seen_some_what_is_behind_it() {
        let mut window = Window::default();
        assert!(window.since(Begin::Newest).is_empty());
        window.extend(answer(window.due(at("2026-11-25T10:00:02.8Z")).unwrap()));
        let newest = window.since(Begin::Newest);
        assert_eq!(newest.len(), NEWEST);
        let last = newest[NEWEST - 1];
        assert_eq!(last.start, at("2026-11-25T10:00:00Z"));
        let before = last.start - SignedDuration::from_secs(1);
        assert_eq!(window.since(Begin::After(before)), [last]);
        assert!(window.since(Begin::After(last.start)).is_empty());
    }
}
