//! What a request gets. Pure, and the same whatever protocol brought the request: every way in calls [`answer`].

use std::borrow::Cow;

use jiff::Timestamp;
use table::View;
use tags::{
    Decision, DomainSettings, Facts, Hsts, Outcome, UpstreamUrl, WorkspaceId, code_in_path, decide,
};

use crate::options::Site;
use crate::pages::{Content, Page};
use crate::rate_limits::{Exceeded, Wanted};
use crate::request::{Method, Request};

/// An answer, before it is put into a protocol's words.
#[derive(Debug)]
pub struct Answer<'a> {
    /// The status code.
    pub status: u16,
    /// `Location`.
    pub location: Option<Cow<'a, str>>,
    /// For how many seconds the client itself may keep the answer; none: `no-store`.
    pub max_age: Option<u32>,
    /// `Retry-After`, in seconds.
    pub retry_after: Option<u32>,
    /// `RateLimit-Policy` and `RateLimit`: what there has been too much of.
    pub exceeded: Option<Exceeded>,
    /// `Strict-Transport-Security`.
    pub hsts: Option<Hsts>,
    /// The content. HEAD gets the headers that describe it.
    pub body: Body,
    /// What is to be recorded before the answer is given, if the request was a scan.
    pub scan: Option<Scanned<'a>>,
    /// The site that is to answer instead, and its domain; nothing else here is said then.
    pub upstream: Option<(&'a UpstreamUrl, &'a DomainSettings)>,
}

/// An answer's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// None.
    Empty,
    /// Plain text.
    Text(&'static str),
    /// Said to people or programs, as they prefer.
    Page(Page),
}

/// Which tag was asked for, and how that ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Scanned<'a> {
    /// The tag's workspace, or for an unknown code the domain's.
    pub workspace: &'a str,
    /// The domain as it is configured.
    pub domain: &'a str,
    /// The code as it is stored.
    pub code: Cow<'a, str>,
    /// The tag's campaign, or empty.
    pub campaign: &'a str,
    /// The tag's version; 0 for an unknown code.
    pub tag_version: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// The name of the rule that decided, or empty.
    pub rule: &'a str,
    /// Which of that rule's destinations it led to.
    pub destination_index: u32,
}

/// Answers a request at this moment. While `draining`, only the health check differs. Of the facts, only those are asked for that the
/// tag depends on. `admission` says which limit is exceeded by what is asked for, if any, before anything is decided about it: what is
/// withheld is no scan, and takes no number of its tag.
pub fn answer<'a>(
    request: &Request<'a>,
    facts: &impl Facts,
    view: &'a View<'_>,
    now: Timestamp,
    site: &Site,
    draining: bool,
    admission: impl FnOnce(&Wanted<'_>) -> Option<Exceeded>,
) -> Answer<'a> {
    let served = match request.method {
        Method::Get | Method::Head => None,
        Method::Registered | Method::Never => Some(Page::MethodNotAllowed),
        Method::Unknown => Some(Page::NotImplemented),
    };
    if request.path == site.health_path {
        return served.map_or_else(|| health(draining), Answer::page);
    }
    let domain = match domain(request, view, site) {
        Ok(domain) => domain,
        Err(Page::Unavailable) => return unavailable(site),
        Err(page) => return Answer::page(page),
    };
    let upstream = domain
        .upstream_url
        .as_ref()
        .filter(|_| is_upstreams(request, view, domain));
    if domain.https_redirect && !request.tls && (served.is_none() || upstream.is_some()) {
        return to_https(request, site, domain);
    }
    let answer = match (upstream, served) {
        (Some(url), _) => Answer {
            upstream: Some((url, domain)),
            ..Answer::page(Page::BadGateway)
        },
        (None, Some(page)) => Answer::page(page),
        (None, None) => of_domain(request, facts, view, now, site, domain, admission),
    };
    Answer {
        // RFC 6797 §7.2: never over plain HTTP.
        hsts: domain.hsts.filter(|_| request.tls),
        ..answer
    }
}

