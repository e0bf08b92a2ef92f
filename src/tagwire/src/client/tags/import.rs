//! A file of tags, sent and followed to its end.

use std::fs::File;
use std::io::stdin;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::client::Failure;
use crate::client::connection::Connection;
use crate::client::output::{Output, columns};
use crate::client::transfer::Format;

/// How often a job is asked how it stands.
const JOB_PAUSE: Duration = Duration::from_millis(500);

/// Sends a file, and waits until all of it has been taken in. What was refused is a failure, and the rest is made.
pub(super) fn import(
    api: &Connection,
    file: &Path,
    format: Option<Format>,
    dry_run: bool,
    output: Output,
) -> Result<(), Failure> {
    let format = format.or(Format::of(file)).ok_or_else(|| {
        Failure::new("the file's name does not say whether it is NDJSON or CSV: give --format")
    })?;
    let (path, query) = (
        ["tags", "import"],
        [("dry_run", dry_run.then(|| "true".to_owned()))],
    );
    let mut job = if file.as_os_str() == "-" {
        api.upload(&path, &query, format.media_type(), stdin())?
    } else {
        let opened = File::open(file)
            .map_err(|error| Failure::new(format!("reading {}: {error}", file.display())))?;
        api.upload(&path, &query, format.media_type(), opened)?
    };
    while matches!(job["status"].as_str(), Some("queued" | "running")) {
        thread::sleep(JOB_PAUSE);
        let id = job["id"]
            .as_str()
            .ok_or_else(|| Failure::new("the answer names no job"))?;
        job = api.get(&["tags", "import", id], &[])?;
    }
    let errors = job["errors"].as_array().cloned().unwrap_or_default();
    if output.json {
        output.thing(&job)?;
    } else {
        let mut summary = job.clone();
        summary
            .as_object_mut()
            .and_then(|summary| summary.remove("errors"));
        output.thing(&summary)?;
        if !errors.is_empty() {
            output.rows(&errors, columns!["line", "pointer", "detail"])?;
        }
    }
    if job["status"] != "done" || !errors.is_empty() {
        return Err(Failure::new(
            "not all of the file was taken in; sent again, it makes only what is missing",
        ));
    }
    Ok(())
}
