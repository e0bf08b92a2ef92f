//! What a decision may ask about a request. How a fact is found out is left to whoever implements [`Facts`]: the edge from the
//! request, a simulation from what it is told.

use std::net::IpAddr;

use crate::{Browser, Device, Os, TagView};

/// A request's facts. Each is asked for only where a tag depends on it, so an implementation finds it out at the first question and
/// keeps it for the next: what a fact costs is paid by the tags that need it. None: unknown.
pub trait Facts {
    /// The query as sent, without `?`.
    fn query(&self) -> &str;

    /// The country that the client's address is in, ISO 3166-1 alpha-2 in capitals.
    fn country(&self) -> Option<&str>;

    /// The region that it is in, ISO 3166-2 with its country, as in `DE-BY`.
    fn region(&self) -> Option<&str>;

    /// The class of the client's device.
    fn device(&self) -> Option<Device>;

    /// Its operating system.
    fn os(&self) -> Option<Os>;

    /// Its browser.
    fn browser(&self) -> Option<Browser>;

    /// Whether it says that no person is there.
    fn bot(&self) -> Option<bool>;

    /// The lines of `Accept-Language` (RFC 9110 §12.5.4), as sent.
    fn languages(&self) -> impl Iterator<Item = &[u8]>;

    /// The client's address.
    fn address(&self) -> Option<IpAddr>;

    /// `User-Agent` as sent; empty for none.
    fn user_agent(&self) -> &[u8];

    /// Which scan of this tag the request is, from 1; for one that is not counted, which the next would be. Asked once, of a tag whose scans
    /// are counted, when nothing but its limit can keep it from redirecting any more: whoever counts has the request take its number now, but
    /// for one beyond the limit, which nobody takes.
    fn scan_number(&self, tag: &TagView<'_>) -> Option<u64>;
}
