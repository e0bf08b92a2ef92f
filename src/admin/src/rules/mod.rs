//! A tag's rules in JSON: how they are read, with all that is wrong at its place, and how they are answered.

mod read;
mod shown;

pub(crate) use read::read;
pub(crate) use shown::{RuleJson, WarningJson};