fn of_domain<'a>(
    request: &Request<'a>,
    facts: &impl Facts,
    view: &'a View<'_>,
    now: Timestamp,
    site: &Site,
    domain: &'a DomainSettings,
    admission: impl FnOnce(&Wanted<'_>) -> Option<Exceeded>,
) -> Answer<'a> {
    match request.path {
        "/" => home(domain),
        "/robots.txt" => Answer {
            body: Body::Text("User-agent: *\nDisallow: /\n"),
            ..Answer::empty(200)
        },
        "/favicon.ico" => Answer::empty(204),
        _ if !view.is_complete() => unavailable(site),
        path => match code_in_path(path) {
            Some(code) => tag(facts, view, now, domain, code, admission),
            None => decided(
                Decision::without_tag(Outcome::Unknown, domain_fallback(domain)),
                None,
            ),
        },
    }
}

impl Answer<'_> {
    /// What a request gets that is refused for itself, whatever the table holds.
    pub fn page(page: Page) -> Self {
        Answer {
            body: Body::Page(page),
            ..Answer::empty(page.status())
        }
    }

    /// What was asked for too often gets, and is no scan.
    fn withheld(exceeded: Exceeded) -> Self {
        Answer {
            // Within that time the next is let through: limits are of whole numbers a second.
            retry_after: Some(1),
            exceeded: Some(exceeded),
            ..Answer::page(Page::TooManyRequests)
        }
    }

    /// Whether `Allow` is to be said (RFC 9110 §15.5.6).
    pub fn says_allow(&self) -> bool {
        self.status == 405
    }

    /// The content and its media type, in the form that the Accept lines prefer.
    pub fn content<'l>(
        &self,
        accept: impl Iterator<Item = &'l [u8]>,
    ) -> Option<(&'static str, &'static [u8])> {
        match self.body {
            Body::Empty => None,
            Body::Text(text) => Some(("text/plain; charset=utf-8", text.as_bytes())),
            Body::Page(page) => {
                let Content { media_type, bytes } =
                    page.content(crate::accept::prefers_json(accept));
                Some((media_type, bytes))
            }
        }
    }

    fn empty(status: u16) -> Self {
        Answer {
            status,
            location: None,
            max_age: None,
            retry_after: None,
            exceeded: None,
            hsts: None,
            body: Body::Empty,
            scan: None,
            upstream: None,
        }
    }

    /// What a visitor gets where something else stands in.
    pub(crate) fn fallback(url: &str) -> Answer<'_> {
        Answer {
            location: Some(Cow::Borrowed(url)),
            ..Answer::empty(302)
        }
    }
}

/// Whether a request on a domain with a site behind it is the site's: it is for no tag of the domain's. An unknown code may be a page of
/// the site (`/about`), so it is the site's too, and no scan; a tag is a tag in every state, revoked ones included, whatever the method.
/// The domain's home comes before the site's.
fn is_upstreams(request: &Request<'_>, view: &View<'_>, domain: &DomainSettings) -> bool {
    if matches!(request.method, Method::Never | Method::Unknown) || !request.path.starts_with('/') {
        return false;
    }
    match code_in_path(request.path) {
        // Until the table is complete, nobody knows which codes are tags.
        Some(code) => {
            let code = as_stored(code, domain);
            view.is_complete() && view.tag(domain.name.as_str(), &code).is_none()
        }
        None => request.path != "/" || domain.home_url.is_none(),
    }
}

/// The domain that the request's host names, or what to say instead.
fn domain<'a>(
    request: &Request<'_>,
    view: &'a View<'_>,
    site: &Site,
) -> Result<&'a DomainSettings, Page> {
    let default = || view.default_domain();
    let found = match request.host {
        None => default(),
        Some(host) => {
            let named = host.with_key(|key| view.domain(key));
            named.or_else(|| default().filter(|_| site.any_host && !view.has_other_domains()))
        }
    };
    // Before the table is complete, and before anything has been set up, nobody knows that the host is not ours.
    let known = || view.is_complete() && default().is_some();
    found.ok_or_else(|| match known() {
        true => Page::Misdirected,
        false => Page::Unavailable,
    })
}

fn health(draining: bool) -> Answer<'static> {
    if draining {
        Answer {
            body: Body::Text("draining"),
            ..Answer::empty(503)
        }
    } else {
        Answer {
            body: Body::Text("ok"),
            ..Answer::empty(200)
        }
    }
}

