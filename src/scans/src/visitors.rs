//! The visitor's pseudonym: a keyed hash of address and User-Agent, its key another every day (UTC): the salt that all edges share, or for want
//! of one a random one of this process's own. Whoever tells the time forgets both when the day is over.

use std::hash::Hasher;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::civil::Date;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use prometheus::IntCounter;
use siphasher::sip128::{Hasher128, SipHasher24};

use crate::Visitor;

/// A day's secret.
#[derive(Clone, Copy)]
pub struct VisitorKey {
    keys: [u64; 2],
}

impl VisitorKey {
    /// From the operating system's random source.
    pub fn random() -> Result<Self, getrandom::Error> {
        Ok(Self {
            keys: [getrandom::u64()?, getrandom::u64()?],
        })
    }

    /// From a shared salt, whose two words are little-endian.
    pub fn from_secret(secret: &[u8; 16]) -> Self {
        let secret = u128::from_le_bytes(*secret);
        Self {
            keys: [secret as u64, (secret >> 64) as u64],
        }
    }

    /// The pseudonym: the first 64 bits of SipHash-2-4-128 over the address (as IPv6) and the whole User-Agent.
    pub fn visitor(&self, address: IpAddr, user_agent: &[u8]) -> Visitor {
        let address = match address {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        let mut hasher = SipHasher24::new_with_keys(self.keys[0], self.keys[1]);
        hasher.write(&address.octets());
        hasher.write(user_agent);
        Visitor::from_u64(hasher.finish128().h1)
    }
}

/// A day by its number since 1970-01-01 (UTC).
type DayNumber = i64;

/// The days' keys: those that all edges share, for as many days ahead as they have been told, and this process's own for a day without one.
/// Shared by all threads; a request meets no lock but on the first scan of a day without a shared key.
pub struct Visitors {
    slots: [Slot; SLOTS],
    /// Whoever changes a slot. What it guards stands in for the random source, should that fail at midnight.
    change: Mutex<VisitorKey>,
    /// How many keys were made here.
    made: IntCounter,
}

/// More than the days from the day before to the last that is told ahead, so that no two of them meet in a slot.
const SLOTS: usize = 16;

/// A day's key, and whose it is. Read like a sequence lock.
struct Slot {
    /// Odd while the rest changes.
    version: AtomicU64,
    day: AtomicI64,
    keys: [AtomicU64; 2],
    /// Only for whoever holds the lock.
    is_own: AtomicBool,
}

const EMPTY: DayNumber = i64::MIN;

/// How long after midnight scans of the day before may still be hashed: each is when it is answered.
const LATE: SignedDuration = SignedDuration::from_mins(5);

/// What became of a shared key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shared {
    /// Its day's scans are hashed with it.
    Taken,
    /// From now on they are; some have been hashed with a key of this process's own, and their visitors count as others.
    InPlaceOfOurs,
    /// From now on they are; until now with another that was shared, which is gone from the log.
    InPlaceOfAnother,
    /// Its day is over, or too far ahead.
    OutOfTime,
}

impl Visitors {
    /// Without a key until the first scan. `made` counts the keys that are made here, and so shared with nobody.
    pub fn new(made: IntCounter) -> Result<Self, getrandom::Error> {
        let empty = || Slot {
            version: AtomicU64::new(0),
            day: AtomicI64::new(EMPTY),
            keys: [AtomicU64::new(0), AtomicU64::new(0)],
            is_own: AtomicBool::new(false),
        };
        Ok(Self {
            slots: std::array::from_fn(|_| empty()),
            change: Mutex::new(VisitorKey::random()?),
            made,
        })
    }

    /// The pseudonym that this address and User-Agent have on the day of `now`.
    pub fn visitor(&self, now: Timestamp, address: IpAddr, user_agent: &[u8]) -> Visitor {
        let day = number_of_day(now);
        self.slot(day)
            .read(day)
            .unwrap_or_else(|| self.make(day))
            .visitor(address, user_agent)
    }

