//! The program from outside: what it refuses to start with and in which words, how it starts, and how it ends.

#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

#[path = "../../../facts/tests/mmdb/mod.rs"]
#[allow(dead_code)] // forged files are `facts`' matter
mod mmdb;

mod cluster;
mod commands;
mod counting;
mod descriptors;
mod files;
mod https;
mod import;
mod ledger;
mod rebuild;
mod refusals;
mod reload;
mod site;
mod standalone;
mod upgrade;
mod webhooks;
