//! How often tags have been scanned, in the scan log's folder: mapped numbers, so that a kill loses none.
//!
//! A series of counts belongs to one edge and has the number of the run that began it. A later run of the same edge that finds it without
//! an owner counts on in it, so that its numbers only ever grow, one process has it at a time, and there are no more series than processes
//! at once. On disk it is a text, `BOOT.counted`, whose first line is the edge's name and each other one a tag, in the order of their
//! numbers, which lie in `BOOT-00000000.counts` and so on. The text is locked by whoever counts.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::FlockOperation;

use crate::ScanLog;
use crate::segment::Words;

const NAMES: &str = "counted";
/// How many numbers a file has: 64 KiB.
const CHUNK: usize = 8_192;

/// How often a tag has been scanned at this edge. Clones count together.
#[derive(Clone)]
pub struct Counter {
    words: Arc<Words>,
    index: usize,
}

impl Counter {
    /// One that is lost with the process.
    pub fn unkept() -> Self {
        Self {
            words: Arc::new(Words::unkept()),
            index: 0,
        }
    }

    /// The count.
    pub fn get(&self) -> u64 {
        self.number().load(Ordering::Relaxed)
    }

    /// Counts one more, and gives what there were before; where there are so many already, it counts nothing, and gives how many as an
    /// error.
    pub fn count_below(&self, most: u64) -> Result<u64, u64> {
        // Relaxed: the number itself is all that is shared.
        self.number()
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
                (count < most).then(|| count + 1)
            })
    }

    /// Makes up for what is known to have been counted here.
    pub fn raise_to(&self, count: u64) {
        self.number().fetch_max(count, Ordering::Relaxed);
    }

    fn number(&self) -> &AtomicU64 {
        &self.words.all()[self.index]
    }
}

/// A count of another series than this process's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedElsewhere {
    /// Whose it was.
    pub edge: String,
    /// The number of the series.
    pub boot: u64,
    /// The tag's name, as it was given.
    pub tag: String,
    /// How often it has been scanned.
    pub count: u64,
}

/// The series in which this process counts, and what it finds of others.
pub struct CountLog {
    hot: PathBuf,
    boot: u64,
    /// Locked. What is written goes to its end.
    names: File,
    /// How long that text is, with whole lines alone.
    bytes: u64,
    chunks: Vec<Arc<Words>>,
    counted: usize,
    others: Vec<Series>,
}

/// A series of another process, or one that has ended.
struct Series {
    boot: u64,
    names: File,
    /// Whether nobody counts in it any more, and all of it has been read since.
    ended: bool,
}

impl CountLog {
    /// Takes over the edge's oldest series that nobody counts in, or begins one, and gives the tags in it with their counts.
    pub fn open(log: &ScanLog) -> io::Result<(Self, Vec<(String, Counter)>)> {
        Self::open_in(log.hot(), log.edge(), log.boot())
    }

    fn open_in(hot: &Path, edge: &str, boot: u64) -> io::Result<(Self, Vec<(String, Counter)>)> {
        let mut own = None;
        let mut others = Vec::new();
        for boot in listed(hot)? {
            let mut names = open_names(hot, boot)?;
            let ended = lock(&names)?;
            let lines = Lines::read(&mut names)?;
            if ended && own.is_none() && lines.edge() == Some(edge) {
                own = Some((boot, names, lines));
                continue;
            }
            if ended {
                unlock(&names)?;
            }
            others.push(Series {
                boot,
                names,
                ended: false,
            });
        }
        let (boot, names, lines) = match own {
            Some(own) => own,
            None => {
                let mut names = open_names(hot, boot)?;
                let text = format!("{edge}\n");
                if !lock(&names)? {
                    return Err(io::Error::other(
                        "another process counts in this run's name",
                    ));
                }
                names.write_all(text.as_bytes())?;
                (boot, names, Lines(text))
            }
        };
        let mut own = Self {
            hot: hot.to_owned(),
            boot,
            names,
            bytes: lines.0.len() as u64,
            chunks: Vec::new(),
            counted: 0,
            others,
        };
        // A line without its end was never counted in.
        own.names.set_len(own.bytes)?;
        let counters = lines
            .tags()
            .map(|tag| Ok((tag.to_owned(), own.next()?)))
            .collect::<io::Result<_>>()?;
        Ok((own, counters))
    }

