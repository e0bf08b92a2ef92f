//! The ledger: what each writer says it has accepted, against what is stored of that by identity. The stores read; the arithmetic is
//! here. `docs/ledger.md` explains every number.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use jiff::Timestamp;
use scans::{DropReason, WriterKey};
use tags::WorkspaceId;

use crate::{InvalidQuery, Run, ScanStore, StoreError};

/// A writer that has said nothing for so long, and had not said that it has nothing to say, fell silent: an idle one speaks every 10 s.
const SILENCE: Duration = Duration::from_secs(60);

/// `[from, to)`, by the time at which the broker, or standalone's own store, took a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    from: Timestamp,
    to: Timestamp,
}

impl Period {
    /// A period that is not empty.
    pub fn new(from: Timestamp, to: Timestamp) -> Result<Self, InvalidQuery> {
        if to <= from {
            return Err(InvalidQuery::Range { from, to });
        }
        Ok(Self { from, to })
    }

    /// The first moment inside.
    pub fn from(&self) -> Timestamp {
        self.from
    }

    /// The first moment after.
    pub fn to(&self) -> Timestamp {
        self.to
    }

    /// The same range of whole milliseconds since 1970, in which batches are kept.
    pub(crate) fn millis(&self) -> (i64, i64) {
        let first_at_or_after = |moment: Timestamp| {
            let inside = moment.subsec_nanosecond() % 1_000_000 > 0; // before 1970 it is cut upwards already
            moment.as_millisecond() + i64::from(inside)
        };
        (first_at_or_after(self.from), first_at_or_after(self.to))
    }
}

/// How far a writer had come by the batches until some moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The number that it gives next.
    pub next: u64,
    /// What it has dropped since its boot, by reason.
    pub dropped: BTreeMap<String, u64>,
}

/// What a writer's batches say of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriterHeaders {
    /// By the settled batches before the period.
    pub before: Standing,
    /// By those before the period's end.
    pub at_end: Standing,
    /// By all settled ones.
    pub latest: Standing,
    /// How many scans the period's settled batches brought that another of them had brought.
    pub deduplicated: u64,
    /// When its last batch was taken, settled or not; milliseconds since 1970.
    pub heard_ms: i64,
    /// How many scans that one has; none: it only says where the writer stands.
    pub last_count: u32,
}

/// Batches of which the sink has not confirmed yet that their scans are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnderWay {
    /// How many.
    pub batches: u64,
    /// How many scans they bring.
    pub scans: u64,
}

/// What the batches of a period say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    /// Of each writer that had a settled batch in it.
    pub writers: Vec<(WriterKey, WriterHeaders)>,
    /// Its batches that are not settled.
    pub under_way: UnderWay,
    /// Records taken in it that could not be read as batches: nobody knows whose scans they held.
    pub unreadable: u64,
}

/// What there is of some scans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Rows.
    pub rows: u64,
    /// Scans: rows of different identity.
    pub stored: u64,
    /// Scans that are not stored, and lie among the dead records.
    pub dead: u64,
    /// Scans that are neither, and were stored until their workspace kept them no longer; of a workspace alone it is not known.
    pub expired: u64,
}

/// A writer's scans of a period: those whose numbers its batches of that period passed for the first time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriterLedger {
    /// Whose.
    pub writer: WriterKey,
    /// Their numbers, `start` inside and `end` outside.
    pub numbers: Range<u64>,
    /// What there is of them; with a workspace, of its scans among them.
    pub kept: Kept,
    /// What was accepted beside it; none with a workspace, as batches do not say whose scans they bring.
    pub compared: Option<Compared>,
    /// The writer fell silent in the period: what it accepted after this number, nobody knows.
    pub unknown_after: Option<u64>,
    /// When its last batch was taken.
    pub heard: Timestamp,
}

/// What a writer says it has accepted, beside what there is of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compared {
    /// Scans that it accepted: their numbers, and those that were dropped without one.
    pub accepted: u64,
    /// What it said for the first time that it had dropped, by reason; none with 0.
    pub dropped: BTreeMap<String, u64>,
    /// Numbers that are neither stored, nor dead, nor expired.
    pub missing: u64,
    /// So many of the missing no drop explains: over its whole life so far, so many more are missing than it dropped.
    pub unexplained: u64,
    /// Scans that came again within the period, and were stored once.
    pub deduplicated: u64,
}

impl WriterLedger {
    /// Rows too many.
    pub fn duplicates(&self) -> u64 {
        self.kept.rows.saturating_sub(self.kept.stored)
    }
}

/// The ledger of a period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerReport {
    /// By writer, in the order of their keys.
    pub writers: Vec<WriterLedger>,
    /// What is not compared yet.
    pub under_way: UnderWay,
    /// Records that could not be read as batches.
    pub unreadable: u64,
}

impl LedgerReport {
    /// Scans that are missing and that no drop explains.
    pub fn unexplained(&self) -> u64 {
        let compared = self.writers.iter().flat_map(|writer| &writer.compared);
        sum(compared.map(|compared| compared.unexplained))
    }

    /// Rows too many.
    pub fn duplicates(&self) -> u64 {
        sum(self.writers.iter().map(WriterLedger::duplicates))
    }

    /// Whether every scan that was accepted is stored once, or was until its workspace kept it no longer, is set aside as dead, or counted as
    /// dropped.
    pub fn is_exact(&self) -> bool {
        self.unexplained() == 0 && self.duplicates() == 0
    }
}

