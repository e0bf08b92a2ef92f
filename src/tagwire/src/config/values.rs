//! The values that were given, taken out key by key by the sections; what is left over at the end is unknown.

use std::collections::{BTreeMap, BTreeSet};

use config::ValueKind;

use super::error::{ConfigError, Origin};
use super::kinds::Kind;

/// A value and where it was given.
#[derive(Debug)]
pub(crate) struct Given {
    pub(crate) origin: Origin,
    pub(crate) kind: ValueKind,
}

/// The values of all layers.
pub(crate) struct Values {
    given: BTreeMap<String, Given>,
    known: BTreeSet<&'static str>,
}

impl Values {
    pub(crate) fn new(given: BTreeMap<String, Given>) -> Self {
        let known = BTreeSet::new();
        Self { given, known }
    }

    /// What every key that is not a table was given, to be compared.
    pub(crate) fn given(&self) -> BTreeMap<String, String> {
        let values = self.given.iter().filter(|(_, given)| !given.is_table());
        values
            .map(|(key, given)| (key.clone(), format!("{:?}", given.kind)))
            .collect()
    }

    /// The value of a key; none when no layer has it.
    pub(crate) fn one<T>(
        &mut self,
        key: &'static str,
        kind: &Kind<T>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(given) = self.take(key) else {
            return Ok(None);
        };
        let parsed = scalar(&given.kind).and_then(|text| (kind.parse)(text.trim()));
        parsed
            .map(Some)
            .ok_or_else(|| given.invalid(key, kind.allowed))
    }

    /// The values of a key that is a list: an array, or text with commas.
    pub(crate) fn list<T>(
        &mut self,
        key: &'static str,
        kind: &Kind<T>,
    ) -> Result<Option<Vec<T>>, ConfigError> {
        self.list_of(key, kind, 0)
    }

    /// As [`Values::list`], where an empty one makes no sense.
    pub(crate) fn non_empty_list<T>(
        &mut self,
        key: &'static str,
        kind: &Kind<T>,
    ) -> Result<Option<Vec<T>>, ConfigError> {
        self.list_of(key, kind, 1)
    }

    fn list_of<T>(
        &mut self,
        key: &'static str,
        kind: &Kind<T>,
        least: usize,
    ) -> Result<Option<Vec<T>>, ConfigError> {
        let Some(given) = self.take(key) else {
            return Ok(None);
        };
        let parsed: Option<Vec<T>> = items(&given.kind)
            .and_then(|items| items.iter().map(|item| (kind.parse)(item.trim())).collect());
        match parsed {
            Some(list) if list.len() >= least => Ok(Some(list)),
            _ => {
                let some = if least == 0 {
                    "a list"
                } else {
                    "a list of at least one"
                };
                Err(given.invalid(key, &format!("{some}, each {}", kind.allowed)))
            }
        }
    }

    /// What was given below a key that is a table.
    pub(crate) fn table(
        &mut self,
        key: &'static str,
    ) -> Result<BTreeMap<String, String>, ConfigError> {
        self.known.insert(key);
        if self.given.get(key).is_some_and(Given::is_table) {
            self.given.remove(key);
        }
        let below = format!("{key}.");
        let mut table = BTreeMap::new();
        for (full, given) in self
            .given
            .extract_if(.., |full, _| full.starts_with(&below))
        {
            let text = scalar(&given.kind).ok_or_else(|| ConfigError::Invalid {
                origin: given.origin,
                key: full.clone(),
                given: "a list".to_owned(),
                allowed: "text, a number, true or false".to_owned(),
            })?;
            table.insert(full[below.len()..].to_owned(), text);
        }
        Ok(table)
    }

    /// Refuses what no section has asked for.
    pub(crate) fn finish(self) -> Result<(), ConfigError> {
        let is_section = |name: &str| {
            let mut below = self
                .known
                .iter()
                .filter_map(|known| known.strip_prefix(name));
            below.any(|rest| rest.starts_with('.'))
        };
        // A section with nothing in it says nothing, as long as there is such a section.
        let mut left = self.given.into_iter();
        let Some((key, given)) = left.find(|(key, given)| !given.is_table() || !is_section(key))
        else {
            return Ok(());
        };
        let section = key
            .split_once('.')
            .map_or(key.as_str(), |(section, _)| section);
        let in_section = |known: &&&str| known.split_once('.').is_some_and(|(of, _)| of == section);
        let keys: Vec<&str> = self.known.iter().filter(in_section).copied().collect();
        let allowed = if keys.is_empty() {
            let sections = self.known.iter().filter_map(|known| known.split_once('.'));
            let sections: BTreeSet<&str> = sections.map(|(section, _)| section).collect();
            let sections: Vec<&str> = sections.into_iter().collect();
            format!("the sections are {}", sections.join(", "))
        } else {
            format!("section {section} has {}", keys.join(", "))
        };
        let is_table = given.is_table();
        let origin = given.origin;
        if is_table && !key.contains('.') {
            return Err(ConfigError::UnknownSection {
                origin,
                section: key,
                allowed,
            });
        }
        Err(ConfigError::UnknownKey {
            origin,
            key,
            allowed,
        })
    }

    fn take(&mut self, key: &'static str) -> Option<Given> {
        self.known.insert(key);
        self.given.remove(key)
    }
}

impl Given {
    /// Whether it is a table; of those, only empty ones are kept as such.
    fn is_table(&self) -> bool {
        matches!(self.kind, ValueKind::Table(_))
    }

    fn invalid(self, key: &str, allowed: &str) -> ConfigError {
        ConfigError::Invalid {
            origin: self.origin,
            key: key.to_owned(),
            given: shown(&self.kind),
            allowed: allowed.to_owned(),
        }
    }
}

/// A value that is not a list, as it would be written in the environment.
fn scalar(kind: &ValueKind) -> Option<String> {
    match kind {
        ValueKind::Array(_) | ValueKind::Table(_) | ValueKind::Nil => None,
        scalar => Some(scalar.to_string()),
    }
}

/// What a list has: an array's items, or what stands between the commas of a text.
fn items(kind: &ValueKind) -> Option<Vec<String>> {
    match kind {
        ValueKind::Array(items) => items.iter().map(|item| scalar(&item.kind)).collect(),
        ValueKind::String(text) if text.trim().is_empty() => Some(Vec::new()),
        one => scalar(one).map(|text| text.split(',').map(str::to_owned).collect()),
    }
}

/// A value in an error message, on one line.
fn shown(kind: &ValueKind) -> String {
    match kind {
        ValueKind::String(text) => format!("{text:?}"),
        ValueKind::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| shown(&item.kind)).collect();
            format!("[{}]", items.join(", "))
        }
        ValueKind::Table(_) => "a table".to_owned(),
        other => other.to_string(),
    }
}