    /// The number of the series.
    pub fn boot(&self) -> u64 {
        self.boot
    }

    /// Begins to count a tag that has not been counted in this series. Its name is one line of a text.
    pub fn begin(&mut self, tag: &str) -> io::Result<Counter> {
        let counter = self.next()?;
        // After a power cut there can be the number of a tag whose name never reached the disk.
        counter.number().store(0, Ordering::Relaxed);
        let line = format!("{tag}\n");
        if let Err(error) = self.names.write_all(line.as_bytes()) {
            self.counted -= 1;
            // Half a line would be the beginning of the next one's name.
            self.names.set_len(self.bytes)?;
            return Err(error);
        }
        self.bytes += line.len() as u64;
        Ok(counter)
    }

    /// Whether other processes count in this folder, or did when it was last read.
    pub fn others_live(&self) -> bool {
        self.others.iter().any(|series| !series.ended)
    }

    /// What other series have counted so far.
    pub fn counted_elsewhere(&mut self) -> io::Result<Vec<CountedElsewhere>> {
        let mut counted = Vec::new();
        let mut ended = Vec::new();
        for series in &mut self.others {
            // First whether it has ended: what is read then is all.
            let free = series.ended || lock(&series.names)?;
            if free && !series.ended {
                unlock(&series.names)?;
            }
            ended.push(free);
            let lines = Lines::read(&mut series.names)?;
            let Some(edge) = lines.edge() else { continue };
            let mut numbers = Numbers::of(&self.hot, series.boot);
            for tag in lines.tags() {
                counted.push(CountedElsewhere {
                    edge: edge.to_owned(),
                    boot: series.boot,
                    tag: tag.to_owned(),
                    count: numbers.next()?,
                });
            }
        }
        // Not before: what fails above has to be read again.
        for (series, ended) in self.others.iter_mut().zip(ended) {
            series.ended = ended;
        }
        Ok(counted)
    }

    /// The place of the next number.
    fn next(&mut self) -> io::Result<Counter> {
        let (chunk, index) = (self.counted / CHUNK, self.counted % CHUNK);
        if chunk == self.chunks.len() {
            let path = chunk_file(&self.hot, self.boot, chunk);
            self.chunks.push(Arc::new(Words::open(&path, CHUNK)?));
        }
        self.counted += 1;
        let words = Arc::clone(&self.chunks[chunk]);
        Ok(Counter { words, index })
    }
}

/// The text of a series, as far as its lines are whole.
struct Lines(String);

impl Lines {
    fn read(file: &mut File) -> io::Result<Self> {
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(0))?;
        file.read_to_end(&mut bytes)?;
        let whole = bytes
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        bytes.truncate(whole);
        String::from_utf8(bytes).map(Self).map_err(io::Error::other)
    }

    fn edge(&self) -> Option<&str> {
        self.0.lines().next()
    }

    fn tags(&self) -> impl Iterator<Item = &str> {
        self.0.lines().skip(1)
    }
}

/// The numbers of a series, read in their order.
struct Numbers<'h> {
    hot: &'h Path,
    boot: u64,
    chunk: usize,
    rest: std::vec::IntoIter<u64>,
}

impl<'h> Numbers<'h> {
    fn of(hot: &'h Path, boot: u64) -> Self {
        Self {
            hot,
            boot,
            chunk: 0,
            rest: Vec::new().into_iter(),
        }
    }

