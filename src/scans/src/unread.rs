//! Segments of one writer that the shipper has not begun to read: in memory, or in the spool alone.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use crate::segment::{Head, Link, Segment};

/// One of them.
pub(crate) enum Unread {
    InMemory(Arc<Segment>),
    Spooled(Spooled),
}

/// One of which there is only a copy on disk.
pub(crate) struct Spooled {
    pub(crate) head: Head,
    pub(crate) path: PathBuf,
    pub(crate) reading: Reading,
    /// How often it could not be read.
    pub(crate) failures: u32,
}

/// Whether it is being read into memory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    No,
    /// The spool's thread has been asked to.
    Asked,
    /// It could not be read, and is tried again then.
    Failed(Instant),
}

impl Unread {
    /// What the segment before it says about it.
    pub(crate) fn link(&self) -> Link {
        match self {
            Self::InMemory(segment) => segment.link(),
            Self::Spooled(Spooled { head, .. }) => {
                Link::to(head.number, head.first_seq, head.dropped_before)
            }
        }
    }
}

impl Spooled {
    pub(crate) fn new(head: Head, path: PathBuf) -> Self {
        Self {
            head,
            path,
            reading: Reading::No,
            failures: 0,
        }
    }
}
