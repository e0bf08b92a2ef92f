//! Edits of workspaces.

use tags::{Action, Change, Role, Workspace, WorkspaceId};

use super::keys::{KeyTerms, NewKey};
use super::required_name;
use crate::auth::Principal;
use crate::body::Body;
use crate::codes::random_id;
use crate::draft::{MAX_NAME, parse_destination};
use crate::fields::Given;
use crate::problem::Problem;
use crate::service::Admin;

impl Admin {
    /// Makes a workspace with its first owner key.
    pub(crate) async fn create_workspace(
        &self,
        who: &Principal,
        body: Body,
    ) -> Result<(Workspace, NewKey), Problem> {
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
        let terms = KeyTerms {
            name: "first key".to_owned(),
            role: Role::Owner,
            scopes: None,
            expires_at: None,
        };
        let new = self.new_key(id, terms)?;
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
        body: Body,
    ) -> Result<Workspace, Problem> {
        let _lock = self.lock(&format!("workspace/{}", who.workspace)).await;
        let found = self.tenant(who).workspace()?;
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
}
