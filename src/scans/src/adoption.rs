//! What ended boots left in the scan log: found, counted, and handed to the shipper under the names of those who wrote it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::{fs, io};

use crate::WriterKey;
use crate::boots::Boots;
use crate::ledger::{Account, Accounts};
use crate::segment::{NotASegment, Segment};
use crate::spares::Spares;
use crate::survey::Survey;
use crate::writer::Followed;

/// Finds what ended boots left, oldest first.
pub(crate) fn adopt(
    boots: &Boots,
    spares: &Spares,
    accounts: &Accounts,
) -> io::Result<Vec<Followed>> {
    let mut found = Vec::new();
    for path in boots.take_over_ended()? {
        match Segment::adopt(path.clone()) {
            Ok(segment) => found.push(segment),
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
    let taken = take_over(found, spares, accounts);
    for segment in taken.done {
        // All of it is stored; the next start removes it.
        if let Err(error) = fs::remove_file(segment.path()) {
            tracing::warn!(path = %segment.path().display(), %error, "a segment that is stored cannot be removed");
        }
    }
    Ok(taken.followed)
}

/// Segments, by what is to become of them.
pub(crate) struct Taken {
    /// To be shipped, by writer.
    pub(crate) followed: Vec<Followed>,
    /// Of writers that have ended and are stored to their end.
    pub(crate) done: Vec<Arc<Segment>>,
}

/// Puts each writer's segments in order, and opens its account.
pub(crate) fn take_over(found: Vec<Arc<Segment>>, spares: &Spares, accounts: &Accounts) -> Taken {
    let mut writers: BTreeMap<WriterKey, Vec<Arc<Segment>>> = BTreeMap::new();
    for segment in found {
        let of_writer = writers.entry(segment.key().clone()).or_default();
        of_writer.push(segment);
    }
    let (mut followed, mut done) = (Vec::new(), Vec::new());
    for (key, mut segments) in writers {
        segments.sort_by_key(|segment| segment.number());
        segments
            .windows(2)
            .for_each(|pair| pair[0].set_next(Arc::clone(&pair[1])));
        let shipped = |segment: &Arc<Segment>| segment.acknowledged() == segment.records().len();
        if segments.iter().all(shipped) && segments.last().is_some_and(|last| last.is_closed()) {
            done.append(&mut segments);
            continue;
        }
        spares.adopt(segments.iter().map(|segment| segment.bytes()).sum());
        let left = segments.iter().map(|segment| left(segment)).sum();
        tracing::info!(writer = %key, scans = left, "scans of an earlier run are taken over");
        let account = accounts.open(Account::adopted(key, left));
        followed.extend(segments.into_iter().next().map(|first| Followed {
            account,
            first,
            adopted: true,
        }));
    }
    Taken { followed, done }
}

/// How many of an adopted segment's scans are neither stored nor counted as dropped, by whichever run.
pub(crate) fn left(segment: &Segment) -> u64 {
    let stored = Survey::of(segment, segment.acknowledged()).records;
    let all = Survey::of(segment, segment.records().len());
    all.records - stored + all.lost(segment).saturating_sub(segment.lost())
}
