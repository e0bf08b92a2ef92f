//! What ended boots left in the scan log: found, counted, and handed to the shipper under the names of those who wrote it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::{fs, io};

use crate::WriterKey;
use crate::boots::{Boots, boot_of};
use crate::ledger::{Account, Accounts};
use crate::segment::{Extent, HEADER, Link, NotASegment, Segment};
use crate::spares::Spares;
use crate::spool::SpoolFolder;
use crate::survey::Survey;
use crate::unread::{Spooled, Unread};
use crate::writer::{Adopted, Followed};

/// What an earlier run has left of a segment.
pub(crate) enum Found {
    InMemory(Arc<Segment>),
    /// A copy alone, with a segment that has its header and no records.
    OnDisk(Arc<Segment>, Spooled),
}

/// What is known of the folders beside what lies there.
#[derive(Default)]
pub(crate) struct Known {
    /// Of copies whose segments are in memory too: how far they go, by their headers.
    copies: BTreeMap<(WriterKey, u32), (usize, Extent)>,
    /// Runs of which something in the hot folder cannot be read.
    refused: BTreeSet<u64>,
    /// Runs whose hot folder was on a disk when their machine was lost: it has kept what it happened to write out.
    doubted: BTreeSet<u64>,
}

impl Found {
    /// Itself, or its header.
    fn segment(&self) -> &Arc<Segment> {
        match self {
            Self::InMemory(segment) | Self::OnDisk(segment, _) => segment,
        }
    }

    fn key(&self) -> &WriterKey {
        self.segment().key()
    }

    fn number(&self) -> u32 {
        self.segment().number()
    }

    /// Scans that are neither stored nor counted as dropped.
    fn left(&self) -> u64 {
        match self {
            Self::InMemory(segment) => left(segment),
            Self::OnDisk(_, spooled) => spooled.head.scans,
        }
    }

    fn link(&self) -> Link {
        self.segment().link()
    }

    fn into_unread(self) -> Unread {
        match self {
            Self::InMemory(segment) => Unread::InMemory(segment),
            Self::OnDisk(_, spooled) => Unread::Spooled(spooled),
        }
    }
}

/// Finds what ended boots left, oldest first.
pub(crate) fn adopt(
    boots: &Boots,
    spares: &Spares,
    accounts: &Accounts,
    spool: Option<&SpoolFolder>,
) -> io::Result<Vec<Followed>> {
    let (mut found, mut copies) = (Vec::new(), Vec::new());
    let mut known = Known::default();
    for path in boots.take_over_ended()? {
        if spool.is_some_and(|spool| spool.holds(&path)) {
            copies.extend(find_copy(path));
            continue;
        }
        match Segment::adopt(path.clone()) {
            Ok(segment) => {
                if !boots.is_of_this_machine(segment.key().boot) {
                    known.doubted.insert(segment.key().boot);
                }
                found.push(Found::InMemory(segment));
            }
            Err(NotASegment::Spare) => {
                fs::remove_file(&path)?;
                #[cfg(test)]
                crate::steps::step();
            }
            Err(NotASegment::Io(error)) => {
                known.refused.extend(boot_of(&path));
                tracing::error!(path = %path.display(), %error, "a segment of an earlier run cannot be opened: it stays for the next start");
            }
            Err(error) => {
                known.refused.extend(boot_of(&path));
                let aside = path.with_extension("refused");
                tracing::error!(path = %path.display(), %error, aside = %aside.display(), "a segment of an earlier run cannot be read: it is set aside");
                fs::rename(&path, &aside)?;
            }
        }
    }
    if let Some(spool) = spool {
        for copy in &copies {
            spool.count(&copy.1.path, copy.1.head.bytes);
        }
        prefer_copies(&mut found, &copies, &known.doubted);
        let (alone, stale) = take_copies(&found, copies, &mut known);
        for path in stale {
            if let Err(error) = spool.remove(&path) {
                tracing::warn!(path = %path.display(), %error, "a copy of a segment that is stored cannot be removed");
            }
        }
        found.extend(alone);
    }
    let taken = take_over(found, &known, spares, accounts);
    for segment in taken.done {
        // All of it is stored; the next start removes it. Its copy goes first: alone, it would be taken for what is left.
        let removed = spool
            .map_or(Ok(()), |spool| spool.remove_copy(&segment))
            .and_then(|()| fs::remove_file(segment.path()));
        if let Err(error) = removed {
            tracing::warn!(path = %segment.path().display(), %error, "a segment that is stored cannot be removed");
        }
        #[cfg(test)]
        crate::steps::step();
    }
    Ok(taken.followed)
}

