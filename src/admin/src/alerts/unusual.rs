//! What is unusual about an hour of a tag: more scans than there usually are, or many from a country that few come from. Usual is what the same
//! hour of the week had in the weeks before; of a tag that is younger, what the same hour of the day had. Pure.

use std::cmp::Reverse;

use analytics::{Hour, TagHours};

use super::Cause;
use super::baseline::{Baseline, median_share};

const DAY: i64 = 24;
const WEEK: i64 = 7 * DAY;
/// So many weeks are compared with, and so many have to be known.
const WEEKS: i64 = 8;
const LEAST_WEEKS: usize = 4;
/// The same of days, of a tag that is too young for weeks. Of one that is younger still, nothing is known to be usual.
const DAYS: i64 = 14;
const LEAST_DAYS: usize = 7;

/// An hour with fewer scans is not worth anyone's attention.
pub(super) const LEAST_SCANS: u64 = 20;
/// Nor are fewer from a country.
const LEAST_OF_COUNTRY: u64 = 10;
/// A flood from all over the world is told by its largest parts.
const MOST_COUNTRIES: usize = 5;

/// The hours by which one is judged: itself, and those that it is compared with.
pub(super) fn hours_for(hour: Hour) -> Vec<Hour> {
    let mut hours: Vec<_> = std::iter::once(hour)
        .chain(weeks(hour))
        .chain(days(hour))
        .collect();
    hours.sort_unstable();
    hours.dedup();
    hours
}

/// The oldest of them.
pub(super) fn oldest_for(hour: Hour) -> Hour {
    hour.before(WEEKS * WEEK)
}

fn weeks(hour: Hour) -> impl Iterator<Item = Hour> {
    (1..=WEEKS).map(move |weeks| hour.before(weeks * WEEK))
}

fn days(hour: Hour) -> impl Iterator<Item = Hour> {
    (1..=DAYS).map(move |days| hour.before(days * DAY))
}

/// What is unusual about an hour of a tag.
pub(super) fn unusual(hour: Hour, of: &TagHours) -> Vec<Cause> {
    let total = total(of, hour);
    if total < LEAST_SCANS {
        return Vec::new();
    }
    let Some((season, least)) = season(hour, of) else {
        return Vec::new();
    };
    let totals: Vec<u64> = season.iter().map(|hour| self::total(of, *hour)).collect();
    let mut causes = Vec::new();
    let usual = Baseline::of(&totals, least);
    if let Some(usual) = usual.filter(|usual| usual.is_exceeded_by(total)) {
        causes.push(Cause::Rate {
            hour: hour.start(),
            observed: total,
            expected: usual.expected,
        });
    }
    let countries = of.scans.get(&hour).into_iter().flatten();
    let mut countries: Vec<_> = countries
        .filter(|(country, scans)| !country.is_empty() && **scans >= LEAST_OF_COUNTRY)
        .collect();
    countries.sort_by_key(|(country, scans)| (Reverse(**scans), *country));
    let unusual = countries.into_iter().filter_map(|(country, observed)| {
        let counts: Vec<u64> = season.iter().map(|hour| from(of, *hour, country)).collect();
        let usual = Baseline::of(&counts, least)?;
        // Where more come from everywhere, its usual share of them is no matter of this country's.
        let share = median_share(counts.iter().copied().zip(totals.iter().copied()));
        let shared = Baseline::by_chance(share * total as f64);
        let is_unusual = usual.is_exceeded_by(*observed) && shared.is_exceeded_by(*observed);
        is_unusual.then(|| Cause::Country {
            country: country.clone(),
            hour: hour.start(),
            observed: *observed,
            expected: usual.expected,
        })
    });
    causes.extend(unusual.take(MOST_COUNTRIES));
    causes
}

/// What the hour is compared with, and how many of those there have to be; none: the tag is too young.
fn season(hour: Hour, of: &TagHours) -> Option<(Vec<Hour>, usize)> {
    let known = |hours: &mut dyn Iterator<Item = Hour>| -> Vec<Hour> {
        hours.filter(|hour| *hour >= of.first).collect()
    };
    let weeks = known(&mut weeks(hour));
    if weeks.len() >= LEAST_WEEKS {
        return Some((weeks, LEAST_WEEKS));
    }
    let days = known(&mut days(hour));
    (days.len() >= LEAST_DAYS).then_some((days, LEAST_DAYS))
}

fn total(of: &TagHours, hour: Hour) -> u64 {
    let scans = of.scans.get(&hour).into_iter().flat_map(|it| it.values());
    scans.sum()
}

