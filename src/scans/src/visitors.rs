//! The visitor's pseudonym: a keyed hash of address and User-Agent, its key made anew every day (UTC) and never kept.

use std::hash::Hasher;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use jiff::Timestamp;
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

/// The keys of today and, around midnight, of yesterday. Shared by all threads; no lock but on a day's first scan.
pub struct Visitors {
    slots: [Slot; 4],
    /// Whoever rolls the key over. What it guards stands in for the random source, should that fail at midnight.
    roll: Mutex<VisitorKey>,
    /// How many keys were made here.
    made: IntCounter,
}

/// A day's key. Read like a sequence lock: the day is `EMPTY` while the key changes.
struct Slot {
    day: AtomicI64,
    keys: [AtomicU64; 2],
}

const EMPTY: i64 = i64::MIN;

impl Visitors {
    /// Without a key until the first scan. `made` counts the keys that are made here, and so shared with nobody.
    pub fn new(made: IntCounter) -> Result<Self, getrandom::Error> {
        let empty = || Slot {
            day: AtomicI64::new(EMPTY),
            keys: [AtomicU64::new(0), AtomicU64::new(0)],
        };
        Ok(Self {
            slots: std::array::from_fn(|_| empty()),
            roll: Mutex::new(VisitorKey::random()?),
            made,
        })
    }

    /// The pseudonym that this address and User-Agent have on the day of `now`.
    pub fn visitor(&self, now: Timestamp, address: IpAddr, user_agent: &[u8]) -> Visitor {
        let day = now.as_second().div_euclid(86_400);
        self.read(day)
            .unwrap_or_else(|| self.roll_over(day))
            .visitor(address, user_agent)
    }

    fn slot(&self, day: i64) -> &Slot {
        &self.slots[day.rem_euclid(self.slots.len() as i64) as usize]
    }

    fn read(&self, day: i64) -> Option<VisitorKey> {
        let slot = self.slot(day);
        // The first Acquire orders the key's reads behind it, pairing with the Release of `roll_over`; the fence orders them before the
        // second look, which sees whether another day's key was being written meanwhile.
        if slot.day.load(Ordering::Acquire) != day {
            return None;
        }
        let keys = [
            slot.keys[0].load(Ordering::Relaxed),
            slot.keys[1].load(Ordering::Relaxed),
        ];
        std::sync::atomic::fence(Ordering::Acquire);
        (slot.day.load(Ordering::Relaxed) == day).then_some(VisitorKey { keys })
    }

    #[cold]
    fn roll_over(&self, day: i64) -> VisitorKey {
        let stand_in = self
            .roll
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(key) = self.read(day) {
            return key; // another thread came first
        }
        let key = VisitorKey::random().unwrap_or_else(|error| {
            tracing::error!(%error, "no random numbers for the day's visitor key: it is derived from the last good ones");
            let derived = stand_in.visitor(IpAddr::from([0, 0, 0, 0]), &day.to_le_bytes()).as_u64();
            VisitorKey { keys: [derived ^ stand_in.keys[0], stand_in.keys[1]] }
        });
        for slot in &self.slots {
            let held = slot.day.load(Ordering::Relaxed);
            if held != EMPTY && (held - day).abs() > 1 {
                slot.write(EMPTY, VisitorKey { keys: [0, 0] });
            }
        }
        self.slot(day).write(day, key);
        self.made.inc();
        key
    }
}

impl Slot {
    fn write(&self, day: i64, key: VisitorKey) {
        self.day.store(EMPTY, Ordering::Relaxed);
        // The key's stores stay behind the day's removal.
        std::sync::atomic::fence(Ordering::Release);
        self.keys[0].store(key.keys[0], Ordering::Relaxed);
        self.keys[1].store(key.keys[1], Ordering::Relaxed);
        self.day.store(day, Ordering::Release);
    }
}
