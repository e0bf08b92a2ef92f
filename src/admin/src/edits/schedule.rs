//! Changes that are scheduled: laid down in the tag's record, so that every edge has them beforehand, and made its next version when their
//! moment has come.

use jiff::Timestamp;
use serde_json::{Map, Value};
use tags::{Action, AuditEntry, Change, Scheduled, Tag};

use super::new_tag::READ_ONLY;
use super::tags::TagName;
use super::{Edited, Precondition};
use crate::auth::Principal;
use crate::body::Body;
use crate::draft::{Draft, Identity};
use crate::fields::{Fields, Given};
use crate::problem::{FieldError, Problem};
use crate::service::{Admin, PublishOutcome};

/// Where a request says what is to change.
const SET: &str = "set";

impl Admin {
    /// Schedules a change of a tag, in the place of what was scheduled before.
    pub(crate) async fn schedule_tag(
        &self,
        who: &Principal,
        name: &TagName,
        expected: &Precondition,
        body: Body,
    ) -> Result<Edited<Tag>, Problem> {
        let (tag, _lock) = self.lock_tag_to_edit(who, name, expected).await?;
        let now = self.now();
        let mut fields = body.fields()?;
        let at = fields.time("at");
        match &at {
            Given::Value(at) if *at <= now => fields.refuse("at", "must be in the future"),
            Given::Absent if fields.has("at") => {}
            Given::Absent | Given::Null => fields.refuse("at", "is required: when it takes place"),
            Given::Value(_) => {}
        }
        let set = fields.object(SET);
        if set == Given::Null || !fields.has(SET) {
            fields.refuse(
                SET,
                "is required: the fields that change, as PATCH takes them",
            );
        }
        fields.finish(&[])?;
        let (Some(at), Some(set)) = (at.value(), set.value()) else {
            return Err(Problem::field(SET, "is required"));
        };
        let mut next = Tag {
            version: tag.version.next(),
            updated_at: now,
            updated_by: who.actor.to_string(),
            ..tag.clone()
        };
        let scheduled = self.scheduled(&next, at, set, who.actor.as_str())?;
        let is_as_before =
            |before: &Scheduled| (before.at, &before.set) == (scheduled.at, &scheduled.set);
        if tag.scheduled.as_deref().is_some_and(is_as_before) {
            let commit = self.earlier_commit();
            return Ok(Edited { what: tag, commit });
        }
        next.scheduled = Some(Box::new(scheduled));
        let commit = self
            .publish_tag(who, Action::Update, Some(tag), &next)
            .await?;
        Ok(Edited { what: next, commit })
    }

    /// Takes back what is scheduled.
    pub(crate) async fn unschedule_tag(
        &self,
        who: &Principal,
        name: &TagName,
        expected: &Precondition,
    ) -> Result<Edited<Tag>, Problem> {
        let (tag, _lock) = self.lock_tag(who, name).await?;
        expected.check(&tag)?;
        if tag.scheduled.is_none() {
            return Err(nothing_scheduled());
        }
        let next = Tag {
            version: tag.version.next(),
            updated_at: self.now(),
            updated_by: who.actor.to_string(),
            scheduled: None,
            ..tag.clone()
        };
        let commit = self
            .publish_tag(who, Action::Update, Some(tag), &next)
            .await?;
        Ok(Edited { what: next, commit })
    }

    /// What is scheduled for `before`, applied anew to `next`; refused where the two do not go together.
    pub(crate) fn rescheduled(
        &self,
        before: &Tag,
        next: &Tag,
    ) -> Result<Option<Box<Scheduled>>, Problem> {
        let Some(Scheduled { at, set, by, .. }) = before.scheduled.as_deref() else {
            return Ok(None);
        };
        let set: Map<String, Value> =
            serde_json::from_str(set).map_err(|error| Problem::internal(&error))?;
        let scheduled = self.scheduled(next, *at, set, by);
        scheduled.map(Box::new).map(Some).map_err(|refused| {
            let errors = refused.errors.iter();
            let errors = errors.map(|error| format!("{}: {}", error.pointer, error.detail));
            let detail = format!(
                "What is scheduled for {at} would no longer be valid ({}); change it or take it back first.",
                errors.collect::<Vec<_>>().join("; ")
            );
            Problem::new(axum::http::StatusCode::CONFLICT, detail)
        })
    }

    /// The change of `tag` by `set`, by the same rules as a PATCH. What is wrong is told by its place in the request.
    fn scheduled(
        &self,
        tag: &Tag,
        at: Timestamp,
        set: Map<String, Value>,
        by: &str,
    ) -> Result<Scheduled, Problem> {
        let text = Value::Object(set).to_string();
        let in_set = |mut problem: Problem| {
            for error in &mut problem.errors {
                error.pointer.insert_str(0, "/set");
            }
            Problem::fields(std::mem::take(&mut problem.errors))
        };
        let mut draft = Draft::of(tag);
        let mut fields = Fields::parse(text.as_bytes())?;
        draft.read(&mut fields, &self.destination_policy(), None);
        fields.finish(&READ_ONLY).map_err(in_set)?;
        if draft == Draft::of(tag) {
            return Err(Problem::fields(vec![FieldError::new(
                SET,
                "changes nothing",
            )]));
        }
        Ok(Scheduled {
            at,
            set: text,
            by: by.to_owned(),
            tag: draft.into_tag(Identity::next_version_of(tag), at, by)?,
        })
    }

    /// The tag as it is now; what is scheduled in it is published as its next version when its moment has come. The caller holds its lock.
    pub(crate) async fn take_place(&self, tag: Tag) -> Result<Tag, PublishOutcome> {
        let now = self.now();
        let Some(scheduled) = tag.scheduled.as_deref().filter(|it| it.at <= now) else {
            return Ok(tag);
        };
        let next = scheduled.tag.clone();
        let audit = AuditEntry {
            workspace: tag.workspace.clone(),
            at: now,
            actor: scheduled.by.clone(),
            // No request came: it was scheduled.
            remote: String::new(),
            action: Action::Update,
            subject: format!("tag/{}/{}", tag.domain, tag.code),
            after: Some(next.clone()),
            before: Some(tag),
            fields_before: None,
            fields_after: None,
        };
        let changes = vec![Change::Tag(next.clone()), Change::Audit(audit)];
        self.publish(changes).await?;
        Ok(next)
    }
}

pub(crate) fn nothing_scheduled() -> Problem {
    Problem::not_found("change: nothing is scheduled for this tag")
}