/// Looks at a file in the spool. Whatever its disk does, what is in memory is shipped.
fn find_copy(path: PathBuf) -> Option<(Segment, Spooled)> {
    let error = match Segment::read_copy_head(&path) {
        Ok((segment, head)) => return Some((segment, Spooled::new(head, path))),
        Err(error) => error,
    };
    let shown = path.display();
    let done = match &error {
        NotASegment::Spare => fs::remove_file(&path), // the machine was lost before it was written
        NotASegment::Io(error) => {
            tracing::error!(path = %shown, %error, "a copy in the spool cannot be opened: it stays for the next start");
            Ok(())
        }
        NotASegment::Format(_) | NotASegment::Damaged => {
            let aside = path.with_extension("refused");
            tracing::error!(path = %shown, %error, aside = %aside.display(), "a copy in the spool cannot be read: it is set aside");
            fs::rename(&path, &aside)
        }
    };
    if let Err(error) = done {
        tracing::error!(path = %shown, %error, "a copy in the spool cannot be put away: it stays for the next start");
    }
    None
}

/// Of what a lost machine's disk has kept of the hot folder, leaves out what it has kept less of than of the copy, which was synced.
fn prefer_copies(found: &mut Vec<Found>, copies: &[(Segment, Spooled)], doubted: &BTreeSet<u64>) {
    let readable = |segment: &Segment| Survey::of(segment, segment.records().len()).records;
    found.retain(|found| {
        let segment = found.segment();
        if !doubted.contains(&segment.key().boot) {
            return true;
        }
        let is_its = |copy: &&(Segment, Spooled)| {
            copy.0.key() == segment.key() && copy.0.number() == segment.number()
        };
        let copy = copies.iter().find(is_its);
        let copy = copy.and_then(|(_, spooled)| Segment::read_copy(&spooled.path).ok());
        if copy.is_none_or(|copy| readable(&copy) <= readable(segment)) {
            return true;
        }
        let (path, aside) = (segment.path(), segment.path().with_extension("refused"));
        tracing::warn!(path = %path.display(), "a lost machine has left less of a segment here than in the spool: that is shipped");
        if let Err(error) = fs::rename(path, &aside) {
            tracing::warn!(path = %path.display(), %error, "it cannot be set aside");
        }
        false
    });
}

/// Those copies of which there is nothing in memory; and the names of those that are parts of segments that are stored, as their writers have
/// later ones in memory. One too many that is shipped does no harm: its scans have their numbers.
pub(crate) fn take_copies(
    in_memory: &[Found],
    copies: Vec<(Segment, Spooled)>,
    known: &mut Known,
) -> (Vec<Found>, Vec<PathBuf>) {
    let of_segments: BTreeSet<_> = in_memory
        .iter()
        .map(|found| (found.key().clone(), found.number()))
        .collect();
    let writers: BTreeSet<_> = in_memory.iter().map(Found::key).collect();
    let (mut alone, mut stale) = (Vec::new(), Vec::new());
    for (segment, spooled) in copies {
        let head = &spooled.head;
        let name = (head.key.clone(), head.number);
        if of_segments.contains(&name) {
            if head.believed && !known.doubted.contains(&head.key.boot) {
                let records = (head.bytes as usize).saturating_sub(HEADER) & !7;
                known.copies.insert(name, (records, head.extent));
            }
            continue;
        }
        let is_part = head.believed && head.extent == Extent::Part;
        let is_stored = writers.contains(&head.key) && !known.refused.contains(&head.key.boot);
        if is_part && is_stored && !known.doubted.contains(&head.key.boot) {
            stale.push(spooled.path);
        } else {
            alone.push(Found::OnDisk(Arc::new(segment), spooled));
        }
    }
    (alone, stale)
}

/// Segments, by what is to become of them.
pub(crate) struct Taken {
    /// To be shipped, by writer.
    pub(crate) followed: Vec<Followed>,
    /// Of writers that have ended and are stored to their end.
    pub(crate) done: Vec<Arc<Segment>>,
}

