//! How scans are read one by one from ClickHouse, where they lie by code and then by time: in the order of their times a window at a time, whose
//! length follows from how many there are.

use clickhouse::Client;
use jiff::{SignedDuration, Timestamp};
use scans::ScanId;
use serde::Deserialize;
use tags::{Outcome, WorkspaceId};

use super::filter::bound;
use super::within;
use crate::{ExportedScan, ScanCursor, ScanFilter, ScanPage, StoreError};

const DOING: &str = "read scans one by one";
const FIRST_WINDOW: SignedDuration = SignedDuration::from_hours(1);
const SHORTEST_WINDOW: SignedDuration = SignedDuration::from_millis(1);

/// A line of the answer, columns by name.
#[derive(clickhouse::Row, Deserialize)]
struct Line {
    micros: i64,
    domain: String,
    code: String,
    tag_version: u64,
    campaign: String,
    outcome: String,
    rule: String,
    destination_index: u32,
    country: String,
    region: String,
    city: String,
    device: String,
    os: String,
    browser: String,
    language: String,
    referrer: String,
    automated: bool,
    bot_reason: String,
    edge: String,
    boot: u64,
    writer: u32,
    seq: u64,
}

const SELECT: &str = "SELECT toUnixTimestamp64Micro(time) AS micros, domain, code, tag_version, campaign, outcome, rule, destination_index,
    country, region, city, device, os, browser, language, referrer, automated, bot_reason, edge, boot, writer, seq FROM scans";

pub(super) async fn page(
    client: &Client,
    workspace: &WorkspaceId,
    filter: &ScanFilter,
    begin: Option<&ScanCursor>,
    most: usize,
) -> Result<ScanPage, StoreError> {
    let mut begin = begin.cloned().unwrap_or(ScanCursor {
        time: filter.from(),
        behind: None,
        window: FIRST_WINDOW,
    });
    loop {
        let end = begin.time.checked_add(begin.window);
        let end = end.map_or(filter.to(), |end| end.min(filter.to()));
        let of_window = filter.within(begin.time, end);
        let lines = window(client, workspace, &of_window, &begin, most).await?;
        let next = match lines.last() {
            Some(last) if lines.len() == most => Some(ScanCursor {
                time: time(last.micros)?,
                behind: Some(last.id()),
                window: (begin.window / 2).max(SHORTEST_WINDOW),
            }),
            _ if end < filter.to() => Some(ScanCursor {
                time: end,
                behind: None,
                window: begin.window.saturating_mul(2),
            }),
            _ => None,
        };
        match next {
            Some(next) if lines.is_empty() => begin = next,
            next => {
                let scans = lines.into_iter().map(ExportedScan::try_from);
                let scans = scans.collect::<Result<_, _>>()?;
                return Ok(ScanPage { scans, next });
            }
        }
    }
}

async fn window(
    client: &Client,
    workspace: &WorkspaceId,
    filter: &ScanFilter,
    begin: &ScanCursor,
    most: usize,
) -> Result<Vec<Line>, StoreError> {
    let behind = match begin.behind {
        Some(_) => {
            "AND (time > fromUnixTimestamp64Micro({from:Int64}, 'UTC')
              OR (edge, boot, writer, seq) > ({edge:String}, {boot:UInt64}, {writer:UInt32}, {seq:UInt64}))"
        }
        None => "",
    };
    let rest = format!("{behind} ORDER BY time, edge, boot, writer, seq LIMIT {most}");
    let mut query = bound(client, SELECT, &rest, workspace, filter);
    if let Some(last) = &begin.behind {
        query = query
            .param("edge", &*last.edge)
            .param("boot", last.boot)
            .param("writer", last.writer)
            .param("seq", last.seq);
    }
    within(DOING, query.fetch_all::<Line>()).await
}

impl Line {
    fn id(&self) -> ScanId {
        ScanId {
            edge: self.edge.as_str().into(),
            boot: self.boot,
            writer: self.writer,
            seq: self.seq,
        }
    }
}

impl TryFrom<Line> for ExportedScan {
    type Error = StoreError;

    fn try_from(line: Line) -> Result<Self, StoreError> {
        let is_redirected = line.outcome == Outcome::Redirected.as_str();
        Ok(Self {
            time: time(line.micros)?,
            domain: line.domain,
            code: line.code,
            tag_version: line.tag_version,
            campaign: line.campaign,
            outcome: line.outcome,
            rule: line.rule,
            destination: is_redirected.then_some(line.destination_index),
            country: line.country,
            region: line.region,
            city: line.city,
            device: line.device,
            os: line.os,
            browser: line.browser,
            language: line.language,
            referrer: line.referrer,
            automated: line.automated,
            bot_reason: line.bot_reason,
        })
    }
}

fn time(micros: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_microsecond(micros).map_err(|error| StoreError::Refused {
        doing: DOING,
        reason: error.to_string(),
    })
}
