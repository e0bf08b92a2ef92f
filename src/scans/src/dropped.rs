//! Why a scan was lost: every reason has its number in the ledger, from the first moment on.

/// Why an accepted scan will never be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// No segment was free when the writer needed one: shipping is behind, and the log has reached its bound.
    LogFull,
    /// More unknown codes than are recorded. It has no number: there may be tens of thousands a second, and a hole for each would cut the
    /// scans between them into batches of one.
    UnknownCap,
    /// The outlet refused its batch; it was set aside.
    Refused,
    /// Its record was damaged in the log.
    Corrupt,
}

impl DropReason {
    /// How many there are.
    pub const COUNT: usize = 4;
    /// All of them, in the order of their numbers in a segment's header: new ones are added behind.
    pub const ALL: [Self; Self::COUNT] = [
        Self::LogFull,
        Self::UnknownCap,
        Self::Refused,
        Self::Corrupt,
    ];

    /// Whether it is the writer that counts it; the others are the shipper's.
    pub(crate) fn is_writers(self) -> bool {
        matches!(self, Self::LogFull | Self::UnknownCap)
    }

    /// Whether such a scan takes a number, and so leaves a gap that it explains.
    pub(crate) fn takes_number(self) -> bool {
        !matches!(self, Self::UnknownCap)
    }

    /// The same of a word in a batch. What newer releases call by words of theirs counts as numbered.
    pub fn word_takes_number(word: &str) -> bool {
        let known = Self::ALL.into_iter().find(|known| known.as_str() == word);
        known.is_none_or(Self::takes_number)
    }

    /// The word in metrics, batches and the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LogFull => "log_full",
            Self::UnknownCap => "unknown_cap",
            Self::Refused => "refused",
            Self::Corrupt => "corrupt",
        }
    }
}

/// The scan was not recorded. It has a number and is counted; its request is answered all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("scan {seq} was dropped: {}", reason.as_str())]
pub struct Dropped {
    /// The number that it took.
    pub seq: u64,
    /// Why.
    pub reason: DropReason,
}
