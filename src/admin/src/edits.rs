//! The edits: each checks what was asked against what is, publishes the next version with its audit entry in one transaction, and returns
//! when it can be seen.

use tags::{
    Action, ApiKey, AuditEntry, Change, Code, Domain, DomainSettings, KeyId, Role, Status, Tag,
    Version, Workspace, WorkspaceId,
};

use crate::auth::{Principal, hash_secret, random_secret};
use crate::codes::{random_code, random_text};
use crate::draft::{Draft, Identity, parse_destination};
use crate::fields::{Fields, Given};
use crate::index::IndexError;
use crate::problem::Problem;
use crate::service::Admin;

/// In answers, but not for requests to set.
const READ_ONLY: [&str; 9] = [
    "workspace",
    "domain",
    "code",
    "short_url",
    "version",
    "created_at",
    "updated_at",
    "updated_by",
    "qr",
];
/// A random code is taken by chance about never; so many times in a row means that something else is wrong.
const CODE_ATTEMPTS: usize = 20;

/// An identifier for keys and workspaces.
pub(crate) fn random_key_id() -> Result<KeyId, getrandom::Error> {
    let text = format!(
        "key_{}",
        random_text(b"23456789abcdefghjkmnpqrstuvwxyz", 12)?
    );
    Ok(KeyId::parse(&text).expect("the alphabet is within a key id's"))
}

/// What an `If-Match` header asks for: the edit is refused unless the tag has one of these versions.
#[derive(Clone, Debug)]
pub(crate) enum Precondition {
    /// No header, or `*`.
    None,
    /// Any of these.
    OneOf(Vec<Version>),
}

