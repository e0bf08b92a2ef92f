//! The admin over real HTTP, on a real journal, index and scan store: everything that a client can see of it.

mod accounts;
mod analytics;
mod bodies;
mod create;
mod document;
mod domains;
mod edit;
mod faults;
mod life;
mod list;
mod loops;
mod permission;
mod races;
mod revoked;
mod roads;
mod support;
mod symbols;
mod tenants;
mod times;
