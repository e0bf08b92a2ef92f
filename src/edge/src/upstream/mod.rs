//! Brands' own sites behind their domains: every path that is neither a tag's nor the health check's goes to the domain's upstream.
//!
//! A request's road: the express lane has read its head and found that it is a site's; [`Forward`] is the head as the site gets it;
//! `handover` gives the connection to `general`, which lets Pingora's `proxy` see that one request (`request_stream`, `content`) and
//! takes the connection back. Which paths go is decided in `answer`, like everything else that a request can get.

mod admission;
mod content;
mod failure;
mod forward;
mod general;
mod handover;
mod http2;
mod metrics;
mod options;
mod pace;
mod proxy;
mod request_stream;
mod resolver;
mod response;

pub use content::ContentFraming;
pub(crate) use content::ContentReader;
pub(crate) use forward::{Forward, Visit};
pub(crate) use general::{GeneralLane, Upstreams};
pub(crate) use http2::{ForSite, StreamEnd};
pub(crate) use metrics::UpstreamMetrics;
pub use options::UpstreamOptions;
