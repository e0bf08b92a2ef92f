//! The writable part of a tag while a request is being read into it: every rule that a tag's fields must keep, in one place.

mod defaults;

use jiff::Timestamp;
use tags::{
    Code, Destination, Domain, MaxScans, QueryMode, RedirectStatus, Rules, Status, Tag, Version,
    WorkspaceId,
};

use crate::destinations::{DestinationPolicy, places, places_of};
use crate::fields::{Fields, Given};
use crate::problem::{FieldError, Problem};
use crate::rules;

/// The longest name and campaign, in characters.
pub const MAX_NAME: usize = 200;
/// The longest label, in characters.
pub const MAX_LABEL: usize = 64;
/// The most labels of a tag.
pub const MAX_LABELS: usize = 32;
/// The longest time that a client may be told to keep a permanent redirect: a year, in seconds.
pub const MAX_CACHE_MAX_AGE: u32 = 31_536_000;

/// What is said of an end that a new tag cannot have.
const ENDED: &str = "must be in the future";

/// A tag's fields that a request may set.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    destination: Option<Destination>,
    rules: Rules,
    redirect_status: RedirectStatus,
    cache_max_age: Option<u32>,
    starts_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    max_scans: Option<MaxScans>,
    fallback_url: Option<Destination>,
    query: QueryMode,
    campaign: String,
    name: String,
    labels: Vec<String>,
    status: Status,
}

impl Draft {
    /// A tag about which nothing was said yet.
    pub fn new() -> Self {
        Self {
            destination: None,
            rules: Rules::default(),
            redirect_status: RedirectStatus::Found,
            cache_max_age: None,
            starts_at: None,
            expires_at: None,
            max_scans: None,
            fallback_url: None,
            query: QueryMode::Append,
            campaign: String::new(),
            name: String::new(),
            labels: Vec::new(),
            status: Status::Active,
        }
    }

    /// The fields of a tag as it is.
    pub fn of(tag: &Tag) -> Self {
        Self {
            destination: Some(tag.destination.clone()),
            rules: tag.rules.clone(),
            redirect_status: tag.redirect_status,
            cache_max_age: tag.cache_max_age,
            starts_at: tag.starts_at,
            expires_at: tag.expires_at,
            max_scans: tag.max_scans,
            fallback_url: tag.fallback_url.clone(),
            query: tag.query,
            campaign: tag.campaign.clone(),
            name: tag.name.clone(),
            labels: tag.labels.clone(),
            status: tag.status,
        }
    }

    /// Takes over what the request gives and notes in `fields` what is wrong with it.
    ///
    /// `must_begin_later` is the present for a tag that is made, which must not have ended already; an edit may end a tag at once.
    pub fn read(
        &mut self,
        fields: &mut Fields,
        policy: &DestinationPolicy<'_>,
        must_begin_later: Option<Timestamp>,
    ) {
        let was_active = self.status == Status::Active;
        self.read_destinations(fields, policy);
        fields
            .value("rules", |value| rules::read(value, policy))
            .replace_or_default(&mut self.rules, Rules::default());
        let redirect_status = fields.checked_integer("redirect_status", RedirectStatus::try_from);
        // Whether a status that is wrong goes with the other fields cannot be said.
        let judge_permanence = redirect_status != Given::Absent || !fields.has("redirect_status");
        redirect_status.replace_or_default(&mut self.redirect_status, RedirectStatus::Found);
        fields
            .integer("cache_max_age", 0, MAX_CACHE_MAX_AGE)
            .replace(&mut self.cache_max_age);
        fields.time("starts_at").replace(&mut self.starts_at);
        fields.time("expires_at").replace(&mut self.expires_at);
        fields.max_scans("max_scans").replace(&mut self.max_scans);
        fields
            .word("query")
            .replace_or_default(&mut self.query, QueryMode::Append);
        fields
            .label("campaign", MAX_NAME)
            .replace_or_default(&mut self.campaign, String::new());
        fields
            .label("name", MAX_NAME)
            .replace_or_default(&mut self.name, String::new());
        fields
            .labels("labels", MAX_LABELS, MAX_LABEL)
            .replace_or_default(&mut self.labels, Vec::new());
        fields
            .parsed("status", |word| match word.parse() {
                Ok(status @ (Status::Active | Status::Paused)) => Ok(status),
                _ => Err("must be active or paused; DELETE revokes a tag for ever".to_owned()),
            })
            .replace_or_default(&mut self.status, Status::Active);
        if self.status == Status::Active && !was_active {
            self.check_lists(fields, policy);
        }
        self.check_times(fields, must_begin_later);
        if judge_permanence {
            self.check_permanence(fields);
        }
    }

    fn read_destinations(&mut self, fields: &mut Fields, policy: &DestinationPolicy<'_>) {
        let destination = fields.parsed("destination", |text| policy.parse(text));
        match destination {
            Given::Value(destination) => self.destination = Some(destination),
            Given::Null => fields.refuse("destination", "is required"),
            Given::Absent if self.destination.is_none() && !fields.has("destination") => {
                fields.refuse("destination", "is required");
            }
            Given::Absent => {}
        }
        fields
            .parsed("fallback_url", |text| policy.parse(text))
            .replace(&mut self.fallback_url);
    }

