//! The edge from outside: what `answer` gives in every case that a request can be, and what a real server says to raw bytes.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod admission;
mod answers;
mod cancelled_streams;
mod certificates;
mod connections;
mod corpus;
mod count_exchange;
mod counting;
mod crawlers;
mod feed;
mod fixture;
mod framing;
mod heartbeats;
mod http2;
mod http2_frames;
mod inherited;
mod limits;
#[path = "../../../facts/tests/mmdb/mod.rs"]
#[allow(dead_code)] // forged files are `facts`' matter
mod mmdb;
mod places;
mod proxy_protocol;
mod rate_limits;
mod rebuilds;
mod rules;
mod scans_recorded;
mod shared_salts;
mod site;
mod slow_clients;
mod starting;
mod tls;
mod tls_client;
mod upstream;
mod upstream_faults;
mod ways_in;
