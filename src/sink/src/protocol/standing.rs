//! Where a partition stands: what whoever drives its protocol asks between the steps.

use analytics::Positions;

use super::{Protocol, Settled};
use crate::batches::Batches;

impl<C> Protocol<C> {
    /// Whether a record may be read now. While a full block waits for its turn, the partition is paused.
    pub fn wants_records(&self) -> bool {
        !self.loading && !self.open_is_full()
    }

    /// The block that [`Command::Insert`](super::Command::Insert) means.
    pub fn in_flight(&self) -> Option<&Batches<C>> {
        self.flight.as_ref().map(|flight| &flight.batches)
    }

    /// Whether everything read is settled.
    pub fn is_idle(&self) -> bool {
        self.flight.is_none() && self.next.is_none() && self.open.records.is_empty()
    }

    /// Whether collected records wait for [`Event::Flush`](super::Event::Flush), or for more.
    pub fn is_collecting(&self) -> bool {
        !self.open.records.is_empty()
    }

    /// How many scans it holds.
    pub fn held(&self) -> u64 {
        let flight = self
            .flight
            .as_ref()
            .map_or(0, |flight| flight.batches.scans());
        self.open.scans() + flight + self.next.as_ref().map_or(0, |next| next.scans())
    }

    /// What the last commit settled; each once.
    pub fn take_settled(&mut self) -> Option<Settled> {
        self.last_settled.take()
    }

    /// Whether it reads what an earlier sink intended to store, which has to be read to its end before anything of it can be stored.
    pub fn makes_good(&self) -> bool {
        self.intent.is_some()
    }

    /// Whether an earlier sink's intent was for other scans than are in its batches now; true once.
    pub fn take_intent_differs(&mut self) -> bool {
        std::mem::take(&mut self.intent_differs)
    }

    /// The offset behind what is settled.
    pub fn position(&self) -> Option<i64> {
        self.committed
    }

    /// How many scans should have come and did not, as of what is settled.
    pub fn missing(&self) -> u64 {
        self.settled.missing()
    }

    /// The positions to be saved: of writers that moved since the last time, as of what is settled. None while batches below the committed
    /// offset are still being folded: these are the positions of no offset that is known here.
    pub fn unsaved(&self) -> Option<Positions> {
        let offset = self
            .committed
            .filter(|committed| self.next_offset >= *committed && !self.unsaved.is_empty())?;
        let writers = self
            .unsaved
            .iter()
            .filter_map(|key| Some((key.clone(), self.settled.get(key)?.clone())))
            .collect();
        Some(Positions {
            source: self.source.clone(),
            offset,
            writers,
        })
    }

    /// These positions were saved.
    pub fn saved(&mut self, positions: &Positions) {
        for (key, saved) in &positions.writers {
            if self.settled.get(key) == Some(saved) {
                self.unsaved.remove(key);
            }
        }
    }
}
