//! What is usual for a tag, and how far from it something is. Robust: the middle of what was, not its mean, so that the last flood does not
//! make the next one usual. Pure: who counts, and when, is left to the caller.

/// The median absolute deviation of normal data times this is its standard deviation (Rousseeuw and Croux, Alternatives to the Median
/// Absolute Deviation, 1993, §1).
const TO_SIGMA: f64 = 1.4826;

/// The variance of a median of n normal values is π/2n of theirs.
const MEDIAN_VARIANCE: f64 = std::f64::consts::FRAC_PI_2;

/// By less than this share of what is usual nobody's traffic is unusual, however steady it was: a tenth is one deviation.
const STEADIEST: f64 = 0.1;

/// What is usual, by what was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Baseline {
    /// The median.
    pub(crate) expected: f64,
    /// A standard deviation, in the scale of [`stabilised`].
    sigma: f64,
}

impl Baseline {
    /// Beyond so many deviations something is unusual (Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993: a modified z-score of 3.5).
    pub(crate) const UNUSUAL: f64 = 3.5;

    /// Of counts of the same season; none: there are fewer than `least`, which is too few to tell.
    pub(crate) fn of(counts: &[u64], least: usize) -> Option<Self> {
        if counts.is_empty() || counts.len() < least {
            return None;
        }
        let expected = median(counts.iter().map(|count| *count as f64));
        let middle = stabilised(expected);
        let deviation = median(
            counts
                .iter()
                .map(|count| (stabilised(*count as f64) - middle).abs()),
        );
        // What is known of the middle is itself uncertain.
        let uncertainty = (1.0 + MEDIAN_VARIANCE / counts.len() as f64).sqrt();
        Some(Self {
            expected,
            sigma: (deviation * TO_SIGMA).max(least_sigma(expected)) * uncertainty,
        })
    }

    /// Of a number that is expected for another reason, of which chance alone makes more or less.
    pub(crate) fn by_chance(expected: f64) -> Self {
        Self {
            expected,
            sigma: least_sigma(expected),
        }
    }

    /// How many deviations a count is above what is usual; below it, negative.
    pub(crate) fn score(&self, observed: u64) -> f64 {
        (stabilised(observed as f64) - stabilised(self.expected)) / self.sigma
    }

    /// Whether a count is far above what is usual.
    pub(crate) fn is_exceeded_by(&self, observed: u64) -> bool {
        self.score(observed) > Self::UNUSUAL
    }
}

/// The median of shares, each of a whole, of those that are not empty; 0 where all are.
pub(crate) fn median_share(parts: impl Iterator<Item = (u64, u64)>) -> f64 {
    let shares = parts.filter(|(_, whole)| *whole > 0);
    let mut shares = shares
        .map(|(part, whole)| part as f64 / whole as f64)
        .peekable();
    match shares.peek() {
        Some(_) => median(shares),
        None => 0.0,
    }
}

/// Makes the deviation of a count that comes by chance (Poisson's) one, whatever its mean, and its shape nearly normal (Anscombe, The
/// Transformation of Poisson, Binomial and Negative-Binomial Data, 1948).
fn stabilised(count: f64) -> f64 {
    2.0 * (count + 0.375).sqrt()
}

/// Counts deviate by chance, and by what else there is.
fn least_sigma(expected: f64) -> f64 {
    let steadiest = stabilised(expected * (1.0 + STEADIEST)) - stabilised(expected);
    steadiest.max(1.0)
}

/// Of at least one value.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        0 => f64::midpoint(values[middle - 1], values[middle]),
        _ => values[middle],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(counts: &[u64], observed: u64) -> f64 {
        Baseline::of(counts, 1).unwrap().score(observed)
    }

    #[test]
    fn the_score_is_the_modified_z_score_in_the_scale_of_chance() {
        // Each is an integer squared, so that they deviate by about 2, 4 and 6 in that scale; 9 is the middle one.
        let counts = [4, 9, 16, 25, 36, 49, 64];
        let baseline = Baseline::of(&counts, 7).unwrap();
        assert_eq!(baseline.expected, 25.0);
        let middle = 2.0 * 25.375_f64.sqrt();
        let deviation = middle - 2.0 * 9.375_f64.sqrt();
        let sigma = 1.4826 * deviation * (1.0 + std::f64::consts::PI / 14.0).sqrt();
        let expected = (2.0 * 400.375_f64.sqrt() - middle) / sigma;
        assert!((baseline.score(400) - expected).abs() < 1e-9);
    }

    #[test]
    fn a_flood_in_the_past_does_not_make_the_next_one_usual() {
        let quiet = [100, 104, 96, 101, 99, 103, 98, 100];
        let after = [100, 104, 96, 101, 99, 103, 98, 50_000];
        for counts in [quiet, after] {
            assert!(score(&counts, 50_000) > Baseline::UNUSUAL);
            assert!(score(&counts, 120).abs() < Baseline::UNUSUAL);
        }
    }

    #[test]
    fn small_counts_may_differ_by_chance_and_large_ones_by_a_third() {
        assert!(score(&[0; 8], 3) < Baseline::UNUSUAL);
        assert!(score(&[0; 8], 8) > Baseline::UNUSUAL);
        assert!(score(&[4; 8], 12) < Baseline::UNUSUAL);
        assert!(score(&[4; 8], 20) > Baseline::UNUSUAL);
        assert!(score(&[100; 8], 60) < -Baseline::UNUSUAL);
        assert!(score(&[1_000_000; 8], 1_300_000) < Baseline::UNUSUAL);
        assert!(score(&[1_000_000; 8], 1_500_000) > Baseline::UNUSUAL);
    }

    #[test]
    fn a_share_is_the_middle_one_of_hours_that_have_scans() {
        assert_eq!(
            median_share([(1, 10), (0, 0), (9, 10), (2, 10)].into_iter()),
            0.2
        );
        assert_eq!(median_share([(0, 0)].into_iter()), 0.0);
    }

    #[test]
    fn of_too_little_nothing_is_said() {
        assert_eq!(Baseline::of(&[1, 2], 3), None);
        assert_eq!(Baseline::of(&[], 0), None);
    }

    /// SplitMix64, so that a failure replays on every machine.
    fn uniform(state: &mut u64) -> f64 {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A count that comes by chance around a mean (Knuth, The Art of Computer Programming, vol. 2, §3.4.1).
    fn poisson(mean: f64, state: &mut u64) -> u64 {
        let end = (-mean).exp();
        let (mut count, mut product) = (0, uniform(state));
        while product > end {
            count += 1;
            product *= uniform(state);
        }
        count
    }

    #[test]
    fn what_comes_by_chance_is_hardly_ever_unusual_and_three_times_as_much_is() {
        let mut state = 0x5eed;
        for mean in [2.0, 20.0, 80.0, 300.0] {
            for weeks in [4, 8] {
                let (mut alarms, mut found) = (0, 0);
                for _ in 0..20_000 {
                    let counts: Vec<_> = (0..weeks).map(|_| poisson(mean, &mut state)).collect();
                    let baseline = Baseline::of(&counts, 4).unwrap();
                    alarms += u32::from(baseline.is_exceeded_by(poisson(mean, &mut state)));
                    found +=
                        u32::from(baseline.is_exceeded_by(poisson(mean * 3.0 + 20.0, &mut state)));
                }
                assert!(
                    alarms <= 20,
                    "{mean} over {weeks} weeks: {alarms} of 20,000"
                );
                assert!(
                    found >= 17_000,
                    "{mean} over {weeks} weeks: {found} of 20,000"
                );
            }
        }
    }
}
