//! A tag: what is known of one printed code, whole, and the borrowed view of it that a redirect needs.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

use crate::{
    Code, Destination, Domain, QueryMode, Rules, RulesView, ScanNumbers, Scheduled, WorkspaceId,
};

/// A word or number that is none of the allowed ones.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{given}' is not a {what}: use {allowed}")]
pub struct InvalidValue {
    pub(crate) what: &'static str,
    pub(crate) given: String,
    pub(crate) allowed: &'static str,
}

impl InvalidValue {
    pub(crate) fn new(what: &'static str, given: impl fmt::Display, allowed: &'static str) -> Self {
        Self {
            what,
            given: given.to_string().chars().take(100).collect(),
            allowed,
        }
    }
}

/// How often a tag has changed; the first is 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version(u64);

impl Version {
    /// What a new tag has.
    pub const FIRST: Self = Self(1);

    /// A version from its number; 0 is none.
    pub fn new(number: u64) -> Option<Self> {
        (number > 0).then_some(Self(number))
    }

    /// The number.
    pub fn get(self) -> u64 {
        self.0
    }

    /// The version of the next change.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a tag is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// It redirects.
    Active,
    /// It does not for now.
    Paused,
    /// It never will again, and its code is not given out a second time.
    Revoked,
}

impl Status {
    /// The word in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Revoked => "revoked",
        }
    }
}

impl FromStr for Status {
    type Err = InvalidValue;
    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        match text {
            "active" => Ok(Self::Active),
            "paused" => Ok(Self::Paused),
            "revoked" => Ok(Self::Revoked),
            _ => Err(InvalidValue::new(
                "status",
                text,
                "active, paused or revoked",
            )),
        }
    }
}

/// The status code of a redirect, RFC 9110 §15.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RedirectStatus {
    /// 301: clients and caches may keep it.
    MovedPermanently,
    /// 302, the default.
    Found,
    /// 303.
    SeeOther,
    /// 307.
    TemporaryRedirect,
    /// 308: clients and caches may keep it.
    PermanentRedirect,
}

impl RedirectStatus {
    /// The status code.
    pub fn code(self) -> u16 {
        match self {
            Self::MovedPermanently => 301,
            Self::Found => 302,
            Self::SeeOther => 303,
            Self::TemporaryRedirect => 307,
            Self::PermanentRedirect => 308,
        }
    }

    /// Whether a client may keep the answer, which is why such a tag can have nothing that changes over time.
    pub fn is_permanent(self) -> bool {
        matches!(self, Self::MovedPermanently | Self::PermanentRedirect)
    }
}

impl TryFrom<u32> for RedirectStatus {
    type Error = InvalidValue;
    fn try_from(code: u32) -> Result<Self, InvalidValue> {
        match code {
            301 => Ok(Self::MovedPermanently),
            302 => Ok(Self::Found),
            303 => Ok(Self::SeeOther),
            307 => Ok(Self::TemporaryRedirect),
            308 => Ok(Self::PermanentRedirect),
            _ => Err(InvalidValue::new(
                "redirect status",
                code,
                "301, 302, 303, 307 or 308",
            )),
        }
    }
}

/// How often a tag may redirect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MaxScans(u64);

impl MaxScans {
    /// As far as the numbers of scans go.
    pub const MAX: u64 = ScanNumbers::MAX;

    /// So many scans, 1 to [`MaxScans::MAX`].
    pub fn new(scans: u64) -> Result<Self, InvalidValue> {
        match scans {
            1..=Self::MAX => Ok(Self(scans)),
            _ => Err(InvalidValue::new(
                "number of scans",
                scans,
                "1 to 9007199254740991",
            )),
        }
    }

    /// How many.
    pub fn get(self) -> u64 {
        self.0
    }
}