/// Puts each writer's segments in order, and opens its account.
pub(crate) fn take_over(
    found: Vec<Found>,
    known: &Known,
    spares: &Spares,
    accounts: &Accounts,
) -> Taken {
    let mut writers: BTreeMap<WriterKey, Vec<Found>> = BTreeMap::new();
    for segment in found {
        let of_writer = writers.entry(segment.key().clone()).or_default();
        of_writer.push(segment);
    }
    let (mut followed, mut done) = (Vec::new(), Vec::new());
    for (key, mut segments) in writers {
        segments.sort_by_key(Found::number);
        if let Some(stored) = stored_to_the_end(&segments) {
            done.extend(stored);
            continue;
        }
        // Of a machine that was lost, the copies end where they end: what the writer accepted after that, nobody knows.
        let complete = segments.last().is_some_and(|last| match last {
            Found::InMemory(_) => !known.doubted.contains(&key.boot),
            Found::OnDisk(_, spooled) => spooled.head.extent == Extent::Last,
        });
        keep_partition(&segments);
        let copied = copied(&segments, known);
        for pair in segments.windows(2) {
            if let [Found::InMemory(segment), next] = pair {
                segment.set_next(next.link());
            }
        }
        let in_memory = segments.iter().filter_map(|found| match found {
            Found::InMemory(segment) => Some(segment.bytes()),
            Found::OnDisk(..) => None,
        });
        spares.adopt(in_memory.sum());
        let left = segments.iter().map(Found::left).sum();
        tracing::info!(writer = %key, scans = left, complete, "scans of an earlier run are taken over");
        let account = accounts.open(Account::adopted(key, left));
        let mut segments = segments.into_iter();
        // One that is on disk stays ahead: what is followed first is its header.
        let (first, unread) = match segments.next() {
            Some(Found::InMemory(first)) => (first, None),
            Some(Found::OnDisk(header, spooled)) => {
                let unread = Unread::Spooled(spooled);
                header.set_next(unread.link());
                (header, Some(unread))
            }
            None => continue,
        };
        let ahead = unread.into_iter().chain(segments.map(Found::into_unread));
        let ahead = ahead.collect();
        followed.push(Followed {
            account,
            first,
            adopted: Some(Adopted {
                ahead,
                complete,
                copied,
            }),
        });
    }
    Taken { followed, done }
}

/// A writer keeps its partition: some of its scans may be there that nobody has acknowledged.
fn keep_partition(segments: &[Found]) {
    let known = segments
        .iter()
        .find_map(|found| found.segment().partition());
    let Some(partition) = known else { return };
    let unknown = segments.iter().map(Found::segment);
    unknown
        .filter(|segment| segment.partition().is_none())
        .for_each(|segment| segment.set_partition(partition));
}

/// How far those in memory are on disk too, from the first on.
fn copied(segments: &[Found], known: &Known) -> Option<(u32, usize, Extent)> {
    let mut copied = None;
    for found in segments {
        let Found::InMemory(segment) = found else {
            continue;
        };
        let name = (segment.key().clone(), segment.number());
        let Some((at, extent)) = known.copies.get(&name) else {
            break;
        };
        // A copy that goes further than its segment is not of what is here.
        if *at > segment.records().len() {
            break;
        }
        copied = Some((name.1, *at, *extent));
        if *extent == Extent::Part {
            break;
        }
    }
    copied
}

/// The segments of a writer that has ended, if all of it is stored.
fn stored_to_the_end(segments: &[Found]) -> Option<Vec<Arc<Segment>>> {
    let stored = segments.iter().map(|found| match found {
        Found::InMemory(segment) if segment.acknowledged() == segment.records().len() => {
            Some(Arc::clone(segment))
        }
        _ => None,
    });
    let stored: Vec<_> = stored.collect::<Option<_>>()?;
    stored.last()?.is_closed().then_some(stored)
}

/// How many of an adopted segment's scans are neither stored nor counted as dropped, by whichever run.
pub(crate) fn left(segment: &Segment) -> u64 {
    let stored = Survey::of(segment, segment.acknowledged()).records;
    let all = Survey::of(segment, segment.records().len());
    all.records - stored + all.lost(segment).saturating_sub(segment.lost())
}
