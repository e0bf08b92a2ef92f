//! Scans one by one, as their workspace may take them out: page by page in the order of their times.

use jiff::{SignedDuration, Timestamp};
use scans::ScanId;

/// A scan, and what is known about it. Empty texts are not known, or not there.
///
/// Not among it are the visitor's hash, the address's prefix, the User-Agent and the languages as they were sent. Together with the second of
/// a scan they point to a person in the log of the site that the tag leads to; what is counted was made of them, and is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportedScan {
    /// When.
    pub time: Timestamp,
    /// The tag's host name.
    pub domain: String,
    /// Its code.
    pub code: String,
    /// Its version at that time.
    pub tag_version: u64,
    /// The campaign to which it belonged then.
    pub campaign: String,
    /// How the scan ended.
    pub outcome: String,
    /// The rule that decided.
    pub rule: String,
    /// The index of the destination among the rule's, or the tag's; none for scans that were not redirected.
    pub destination: Option<u32>,
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// ISO 3166-2.
    pub region: String,
    /// The city's name.
    pub city: String,
    /// The class of the device.
    pub device: String,
    /// The operating system.
    pub os: String,
    /// The browser.
    pub browser: String,
    /// The language preferred.
    pub language: String,
    /// The referring page's host.
    pub referrer: String,
    /// Whether it is left out of counts unless asked for.
    pub automated: bool,
    /// Why it is.
    pub bot_reason: String,
}

/// Some scans, in the order of their times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanPage {
    /// Maybe none, also where others follow.
    pub scans: Vec<ExportedScan>,
    /// Where the next page begins; none: there is none.
    pub next: Option<ScanCursor>,
}

/// Where a page begins. Of the store that gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanCursor {
    /// With the scans of this time,
    pub(crate) time: Timestamp,
    /// or with those of it that come behind this one, by identity.
    pub(crate) behind: Option<ScanId>,
    /// How much time a store looks at at once that has no scans in the order of their times.
    pub(crate) window: SignedDuration,
}
