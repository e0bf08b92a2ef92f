//! How many redirects a workspace, a tag and a client address get in a second, and how many unknown codes an address may ask for. What is
//! beyond is answered 429, and is no scan. Each edge counts for itself.

mod cells;

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use table::View;

use crate::admission::Client;
use cells::{Cells, TICK};

/// How many workspaces, tags and addresses can be told apart in a second; eight bytes each. With more, those are forgotten that ask
/// least often.
const WORKSPACES: usize = 1 << 13;
const TAGS: usize = 1 << 16;
const ADDRESSES: usize = 1 << 18;

/// How many there may be in a second; 0: as many as come. What a workspace may have is in its own settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimits {
    /// Redirects for one client address, an IPv6 /64 counting as one. Networks of mobile phones put a city behind an address.
    pub redirects_per_address: u32,
    /// Redirects of one tag.
    pub redirects_per_tag: u32,
    /// Codes that do not exist, for one client address.
    pub unknown_codes_per_address: u32,
}

impl RateLimits {
    /// None at all.
    pub const NONE: Self = Self {
        redirects_per_address: 0,
        redirects_per_tag: 0,
        unknown_codes_per_address: 0,
    };
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            // Who reads a code from a bad print tries it a few times; who guesses codes asks for hundreds a second.
            unknown_codes_per_address: 10,
            ..Self::NONE
        }
    }
}

/// What there may only be so much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateLimit {
    /// Redirects of a workspace's tags.
    Workspace,
    /// Redirects of a tag.
    Tag,
    /// Redirects for a client address.
    Address,
    /// Unknown codes for a client address.
    UnknownCode,
}

impl RateLimit {
    pub(crate) const ALL: [Self; 4] =
        [Self::Workspace, Self::Tag, Self::Address, Self::UnknownCode];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Workspace => "workspace",
            Self::Tag => "tag",
            Self::Address => "address",
            Self::UnknownCode => "unknown_code",
        }
    }
}

/// What is asked for, of which there may only be so much.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The tag's workspace, or for an unknown code the domain's.
    pub workspace: &'a str,
    /// The domain as it is configured.
    pub domain: &'a str,
    /// The code as it is stored.
    pub code: &'a str,
    /// Whether there is such a tag.
    pub is_tag: bool,
}

/// A limit that is exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// Which.
    pub limit: RateLimit,
    /// How many there may be in a second.
    pub per_second: NonZeroU32,
}

impl Exceeded {
    /// `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-11 §3): so many in a window of one second.
    pub(crate) fn policy(self) -> impl fmt::Display {
        fmt::from_fn(move |f| write!(f, "\"{}\";q={};w=1", self.limit.as_str(), self.per_second))
    }

    /// `RateLimit` (§4): there is nothing left for a second, within which the next is let through.
    pub(crate) fn service_limit(self) -> &'static str {
        match self.limit {
            RateLimit::Workspace => "\"workspace\";r=0;t=1",
            RateLimit::Tag => "\"tag\";r=0;t=1",
            RateLimit::Address => "\"address\";r=0;t=1",
            RateLimit::UnknownCode => "\"unknown_code\";r=0;t=1",
        }
    }
}

/// Counts for all threads of an edge, without a lock and in memory of a fixed size: 4.6 MiB.
pub struct RateLimiter {
    redirects_per_address: AtomicU32,
    redirects_per_tag: AtomicU32,
    unknown_codes_per_address: AtomicU32,
    workspaces: Cells,
    tags: Cells,
    addresses: Cells,
    guessing_addresses: Cells,
    /// Names and addresses are chosen by others: which cells they fall into has to be a secret of the process.
    hasher: RandomState,
    began: Instant,
}

impl RateLimiter {
    /// With these limits, and nothing counted.
    pub fn new(limits: RateLimits) -> Self {
        let limiter = Self {
            redirects_per_address: AtomicU32::default(),
            redirects_per_tag: AtomicU32::default(),
            unknown_codes_per_address: AtomicU32::default(),
            workspaces: Cells::new(WORKSPACES),
            tags: Cells::new(TAGS),
            addresses: Cells::new(ADDRESSES),
            guessing_addresses: Cells::new(ADDRESSES),
            hasher: RandomState::new(),
            began: Instant::now(),
        };
        limiter.set(limits);
        limiter
    }

    /// Other limits from now on.
    pub fn set(&self, limits: RateLimits) {
        let RateLimits {
            redirects_per_address,
            redirects_per_tag,
            unknown_codes_per_address,
        } = limits;
        // Relaxed: each is a number of its own.
        self.redirects_per_address
            .store(redirects_per_address, Ordering::Relaxed);
        self.redirects_per_tag
            .store(redirects_per_tag, Ordering::Relaxed);
        self.unknown_codes_per_address
            .store(unknown_codes_per_address, Ordering::Relaxed);
    }

    /// Counts what is about to be decided. The limit that it exceeds, if any: then it counts for none of those that come after it,
    /// so that who asks too often from one address uses up no tag's share, and a tag that is asked for too often not its workspace's. `client` is
    /// asked for where it matters; none: whoever it is, it is many. So is `now`, and as late as possible: it is compared with what other threads count.
    pub fn exceeded(
        &self,
        wanted: &Wanted<'_>,
        client: impl FnOnce() -> Option<IpAddr>,
        view: &View<'_>,
        now: impl Fn() -> Instant,
    ) -> Option<Exceeded> {
        if !wanted.is_tag {
            let rate = set(&self.unknown_codes_per_address)?;
            let address = Client::from(client()?);
            return self.exceeds(
                RateLimit::UnknownCode,
                &self.guessing_addresses,
                address,
                rate,
                &now,
            );
        }
        let by_address = || {
            let rate = set(&self.redirects_per_address)?;
            let address = Client::from(client()?);
            self.exceeds(RateLimit::Address, &self.addresses, address, rate, &now)
        };
        let by_tag = || {
            let rate = set(&self.redirects_per_tag)?;
            let tag = (wanted.domain, wanted.code);
            self.exceeds(RateLimit::Tag, &self.tags, tag, rate, &now)
        };
        let by_workspace = || {
            let workspace = wanted.workspace;
            let rate = view.redirects_per_second(workspace)?;
            self.exceeds(
                RateLimit::Workspace,
                &self.workspaces,
                workspace,
                rate,
                &now,
            )
        };
        by_address().or_else(by_tag).or_else(by_workspace)
    }

    fn exceeds(
        &self,
        limit: RateLimit,
        cells: &Cells,
        name: impl std::hash::Hash,
        per_second: NonZeroU32,
        now: impl Fn() -> Instant,
    ) -> Option<Exceeded> {
        let hash = self.hasher.hash_one(name);
        let now = now().saturating_duration_since(self.began).as_nanos() as u64; // enough for 500 years
        let admits = cells.admits(hash, per_second, now / TICK);
        (!admits).then_some(Exceeded { limit, per_second })
    }
}

fn set(rate: &AtomicU32) -> Option<NonZeroU32> {
    NonZeroU32::new(rate.load(Ordering::Relaxed))
}
