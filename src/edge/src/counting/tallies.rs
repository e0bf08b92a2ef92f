//! What requests take the numbers of scans from: for each tag that is counted, what this edge has counted and what all others have. Read
//! and counted in without locks.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use papaya::Equivalent;
use scans::Counter;
use tags::{Code, Domain, TagView};

/// A tag's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TagKey(Arc<(Domain, Code)>);

impl TagKey {
    pub(super) fn new(domain: Domain, code: Code) -> Self {
        Self(Arc::new((domain, code)))
    }

    /// None: no tag has this name.
    pub(super) fn parse(domain: &str, code: &str) -> Option<Self> {
        let (domain, code) = (Domain::parse(domain).ok()?, Code::parse(code).ok()?);
        Some(Self::new(domain, code))
    }

    pub(super) fn domain(&self) -> &Domain {
        &self.0.0
    }

    pub(super) fn code(&self) -> &Code {
        &self.0.1
    }

    fn name(&self) -> Name<'_> {
        Name {
            domain: self.domain().as_str(),
            code: self.code().as_str(),
        }
    }
}

impl Hash for TagKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

/// The same, borrowed from whoever asks.
#[derive(Hash)]
struct Name<'a> {
    domain: &'a str,
    code: &'a str,
}

impl Equivalent<TagKey> for Name<'_> {
    fn equivalent(&self, key: &TagKey) -> bool {
        self.code == key.code().as_str() && self.domain == key.domain().as_str()
    }
}

/// How often a tag has been scanned.
struct Tally {
    own: Counter,
    /// By all other series of counts, as far as this edge has heard.
    others: AtomicU64,
}

/// How often the tags have been scanned whose scans are counted. There are as many of these as there are, or have been, such tags.
#[derive(Default)]
pub struct Tallies {
    tags: papaya::HashMap<TagKey, Tally>,
}

impl Tallies {
    /// Which scan of its tag a request is, from 1; one that is not `counted` is told which the next would be. One that is takes its number,
    /// unless it is beyond the tag's limit: of requests that come at once each has another number, and none is left out. None: nobody counts
    /// this tag.
    pub(crate) fn number(&self, tag: &TagView<'_>, counted: bool) -> Option<u64> {
        let tags = self.tags.pin();
        let tally = tags.get(&Name {
            domain: tag.domain,
            code: tag.code,
        })?;
        // Relaxed: a number that others have counted meanwhile is heard of later anyway.
        let others = tally.others.load(Ordering::Relaxed);
        let before = match counted {
            true => {
                let most = tag.max_scans.map_or(u64::MAX, |most| most.get());
                let left = most.saturating_sub(others);
                tally.own.count_below(left).unwrap_or_else(|all| all)
            }
            false => tally.own.get(),
        };
        Some(others.saturating_add(before).saturating_add(1))
    }

    pub(super) fn has(&self, domain: &str, code: &str) -> bool {
        self.tags.pin().contains_key(&Name { domain, code })
    }

    /// Begins to count a tag. The caller is the only one who does.
    pub(super) fn begin(&self, key: TagKey, own: Counter, others: u64) {
        let others = AtomicU64::new(others);
        self.tags.pin().insert(key, Tally { own, others });
    }

    /// Others have counted so many more.
    pub(super) fn add_others(&self, key: &TagKey, more: u64) {
        if let Some(tally) = self.tags.pin().get(key) {
            // A sum that began anew would bring a used-up limit back.
            let add = |others: u64| Some(others.saturating_add(more));
            let _ = tally
                .others
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add); // never an error
        }
    }

    pub(super) fn len(&self) -> usize {
        self.tags.len()
    }
}

impl std::fmt::Debug for Tallies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tallies")
            .field("tags", &self.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use tags::{Destination, MaxScans, Tag, WorkspaceId};

    use super::*;

    fn tag(max_scans: Option<u64>) -> Tag {
        Tag {
            max_scans: max_scans.and_then(|scans| MaxScans::new(scans).ok()),
            ..Tag::new(
                WorkspaceId::default_workspace(),
                Domain::parse("qr.example.com").expect("valid"),
                Code::parse("a").expect("valid"),
                Destination::parse("https://example.com/").expect("valid"),
                Timestamp::UNIX_EPOCH,
            )
        }
    }

    fn begun(tag: &Tag, others: u64) -> (Tallies, TagKey) {
        let tallies = Tallies::default();
        let key = TagKey::new(tag.domain.clone(), tag.code.clone());
        tallies.begin(key.clone(), Counter::unkept(), others);
        (tallies, key)
    }

    #[test]
    fn who_is_counted_takes_a_number_and_who_is_not_sees_the_next() {
        let tag = tag(None);
        let (tallies, key) = begun(&tag, 10);
        let number = |counted| tallies.number(&tag.view(), counted);
        assert_eq!(
            [false, true, false, true, false].map(number),
            [11, 11, 12, 12, 13].map(Some)
        );
        tallies.add_others(&key, 5);
        assert_eq!(number(true), Some(18));
    }

    #[test]
    fn beyond_the_limit_nobody_takes_a_number() {
        let limited = tag(Some(12));
        let (tallies, key) = begun(&limited, 10);
        let number = || tallies.number(&limited.view(), true);
        assert_eq!([(); 4].map(|()| number()), [11, 12, 13, 13].map(Some));
        // Others may have gone beyond it meanwhile; and the limit may be raised.
        tallies.add_others(&key, 100);
        assert_eq!(number(), Some(113));
        assert_eq!(tallies.number(&tag(Some(113)).view(), true), Some(113));
        assert_eq!(tallies.number(&tag(Some(113)).view(), true), Some(114));
        tallies.add_others(&key, u64::MAX);
        assert_eq!(number(), Some(u64::MAX));
    }

    #[test]
    fn of_a_tag_that_nobody_counts_no_number_is_known() {
        let tag = tag(Some(1));
        assert_eq!(Tallies::default().number(&tag.view(), true), None);
    }

    #[test]
    fn as_many_get_a_number_within_the_limit_as_there_are_however_many_come_at_once() {
        let tag = tag(Some(1_000));
        let (tallies, _) = begun(&tag, 0);
        let mut numbers: Vec<u64> = std::thread::scope(|scope| {
            let ask = || {
                let numbers = (0..700).filter_map(|_| tallies.number(&tag.view(), true));
                numbers
                    .filter(|number| *number <= 1_000)
                    .collect::<Vec<_>>()
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
            let of_threads = threads.into_iter().map(|thread| thread.join());
            of_threads.flat_map(|of| of.expect("no panic")).collect()
        });
        numbers.sort_unstable();
        assert!((1..=1_000).eq(numbers), "each number once");
    }
}
