//! What operators see of a process: logs, metrics, liveness and readiness.
//!
//! Any role may use it. What is logged, counted and checked is each role's own; here is where it goes.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod health;
pub mod http;
mod json_line;
pub mod logging;
pub mod metrics;
pub mod ops;
mod panics;
mod process;

pub use health::{Check, CheckState, Health, Readiness};
