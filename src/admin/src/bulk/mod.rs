//! Many tags at once: imports and exports of files, and edits by filter. What writes does so as a job in the background, which outlives
//! its request and the process.

mod chunk;
mod claims;
mod columns;
mod edit;
mod export;
mod form;
mod import;
mod job;
mod jobs;
mod part;
mod places;
mod source;
mod upload;
mod work;

pub(crate) use self::claims::{Claim, Claims};
pub(crate) use self::edit::Edit;
pub(crate) use self::export::Export;
pub(crate) use self::job::{Example, Job, JobError, JobStatus, Record, Task};
pub(crate) use self::jobs::{Jobs, begin};
pub(crate) use self::source::{Format, Line, Place, Source};
pub(crate) use self::upload::Upload;
