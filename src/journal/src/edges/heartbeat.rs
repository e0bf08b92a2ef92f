//! What an edge says of itself.

use std::fmt;

use jiff::Timestamp;

use crate::{Positions, RefusedRecord};

/// The longest name of an edge, as for the key `node.id`.
const MAX_NAME: usize = 128;

/// One run of one edge's process.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EdgeRun {
    edge: String,
    boot: u64,
}

/// A name that no edge has, or a key that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{}' names no run of an edge: wanted are 1 to {MAX_NAME} letters, digits, dots, hyphens and underscores, and in a key a slash and 16 hexadecimal digits behind them", .0.escape_debug()
)]
pub struct InvalidEdgeRun(String);

impl EdgeRun {
    /// The run of an edge with this `node.id` whose scans carry this boot.
    pub fn new(edge: impl Into<String>, boot: u64) -> Result<Self, InvalidEdgeRun> {
        let edge = edge.into();
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if edge.is_empty() || edge.len() > MAX_NAME || !edge.bytes().all(fits) {
            return Err(InvalidEdgeRun(edge.chars().take(MAX_NAME).collect()));
        }
        Ok(Self { edge, boot })
    }

    /// Reads what [`EdgeRun`] is displayed as, which is also its key: `EDGE/BOOT`.
    pub fn parse(key: &str) -> Result<Self, InvalidEdgeRun> {
        let invalid = || InvalidEdgeRun(key.chars().take(2 * MAX_NAME).collect());
        let (edge, boot) = key.rsplit_once('/').ok_or_else(invalid)?;
        let boot_number = u64::from_str_radix(boot, 16).map_err(|_| invalid())?;
        let run = Self::new(edge, boot_number)?;
        // `+1`, `ABC` and `1` are other keys than ours.
        if run.boot() == boot {
            Ok(run)
        } else {
            Err(invalid())
        }
    }

    /// The edge's `node.id`.
    pub fn edge(&self) -> &str {
        &self.edge
    }

    /// The run of its process, in 16 hexadecimal digits, as in the identity of its scans.
    pub fn boot(&self) -> String {
        format!("{:016x}", self.boot)
    }

    pub(super) fn boot_number(&self) -> u64 {
        self.boot
    }
}

impl fmt::Display for EdgeRun {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{:016x}", self.edge, self.boot)
    }
}

/// How far an edge is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EdgeState {
    /// It does not know the tags yet, and answers 503.
    Starting,
    /// It answers.
    Serving,
    /// It still answers, and is about to end.
    Draining,
}

impl EdgeState {
    /// The state in a word, as the API shows it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Serving => "serving",
            Self::Draining => "draining",
        }
    }
}

/// How an edge is.
#[derive(Clone, Debug, PartialEq)]
pub struct Heartbeat {
    /// Who says it.
    pub run: EdgeRun,
    /// How far it is in its life.
    pub state: EdgeState,
    /// What it has applied: its next redirect goes by it.
    pub positions: Positions,
    /// When the newest record that it has applied or refused was published, by the clock of the journal's writer; none: it does not say. Positions of a
    /// log that was made anew can lie behind those of the one before; what was published in it cannot lie before it was made.
    pub newest: Option<Timestamp>,
    /// The last records that it has refused, which its positions pass all the same: what they change, it does not show.
    pub refused: Vec<RefusedRecord>,
    /// How many tags it holds.
    pub tags: u64,
    /// The program's version.
    pub version: String,
    /// Where it answers scans.
    pub addresses: Vec<String>,
    /// When its process started, by its clock.
    pub started_at: Timestamp,
    /// When it said this, by its clock.
    pub sent_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_comes_back_from_its_key() {
        for edge in ["edge-1", "A", "eu.west_2--", &"x".repeat(MAX_NAME)] {
            for boot in [0, 1, u64::MAX] {
                let run = EdgeRun::new(edge, boot).unwrap();
                assert_eq!(EdgeRun::parse(&run.to_string()), Ok(run));
            }
        }
    }

    #[test]
    fn a_name_that_no_edge_can_have_is_refused() {
        let long = "x".repeat(MAX_NAME + 1);
        for edge in ["", "a/b", "a b", "édge", "a\n", "<b>", "..\0", &long] {
            assert!(EdgeRun::new(edge, 1).is_err(), "{edge:?}");
        }
    }

    #[test]
    fn a_key_that_is_spelt_otherwise_is_refused() {
        for key in [
            "",
            "/",
            "edge",
            "edge/",
            "edge/1",
            "edge/00000000000000AB",
            "edge/+000000000000001",
            "edge/00000000000000001",
            "/0000000000000001",
            "a/b/0000000000000001",
        ] {
            assert!(EdgeRun::parse(key).is_err(), "{key:?}");
        }
    }

    #[test]
    fn a_refusal_shows_no_control_characters() {
        let error = EdgeRun::new("\u{1b}[2J", 1).unwrap_err().to_string();
        assert!(!error.contains('\u{1b}'), "{error:?}");
    }
}
