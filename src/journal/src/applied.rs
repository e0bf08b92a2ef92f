//! The positions that a reader of the journal has applied, watched by whoever waits for its own write to be visible.

use std::collections::VecDeque;

use jiff::Timestamp;
use tags::Topic;
use tokio::sync::watch;

use crate::{Event, Positions, RefusedRecord};

/// So many refused records are remembered, the last ones: whoever asks whether its own was among them asks within moments.
const REMEMBERED: usize = 32;

/// The applied positions' reading side; cheap to clone.
#[derive(Clone, Debug)]
pub struct Applied(watch::Receiver<State>);

/// The applied positions' writing side, which belongs to the one that applies.
#[derive(Debug)]
pub struct AppliedSender(watch::Sender<State>);

#[derive(Debug, Default)]
struct State {
    positions: Positions,
    newest: Option<Timestamp>,
    refused: VecDeque<RefusedRecord>,
}

/// The one that applies has ended, so that nothing more will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "waiting for a change to be applied: the reader of the journal has ended; see the log for why, and restart the process"
)]
pub struct Closed;

impl Applied {
    /// Both sides, with nothing applied.
    #[allow(clippy::new_ret_no_self)]
    pub fn new() -> (AppliedSender, Self) {
        let (sender, receiver) = watch::channel(State::default());
        (AppliedSender(sender), Self(receiver))
    }

    /// Waits until every one of `positions` has been applied. Only positions of topics that the reader follows ever are.
    pub async fn wait_for(&self, positions: &Positions) -> Result<(), Closed> {
        let mut receiver = self.0.clone();
        receiver
            .wait_for(|applied| applied.positions.covers(positions))
            .await
            .map(|_| ())
            .map_err(|_| Closed)
    }

    /// Waits until something else than `known` has been applied.
    pub async fn moved_on_from(&self, known: &Positions) -> Result<(), Closed> {
        let mut receiver = self.0.clone();
        let moved = receiver
            .wait_for(|applied| applied.positions != *known)
            .await;
        moved.map(|_| ()).map_err(|_| Closed)
    }

    /// What has been applied now.
    pub fn positions(&self) -> Positions {
        self.0.borrow().positions.clone()
    }

    /// When the newest record was published that has been applied or refused, by the clock of the journal's writer; none: not known. Ask
    /// for it after the positions: it is noted before them.
    pub fn newest(&self) -> Option<Timestamp> {
        self.0.borrow().newest
    }

    /// The last records that were refused, oldest first. The positions pass them like any other. Ask for them after the positions: they are
    /// noted before them.
    pub fn refused(&self) -> Vec<RefusedRecord> {
        self.0.borrow().refused.iter().cloned().collect()
    }
}

impl AppliedSender {
    /// Moves a partition forward and wakes who waits for it.
    pub fn advance(&self, topic: Topic, partition: i32, next_offset: i64) {
        self.0
            .send_if_modified(|applied| applied.positions.advance(topic, partition, next_offset));
    }

    /// Notes when a record was published that has been applied or refused, before its position is.
    pub fn published(&self, at: Timestamp) {
        self.0.send_if_modified(|applied| {
            applied.newest = applied.newest.max(Some(at));
            false // who waits waits for positions
        });
    }

    /// Moves several partitions forward by records of which the newest was published then, and wakes who waits for any of them once.
    pub fn advance_all(&self, reached: &[(Topic, i32, i64)], newest: Option<Timestamp>) {
        self.0.send_if_modified(|applied| {
            applied.newest = applied.newest.max(newest);
            reached
                .iter()
                .fold(false, |moved, &(topic, partition, next_offset)| {
                    applied.positions.advance(topic, partition, next_offset) || moved
                })
        });
    }

    /// Notes a record that was refused, before its position is.
    pub fn refused(&self, record: RefusedRecord) {
        self.0.send_if_modified(|applied| {
            if applied.refused.len() == REMEMBERED {
                applied.refused.pop_front();
            }
            applied.refused.push_back(record);
            false // as above
        });
    }

    /// Begins anew: the log has been replaced by another, whose offsets say nothing of the old one's.
    pub fn restart(&self) {
        self.0.send_replace(State::default());
    }

    /// Moves on to where an event leads, once what it says has been applied.
    pub fn applied(&self, event: &Event) {
        if let Some(at) = event.published_at() {
            self.published(at);
        }
        if let Some(record) = event.refused() {
            self.refused(record);
        }
        if let Some((topic, partition, next_offset)) = event.position() {
            self.advance(topic, partition, next_offset);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_waiter_wakes_when_the_last_of_its_positions_is_applied() {
        let (sender, applied) = Applied::new();
        let wanted = Positions::from_iter([(Topic::Tags, 3, 7), (Topic::Audit, 0, 2)]);
        let waiter = tokio::spawn({
            let (applied, wanted) = (applied.clone(), wanted.clone());
            async move { applied.wait_for(&wanted).await }
        });
        sender.advance(Topic::Tags, 3, 9);
        assert!(!applied.positions().covers(&wanted));
        sender.advance(Topic::Audit, 0, 2);
        assert_eq!(waiter.await.unwrap(), Ok(()));
    }

    #[tokio::test]
    async fn who_knows_of_old_positions_hears_of_new_ones() {
        let (sender, applied) = Applied::new();
        let waiter = tokio::spawn({
            let applied = applied.clone();
            async move { applied.moved_on_from(&Positions::default()).await }
        });
        sender.advance(Topic::Tags, 0, 1);
        assert_eq!(waiter.await.unwrap(), Ok(()));
        let known = applied.positions();
        drop(sender);
        assert_eq!(applied.moved_on_from(&known).await, Err(Closed));
    }

    #[test]
    fn the_newest_change_is_the_one_that_was_published_last_until_the_log_is_another() {
        let (sender, applied) = Applied::new();
        assert_eq!(applied.newest(), None);
        for (second, newest) in [(5, 5), (3, 5), (7, 7)] {
            sender.published(Timestamp::from_second(second).unwrap());
            let newest = Timestamp::from_second(newest).unwrap();
            assert_eq!(applied.newest(), Some(newest));
        }
        sender.restart();
        assert_eq!(applied.newest(), None);
    }

    #[test]
    fn the_last_refused_records_are_remembered_until_the_log_is_another() {
        let (sender, applied) = Applied::new();
        for offset in 0..100 {
            sender.applied(&Event::Refused {
                topic: Topic::Tags,
                partition: 3,
                offset,
                published_at: Timestamp::from_second(offset).ok(),
                error: "two\nlines".to_owned(),
            });
        }
        let refused = applied.refused();
        assert_eq!(refused.len(), REMEMBERED);
        let last = RefusedRecord::new(Topic::Tags, 3, 99, "two lines");
        assert_eq!(refused.last(), Some(&last));
        assert_eq!(applied.positions().get(Topic::Tags, 3), Some(100));
        // It has been read, as far as whoever waits for it is concerned.
        assert_eq!(applied.newest(), Timestamp::from_second(99).ok());
        sender.restart();
        assert_eq!(applied.refused(), []);
    }

    #[tokio::test]
    async fn a_waiter_learns_that_the_reader_has_ended() {
        let (sender, applied) = Applied::new();
        drop(sender);
        assert_eq!(
            applied
                .wait_for(&Positions::from_iter([(Topic::Tags, 0, 1)]))
                .await,
            Err(Closed)
        );
    }
}
