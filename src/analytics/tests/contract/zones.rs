//! Series by the clocks of time zones, and hours of the week.

use std::collections::BTreeMap;

use analytics::{Bots, Interval, Peaks, Row, ScanQuery, ScanReport, ScanStore, Select};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use tags::{WorkspaceId, Zone};
use tokio::runtime::Runtime;

use crate::data::{Random, at, block, row};
use crate::stores::with_each_store;
use crate::{passing, workspace};

/// A zone, and a range with a change of its clocks.
const CHANGES: [(&str, &str, &str); 8] = [
    ("UTC", "2026-03-01T00:00:00Z", "2026-04-15T00:00:00Z"),
    (
        "Europe/Berlin",
        "2026-03-20T23:00:00Z",
        "2026-04-10T22:00:00Z",
    ),
    (
        "Europe/Berlin",
        "2026-10-20T22:00:00Z",
        "2026-11-05T10:17:00.5Z",
    ),
    // Offsets of 5:45, and of 10:30 and 11:00.
    (
        "Asia/Kathmandu",
        "2026-03-20T18:15:00Z",
        "2026-04-10T18:15:00Z",
    ),
    (
        "Australia/Lord_Howe",
        "2026-03-25T13:00:00Z",
        "2026-04-15T13:30:00Z",
    ),
    (
        "Australia/Lord_Howe",
        "2026-09-25T13:00:00Z",
        "2026-10-15T13:00:00Z",
    ),
    // A day that begins at one o'clock, and a day that was left out.
    (
        "Asia/Beirut",
        "2026-03-20T22:00:00Z",
        "2026-04-10T21:00:00Z",
    ),
    (
        "Pacific/Apia",
        "2011-12-15T10:00:00Z",
        "2012-01-15T10:00:00Z",
    ),
];

fn clocks(zone: &str) -> TimeZone {
    Zone::parse(zone).expect(zone).clocks().expect(zone)
}

/// What a row is counted under, as people read it: so with no arithmetic on lengths of hours and days.
fn label(zone: &TimeZone, interval: Interval, moment: Timestamp) -> (DateTime, i32) {
    let local = zone.to_datetime(moment);
    let day = local.date().at(0, 0, 0, 0);
    let since_monday = local.weekday().to_monday_zero_offset();
    match interval {
        // An hour that comes twice is two.
        Interval::Hour => (
            local.date().at(local.hour(), 0, 0, 0),
            zone.to_offset(moment).seconds(),
        ),
        Interval::Week => (day.saturating_sub(i64::from(since_monday).days()), 0),
        _ => (day, 0),
    }
}

fn random_scans(random: &mut Random, from: Timestamp, to: Timestamp) -> Vec<Row> {
    let length = to.duration_since(from).as_micros() as u64;
    let day = SignedDuration::from_hours(24);
    let times = (0..1_500).map(|seq| {
        // Some lie outside.
        let time = from - day + SignedDuration::from_micros(random.below(length * 5 / 4) as i64);
        (seq, time)
    });
    times.map(|(seq, time)| row(seq, time)).collect()
}

/// A zone's clocks change, with scans of that time in a workspace of their own.
struct Change<'a> {
    store: &'a dyn ScanStore,
    runtime: &'a Runtime,
    zone: &'static str,
    range: (Timestamp, Timestamp),
    workspace: WorkspaceId,
    rows: Vec<Row>,
    /// For whoever reads that something differs.
    context: String,
}

impl Change<'_> {
    /// What the store tells by this interval, and which scans that is.
    fn ask(&self, interval: Interval) -> anyhow::Result<(ScanReport, Vec<&Row>)> {
        let select = Select::Workspace;
        let asked = ScanQuery::new(select, self.range, interval, &[], Bots::Exclude)?;
        let asked = asked.in_zone(&Zone::parse(self.zone)?)?;
        let report = self
            .runtime
            .block_on(self.store.scans(&self.workspace, &asked))?;
        let rows = passing(&self.rows, &self.workspace, asked.filter());
        Ok((report, rows))
    }
}

/// Runs the test on each store for each change of [`CHANGES`].
fn at_each_change(seed: u64, test: impl Fn(&Change<'_>) -> anyhow::Result<()>) {
    with_each_store(|name, store, runtime| {
        let mut random = Random::new(seed);
        for (number, (zone, from, to)) in CHANGES.into_iter().enumerate() {
            let range = (at(from), at(to));
            let workspace = workspace(&format!("ws_{number}"));
            let mut rows = random_scans(&mut random, range.0, range.1);
            for row in &mut rows {
                row.scan.workspace = workspace.as_str().to_owned();
                row.id.writer = number as u32;
            }
            runtime.block_on(store.insert(&block(number as i64, rows.clone())))?;
            test(&Change {
                store,
                runtime,
                zone,
                range,
                workspace,
                rows,
                context: format!("{name}, seed {seed:#x}, {zone}"),
            })?;
        }
        Ok(())
    });
}

#[test]
fn local_days_weeks_and_hours_are_counted_as_a_calendar_on_the_wall_has_them() {
    at_each_change(0x5eed_0006, |change| {
        for interval in [Interval::Hour, Interval::Day, Interval::Week] {
            let context = format!("{}, {interval}", change.context);
            let clocks = clocks(change.zone);
            let (report, rows) = change.ask(interval)?;
            let mut expected: BTreeMap<(DateTime, i32), u64> = BTreeMap::new();
            for row in rows {
                let label = label(&clocks, interval, row.scan.time);
                *expected.entry(label).or_default() += 1;
            }
            let mut told = BTreeMap::new();
            for point in &report.series {
                let label = label(&clocks, interval, point.start);
                // A change of clocks within an hour cuts it into two points.
                *told.entry(label).or_default() += point.scans;
            }
            told.retain(|_, scans| *scans > 0);
            assert_eq!(told, expected, "{context}");
            assert_eq!(report.total, expected.values().sum::<u64>(), "{context}");
            assert!(report.total > 1_000, "{context}");
            let starts = report.series.iter().map(|point| point.start);
            assert!(starts.is_sorted_by(|one, next| one < next), "{context}");
            assert!(report.series[0].start <= change.range.0, "{context}");
        }
        Ok(())
    });
}

#[test]
fn hours_of_the_week_are_those_of_the_zones_clocks() {
    at_each_change(0x5eed_0007, |change| {
        let (report, rows) = change.ask(Interval::Hour)?;
        let mut expected = [[0; 24]; 7];
        for row in rows {
            let local = clocks(change.zone).to_datetime(row.scan.time);
            let day = local.weekday().to_monday_zero_offset() as usize;
            expected[day][local.hour() as usize] += 1;
        }
        let peaks = Peaks::of(&report.series, &Zone::parse(change.zone)?)?;
        assert_eq!(peaks.hours(), &expected, "{}", change.context);
        Ok(())
    });
}
