//! Edits of tags.

use tags::{Action, AuditEntry, Change, Code, Domain, Status, Tag, Version};
use tokio::sync::MutexGuard;

use super::Edited;
use super::new_tag::{NewTag, READ_ONLY, stored_code, tag_key, taken};
use crate::auth::Principal;
use crate::body::Body;
use crate::codes::random_code;
use crate::draft::{Draft, Identity};
use crate::fields::Given;
use crate::idempotency::Keep;
use crate::problem::Problem;
use crate::service::{Admin, Commit};

/// A random code is taken by chance about never; so many times in a row means that something else is wrong.
const CODE_ATTEMPTS: usize = 20;

/// What an `If-Match` header asks for: the edit is refused unless the tag has one of these versions.
#[derive(Clone, Debug)]
pub(crate) enum Precondition {
    /// No header, or `*`.
    None,
    /// Any of these.
    OneOf(Vec<Version>),
}

impl Precondition {
    pub(super) fn check(&self, tag: &Tag) -> Result<(), Problem> {
        match self {
            Self::OneOf(versions) if !versions.contains(&tag.version) => Err(Problem::new(
                axum::http::StatusCode::PRECONDITION_FAILED,
                format!(
                    "The tag has version {} by now; read it again before you change it.",
                    tag.version
                ),
            )),
            _ => Ok(()),
        }
    }
}

/// A tag's name, as a request's path and `?domain=` give it.
#[derive(Clone, Debug)]
pub(crate) struct TagName {
    pub(crate) domain: Option<Domain>,
    pub(crate) code: Code,
}

impl Admin {
    /// The principal's tag of this name as it is now; another tenant's is as absent as none.
    pub(crate) fn find_tag(&self, who: &Principal, name: &TagName) -> Result<Tag, Problem> {
        Ok(self.find_stored_tag(who, name)?.into_current(self.now()))
    }

    /// The same as the journal has it, also when what is scheduled in it has taken place.
    fn find_stored_tag(&self, who: &Principal, name: &TagName) -> Result<Tag, Problem> {
        let tenant = self.tenant(who);
        let domains = match &name.domain {
            Some(domain) => vec![domain.clone()],
            None => tenant
                .domains()?
                .into_iter()
                .map(|domain| domain.name)
                .collect(),
        };
        for domain in domains {
            let case_insensitive = self.index().is_case_insensitive(&domain)?;
            let Ok(code) = stored_code(&name.code, case_insensitive) else {
                continue;
            };
            if let Some(tag) = tenant.tag(&domain, &code)? {
                return Ok(tag);
            }
        }
        Err(Problem::not_found("tag"))
    }

    /// Makes a tag, with the code asked for or a random one.
    pub(crate) async fn create_tag(
        &self,
        who: &Principal,
        body: Body,
        keep: &Keep<Tag>,
    ) -> Result<Edited<Tag>, Problem> {
        let now = self.now();
        let mut fields = body.fields()?;
        let new = NewTag::read(&mut fields, &self.new_tag_terms(who)?, Some(now));
        fields.finish(&READ_ONLY)?;
        let Some(new) = new else {
            return Err(Problem::not_found("domain"));
        };

        let _room = self.room_for_tags(who, 1)?;
        for _ in 0..CODE_ATTEMPTS {
            let code = match &new.code {
                Some(code) => code.clone(),
                None => {
                    random_code(new.case_insensitive).map_err(|error| Problem::internal(&error))?
                }
            };
            let _lock = self.lock(&tag_key(&new.domain, &code)).await;
            if self.index().is_taken(&new.domain, &code)? {
                if new.code.is_some() {
                    return Err(Problem::conflict("code", taken(&code)));
                }
                continue;
            }
            let identity = Identity::first_version(&who.workspace, &new.domain, &code, now);
            let draft = new.draft.clone();
            let tag = draft.into_tag(identity, now, who.actor.as_str())?;
            let mut changes = self.tag_changes(who, Action::Create, None, &tag);
            changes.extend(keep.entry(self, who, &tag)?);
            let commit = self.publish(changes).await?;
            return Ok(Edited { what: tag, commit });
        }
        Err(Problem::unavailable("No free code was found; try again."))
    }

    /// Changes the fields that the request gives (RFC 7396). What changes nothing makes no version.
    pub(crate) async fn patch_tag(
        &self,
        who: &Principal,
        name: &TagName,
        expected: &Precondition,
        body: Body,
    ) -> Result<Edited<Tag>, Problem> {
        let (tag, _lock) = self.lock_tag_to_edit(who, name, expected).await?;
        let mut draft = Draft::of(&tag);
        let mut fields = body.fields()?;
        draft.read(&mut fields, &self.destination_policy(), None);
        fields.finish(&READ_ONLY)?;
        self.publish_next(who, Action::Update, tag, draft).await
    }

