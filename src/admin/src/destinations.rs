//! Where this installation lets tags, workspaces and domains lead: the one policy that every door asks. What no installation allows is
//! [`Destination`]'s; here it is what depends on which domains are ours, and on blocklists.

use std::borrow::Cow;
use std::iter;
use std::sync::Arc;

use blocklist::{Blocklists, Listed};
use tags::{Destination, Domain, DomainSettings, Rules, Tag, Targets, code_in_path};

use crate::service::Admin;

/// What a destination is judged by.
pub(crate) struct DestinationPolicy<'a> {
    is_own: Box<dyn Fn(&str) -> bool + Send + Sync + 'a>,
    blocklists: &'a Blocklists,
}

impl<'a> DestinationPolicy<'a> {
    /// `is_own` tells which hosts are Tagwire's: a destination there that is answered as a code would be a loop.
    pub(crate) fn new(
        is_own: impl Fn(&str) -> bool + Send + Sync + 'a,
        blocklists: &'a Blocklists,
    ) -> Self {
        Self {
            is_own: Box::new(is_own),
            blocklists,
        }
    }

    /// The destination that a text is; else why it is none, for people.
    pub(crate) fn parse(&self, text: &str) -> Result<Destination, String> {
        let destination = Destination::parse(text).map_err(|error| error.to_string())?;
        self.check(&destination)?;
        Ok(destination)
    }

    /// Refuses a destination that leads back to us, or whose host is on a blocklist.
    pub(crate) fn check(&self, destination: &Destination) -> Result<(), String> {
        if destination.leads_back(&self.is_own, |path| code_in_path(path).is_some()) {
            return Err("leads back to a short URL of this service, which would be a loop; give the final address".to_owned());
        }
        self.check_lists(destination)
    }

    /// Refuses a destination whose host is on a blocklist.
    pub(crate) fn check_lists(&self, destination: &Destination) -> Result<(), String> {
        let Some(host) = destination.host() else {
            return Ok(());
        };
        let Some(Listed { list, entry }) = self.blocklists.find(host) else {
            return Ok(());
        };
        let entry = if entry == host {
            String::new()
        } else {
            format!(" as a part of '{entry}'")
        };
        Err(format!(
            "leads to '{host}', which is on the blocklist '{list}'{entry}; give another destination"
        ))
    }
}

impl Admin {
    /// What destinations are judged by here.
    pub(crate) fn destination_policy(&self) -> DestinationPolicy<'_> {
        DestinationPolicy::new(self.is_own_domain(), &self.options().blocklists)
    }

    /// Whether a host is one of ours, so that a destination there may be a loop. A host that cannot be looked up counts as ours: refusing
    /// a good destination can be mended, a loop in print cannot.
    pub(crate) fn is_own_domain(&self) -> impl Fn(&str) -> bool + use<> {
        let index = Arc::clone(self.index());
        move |host| match Domain::parse(host) {
            Ok(domain) => index.is_domain(&domain).unwrap_or(true),
            Err(_) => false,
        }
    }
}

/// Everywhere that a tag may lead by itself, each with what people call it.
pub(crate) fn places_of(tag: &Tag) -> impl Iterator<Item = (Cow<'static, str>, &Destination)> {
    places(
        Some(&tag.destination),
        tag.fallback_url.as_ref(),
        &tag.rules,
    )
}

/// The same without its fallback: where it leads while it is on the air.
pub(crate) fn targets_of(tag: &Tag) -> impl Iterator<Item = (Cow<'static, str>, &Destination)> {
    places(Some(&tag.destination), None, &tag.rules)
}

/// Everywhere that a domain leads beside its tags.
pub(crate) fn places_of_domain(domain: &DomainSettings) -> Vec<(&'static str, Destination)> {
    let site = domain.upstream_url.as_ref();
    let site = site.and_then(|url| Destination::from_stored(url.as_str()).ok());
    let places = [
        ("home_url", domain.home_url.clone()),
        ("fallback_url", domain.fallback_url.clone()),
        ("upstream_url", site),
    ];
    let given = places.into_iter();
    given.filter_map(|(name, url)| Some((name, url?))).collect()
}

/// As [`places_of`], of a tag's fields.
pub(crate) fn places<'a>(
    destination: Option<&'a Destination>,
    fallback: Option<&'a Destination>,
    rules: &'a Rules,
) -> impl Iterator<Item = (Cow<'static, str>, &'a Destination)> {
    let destination = destination.map(|url| (Cow::Borrowed("destination"), url));
    let fallback = fallback.map(|url| (Cow::Borrowed("fallback_url"), url));
    let of_rules = rules.list().iter().flat_map(|rule| {
        let (one, several): (_, &[_]) = match &rule.to {
            Targets::One(url) => (Some(url), &[]),
            Targets::Weighted(targets) => (None, targets),
        };
        let urls = one
            .into_iter()
            .chain(several.iter().map(|target| &target.url));
        urls.zip(iter::repeat(format!("rule '{}'", rule.name)))
    });
    let of_rules = of_rules.map(|(url, name)| (Cow::Owned(name), url));
    destination.into_iter().chain(fallback).chain(of_rules)
}
