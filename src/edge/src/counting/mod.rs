//! Counts the scans of tags whose limit or rules depend on how many there have been: over all edges together, each of which adds to a series
//! of counts of its own (a grow-only counter, see [`journal::Counts`]).
//!
//! Read in this order: [`Tallies`], which requests read and count in; `known`, what is known of all series; then the threads that tell
//! others (`telling`), hear of them (`hearing`), and write all of it to a file (`keeping`). What an edge counts lies in its scan log's folder, which a kill does not take from it;
//! what it knows of others lies in a file, for a start while nobody can be asked.

mod hearing;
mod keeping;
mod known;
mod metrics;
mod tallies;
mod telling;

use std::io;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use journal::{Count, Counts, CountsFile, EdgeRun};
use scans::{CountLog, Counter, ScanLog};

use self::hearing::Hearing;
use self::keeping::Keeping;
use self::known::{Known, Named, Source};
pub(crate) use self::metrics::CountingMetrics;
use self::tallies::TagKey;
pub use self::tallies::Tallies;
use self::telling::Telling;
use crate::metrics::EdgeMetrics;

/// The counts of an edge, before anything is told or heard. Dropped, they stay as they are.
pub struct Counting {
    counted: Arc<Counted>,
    file: Option<CountsFile>,
}

/// The running exchange with other edges.
pub struct CountExchange {
    keeping: Option<Keeping>,
    /// None: this edge is the only one.
    others: Option<(Telling, Hearing)>,
}

/// What the threads and whoever brings tags in have in common.
struct Counted {
    tallies: Arc<Tallies>,
    series: Mutex<Series>,
    metrics: CountingMetrics,
    /// Whether it is known what the place has where edges tell each other.
    caught_up: AtomicBool,
}

/// What one at a time looks at, and no request.
struct Series {
    known: Known,
    /// None: it could not be opened.
    log: Option<CountLog>,
    /// Whether what others count in its folder could not be read the last time: a run of failures is one line in the log.
    folder_fails: bool,
}

impl Counting {
    /// Takes up what this edge has counted and known before. What of that cannot be read is logged: to count anew is better than not to
    /// redirect.
    pub fn open(edge: &str, log: &ScanLog, file: &Path, metrics: &EdgeMetrics) -> Self {
        let (count_log, before) = match CountLog::open(log) {
            Ok((count_log, before)) => (Some(count_log), before),
            Err(error) => {
                tracing::error!(%error, "what this edge has counted before cannot be read in the scan log's folder; it counts anew, in memory");
                (None, Vec::new())
            }
        };
        let boot = count_log.as_ref().map_or(log.boot(), CountLog::boot);
        // The program has made the same of these two.
        let own = EdgeRun::new(edge, boot).expect("the name of an edge that runs");
        let counted = Arc::new(Counted {
            tallies: Arc::default(),
            series: Mutex::new(Series {
                known: Known::new(own),
                log: count_log,
                folder_fails: false,
            }),
            metrics: metrics.counting.clone(),
            caught_up: AtomicBool::new(false),
        });
        let file = open_file(file);
        if let Some(file) = &file {
            counted.take_file(file);
        }
        counted.take_folder();
        for (tag, counter) in before {
            if let Some(key) = key(&tag) {
                counted.begin_with(&mut counted.series(), key, counter);
            }
        }
        Self { counted, file }
    }

    /// What requests take their numbers from.
    pub fn tallies(&self) -> Arc<Tallies> {
        Arc::clone(&self.counted.tallies)
    }

    /// To be called with each tag whose scans are counted before it is asked for, see [`table::Table::with_counters`].
    pub fn prepare(&self) -> impl Fn(&str, &str) + Send + Sync + 'static {
        let counted = Arc::clone(&self.counted);
        move |domain, code| counted.begin(domain, code)
    }

    /// Starts to tell other edges and to hear of them; without a place for that, this edge is the only one, and only keeps what it counts.
    /// `known` is called once, as soon as what others have counted is known, or cannot be.
    pub fn start(
        self,
        place: Option<Arc<dyn Counts>>,
        known: impl FnOnce() + Send + 'static,
    ) -> io::Result<CountExchange> {
        let Self { counted, file } = self;
        let keeping = file
            .map(|file| Keeping::start(Arc::clone(&counted), file))
            .transpose()?;
        let others = match place {
            Some(place) => {
                let telling = Telling::start(Arc::clone(&counted), place.publisher())?;
                let hearing = Hearing::start(counted, place, Box::new(known))?;
                Some((telling, hearing))
            }
            None => {
                known();
                None
            }
        };
        Ok(CountExchange { keeping, others })
    }
}