/// The same address over TLS: 301, which every client follows, and for methods that it would change, as only a site behind the domain
/// serves, 308. Nobody keeps it, since like all answers it says `no-store`, so that the setting can be taken back.
fn to_https<'a>(request: &Request<'_>, site: &Site, domain: &DomainSettings) -> Answer<'a> {
    let name = domain.name.as_str();
    let host = match name.contains(':') {
        true => format!("[{name}]"),
        false => name.to_owned(),
    };
    let port = match site.https_port {
        443 => String::new(),
        port => format!(":{port}"),
    };
    let query = match request.query {
        "" => String::new(),
        query => format!("?{query}"),
    };
    let status = match request.method {
        Method::Get | Method::Head => 301,
        _ => 308,
    };
    let location = format!("https://{host}{port}{}{query}", request.path);
    Answer {
        location: Some(Cow::Owned(location)),
        ..Answer::empty(status)
    }
}

fn unavailable(site: &Site) -> Answer<'static> {
    Answer {
        retry_after: Some(site.retry_after),
        ..Answer::page(Page::Unavailable)
    }
}

fn home(domain: &DomainSettings) -> Answer<'_> {
    match &domain.home_url {
        Some(url) => Answer {
            location: Some(Cow::Borrowed(url.as_str())),
            ..Answer::empty(302)
        },
        None => Answer::page(Page::Home),
    }
}

fn tag<'a>(
    facts: &impl Facts,
    view: &'a View<'_>,
    now: Timestamp,
    domain: &'a DomainSettings,
    code: Cow<'a, str>,
    admission: impl FnOnce(&Wanted<'_>) -> Option<Exceeded>,
) -> Answer<'a> {
    let code = as_stored(code, domain);
    let name = domain.name.as_str();
    let found = view.tag_at(name, &code, now);
    let of_domain = || domain.workspace.as_ref().map(WorkspaceId::as_str);
    let workspace = match &found {
        Some(tag) => tag.workspace,
        None => of_domain().unwrap_or(DEFAULT_WORKSPACE),
    };
    let wanted = Wanted {
        workspace,
        domain: name,
        code: &code,
        is_tag: found.is_some(),
    };
    if let Some(exceeded) = admission(&wanted) {
        return Answer::withheld(exceeded);
    }
    let Some(tag) = found else {
        let decision = Decision::without_tag(Outcome::Unknown, domain_fallback(domain));
        let outcome = decision.outcome;
        return decided(
            decision,
            Some(Scanned {
                workspace,
                domain: name,
                code,
                campaign: "",
                tag_version: 0,
                outcome,
                rule: "",
                destination_index: 0,
            }),
        );
    };
    let workspace_fallback = || {
        let workspace = view.workspace(tag.workspace)?;
        Some(workspace.fallback_url.as_ref()?.as_str())
    };
    let decision = decide(&tag, workspace_fallback, facts, now);
    let (outcome, tag_version) = (decision.outcome, tag.version.get());
    let (rule, destination_index) = (decision.rule, decision.destination_index);
    decided(
        decision,
        Some(Scanned {
            workspace,
            domain: name,
            code,
            campaign: tag.campaign,
            tag_version,
            outcome,
            rule,
            destination_index,
        }),
    )
}

/// Whose unknown codes are on a domain that all workspaces share.
const DEFAULT_WORKSPACE: &str = "default";

/// A case-insensitive domain keeps its codes in lower case.
fn as_stored<'a>(code: Cow<'a, str>, domain: &DomainSettings) -> Cow<'a, str> {
    if domain.case_insensitive && code.bytes().any(|b| b.is_ascii_uppercase()) {
        Cow::Owned(code.to_ascii_lowercase())
    } else {
        code
    }
}

fn domain_fallback(domain: &DomainSettings) -> Option<&str> {
    domain.fallback_url.as_ref().map(|url| url.as_str())
}

fn decided<'a>(decision: Decision<'a>, scan: Option<Scanned<'a>>) -> Answer<'a> {
    let body = match decision.location {
        Some(_) => Body::Empty,
        None => Body::Page(Page::for_outcome(decision.outcome)),
    };
    Answer {
        status: decision.status,
        location: decision.location,
        max_age: decision.max_age,
        retry_after: None,
        exceeded: None,
        hsts: None,
        body,
        scan,
        upstream: None,
    }
}