/// One printed code and everything about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Tag {
    /// Whose it is.
    pub workspace: WorkspaceId,
    /// The host of its short URL.
    pub domain: Domain,
    /// The path of its short URL.
    pub code: Code,
    /// How often it has changed.
    pub version: Version,
    /// Where it is in its life.
    pub status: Status,
    /// Where it leads, unless a rule says otherwise.
    pub destination: Destination,
    /// Where it leads for whom.
    pub rules: Rules,
    /// With which status.
    pub redirect_status: RedirectStatus,
    /// How long a client may keep a permanent redirect, in seconds; only with 301 and 308.
    pub cache_max_age: Option<u32>,
    /// Before this it answers as if it were not there.
    pub starts_at: Option<Timestamp>,
    /// From this on it has ended.
    pub expires_at: Option<Timestamp>,
    /// After so many scans it has ended.
    pub max_scans: Option<MaxScans>,
    /// Where it leads when it does not redirect; before the workspace's.
    pub fallback_url: Option<Destination>,
    /// What becomes of the visitor's query.
    pub query: QueryMode,
    /// A name to count by; may be empty.
    pub campaign: String,
    /// For people; may be empty.
    pub name: String,
    /// For filters.
    pub labels: Vec<String>,
    /// When the first version was made.
    pub created_at: Timestamp,
    /// When this version was made.
    pub updated_at: Timestamp,
    /// Which key made this version.
    pub updated_by: String,
    /// What becomes of it by itself.
    pub scheduled: Option<Box<Scheduled>>,
}

impl Tag {
    /// How long clients keep a permanent redirect that does not say, in seconds.
    pub const DEFAULT_CACHE_MAX_AGE: u32 = 3600;

    /// The first version of a tag that redirects, with nothing said that need not be.
    #[must_use]
    pub fn new(
        workspace: WorkspaceId,
        domain: Domain,
        code: Code,
        destination: Destination,
        made_at: Timestamp,
    ) -> Self {
        Self {
            workspace,
            domain,
            code,
            version: Version::FIRST,
            status: Status::Active,
            destination,
            rules: Rules::default(),
            redirect_status: RedirectStatus::Found,
            cache_max_age: None,
            starts_at: None,
            expires_at: None,
            max_scans: None,
            fallback_url: None,
            query: QueryMode::default(),
            campaign: String::new(),
            name: String::new(),
            labels: Vec::new(),
            created_at: made_at,
            updated_at: made_at,
            updated_by: String::new(),
            scheduled: None,
        }
    }

    /// What a redirect needs of it.
    pub fn view(&self) -> TagView<'_> {
        TagView {
            domain: self.domain.as_str(),
            code: self.code.as_str(),
            workspace: self.workspace.as_str(),
            version: self.version,
            status: self.status,
            destination: self.destination.as_str(),
            rules: self.rules.view(),
            redirect_status: self.redirect_status,
            cache_max_age: self.cache_max_age,
            starts_at: self.starts_at,
            expires_at: self.expires_at,
            max_scans: self.max_scans,
            is_counted: self.max_scans.is_some() || self.rules.view().ask_scan_number(),
            fallback_url: self.fallback_url.as_ref().map(Destination::as_str),
            query: self.query,
            campaign: &self.campaign,
        }
    }
}

/// The part of a tag that a redirect reads, borrowed from wherever the table keeps it.
#[derive(Clone, Copy, Debug)]
pub struct TagView<'a> {
    /// See [`Tag::domain`].
    pub domain: &'a str,
    /// See [`Tag::code`].
    pub code: &'a str,
    /// See [`Tag::workspace`].
    pub workspace: &'a str,
    /// See [`Tag::version`].
    pub version: Version,
    /// See [`Tag::status`].
    pub status: Status,
    /// See [`Tag::destination`].
    pub destination: &'a str,
    /// See [`Tag::rules`].
    pub rules: RulesView<'a>,
    /// See [`Tag::redirect_status`].
    pub redirect_status: RedirectStatus,
    /// See [`Tag::cache_max_age`].
    pub cache_max_age: Option<u32>,
    /// See [`Tag::starts_at`].
    pub starts_at: Option<Timestamp>,
    /// See [`Tag::expires_at`].
    pub expires_at: Option<Timestamp>,
    /// See [`Tag::max_scans`].
    pub max_scans: Option<MaxScans>,
    /// Whether its scans are counted, since its limit or one of its rules depends on their number.
    pub is_counted: bool,
    /// See [`Tag::fallback_url`].
    pub fallback_url: Option<&'a str>,
    /// See [`Tag::query`].
    pub query: QueryMode,
    /// See [`Tag::campaign`].
    pub campaign: &'a str,
}