    /// Takes the key that all edges use on a day, at once, also in the place of one that was made here or was told before.
    pub fn share(&self, now: Timestamp, day: Date, key: VisitorKey) -> Shared {
        let Ok(day) = Offset::UTC.to_timestamp(day.into()).map(number_of_day) else {
            return Shared::OutOfTime;
        };
        let first = first_kept(now);
        if !(first..first + SLOTS as i64 - 1).contains(&day) {
            return Shared::OutOfTime;
        }
        let slot = self.slot(day);
        let _change = self.change();
        let before = slot.read(day);
        let was_own = slot.is_own.load(Ordering::Relaxed);
        slot.write(day, &key, false);
        match before {
            Some(_) if was_own => Shared::InPlaceOfOurs,
            Some(before) if before.keys != key.keys => Shared::InPlaceOfAnother,
            _ => Shared::Taken,
        }
    }

    /// Forgets the keys of the days that are over.
    pub fn forget(&self, now: Timestamp) {
        let first = first_kept(now);
        let _change = self.change();
        for slot in &self.slots {
            let held = slot.day.load(Ordering::Relaxed);
            if held != EMPTY && held < first {
                slot.write(EMPTY, &VisitorKey { keys: [0, 0] }, false);
            }
        }
    }

    /// How many days have a shared key, from today on.
    pub fn shared_days(&self, now: Timestamp) -> usize {
        let _change = self.change();
        let today = number_of_day(now);
        let slots = self.slots.iter();
        let is_shared = |slot: &&Slot| {
            slot.day.load(Ordering::Relaxed) >= today && !slot.is_own.load(Ordering::Relaxed)
        };
        slots.filter(is_shared).count()
    }

    fn slot(&self, day: DayNumber) -> &Slot {
        &self.slots[day.rem_euclid(SLOTS as i64) as usize]
    }

    #[cold]
    fn make(&self, day: DayNumber) -> VisitorKey {
        let stand_in = self.change();
        if let Some(key) = self.slot(day).read(day) {
            return key; // another thread came first
        }
        let key = VisitorKey::random().unwrap_or_else(|error| {
            tracing::error!(%error, "no random numbers for the day's visitor key: it is derived from the last good ones");
            let derived = stand_in.visitor(IpAddr::from([0, 0, 0, 0]), &day.to_le_bytes()).as_u64();
            VisitorKey { keys: [derived ^ stand_in.keys[0], stand_in.keys[1]] }
        });
        self.slot(day).write(day, &key, true);
        self.made.inc();
        key
    }

    /// What it guards is never left half-done.
    fn change(&self) -> MutexGuard<'_, VisitorKey> {
        self.change.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The day before too, just after midnight.
fn first_kept(now: Timestamp) -> DayNumber {
    now.checked_sub(LATE).map_or(DayNumber::MIN, number_of_day)
}

fn number_of_day(time: Timestamp) -> DayNumber {
    time.as_second().div_euclid(86_400)
}

impl Slot {
    /// The key, if it is this day's and does not change meanwhile.
    fn read(&self, day: DayNumber) -> Option<VisitorKey> {
        // Acquire orders the reads behind this one, pairing with the Release at the end of `write`; the fence orders them before the second
        // look, which sees whether something was written meanwhile.
        let before = self.version.load(Ordering::Acquire);
        let held = self.day.load(Ordering::Relaxed);
        let keys = [
            self.keys[0].load(Ordering::Relaxed),
            self.keys[1].load(Ordering::Relaxed),
        ];
        std::sync::atomic::fence(Ordering::Acquire);
        let after = self.version.load(Ordering::Relaxed);
        (held == day && before == after && before.is_multiple_of(2)).then_some(VisitorKey { keys })
    }

    /// The caller holds the lock.
    fn write(&self, day: DayNumber, key: &VisitorKey, is_own: bool) {
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version + 1, Ordering::Relaxed);
        // The stores of the rest stay behind that one.
        std::sync::atomic::fence(Ordering::Release);
        self.day.store(day, Ordering::Relaxed);
        self.keys[0].store(key.keys[0], Ordering::Relaxed);
        self.keys[1].store(key.keys[1], Ordering::Relaxed);
        self.is_own.store(is_own, Ordering::Relaxed);
        self.version.store(version + 2, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visitors() -> (Visitors, IntCounter) {
        let made = IntCounter::new("made", "keys made here").expect("a metric");
        (Visitors::new(made.clone()).expect("random numbers"), made)
    }

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a test's time")
    }