impl CountExchange {
    /// Begins to end it, when nothing is counted any more: what others do not know is told a last time.
    pub fn begin_stop(&self) {
        if let Some((telling, hearing)) = &self.others {
            hearing.begin_stop();
            telling.begin_stop();
        }
    }

    /// Ends it, and waits for that until then at most. What has not been told stays for the next start.
    pub fn stop(self, until: Instant) {
        self.begin_stop();
        if let Some(keeping) = self.keeping {
            keeping.stop();
        }
        if let Some((telling, _)) = self.others {
            telling.stop(until);
        }
    }
}

impl Counted {
    /// Only ever changed entry by entry, each whole, so that a panic elsewhere does it no harm.
    fn series(&self) -> MutexGuard<'_, Series> {
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a tag from now on, if that has not begun.
    fn begin(&self, domain: &str, code: &str) {
        if self.tallies.has(domain, code) {
            return;
        }
        let mut series = self.series();
        // Two may bring the same tag in.
        if self.tallies.has(domain, code) {
            return;
        }
        let Some(key) = TagKey::parse(domain, code) else {
            return;
        };
        let kept = match &mut series.log {
            Some(log) => log.begin(&format!("{domain}/{code}")),
            None => Err(io::ErrorKind::NotFound.into()),
        };
        let counter = kept.unwrap_or_else(|error| {
            if self.metrics.unkept.get() == 0 {
                tracing::error!(%error, "the scan log's folder cannot keep the counts of all tags: a kill of this process would lose some of them");
            }
            self.metrics.unkept.inc();
            Counter::unkept()
        });
        self.begin_with(&mut series, key, counter);
    }

    fn begin_with(&self, series: &mut Series, key: TagKey, counter: Counter) {
        let others = series.known.begin(key.clone(), counter.clone());
        self.tallies.begin(key, counter, others);
        self.metrics
            .tags
            .set(i64::try_from(self.tallies.len()).unwrap_or(i64::MAX));
    }

    fn take(&self, key: &TagKey, run: &EdgeRun, scans: u64, source: Source) {
        let mut series = self.series();
        let more = series.known.take(key, run, scans, source);
        if more > 0 {
            // Under the lock, or a tally that begins meanwhile would have them twice.
            self.tallies.add_others(key, more);
        }
    }

    fn take_file(&self, file: &CountsFile) {
        match file.load() {
            Ok(counts) => counts.into_iter().for_each(|count| {
                let key = TagKey::new(count.domain, count.code);
                self.take(&key, &count.series, count.scans, Source::File);
            }),
            Err(error) => {
                tracing::error!(%error, "what this edge knew of others' counts is not known any more, until it hears of it again");
            }
        }
    }

    /// Takes in what other processes have counted in the same folder.
    fn take_folder(&self) {
        let counted = match &mut self.series().log {
            Some(log) => log.counted_elsewhere(),
            None => return,
        };
        let fails = counted.is_err();
        let failed = std::mem::replace(&mut self.series().folder_fails, fails);
        match counted {
            Ok(counted) => {
                for elsewhere in counted {
                    let run = EdgeRun::new(&elsewhere.edge, elsewhere.boot);
                    if let (Some(key), Ok(run)) = (key(&elsewhere.tag), run) {
                        self.take(&key, &run, elsewhere.count, Source::Here);
                    }
                }
            }
            Err(error) if !failed => {
                tracing::warn!(%error, "what another process has counted in the scan log's folder cannot be read; it is tried again");
            }
            Err(_) => {}
        }
    }

    fn others_live(&self) -> bool {
        let series = self.series();
        series.log.as_ref().is_some_and(CountLog::others_live)
    }
}

fn counts(named: &[Named]) -> Vec<Count> {
    named.iter().map(|(_, count)| count.clone()).collect()
}

fn open_file(path: &Path) -> Option<CountsFile> {
    CountsFile::open(path)
        .inspect_err(|error| {
            tracing::error!(%error, "what others have counted is not kept for a start while they cannot be asked");
        })
        .ok()
}

fn key(tag: &str) -> Option<TagKey> {
    let (domain, code) = tag.split_once('/')?;
    TagKey::parse(domain, code)
}
