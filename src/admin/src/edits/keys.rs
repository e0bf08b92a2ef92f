//! Edits of keys. None of them gives more than who asks has.

use std::time::Duration;

use axum::http::StatusCode;
use jiff::Timestamp;
use tags::{
    Action, ApiKey, Change, KeyId, Permission, Permissions, PreviousSecret, Role, WorkspaceId,
};

use super::required_name;
use crate::auth::{Principal, hash_secret, random_secret};
use crate::body::Body;
use crate::codes::random_id;
use crate::fields::{Fields, Given};
use crate::idempotency::Keep;
use crate::problem::Problem;
use crate::service::Admin;

/// The longest time for which two secrets open the same key, in seconds: a week, for who rotates by hand.
pub(crate) const MAX_OVERLAP: u32 = 604_800;

/// And by default: a day, so that a rotation cuts nobody off who takes the new secret within it. Who rotates because a secret has leaked says 0.
pub(crate) const DEFAULT_OVERLAP: u32 = 86_400;

/// In answers, but not for requests to set.
const READ_ONLY: [&str; 5] = [
    "id",
    "created_at",
    "secret",
    "revoked_at",
    "previous_expires_at",
];

/// A new key's identifier.
pub(crate) fn random_key_id() -> Result<KeyId, getrandom::Error> {
    Ok(KeyId::parse(&random_id("key_")?).expect("the alphabet is within a key id's"))
}

/// A key and the only copy of its newest secret.
pub(crate) struct NewKey {
    pub(crate) key: ApiKey,
    pub(crate) secret: String,
}

/// What a new key is for.
pub(super) struct KeyTerms {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) scopes: Option<Permissions>,
    pub(super) expires_at: Option<Timestamp>,
}

impl Admin {
    /// Makes a key of the principal's workspace.
    pub(crate) async fn create_key(
        &self,
        who: &Principal,
        body: Body,
        keep: &Keep<NewKey>,
    ) -> Result<NewKey, Problem> {
        let (who, _lock) = &self.account_edit(who, Permission::KeysWrite).await?;
        let mut fields = body.fields()?;
        let terms = KeyTerms {
            name: required_name(&mut fields),
            role: required_role(&mut fields),
            scopes: read_scopes(&mut fields).value(),
            expires_at: fields.time("expires_at").value(),
        };
        if terms.expires_at.is_some_and(|end| end <= self.now()) {
            fields.refuse("expires_at", "must be in the future");
        }
        let most = Permissions::of(terms.role).within(&who.workspace);
        let beyond = terms.scopes.unwrap_or_default().without(most);
        if !beyond.is_empty() {
            let detail = format!(
                "has more than the role {} has here: {beyond}",
                terms.role.as_str()
            );
            fields.refuse("scopes", detail);
        }
        fields.finish(&READ_ONLY)?;
        let new = self.new_key(who.workspace.clone(), terms)?;
        refuse_more_than_own(who, new.key.permissions())?;
        refuse_longer_than_own(who, new.key.expires_at)?;
        self.refuse_too_many_keys(who)?;
        let subject = format!("key/{}", new.key.id);
        let audit = self.audit_of(who, Action::Create, subject, None, Some(&new.key));
        let mut changes = vec![Change::Key(new.key.clone()), Change::Audit(audit)];
        changes.extend(keep.entry(self, who, &new)?);
        self.publish(changes).await?;
        Ok(new)
    }

    /// Gives a key another secret. The one that it has is good for as long as the request says, else for a day; one that was replaced earlier,
    /// no more.
    pub(crate) async fn rotate_key(
        &self,
        who: &Principal,
        id: &str,
        body: Body,
    ) -> Result<NewKey, Problem> {
        let (who, _lock) = &self.account_edit(who, Permission::KeysWrite).await?;
        let now = self.now();
        let key = self.find_key(who, id)?;
        refuse_more_than_own(who, key.permissions())?;
        refuse_longer_than_own(who, key.expires_at)?;
        let mut fields = body.fields()?;
        let overlap = fields.integer("overlap_seconds", 0, MAX_OVERLAP);
        fields.finish(&READ_ONLY)?;
        if !key.is_valid(now) {
            let detail = "The key has ended, which cannot be undone; make another.";
            return Err(Problem::new(StatusCode::CONFLICT, detail));
        }
        let overlap = Duration::from_secs(overlap.value().unwrap_or(DEFAULT_OVERLAP).into());
        let until = now.checked_add(overlap);
        let previous = PreviousSecret {
            hash: key.secret_hash.clone(),
            expires_at: until.map_err(|error| Problem::internal(&error))?,
        };
        let before = key.clone();
        let secret = random_secret().map_err(|error| Problem::internal(&error))?;
        let key = ApiKey {
            secret_hash: hash_secret(&secret),
            previous: Some(previous).filter(|previous| previous.expires_at > now),
            ..key
        };
        let subject = format!("key/{id}");
        let audit = self.audit_of(who, Action::Rotate, subject, Some(&before), Some(&key));
        self.publish(vec![Change::Key(key.clone()), Change::Audit(audit)])
            .await?;
        Ok(NewKey { key, secret })
    }

