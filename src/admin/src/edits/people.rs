//! Edits of who may sign in: invite, accept, change, remove. Nobody gives a role that may more than they may, nor takes one away.

use std::sync::Arc;

use axum::http::StatusCode;
use jiff::SignedDuration;
use tags::{
    Action, AuditEntry, Change, Email, Invitation, InvitationId, Permission, Permissions, Role,
    User, UserId,
};

use super::keys::{refuse_if_ending, refuse_more_than_own, required_role};
use crate::audited::Audited;
use crate::auth::{Principal, hash_secret, random_token};
use crate::body::Body;
use crate::codes::random_id;
use crate::draft::MAX_NAME;
use crate::fields::{Fields, Given};
use crate::idempotency::Keep;
use crate::index::Tenant;
use crate::passwords::check_password;
use crate::problem::Problem;
use crate::service::Admin;

/// How long an invitation may be accepted.
const INVITED_FOR: SignedDuration = SignedDuration::from_hours(7 * 24);
/// The most invitations of a workspace that are not over.
const MAX_INVITATIONS: usize = 100;

/// An invitation and the only copy of its token.
pub(crate) struct NewInvitation {
    pub(crate) invitation: Invitation,
    pub(crate) token: String,
}

impl Admin {
    /// Invites someone into the principal's workspace. A new invitation takes the place of an earlier one to the same address.
    pub(crate) async fn invite(
        &self,
        who: &Principal,
        body: Body,
        keep: &Keep<NewInvitation>,
    ) -> Result<NewInvitation, Problem> {
        let (who, _lock) = &self.account_edit(who, Permission::UsersWrite).await?;
        let mut fields = body.fields()?;
        let email = fields.word::<Email>("email");
        if !fields.has("email") || email == Given::Null {
            fields.refuse("email", "is required");
        }
        let role = required_role(&mut fields);
        fields.finish(&["id", "token", "invited_by", "created_at", "expires_at"])?;
        let email = email
            .value()
            .ok_or_else(|| Problem::field("email", "is required"))?;
        refuse_more_than_own(who, Permissions::of(role).within(&who.workspace))?;
        refuse_if_ending(who)?;
        let (tenant, now) = (self.tenant(who), self.now());
        if tenant.user_by_email(&email)?.is_some() {
            let detail = format!("{email} is a user of this workspace already.");
            return Err(Problem::conflict("email", detail));
        }
        let waiting = tenant.invitations()?;
        let (replaced, others): (Vec<_>, Vec<_>) = waiting
            .into_iter()
            .partition(|invitation| invitation.email == email);
        if others.len() >= MAX_INVITATIONS {
            let detail = format!(
                "{MAX_INVITATIONS} invitations are waiting, which is the most; withdraw some of them first."
            );
            return Err(Problem::new(StatusCode::CONFLICT, detail));
        }
        let id = random_id("invitation_").map_err(|error| Problem::internal(&error))?;
        let token = random_token().map_err(|error| Problem::internal(&error))?;
        let invitation = Invitation {
            id: InvitationId::parse(&id).map_err(|error| Problem::internal(&error))?,
            workspace: who.workspace.clone(),
            email,
            role,
            token_hash: hash_secret(&token),
            invited_by: who.actor.to_string(),
            created_at: now,
            expires_at: now.checked_add(INVITED_FOR).unwrap_or(now),
            ended_at: None,
        };
        let mut changes: Vec<Change> = replaced
            .into_iter()
            .map(|replaced| {
                Change::Invitation(Invitation {
                    ended_at: Some(now),
                    ..replaced
                })
            })
            .collect();
        let subject = format!("invitation/{}", invitation.id);
        let audit = self.audit_of(who, Action::Create, subject, None, Some(&invitation));
        changes.extend([Change::Invitation(invitation.clone()), Change::Audit(audit)]);
        let new = NewInvitation { invitation, token };
        changes.extend(keep.entry(self, who, &new)?);
        self.publish(changes).await?;
        Ok(new)
    }

    /// Takes an invitation back.
    pub(crate) async fn withdraw_invitation(
        &self,
        who: &Principal,
        id: &str,
    ) -> Result<(), Problem> {
        let (who, _lock) = &self.account_edit(who, Permission::UsersWrite).await?;
        let waiting = self.tenant(who).invitations()?;
        let mut waiting = waiting.into_iter();
        let found = waiting.find(|invitation| invitation.id.as_str() == id);
        let invitation = found.ok_or_else(|| Problem::not_found("invitation"))?;
        let ended = Invitation {
            ended_at: Some(self.now()),
            ..invitation.clone()
        };
        let subject = format!("invitation/{id}");
        let audit = self.audit_of(
            who,
            Action::Revoke,
            subject,
            Some(&invitation),
            Some(&ended),
        );
        self.publish(vec![Change::Invitation(ended), Change::Audit(audit)])
            .await?;
        Ok(())
    }

