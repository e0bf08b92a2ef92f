//! Exports of scans: one by one in the order of their times, sent as they are read.

mod columns;
mod parquet;

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

use self::columns::COLUMNS;
use self::parquet::ParquetFile;
use super::analytics::{not_answered, range, refused, select};
use super::format::{FileFormat, Lines, csv_lines, nd_json_lines};
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

/// What is asked for, and how far it has come.
struct Export {
    admin: Admin,
    asks: Asks,
    filter: ScanFilter,
    file: File,
    next: Next,
    _place: Place,
}

/// What has been made of the file.
enum File {
    /// Nothing is kept of it: lines are sent as they are made.
    Lines(Lines),
    Parquet(Box<ParquetFile>),
    /// All of it.
    Ended,
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
    format: FileFormat,
) -> Result<Response, Problem> {
    let permission = Permission::Export;
    who.require(permission)?;
    let select = select(&admin, &who, params)?;
    let range = range(params, admin.now(), DAY)?;
    let bots = params.parsed::<Bots>("bots")?.unwrap_or_default();
    let filter = ScanFilter::new(select, range, bots);
    let filter = filter.map_err(|error| refused(params, "from", &error))?;
    let (name, file) = match format {
        FileFormat::Lines(lines @ Lines::Csv) => ("scans.csv", File::Lines(lines)),
        FileFormat::Lines(lines @ Lines::NdJson) => ("scans.ndjson", File::Lines(lines)),
        FileFormat::Parquet => {
            let file = ParquetFile::new().map_err(|error| Problem::internal(&error))?;
            ("scans.parquet", File::Parquet(Box::new(file)))
        }
    };
    let disposition = format!("attachment; filename=\"{name}\"");
    let kind = format.content_type().to_owned();
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_DISPOSITION, disposition),
    ];
    let export = Export {
        _place: admin.place_for_export(&who.workspace)?,
        admin,
        asks: Asks { who, permission },
        filter,
        file,
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
    /// Some of the file, maybe nothing as yet; none: that was all.
    async fn page(&mut self) -> Result<Option<Bytes>, Problem> {
        let (is_first, begin) = match &self.next {
            Next::First => (true, None),
            Next::Behind(cursor) => (false, Some(cursor)),
            Next::None => return self.end(),
        };
        // It may go on for hours.
        self.asks.may_still(&self.admin)?;
        let workspace = &self.asks.who.workspace;
        let store = self.admin.store();
        let page = store.scan_page(workspace, &self.filter, begin, PAGE);
        let page = page.await.map_err(|error| not_answered(&error))?;
        self.next = page.next.map_or(Next::None, Next::Behind);
        self.file.add(page.scans, is_first).map(Some)
    }

    fn end(&mut self) -> Result<Option<Bytes>, Problem> {
        match std::mem::replace(&mut self.file, File::Ended) {
            File::Parquet(file) => {
                let rest = file.end().map_err(|error| Problem::internal(&error))?;
                Ok(Some(rest.into()))
            }
            File::Lines(_) | File::Ended => Ok(None),
        }
    }
}

impl File {
    /// What can be sent by now, with these scans.
    fn add(&mut self, scans: Vec<ExportedScan>, is_first: bool) -> Result<Bytes, Problem> {
        let added = match self {
            Self::Lines(Lines::Csv) => {
                let header = is_first.then(|| COLUMNS.each_ref().map(|it| it.name.to_owned()));
                let row = |scan| COLUMNS.each_ref().map(|it| it.cells.text(&scan));
                let rows = header.into_iter().chain(scans.into_iter().map(row));
                csv_lines(rows).map_err(|error| Problem::internal(&error))?
            }
            Self::Lines(Lines::NdJson) => {
                let scans = scans.into_iter().map(ScanAnswer::from);
                nd_json_lines(scans).map_err(|error| Problem::internal(&error))?
            }
            Self::Parquet(file) => {
                let added = file.add(&scans);
                added.map_err(|error| Problem::internal(&error))?
            }
            Self::Ended => Vec::new(),
        };
        Ok(added.into())
    }
}
