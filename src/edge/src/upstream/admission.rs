//! How many requests are at sites at a time. A site that hangs holds so many and no more, and all sites together leave room for the rest.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::failure::Failure;

/// Counts the requests of each domain and of all, over all worker threads.
pub(super) struct Admission {
    per_domain: u32,
    total: u32,
    under_way: Arc<Mutex<UnderWay>>,
}

#[derive(Debug, Default)]
struct UnderWay {
    total: u32,
    by_domain: HashMap<Box<str>, u32>,
}

/// One request under way, until it is dropped.
#[derive(Debug)]
pub(super) struct Admitted {
    domain: Box<str>,
    under_way: Arc<Mutex<UnderWay>>,
}

impl Admission {
    pub(super) fn new(per_domain: u32, total: u32) -> Self {
        Self {
            per_domain,
            total,
            under_way: Arc::default(),
        }
    }

    /// Lets a request in, unless its domain has as many as it may, or as many as are left for all others: what is left is never
    /// one domain's alone, and when there is little of it, those that have least come first (a dynamic threshold, as switches divide
    /// their buffers among ports).
    pub(super) fn admit(&self, domain: &str) -> Result<Admitted, Failure> {
        let mut under_way = locked(&self.under_way);
        let count = under_way.by_domain.get(domain).copied().unwrap_or(0);
        if count >= self.per_domain {
            return Err(Failure::Limited);
        }
        if count >= self.total.saturating_sub(under_way.total) {
            return Err(Failure::Overloaded);
        }
        under_way.total += 1;
        under_way.by_domain.insert(domain.into(), count + 1);
        Ok(Admitted {
            domain: domain.into(),
            under_way: Arc::clone(&self.under_way),
        })
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut under_way = locked(&self.under_way);
        under_way.total -= 1;
        if let Entry::Occupied(mut count) = under_way.by_domain.entry(self.domain.clone()) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

fn locked(under_way: &Mutex<UnderWay>) -> MutexGuard<'_, UnderWay> {
    under_way.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes as many as a domain gets, and says why it gets no more.
    fn all_of(admission: &Admission, domain: &str) -> (Vec<Admitted>, Failure) {
        let mut taken = Vec::new();
        loop {
            match admission.admit(domain) {
                Ok(admitted) => taken.push(admitted),
                Err(failure) => return (taken, failure),
            }
        }
    }

    #[test]
    fn each_domain_has_so_many_requests_under_way_and_the_others_do_not_count() {
        let admission = Admission::new(2, 100);
        let (mut taken, failure) = all_of(&admission, "a.example");
        assert_eq!((taken.len(), failure), (2, Failure::Limited));
        assert!(admission.admit("b.example").is_ok());
        drop(taken.pop());
        assert!(admission.admit("a.example").is_ok());
        drop(taken);
        let under_way = locked(&admission.under_way);
        assert!(under_way.by_domain.is_empty());
        assert_eq!(under_way.total, 0);
    }

    #[test]
    fn the_total_is_nobodys_alone_and_comes_to_equal_shares() {
        let admission = Admission::new(100, 30);
        let (mut greedy, failure) = all_of(&admission, "a.example");
        assert_eq!((greedy.len(), failure), (15, Failure::Overloaded));
        assert!(admission.admit("late.example").is_ok());
        // Whoever ends a request asks for the next at once, and so does a second domain.
        let mut second = Vec::new();
        for _ in 0..30 {
            greedy.remove(0);
            second.extend(admission.admit("b.example"));
            greedy.extend(admission.admit("a.example"));
        }
        let shares = (greedy.len(), second.len());
        assert!(matches!(shares, (10..=11, 10..=11)), "{shares:?}");
        assert!(
            admission.admit("late.example").is_ok(),
            "a third finds room"
        );
    }
}