    /// Makes a user of whoever has an invitation's token. Nobody has to be known for that.
    pub(crate) async fn accept_invitation(
        &self,
        remote: &str,
        body: Body,
    ) -> Result<User, Problem> {
        let mut fields = body.fields()?;
        let token = required_text(&mut fields, "token");
        let name = super::required_name(&mut fields);
        let password = fields.parsed("password", check_password);
        if !fields.has("password") || password == Given::Null {
            fields.refuse("password", "is required");
        }
        let hash = token.as_deref().map(hash_secret);
        if let Some(hash) = &hash {
            self.find_invitation(hash)?;
        }
        fields.finish(&["email", "role", "workspace"])?;
        let (Some(hash), Some(password)) = (hash, password.value()) else {
            return Err(Problem::field("password", "is required"));
        };
        // Before the lock: it takes the better part of a tenth of a second.
        let password = self.passwords().hash(password).await?;

        let workspace = self.find_invitation(&hash)?.workspace;
        let _lock = self.lock_accounts(&workspace).await;
        let (invitation, now) = (self.find_invitation(&hash)?, self.now());
        let id = random_id("user_").map_err(|error| Problem::internal(&error))?;
        let user = User {
            id: UserId::parse(&id).map_err(|error| Problem::internal(&error))?,
            workspace,
            email: invitation.email.clone(),
            name,
            role: invitation.role,
            password,
            created_at: now,
            removed_at: None,
        };
        let audit = AuditEntry {
            workspace: user.workspace.clone(),
            at: now,
            actor: id,
            remote: remote.to_owned(),
            action: Action::Create,
            subject: format!("user/{}", user.id),
            before: None,
            after: None,
            fields_before: None,
            fields_after: Some(user.audited().to_string()),
        };
        let accepted = Invitation {
            ended_at: Some(now),
            ..invitation
        };
        self.publish(vec![
            Change::User(user.clone()),
            Change::Invitation(accepted),
            Change::Audit(audit),
        ])
        .await?;
        Ok(user)
    }

    /// A user of the principal's workspace.
    pub(crate) fn find_user(&self, who: &Principal, id: &str) -> Result<User, Problem> {
        let found = self.tenant(who).user(id)?;
        found.ok_or_else(|| Problem::not_found("user"))
    }

    /// Changes a user's name or role. The last owner stays one.
    pub(crate) async fn patch_user(
        &self,
        who: &Principal,
        id: &str,
        body: Body,
    ) -> Result<User, Problem> {
        let (who, _lock) = &self.account_edit(who, Permission::UsersWrite).await?;
        let before = self.find_user(who, id)?;
        let mut user = before.clone();
        let mut fields = body.fields()?;
        match fields.label("name", MAX_NAME) {
            Given::Null => fields.refuse("name", "is required"),
            given => given.replace_or_default(&mut user.name, String::new()),
        }
        match fields.word::<Role>("role") {
            Given::Null => fields.refuse("role", "is required: owner, editor, analyst or viewer"),
            given => given.replace_or_default(&mut user.role, before.role),
        }
        fields.finish(&["id", "workspace", "email", "created_at"])?;
        if user.role != before.role {
            refuse_more_than_own(who, user.permissions())?;
            refuse_more_than_own(who, before.permissions())?;
            if !user.permissions().without(before.permissions()).is_empty() {
                refuse_if_ending(who)?;
            }
            self.refuse_last_owner(who, &before)?;
        }
        if user != before {
            let subject = format!("user/{id}");
            let audit = self.audit_of(who, Action::Update, subject, Some(&before), Some(&user));
            self.publish(vec![Change::User(user.clone()), Change::Audit(audit)])
                .await?;
        }
        Ok(user)
    }

    /// Takes a user out of the workspace, and so ends their sessions. The last owner stays.
    pub(crate) async fn remove_user(&self, who: &Principal, id: &str) -> Result<(), Problem> {
        let (who, _lock) = &self.account_edit(who, Permission::UsersWrite).await?;
        let user = self.find_user(who, id)?;
        refuse_more_than_own(who, user.permissions())?;
        self.refuse_last_owner(who, &user)?;
        let removed = User {
            removed_at: Some(self.now()),
            ..user.clone()
        };
        let subject = format!("user/{id}");
        let audit = self.audit_of(who, Action::Revoke, subject, Some(&user), Some(&removed));
        self.publish(vec![Change::User(removed), Change::Audit(audit)])
            .await?;
        Ok(())
    }

    fn refuse_last_owner(&self, who: &Principal, user: &User) -> Result<(), Problem> {
        let users = self.tenant(who).users()?;
        let mut others = users.iter().filter(|other| other.id != user.id);
        if user.role != Role::Owner || others.any(|other| other.role == Role::Owner) {
            return Ok(());
        }
        let detail = "This is the last owner among the workspace's users; make another one first.";
        Err(Problem::new(StatusCode::CONFLICT, detail))
    }

    /// The invitation with this token, if it is not over: neither in itself, nor because who invited could no longer do so.
    fn find_invitation(&self, token: &tags::SecretHash) -> Result<Invitation, Problem> {
        let not_found = || Problem::not_found("invitation");
        let now = self.now();
        let found = self.index().invitation_by_token(token)?;
        let found = found.filter(|invitation| now < invitation.expires_at);
        let invitation = found.ok_or_else(not_found)?;
        let inviter = self.permissions_of_inviter(&invitation)?;
        let given = Permissions::of(invitation.role).within(&invitation.workspace);
        let may = inviter.contains(Permission::UsersWrite) && given.without(inviter).is_empty();
        may.then_some(invitation).ok_or_else(not_found)
    }

    /// What who invited may do by now; nothing once their key has ended, or they are no user any more.
    fn permissions_of_inviter(&self, invitation: &Invitation) -> Result<Permissions, Problem> {
        let tenant = Tenant::new(Arc::clone(self.index()), invitation.workspace.clone());
        if let Some(user) = tenant.user(&invitation.invited_by)? {
            return Ok(user.permissions());
        }
        let now = self.now();
        let mut keys = tenant.keys()?.into_iter();
        let key = keys.find(|key| key.id.as_str() == invitation.invited_by && key.is_valid(now));
        Ok(key.map(|key| key.permissions()).unwrap_or_default())
    }
}

fn required_text(fields: &mut Fields, name: &'static str) -> Option<String> {
    let given = fields.text(name);
    if !fields.has(name) || given == Given::Null {
        fields.refuse(name, "is required");
    }
    given.value()
}
