//! How far something has come in the journal: the next offset of each partition.

use std::collections::BTreeMap;

use tags::Topic;

/// Next offset to read, by topic and partition. A partition that is not named stands at its beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Positions(BTreeMap<(Topic, i32), i64>);

impl Positions {
    /// The next offset of a partition, where one is known.
    pub fn get(&self, topic: Topic, partition: i32) -> Option<i64> {
        self.0.get(&(topic, partition)).copied()
    }

    /// Notes a partition's next offset, whatever it was.
    pub fn set(&mut self, topic: Topic, partition: i32, next_offset: i64) {
        self.0.insert((topic, partition), next_offset);
    }

    /// Moves a partition forward, never back. Returns whether it moved.
    pub fn advance(&mut self, topic: Topic, partition: i32, next_offset: i64) -> bool {
        let position = self.0.entry((topic, partition)).or_insert(i64::MIN);
        let moved = next_offset > *position;
        *position = next_offset.max(*position);
        moved
    }

    /// Takes the further position of each partition.
    pub fn merge(&mut self, other: &Self) {
        for (topic, partition, next_offset) in other.iter() {
            self.advance(topic, partition, next_offset);
        }
    }

    /// Whether every position of `other` has been reached here.
    pub fn covers(&self, other: &Self) -> bool {
        other
            .iter()
            .all(|(topic, partition, wanted)| wanted <= self.get(topic, partition).unwrap_or(0))
    }

    /// All known positions, in order of topic and partition.
    pub fn iter(&self) -> impl Iterator<Item = (Topic, i32, i64)> + '_ {
        self.0
            .iter()
            .map(|(&(topic, partition), &next_offset)| (topic, partition, next_offset))
    }
}

impl FromIterator<(Topic, i32, i64)> for Positions {
    fn from_iter<I: IntoIterator<Item = (Topic, i32, i64)>>(positions: I) -> Self {
        Self(
            positions
                .into_iter()
                .map(|(topic, partition, next_offset)| ((topic, partition), next_offset))
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_cover_what_they_have_reached_and_nothing_beyond() {
        let here = Positions::from_iter([(Topic::Tags, 0, 5), (Topic::Audit, 0, 9)]);
        assert!(here.covers(&Positions::default()));
        assert!(here.covers(&Positions::from_iter([(Topic::Tags, 0, 5)])));
        assert!(!here.covers(&Positions::from_iter([(Topic::Tags, 0, 6)])));
        assert!(!here.covers(&Positions::from_iter([
            (Topic::Tags, 0, 1),
            (Topic::Tags, 1, 1)
        ])));
        assert!(
            here.covers(&Positions::from_iter([(Topic::Tags, 1, 0)])),
            "an unnamed partition stands at its beginning"
        );
    }

    #[test]
    fn merging_never_moves_back() {
        let mut here = Positions::from_iter([(Topic::Tags, 0, 5), (Topic::Tags, 1, 1)]);
        here.merge(&Positions::from_iter([
            (Topic::Tags, 0, 3),
            (Topic::Tags, 1, 2),
            (Topic::Settings, 0, 0),
        ]));
        let expected = Positions::from_iter([
            (Topic::Tags, 0, 5),
            (Topic::Tags, 1, 2),
            (Topic::Settings, 0, 0),
        ]);
        assert_eq!(here, expected);
    }
}
