//! When what could not be delivered is tried again: the schedule that the specification gives as an example ("Deliverability and reliability",
//! retry schedule), with jitter, so that what failed together does not come back together.

use std::time::Duration;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// After the first attempt, the second, and so on, in seconds: three days in all.
const PAUSES: [u64; 9] = [
    5,
    5 * MINUTE,
    30 * MINUTE,
    2 * HOUR,
    5 * HOUR,
    10 * HOUR,
    14 * HOUR,
    20 * HOUR,
    24 * HOUR,
];

/// Up to so many thousandths are added by chance.
const JITTER: u64 = 200;

/// What waited for longer than this for its turn, behind others that failed, is given up too when it fails: the schedule's length, and half a day.
pub(super) const MOST: Duration = Duration::from_secs(88 * HOUR);

/// A receiver that fails is left alone for this long, and twice as long after each further failure, whatever else is due.
const FIRST_REST: Duration = Duration::from_secs(5);
const LONGEST_REST: Duration = Duration::from_secs(5 * MINUTE);

/// How long after so many attempts of one delivery the next one is made; none: it is given up. `chance` is a random number.
pub(super) fn pause(attempts: u32, chance: u64) -> Option<Duration> {
    let position = usize::try_from(attempts).ok()?.checked_sub(1)?;
    let pause = Duration::from_secs(*PAUSES.get(position)?);
    let thousandths = u32::try_from(chance % (JITTER + 1)).unwrap_or(0);
    Some(pause + pause * thousandths / 1_000)
}

/// How long a receiver is left alone after so many failures in a row.
pub(super) fn rest(failures: u32) -> Duration {
    let doubled = FIRST_REST.saturating_mul(1 << failures.saturating_sub(1).min(10));
    doubled.min(LONGEST_REST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pauses_grow_from_seconds_to_a_day_and_then_it_is_given_up() {
        let seconds = |attempts, chance| pause(attempts, chance).map(|it| it.as_secs());
        assert_eq!((seconds(1, 0), seconds(1, 200)), (Some(5), Some(6)));
        assert_eq!(seconds(9, 0), Some(24 * HOUR));
        assert_eq!(seconds(10, 0), None);
        let total: Duration = (1..10).filter_map(|attempts| pause(attempts, JITTER)).sum();
        assert!(
            total > Duration::from_secs(72 * HOUR) && total < MOST + Duration::from_secs(4 * HOUR)
        );
        for attempts in 1..9 {
            assert!(
                pause(attempts, JITTER) <= pause(attempts + 1, 0),
                "{attempts}"
            );
        }
    }

    #[test]
    fn a_receiver_that_goes_on_failing_is_left_alone_for_up_to_five_minutes() {
        let seconds = [1, 2, 3, 6, 7, 8, u32::MAX].map(|failures| rest(failures).as_secs());
        assert_eq!(seconds, [5, 10, 20, 160, 300, 300, 300]);
    }
}
