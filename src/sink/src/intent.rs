//! The intent: which block is being stored, as it travels in the metadata of the group's committed offset.

use analytics::Run;
use serde::{Deserialize, Serialize};

/// The block that begins at the committed offset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Intent {
    /// Its last batch's offset.
    pub(crate) last: i64,
    /// How many scans it stores.
    pub(crate) scans: u64,
    /// Which ones: see [`digest`].
    pub(crate) digest: u64,
}

impl Intent {
    /// From an offset's metadata; none where there is none, or none of ours.
    pub(crate) fn parse(metadata: &str) -> Option<Self> {
        serde_json::from_str(metadata).ok()
    }

    /// Far below the broker's bound of 4096 bytes.
    pub(crate) fn to_metadata(&self) -> String {
        format!(
            r#"{{"last":{},"scans":{},"digest":{}}}"#,
            self.last, self.scans, self.digest
        )
    }
}

/// The same for the same scans in any version of this program: FNV-1a over their identities.
pub(crate) fn digest(runs: &[Run]) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut take = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    };
    for run in runs {
        take(run.writer.edge.as_bytes());
        // No text holds this byte, so that two names cannot run into each other.
        take(&[0xff]);
        take(&run.writer.boot.to_le_bytes());
        take(&run.writer.writer.to_le_bytes());
        take(&run.first.to_le_bytes());
        take(&run.last.to_le_bytes());
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_intent_survives_its_metadata_and_foreign_metadata_is_none() {
        let intent = Intent {
            last: 41,
            scans: 50_000,
            digest: u64::MAX,
        };
        assert_eq!(Intent::parse(&intent.to_metadata()), Some(intent));
        for foreign in ["", "{}", "42", r#"{"last":1}"#] {
            assert_eq!(Intent::parse(foreign), None, "{foreign}");
        }
    }
}
