//! uap-core's patterns, compiled. They are part of the program; see `data/uap-core/README.md` for their version and origin.

use ua_parser::{Extractor, Regexes};

const REGEXES: &str = include_str!("../data/uap-core/regexes.json");

/// The patterns that are built into the program could not be compiled: a mistake in the program, not in its use.
#[derive(Debug, thiserror::Error)]
pub enum PatternError {
    /// The list is not what the parser reads.
    #[error("cannot read the built-in User-Agent patterns: {0}; convert data/uap-core again")]
    Read(#[from] serde_json::Error),
    /// A pattern of the list is none.
    #[error(
        "cannot compile the built-in User-Agent patterns: {0}; take another version of uap-core"
    )]
    Compile(#[from] ua_parser::Error),
}

/// Compiles all patterns.
pub(crate) fn compile() -> Result<Extractor<'static>, PatternError> {
    let regexes: Regexes<'static> = serde_json::from_str(REGEXES)?;
    Ok(regexes.try_into()?)
}
