//! The days' salts: made a week ahead, by this admin alone, and destroyed when the day after their own is over.
//!
//! What is there is read anew each time before anything is written, so that a salt that is there is never replaced, whatever became of an
//! earlier attempt.

use std::collections::BTreeMap;
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

    /// The days up to this one that have one.
    pub(crate) fn days_until(&self, last: Date) -> Vec<Date> {
        self.known().range(..=last).map(|(day, _)| *day).collect()
    }

    /// The first day that has one.
    pub(crate) fn first(&self) -> Option<Date> {
        self.known().keys().next().copied()
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

/// What was done last, and when.
#[derive(Clone, Copy)]
struct Done {
    today: Date,
    at: Instant,
}

/// Makes what is missing before anybody is answered, if that can be done, and goes on with it until the admin is gone.
pub(crate) async fn start(admin: &Admin) {
    let mut done = turn(admin, None).await;
    let admin = admin.weak();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(LOOK).await;
            let Some(admin) = WeakAdmin::upgrade(&admin) else {
                return;
            };
            done = turn(&admin, done).await;
        }
    });
}

/// Does what is due.
async fn turn(admin: &Admin, done: Option<Done>) -> Option<Done> {
    let today = today(admin.now());
    admin.salts().forget_before(first_kept(today));
    let is_due = done.is_none_or(|done| done.today != today || done.at.elapsed() >= WRITE_EVERY);
    if !is_due || admin.is_fenced() {
        return done;
    }
    match renew(admin, today).await {
        Ok(()) => Some(Done {
            today,
            at: Instant::now(),
        }),
        Err(failure) if failure.is_final() => Some(Done {
            today,
            at: Instant::now(),
        }),
        Err(failure) => {
            tracing::warn!(error = %failure, "the days' salts are not made ahead or destroyed yet; trying again");
            done
        }
    }
}

async fn renew(admin: &Admin, today: Date) -> Result<(), Failure> {
    let place = admin.salts_place().clone();
    let read = tokio::task::spawn_blocking(move || read(&*place)).await;
    let mut salts = read.map_err(|error| Failure::Unread(error.to_string()))??;
    let Plan { missing, over } = plan(&salts, today);
    let mut changes: Vec<_> = over.iter().copied().map(SaltChange::Destroy).collect();
    for day in missing {
        let mut secret = Zeroizing::new([0; Salt::BYTES]);
        getrandom::fill(&mut *secret)?;
        let salt = Salt::new(day, secret);
        salts.insert(day, salt.clone());
        changes.push(SaltChange::Publish(salt));
    }
    admin.salts_place().change_salts(changes).await?;
    salts.retain(|day, _| !over.contains(day));
    admin.salts().replace(salts);
    Ok(())
}

/// All salts that are there.
fn read(place: &dyn Salts) -> Result<BTreeMap<Date, Salt>, Failure> {
    let deadline = Instant::now() + READING;
    let mut follower = place.follow_salts()?;
    let mut salts = BTreeMap::new();
    // A topic that was made a moment ago is not known to every broker yet.
    let mut away = None;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let no_end = || format!("no end within {READING:?}");
            return Err(Failure::Unread(away.unwrap_or_else(no_end)));
        }
        match follower.next(left)? {
            Some(SaltsEvent::Salt(salt)) => drop(salts.insert(salt.day(), salt)),
            Some(SaltsEvent::Destroyed(day)) => drop(salts.remove(&day)),
            Some(SaltsEvent::CaughtUp) => return Ok(salts),
            Some(SaltsEvent::Disconnected { reason }) => away = Some(reason),
            Some(SaltsEvent::Connected) => away = None,
            Some(SaltsEvent::Refused { .. }) | None => {}
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

fn plan(there: &BTreeMap<Date, Salt>, today: Date) -> Plan {
    let days = (0..=DAYS_AHEAD).map(|ahead| today.saturating_add(ahead.days()));
    let missing = days.filter(|day| !there.contains_key(day)).collect();
    let first = first_kept(today);
    let mut over: Vec<_> = there.range(..first).map(|(day, _)| *day).collect();
    let last_over = first.saturating_sub(1.day());
    if over.last() != Some(&last_over) {
        over.push(last_over);
    }
    Plan { missing, over }
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

    fn there(days: &[&str]) -> BTreeMap<Date, Salt> {
        let salt = |text: &&str| (day(text), Salt::new(day(text), Zeroizing::new([1; 16])));
        days.iter().map(salt).collect()
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
}
