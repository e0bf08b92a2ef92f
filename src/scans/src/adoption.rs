//! What ended boots left in the scan log: found, counted, and handed to the shipper under the names of those who wrote it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::{fs, io};

use crate::WriterKey;
use crate::boots::Boots;
use crate::ledger::{Account, Accounts};
use crate::segment::{Extent, Link, NotASegment, Segment};
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

impl Found {
    fn key(&self) -> &WriterKey {
        match self {
            Self::InMemory(segment) | Self::OnDisk(segment, _) => segment.key(),
        }
    }

    fn number(&self) -> u32 {
        match self {
            Self::InMemory(segment) | Self::OnDisk(segment, _) => segment.number(),
        }
    }

    /// Scans that are neither stored nor counted as dropped.
    fn left(&self) -> u64 {
        match self {
            Self::InMemory(segment) => left(segment),
            Self::OnDisk(_, spooled) => spooled.head.scans,
        }
    }

    fn link(&self) -> Link {
        match self {
            Self::InMemory(segment) | Self::OnDisk(segment, _) => segment.link(),
        }
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
    for path in boots.take_over_ended()? {
        if spool.is_some_and(|spool| spool.holds(&path)) {
            copies.extend(find_copy(path));
            continue;
        }
        match Segment::adopt(path.clone()) {
            Ok(segment) => found.push(Found::InMemory(segment)),
            Err(NotASegment::Spare) => fs::remove_file(&path)?,
            Err(NotASegment::Io(error)) => {
                tracing::error!(path = %path.display(), %error, "a segment of an earlier run cannot be opened: it stays for the next start");
            }
            Err(error) => {
                let aside = path.with_extension("refused");
                tracing::error!(path = %path.display(), %error, aside = %aside.display(), "a segment of an earlier run cannot be read: it is set aside");
                fs::rename(&path, &aside)?;
            }
        }
    }
    if let Some(spool) = spool {
        let alone = take_copies(&found, copies, spool);
        found.extend(alone);
    }
    let taken = take_over(found, spares, accounts);
    for segment in taken.done {
        // All of it is stored; the next start removes it. Its copy goes first: alone, it would be taken for what is left.
        let removed = spool
            .map_or(Ok(()), |spool| spool.remove_copy(&segment))
            .and_then(|()| fs::remove_file(segment.path()));
        if let Err(error) = removed {
            tracing::warn!(path = %segment.path().display(), %error, "a segment that is stored cannot be removed");
        }
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

/// Those copies of which there is nothing in memory. A part of one whose writer has later segments there is of a segment that is stored.
fn take_copies(
    in_memory: &[Found],
    copies: Vec<(Segment, Spooled)>,
    spool: &SpoolFolder,
) -> Vec<Found> {
    let of_segments: BTreeSet<_> = in_memory
        .iter()
        .map(|found| (found.key().clone(), found.number()))
        .collect();
    let writers: BTreeSet<_> = in_memory.iter().map(Found::key).collect();
    let mut alone = Vec::new();
    for (segment, spooled) in copies {
        let head = &spooled.head;
        spool.count(&spooled.path, head.bytes);
        if of_segments.contains(&(head.key.clone(), head.number)) {
            continue;
        }
        if head.extent == Extent::Part && writers.contains(&head.key) {
            if let Err(error) = spool.remove(&spooled.path) {
                tracing::warn!(path = %spooled.path.display(), %error, "a copy of a segment that is stored cannot be removed");
            }
            continue;
        }
        alone.push(Found::OnDisk(Arc::new(segment), spooled));
    }
    alone
}

/// Segments, by what is to become of them.
pub(crate) struct Taken {
    /// To be shipped, by writer.
    pub(crate) followed: Vec<Followed>,
    /// Of writers that have ended and are stored to their end.
    pub(crate) done: Vec<Arc<Segment>>,
}

/// Puts each writer's segments in order, and opens its account.
pub(crate) fn take_over(found: Vec<Found>, spares: &Spares, accounts: &Accounts) -> Taken {
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
            Found::InMemory(_) => true,
            Found::OnDisk(_, spooled) => spooled.head.extent == Extent::Last,
        });
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
            adopted: Some(Adopted { ahead, complete }),
        });
    }
    Taken { followed, done }
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
