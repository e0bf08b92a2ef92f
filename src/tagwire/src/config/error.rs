//! What can be wrong with the configuration, each in one line that says where it stands and what is allowed.

use std::fmt;
use std::path::PathBuf;

use super::layers::variable;

/// Where a value was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    File(PathBuf),
    Variable(String),
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(formatter, "config file {}", path.display()),
            Self::Variable(name) => write!(formatter, "environment variable {name}"),
            Self::Flag(flag) => formatter.write_str(flag),
        }
    }
}

/// Why the configuration was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("reading the config file {}: {source}; check the path given to --config", path.display())]
    File {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("config file {}: not valid TOML: {reason}", path.display())]
    Syntax { path: PathBuf, reason: String },
    #[error("{origin}: unknown key {key}; {allowed}")]
    UnknownKey {
        origin: Origin,
        key: String,
        allowed: String,
    },
    #[error("{origin}: unknown section {section}; {allowed}")]
    UnknownSection {
        origin: Origin,
        section: String,
        allowed: String,
    },
    #[error("{origin}: {key} is {given}; it must be {allowed}")]
    Invalid {
        origin: Origin,
        key: String,
        given: String,
        allowed: String,
    },
    #[error(
        "{key} is not set, and the role {role} needs it: {allowed}; set it in the config file or as {variable}"
    )]
    Missing {
        key: &'static str,
        role: &'static str,
        allowed: &'static str,
        variable: String,
    },
    #[error("the host's name {name:?} cannot be node.id; set node.id to {allowed}")]
    HostName { name: String, allowed: &'static str },
}

impl ConfigError {
    pub(crate) fn missing(key: &'static str, role: &'static str, allowed: &'static str) -> Self {
        Self::Missing {
            key,
            role,
            allowed,
            variable: variable(key),
        }
    }
}