    fn day(text: &str) -> Date {
        text.parse().expect("a test's day")
    }

    fn of(visitors: &Visitors, now: &str) -> Visitor {
        visitors.visitor(at(now), IpAddr::from([203, 0, 113, 9]), b"agent")
    }

    #[test]
    fn two_processes_that_were_told_the_same_salts_know_the_same_visitors_day_by_day() {
        let ((one, made), (other, _)) = (visitors(), visitors());
        let now = at("2026-11-29T00:01:00Z");
        for (number, salted) in ["2026-11-28", "2026-11-29", "2026-12-06"]
            .into_iter()
            .enumerate()
        {
            let key = VisitorKey::from_secret(&[number as u8 + 1; 16]);
            for visitors in [&one, &other] {
                assert_eq!(visitors.share(now, day(salted), key), Shared::Taken);
            }
        }
        let seen = [
            "2026-11-28T23:59:59Z",
            "2026-11-29T00:00:00Z",
            "2026-12-06T23:59:59Z",
        ];
        let seen = seen.map(|now| (of(&one, now), of(&other, now)));
        assert!(seen.iter().all(|(one, other)| one == other), "{seen:?}");
        assert!(seen[0] != seen[1] && seen[1] != seen[2], "{seen:?}");
        assert_eq!(made.get(), 0);
        // Nobody has told of this one.
        assert_ne!(
            of(&one, "2026-12-07T00:00:00Z"),
            of(&other, "2026-12-07T00:00:00Z")
        );
        assert_eq!(made.get(), 1);
    }

    #[test]
    fn a_shared_salt_that_comes_late_is_used_at_once_and_known_to_be_late() {
        let (visitors, _) = visitors();
        let now = "2026-11-29T12:00:00Z";
        let ours = of(&visitors, now);
        let key = VisitorKey::from_secret(&[7; 16]);
        let shared = |key| visitors.share(at(now), day("2026-11-29"), key);
        assert_eq!(shared(key), Shared::InPlaceOfOurs);
        let theirs = of(&visitors, now);
        assert_ne!(theirs, ours);
        assert_eq!(
            theirs,
            key.visitor(IpAddr::from([203, 0, 113, 9]), b"agent")
        );
        assert_eq!(
            shared(key),
            Shared::Taken,
            "that it is told again is no news"
        );
        assert_eq!(of(&visitors, now), theirs);
    }

    #[test]
    fn another_shared_salt_takes_the_place_of_the_one_before_and_is_told_apart() {
        let (visitors, _) = visitors();
        let now = at("2026-11-29T12:00:00Z");
        let share = |byte| {
            let key = VisitorKey::from_secret(&[byte; 16]);
            visitors.share(now, day("2026-11-29"), key)
        };
        assert_eq!(share(7), Shared::Taken);
        assert_eq!(share(7), Shared::Taken);
        assert_eq!(share(8), Shared::InPlaceOfAnother);
    }

    #[test]
    fn what_is_over_or_far_ahead_is_not_taken_and_what_is_over_is_forgotten() {
        let (visitors, made) = visitors();
        let key = VisitorKey::from_secret(&[7; 16]);
        let now = at("2026-11-29T00:04:59Z");
        for (salted, taken) in [
            ("2026-11-27", Shared::OutOfTime),
            ("2026-11-28", Shared::Taken),
            ("2026-12-12", Shared::Taken),
            ("2026-12-13", Shared::OutOfTime),
        ] {
            assert_eq!(visitors.share(now, day(salted), key), taken, "{salted}");
        }
        let held = || {
            let slots = visitors.slots.iter();
            slots
                .filter(|slot| slot.keys[0].load(Ordering::Relaxed) != 0)
                .count()
        };
        visitors.forget(now);
        assert_eq!(held(), 2, "an answer may have been begun before midnight");
        assert_eq!(visitors.shared_days(now), 1, "the one to come");
        visitors.forget(at("2026-11-29T00:05:00Z"));
        assert_eq!(held(), 1);
        assert_eq!(made.get(), 0);
        of(&visitors, "2026-11-28T23:59:59Z");
        assert_eq!(made.get(), 1, "the shared one is gone");
        assert_eq!(visitors.shared_days(at("2026-11-28T23:59:59Z")), 1);
    }
}
