//! Edits of workspaces and keys.

use tags::{Action, ApiKey, Change, KeyId, Role, Workspace, WorkspaceId};

use super::required_name;
use crate::auth::{Principal, hash_secret, random_secret};
use crate::body::Body;
use crate::codes::random_id;
use crate::draft::{MAX_NAME, parse_destination};
use crate::fields::Given;
use crate::idempotency::Keep;
use crate::problem::Problem;
use crate::service::Admin;

/// A new key's identifier.
pub(crate) fn random_key_id() -> Result<KeyId, getrandom::Error> {
    Ok(KeyId::parse(&random_id("key_")?).expect("the alphabet is within a key id's"))
}

/// A new workspace with its first key.
pub(crate) struct NewWorkspace {
    pub(crate) workspace: Workspace,
    pub(crate) key: NewKey,
}

/// A new key and the only copy of its secret.
pub(crate) struct NewKey {
    pub(crate) key: ApiKey,
    pub(crate) secret: String,
}

impl Admin {
    /// Makes a workspace with its first owner key.
    pub(crate) async fn create_workspace(
        &self,
        who: &Principal,
        body: Body,
        keep: &Keep<NewWorkspace>,
    ) -> Result<NewWorkspace, Problem> {
        let mut fields = body.fields()?;
        let name = required_name(&mut fields);
        let mut fallback_url = None;
        let is_own = self.is_own_domain();
        fields
            .parsed("fallback_url", |text| parse_destination(text, &is_own))
            .replace(&mut fallback_url);
        fields.finish(&["id", "created_at"])?;
        let id = random_id("ws_").map_err(|error| Problem::internal(&error))?;
        let id = WorkspaceId::parse(&id).map_err(|error| Problem::internal(&error))?;
        let workspace = Workspace {
            id: id.clone(),
            name,
            fallback_url,
            created_at: self.now(),
        };
        let key = self.new_key(id, "first key".to_owned(), Role::Owner)?;
        let audit = self.audit(who, Action::Create, format!("workspace/{}", workspace.id));
        let new = NewWorkspace { workspace, key };
        let mut changes = vec![
            Change::Workspace(new.workspace.clone()),
            Change::Key(new.key.key.clone()),
            Change::Audit(audit),
        ];
        changes.extend(keep.entry(self, who, &new)?);
        self.publish(changes).await?;
        Ok(new)
    }

    /// Changes the principal's own workspace.
    pub(crate) async fn patch_workspace(
        &self,
        who: &Principal,
        body: Body,
    ) -> Result<Workspace, Problem> {
        let _lock = self.lock(&format!("workspace/{}", who.workspace)).await;
        let found = self.index().workspace(&who.workspace)?;
        let mut workspace = found.ok_or_else(|| Problem::not_found("workspace"))?;
        let before = workspace.clone();
        let mut fields = body.fields()?;
        match fields.label("name", MAX_NAME) {
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
        body: Body,
        keep: &Keep<NewKey>,
    ) -> Result<NewKey, Problem> {
        let mut fields = body.fields()?;
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
        let mut changes = vec![Change::Key(new.key.clone()), Change::Audit(audit)];
        changes.extend(keep.entry(self, who, &new)?);
        self.publish(changes).await?;
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
}
