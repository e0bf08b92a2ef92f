//! All writers that a shipper follows: a state machine without a thread, a clock or an outlet of its own. `shipper` drives it by those of
//! the machine, the simulator (`src/sink/tests/simulator`) by its own.

use std::sync::Arc;
use std::time::Instant;

use crate::pace::Pace;
use crate::segment::Segment;
use crate::source::Source;
use crate::writer::Followed;
use crate::{Delivery, Outlet, ShipperOptions};

/// The writers, in the order in which they have their turn.
#[derive(Default)]
pub(crate) struct Sources {
    all: Vec<Source>,
    pace: Pace,
}

impl Sources {
    /// Follows these too.
    pub(crate) fn follow(&mut self, begun: Vec<Followed>, now: Instant) {
        let sources = begun.into_iter();
        self.all
            .extend(sources.map(|followed| Source::new(followed, now)));
    }

    /// Hands to the outlet what there is. Returns the segments of which everything is stored.
    pub(crate) fn ship(
        &mut self,
        outlet: &mut dyn Outlet,
        options: &ShipperOptions,
        draining: bool,
        now: Instant,
    ) -> Vec<Arc<Segment>> {
        let recorded = self.all.iter().map(Source::recorded).sum();
        self.pace.refill(options.catch_up, recorded, now);
        // Nobody is answered any more by who drains.
        let mut pace = (!draining).then_some(&mut self.pace);
        let mut stored = Vec::new();
        let mut on_their_way: usize = self.all.iter().map(Source::in_flight_bytes).sum();
        for source in &mut self.all {
            let before = source.in_flight_bytes();
            let allowed = (options.in_flight_bytes + before).saturating_sub(on_their_way);
            let taken = source.ship(outlet, options, allowed, pace.as_deref_mut(), now);
            on_their_way = on_their_way - before + source.in_flight_bytes();
            if taken {
                source.ship_position(outlet, options, draining, now);
            }
            stored.extend(source.take_stored());
        }
        self.all
            .retain(|source| !(source.is_adopted() && source.is_closed()));
        // Whoever is first takes what an outlet with little room gives: let each be first in turn.
        if self.all.len() > 1 {
            self.all.rotate_left(1);
        }
        stored
    }

    /// Takes note of what became of a batch; one that failed is sent again at that time. Returns the bytes of one that was refused.
    pub(crate) fn settle(&mut self, delivery: &Delivery, again_at: Instant) -> Option<Vec<u8>> {
        let mut sources = self.all.iter_mut();
        let source = sources.find(|source| *source.key() == delivery.writer)?;
        source.settle(
            delivery.first_seq,
            delivery.count,
            &delivery.outcome,
            again_at,
        )
    }

    /// Each writer, in the order of turns.
    pub(crate) fn each(&mut self) -> impl Iterator<Item = &mut Source> {
        self.all.iter_mut()
    }

    /// Whether everything of every writer is stored, its last batch included.
    pub(crate) fn all_closed(&self) -> bool {
        self.all.iter().all(Source::is_closed)
    }

    /// The last segments of writers whose every scan is stored; what else there is stays for the next start.
    pub(crate) fn take_last_stored(&mut self) -> impl Iterator<Item = Segment> {
        self.all.drain(..).filter_map(Source::into_stored)
    }

    /// How many writers are followed.
    #[cfg(feature = "simulation")]
    pub(crate) fn count(&self) -> usize {
        self.all.len()
    }

    /// Every segment that is not stored to its end, or is still written; of each writer the oldest first.
    #[cfg(feature = "simulation")]
    pub(crate) fn into_segments(self) -> Vec<Arc<Segment>> {
        self.all
            .into_iter()
            .flat_map(Source::into_segments)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::ledger::Account;
    use crate::segment::{Beginning, Spare};
    use crate::{Delivered, DropReason, EncodedBatch, Full, WriterKey};

    #[derive(Default)]
    struct Sent(Vec<EncodedBatch>);

    impl Outlet for Sent {
        fn send(&mut self, batch: EncodedBatch) -> Result<(), Full> {
            self.0.push(batch);
            Ok(())
        }

        fn poll(&mut self, _: Duration) -> Vec<Delivery> {
            Vec::new()
        }
    }

    /// A writer that has begun, and ended without a scan.
    fn ended(hot: &Path, writer: u32) -> Followed {
        let (edge, boot) = (Arc::from("e"), 1);
        let key = WriterKey { edge, boot, writer };
        let spare = Spare::create(hot.join(writer.to_string()), 16_384).expect("room");
        let beginning = Beginning {
            number: 0,
            first_seq: 0,
            dropped: [0; DropReason::COUNT],
        };
        Followed {
            first: Arc::clone(spare.begin(&key, &beginning).segment()),
            account: Arc::new(Account::new(key)),
            adopted: None,
        }
    }

    #[test]
    fn a_writer_that_has_said_its_last_is_silent_however_long_others_take() {
        let (options, mut now) = (ShipperOptions::default(), Instant::now());
        let (mut sources, mut outlet) = (Sources::default(), Sent::default());
        let folder = tempfile::tempdir().expect("a folder");
        let ended = |writer| ended(folder.path(), writer);
        sources.follow(vec![ended(0), ended(1)], now);
        let settle = |sources: &mut Sources, batch: EncodedBatch, outcome, again_at| {
            let (first_seq, count) = (batch.first_seq, batch.count);
            let writer = batch.writer;
            let delivery = Delivery {
                writer,
                first_seq,
                count,
                outcome,
            };
            sources.settle(&delivery, again_at);
        };
        // The first writer's last word gets through, the other's does not, for longer than an idle writer is silent.
        for round in 0..3 {
            sources.ship(&mut outlet, &options, true, now);
            let sent = std::mem::take(&mut outlet.0);
            let writers: Vec<u32> = sent.iter().map(|batch| batch.writer.writer).collect();
            assert_eq!(writers, if round == 0 { vec![0, 1] } else { vec![1] });
            now += options.idle_interval * 2;
            for batch in sent {
                let outcome = match batch.writer.writer {
                    1 if round < 2 => Delivered::Failed {
                        reason: "test".into(),
                    },
                    _ => Delivered::Stored { partition: None },
                };
                settle(&mut sources, batch, outcome, now);
            }
        }
        assert!(sources.all_closed());
        assert_eq!(
            sources.take_last_stored().count(),
            2,
            "nothing is left behind"
        );
    }
}
