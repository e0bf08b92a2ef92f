//! The tags that a chunk makes, in parts that are written in a transaction each.

use jiff::{SignedDuration, Timestamp};
use tags::{Action, AuditEntry, Change, Tag, Version};

use super::chunk::{Candidate, MOST_LINES};
use super::work::Stop;
use crate::auth::Principal;
use crate::draft::{Draft, Identity};
use crate::service::Admin;

/// Tags that are written in one transaction, at most: about 80 ms, of which Kafka takes 40 for however few.
const MOST_OF_PART: usize = 2_000;
/// Bytes of lines that are written in one transaction, passed by at most one line.
const MOST_BYTES_OF_PART: u64 = 1024 * 1024;

/// Tags as they are written together.
pub(super) fn parts(tags: Vec<Candidate>) -> impl Iterator<Item = Vec<Candidate>> + Send {
    let mut tags = tags.into_iter().peekable();
    std::iter::from_fn(move || {
        let first = tags.next()?;
        let mut bytes = first.bytes;
        let mut part = vec![first];
        // One that is larger is a part of its own.
        while let Some(next) = tags
            .next_if(|next| part.len() < MOST_OF_PART && bytes + next.bytes <= MOST_BYTES_OF_PART)
        {
            bytes += next.bytes;
            part.push(next);
        }
        Some(part)
    })
}

/// The first versions of tags and what is kept of their making, a microsecond apart, so that they are listed in the file's order.
pub(super) fn changes(
    admin: &Admin,
    who: &Principal,
    new: Vec<Candidate>,
    dated: Timestamp,
) -> Result<Vec<Change>, Stop> {
    let mut changes = Vec::with_capacity(2 * new.len());
    for candidate in new {
        let at = after(dated, candidate.number);
        let identity =
            Identity::first_version(&who.workspace, &candidate.domain, &candidate.code, at);
        let tag = into_tag(candidate.draft, identity, at, who)?;
        let audit = AuditEntry {
            at,
            after: Some(tag.clone()),
            ..admin.audit(who, Action::Create, format!("tag/{}", candidate.key))
        };
        changes.extend([Change::Tag(tag), Change::Audit(audit)]);
    }
    Ok(changes)
}

pub(super) fn into_tag(
    draft: Draft,
    identity: Identity,
    at: Timestamp,
    who: &Principal,
) -> Result<Tag, Stop> {
    let tag = draft.into_tag(identity, at, who.actor.as_str());
    tag.map_err(|_| Stop::Failed("A line that was judged valid makes no tag.".to_owned()))
}

/// Whether this is what a chunk that was so dated made of a line.
pub(super) fn was_made(tag: &Tag, who: &Principal, dated: Timestamp) -> bool {
    tag.version == Version::FIRST
        && tag.updated_by == who.actor.as_str()
        && (dated..after(dated, MOST_LINES)).contains(&tag.created_at)
}

pub(super) fn after(dated: Timestamp, microseconds: usize) -> Timestamp {
    let later = SignedDuration::from_micros(i64::try_from(microseconds).unwrap_or(i64::MAX));
    dated.checked_add(later).unwrap_or(dated)
}
