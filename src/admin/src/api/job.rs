//! What is told of a job.

use axum::Json;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::Principal;
use crate::bulk::{Example, JobError, JobStatus, Record, Task};
use crate::service::Admin;

/// Work on many tags in the background.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Job)]
pub(crate) struct JobAnswer {
    id: String,
    /// `queued`, `running`, `done` or `failed`. Done means that it came to its end, whatever was refused.
    status: JobStatus,
    /// Why it failed, or what it waits for.
    detail: Option<String>,
    /// Whether nothing is written, and the numbers say what would be.
    dry_run: bool,
    /// Lines read so far that are not blank, or tags that fit the filter: the sum of the five below.
    read: u64,
    /// Tags made by an import.
    created: u64,
    /// Tags changed by a bulk edit.
    changed: u64,
    /// Lines whose tag was there already as they say, or tags that were already as they are to be.
    unchanged: u64,
    /// Valid lines that were not written, since another of their chunk is not valid.
    withheld: u64,
    /// Lines that are not valid, or tags for which the change is not.
    invalid: u64,
    /// All errors, of which a line may have several.
    error_count: u64,
    /// The first 1,000 of them.
    errors: Vec<JobError>,
    /// The first ten tags that a bulk edit changes.
    examples: Vec<Example>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    finished_at: Option<Timestamp>,
}

impl JobAnswer {
    /// A job of the principal's workspace, if it is of this kind.
    pub(super) fn find(
        admin: &Admin,
        who: &Principal,
        id: &str,
        is_wanted: impl FnOnce(&Task) -> bool,
    ) -> Option<Json<Self>> {
        let record = admin.jobs().find(&who.workspace, id)?.record();
        is_wanted(&record.task).then(|| Json(record.into()))
    }
}

impl From<Record> for JobAnswer {
    fn from(record: Record) -> Self {
        let progress = record.progress;
        Self {
            id: record.id,
            status: record.status,
            detail: record.detail,
            dry_run: record.dry_run,
            read: progress.read,
            created: progress.created,
            changed: progress.changed,
            unchanged: progress.unchanged,
            withheld: progress.withheld,
            invalid: progress.invalid,
            error_count: progress.errors.count,
            errors: progress.errors.kept,
            examples: progress.examples,
            created_at: record.created_at,
            finished_at: record.finished_at,
        }
    }
}
