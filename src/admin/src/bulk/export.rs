//! Exports: a workspace's tags as a file, in the order in which they were made, sent as they are read.

use std::io;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use futures_util::stream::try_unfold;
use tags::Status;

use super::columns;
use super::form;
use super::source::Format;
use crate::edits::NewTag;
use crate::index::{Cursor, IndexError, TagFilter, Tenant};
use crate::places::Place;
use crate::service::Admin;

/// Tags that are read and sent at a time.
const PAGE: usize = 500;

/// What is asked for.
pub(crate) struct Export {
    admin: Admin,
    tenant: Tenant,
    filter: TagFilter,
    format: Format,
    names: Vec<&'static str>,
    /// What is made later belongs to the next export; so this one ends.
    last: Cursor,
    _place: Place,
}

/// Why an export ended early; its client sees that it is not whole.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error("writing CSV: {0}")]
    Csv(#[from] ::csv::Error),
    #[error("writing a tag: {0}")]
    Write(#[from] io::Error),
}

/// Where the next page begins, if there is one.
#[derive(Clone, Copy)]
enum Next {
    First,
    Behind(Cursor),
    None,
}

impl Export {
    /// An export of what there is by now.
    pub(crate) fn begin(
        admin: &Admin,
        tenant: Tenant,
        filter: TagFilter,
        format: Format,
        place: Place,
    ) -> Result<Self, IndexError> {
        Ok(Self {
            admin: admin.clone(),
            last: tenant.newest()?,
            tenant,
            filter,
            format,
            names: NewTag::field_names(),
            _place: place,
        })
    }

    /// The file, which is read as fast as it is taken.
    pub(crate) fn body(self) -> Body {
        let export = Arc::new(self);
        let pages = try_unfold(Next::First, move |next| {
            let export = Arc::clone(&export);
            async move {
                let begin = match next {
                    Next::First => None,
                    Next::Behind(cursor) => Some(cursor),
                    Next::None => return Ok(None),
                };
                let turns = export.admin.index().export_turns();
                let turn = turns.acquire_owned().await.map_err(io::Error::other)?;
                let page = tokio::task::spawn_blocking(move || {
                    let _turn = turn;
                    export.page(begin)
                });
                let page = page.await.map_err(io::Error::other)?;
                page.map(Some).map_err(|error| {
                    tracing::error!(%error, "an export ended early");
                    io::Error::other("the log says why the export ended")
                })
            }
        });
        Body::from_stream(pages)
    }

    /// Some tags as text, and where to go on.
    fn page(&self, begin: Option<Cursor>) -> Result<(Bytes, Next), Broken> {
        let page = self
            .tenant
            .tags_in_bulk(&self.filter, begin, self.last, PAGE)?;
        let mut text = Vec::new();
        if begin.is_none() && self.format == Format::Csv {
            text = record(self.names.iter().copied())?;
        }
        let now = self.admin.now();
        for tag in page.items {
            let tag = tag.into_current(now);
            // None can be made that is revoked.
            if tag.status == Status::Revoked {
                continue;
            }
            let fields = form::fields(&self.admin, &tag, &self.names);
            match self.format {
                Format::Ndjson => {
                    serde_json::to_writer(&mut text, &fields).map_err(io::Error::from)?;
                    text.push(b'\n');
                }
                Format::Csv => {
                    let cell = |name: &&'static str| columns::write_cell(name, fields.get(*name));
                    text.extend(record(self.names.iter().map(cell))?);
                }
            }
        }
        Ok((text.into(), page.next.map_or(Next::None, Next::Behind)))
    }
}

/// A record with its line end, as RFC 4180 has it.
fn record(cells: impl Iterator<Item = impl AsRef<[u8]>>) -> Result<Vec<u8>, Broken> {
    let mut writer = ::csv::WriterBuilder::new()
        .terminator(::csv::Terminator::CRLF)
        .from_writer(Vec::new());
    writer.write_record(cells)?;
    writer
        .into_inner()
        .map_err(|error| error.into_error().into())
}
