//! Edits of a workspace's webhook.

use std::time::Duration;

use tags::{
    Action, AuditEntry, Change, PreviousWebhookSecret, Webhook, WebhookUrl, Workspace, WorkspaceId,
};

use super::keys::{DEFAULT_OVERLAP, MAX_OVERLAP, refuse_if_ending};
use crate::api::blocking;
use crate::audited::Audited;
use crate::auth::Principal;
use crate::body::Body;
use crate::fields::{Fields, Given};
use crate::problem::Problem;
use crate::service::Admin;
use crate::webhooks::{LeadError, random_secret};

/// Who has disabled a webhook that answers 410, as the audit names it.
const ACTOR: &str = "webhook";
/// In answers, but not for requests to set.
const READ_ONLY: [&str; 11] = [
    "secret",
    "created_at",
    "previous_expires_at",
    "disabled_at",
    "waiting",
    "next_attempt_at",
    "delivered",
    "given_up",
    "dropped",
    "last_delivered_at",
    "last_failure",
];
/// For so long after it has published something, this admin counts as the journal's writer.
const LEAD: Duration = Duration::from_secs(10);

/// A webhook that was set.
pub(crate) struct PutWebhook {
    pub(crate) webhook: Webhook,
    /// Whether there was none before, so that its secret has still to be shown.
    pub(crate) is_new: bool,
}

impl Admin {
    /// Sets where the alerts of a workspace are sent. One that there is keeps its secret, and is called again if it was disabled.
    pub(crate) async fn put_webhook(
        &self,
        who: &Principal,
        id: &str,
        body: Body,
    ) -> Result<PutWebhook, Problem> {
        let workspace = self.webhook_workspace(who, id)?.id;
        let _lock = self.lock_webhook(&workspace).await;
        let mut fields = body.fields()?;
        let url = self.required_url(&mut fields);
        fields.finish(&READ_ONLY)?;
        let Some(url) = url else {
            return Err(Problem::internal(&NotRefused));
        };
        let before = self.index().installation().webhook(&workspace)?;
        let who = who.by_now(self)?;
        if before.is_none() {
            // Its secret has no end.
            refuse_if_ending(&who)?;
            self.forget_receiver(&workspace).await?;
        }
        let webhook = match before.clone() {
            Some(webhook) => Webhook {
                url,
                disabled_at: None,
                ..webhook
            },
            None => Webhook {
                workspace,
                url,
                secret: random_secret().map_err(|error| Problem::internal(&error))?,
                previous: None,
                created_at: self.now(),
                disabled_at: None,
                ended_at: None,
            },
        };
        let is_new = before.is_none();
        if before.as_ref() != Some(&webhook) {
            let action = if is_new {
                Action::Create
            } else {
                Action::Update
            };
            let audit = self.webhook_audit(&who, action, before.as_ref(), Some(&webhook));
            self.publish(vec![Change::Webhook(webhook.clone()), Change::Audit(audit)])
                .await?;
            // What waits has waited for another receiver.
            let (admin, workspace) = (self.clone(), webhook.workspace.clone());
            blocking(move || {
                let now_due = admin.alerts().all_due(&workspace, admin.now());
                now_due.map_err(|error| Problem::internal(&error))
            })
            .await?;
        }
        Ok(PutWebhook { webhook, is_new })
    }

    /// Gives a webhook another secret. By the one that it has, calls are signed too for as long as the request says, else for a day.
    pub(crate) async fn rotate_webhook(
        &self,
        who: &Principal,
        id: &str,
        body: Body,
    ) -> Result<Webhook, Problem> {
        let workspace = self.webhook_workspace(who, id)?.id;
        let _lock = self.lock_webhook(&workspace).await;
        let who = who.by_now(self)?;
        refuse_if_ending(&who)?;
        let before = self.find_webhook(&who, id)?;
        let mut fields = body.fields()?;
        let overlap = fields.integer("overlap_seconds", 0, MAX_OVERLAP);
        fields.finish(&READ_ONLY)?;
        let now = self.now();
        let overlap = Duration::from_secs(overlap.value().unwrap_or(DEFAULT_OVERLAP).into());
        let until = now.checked_add(overlap);
        let previous = PreviousWebhookSecret {
            secret: before.secret.clone(),
            expires_at: until.map_err(|error| Problem::internal(&error))?,
        };
        let webhook = Webhook {
            secret: random_secret().map_err(|error| Problem::internal(&error))?,
            previous: Some(previous).filter(|previous| previous.expires_at > now),
            ..before.clone()
        };
        let audit = self.webhook_audit(&who, Action::Rotate, Some(&before), Some(&webhook));
        self.publish(vec![Change::Webhook(webhook.clone()), Change::Audit(audit)])
            .await?;
        Ok(webhook)
    }