    /// Ends a key. The last one that may do everything, and does not end by itself, stays: without one, nobody could make another.
    pub(crate) async fn revoke_key(&self, who: &Principal, id: &str) -> Result<(), Problem> {
        let (who, _lock) = &self.account_edit(who, Permission::KeysWrite).await?;
        let key = self.find_key(who, id)?;
        refuse_more_than_own(who, key.permissions())?;
        if key.revoked_at.is_some() {
            return Ok(());
        }
        let keys = self.tenant(who).keys()?;
        let mut others = keys.iter().filter(|other| other.id != key.id);
        if key.is_lasting_owner() && !others.any(ApiKey::is_lasting_owner) {
            let detail =
                "This is the workspace's last owner key; make another one before you revoke it.";
            return Err(Problem::new(StatusCode::CONFLICT, detail));
        }
        let revoked = ApiKey {
            revoked_at: Some(self.now()),
            ..key.clone()
        };
        let subject = format!("key/{id}");
        let audit = self.audit_of(who, Action::Revoke, subject, Some(&key), Some(&revoked));
        self.publish(vec![Change::Key(revoked), Change::Audit(audit)])
            .await?;
        Ok(())
    }

    pub(super) fn new_key(
        &self,
        workspace: WorkspaceId,
        terms: KeyTerms,
    ) -> Result<NewKey, Problem> {
        let id = random_key_id().map_err(|error| Problem::internal(&error))?;
        let secret = random_secret().map_err(|error| Problem::internal(&error))?;
        let key = ApiKey {
            name: terms.name,
            scopes: terms.scopes,
            expires_at: terms.expires_at,
            ..ApiKey::new(id, workspace, terms.role, hash_secret(&secret), self.now())
        };
        Ok(NewKey { key, secret })
    }

    fn refuse_too_many_keys(&self, who: &Principal) -> Result<(), Problem> {
        let tenant = self.tenant(who);
        let workspace = tenant.workspace()?;
        let Some(most) = workspace.and_then(|workspace| workspace.limits.max_keys) else {
            return Ok(());
        };
        let now = self.now();
        let keys = tenant.keys()?;
        if keys.iter().filter(|key| key.is_valid(now)).count() < most as usize {
            return Ok(());
        }
        let detail =
            format!("The workspace has its {most} keys (max_keys); revoke one of them first.");
        Err(Problem::new(StatusCode::CONFLICT, detail))
    }

    fn find_key(&self, who: &Principal, id: &str) -> Result<ApiKey, Problem> {
        let keys = self.tenant(who).keys()?;
        let found = keys.into_iter().find(|key| key.id.as_str() == id);
        found.ok_or_else(|| Problem::not_found("key"))
    }
}

/// Who may make keys or users, and no more, must not make one that may more.
pub(super) fn refuse_more_than_own(who: &Principal, given: Permissions) -> Result<(), Problem> {
    let beyond = given.without(who.permissions);
    if beyond.is_empty() {
        return Ok(());
    }
    let detail =
        format!("Nobody gives or takes more than they have themselves; who asks lacks {beyond}.");
    Err(Problem::new(StatusCode::FORBIDDEN, detail))
}

/// Who has an end must not make a key that outlasts it; `end` none: the key has none.
fn refuse_longer_than_own(who: &Principal, end: Option<Timestamp>) -> Result<(), Problem> {
    let Some(own) = who.expires_at else {
        return Ok(());
    };
    if end.is_some_and(|end| end <= own) {
        return Ok(());
    }
    let detail = format!(
        "Nobody gives what outlasts the key that they ask with; this one ends at {own}, and so must what it gives (expires_at)."
    );
    Err(Problem::new(StatusCode::FORBIDDEN, detail))
}

/// Who has an end must not give access that cannot have one.
pub(super) fn refuse_if_ending(who: &Principal) -> Result<(), Problem> {
    let Some(own) = who.expires_at else {
        return Ok(());
    };
    let detail = format!(
        "Nobody gives what outlasts the key or secret that they ask with; this one ends at {own}, and what it asks for would not."
    );
    Err(Problem::new(StatusCode::FORBIDDEN, detail))
}

pub(super) fn required_role(fields: &mut Fields) -> Role {
    let role = fields.word::<Role>("role");
    if !fields.has("role") || role == Given::Null {
        fields.refuse("role", "is required: owner, editor, analyst or viewer");
    }
    // Where there is none, the request is refused before it is looked at.
    role.value().unwrap_or(Role::Viewer)
}

/// Null: all that the role may.
fn read_scopes(fields: &mut Fields) -> Given<Permissions> {
    let given = fields.items("scopes", Permission::ALL.len(), |text| {
        text.parse::<Permission>()
            .map_err(|error| error.to_string())
    });
    if given == Given::Value(Vec::new()) {
        fields.refuse(
            "scopes",
            "must not be empty; without it, the key may all that its role may",
        );
    }
    match given {
        Given::Absent => Given::Absent,
        Given::Null => Given::Null,
        Given::Value(permissions) => Given::Value(permissions.into_iter().collect()),
    }
}