fn from(of: &TagHours, hour: Hour, country: &str) -> u64 {
    let scans = of.scans.get(&hour).and_then(|it| it.get(country));
    scans.copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use analytics::ScannedTag;
    use tags::{Code, Domain, WorkspaceId};

    use super::*;

    const NOW: i64 = 500_000;

    fn tag(
        first: i64,
        scans: impl IntoIterator<Item = (i64, Vec<(&'static str, u64)>)>,
    ) -> TagHours {
        let countries = |of: Vec<(&str, u64)>| -> BTreeMap<String, u64> {
            of.into_iter()
                .map(|(country, scans)| (country.to_owned(), scans))
                .collect()
        };
        let hour = |(before, of)| (Hour::from_number(NOW - before), countries(of));
        TagHours {
            tag: ScannedTag {
                workspace: WorkspaceId::default_workspace(),
                domain: Domain::parse("qr.example.com").unwrap(),
                code: Code::parse("spring").unwrap(),
            },
            first: Hour::from_number(NOW - first),
            scans: scans.into_iter().map(hour).collect(),
        }
    }

    /// In words.
    fn found(of: &TagHours) -> Vec<String> {
        let causes = unusual(Hour::from_number(NOW), of).into_iter();
        let word = |cause| match cause {
            Cause::Rate {
                observed, expected, ..
            } => format!("{observed} for {expected}"),
            Cause::Country {
                country,
                observed,
                expected,
                ..
            } => {
                format!("{observed} from {country} for {expected}")
            }
            Cause::Blocklist { .. } => unreachable!("no scan tells"),
        };
        causes.map(word).collect()
    }

    /// Eight weeks of 100 scans from Germany and 20 from Austria at this hour, and now something else.
    fn usual_but(now: Vec<(&'static str, u64)>) -> TagHours {
        let weeks = (1..=8).map(|week| (week * 168, vec![("DE", 100), ("AT", 20)]));
        tag(8 * 168, weeks.chain([(0, now)]))
    }

    #[test]
    fn what_is_as_in_the_weeks_before_is_not_told() {
        for now in [
            vec![("DE", 100), ("AT", 20)],
            vec![("DE", 130), ("AT", 10), ("FR", 9)],
            vec![("DE", 3)],
            vec![],
        ] {
            assert_eq!(
                found(&usual_but(now.clone())),
                Vec::<String>::new(),
                "{now:?}"
            );
        }
    }

    #[test]
    fn more_scans_than_usual_are_told_and_not_also_by_their_usual_countries() {
        let flood = usual_but(vec![("DE", 1_000), ("AT", 200)]);
        assert_eq!(found(&flood), ["1200 for 120"]);
    }

    #[test]
    fn many_from_where_few_come_from_are_told_and_unknown_places_are_none() {
        let flood = usual_but(vec![("DE", 100), ("AT", 20), ("BR", 15)]);
        assert_eq!(found(&flood), ["15 from BR for 0"]);
        let moved = usual_but(vec![("DE", 20), ("AT", 100)]);
        assert_eq!(found(&moved), ["100 from AT for 20"]);
        let unknown = usual_but(vec![("DE", 100), ("AT", 20), ("", 30)]);
        assert_eq!(found(&unknown), Vec::<String>::new());
    }

    #[test]
    fn a_flood_from_everywhere_is_told_by_its_largest_parts() {
        let countries = ["AR", "BR", "CL", "CO", "EC", "PE", "UY", "VE"];
        let now = countries.into_iter().zip(50..).collect();
        let told = found(&usual_but(now));
        let expected = ["VE", "UY", "PE", "EC", "CO"];
        assert_eq!(told.len(), 1 + expected.len());
        for (told, country) in told[1..].iter().zip(expected) {
            assert!(told.contains(country), "{told}");
        }
    }

    #[test]
    fn the_hour_of_the_week_counts_and_another_hour_s_flood_does_not() {
        // Every Saturday evening there are as many.
        let weeks = (1..=8).map(|week| (week * 168, vec![("DE", 500)]));
        let days = [1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13];
        let days = days.map(|day| (day * 24, vec![("DE", 10)]));
        let every_week = tag(9 * 168, weeks.chain(days).chain([(0, vec![("DE", 520)])]));
        assert_eq!(found(&every_week), Vec::<String>::new());
    }

    #[test]
    fn a_young_tag_is_judged_by_the_hour_of_the_day_and_a_very_young_one_not_at_all() {
        let young = |days: i64| {
            let before = (1..=days).map(|day| (day * 24, vec![("DE", 30)]));
            tag(days * 24, before.chain([(0, vec![("DE", 300)])]))
        };
        assert_eq!(found(&young(10)), ["300 for 30"]);
        assert_eq!(found(&young(7)), ["300 for 30"]);
        assert_eq!(found(&young(6)), Vec::<String>::new());
    }

    #[test]
    fn what_was_before_the_first_scan_is_not_taken_for_quiet() {
        // Printed three days ago, made long before.
        let launched = tag(72, [(0, vec![("DE", 300)]), (24, vec![("DE", 280)])]);
        assert_eq!(found(&launched), Vec::<String>::new());
    }

    #[test]
    fn each_hour_is_asked_for_once() {
        let hours = hours_for(Hour::from_number(NOW));
        // Two of fourteen days are whole weeks.
        assert_eq!(hours.len(), 1 + 8 + 14 - 2);
        assert_eq!(hours[0], oldest_for(Hour::from_number(NOW)));
        assert_eq!(hours[hours.len() - 1], Hour::from_number(NOW));
    }
}
