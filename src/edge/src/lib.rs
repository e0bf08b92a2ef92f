//! The edge: answers scans from memory, records each before its answer is sent, and depends on nothing behind it.
//!
//! A request's road: [`EdgeServer`] accepts, `lane` receives and sends, `conversation` reads heads (`head`), asks [`answer()`], records
//! the scan (`record`) and writes (`http1`). What a request gets is decided in [`answer()`] alone. [`Feed`] keeps the table current.

mod accept;
mod answer;
mod client;
mod conversation;
mod feed;
mod head;
mod heartbeat;
mod host;
mod http1;
mod lane;
mod metrics;
mod options;
mod pages;
mod record;
mod request;
mod server;

pub use answer::{Answer, Body, Scanned, answer};
pub use client::TrustedProxies;
pub use feed::{Feed, FeedState};
pub use heartbeat::{AboutEdge, Heartbeats};
pub use host::Host;
pub use metrics::EdgeMetrics;
pub use options::{EdgeOptions, Limits, Site};
pub use pages::{CONTENT_SECURITY_POLICY, Content, Page};
pub use request::{Method, Request};
pub use server::{Drained, EdgeServer, StartError};
