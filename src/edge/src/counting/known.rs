//! All that this edge knows of who has counted what, and of what of it others do not: merged by the larger count of each series, in any
//! order and as often as it comes. No request looks here.

use std::collections::{HashMap, HashSet};

use journal::{Count, EdgeRun};
use scans::Counter;

use super::tallies::TagKey;

/// Where a count was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// In this edge's memory, or in its scan log's folder.
    Here,
    /// In its file.
    File,
    /// Where edges tell each other.
    Place,
    /// There too, since this edge has told it.
    Told,
}

/// Which tag, and which series by its number here.
type Name = (TagKey, u32);

/// A count on its way, with its name here.
pub(super) type Named = (Name, Count);

pub(super) struct Known {
    /// By their numbers.
    series: Vec<EdgeRun>,
    numbers: HashMap<EdgeRun, u32>,
    /// Each tag's series in the order of their numbers.
    tags: HashMap<TagKey, Vec<Entry>>,
    counters: Vec<OwnCounter>,
    by_tag: HashMap<TagKey, usize>,
    /// What the file does not have.
    unsaved: HashSet<Name>,
    /// What the place does not have: of this edge's own series, and of others.
    untold: HashSet<Name>,
    untold_of_others: HashSet<Name>,
}

/// What one series has counted of one tag.
struct Entry {
    series: u32,
    scans: u64,
    in_file: u64,
    /// What the place will keep, as far as this edge knows.
    in_place: u64,
    /// The largest that was heard there.
    heard: u64,
}

/// What this edge counts of a tag.
struct OwnCounter {
    key: TagKey,
    counter: Counter,
    seen: u64,
}

/// The number of this edge's own series.
const OWN: u32 = 0;

impl Known {
    /// Nothing yet. `own` is the series in which this edge counts.
    pub(super) fn new(own: EdgeRun) -> Self {
        Self {
            numbers: HashMap::from([(own.clone(), OWN)]),
            series: vec![own],
            tags: HashMap::new(),
            counters: Vec::new(),
            by_tag: HashMap::new(),
            unsaved: HashSet::new(),
            untold: HashSet::new(),
            untold_of_others: HashSet::new(),
        }
    }

    /// Takes a count in, and says how many scans by others are new in it.
    pub(super) fn take(
        &mut self,
        key: &TagKey,
        series: &EdgeRun,
        scans: u64,
        source: Source,
    ) -> u64 {
        let number = self.number(series);
        if number != OWN {
            return self.merge(key, number, scans, source);
        }
        // More than it has itself: somebody has laid an older copy of its folder there. Where it has not begun, it begins with that.
        if let Some(&at) = self.by_tag.get(key) {
            self.counters[at].counter.raise_to(scans);
        }
        self.merge(key, OWN, scans, source);
        0
    }

    /// Counts a tag from now on, and says how many scans others have counted.
    pub(super) fn begin(&mut self, key: TagKey, counter: Counter) -> u64 {
        let entries = self.tags.get(&key).map_or(&[][..], Vec::as_slice);
        let of_others = entries.iter().filter(|entry| entry.series != OWN);
        let others = of_others.fold(0, |sum: u64, entry| sum.saturating_add(entry.scans));
        if let Some(own) = entries.iter().find(|entry| entry.series == OWN) {
            counter.raise_to(own.scans);
        }
        self.by_tag.insert(key.clone(), self.counters.len());
        self.counters.push(OwnCounter {
            key,
            counter,
            seen: 0,
        });
        others
    }

    /// Looks what has been counted here.
    pub(super) fn look(&mut self) {
        for at in 0..self.counters.len() {
            let own = &mut self.counters[at];
            let scans = own.counter.get();
            if scans != std::mem::replace(&mut own.seen, scans) {
                let key = own.key.clone();
                self.merge(&key, OWN, scans, Source::Here);
            }
        }
    }

    /// What is to be told: what this edge has counted, and, once it is known what the place has, what others have.
    pub(super) fn untold(&self, with_others: bool, at_most: usize) -> Vec<Named> {
        let others = self.untold_of_others.iter().filter(|_| with_others);
        self.named(self.untold.iter().chain(others).take(at_most))
    }

    pub(super) fn told(&mut self, told: &[Named]) {
        for ((key, series), count) in told {
            self.merge(key, *series, count.scans, Source::Told);
        }
    }

    /// What was told is heard anew, from the beginning.
    pub(super) fn hears_anew(&mut self) {
        let entries = self.tags.values_mut().flatten();
        entries.for_each(|entry| entry.heard = 0);
    }

