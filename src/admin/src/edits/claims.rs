//! Edits of domains that are not proven yet: claim, prove, withdraw.

use axum::http::StatusCode;
use tags::{Action, Change, Domain, DomainClaim, DomainSettings, WorkspaceId};
use tokio::sync::MutexGuard;

use super::Edited;
use super::domains::OwnDomain;
use crate::auth::{Principal, random_token};
use crate::destinations::places_of_domain;
use crate::problem::Problem;
use crate::proof::{Challenge, DomainProof};
use crate::service::Admin;

/// The most domains that a workspace may have waiting for their proof.
const MAX_CLAIMS: usize = 50;

impl Admin {
    /// Whether a workspace has to prove that a domain is its own. Not the one whose owners run the installation.
    pub(super) fn needs_proof(&self, who: &Principal) -> bool {
        let required = matches!(self.options().domain_proof, DomainProof::Required { .. });
        required && who.workspace != WorkspaceId::default_workspace()
    }

    /// A domain put down as wanted. The caller holds the name's lock.
    pub(super) fn claim_of(
        &self,
        who: &Principal,
        domain: DomainSettings,
    ) -> Result<OwnDomain, Problem> {
        let claims = self.tenant(who).claims()?;
        if claims.iter().any(|claim| claim.domain.name == domain.name) {
            let detail = format!(
                "The domain '{}' waits for its proof already; see its challenge under /api/v1/domains.",
                domain.name
            );
            return Err(Problem::conflict("name", detail));
        }
        if claims.len() >= MAX_CLAIMS {
            let detail = format!(
                "{MAX_CLAIMS} domains wait for their proof, which is the most; prove or withdraw some of them first."
            );
            return Err(Problem::new(StatusCode::CONFLICT, detail));
        }
        Ok(OwnDomain::Pending(DomainClaim {
            workspace: who.workspace.clone(),
            domain,
            token: random_token().map_err(|error| Problem::internal(&error))?,
            ended_at: None,
        }))
    }

    /// Keeps other edits of a domain out, however its name is written.
    pub(super) async fn lock_domain(&self, name: &str) -> MutexGuard<'_, ()> {
        let parsed = Domain::parse(name);
        let name = parsed.as_ref().map_or(name, Domain::as_str);
        self.lock(&format!("domain/{name}")).await
    }

    /// Looks for the proof of a domain, and makes it the workspace's if there is one. Doing it again changes nothing.
    pub(crate) async fn verify_domain(
        &self,
        who: &Principal,
        name: &str,
    ) -> Result<Edited<OwnDomain>, Problem> {
        let claim = match self.find_domain(who, name)? {
            OwnDomain::Pending(claim) => claim,
            verified @ OwnDomain::Verified(_) => {
                let commit = self.earlier_commit();
                return Ok(Edited {
                    what: verified,
                    commit,
                });
            }
        };
        self.look_for_proof(&claim).await?;
        // Elsewhere has been asked without the lock: it may take long, and other edits must not wait for it.
        let name = claim.domain.name.clone();
        let _lock = self.lock_domain(name.as_str()).await;
        if self.index().is_domain(&name)? {
            let detail = format!("The domain '{name}' is in use already.");
            return Err(Problem::new(StatusCode::CONFLICT, detail));
        }
        let found = self.tenant(who).claim(&name)?;
        let proven = found.filter(|found| found.token == claim.token);
        let proven = proven.ok_or_else(|| Problem::not_found("domain"))?;
        // It may have waited for long.
        let policy = self.destination_policy();
        for (place, url) in places_of_domain(&proven.domain) {
            policy.check_lists(&url).map_err(|detail| {
                let detail = format!("The domain's {place} {detail}.");
                Problem::new(StatusCode::CONFLICT, detail)
            })?;
        }
        drop(policy);
        let ended = DomainClaim {
            ended_at: Some(self.now()),
            ..proven.clone()
        };
        let verified = OwnDomain::Verified(proven.domain.clone());
        let audit = self.audit_of(
            who,
            Action::Update,
            format!("domain/{name}"),
            Some(&OwnDomain::Pending(proven)),
            Some(&verified),
        );
        let changes = vec![
            verified.change(),
            Change::Claim(ended),
            Change::Audit(audit),
        ];
        let commit = self.publish(changes).await?;
        Ok(Edited {
            what: verified,
            commit,
        })
    }

    /// Takes a claim back. A domain that is used stays: printed codes lead there.
    pub(crate) async fn withdraw_domain(&self, who: &Principal, name: &str) -> Result<(), Problem> {
        let _lock = self.lock_domain(name).await;
        let OwnDomain::Pending(claim) = self.find_domain(who, name)? else {
            let detail = "The domain is in use, and printed codes may lead there; only one that waits for its proof can be withdrawn.";
            return Err(Problem::new(StatusCode::CONFLICT, detail));
        };
        let subject = format!("domain/{}", claim.domain.name);
        let audit = self.audit_of(who, Action::Revoke, subject, Some(&claim), None);
        let ended = DomainClaim {
            ended_at: Some(self.now()),
            ..claim
        };
        self.publish(vec![Change::Claim(ended), Change::Audit(audit)])
            .await?;
        Ok(())
    }

    /// A domain of the principal's, or one that all share; another tenant's is as absent as none.
    pub(super) fn find_domain(&self, who: &Principal, name: &str) -> Result<OwnDomain, Problem> {
        let not_found = || Problem::not_found("domain");
        let name = Domain::parse(name).map_err(|_| not_found())?;
        let tenant = self.tenant(who);
        if let Some(domain) = tenant.domain(&name)? {
            return Ok(OwnDomain::Verified(domain));
        }
        let claim = tenant.claim(&name)?;
        claim.map(OwnDomain::Pending).ok_or_else(not_found)
    }

    async fn look_for_proof(&self, claim: &DomainClaim) -> Result<(), Problem> {
        let DomainProof::Required { resolver } = &self.options().domain_proof else {
            return Ok(());
        };
        let Ok(_place) = self.proofs().take(&claim.workspace) else {
            return Err(Problem::unavailable(
                "The proof of a domain of this workspace, or of many others, is being looked for just now; try again in a moment.",
            ));
        };
        let challenge = Challenge {
            domain: &claim.domain.name,
            token: &claim.token,
        };
        let networks = &self.options().upstream_networks;
        let looked = challenge.prove(resolver.as_ref(), networks).await;
        looked.map_err(|why| Problem::new(StatusCode::CONFLICT, why))
    }
}