impl Precondition {
    fn check(&self, tag: &Tag) -> Result<(), Problem> {
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

/// A new key and the only copy of its secret.
pub(crate) struct NewKey {
    pub(crate) key: ApiKey,
    pub(crate) secret: String,
}

impl Admin {
    /// The principal's tag of this name; another tenant's is as absent as none.
    pub(crate) fn find_tag(&self, who: &Principal, name: &TagName) -> Result<Tag, Problem> {
        let domains = match &name.domain {
            Some(domain) => vec![domain.clone()],
            None => self
                .index()
                .domains(&who.workspace)?
                .into_iter()
                .map(|domain| domain.name)
                .collect(),
        };
        for domain in domains {
            let settings = self.index().domain(&domain)?;
            let code = stored_code(
                &name.code,
                settings.is_some_and(|settings| settings.case_insensitive),
            );
            match self.index().tag(&domain, &code)? {
                Some(tag) if tag.workspace == who.workspace => return Ok(tag),
                _ => {}
            }
        }
        Err(Problem::not_found("tag"))
    }

    /// Makes a tag, with the code asked for or a random one.
    pub(crate) async fn create_tag(
        &self,
        who: &Principal,
        mut fields: Fields,
    ) -> Result<Tag, Problem> {
        let now = self.now();
        let code = fields.word::<Code>("code").value();
        let domain = fields.word::<Domain>("domain").value();
        let domain = self.domain_for_new_tag(who, domain, &mut fields)?;
        let mut draft = Draft::new();
        draft.read(&mut fields, &self.is_own_domain(), Some(now));
        fields.finish(&READ_ONLY)?;
        let Some(domain) = domain else {
            return Err(Problem::not_found("domain"));
        };

        let chosen = code.map(|code| stored_code(&code, domain.case_insensitive));
        for _ in 0..CODE_ATTEMPTS {
            let code = match &chosen {
                Some(code) => code.clone(),
                None => random_code(domain.case_insensitive)
                    .map_err(|error| Problem::internal(&error))?,
            };
            let _lock = self.lock(&format!("{}/{code}", domain.name)).await;
            if self.index().tag(&domain.name, &code)?.is_some() {
                if chosen.is_some() {
                    return Err(Problem::conflict(
                        "code",
                        format!("The code '{code}' is taken, or was once; choose another."),
                    ));
                }
                continue;
            }
            let identity = Identity {
                workspace: who.workspace.clone(),
                domain: domain.name.clone(),
                code,
                version: Version::FIRST,
                created_at: now,
            };
            let tag = draft.clone().into_tag(identity, now, who.key.as_str())?;
            self.publish_tag(who, Action::Create, None, &tag).await?;
            return Ok(tag);
        }
        Err(Problem::unavailable("No free code was found; try again."))
    }

    /// Changes the fields that the request gives (RFC 7396). What changes nothing makes no version.
    pub(crate) async fn patch_tag(
        &self,
        who: &Principal,
        name: &TagName,
        expected: &Precondition,
        mut fields: Fields,
    ) -> Result<Tag, Problem> {
        let (tag, _lock) = self.lock_tag(who, name).await?;
        let mut draft = Draft::of(&tag);
        // A revoked tag has no editable status; its conflict is reported before its fields.
        expected.check(&tag)?;
        refuse_revoked(&tag)?;
        draft.read(&mut fields, &self.is_own_domain(), None);
        fields.finish(&READ_ONLY)?;
        self.publish_next(who, Action::Update, tag, draft).await
    }

    /// Makes the content of an earlier version the newest one.
    pub(crate) async fn roll_back_tag(
        &self,
        who: &Principal,
        name: &TagName,
        expected: &Precondition,
        mut fields: Fields,
    ) -> Result<Tag, Problem> {
        let wanted = fields.integer("version", 1, u32::MAX);
        if !fields.has("version") || wanted == Given::Null {
            fields.refuse(
                "version",
                "is required: the number of the version to go back to",
            );
        }
        let (tag, _lock) = self.lock_tag(who, name).await?;
        expected.check(&tag)?;
        refuse_revoked(&tag)?;
        fields.finish(&[])?;
        let wanted = wanted.value().map(u64::from);
        let versions = self.index().versions(&tag.domain, &tag.code)?;
        let Some(earlier) = versions
            .iter()
            .find(|version| Some(version.version.get()) == wanted)
        else {
            return Err(Problem::field(
                "version",
                format!("there is no such version; the newest is {}", tag.version),
            ));
        };
        let draft = Draft::restored(earlier, &self.is_own_domain())
            .map_err(|detail| Problem::field("version", detail))?;
        self.publish_next(who, Action::Rollback, tag, draft).await
    }

    /// Ends a tag for ever. Doing it twice is the same as once.
    pub(crate) async fn revoke_tag(
        &self,
        who: &Principal,
        name: &TagName,
        expected: &Precondition,
    ) -> Result<(), Problem> {
        let (tag, _lock) = self.lock_tag(who, name).await?;
        if tag.status == Status::Revoked {
            return Ok(());
        }
        expected.check(&tag)?;
        let revoked = Tag {
            status: Status::Revoked,
            version: tag.version.next(),
            updated_at: self.now(),
            updated_by: who.key.to_string(),
            ..tag.clone()
        };
        self.publish_tag(who, Action::Revoke, Some(tag), &revoked)
            .await
    }

    /// Makes a workspace with its first owner key.
    pub(crate) async fn create_workspace(
        &self,
        who: &Principal,
        mut fields: Fields,
    ) -> Result<(Workspace, NewKey), Problem> {
        let name = required_name(&mut fields);
        let mut fallback_url = None;
        let is_own = self.is_own_domain();
        fields
            .parsed("fallback_url", |text| parse_destination(text, &is_own))
            .replace(&mut fallback_url);
        fields.finish(&["id", "created_at"])?;
        let id = random_text(b"23456789abcdefghjkmnpqrstuvwxyz", 12)
            .map_err(|error| Problem::internal(&error))?;
        let id =
            WorkspaceId::parse(&format!("ws_{id}")).map_err(|error| Problem::internal(&error))?;
        let workspace = Workspace {
            id: id.clone(),
            name,
            fallback_url,
            created_at: self.now(),
        };
        let new = self.new_key(id, "first key".to_owned(), Role::Owner)?;
        let audit = self.audit(who, Action::Create, format!("workspace/{}", workspace.id));
        let changes = vec![
            Change::Workspace(workspace.clone()),
            Change::Key(new.key.clone()),
            Change::Audit(audit),
        ];
        self.publish(changes).await?;
        Ok((workspace, new))
    }

    /// Changes the principal's own workspace.
    pub(crate) async fn patch_workspace(
        &self,
        who: &Principal,
        mut fields: Fields,
    ) -> Result<Workspace, Problem> {
        let _lock = self.lock(&format!("workspace/{}", who.workspace)).await;
        let found = self.index().workspace(&who.workspace)?;
        let mut workspace = found.ok_or_else(|| Problem::not_found("workspace"))?;
        let before = workspace.clone();
        match fields.label("name", crate::draft::MAX_NAME) {
            Given::Null => fields.refuse("name", "is required"),
            given => given.replace_or_default(&mut workspace.name, String::new()),
        }
        let is_own = self.is_own_domain();
        fields
            .parsed("fallback_url", |text| parse_destination(text, &is_own))
            .replace(&mut workspace.fallback_url);
        fields.finish(&["id", "created_at"])?;
        if workspace != before {
            let audit = self.audit(who, Action::Update, format!("workspace/{}", workspace.id));
            self.publish(vec![
                Change::Workspace(workspace.clone()),
                Change::Audit(audit),
            ])
            .await?;
        }
        Ok(workspace)
    }

    /// Makes a key of the principal's workspace.
    pub(crate) async fn create_key(
        &self,
        who: &Principal,
        mut fields: Fields,
    ) -> Result<NewKey, Problem> {
        let name = required_name(&mut fields);
        let role = fields.word::<Role>("role");
        if !fields.has("role") || role == Given::Null {
            fields.refuse("role", "is required: owner, editor, analyst or viewer");
        }
        fields.finish(&["id", "created_at", "secret"])?;
        let role = role
            .value()
            .ok_or_else(|| Problem::field("role", "is required"))?;
        let new = self.new_key(who.workspace.clone(), name, role)?;
        let audit = self.audit(who, Action::Create, format!("key/{}", new.key.id));
        self.publish(vec![Change::Key(new.key.clone()), Change::Audit(audit)])
            .await?;
        Ok(new)
    }

    /// Ends a key. The last owner's stays: without one, nobody could make another.
    pub(crate) async fn revoke_key(&self, who: &Principal, id: &str) -> Result<(), Problem> {
        let _lock = self.lock(&format!("keys/{}", who.workspace)).await;
        let keys = self.index().keys(&who.workspace)?;
        let Some(key) = keys.iter().find(|key| key.id.as_str() == id) else {
            return Err(Problem::not_found("key"));
        };
        if key.revoked_at.is_some() {
            return Ok(());
        }
        let owners = keys
            .iter()
            .filter(|key| key.role == Role::Owner && key.revoked_at.is_none())
            .count();
        if key.role == Role::Owner && owners == 1 {
            let detail =
                "This is the workspace's last owner key; make another one before you revoke it.";
            return Err(Problem::new(axum::http::StatusCode::CONFLICT, detail));
        }
        let audit = self.audit(who, Action::Revoke, format!("key/{id}"));
        let revoked = ApiKey {
            revoked_at: Some(self.now()),
            ..key.clone()
        };
        self.publish(vec![Change::Key(revoked), Change::Audit(audit)])
            .await?;
        Ok(())
    }

    /// Adds a domain to the principal's workspace.
    pub(crate) async fn create_domain(
        &self,
        who: &Principal,
        mut fields: Fields,
    ) -> Result<DomainSettings, Problem> {
        let name = fields.word::<Domain>("name");
        if !fields.has("name") || name == Given::Null {
            fields.refuse("name", "is required: a host name such as qr.example.com");
        }
        let mut domain = DomainSettings {
            name: name
                .value()
                .unwrap_or_else(|| self.options().public_url.domain().clone()),
            workspace: Some(who.workspace.clone()),
            is_default: false,
            home_url: None,
            fallback_url: None,
            case_insensitive: false,
            created_at: self.now(),
        };
        self.read_domain(&mut domain, &mut fields);
        fields
            .boolean("case_insensitive")
            .replace_or_default(&mut domain.case_insensitive, false);
        fields.finish(&["is_default", "created_at"])?;
        let _lock = self.lock(&format!("domain/{}", domain.name)).await;
        if self.index().domain(&domain.name)?.is_some() {
            return Err(Problem::conflict(
                "name",
                format!("The domain '{}' is in use already.", domain.name),
            ));
        }
        let audit = self.audit(who, Action::Create, format!("domain/{}", domain.name));
        self.publish(vec![Change::Domain(domain.clone()), Change::Audit(audit)])
            .await?;
        Ok(domain)
    }

    /// Changes a domain of the principal's workspace; the default domain is the operator's to change.
    pub(crate) async fn patch_domain(
        &self,
        who: &Principal,
        name: &str,
        mut fields: Fields,
    ) -> Result<DomainSettings, Problem> {
        let not_found = || Problem::not_found("domain");
        let name = Domain::parse(name).map_err(|_| not_found())?;
        let _lock = self.lock(&format!("domain/{name}")).await;
        let mut domain = self.index().domain(&name)?.ok_or_else(not_found)?;
        match &domain.workspace {
            Some(owner) if *owner == who.workspace => {}
            Some(_) => return Err(not_found()),
            None => who.require_operator()?,
        }
        let before = domain.clone();
        self.read_domain(&mut domain, &mut fields);
        fields.finish(&["name", "is_default", "case_insensitive", "created_at"])?;
        if domain != before {
            let audit = self.audit(who, Action::Update, format!("domain/{name}"));
            self.publish(vec![Change::Domain(domain.clone()), Change::Audit(audit)])
                .await?;
        }
        Ok(domain)
    }

    fn read_domain(&self, domain: &mut DomainSettings, fields: &mut Fields) {
        let is_own = self.is_own_domain();
        fields
            .parsed("home_url", |text| parse_destination(text, &is_own))
            .replace(&mut domain.home_url);
        fields
            .parsed("fallback_url", |text| parse_destination(text, &is_own))
            .replace(&mut domain.fallback_url);
    }

    /// Where a new tag goes: to the domain asked for, else the workspace's own oldest one, else the default.
    fn domain_for_new_tag(
        &self,
        who: &Principal,
        asked: Option<Domain>,
        fields: &mut Fields,
    ) -> Result<Option<DomainSettings>, IndexError> {
        let mut domains = self.index().domains(&who.workspace)?;
        if domains.is_empty() {
            return Ok(None);
        }
        let Some(asked) = asked else {
            return Ok(Some(domains.swap_remove(0)));
        };
        match domains.into_iter().find(|domain| domain.name == asked) {
            Some(domain) => Ok(Some(domain)),
            None => {
                fields.refuse(
                    "domain",
                    "is not a domain of this workspace; add it under /api/v1/domains first",
                );
                Ok(None)
            }
        }
    }

    /// The tag, with all other edits of it kept out.
    async fn lock_tag(
        &self,
        who: &Principal,
        name: &TagName,
    ) -> Result<(Tag, tokio::sync::MutexGuard<'_, ()>), Problem> {
        let tag = self.find_tag(who, name)?;
        let lock = self.lock(&format!("{}/{}", tag.domain, tag.code)).await;
        // It may have changed while we waited.
        let exact = TagName {
            domain: Some(tag.domain),
            code: tag.code,
        };
        Ok((self.find_tag(who, &exact)?, lock))
    }

    async fn publish_next(
        &self,
        who: &Principal,
        action: Action,
        tag: Tag,
        draft: Draft,
    ) -> Result<Tag, Problem> {
        if draft == Draft::of(&tag) {
            return Ok(tag);
        }
        let next = draft.into_tag(
            Identity::next_version_of(&tag),
            self.now(),
            who.key.as_str(),
        )?;
        self.publish_tag(who, action, Some(tag), &next).await?;
        Ok(next)
    }

    async fn publish_tag(
        &self,
        who: &Principal,
        action: Action,
        before: Option<Tag>,
        after: &Tag,
    ) -> Result<(), Problem> {
        let subject = format!("tag/{}/{}", after.domain, after.code);
        let audit = AuditEntry {
            before,
            after: Some(after.clone()),
            ..self.audit(who, action, subject)
        };
        self.publish(vec![Change::Tag(after.clone()), Change::Audit(audit)])
            .await?;
        Ok(())
    }

    fn audit(&self, who: &Principal, action: Action, subject: String) -> AuditEntry {
        AuditEntry {
            workspace: who.workspace.clone(),
            at: self.now(),
            actor: who.key.to_string(),
            remote: who.remote.clone(),
            action,
            subject,
            before: None,
            after: None,
        }
    }

    fn new_key(&self, workspace: WorkspaceId, name: String, role: Role) -> Result<NewKey, Problem> {
        let id = random_key_id().map_err(|error| Problem::internal(&error))?;
        let secret = random_secret().map_err(|error| Problem::internal(&error))?;
        let secret_hash = hash_secret(&secret);
        let key = ApiKey {
            id,
            workspace,
            name,
            role,
            secret_hash,
            created_at: self.now(),
            revoked_at: None,
        };
        Ok(NewKey { key, secret })
    }

    /// Whether a host is one of ours, so that a destination there may be a loop. A host that cannot be looked up counts as ours: refusing
    /// a good destination can be mended, a loop in print cannot.
    fn is_own_domain(&self) -> impl Fn(&str) -> bool {
        let index = std::sync::Arc::clone(self.index());
        move |host| match Domain::parse(host) {
            Ok(domain) => index.domain(&domain).map_or(true, |found| found.is_some()),
            Err(_) => false,
        }
    }
}

fn refuse_revoked(tag: &Tag) -> Result<(), Problem> {
    if tag.status == Status::Revoked {
        let detail = "The tag was revoked, which is for ever; make a new one.";
        return Err(Problem::new(axum::http::StatusCode::CONFLICT, detail));
    }
    Ok(())
}

fn stored_code(code: &Code, case_insensitive: bool) -> Code {
    if case_insensitive {
        code.to_lowercase()
    } else {
        code.clone()
    }
}

fn required_name(fields: &mut Fields) -> String {
    let name = fields.label("name", crate::draft::MAX_NAME);
    let missing = !fields.has("name") || name == Given::Null;
    if missing {
        fields.refuse("name", "is required");
    }
    name.value().unwrap_or_default()
}
