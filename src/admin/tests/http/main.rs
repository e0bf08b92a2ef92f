//! The admin over real HTTP, on a real journal, index and scan store: everything that a client can see of it.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

mod accounts;
mod alerts;
mod analytics;
mod audit;
mod blocklists;
mod bodies;
mod bulk;
mod claims;
mod create;
mod document;
mod domains;
mod edges;
mod edit;
mod erasures;
mod export;
mod faults;
mod formats;
mod half_sent;
mod history;
mod idempotency;
mod import;
mod import_terms;
mod job_faults;
mod keys;
mod lapsed;
mod life;
mod list;
mod live;
mod loops;
#[path = "../../../facts/tests/mmdb/mod.rs"]
#[allow(dead_code)] // forged files are `facts`' matter
mod mmdb;
mod numbers;
mod people;
mod permission;
mod pipeline;
mod races;
mod rate_limits;
mod receiver;
mod retention;
mod revoked;
mod roads;
mod roles;
mod rules;
mod rules_refused;
mod salts;
#[path = "../../../analytics/tests/contract/data.rs"]
#[allow(dead_code)] // the store's own tests use more of it
mod scanned;
mod scans_export;
mod scans_parquet;
mod schedule;
mod sessions;
mod simulate;
mod slow;
mod support;
mod symbols;
mod tenants;
mod times;
mod unusual;
mod usage;
mod walk;
mod webhooks;
mod worked_examples;
mod workspaces;
