//! Exports of scans: one by one in the order of their times, sent as they are read.

use std::io;

use analytics::{Bots, ExportedScan, ScanCursor, ScanFilter};
use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream::try_unfold;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tags::Permission;
use utoipa::ToSchema;

use super::analytics::{not_answered, range, refused, select};
use super::format::{Format, csv_lines, nd_json_lines};
use super::params::Params;
use crate::auth::{Asks, Principal};
use crate::places::Place;
use crate::problem::Problem;
use crate::service::Admin;

/// Scans that are in memory at a time: some 4 MB.
const PAGE: usize = 10_000;
/// The range by default.
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// A scan. What is not known is null, or an empty cell.
#[derive(Serialize, ToSchema)]
#[schema(as = Scan)]
pub(crate) struct ScanAnswer {
    #[schema(value_type = String, format = DateTime)]
    time: Timestamp,
    domain: String,
    code: String,
    /// The tag's version at that time.
    tag_version: u64,
    /// The campaign to which the tag belonged then.
    campaign: Option<String>,
    outcome: String,
    /// The rule that decided.
    rule: Option<String>,
    /// The index of the destination among the rule's, or the tag's; of scans that were redirected.
    destination: Option<u32>,
    country: Option<String>,
    region: Option<String>,
    city: Option<String>,
    device: Option<String>,
    os: Option<String>,
    browser: Option<String>,
    language: Option<String>,
    referrer: Option<String>,
    /// Whether it is a bot's, a HEAD, a prefetch or a preview.
    automated: bool,
    bot_reason: Option<String>,
}

const COLUMNS: [&str; 18] = [
    "time",
    "domain",
    "code",
    "tag_version",
    "campaign",
    "outcome",
    "rule",
    "destination",
    "country",
    "region",
    "city",
    "device",
    "os",
    "browser",
    "language",
    "referrer",
    "automated",
    "bot_reason",
];

impl From<ExportedScan> for ScanAnswer {
    fn from(scan: ExportedScan) -> Self {
        let known = |text: String| (!text.is_empty()).then_some(text);
        Self {
            time: scan.time,
            domain: scan.domain,
            code: scan.code,
            tag_version: scan.tag_version,
            campaign: known(scan.campaign),
            outcome: scan.outcome,
            rule: known(scan.rule),
            destination: scan.destination,
            country: known(scan.country),
            region: known(scan.region),
            city: known(scan.city),
            device: known(scan.device),
            os: known(scan.os),
            browser: known(scan.browser),
            language: known(scan.language),
            referrer: known(scan.referrer),
            automated: scan.automated,
            bot_reason: known(scan.bot_reason),
        }
    }
}

/// Its cells, in the order of [`COLUMNS`].
fn row(scan: ExportedScan) -> [String; COLUMNS.len()] {
    let destination = scan.destination.map(|index| index.to_string());
    [
        scan.time.to_string(),
        scan.domain,
        scan.code,
        scan.tag_version.to_string(),
        scan.campaign,
        scan.outcome,
        scan.rule,
        destination.unwrap_or_default(),
        scan.country,
        scan.region,
        scan.city,
        scan.device,
        scan.os,
        scan.browser,
        scan.language,
        scan.referrer,
        scan.automated.to_string(),
        scan.bot_reason,
    ]
}

/// What is asked for, and how far it has come.
struct Export {
    admin: Admin,
    asks: Asks,
    filter: ScanFilter,
    format: Format,
    next: Next,
    _place: Place,
}

/// Where the next page begins, if there is one.
enum Next {
    First,
    Behind(ScanCursor),
    None,
}

/// The scans that the parameters select, page by page as fast as the client takes them. An export that cannot be read to its end is broken
/// off, so that it is not taken for whole.
pub(super) fn export(
    admin: Admin,
    who: Principal,
    params: &Params,
    format: Format,
) -> Result<Response, Problem> {
    let permission = Permission::Export;
    who.require(permission)?;
    let select = select(&admin, &who, params)?;
    let range = range(params, admin.now(), DAY)?;
    let bots = params.parsed::<Bots>("bots")?.unwrap_or_default();
    let filter = ScanFilter::new(select, range, bots);
    let filter = filter.map_err(|error| refused(params, "from", &error))?;
    let name = match format {
        Format::Csv => "attachment; filename=\"scans.csv\"",
        _ => "attachment; filename=\"scans.ndjson\"",
    };
    let headers = [
        (header::CONTENT_TYPE, format.content_type()),
        (header::CONTENT_DISPOSITION, name),
        (header::VARY, "Accept"),
    ];
    let export = Export {
        _place: admin.place_for_export(&who.workspace)?,
        admin,
        asks: Asks { who, permission },
        filter,
        format,
        next: Next::First,
    };
    let pages = try_unfold(export, async |mut export| {
        let page = export.page().await;
        let page = page.map_err(|_| io::Error::other("the log says why the export ended"))?;
        Ok::<_, io::Error>(page.map(|page| (page, export)))
    });
    Ok((headers, Body::from_stream(pages)).into_response())
}

impl Export {
    /// Some scans as text; none: that was all.
    async fn page(&mut self) -> Result<Option<Bytes>, Problem> {
        let (is_first, begin) = match &self.next {
            Next::First => (true, None),
            Next::Behind(cursor) => (false, Some(cursor)),
            Next::None => return Ok(None),
        };
        // It may go on for hours.
        self.asks.may_still(&self.admin)?;
        let workspace = &self.asks.who.workspace;
        let store = self.admin.store();
        let page = store.scan_page(workspace, &self.filter, begin, PAGE);
        let page = page.await.map_err(|error| not_answered(&error))?;
        self.next = page.next.map_or(Next::None, Next::Behind);
        let lines = match self.format {
            Format::Csv => {
                let header = is_first.then(|| COLUMNS.map(str::to_owned));
                let rows = header.into_iter().chain(page.scans.into_iter().map(row));
                csv_lines(rows).map_err(|error| Problem::internal(&error))?
            }
            _ => {
                let scans = page.scans.into_iter().map(ScanAnswer::from);
                nd_json_lines(scans).map_err(|error| Problem::internal(&error))?
            }
        };
        Ok(Some(lines.into()))
    }
}
