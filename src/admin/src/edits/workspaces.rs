//! Edits of workspaces.

use tags::{
    Action, AuditEntry, Change, Permission, QueryMode, RedirectStatus, Role, Workspace, WorkspaceId,
};

use super::keys::{KeyTerms, NewKey, refuse_if_ending};
use super::required_name;
use crate::auth::Principal;
use crate::body::Body;
use crate::codes::random_id;
use crate::draft::MAX_NAME;
use crate::fields::{Fields, Given};
use crate::idempotency::Keep;
use crate::problem::Problem;
use crate::service::Admin;

/// The longest time for which scans may be said to be kept: ten years, in days. Longer is for ever.
const MAX_RETENTION_DAYS: u32 = 3_650;
/// In answers, but not for requests to set.
const READ_ONLY: [&str; 2] = ["id", "created_at"];
/// What who runs the installation sets, and nobody for themselves.
const LIMITS: [&str; 4] = [
    "max_tags",
    "max_keys",
    "api_requests_per_second",
    "redirects_per_second",
];

/// A new workspace with its first key.
pub(crate) struct NewWorkspace {
    pub(crate) workspace: Workspace,
    pub(crate) key: NewKey,
}

impl Admin {
    /// Makes a workspace with its first owner key.
    pub(crate) async fn create_workspace(
        &self,
        who: &Principal,
        body: Body,
        keep: &Keep<NewWorkspace>,
    ) -> Result<NewWorkspace, Problem> {
        let (who, _lock) = &self.account_edit(who, Permission::Operations).await?;
        refuse_if_ending(who)?;
        let id = random_id("ws_").map_err(|error| Problem::internal(&error))?;
        let id = WorkspaceId::parse(&id).map_err(|error| Problem::internal(&error))?;
        let mut fields = body.fields()?;
        let name = required_name(&mut fields);
        let mut workspace = Workspace::new(id.clone(), name, self.now());
        self.read_workspace(&mut workspace, &mut fields);
        read_limits(&mut workspace, &mut fields);
        fields.finish(&READ_ONLY)?;
        let terms = KeyTerms {
            name: "first key".to_owned(),
            role: Role::Owner,
            scopes: None,
            expires_at: None,
        };
        let key = self.new_key(id, terms)?;
        let new = NewWorkspace { workspace, key };
        let subject = format!("workspace/{}", new.workspace.id);
        let audit = self.audit_of(who, Action::Create, subject, None, Some(&new.workspace));
        let mut changes = vec![
            Change::Workspace(new.workspace.clone()),
            Change::Key(new.key.key.clone()),
            Change::Audit(audit),
        ];
        changes.extend(keep.entry(self, who, &new)?);
        self.publish(changes).await?;
        Ok(new)
    }

    /// Changes the principal's own workspace, or for who runs the installation any. Limits are theirs to set.
    pub(crate) async fn patch_workspace(
        &self,
        who: &Principal,
        id: &str,
        body: Body,
    ) -> Result<Workspace, Problem> {
        let not_found = || Problem::not_found("workspace");
        let id = WorkspaceId::parse(id).map_err(|_| not_found())?;
        let _lock = self.lock(&format!("workspace/{id}")).await;
        let mut workspace = self.find_workspace(who, &id)?;
        let before = workspace.clone();
        let mut fields = body.fields()?;
        match fields.label("name", MAX_NAME) {
            Given::Null => fields.refuse("name", "is required"),
            given => given.replace_or_default(&mut workspace.name, String::new()),
        }
        self.read_workspace(&mut workspace, &mut fields);
        if who.permissions.contains(Permission::Operations) {
            read_limits(&mut workspace, &mut fields);
            fields.finish(&READ_ONLY)?;
        } else {
            fields.finish(&[READ_ONLY.as_slice(), &LIMITS].concat())?;
        }
        if workspace != before {
            // Whoever changed it, its own people are to see that it was.
            let audit = AuditEntry {
                workspace: id.clone(),
                ..self.audit_of(
                    who,
                    Action::Update,
                    format!("workspace/{id}"),
                    Some(&before),
                    Some(&workspace),
                )
            };
            self.publish(vec![
                Change::Workspace(workspace.clone()),
                Change::Audit(audit),
            ])
            .await?;
        }
        Ok(workspace)
    }

    /// The principal's own workspace, or for who runs the installation any.
    pub(crate) fn find_workspace(
        &self,
        who: &Principal,
        id: &WorkspaceId,
    ) -> Result<Workspace, Problem> {
        let not_found = || Problem::not_found("workspace");
        let found = if *id == who.workspace {
            self.tenant(who).workspace()?
        } else {
            let installation = self.installation(who).map_err(|_| not_found())?;
            installation.workspace(id)?
        };
        found.ok_or_else(not_found)
    }

    fn read_workspace(&self, workspace: &mut Workspace, fields: &mut Fields) {
        let policy = self.destination_policy();
        fields
            .parsed("fallback_url", |text| policy.parse(text))
            .replace(&mut workspace.fallback_url);
        let defaults = &mut workspace.defaults;
        fields
            .checked_integer("default_redirect_status", temporary)
            .replace(&mut defaults.redirect_status);
        fields
            .word::<QueryMode>("default_query")
            .replace(&mut defaults.query);
        fields
            .integer("retention_days", 1, MAX_RETENTION_DAYS)
            .replace(&mut workspace.retention_days);
    }
}

fn read_limits(workspace: &mut Workspace, fields: &mut Fields) {
    let limits = &mut workspace.limits;
    let places = [
        &mut limits.max_tags,
        &mut limits.max_keys,
        &mut limits.api_requests_per_second,
        &mut limits.redirects_per_second,
    ];
    for (name, limit) in LIMITS.into_iter().zip(places) {
        fields.integer(name, 1, u32::MAX).replace(limit);
    }
}

/// What clients keep for good is decided tag by tag.
fn temporary(code: u32) -> Result<RedirectStatus, &'static str> {
    match RedirectStatus::try_from(code) {
        Ok(status) if !status.is_permanent() => Ok(status),
        _ => Err("must be 302, 303 or 307"),
    }
}