    /// Whether something that was counted here has not been told.
    pub(super) fn has_untold(&self) -> bool {
        !self.untold.is_empty()
    }

    pub(super) fn unsaved(&self) -> Vec<Named> {
        self.named(self.unsaved.iter())
    }

    pub(super) fn saved(&mut self, saved: &[Named]) {
        for ((key, series), count) in saved {
            self.merge(key, *series, count.scans, Source::File);
        }
    }

    /// The file has been made anew: everything is to be written to it again.
    pub(super) fn file_is_empty(&mut self) {
        for (key, entries) in &mut self.tags {
            for entry in entries.iter_mut().filter(|entry| entry.scans > 0) {
                entry.in_file = 0;
                self.unsaved.insert((key.clone(), entry.series));
            }
        }
    }

    /// The place has lost all that it had: everything is to be told again, whoever counted it, since that edge may be gone.
    pub(super) fn place_is_empty(&mut self) {
        for (key, entries) in &mut self.tags {
            for entry in entries.iter_mut().filter(|entry| entry.scans > 0) {
                entry.in_place = 0;
                let untold = match entry.series {
                    OWN => &mut self.untold,
                    _ => &mut self.untold_of_others,
                };
                untold.insert((key.clone(), entry.series));
            }
        }
    }

    fn merge(&mut self, key: &TagKey, series: u32, scans: u64, source: Source) -> u64 {
        if !self.tags.contains_key(key) {
            self.tags.insert(key.clone(), Vec::new());
        }
        let entries = self.tags.entry(key.clone()).or_default();
        let at = position(entries, series).unwrap_or_else(|at| {
            entries.insert(
                at,
                Entry {
                    series,
                    scans: 0,
                    in_file: 0,
                    in_place: 0,
                    heard: 0,
                },
            );
            at
        });
        let entry = &mut entries[at];
        match source {
            Source::Here => {}
            Source::File => entry.in_file = scans.max(entry.in_file),
            Source::Told => entry.in_place = scans.max(entry.in_place),
            // Compaction keeps the last, and the last is less where several edges have told what one that is gone had counted: it is told
            // again. Of a series that its own edge alone tells, nothing is ever less.
            Source::Place if scans < entry.heard => entry.in_place = scans,
            Source::Place => {
                entry.heard = scans;
                entry.in_place = scans.max(entry.in_place);
            }
        }
        let more = scans.saturating_sub(entry.scans);
        entry.scans += more;
        let untold = match series {
            OWN => &mut self.untold,
            _ => &mut self.untold_of_others,
        };
        for (set, known) in [(untold, entry.in_place), (&mut self.unsaved, entry.in_file)] {
            match known < entry.scans {
                true => set.insert((key.clone(), series)),
                false => set.remove(&(key.clone(), series)),
            };
        }
        more
    }

    fn named<'n>(&self, names: impl Iterator<Item = &'n Name>) -> Vec<Named> {
        let named = |(key, series): &Name| {
            let entries = self.tags.get(key)?;
            let entry = &entries[position(entries, *series).ok()?];
            let count = Count {
                domain: key.domain().clone(),
                code: key.code().clone(),
                series: self.series[*series as usize].clone(),
                scans: entry.scans,
            };
            Some(((key.clone(), *series), count))
        };
        names.filter_map(named).collect()
    }

    fn number(&mut self, series: &EdgeRun) -> u32 {
        if let Some(number) = self.numbers.get(series) {
            return *number;
        }
        let number = self.series.len() as u32; // of edges' runs there are not so many
        self.series.push(series.clone());
        self.numbers.insert(series.clone(), number);
        number
    }
}

