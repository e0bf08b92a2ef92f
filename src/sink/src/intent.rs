//! The intent: which block is being stored, as it travels in the metadata of the group's committed offset.

use serde::{Deserialize, Serialize};

/// The block that begins at the committed offset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Intent {
    /// Its last batch's offset.
    pub(crate) last: i64,
    /// How many scans it stores.
    pub(crate) scans: u64,
    /// Which ones: see [`analytics::Run::digest`].
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
