//! The atomics of the mapped words as unit tests have them: whoever wants to know is told after each store, as a kill may come there.

use std::cell::RefCell;

pub(crate) use std::sync::atomic::{Ordering, fence};

thread_local! {
    static TOLD: RefCell<Option<Box<dyn FnMut()>>> = RefCell::default();
}

/// Calls `told` after each of this thread's steps from now on.
pub(crate) fn tell(told: impl FnMut() + 'static) {
    TOLD.set(Some(Box::new(told)));
}

/// Something that outlives the process has changed.
pub(crate) fn step() {
    // Not of its own steps.
    if let Some(mut told) = TOLD.take() {
        told();
        TOLD.set(Some(told));
    }
}

macro_rules! atomic {
    ($name:ident, $number:ty) => {
        #[derive(Default)]
        #[repr(transparent)]
        pub(crate) struct $name(std::sync::atomic::$name);

        impl $name {
            pub(crate) fn load(&self, order: Ordering) -> $number {
                self.0.load(order)
            }

            pub(crate) fn store(&self, value: $number, order: Ordering) {
                self.0.store(value, order);
                step();
            }
        }
    };
}

atomic!(AtomicI32, i32);
atomic!(AtomicU8, u8);
atomic!(AtomicU32, u32);
atomic!(AtomicU64, u64);
