//! When points begin: by examples, and as who watches the clock sees it.

use tags::Zone;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().expect("a test's time")
}

fn clocks(zone: &str) -> TimeZone {
    Zone::parse(zone).expect(zone).clocks().expect(zone)
}

fn points(interval: Interval, zone: &str, from: &str, to: &str) -> Result<Points, InvalidQuery> {
    Points::new(interval, &clocks(zone), (at(from), at(to)))
}

fn starts(interval: Interval, zone: &str, from: &str, to: &str) -> Vec<String> {
    let points = points(interval, zone, from, to).expect("few enough");
    points.starts.iter().map(Timestamp::to_string).collect()
}

#[test]
fn a_series_begins_with_the_interval_of_from_and_ends_before_to() {
    let (from, to) = ("2026-11-25T10:59:59.5Z", "2026-11-25T13:00:00Z");
    assert_eq!(
        starts(Interval::Hour, "UTC", from, to),
        [
            "2026-11-25T10:00:00Z",
            "2026-11-25T11:00:00Z",
            "2026-11-25T12:00:00Z"
        ]
    );
    let to = "2026-11-25T11:00:00.000001Z";
    let seconds = ["2026-11-25T10:59:59Z", "2026-11-25T11:00:00Z"];
    assert_eq!(starts(Interval::Second, "UTC", from, to), seconds);
    let minutes = ["2026-11-25T10:59:00Z", "2026-11-25T11:00:00Z"];
    assert_eq!(
        starts(Interval::Minute, "Asia/Kathmandu", from, to),
        minutes
    );
}

#[test]
fn days_are_of_23_and_25_hours_when_clocks_change_and_weeks_begin_on_monday() {
    let (from, to) = ("2026-03-28T23:00:00Z", "2026-03-31T22:00:00Z");
    let days = [
        "2026-03-28T23:00:00Z",
        "2026-03-29T22:00:00Z",
        "2026-03-30T22:00:00Z",
    ];
    assert_eq!(starts(Interval::Day, "Europe/Berlin", from, to), days);
    let (from, to) = ("2026-10-24T22:00:00Z", "2026-10-26T22:00:00Z");
    let days = ["2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"];
    assert_eq!(starts(Interval::Day, "Europe/Berlin", from, to)[..2], days);
    let weeks = ["2026-10-18T22:00:00Z", "2026-10-25T23:00:00Z"];
    assert_eq!(starts(Interval::Week, "Europe/Berlin", from, to), weeks);
    // ISO 8601: 2027-01-01 is a Friday, of the week that begins in 2026.
    let (from, to) = ("2027-01-01T00:00:00Z", "2027-01-04T00:00:00Z");
    assert_eq!(
        starts(Interval::Week, "UTC", from, to),
        ["2026-12-28T00:00:00Z"]
    );
}

/// Where points begin, found by looking at the clock every minute.
fn watched(interval: Interval, zone: &TimeZone, from: Timestamp, to: Timestamp) -> Vec<Timestamp> {
    let minute = SignedDuration::from_secs(60);
    // Longer than the longest point.
    let mut moment = of_whole_minute(from) - SignedDuration::from_hours(24 * 9);
    let monday =
        |day: Date| day.saturating_sub(i64::from(day.weekday().to_monday_zero_offset()).days());
    let mut newest = Date::MIN;
    let mut before = None;
    let mut starts: Vec<Timestamp> = Vec::new();
    while moment < to {
        let local = zone.to_datetime(moment);
        let begins = match interval {
            Interval::Hour => {
                let hour = (local.date(), local.hour(), zone.to_offset(moment));
                before.replace(hour) != Some(hour)
            }
            _ => {
                let day = if interval == Interval::Week {
                    monday(local.date())
                } else {
                    local.date()
                };
                // Where a clock that is set back shows yesterday again, today goes on.
                let is_new = day > newest;
                newest = newest.max(day);
                is_new
            }
        };
        if begins {
            if moment <= from {
                starts.clear();
            }
            starts.push(moment);
        }
        moment += minute;
    }
    starts
}

