//! What a request tells about its visitor: device, OS, browser, bot and place. Reading only: no network, no clock, no
//! settings. What to do with an answer is left to the rules (`tags`) and to the enrichment of scans (`sink`).
//!
//! | fact | source | how far to trust it |
//! |---|---|---|
//! | [`Os`], [`Browser`], [`Device`] | client hints, where the browser sends them and they are asked for ([`Said`]) | as the next two rows, and a browser that hides its platform in the User-Agent tells it here |
//! | [`Os`], [`Browser`] | User-Agent, by uap-core's patterns | good for browsers people use; the User-Agent is the visitor's own word and may be forged |
//! | [`Device`] | User-Agent, by our own rules over its tokens | good for phones, desktops and TVs. An iPad asks for desktop pages since iPadOS 13 and then sends exactly what a Mac sends: it counts as `desktop` and `macos`, and nothing in the User-Agent can tell. The same holds for a phone that was told to "request the desktop site" |
//! | [`Agent::bot`] | User-Agent, by isbot's patterns, some of ours, and uap-core's | finds bots that say so; one that poses as a browser is not found |
//! | [`CrawlerNetworks`] | the address, by what operators of crawlers publish | certain for those operators, whatever their crawlers call themselves |
//! | [`CountryCode`] | GeoIP file of the operator's choice | usually right, except behind VPNs and roaming phones |
//! | region, city | the same | a hint: mobile networks and carrier NAT place whole regions in one city |
//!
//! Two absences differ: a fact that nothing was said about is `None` (shown as `unknown`), one that was said but not
//! recognised is `Other`.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod agent;
mod agent_cache;
mod bot;
mod bot_reason;
mod browser;
mod crawlers;
mod device;
mod hints;
mod os;
mod patterns;
mod place;
mod places;
mod places_file;
mod trusted_proxies;

pub use agent::{Agent, Agents, LazyAgents, Said};
pub use agent_cache::AgentCache;
pub use bot_reason::BotReason;
pub use crawlers::{CrawlerNetworks, CrawlersError, Networks};
pub use patterns::PatternError;
pub use place::{CountryCode, NotACountryCode, Place, RegionCode};
pub use places::{Places, PlacesError};
pub use places_file::{PlacesFile, Reload};
pub use tags::{Browser, Device, Os};
pub use trusted_proxies::TrustedProxies;
