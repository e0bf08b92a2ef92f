//! The days' salts: made a week ahead, by this admin alone, and destroyed when the day after their own is over.
//!
//! What is there is read anew each time before anything is written, so that a salt that is there is never replaced, whatever became of an
//! earlier attempt.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::civil::Date;
use jiff::tz::Offset;
use jiff::{Timestamp, ToSpan};
use journal::{FollowError, PublishError, Salt, SaltChange, Salts, SaltsEvent};
use zeroize::Zeroizing;

use crate::service::{Admin, WeakAdmin};

/// How many days ahead there are salts: for so long edges do without the admin.
const DAYS_AHEAD: i64 = 7;
/// How often the calendar is looked at.
const LOOK: Duration = Duration::from_secs(10);
/// How often something is written all the same. What Kafka has lies in segments, of which the one that is written to is never compacted: what
/// is written behind a destroyed salt lets it go.
const WRITE_EVERY: Duration = Duration::from_secs(3_600);
/// How long one reading of all salts may take.
const READING: Duration = Duration::from_secs(20);

/// The salts that can still be used, in memory alone.
#[derive(Default)]
pub(crate) struct DaySalts(Mutex<BTreeMap<Date, Salt>>);

impl DaySalts {
    /// A day's, while there is one.
    pub(crate) fn of(&self, day: Date) -> Option<Salt> {
        self.known().get(&day).cloned()
    }

    /// The days that have one whose scans can be told by it today.
    pub(crate) fn days_that_count(&self, today: Date) -> Vec<Date> {
        let known = self.known();
        let days = known.range(first_kept(today)..=today);
        days.map(|(day, _)| *day).collect()
    }

    fn replace(&self, salts: BTreeMap<Date, Salt>) {
        *self.known() = salts;
    }

    fn forget_before(&self, first: Date) {
        self.known().retain(|day, _| *day >= first);
    }

    /// Only ever changed as a whole, so that a panic elsewhere does it no harm.
    fn known(&self) -> MutexGuard<'_, BTreeMap<Date, Salt>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Follow(#[from] FollowError),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error("the salts cannot be read: {0}")]
    Unread(String),
    #[error("the operating system gives no random numbers: {0}")]
    Random(#[from] getrandom::Error),
}

impl Failure {
    /// Whether another admin does this by now.
    fn is_final(&self) -> bool {
        matches!(self, Self::Publish(PublishError::Fenced { .. }))
    }
}

/// What was done last, when, and by which days.
#[derive(Default)]
struct Keeper {
    days: Days,
    done: Option<(Date, Instant)>,
}

/// The days that the clock has shown, one after the other as a rule.
#[derive(Default)]
struct Days {
    last: Option<Date>,
    jumped: bool,
}

impl Days {
    /// Whether what is over on this day may be destroyed. Not on a day that the clock has jumped to: it may be wrong and right again, and what
    /// is destroyed is so for good. The day after that, it has been this day for long enough.
    fn is_to_be_trusted(&mut self, today: Date) -> bool {
        self.jumped = match self.last.replace(today) {
            Some(last) if last == today => self.jumped,
            Some(last) => last.tomorrow().ok() != Some(today),
            None => false,
        };
        !self.jumped
    }
}

/// Makes what is missing before anybody is answered, if that can be done, and goes on with it until the admin is gone.
pub(crate) async fn start(admin: &Admin) {
    let mut keeper = Keeper::default();
    keeper.turn(admin).await;
    let admin = admin.weak();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(LOOK).await;
            let Some(admin) = WeakAdmin::upgrade(&admin) else {
                return;
            };
            keeper.turn(&admin).await;
        }
    });
}

impl Keeper {
    /// Does what is due.
    async fn turn(&mut self, admin: &Admin) {
        let today = today(admin.now());
        let destroys = self.days.is_to_be_trusted(today);
        if destroys {
            admin.salts().forget_before(first_kept(today));
        }
        let is_due = |(day, at): (Date, Instant)| day != today || at.elapsed() >= WRITE_EVERY;
        if admin.is_fenced() || !self.done.is_none_or(is_due) {
            return;
        }
        match renew(admin, today, destroys).await {
            Ok(()) => self.done = Some((today, Instant::now())),
            Err(failure) if failure.is_final() => self.done = Some((today, Instant::now())),
            Err(failure) => {
                tracing::warn!(error = %failure, "the days' salts are not made ahead or destroyed yet; trying again");
            }
        }
    }
}

async fn renew(admin: &Admin, today: Date, destroys: bool) -> Result<(), Failure> {
    let place = admin.salts_place().clone();
    place.prepare_salts().await?;
    let read = tokio::task::spawn_blocking(move || read(&*place)).await;
    let mut found = read.map_err(|error| Failure::Unread(error.to_string()))??;
    let Plan { missing, mut over } = plan(&found, today);
    if !destroys {
        over.clear();
    }
    let mut changes: Vec<_> = over.iter().copied().map(SaltChange::Destroy).collect();
    for day in missing {
        // Edges have what the log may have lost.
        let salt = match admin.salts().of(day) {
            Some(known) => known,
            None => random(day)?,
        };
        found.salts.insert(day, salt.clone());
        changes.push(SaltChange::Publish(salt));
    }
    admin.salts_place().change_salts(changes).await?;
    // Who was told of one before it was damaged has it still.
    for day in found.refused {
        if let Some(known) = admin.salts().of(day) {
            found.salts.entry(day).or_insert(known);
        }
    }
    found.salts.retain(|day, _| !over.contains(day));
    admin.salts().replace(found.salts);
    Ok(())
}

