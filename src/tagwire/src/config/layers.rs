//! The layers: TOML file, environment, command line, each flattened to `section.key` and laid over the one before.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use config::{FileFormat, Source as _, Value, ValueKind};

use super::error::{ConfigError, Origin};
use super::values::{Given, Values};

/// What an environment variable of ours begins with.
const PREFIX: &str = "TAGWIRE_";

/// The one key that is a table: below it, any name goes.
pub(crate) const KAFKA_OPTIONS: &str = "kafka.options";

/// A value from the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flag {
    /// As it is written: `--listen`.
    pub(crate) flag: &'static str,
    /// The key that it sets.
    pub(crate) key: &'static str,
    pub(crate) value: String,
}

/// The environment variable that sets a key: `TAGWIRE_EDGE__LISTEN`.
pub(crate) fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "__").to_ascii_uppercase())
}

/// The layers so far; the later wins, key by key.
#[derive(Default)]
pub(crate) struct Layers(BTreeMap<String, Given>);

impl Layers {
    pub(crate) fn add_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::File {
            path: path.to_owned(),
            source,
        })?;
        let file = config::File::from_str(&text, FileFormat::Toml);
        let table = file.collect().map_err(|error| ConfigError::Syntax {
            path: path.to_owned(),
            reason: one_line(&error.to_string()),
        })?;
        let origin = Origin::File(path.to_owned());
        for (section, value) in table {
            self.add(&origin, section, value);
        }
        Ok(())
    }

    /// Variables without `__` are not ours: Kubernetes, for one, sets `TAGWIRE_SERVICE_HOST` for a service named tagwire.
    pub(crate) fn add_environment(
        &mut self,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<(), ConfigError> {
        for (name, value) in environment {
            let Ok(name) = name.into_string() else {
                continue;
            };
            let Some(path) = name.strip_prefix(PREFIX).filter(|path| path.contains("__")) else {
                continue;
            };
            let key = path.replace("__", ".").to_ascii_lowercase();
            let origin = Origin::Variable(name.clone());
            let value = value.into_string().map_err(|_| ConfigError::Invalid {
                origin: origin.clone(),
                key: key.clone(),
                given: "not UTF-8".to_owned(),
                allowed: "text".to_owned(),
            })?;
            if key == KAFKA_OPTIONS {
                self.add_options(&origin, &value)?;
            } else {
                self.add(&origin, key, Value::from(value));
            }
        }
        Ok(())
    }

    pub(crate) fn add_flags(&mut self, flags: impl IntoIterator<Item = Flag>) {
        for Flag { flag, key, value } in flags {
            self.add(&Origin::Flag(flag), key.to_owned(), Value::from(value));
        }
    }

    pub(crate) fn into_values(self) -> Values {
        Values::new(self.0)
    }

    fn add(&mut self, origin: &Origin, key: String, value: Value) {
        match value.kind {
            // An empty one is kept, so that one that nobody knows is found.
            ValueKind::Table(table) if !table.is_empty() => {
                for (name, value) in table {
                    self.add(origin, format!("{key}.{name}"), value);
                }
            }
            kind => {
                let origin = origin.clone();
                self.0.insert(key, Given { origin, kind });
            }
        }
    }

    /// `name=value,name=value`. What is wrong is told by its place: values may be passwords.
    fn add_options(&mut self, origin: &Origin, list: &str) -> Result<(), ConfigError> {
        let items = list.split(',').map(str::trim).enumerate();
        for (place, item) in items.filter(|(_, item)| !item.is_empty()) {
            let option = item
                .split_once('=')
                .filter(|(name, _)| !name.trim().is_empty());
            let (name, value) = option.ok_or_else(|| ConfigError::Invalid {
                origin: origin.clone(),
                key: KAFKA_OPTIONS.to_owned(),
                given: format!("without = in entry {}", place + 1),
                allowed: "name=value, comma-separated, such as security.protocol=SSL; a value with a comma \
                          goes into the file, or a variable of its own such as TAGWIRE_KAFKA__OPTIONS__SASL__PASSWORD"
                    .to_owned(),
            })?;
            self.add(
                origin,
                format!("{KAFKA_OPTIONS}.{}", name.trim()),
                Value::from(value.trim()),
            );
        }
        Ok(())
    }
}

/// The parser draws a picture of the place over several lines; its first and last say the same.
fn one_line(message: &str) -> String {
    let lines: Vec<&str> = message
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    match lines.as_slice() {
        [] => "it cannot be parsed".to_owned(),
        [only] => (*only).to_owned(),
        [first, .., last] => format!("{first}: {last}"),
    }
}
