//! The edge: answers scans from memory, records each before its answer is sent, and depends on nothing behind it.
//!
//! A request's road: [`EdgeServer`] accepts, `lane` and `connection` receive and send, `conversation` reads heads ([`Head::read`]), asks
//! [`answer()`], records the scan (`record`) and writes (`http1`). What a request gets is decided in [`answer()`] alone, within the
//! [`RateLimits`]; what is for a site behind a domain goes there by the general lane (`upstream`). [`Feed`] keeps the table current,
//! [`Counting`] the numbers of scans.

mod accept;
mod admission;
mod answer;
mod arrivals;
mod connection;
mod conversation;
mod counting;
mod feed;
mod fields;
#[doc(hidden)]
pub mod fuzzing;
mod head;
mod heartbeat;
mod host;
mod http1;
mod http2;
mod http2_answer;
mod http2_request;
mod http2_watch;
mod inherited;
mod lane;
mod last_arrivals;
mod metrics;
mod options;
mod pages;
mod proxy_protocol;
mod rate_limits;
mod record;
mod request;
mod request_facts;
mod salts;
mod server;
mod sockets;
mod target;
mod tls;
mod upstream;
mod worker_thread;

pub use admission::ConnectionLimits;
pub use answer::{Answer, Body, Scanned, answer};
pub use counting::{CountExchange, Counting, Tallies};
pub use feed::{Feed, FeedState, SnapshotOptions, SnapshotOrders};
pub use fields::Fields;
pub use head::{Head, Reading};
pub use heartbeat::{AboutEdge, Heartbeats};
pub use host::Host;
pub use inherited::Inherited;
pub use metrics::EdgeMetrics;
pub use options::{EdgeOptions, Limits, Site, Trust};
pub use pages::{CONTENT_SECURITY_POLICY, Content, Page};
pub use rate_limits::{Exceeded, RateLimit, RateLimiter, RateLimits, Wanted};
pub use request::{Method, Request};
pub use request_facts::{FactSources, RequestFacts};
pub use salts::SharedSalts;
pub use server::{Drained, EdgeServer, StartError};
pub use sockets::SocketOptions;
pub use tls::{CertificatesError, PairError, TicketKeysError, Tls, TlsError, TlsOptions};
pub use upstream::{ContentFraming, UpstreamOptions};