    /// A tag that was paused may lead where it must not any more: what is on a blocklist by now stays off the air.
    fn check_lists(&self, fields: &mut Fields, policy: &DestinationPolicy<'_>) {
        let fallback = self.fallback_url.as_ref();
        for (place, destination) in places(self.destination.as_ref(), fallback, &self.rules) {
            if let Err(detail) = policy.check_lists(destination) {
                fields.refuse(
                    "status",
                    format!("the tag cannot be active: its {place} {detail}"),
                );
                return;
            }
        }
    }

    /// Refused when it has ended already.
    pub fn check_is_to_come(&self, now: Timestamp) -> Result<(), FieldError> {
        match self.expires_at {
            Some(end) if end <= now => Err(FieldError::new("expires_at", ENDED)),
            _ => Ok(()),
        }
    }

    fn check_times(&self, fields: &mut Fields, must_begin_later: Option<Timestamp>) {
        let Some(end) = self.expires_at else { return };
        if must_begin_later.is_some_and(|now| end <= now) {
            fields.refuse("expires_at", ENDED);
        } else if self.starts_at.is_some_and(|start| end <= start)
            && (fields.has("expires_at") || fields.has("starts_at"))
        {
            let field = if fields.has("expires_at") {
                "expires_at"
            } else {
                "starts_at"
            };
            fields.refuse(field, "expires_at must be after starts_at");
        }
    }

    /// A client keeps a permanent redirect, so a tag with one must have nothing by which it changes over time.
    fn check_permanence(&mut self, fields: &mut Fields) {
        if !self.redirect_status.is_permanent() {
            if fields.has("cache_max_age") && self.cache_max_age.is_some() {
                fields.refuse(
                    "cache_max_age",
                    "belongs to redirect_status 301 and 308 alone",
                );
            }
            self.cache_max_age = None;
            return;
        }
        for (name, is_set) in [
            ("starts_at", self.starts_at.is_some()),
            ("expires_at", self.expires_at.is_some()),
            ("max_scans", self.max_scans.is_some()),
            ("rules", !self.rules.is_empty()),
        ] {
            if is_set {
                let detail = format!(
                    "301 and 308 cannot be combined with {name}, since clients keep such an answer"
                );
                let field = if fields.has("redirect_status") {
                    "redirect_status"
                } else {
                    name
                };
                fields.refuse(field, detail);
                return;
            }
        }
    }

    /// The same fields as they were in another version, with destinations that the policy of today still allows; else the field that it
    /// does not, and why.
    pub fn restored(tag: &Tag, policy: &DestinationPolicy<'_>) -> Result<Self, String> {
        for (place, destination) in places_of(tag) {
            let allowed = policy.parse(destination.as_str());
            allowed.map_err(|detail| format!("its {place} is no longer allowed: {detail}"))?;
        }
        Ok(Self::of(tag))
    }

    /// The tag that these fields make, as a version of their own.
    pub fn into_tag(self, identity: Identity, now: Timestamp, by: &str) -> Result<Tag, Problem> {
        let Some(destination) = self.destination else {
            return Err(Problem::field("destination", "is required"));
        };
        Ok(Tag {
            workspace: identity.workspace,
            domain: identity.domain,
            code: identity.code,
            version: identity.version,
            status: self.status,
            destination,
            rules: self.rules,
            redirect_status: self.redirect_status,
            cache_max_age: self.cache_max_age,
            starts_at: self.starts_at,
            expires_at: self.expires_at,
            max_scans: self.max_scans,
            fallback_url: self.fallback_url,
            query: self.query,
            campaign: self.campaign,
            name: self.name,
            labels: self.labels,
            created_at: identity.created_at,
            updated_at: now,
            updated_by: by.to_owned(),
            scheduled: None,
        })
    }
}

/// The part of a tag that no request sets.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Whose it is.
    pub workspace: WorkspaceId,
    /// The host of its short URL.
    pub domain: Domain,
    /// The path of its short URL.
    pub code: Code,
    /// The version that is being made.
    pub version: Version,
    /// When the first version was made.
    pub created_at: Timestamp,
}

impl Identity {
    /// What a new tag has.
    pub fn first_version(
        workspace: &WorkspaceId,
        domain: &Domain,
        code: &Code,
        made_at: Timestamp,
    ) -> Self {
        Self {
            workspace: workspace.clone(),
            domain: domain.clone(),
            code: code.clone(),
            version: Version::FIRST,
            created_at: made_at,
        }
    }

    /// The next version of a tag.
    pub fn next_version_of(tag: &Tag) -> Self {
        Self {
            workspace: tag.workspace.clone(),
            domain: tag.domain.clone(),
            code: tag.code.clone(),
            version: tag.version.next(),
            created_at: tag.created_at,
        }
    }
}