/// Where a series is among a tag's, or where it belongs.
fn position(entries: &[Entry], series: u32) -> Result<usize, usize> {
    entries.binary_search_by_key(&series, |entry| entry.series)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(edge: &str) -> EdgeRun {
        EdgeRun::new(edge, 1).expect("a run")
    }

    fn key(code: &str) -> TagKey {
        TagKey::parse("qr.example.com", code).expect("a tag")
    }

    /// What is to be told, as edge and number of scans.
    fn untold(known: &Known, with_others: bool) -> Vec<(String, u64)> {
        let untold = known.untold(with_others, 100).into_iter();
        let mut untold: Vec<_> = untold
            .map(|(_, count)| (count.series.edge().to_owned(), count.scans))
            .collect();
        untold.sort();
        untold
    }

    #[test]
    fn of_one_series_the_larger_count_stands_in_whatever_order_they_come() {
        let mut known = Known::new(run("own"));
        let new =
            [5, 3, 5, 9, 1].map(|scans| known.take(&key("a"), &run("x"), scans, Source::Place));
        assert_eq!(new, [5, 0, 0, 4, 0]);
        assert_eq!(known.take(&key("a"), &run("y"), 2, Source::Place), 2);
        assert_eq!(known.begin(key("a"), Counter::unkept()), 11);
        assert_eq!(known.begin(key("b"), Counter::unkept()), 0);
        known.take(&key("c"), &run("x"), u64::MAX, Source::Here);
        known.take(&key("c"), &run("y"), 2, Source::Place);
        assert_eq!(known.begin(key("c"), Counter::unkept()), u64::MAX);
    }

    #[test]
    fn what_was_counted_here_is_told_until_it_has_arrived() {
        let mut known = Known::new(run("own"));
        let counter = Counter::unkept();
        known.begin(key("a"), counter.clone());
        known.look();
        assert_eq!(untold(&known, true), []);
        counter.raise_to(3);
        known.look();
        let batch = known.untold(false, 100);
        counter.raise_to(4);
        known.look();
        assert_eq!(untold(&known, false), [("own".into(), 4)]);
        known.told(&batch);
        assert_eq!(untold(&known, false), [("own".into(), 4)]);
        known.told(&known.untold(false, 100));
        assert!(!known.has_untold() && untold(&known, true).is_empty());
        // A place that was made anew is told all of it.
        known.place_is_empty();
        assert_eq!(untold(&known, false), [("own".into(), 4)]);
    }

    #[test]
    fn what_others_have_counted_is_told_where_the_place_lacks_it_and_once_that_is_known() {
        let mut known = Known::new(run("own"));
        known.take(&key("a"), &run("gone"), 7, Source::File);
        known.take(&key("a"), &run("there"), 7, Source::File);
        known.take(&key("a"), &run("there"), 8, Source::Place);
        assert_eq!(untold(&known, false), []);
        assert_eq!(untold(&known, true), [("gone".into(), 7)]);
        known.told(&known.untold(true, 100));
        assert_eq!(untold(&known, true), []);
        let unsaved = known.unsaved();
        assert_eq!(unsaved.len(), 1);
        assert_eq!(unsaved[0].1.scans, 8);
        known.saved(&unsaved);
        assert!(known.unsaved().is_empty());
        known.file_is_empty();
        assert_eq!(known.unsaved().len(), 2);
        known.place_is_empty();
        assert_eq!(
            untold(&known, true),
            [("gone".into(), 7), ("there".into(), 8)]
        );
    }

    #[test]
    fn where_a_smaller_count_was_told_last_the_larger_is_told_again() {
        let mut known = Known::new(run("own"));
        for scans in [9, 7] {
            known.take(&key("a"), &run("gone"), scans, Source::Place);
        }
        assert_eq!(untold(&known, true), [("gone".into(), 9)]);
        known.told(&known.untold(true, 100));
        assert_eq!(untold(&known, true), []);
        known.take(&key("a"), &run("gone"), 9, Source::Place);
        assert_eq!(untold(&known, true), []);
        // Who begins to listen again hears what was told before, which is no reason.
        known.hears_anew();
        for scans in [5, 9] {
            known.take(&key("a"), &run("gone"), scans, Source::Place);
            assert_eq!(untold(&known, true), []);
        }
    }

    #[test]
    fn what_this_edge_tells_is_not_told_again_for_its_echoes() {
        let mut known = Known::new(run("own"));
        let counter = Counter::unkept();
        known.begin(key("a"), counter.clone());
        for scans in [5, 9] {
            counter.raise_to(scans);
            known.look();
            known.told(&known.untold(false, 100));
        }
        for scans in [5, 9] {
            known.take(&key("a"), &run("own"), scans, Source::Place);
            assert!(!known.has_untold());
        }
    }

    #[test]
    fn a_counter_never_falls_behind_what_others_have_heard_of_it() {
        let mut known = Known::new(run("own"));
        let (early, late) = (Counter::unkept(), Counter::unkept());
        known.begin(key("a"), early.clone());
        for code in ["a", "b"] {
            assert_eq!(known.take(&key(code), &run("own"), 6, Source::Place), 0);
        }
        assert_eq!(known.begin(key("b"), late.clone()), 0);
        assert_eq!((early.get(), late.get()), (6, 6));
        known.look();
        assert!(!known.has_untold());
    }
}