/// Compares. What batches say is read before what is stored, so that a scan that is stored meanwhile is not missed.
pub async fn ledger(
    store: &dyn ScanStore,
    period: &Period,
    workspace: Option<&WorkspaceId>,
    now: Timestamp,
) -> Result<LedgerReport, StoreError> {
    let headers = store.headers(period).await?;
    let mut writers = Vec::with_capacity(headers.writers.len());
    for (writer, said) in headers.writers {
        let numbers = said.before.next..said.at_end.next;
        let kept = kept(store, &writer, &numbers, workspace).await?;
        let compared = match workspace {
            Some(_) => None,
            None => Some(compare(store, &writer, &said, &kept).await?),
        };
        writers.push(WriterLedger {
            unknown_after: unknown_after(&said, period, now),
            heard: Timestamp::from_millisecond(said.heard_ms).unwrap_or(Timestamp::MIN),
            writer,
            numbers,
            kept,
            compared,
        });
    }
    Ok(LedgerReport {
        writers,
        under_way: headers.under_way,
        unreadable: headers.unreadable,
    })
}

async fn kept(
    store: &dyn ScanStore,
    writer: &WriterKey,
    numbers: &Range<u64>,
    workspace: Option<&WorkspaceId>,
) -> Result<Kept, StoreError> {
    if numbers.is_empty() {
        return Ok(Kept::default());
    }
    let run = Run {
        writer: writer.clone(),
        first: numbers.start,
        last: numbers.end - 1,
    };
    store.kept(&run, workspace).await
}

async fn compare(
    store: &dyn ScanStore,
    writer: &WriterKey,
    said: &WriterHeaders,
    kept_of_period: &Kept,
) -> Result<Compared, StoreError> {
    let numbers = said.before.next..said.at_end.next;
    let missing = missing(&numbers, kept_of_period);
    // A drop may be told of after the gap that it leaves, and a period may end between: only a whole life can be judged.
    let unexplained = if missing == 0 {
        0
    } else {
        let life = 0..said.latest.next;
        let kept = kept(store, writer, &life, None).await?;
        let lost = self::missing(&life, &kept).saturating_sub(numbered(&said.latest.dropped));
        lost.min(missing)
    };
    let mut dropped = said.at_end.dropped.clone();
    for (reason, count) in &mut dropped {
        let before = said.before.dropped.get(reason).copied();
        *count = count.saturating_sub(before.unwrap_or_default());
    }
    dropped.retain(|_, count| *count > 0);
    let without_number = sum(dropped.values().copied()).saturating_sub(numbered(&dropped));
    Ok(Compared {
        accepted: length(&numbers).saturating_add(without_number),
        dropped,
        missing,
        unexplained,
        deduplicated: said.deduplicated,
    })
}

fn unknown_after(said: &WriterHeaders, period: &Period, now: Timestamp) -> Option<u64> {
    let (from, to) = period.millis();
    let silent = now.as_millisecond().saturating_sub(said.heard_ms) > SILENCE.as_millis() as i64;
    let here = (from..to).contains(&said.heard_ms);
    (said.last_count > 0 && silent && here).then(|| said.latest.next.saturating_sub(1))
}

fn missing(numbers: &Range<u64>, kept: &Kept) -> u64 {
    length(numbers)
        .saturating_sub(kept.stored)
        .saturating_sub(kept.dead)
        .saturating_sub(kept.expired)
}

fn length(numbers: &Range<u64>) -> u64 {
    numbers.end.saturating_sub(numbers.start)
}

/// Those that took a number, and so leave a gap.
fn numbered(dropped: &BTreeMap<String, u64>) -> u64 {
    let gaps = dropped
        .iter()
        .filter(|(reason, _)| DropReason::word_takes_number(reason));
    sum(gaps.map(|(_, count)| *count))
}

/// A forged header may say any number.
fn sum(numbers: impl Iterator<Item = u64>) -> u64 {
    numbers.fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a test's time")
    }

    #[test]
    fn a_period_holds_the_whole_milliseconds_that_lie_in_it() {
        for (from, to, millis) in [
            ("1970-01-01T00:00:00Z", "1970-01-01T00:00:01Z", (0, 1_000)),
            (
                "1970-01-01T00:00:00.000000001Z",
                "1970-01-01T00:00:00.0010001Z",
                (1, 2),
            ),
            (
                "1969-12-31T23:59:59.9985Z",
                "1969-12-31T23:59:59.9995Z",
                (-1, 0),
            ),
        ] {
            let period = Period::new(at(from), at(to)).expect("a period");
            assert_eq!(period.millis(), millis, "{from}");
        }
        let moment = at("2026-11-29T00:00:00Z");
        let refused = Period::new(moment, moment).expect_err("nothing is in it");
        assert!(refused.to_string().contains("must be after"), "{refused}");
    }

    #[test]
    fn a_writer_that_fell_silent_is_told_in_the_period_in_which_it_did() {
        let period = Period::new(at("2026-11-29T00:00:00Z"), at("2026-11-30T00:00:00Z"));
        let period = period.expect("a period");
        let said = |heard: &str, last_count| WriterHeaders {
            latest: Standing {
                next: 8,
                ..Standing::default()
            },
            heard_ms: at(heard).as_millisecond(),
            last_count,
            ..WriterHeaders::default()
        };
        let now = at("2026-11-29T12:00:00Z");
        for (heard, last_count, unknown) in [
            ("2026-11-29T11:58:59Z", 3, Some(7)),
            ("2026-11-29T11:59:01Z", 3, None), // it may speak yet
            ("2026-11-29T11:00:00Z", 0, None), // it said that it had nothing more
            ("2026-11-28T23:59:59Z", 3, None), // the period before tells it
        ] {
            assert_eq!(
                unknown_after(&said(heard, last_count), &period, now),
                unknown,
                "{heard} {last_count}"
            );
        }
    }
}
