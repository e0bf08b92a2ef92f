//! Which rollup answers which part of a question. Both stores have the same ones.

use crate::{Dimension, Select};

/// A table of rollups. All are by workspace, by whether it is people's scans, and, if only in the end, by hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    /// `scans_1m`: the scans of each minute, of a workspace and of each of its campaigns.
    Minutes,
    /// `scans_1h`: the scans of each hour by each dimension's values, of a workspace and of each of its campaigns. Every scan has one
    /// outcome, so that these add up to all.
    Hours,
    /// `scans_1h_tags`: the scans of each hour by tag and campaign.
    Tags,
}

impl Table {
    /// In the store.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Minutes => "scans_1m",
            Self::Hours => "scans_1h",
            Self::Tags => "scans_1h_tags",
        }
    }

    /// The same by the day, where there is such a table.
    pub(crate) fn by_day(self) -> Option<&'static str> {
        match self {
            Self::Minutes => None,
            Self::Hours => Some("scans_1d"),
            Self::Tags => Some("scans_1d_tags"),
        }
    }
}

/// By what a part of the answer is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// The number of the unit of so many seconds that an hour lies in.
    Hour(i64),
    /// The same of a minute.
    Minute(i64),
    /// A dimension's value.
    Value,
    /// The campaign, or `none`.
    Campaign,
    /// The code.
    Code,
}

/// Where the rollups have a part of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rolled {
    pub(crate) table: Table,
    pub(crate) key: Key,
    /// In `scans_1h`: of which dimension the rows are.
    pub(crate) dimension: Option<Dimension>,
    /// In `scans_1m` and `scans_1h`: whether the rows are the campaigns', not the workspace's.
    pub(crate) by_campaign: bool,
}

impl Rolled {
    /// The dimensions of `scans_1h`: all but those that can be had otherwise.
    pub(crate) fn dimensions() -> impl Iterator<Item = Dimension> {
        let all = Dimension::ALL.iter().copied();
        all.filter(|one| !matches!(one, Dimension::Campaign | Dimension::Code))
    }

    /// A series, counted in units of so many seconds. None: a single tag's minutes, which lie together among the scans, and seconds.
    pub(crate) fn series(select: &Select, unit: i64) -> Option<Self> {
        let by_campaign = matches!(select, Select::Campaign(_));
        let (hours, minutes) = (unit % 3_600 == 0, unit % 60 == 0);
        match select {
            Select::Code { .. } if hours => Some(Self::tags(Key::Hour(unit))),
            Select::Code { .. } => None,
            _ if hours => Some(Self {
                table: Table::Hours,
                key: Key::Hour(unit),
                dimension: Some(Dimension::Outcome),
                by_campaign,
            }),
            _ if minutes => Some(Self {
                table: Table::Minutes,
                key: Key::Minute(unit),
                dimension: None,
                by_campaign,
            }),
            _ => None,
        }
    }

    /// A breakdown. None: a single tag's by what is not its own.
    pub(crate) fn breakdown(select: &Select, dimension: Dimension) -> Option<Self> {
        let by_campaign = matches!(select, Select::Campaign(_));
        match (select, dimension) {
            (_, Dimension::Code) => Some(Self::tags(Key::Code)),
            (Select::Code { .. }, Dimension::Campaign) => Some(Self::tags(Key::Campaign)),
            (Select::Code { .. }, _) => None,
            (_, Dimension::Campaign) => Some(Self {
                table: Table::Hours,
                key: Key::Campaign,
                dimension: Some(Dimension::Outcome),
                by_campaign: true,
            }),
            (_, dimension) => Some(Self {
                table: Table::Hours,
                key: Key::Value,
                dimension: Some(dimension),
                by_campaign,
            }),
        }
    }

    /// The table that has the same by the day; none: the answer needs the hours.
    pub(crate) fn by_day(&self) -> Option<&'static str> {
        match self.key {
            Key::Hour(_) | Key::Minute(_) => None,
            Key::Value | Key::Campaign | Key::Code => self.table.by_day(),
        }
    }

    /// What narrows the table's rows of a workspace to these, in both stores' words.
    pub(crate) fn condition(&self) -> String {
        let per = match (self.table, self.by_campaign) {
            (Table::Tags, _) => "",
            (_, true) => " AND per = 'campaign'",
            (_, false) => " AND per = 'workspace'",
        };
        match self.dimension {
            Some(dimension) => format!("{per} AND dimension = '{dimension}'"),
            None => per.to_owned(),
        }
    }

    fn tags(key: Key) -> Self {
        Self {
            table: Table::Tags,
            key,
            dimension: None,
            by_campaign: false,
        }
    }
}
