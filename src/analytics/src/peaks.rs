//! Peak times: at which hours of the week, on the clocks of a time zone, tags are scanned. Counted together from a series by the hour.

use tags::Zone;

use crate::{InvalidQuery, Point};

/// The scans of each hour of each day of the week, summed over the weeks of a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peaks([[u64; 24]; 7]);

impl Peaks {
    /// From a series by the hour of this zone, whose points are of one hour of its clocks each. An hour that comes twice, when clocks are
    /// set back, is one here.
    pub fn of(series: &[Point], zone: &Zone) -> Result<Self, InvalidQuery> {
        let clocks = zone.clocks();
        let clocks = clocks.ok_or_else(|| InvalidQuery::Zone(zone.clone()))?;
        let mut hours = [[0; 24]; 7];
        for point in series {
            let local = clocks.to_datetime(point.start);
            let day = local.weekday().to_monday_zero_offset();
            hours[day as usize][local.hour() as usize] += point.scans;
        }
        Ok(Self(hours))
    }

    /// By the day of the week, from Monday, and the hour that its clocks show.
    pub fn hours(&self) -> &[[u64; 24]; 7] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_of_the_zones_clocks_and_one_that_comes_twice_is_one() {
        let zone = Zone::parse("Europe/Berlin").expect("a zone");
        let at = |start: &str, scans| Point {
            start: start.parse().expect("a time"),
            scans,
        };
        // Sunday, 2026-10-25: 02:00 in summer time, and an hour later 02:00 again. The Sunday after it is Monday in Berlin at 23:00 UTC.
        let series = [
            at("2026-10-25T00:00:00Z", 3),
            at("2026-10-25T01:00:00Z", 4),
            at("2026-11-01T23:00:00Z", 5),
        ];
        let peaks = Peaks::of(&series, &zone).expect("a zone of this build");
        let mut expected = [[0; 24]; 7];
        expected[6][2] = 7;
        expected[0][0] = 5;
        assert_eq!(peaks.hours(), &expected);
    }
}