    fn next(&mut self) -> io::Result<u64> {
        if let Some(number) = self.rest.next() {
            return Ok(number);
        }
        let bytes = match fs::read(chunk_file(self.hot, self.boot, self.chunk)) {
            Ok(bytes) => bytes,
            // The tag's name is written before anything is counted.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        self.chunk += 1;
        let numbers = bytes
            .chunks_exact(8)
            .map(|number| number.try_into().map_or(0, u64::from_ne_bytes));
        self.rest = numbers.take(CHUNK).collect::<Vec<_>>().into_iter();
        Ok(self.rest.next().unwrap_or(0))
    }
}

/// The series in the folder, oldest first.
fn listed(hot: &Path) -> io::Result<Vec<u64>> {
    let mut boots = Vec::new();
    for entry in fs::read_dir(hot)? {
        let path = entry?.path();
        if path.extension().is_some_and(|kind| kind == NAMES) {
            let boot = path.file_stem().and_then(|stem| stem.to_str());
            boots.extend(boot.and_then(|boot| u64::from_str_radix(boot, 16).ok()));
        }
    }
    boots.sort_unstable();
    Ok(boots)
}

fn open_names(hot: &Path, boot: u64) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .open(hot.join(format!("{boot:016x}.{NAMES}")))
}

fn chunk_file(hot: &Path, boot: u64, chunk: usize) -> PathBuf {
    hot.join(format!("{boot:016x}-{chunk:08}.counts"))
}

