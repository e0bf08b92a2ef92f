//! Hosts that no tag may lead to: read from files as others publish them, kept in little memory, followed while the program runs. Who
//! asks, and what becomes of what is found, is the admin's matter.

mod error;
mod files;
mod hosts;
mod lines;

pub use error::BlocklistError;
pub use files::{Blocklists, Listed, Prepared, Reload};
pub use hosts::Hosts;
