//! How far the work of a thread stands back behind that of those that answer. What the work is, is its owner's.

use rustix::process::{getpriority_process, setpriority_process};

/// Work beside the redirects, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// Somebody waits for it, but nobody who scans: delivering scans.
    Delivery,
    /// It has to be done within minutes: writing snapshots.
    Upkeep,
    /// It may take as long as it likes: folding the table.
    Idle,
}

impl Priority {
    /// As nice(1) counts: 0 is that of threads that answer, 19 the lowest.
    fn nice(self) -> i32 {
        match self {
            Self::Delivery => 5,
            Self::Upkeep => 10,
            Self::Idle => 19,
        }
    }
}

/// Gives the calling thread, and those that it starts from then on, a lower priority, unless it has one already. Without privileges
/// there is no way back, so the thread should be one for this work alone.
pub fn lower(to: Priority) {
    // Linux gives each thread a priority of its own; `None` is the calling one. Lowering is always allowed; if not, the work is done
    // all the same.
    let lowered =
        getpriority_process(None).and_then(|nice| setpriority_process(None, nice.max(to.nice())));
    if let Err(error) = lowered {
        tracing::warn!(%error, priority = ?to, "a thread's priority cannot be lowered; it runs at that of those that answer");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calling_thread_stands_back_and_no_other() {
        let own = || getpriority_process(None).expect("a priority");
        let before = own();
        let lowered = std::thread::spawn(move || {
            lower(Priority::Upkeep);
            let inherited = std::thread::spawn(own);
            (own(), inherited.join().expect("no panic"))
        });
        let expected = Priority::Upkeep.nice().max(before);
        assert_eq!(lowered.join().expect("no panic"), (expected, expected));
        assert_eq!(own(), before);
    }
}