    /// Makes the content of an earlier version the newest one.
    pub(crate) async fn roll_back_tag(
        &self,
        who: &Principal,
        name: &TagName,
        expected: &Precondition,
        body: Body,
    ) -> Result<Edited<Tag>, Problem> {
        let (tag, _lock) = self.lock_tag_to_edit(who, name, expected).await?;
        let mut fields = body.fields()?;
        let wanted = fields.integer("version", 1, u32::MAX);
        if !fields.has("version") || wanted == Given::Null {
            fields.refuse(
                "version",
                "is required: the number of the version to go back to",
            );
        }
        fields.finish(&[])?;
        let wanted = wanted
            .value()
            .and_then(|number| Version::new(number.into()));
        let earlier = match wanted {
            Some(version) => self.tenant(who).version(&tag.domain, &tag.code, version)?,
            None => None,
        };
        let Some(earlier) = earlier else {
            return Err(Problem::field(
                "version",
                format!("there is no such version; the newest is {}", tag.version),
            ));
        };
        let draft = Draft::restored(&earlier, &self.destination_policy())
            .map_err(|detail| Problem::field("version", detail))?;
        self.publish_next(who, Action::Rollback, tag, draft).await
    }

    /// Ends a tag for ever. Doing it twice is the same as once.
    pub(crate) async fn revoke_tag(
        &self,
        who: &Principal,
        name: &TagName,
        expected: &Precondition,
    ) -> Result<Commit, Problem> {
        let (tag, _lock) = self.lock_tag(who, name).await?;
        if tag.status == Status::Revoked {
            return Ok(self.earlier_commit());
        }
        expected.check(&tag)?;
        let revoked = Tag {
            scheduled: None,
            status: Status::Revoked,
            version: tag.version.next(),
            updated_at: self.now(),
            updated_by: who.actor.to_string(),
            ..tag.clone()
        };
        self.publish_tag(who, Action::Revoke, Some(tag), &revoked)
            .await
    }

    /// The tag as it is now, with all other edits of it kept out.
    pub(super) async fn lock_tag(
        &self,
        who: &Principal,
        name: &TagName,
    ) -> Result<(Tag, MutexGuard<'_, ()>), Problem> {
        let tag = self.find_stored_tag(who, name)?;
        let lock = self.lock(&tag_key(&tag.domain, &tag.code)).await;
        // It may have changed while we waited.
        let exact = TagName {
            domain: Some(tag.domain),
            code: tag.code,
        };
        let tag = self.find_stored_tag(who, &exact)?;
        Ok((self.take_place(tag).await?, lock))
    }

    /// The same, for an edit that expects the tag to be so, and to be none that was revoked.
    pub(super) async fn lock_tag_to_edit(
        &self,
        who: &Principal,
        name: &TagName,
        expected: &Precondition,
    ) -> Result<(Tag, MutexGuard<'_, ()>), Problem> {
        let (tag, lock) = self.lock_tag(who, name).await?;
        expected.check(&tag)?;
        refuse_revoked(&tag)?;
        Ok((tag, lock))
    }

    async fn publish_next(
        &self,
        who: &Principal,
        action: Action,
        tag: Tag,
        draft: Draft,
    ) -> Result<Edited<Tag>, Problem> {
        if draft == Draft::of(&tag) {
            let commit = self.earlier_commit();
            return Ok(Edited { what: tag, commit });
        }
        let identity = Identity::next_version_of(&tag);
        let mut next = draft.into_tag(identity, self.now(), who.actor.as_str())?;
        next.scheduled = self.rescheduled(&tag, &next)?;
        let commit = self.publish_tag(who, action, Some(tag), &next).await?;
        Ok(Edited { what: next, commit })
    }

    pub(super) async fn publish_tag(
        &self,
        who: &Principal,
        action: Action,
        before: Option<Tag>,
        after: &Tag,
    ) -> Result<Commit, Problem> {
        let changes = self.tag_changes(who, action, before, after);
        Ok(self.publish(changes).await?)
    }

    pub(super) fn tag_changes(
        &self,
        who: &Principal,
        action: Action,
        before: Option<Tag>,
        after: &Tag,
    ) -> Vec<Change> {
        let subject = format!("tag/{}/{}", after.domain, after.code);
        let audit = AuditEntry {
            before,
            after: Some(after.clone()),
            ..self.audit(who, action, subject)
        };
        vec![Change::Tag(after.clone()), Change::Audit(audit)]
    }
}

fn refuse_revoked(tag: &Tag) -> Result<(), Problem> {
    if tag.status == Status::Revoked {
        let detail = "The tag was revoked, which is for ever; make a new one.";
        return Err(Problem::new(axum::http::StatusCode::CONFLICT, detail));
    }
    Ok(())
}