fn random(day: Date) -> Result<Salt, getrandom::Error> {
    let mut secret = Zeroizing::new([0; Salt::BYTES]);
    getrandom::fill(&mut *secret)?;
    Ok(Salt::new(day, secret))
}

/// What is there.
#[derive(Default)]
struct Found {
    salts: BTreeMap<Date, Salt>,
    /// Days with a record that is none to this build. It may be one to another, and is not written over.
    refused: BTreeSet<Date>,
}

/// All salts that are there.
fn read(place: &dyn Salts) -> Result<Found, Failure> {
    let deadline = Instant::now() + READING;
    let mut follower = place.follow_salts()?;
    let mut found = Found::default();
    // A topic that was made a moment ago is not known to every broker yet.
    let mut away = None;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let no_end = || format!("no end within {READING:?}");
            return Err(Failure::Unread(away.unwrap_or_else(no_end)));
        }
        match follower.next(left)? {
            Some(SaltsEvent::Salt(salt)) => drop(found.salts.insert(salt.day(), salt)),
            Some(SaltsEvent::Destroyed(day)) => {
                found.salts.remove(&day);
                found.refused.remove(&day);
            }
            Some(SaltsEvent::Refused { day, .. }) => found.refused.extend(day),
            Some(SaltsEvent::CaughtUp) => return Ok(found),
            Some(SaltsEvent::Disconnected { reason }) => away = Some(reason),
            Some(SaltsEvent::Connected) => away = None,
            None => {}
        }
    }
}

/// What is to be written on a day.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    missing: Vec<Date>,
    /// Those that are there, and in any case the last that was.
    over: Vec<Date>,
}

fn plan(found: &Found, today: Date) -> Plan {
    let days = (0..=DAYS_AHEAD).map(|ahead| today.saturating_add(ahead.days()));
    let is_there = |day: &Date| found.salts.contains_key(day) || found.refused.contains(day);
    let missing = days.filter(|day| !is_there(day)).collect();
    let first = first_kept(today);
    let salts = found.salts.range(..first).map(|(day, _)| *day);
    let mut over: BTreeSet<_> = salts.chain(found.refused.range(..first).copied()).collect();
    over.insert(first.saturating_sub(1.day()));
    Plan {
        missing,
        over: over.into_iter().collect(),
    }
}

/// Of yesterday scans may still be on their way, and may have to be erased.
fn first_kept(today: Date) -> Date {
    today.saturating_sub(1.day())
}

/// The day of a moment, in UTC.
pub(crate) fn today(now: Timestamp) -> Date {
    Offset::UTC.to_datetime(now).date()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Date {
        text.parse().unwrap()
    }

    fn there(days: &[&str]) -> Found {
        let salt = |text: &&str| (day(text), Salt::new(day(text), Zeroizing::new([1; 16])));
        Found {
            salts: days.iter().map(salt).collect(),
            refused: BTreeSet::new(),
        }
    }

    #[test]
    fn a_week_is_made_ahead_and_what_is_there_stays() {
        let today = day("2026-12-28");
        let Plan { missing, over } = plan(&there(&[]), today);
        let made = missing.iter().map(ToString::to_string).collect::<Vec<_>>();
        let week = "2026-12-28 2026-12-29 2026-12-30 2026-12-31 2027-01-01 2027-01-02 2027-01-03 2027-01-04";
        assert_eq!(made.join(" "), week);
        assert_eq!(over, [day("2026-12-26")]);

        let most = there(&week.split(' ').skip(1).collect::<Vec<_>>());
        assert_eq!(plan(&most, day("2026-12-29")).missing, [day("2027-01-05")]);
        assert_eq!(plan(&most, today).missing, [today]);
    }

    #[test]
    fn a_salt_is_destroyed_when_the_day_after_its_own_is_over_and_not_before() {
        let left = there(&["2026-12-20", "2026-12-26", "2026-12-27", "2026-12-28"]);
        let over = |today| plan(&left, day(today)).over;
        assert_eq!(over("2026-12-27"), ["2026-12-20", "2026-12-25"].map(day));
        assert_eq!(over("2026-12-28"), ["2026-12-20", "2026-12-26"].map(day));
        assert_eq!(
            over("2026-12-29"),
            ["2026-12-20", "2026-12-26", "2026-12-27"].map(day)
        );
    }

    #[test]
    fn what_is_no_salt_to_this_build_is_not_written_over_and_destroyed_in_time() {
        let mut found = there(&[]);
        found.refused.extend(["2026-12-20", "2026-12-28"].map(day));
        let Plan { missing, over } = plan(&found, day("2026-12-28"));
        assert_eq!(missing.first(), Some(&day("2026-12-29")));
        assert_eq!(over, ["2026-12-20", "2026-12-26"].map(day));
    }

    #[test]
    fn nothing_is_destroyed_on_a_day_that_the_clock_has_jumped_to() {
        let mut days = Days::default();
        let trusted = [
            ("2026-12-01", true),
            ("2026-12-01", true),
            ("2026-12-02", true),
            // Two days ahead, for some hours.
            ("2026-12-04", false),
            ("2026-12-04", false),
            // Right again, which it was known to be no more.
            ("2026-12-02", false),
            ("2026-12-03", true),
            // Ahead for good.
            ("2026-12-09", false),
            ("2026-12-10", true),
        ];
        for (today, expected) in trusted {
            assert_eq!(days.is_to_be_trusted(day(today)), expected, "{today}");
        }
    }
}
