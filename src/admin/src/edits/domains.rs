//! Edits of domains.

use tags::{
    Action, Change, Destination, Domain, DomainClaim, DomainSettings, Hsts, Permission,
    UpstreamHost, UpstreamUrl,
};

use super::Edited;
use crate::audited::Audited;
use crate::auth::Principal;
use crate::body::Body;
use crate::destinations::DestinationPolicy;
use crate::fields::{Fields, Given};
use crate::idempotency::Keep;
use crate::problem::Problem;
use crate::service::Admin;

/// Two years: what preload lists ask for, and more would only make a mistake last longer.
const MAX_HSTS_MAX_AGE: u32 = 63_072_000;

/// A domain of a workspace: one that is used, or one that is not proven to be its own yet.
#[derive(Clone, Debug)]
pub(crate) enum OwnDomain {
    Verified(DomainSettings),
    Pending(DomainClaim),
}

/// In answers, but not for requests to set.
const READ_ONLY: [&str; 4] = ["is_default", "created_at", "status", "challenge"];

impl Admin {
    /// Adds a domain to the principal's workspace.
    pub(crate) async fn create_domain(
        &self,
        who: &Principal,
        body: Body,
        keep: &Keep<OwnDomain>,
    ) -> Result<Edited<OwnDomain>, Problem> {
        let mut fields = body.fields()?;
        let name = fields.word::<Domain>("name");
        if !fields.has("name") || name == Given::Null {
            fields.refuse("name", "is required: a host name such as qr.example.com");
        }
        let name = name
            .value()
            .unwrap_or_else(|| self.options().public_url.domain().clone());
        let mut domain = DomainSettings {
            workspace: Some(who.workspace.clone()),
            ..DomainSettings::new(name, self.now())
        };
        self.read_domain(&mut domain, &mut fields);
        fields
            .boolean("case_insensitive")
            .replace_or_default(&mut domain.case_insensitive, false);
        fields.finish(&READ_ONLY)?;
        let _lock = self.lock_domain(domain.name.as_str()).await;
        let needs_proof = self.needs_proof(who);
        // Who has proven nothing is told of no other workspace's domains: only that theirs is missing its proof.
        let is_taken = if needs_proof {
            self.tenant(who).domain(&domain.name)?.is_some()
        } else {
            self.index().is_domain(&domain.name)?
        };
        if is_taken {
            return Err(Problem::conflict(
                "name",
                format!("The domain '{}' is in use already.", domain.name),
            ));
        }
        let made = if needs_proof {
            self.claim_of(who, domain)?
        } else {
            OwnDomain::Verified(domain)
        };
        let subject = format!("domain/{}", made.settings().name);
        let audit = self.audit_of(who, Action::Create, subject, None, Some(&made));
        let mut changes = vec![made.change(), Change::Audit(audit)];
        changes.extend(keep.entry(self, who, &made)?);
        let commit = self.publish(changes).await?;
        Ok(Edited { what: made, commit })
    }

    /// Changes a domain of the principal's workspace; the default domain is the operator's to change.
    pub(crate) async fn patch_domain(
        &self,
        who: &Principal,
        name: &str,
        body: Body,
    ) -> Result<Edited<OwnDomain>, Problem> {
        let _lock = self.lock_domain(name).await;
        let own = self.find_domain(who, name)?;
        let before = own.settings().clone();
        if before.workspace.is_none() {
            who.require(Permission::Operations)?;
        }
        let mut domain = before.clone();
        let mut fields = body.fields()?;
        self.read_domain(&mut domain, &mut fields);
        fields.finish(&[&["name", "case_insensitive"], READ_ONLY.as_slice()].concat())?;
        let unchanged = domain == before;
        let (was, own) = (own.clone(), own.with(domain));
        let commit = if unchanged {
            self.earlier_commit()
        } else {
            let subject = format!("domain/{}", before.name);
            let audit = self.audit_of(who, Action::Update, subject, Some(&was), Some(&own));
            let changes = vec![own.change(), Change::Audit(audit)];
            self.publish(changes).await?
        };
        Ok(Edited { what: own, commit })
    }

    fn read_domain(&self, domain: &mut DomainSettings, fields: &mut Fields) {
        let is_known = self.is_own_domain();
        let name = domain.name.clone();
        let is_this = |host: &str| Domain::parse(host).is_ok_and(|host| host == name);
        // A domain that is being added is not known yet, and is ours all the same.
        let is_own = |host: &str| is_this(host) || is_known(host);
        let policy = DestinationPolicy::new(is_own, &self.options().blocklists);
        let home_url = fields.parsed("home_url", |text| {
            let home = policy.parse(text)?;
            if home.leads_back(is_this, |path| path == "/") {
                return Err("leads back to itself, for ever".to_owned());
            }
            Ok(home)
        });
        let fallback_url = fields.parsed("fallback_url", |text| policy.parse(text));
        let networks = &self.options().upstream_networks;
        let upstream_url = fields.parsed("upstream_url", |text| {
            let upstream = UpstreamUrl::parse(text, networks).map_err(|error| error.to_string())?;
            let site = Destination::from_stored(upstream.as_str());
            policy.check_lists(&site.map_err(|error| error.to_string())?)?;
            if is_own(upstream.host().trim_end_matches('.')) {
                return Err("is a domain of this service itself, which would be a loop; give the address of the site behind it".to_owned());
            }
            Ok(upstream)
        });
        fields
            .boolean("https_redirect")
            .replace_or_default(&mut domain.https_redirect, false);
        read_hsts(&mut domain.hsts, fields);
        home_url.replace(&mut domain.home_url);
        fallback_url.replace(&mut domain.fallback_url);
        upstream_url.replace(&mut domain.upstream_url);
        fields
            .word("upstream_host")
            .replace_or_default(&mut domain.upstream_host, UpstreamHost::Visitor);
    }
}

impl OwnDomain {
    /// What is set of it.
    pub(crate) fn settings(&self) -> &DomainSettings {
        match self {
            Self::Verified(domain) => domain,
            Self::Pending(claim) => &claim.domain,
        }
    }

    fn with(self, settings: DomainSettings) -> Self {
        match self {
            Self::Verified(_) => Self::Verified(settings),
            Self::Pending(claim) => Self::Pending(DomainClaim {
                domain: settings,
                ..claim
            }),
        }
    }

    pub(super) fn change(&self) -> Change {
        match self {
            Self::Verified(domain) => Change::Domain(domain.clone()),
            Self::Pending(claim) => Change::Claim(claim.clone()),
        }
    }
}

impl Audited for OwnDomain {
    fn audited(&self) -> serde_json::Value {
        match self {
            Self::Verified(domain) => domain.audited(),
            Self::Pending(claim) => claim.audited(),
        }
    }
}

fn read_hsts(hsts: &mut Option<Hsts>, fields: &mut Fields) {
    let mut max_age = hsts.map(|hsts| hsts.max_age);
    let mut include_subdomains = hsts.is_some_and(|hsts| hsts.include_subdomains);
    fields
        .integer("hsts_max_age", 0, MAX_HSTS_MAX_AGE)
        .replace(&mut max_age);
    let given = fields.boolean("hsts_include_subdomains");
    if max_age.is_none() && given == Given::Value(true) {
        fields.refuse("hsts_include_subdomains", "belongs to hsts_max_age");
    }
    given.replace_or_default(&mut include_subdomains, false);
    *hsts = max_age.map(|max_age| Hsts {
        max_age,
        include_subdomains,
    });
}