    /// Takes a webhook away, with all that waits for it.
    pub(crate) async fn delete_webhook(&self, who: &Principal, id: &str) -> Result<(), Problem> {
        let workspace = self.webhook_workspace(who, id)?.id;
        let _lock = self.lock_webhook(&workspace).await;
        let who = who.by_now(self)?;
        refuse_if_ending(&who)?;
        let webhook = self.find_webhook(&who, id)?;
        let audit = self.webhook_audit(&who, Action::Revoke, Some(&webhook), None);
        let ended = Webhook {
            ended_at: Some(self.now()),
            ..webhook
        };
        self.publish(vec![Change::Webhook(ended), Change::Audit(audit)])
            .await?;
        self.forget_receiver(&workspace).await
    }

    /// What became of earlier events is not the next webhook's.
    async fn forget_receiver(&self, workspace: &WorkspaceId) -> Result<(), Problem> {
        let (admin, workspace) = (self.clone(), workspace.clone());
        blocking(move || {
            let forgotten = admin.alerts().forget_receiver(&workspace);
            forgotten.map_err(|error| Problem::internal(&error))
        })
        .await
    }

    /// The webhook of the principal's workspace, or for who runs the installation of any.
    pub(crate) fn find_webhook(&self, who: &Principal, id: &str) -> Result<Webhook, Problem> {
        let workspace = self.webhook_workspace(who, id)?.id;
        let found = self.index().installation().webhook(&workspace)?;
        found.ok_or_else(|| Problem::not_found("webhook"))
    }

    /// Does not call a webhook any more until it is set anew: its receiver has said that it is gone. False: it is another by now than the one
    /// that was called, or was disabled before.
    pub(crate) async fn disable_webhook(&self, called: &Webhook) -> Result<bool, LeadError> {
        let workspace = &called.workspace;
        let _lock = self.lock_webhook(workspace).await;
        let found = self.index().installation().webhook(workspace)?;
        let is_called = |webhook: &Webhook| {
            webhook.disabled_at.is_none()
                && (&webhook.url, webhook.created_at) == (&called.url, called.created_at)
        };
        let Some(webhook) = found.filter(is_called) else {
            return Ok(false);
        };
        let disabled = Webhook {
            disabled_at: Some(self.now()),
            ..webhook.clone()
        };
        let audit = AuditEntry {
            workspace: workspace.clone(),
            at: self.now(),
            actor: ACTOR.to_owned(),
            // No request came.
            remote: String::new(),
            action: Action::Update,
            subject: subject(workspace),
            before: None,
            after: None,
            fields_before: Some(webhook.audited().to_string()),
            fields_after: Some(disabled.audited().to_string()),
        };
        self.publish(vec![Change::Webhook(disabled), Change::Audit(audit)])
            .await?;
        Ok(true)
    }

    /// Makes sure that no other admin has taken this one's place, which would send the same: by something that was published a moment ago, or
    /// else by publishing the webhook as it is. Gives the webhook as it is then; none: there is nothing to call.
    pub(crate) async fn webhook_to_call(
        &self,
        workspace: &WorkspaceId,
    ) -> Result<Option<Webhook>, LeadError> {
        let _lock = self.lock_webhook(workspace).await;
        let found = self.index().installation().webhook(workspace)?;
        let Some(webhook) = found else {
            return Ok(None);
        };
        if self.since_published().is_none_or(|since| since >= LEAD) {
            self.publish(vec![Change::Webhook(webhook.clone())]).await?;
        }
        Ok(Some(webhook).filter(|webhook| webhook.disabled_at.is_none()))
    }

    fn webhook_workspace(&self, who: &Principal, id: &str) -> Result<Workspace, Problem> {
        let id = WorkspaceId::parse(id).map_err(|_| Problem::not_found("workspace"))?;
        self.find_workspace(who, &id)
    }

    async fn lock_webhook(&self, workspace: &WorkspaceId) -> tokio::sync::MutexGuard<'_, ()> {
        self.lock(&subject(workspace)).await
    }

    fn required_url(&self, fields: &mut Fields) -> Option<WebhookUrl> {
        let policy = self.destination_policy();
        let networks = &self.options().webhooks.networks;
        let url = fields.parsed("url", |text| {
            let url = WebhookUrl::parse(text, networks).map_err(|error| error.to_string())?;
            policy.check(url.as_destination())?;
            Ok(url)
        });
        if !fields.has("url") || url == Given::Null {
            fields.refuse(
                "url",
                "is required: where alerts are sent, an https or http URL",
            );
        }
        url.value()
    }

    /// Whoever changed it, its workspace's own people are to see that it was.
    fn webhook_audit(
        &self,
        who: &Principal,
        action: Action,
        before: Option<&Webhook>,
        after: Option<&Webhook>,
    ) -> AuditEntry {
        let of = before.or(after).map(|webhook| &webhook.workspace);
        let workspace = of.unwrap_or(&who.workspace).clone();
        AuditEntry {
            workspace: workspace.clone(),
            ..self.audit_of(who, action, subject(&workspace), before, after)
        }
    }
}

/// What was asked for was refused when its fields were finished.
#[derive(Debug, thiserror::Error)]
#[error("a webhook without a URL was not refused")]
struct NotRefused;

fn subject(workspace: &WorkspaceId) -> String {
    format!("webhook/{workspace}")
}
