//! Edits of domains.

use tags::{Action, Change, Domain, DomainSettings, Hsts, UpstreamHost, UpstreamUrl};

use super::Edited;
use crate::auth::Principal;
use crate::body::Body;
use crate::draft::parse_destination;
use crate::fields::{Fields, Given};
use crate::idempotency::Keep;
use crate::problem::Problem;
use crate::service::Admin;

/// Two years: what preload lists ask for, and more would only make a mistake last longer.
const MAX_HSTS_MAX_AGE: u32 = 63_072_000;

impl Admin {
    /// Adds a domain to the principal's workspace.
    pub(crate) async fn create_domain(
        &self,
        who: &Principal,
        body: Body,
        keep: &Keep<DomainSettings>,
    ) -> Result<Edited<DomainSettings>, Problem> {
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
        fields.finish(&["is_default", "created_at"])?;
        let _lock = self.lock(&format!("domain/{}", domain.name)).await;
        if self.index().domain(&domain.name)?.is_some() {
            return Err(Problem::conflict(
                "name",
                format!("The domain '{}' is in use already.", domain.name),
            ));
        }
        let audit = self.audit(who, Action::Create, format!("domain/{}", domain.name));
        let mut changes = vec![Change::Domain(domain.clone()), Change::Audit(audit)];
        changes.extend(keep.entry(self, who, &domain)?);
        let commit = self.publish(changes).await?;
        Ok(Edited {
            what: domain,
            commit,
        })
    }

    /// Changes a domain of the principal's workspace; the default domain is the operator's to change.
    pub(crate) async fn patch_domain(
        &self,
        who: &Principal,
        name: &str,
        body: Body,
    ) -> Result<Edited<DomainSettings>, Problem> {
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
        let mut fields = body.fields()?;
        self.read_domain(&mut domain, &mut fields);
        fields.finish(&["name", "is_default", "case_insensitive", "created_at"])?;
        let commit = if domain == before {
            self.earlier_commit()
        } else {
            let audit = self.audit(who, Action::Update, format!("domain/{name}"));
            let changes = vec![Change::Domain(domain.clone()), Change::Audit(audit)];
            self.publish(changes).await?
        };
        Ok(Edited {
            what: domain,
            commit,
        })
    }

    fn read_domain(&self, domain: &mut DomainSettings, fields: &mut Fields) {
        let is_known = self.is_own_domain();
        let is_this = |host: &str| Domain::parse(host).is_ok_and(|host| host == domain.name);
        // A domain that is being added is not known yet, and is ours all the same.
        let is_own = |host: &str| is_this(host) || is_known(host);
        let home_url = fields.parsed("home_url", |text| {
            let home = parse_destination(text, &is_own)?;
            if home.leads_back(is_this, |path| path == "/") {
                return Err("leads back to itself, for ever".to_owned());
            }
            Ok(home)
        });
        let fallback_url = fields.parsed("fallback_url", |text| parse_destination(text, &is_own));
        let networks = &self.options().upstream_networks;
        let upstream_url = fields.parsed("upstream_url", |text| {
            let upstream = UpstreamUrl::parse(text, networks).map_err(|error| error.to_string())?;
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