#[test]
fn points_begin_when_who_watches_the_clock_sees_another_hour_day_or_week() {
    for (zone, from, to) in [
        ("UTC", "2026-03-01T00:00:00Z", "2026-03-20T00:00:00Z"),
        (
            "Europe/Berlin",
            "2026-03-20T23:00:00Z",
            "2026-04-10T22:00:00Z",
        ),
        (
            "Europe/Berlin",
            "2026-10-25T00:30:30Z",
            "2026-11-05T10:17:00.5Z",
        ),
        (
            "America/New_York",
            "2026-10-25T04:00:00Z",
            "2026-11-10T05:00:00Z",
        ),
        (
            "Asia/Kathmandu",
            "2026-03-20T18:15:00Z",
            "2026-04-10T18:15:00Z",
        ),
        // Half an hour back and forth.
        (
            "Australia/Lord_Howe",
            "2026-04-04T15:10:00Z",
            "2026-04-15T13:30:00Z",
        ),
        (
            "Australia/Lord_Howe",
            "2026-09-25T13:00:00Z",
            "2026-10-15T13:00:00Z",
        ),
        // One minute past midnight, back to yesterday.
        (
            "America/St_Johns",
            "2006-10-20T00:00:00Z",
            "2006-11-10T00:00:00Z",
        ),
        (
            "America/St_Johns",
            "2006-10-29T03:00:00Z",
            "2006-11-10T00:00:00Z",
        ),
        // From midnight to one o'clock.
        (
            "Asia/Beirut",
            "2026-03-20T22:00:00Z",
            "2026-04-10T21:00:00Z",
        ),
        // A day left out on the way over the date line.
        (
            "Pacific/Apia",
            "2011-12-15T10:00:00Z",
            "2012-01-15T10:00:00Z",
        ),
        // From an offset of 10:40 to one of 10:00.
        (
            "Pacific/Kiritimati",
            "1979-09-20T00:00:00Z",
            "1979-10-12T00:00:00Z",
        ),
    ] {
        for interval in [Interval::Hour, Interval::Day, Interval::Week] {
            let points = points(interval, zone, from, to).expect("few enough");
            let watched = watched(interval, &clocks(zone), at(from), at(to));
            assert_eq!(*points.starts, *watched, "{zone}, {interval}, {from}");
        }
    }
}

#[test]
fn a_store_counts_in_the_longest_unit_with_which_all_points_begin() {
    let unit = |interval, zone, year| {
        let (from, to) = (
            format!("{year}-01-05T00:00:00Z"),
            format!("{year}-06-01T00:00:00Z"),
        );
        let points = points(interval, zone, &from, &to);
        points.expect("few enough").unit()
    };
    assert_eq!(unit(Interval::Week, "UTC", 2026), 86_400);
    assert_eq!(unit(Interval::Day, "UTC", 2026), 86_400);
    assert_eq!(unit(Interval::Hour, "UTC", 2026), 3_600);
    assert_eq!(unit(Interval::Week, "Europe/Berlin", 2026), 3_600);
    assert_eq!(unit(Interval::Hour, "Asia/Kathmandu", 2026), 900);
    assert_eq!(unit(Interval::Day, "Asia/Kathmandu", 2026), 900);
    assert_eq!(unit(Interval::Day, "Pacific/Kiritimati", 1975), 60);
    assert_eq!(unit(Interval::Day, "Africa/Monrovia", 1971), 60);
    let (from, to) = ("2026-11-25T10:59:59Z", "2026-11-25T11:01:01Z");
    let unit = |interval| {
        points(interval, "UTC", from, to)
            .expect("few enough")
            .unit()
    };
    assert_eq!(unit(Interval::Minute), 60);
    assert_eq!(unit(Interval::Second), 1);
}

