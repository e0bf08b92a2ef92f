//! loom's atomics, of which one place may get a weaker order than it asks for, to see whether that is noticed.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::panic::Location;

pub use std::sync::atomic::Ordering;

/// Line and column.
pub type Place = (u32, u32);

// loom's threads are coroutines of the thread that checks a model, so these are the model's.
thread_local! {
    static ASKED: RefCell<BTreeSet<Place>> = RefCell::default();
    static WEAKENED: Cell<Option<Place>> = const { Cell::new(None) };
}

/// Where this thread's models have asked for an order so far.
pub fn asked() -> BTreeSet<Place> {
    ASKED.take()
}

/// Gives this place no order from now on.
pub fn weaken(place: Place) {
    WEAKENED.set(Some(place));
}

fn granted(asked: Ordering, location: &Location<'_>) -> Ordering {
    let place = (location.line(), location.column());
    if asked != Ordering::Relaxed {
        ASKED.with_borrow_mut(|asked| asked.insert(place));
    }
    if WEAKENED.get() == Some(place) {
        Ordering::Relaxed
    } else {
        asked
    }
}

#[track_caller]
pub fn fence(order: Ordering) {
    let granted = granted(order, Location::caller());
    // There is no fence without an order.
    if granted != Ordering::Relaxed {
        loom::sync::atomic::fence(granted);
    }
}

macro_rules! atomic {
    ($name:ident, $number:ty) => {
        #[derive(Default)]
        pub struct $name(loom::sync::atomic::$name);

        impl $name {
            #[track_caller]
            pub fn load(&self, order: Ordering) -> $number {
                self.0.load(granted(order, Location::caller()))
            }

            #[track_caller]
            pub fn store(&self, value: $number, order: Ordering) {
                self.0.store(value, granted(order, Location::caller()));
            }
        }
    };
}

atomic!(AtomicI32, i32);
atomic!(AtomicU32, u32);
atomic!(AtomicU64, u64);
