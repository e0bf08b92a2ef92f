//! How many requests for one domain are at its site at a time. A site that hangs holds that many connections, and no more.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

/// Counts the requests of each domain, over all worker threads.
pub(super) struct Admission {
    most: u32,
    under_way: Arc<UnderWay>,
}

type UnderWay = Mutex<HashMap<Box<str>, u32>>;

/// One request under way, until it is dropped.
pub(super) struct Admitted {
    domain: Box<str>,
    under_way: Arc<UnderWay>,
}

impl Admission {
    pub(super) fn new(most: u32) -> Self {
        Self {
            most,
            under_way: Arc::default(),
        }
    }

    /// Lets a request in, unless its domain has as many as it may.
    pub(super) fn admit(&self, domain: &str) -> Option<Admitted> {
        let mut under_way = self
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let count = under_way.get(domain).copied().unwrap_or(0);
        if count >= self.most {
            return None;
        }
        under_way.insert(domain.into(), count + 1);
        Some(Admitted {
            domain: domain.into(),
            under_way: Arc::clone(&self.under_way),
        })
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut under_way = self
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = under_way.entry(self.domain.clone()) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_domain_has_so_many_requests_under_way_and_the_others_do_not_count() {
        let admission = Admission::new(2);
        let first = admission.admit("a.example");
        let second = admission.admit("a.example");
        assert!(first.is_some() && second.is_some());
        assert!(admission.admit("a.example").is_none());
        assert!(admission.admit("b.example").is_some());
        drop(first);
        assert!(admission.admit("a.example").is_some());
        drop(second);
        assert!(admission.under_way.lock().expect("not poisoned").is_empty());
    }
}