#[test]
fn as_many_points_are_answered_as_may_be_and_none_more() {
    for (interval, zone, from, most, more) in [
        (
            Interval::Second,
            "UTC",
            "2026-01-01T00:00:00Z",
            "2026-01-01T13:53:20Z",
            "2026-01-01T13:53:20.000001Z",
        ),
        (
            Interval::Minute,
            "UTC",
            "2026-01-01T00:00:00Z",
            "2026-02-04T17:20:00Z",
            "2026-02-04T17:20:00.000001Z",
        ),
        (
            Interval::Day,
            "UTC",
            "1970-01-01T00:00:00Z",
            "2106-11-24T00:00:00Z",
            "2106-11-24T00:00:00.000001Z",
        ),
        // In summer time at its end alone, and in none.
        (
            Interval::Day,
            "Europe/Berlin",
            "1989-12-31T23:00:00Z",
            "2126-11-23T23:00:00Z",
            "2126-11-23T23:00:00.000001Z",
        ),
        (
            Interval::Week,
            "UTC",
            "1970-01-05T00:00:00Z",
            "2928-04-12T00:00:00Z",
            "2928-04-12T00:00:00.000001Z",
        ),
    ] {
        let answered = points(interval, zone, from, most).map(|points| points.starts.len());
        assert_eq!(answered, Ok(50_000), "{interval} {zone}");
        let refused = points(interval, zone, from, more).map(|points| points.starts.len());
        let (points, most) = (50_001, 50_000);
        assert_eq!(
            refused,
            Err(InvalidQuery::TooManyPoints { points, most }),
            "{interval} {zone}"
        );
    }
}

#[test]
fn at_the_calendars_ends_there_are_points_within_it() {
    for zone in ["UTC", "Pacific/Kiritimati", "Etc/GMT+12", "Africa/Monrovia"] {
        for interval in Interval::ALL {
            for (from, to) in [
                ("0000-01-01T00:00:00Z", "0000-01-01T10:00:00Z"),
                ("9999-12-30T13:00:00Z", "9999-12-30T22:00:00Z"),
            ] {
                let points = points(*interval, zone, from, to).expect("few enough");
                let first = points.starts[0];
                assert!(
                    first <= at(from) && Points::FIRST <= first,
                    "{zone}, {interval}"
                );
                assert!(points.starts.is_sorted_by(|one, next| one < next));
            }
            let whole = (Timestamp::MIN, Timestamp::MAX);
            let refused = Points::new(*interval, &clocks(zone), whole);
            assert!(matches!(refused, Err(InvalidQuery::TooManyPoints { .. })));
        }
        let before = (Timestamp::MIN, Points::FIRST);
        let points = Points::new(Interval::Week, &clocks(zone), before).expect("none");
        assert_eq!(points.fold(&HashMap::new()), []);
    }
}

#[test]
fn the_period_before_has_as_many_local_days_or_is_as_long() {
    let before = |zone: &str, from: &str, to: &str| {
        let before = period_before(&clocks(zone), (at(from), at(to)));
        before.map(|before| before.to_string())
    };
    let some = |text: &str| Some(text.to_owned());
    // The week before the change to summer time, which took an hour of the one that follows.
    let berlin = before(
        "Europe/Berlin",
        "2026-03-29T22:00:00Z",
        "2026-04-05T22:00:00Z",
    );
    assert_eq!(berlin, some("2026-03-22T23:00:00Z"));
    let utc = before("UTC", "2026-03-29T22:00:00Z", "2026-04-05T22:00:00Z");
    assert_eq!(utc, some("2026-03-22T22:00:00Z"));
    let one_day = before(
        "Europe/Berlin",
        "2026-03-29T22:00:00Z",
        "2026-03-30T22:00:00Z",
    );
    assert_eq!(one_day, some("2026-03-28T23:00:00Z"));
    let hours = before(
        "Europe/Berlin",
        "2026-03-29T12:00:00.5Z",
        "2026-03-30T12:00:00.5Z",
    );
    assert_eq!(hours, some("2026-03-28T12:00:00.5Z"));
    // The day before was left out.
    let apia = before(
        "Pacific/Apia",
        "2011-12-30T10:00:00Z",
        "2011-12-31T10:00:00Z",
    );
    assert_eq!(apia, None);
    let first = before("UTC", "0000-01-02T00:00:00Z", "0000-01-03T00:00:00Z");
    assert_eq!(first, some("0000-01-01T00:00:00Z"));
    let none = before("UTC", "0000-01-02T00:00:00Z", "0000-01-04T00:00:00Z");
    assert_eq!(none, None);
}