/// Whether nobody else counts in the series; then nobody else will, until it is unlocked.
fn lock(names: &File) -> io::Result<bool> {
    match rustix::fs::flock(names, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Leaves a series to the next run that comes: who counts in it then tells so.
fn unlock(names: &File) -> io::Result<()> {
    Ok(rustix::fs::flock(names, FlockOperation::Unlock)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(counters: &[(String, Counter)]) -> Vec<(&str, u64)> {
        counters
            .iter()
            .map(|(tag, counter)| (tag.as_str(), counter.get()))
            .collect()
    }

    #[test]
    fn a_series_is_counted_on_in_by_the_next_run_of_its_edge_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let hot = folder.path();
        let (mut first, none) = CountLog::open_in(hot, "edge-1", 1).expect("a series");
        assert_eq!(none.len(), 0);
        let (a, b) = (first.begin("d/a"), first.begin("d/b"));
        let (a, b) = (a.expect("room"), b.expect("room"));
        for before in 0..3 {
            assert_eq!(a.count_below(u64::MAX), Ok(before));
        }
        assert_eq!(b.count_below(1), Ok(0));
        assert_eq!(b.count_below(1), Err(1));
        drop(first);
        // As after a kill: the mapping was never closed.
        let (other, none) = CountLog::open_in(hot, "edge-2", 2).expect("a series");
        assert_eq!((other.boot(), none.len()), (2, 0));
        let (mut again, counters) = CountLog::open_in(hot, "edge-1", 3).expect("a series");
        assert_eq!(again.boot(), 1);
        assert_eq!(counts(&counters), [("d/a", 3), ("d/b", 1)]);
        let c = again.begin("d/c").expect("room");
        assert_eq!(c.count_below(5), Ok(0));
        assert_eq!(a.get(), 3, "each has a place of its own");
    }

    #[test]
    fn what_lives_beside_is_read_until_it_has_ended() {
        let folder = tempfile::tempdir().expect("a folder");
        let hot = folder.path();
        let (mut before, _) = CountLog::open_in(hot, "edge-1", 1).expect("a series");
        let a = before.begin("d/a").expect("room");
        let (mut beside, none) = CountLog::open_in(hot, "edge-1", 2).expect("a series");
        assert_eq!((beside.boot(), none.len()), (2, 0));
        let elsewhere = |count| CountedElsewhere {
            edge: "edge-1".into(),
            boot: 1,
            tag: "d/a".into(),
            count,
        };
        for count in 1..3 {
            a.count_below(u64::MAX).expect("no limit");
            assert_eq!(
                beside.counted_elsewhere().expect("a folder"),
                [elsewhere(count)]
            );
            assert!(beside.others_live());
        }
        a.count_below(u64::MAX).expect("no limit");
        drop(before);
        assert_eq!(
            beside.counted_elsewhere().expect("a folder"),
            [elsewhere(3)]
        );
        assert!(!beside.others_live());
    }

    #[test]
    fn what_could_not_be_read_at_the_end_is_read_later() {
        let folder = tempfile::tempdir().expect("a folder");
        let hot = folder.path();
        let (mut before, _) = CountLog::open_in(hot, "edge-1", 1).expect("a series");
        let a = before.begin("d/a").expect("room");
        let (mut beside, _) = CountLog::open_in(hot, "edge-1", 2).expect("a series");
        a.count_below(u64::MAX).expect("no limit");
        drop(before);
        // A folder in its place cannot be read as a file.
        let (numbers, aside) = (chunk_file(hot, 1, 0), hot.join("aside"));
        fs::rename(&numbers, &aside).expect("a file");
        fs::create_dir(&numbers).expect("a folder");
        assert!(beside.counted_elsewhere().is_err());
        assert!(beside.others_live());
        fs::remove_dir(&numbers).expect("a folder");
        fs::rename(&aside, &numbers).expect("a file");
        let counted = beside.counted_elsewhere().expect("a folder");
        assert_eq!(counted.iter().map(|it| it.count).collect::<Vec<_>>(), [1]);
        assert!(!beside.others_live());
    }

    #[test]
    fn a_name_that_was_not_written_whole_is_forgotten() {
        let folder = tempfile::tempdir().expect("a folder");
        let hot = folder.path();
        let (mut first, _) = CountLog::open_in(hot, "edge-1", 1).expect("a series");
        first.begin("d/a").expect("room");
        first.names.write_all(b"d/ha").expect("a file");
        drop(first);
        let (mut again, counters) = CountLog::open_in(hot, "edge-1", 2).expect("a series");
        assert_eq!(counts(&counters), [("d/a", 0)]);
        again.begin("d/b").expect("room");
        drop(again);
        let (_, counters) = CountLog::open_in(hot, "edge-1", 3).expect("a series");
        assert_eq!(counts(&counters), [("d/a", 0), ("d/b", 0)]);
    }

    #[test]
    fn no_tag_begins_with_the_number_of_one_whose_name_was_lost() {
        let folder = tempfile::tempdir().expect("a folder");
        let hot = folder.path();
        let (mut first, _) = CountLog::open_in(hot, "edge-1", 1).expect("a series");
        let begun = first.bytes;
        first.begin("d/a").expect("room").raise_to(7);
        first.names.set_len(begun).expect("a file");
        drop(first);
        let (mut again, none) = CountLog::open_in(hot, "edge-1", 2).expect("a series");
        assert_eq!((again.boot(), none.len()), (1, 0));
        assert_eq!(again.begin("d/b").expect("room").get(), 0);
    }

    #[test]
    fn there_is_room_for_any_number_of_tags() {
        let folder = tempfile::tempdir().expect("a folder");
        let hot = folder.path();
        let (mut first, _) = CountLog::open_in(hot, "edge-1", 1).expect("a series");
        let many = CHUNK + 3;
        for number in 0..many {
            let counter = first.begin(&format!("d/{number}")).expect("room");
            counter.raise_to(number as u64);
        }
        let (mut beside, _) = CountLog::open_in(hot, "edge-1", 2).expect("a series");
        let seen = beside.counted_elsewhere().expect("a folder");
        assert!((0..many as u64).eq(seen.iter().map(|counted| counted.count)));
        drop((first, beside));
        let (_, counters) = CountLog::open_in(hot, "edge-1", 3).expect("a series");
        assert!((0..many as u64).eq(counters.iter().map(|(_, counter)| counter.get())));
    }

    #[test]
    fn as_many_are_counted_as_there_may_be_however_many_come_at_once() {
        let counter = Counter::unkept();
        let counted: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        (0..1_000)
                            .filter(|_| counter.count_below(1_234).is_ok())
                            .count()
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().expect("no panic"))
                .sum()
        });
        assert_eq!((counted, counter.get()), (1_234, 1_234));
    }
}
