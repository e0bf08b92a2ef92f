//! What is said of a tag that is to be made, by a request or by a line of an import: one reading, so that both keep the same rules.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use blocklist::Blocklists;
use jiff::Timestamp;
use tags::{Code, Domain, DomainSettings, InvalidName, TagDefaults};

use crate::auth::Principal;
use crate::destinations::DestinationPolicy;
use crate::draft::Draft;
use crate::fields::Fields;
use crate::index::IndexError;
use crate::service::Admin;

/// In answers, but not for requests to set.
pub(crate) const READ_ONLY: [&str; 11] = [
    "workspace",
    "domain",
    "code",
    "short_url",
    "version",
    "created_at",
    "updated_at",
    "updated_by",
    "qr",
    "warnings",
    "scheduled",
];
/// Hosts of which it is remembered whether they are ours, while many tags are read.
const MOST_HOSTS: usize = 4_096;
/// What stands in a tag's place in paths of the API, so that a tag with such a code could not be asked for.
const PATHS: [&str; 3] = ["bulk", "export", "import"];

/// What a workspace's new tags are judged by.
pub(crate) struct NewTagTerms<'a> {
    /// Where the workspace may have tags; the one for tags that name none comes first.
    domains: Vec<DomainSettings>,
    /// What it says are domains of its own, and has not proven yet.
    claimed: Vec<Domain>,
    defaults: TagDefaults,
    policy: DestinationPolicy<'a>,
}

impl Admin {
    /// What new tags of the principal's are judged by, as it is now.
    pub(crate) fn new_tag_terms(&self, who: &Principal) -> Result<NewTagTerms<'_>, IndexError> {
        let tenant = self.tenant(who);
        let workspace = tenant.workspace()?;
        let claims = tenant.claims()?.into_iter();
        Ok(NewTagTerms {
            domains: tenant.domains()?,
            claimed: claims.map(|claim| claim.domain.name).collect(),
            defaults: workspace.map(|it| it.defaults).unwrap_or_default(),
            policy: self.remembering_policy(),
        })
    }

    /// What destinations of many tags are judged by here, as [`Admin::destination_policy`]: each host is looked up once.
    pub(crate) fn remembering_policy(&self) -> DestinationPolicy<'_> {
        let is_own = remembering(self.is_own_domain());
        DestinationPolicy::new(is_own, &self.options().blocklists)
    }
}

/// The same, looked up once for each of the first hosts.
fn remembering(is_own: impl Fn(&str) -> bool + Send + Sync) -> impl Fn(&str) -> bool + Send + Sync {
    let known: Mutex<HashMap<String, bool>> = Mutex::default();
    move |host| {
        // Changed in one step.
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(host) {
            return *known;
        }
        let found = is_own(host);
        if known.len() < MOST_HOSTS {
            known.insert(host.to_owned(), found);
        }
        found
    }
}

/// A tag that is to be made.
#[derive(Clone, Debug)]
pub(crate) struct NewTag {
    pub(crate) domain: Domain,
    /// Whether case does not matter on the domain.
    pub(crate) case_insensitive: bool,
    /// As the domain keeps it; none: any.
    pub(crate) code: Option<Code>,
    pub(crate) draft: Draft,
}

impl NewTag {
    /// Takes what is given and notes in `fields` what is wrong with it; none if that leaves no domain. `must_begin_later` is as in
    /// [`Draft::read`].
    pub(crate) fn read(
        fields: &mut Fields,
        terms: &NewTagTerms<'_>,
        must_begin_later: Option<Timestamp>,
    ) -> Option<Self> {
        let code = fields.word::<Code>("code").value();
        let asked = fields.word::<Domain>("domain").value();
        let domain = terms.domain(asked, fields);
        let case_insensitive = domain.is_some_and(|domain| domain.case_insensitive);
        let code = code.and_then(|code| match stored_code(&code, case_insensitive) {
            Ok(code) if PATHS.contains(&code.as_str()) => {
                fields.refuse(
                    "code",
                    format!("'{code}' is a path of the API and cannot be a code; choose another"),
                );
                None
            }
            Ok(code) => Some(code),
            Err(error) => {
                fields.refuse("code", error);
                None
            }
        });
        let mut draft = Draft::with(&terms.defaults);
        draft.read(fields, &terms.policy, must_begin_later);
        Some(Self {
            domain: domain?.name.clone(),
            case_insensitive,
            code,
            draft,
        })
    }

    /// The names of all fields that a new tag may have.
    pub(crate) fn field_names() -> Vec<&'static str> {
        let mut fields = Fields::of(Vec::new());
        let no_lists = Blocklists::default();
        let nothing = NewTagTerms::on(Vec::new(), &no_lists);
        Self::read(&mut fields, &nothing, None);
        fields.allowed().to_vec()
    }
}

impl<'a> NewTagTerms<'a> {
    /// Those of a workspace that has nothing but domains.
    pub(crate) fn on(domains: Vec<DomainSettings>, blocklists: &'a Blocklists) -> Self {
        Self {
            domains,
            claimed: Vec::new(),
            defaults: TagDefaults::default(),
            policy: DestinationPolicy::new(|_| false, blocklists),
        }
    }

    /// Where a new tag goes: to the domain asked for, else the workspace's own oldest one, else the default.
    fn domain(&self, asked: Option<Domain>, fields: &mut Fields) -> Option<&DomainSettings> {
        if self.domains.is_empty() {
            fields.refuse(
                "domain",
                "is missing, and this workspace has none; add one under /api/v1/domains first",
            );
            return None;
        }
        let Some(asked) = asked else {
            return self.domains.first();
        };
        let found = self.domains.iter().find(|domain| domain.name == asked);
        if found.is_none() {
            let detail = if self.claimed.contains(&asked) {
                format!(
                    "is not proven to be yours yet; see its challenge under /api/v1/domains, then POST /api/v1/domains/{asked}/verify"
                )
            } else {
                "is not a domain of this workspace; add it under /api/v1/domains first".to_owned()
            };
            fields.refuse("domain", detail);
        }
        found
    }
}

/// The code as its domain keeps it; one that is reserved in lower case is so in any, where case does not matter.
pub(super) fn stored_code(code: &Code, case_insensitive: bool) -> Result<Code, InvalidName> {
    if case_insensitive {
        Code::parse(code.to_lowercase().as_str())
    } else {
        Ok(code.clone())
    }
}

/// The name under which edits of a tag keep one another out.
pub(crate) fn tag_key(domain: &Domain, code: &Code) -> String {
    format!("{domain}/{code}")
}

/// Why a code cannot be had, whoever has it.
pub(crate) fn taken(code: &Code) -> String {
    format!("The code '{code}' is taken, or was once; choose another.")
}
