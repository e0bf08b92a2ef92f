//! One enriched scan, as a store keeps it. Where the facts come from is left to the sink.

use scans::{Method, Purpose, Scan, ScanId};

/// A scan and what is known about it. An empty text means that a fact is not known.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its identity.
    pub id: ScanId,
    /// The scan as its edge recorded it.
    pub scan: Scan,
    /// Whether the scan's time is the broker's, since the edge's lay more than a day ahead of it.
    pub time_replaced: bool,
    /// The language preferred: the primary subtag, in lower case.
    pub language: String,
    /// `mobile`, `tablet`, `desktop`, `tv`, `other`.
    pub device: &'static str,
    /// The operating system, in `facts`' words.
    pub os: &'static str,
    /// The browser, in `facts`' words.
    pub browser: &'static str,
    /// Whether the address is a crawler's, or the User-Agent a program's.
    pub bot: bool,
    /// Why it is automated: `network:OPERATOR`, `user_agent`, `prefetch`, `preview` or `head`; empty: it is not.
    pub bot_reason: String,
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// ISO 3166-2.
    pub region: String,
    /// The city's English name.
    pub city: String,
}

impl Row {
    /// Whether it is left out unless asked for: a bot's, a HEAD, a prefetch or preview.
    pub fn is_automated(&self) -> bool {
        self.bot || self.scan.method == Method::Head || self.scan.purpose != Purpose::Navigation
    }

    /// Whether it counts: a code that nobody gave out is no tag, also where its domain's fallback took the scan.
    pub fn is_of_a_tag(&self) -> bool {
        self.scan.tag_version > 0
    }

    /// The calendar month (UTC) by which ClickHouse partitions: a year and a month.
    pub fn month(&self) -> (i16, i8) {
        let time = jiff::tz::Offset::UTC.to_datetime(self.scan.time);
        (time.year(), time.month())
    }
}
