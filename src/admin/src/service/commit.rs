//! What was published, and how edges stand to it.

use std::time::Instant;

use jiff::Timestamp;
use journal::{Heartbeat, Positions, RefusedRecord};
use tags::Topic;

/// When something was published, and what an edge has applied that has applied it.
#[derive(Clone, Debug)]
pub(crate) struct Commit {
    pub(crate) positions: Positions,
    /// No change of it was published before that, by this process's clock, which dates them in the journal. None: not known.
    pub(crate) not_before: Option<Timestamp>,
    pub(crate) records: Records,
    pub(crate) at: Instant,
}

/// Which records a commit is made of.
#[derive(Clone, Debug)]
pub(crate) enum Records {
    /// One in each of these topics, just before the commit's positions.
    Written(Vec<Topic>),
    /// Some before the positions; this admin took all but these.
    Earlier { refused_here: Vec<RefusedRecord> },
}

/// How an edge stands to a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing<'a> {
    /// Its next redirect goes by it.
    Applied,
    /// It has read it, and goes by what was there before.
    Refused {
        /// Why, for people.
        reason: &'a str,
    },
    /// It has not read it yet.
    Behind,
}

/// What is said of another's record, whose content is no matter of who asks.
const ANOTHERS: &str = "it has refused a record of the journal that this admin has taken";

impl Commit {
    pub(super) fn now(positions: &Positions, began: Option<Timestamp>, records: Records) -> Self {
        let followed = positions.iter();
        let followed = followed.filter(|(topic, ..)| Topic::EDGE.contains(topic));
        // Kafka keeps milliseconds.
        let began = began.map(|at| at.as_millisecond());
        Self {
            positions: followed.collect(),
            not_before: began.and_then(|at| Timestamp::from_millisecond(at).ok()),
            records,
            at: Instant::now(),
        }
    }

    /// How an edge stands to it that says this.
    pub(crate) fn on<'a>(&self, edge: &'a Heartbeat) -> Standing<'a> {
        if !self.is_passed_by(edge) {
            return Standing::Behind;
        }
        let mut refused = edge.refused.iter();
        match refused.find(|refused| self.holds(refused)) {
            None => Standing::Applied,
            Some(refused) => Standing::Refused {
                reason: match self.records {
                    Records::Written(_) => &refused.reason,
                    Records::Earlier { .. } => ANOTHERS,
                },
            },
        }
    }

    /// Whether a record that an edge has refused is one of its own, or may be.
    fn holds(&self, refused: &RefusedRecord) -> bool {
        let (topic, partition, offset) = (refused.topic, refused.partition, refused.offset);
        let Some(end) = self.positions.get(topic, partition) else {
            return false;
        };
        let begin = match &self.records {
            Records::Written(topics) => {
                let count = topics.iter().filter(|written| **written == topic).count();
                end.saturating_sub(i64::try_from(count).unwrap_or(i64::MAX))
            }
            Records::Earlier { refused_here } => {
                let is_it = |here: &RefusedRecord| {
                    (here.topic, here.partition, here.offset) == (topic, partition, offset)
                };
                if refused_here.iter().any(is_it) {
                    return false;
                }
                0
            }
        };
        (begin..end).contains(&offset)
    }

    /// Whether the edge has read as far as that.
    fn is_passed_by(&self, edge: &Heartbeat) -> bool {
        // Where topics were made anew, an edge that has not noticed yet stands at larger positions of the old ones.
        let of_this_log = match (self.not_before, edge.newest) {
            (Some(not_before), Some(newest)) => newest >= not_before,
            _ => true,
        };
        self.positions == Positions::default()
            || of_this_log && edge.positions.covers(&self.positions)
    }
}
