//! What a file has of each scan: its columns, once, in the order of every format that has columns.

use analytics::ExportedScan;
use jiff::Timestamp;

/// A column.
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) cells: Cells,
}

/// Of which type a column's cells are, and how a scan's is had.
pub(super) enum Cells {
    Time(fn(&ExportedScan) -> Timestamp),
    Text(fn(&ExportedScan) -> &str),
    /// Where an empty text says that it is not known, or not there.
    TextIfKnown(fn(&ExportedScan) -> &str),
    Integer(fn(&ExportedScan) -> u64),
    IntegerIfKnown(fn(&ExportedScan) -> Option<u32>),
    Boolean(fn(&ExportedScan) -> bool),
}

impl Cells {
    /// A scan's cell as text; what is not known is empty.
    pub(super) fn text(&self, scan: &ExportedScan) -> String {
        match self {
            Self::Time(time) => time(scan).to_string(),
            Self::Text(text) | Self::TextIfKnown(text) => text(scan).to_owned(),
            Self::Integer(number) => number(scan).to_string(),
            Self::IntegerIfKnown(number) => {
                number(scan).map_or_else(String::new, |number| number.to_string())
            }
            Self::Boolean(holds) => holds(scan).to_string(),
        }
    }
}

const fn column(name: &'static str, cells: Cells) -> Column {
    Column { name, cells }
}

const fn known(name: &'static str, text: fn(&ExportedScan) -> &str) -> Column {
    column(name, Cells::TextIfKnown(text))
}

pub(super) static COLUMNS: [Column; 18] = [
    column("time", Cells::Time(|scan| scan.time)),
    column("domain", Cells::Text(|scan| &scan.domain)),
    column("code", Cells::Text(|scan| &scan.code)),
    column("tag_version", Cells::Integer(|scan| scan.tag_version)),
    known("campaign", |scan| &scan.campaign),
    column("outcome", Cells::Text(|scan| &scan.outcome)),
    known("rule", |scan| &scan.rule),
    column(
        "destination",
        Cells::IntegerIfKnown(|scan| scan.destination),
    ),
    known("country", |scan| &scan.country),
    known("region", |scan| &scan.region),
    known("city", |scan| &scan.city),
    known("device", |scan| &scan.device),
    known("os", |scan| &scan.os),
    known("browser", |scan| &scan.browser),
    known("language", |scan| &scan.language),
    known("referrer", |scan| &scan.referrer),
    column("automated", Cells::Boolean(|scan| scan.automated)),
    known("bot_reason", |scan| &scan.bot_reason),
];
