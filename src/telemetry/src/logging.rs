//! Logs: to standard error, as JSON lines for machines or as readable lines on a terminal.
//!
//! Records of the `log` crate arrive here too. Nothing is logged by this module itself but panics.

use std::io::IsTerminal;
use std::str::FromStr;

use serde::Deserialize;
use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata, Subscriber};
use tracing_log::AsLog as _;
use tracing_subscriber::filter::{EnvFilter, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt, registry, reload};

use crate::json_line::JsonLine;
use crate::panics;

/// What an empty filter stands for.
pub const DEFAULT_FILTER: &str = "info";

/// Crates that log the addresses of clients, or headers that carry them, below the level of a warning.
const REVEALING: [&str; 2] = ["pingora", "h2"];

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text when standard error is a terminal, JSON otherwise.
    #[default]
    Auto,
    /// One JSON object a line: `timestamp` (RFC 3339, UTC), `level`, `target`, `message`, then the event's fields
    /// and, inside spans, `spans` from the outermost.
    Json,
    /// Readable lines, coloured on a terminal unless `NO_COLOR` is set.
    Text,
}

/// Reads `auto`, `json` or `text`.
impl FromStr for LogFormat {
    type Err = LogError;

    fn from_str(given: &str) -> Result<Self, LogError> {
        match given {
            "auto" => Ok(Self::Auto),
            "json" => Ok(Self::Json),
            "text" => Ok(Self::Text),
            _ => Err(LogError::Format {
                given: given.to_owned(),
            }),
        }
    }
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Not a format.
    #[error("log format {given:?}: allowed are auto, json and text")]
    Format {
        /// What was given.
        given: String,
    },
    /// Not a filter.
    #[error(
        "log filter {given:?}: {reason}; write a level (error, warn, info, debug, trace, off) or target=level, comma-separated"
    )]
    Filter {
        /// What was given.
        given: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Another logger was there first.
    #[error("setting up logging: {reason}; it can be done once in a process")]
    Installed {
        /// Who was in the way.
        reason: String,
    },
    /// The subscriber is gone, or broken by a panic.
    #[error("changing the log filter: {reason}; the filter from before stays")]
    Changed {
        /// What is wrong with it.
        reason: String,
    },
}

/// The filter of the process's logs, which may change.
#[derive(Debug, Clone)]
pub struct LogFilter(reload::Handle<EnvFilter, Registry>);

impl LogFilter {
    /// Another filter from now on, as [`init`] takes it.
    ///
    /// # Errors
    ///
    /// [`LogError::Filter`] for a malformed filter; the one from before stays.
    pub fn set(&self, filter: &str) -> Result<(), LogError> {
        let changed = self.0.reload(parse(filter)?);
        changed.map_err(|error| LogError::Changed {
            reason: error.to_string(),
        })?;
        // What that lets through of the `log` crate has a limit of its own, which was set to the first filter's.
        tracing_log::log::set_max_level(LevelFilter::current().as_log());
        Ok(())
    }
}

/// Sends the process's logs, those of the `log` crate and panics to standard error. What it gives back changes the filter.
///
/// `filter` is a level or a comma-separated list of `target=level`, as `RUST_LOG` is commonly written; empty means
/// [`DEFAULT_FILTER`]. Whatever it says, pingora and h2 are held to warnings: below that they log clients' addresses,
/// and no scanner's full address may reach a log.
///
/// # Errors
///
/// [`LogError::Filter`] for a malformed filter, [`LogError::Installed`] when called twice.
pub fn init(format: LogFormat, filter: &str) -> Result<LogFilter, LogError> {
    let terminal = std::io::stderr().is_terminal();
    let format = match format {
        LogFormat::Auto if terminal => LogFormat::Text,
        LogFormat::Auto => LogFormat::Json,
        chosen => chosen,
    };
    let colours = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let (subscriber, filter) = subscriber(format, filter, colours, std::io::stderr)?;
    subscriber.try_init().map_err(|error| LogError::Installed {
        reason: error.to_string(),
    })?;
    panics::log_panics();
    Ok(filter)
}

/// Whether [`init`] takes this filter, for those who read it from a configuration and say themselves where it was wrong.
#[must_use]
pub fn is_filter(text: &str) -> bool {
    parse(text).is_ok()
}

fn subscriber<W>(
    format: LogFormat,
    filter: &str,
    colours: bool,
    writer: W,
) -> Result<(impl Subscriber, LogFilter), LogError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    // Internal errors go to standard error by a macro that panics when it is closed: a lost line must not cost more.
    let lines = fmt::layer().with_writer(writer).log_internal_errors(false);
    let lines = match format {
        LogFormat::Text => lines.with_ansi(colours).boxed(),
        LogFormat::Json | LogFormat::Auto => lines
            .fmt_fields(JsonFields::new())
            .event_format(JsonLine)
            .boxed(),
    };
    let (filter, handle) = reload::Layer::new(parse(filter)?);
    let subscriber = registry()
        .with(filter)
        .with(filter_fn(|metadata| !reveals(metadata)))
        .with(lines);
    Ok((subscriber, LogFilter(handle)))
}

fn parse(filter: &str) -> Result<EnvFilter, LogError> {
    let given = if filter.trim().is_empty() {
        DEFAULT_FILTER
    } else {
        filter
    };
    let parsed = EnvFilter::builder().parse(given);
    parsed.map_err(|error| LogError::Filter {
        given: given.to_owned(),
        reason: error.to_string(),
    })
}

fn reveals(metadata: &Metadata<'_>) -> bool {
    let root = metadata.target().split("::").next().unwrap_or_default();
    *metadata.level() > Level::WARN && REVEALING.iter().any(|name| is_of(root, name))
}

/// Whether a crate is `name` itself or one of its family, as `pingora_core` is of `pingora`.
fn is_of(root: &str, name: &str) -> bool {
    root.strip_prefix(name)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json_line::tests::Captured;

    fn captured(format: LogFormat, filter: &str, log: impl FnOnce()) -> String {
        let lines = Captured::default();
        let (subscriber, _) = subscriber(format, filter, false, lines.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, log);
        lines.text()
    }

    #[test]
    fn the_default_filter_is_info() {
        let lines = captured(LogFormat::Text, "", || {
            tracing::info!("shown");
            tracing::debug!("hidden");
        });
        assert!(
            lines.contains("shown") && !lines.contains("hidden"),
            "{lines}"
        );
    }

    #[test]
    fn whatever_the_filter_says_no_library_may_log_client_addresses() {
        for filter in [
            "trace",
            "debug,pingora_core=trace,h2=trace",
            "pingora_proxy=debug,pingora=info,h2[{peer}]=trace",
        ] {
            let lines = captured(LogFormat::Text, filter, || {
                tracing::info!(target: "pingora_core::services::listening", "connection from 203.0.113.7");
                tracing::debug!(target: "pingora_proxy", "connection from 203.0.113.7");
                tracing::info!(target: "pingora", "connection from 203.0.113.7");
                tracing::trace!(target: "h2::codec", "x-forwarded-for: 203.0.113.7");
                tracing::warn!(target: "pingora_core::server", "kept");
            });
            assert!(!lines.contains("203.0.113.7"), "{filter}: {lines}");
            assert!(lines.contains("kept"), "{filter}: {lines}");
        }
    }

    #[test]
    fn other_targets_whose_names_only_begin_alike_are_not_limited() {
        let lines = captured(
            LogFormat::Text,
            "trace",
            || tracing::trace!(target: "h2o::kettle", "boils"),
        );
        assert!(lines.contains("boils"));
    }

    #[test]
    fn text_lines_are_plain_where_colours_are_off() {
        let lines = captured(LogFormat::Text, "info", || {
            tracing::warn!(port = 8080, "port taken")
        });
        assert!(
            lines.contains("WARN") && lines.ends_with("port taken port=8080\n"),
            "{lines}"
        );
        assert!(!lines.contains('\x1b'), "{lines:?}");
    }

    #[test]
    fn a_malformed_filter_is_refused_with_what_is_allowed() {
        let error = parse("edge=loud").unwrap_err().to_string();
        assert!(
            error.starts_with("log filter \"edge=loud\": ") && error.contains("target=level"),
            "{error}"
        );
        assert!(!is_filter("edge=loud") && is_filter("info,edge=warn") && is_filter(""));
    }

    #[test]
    fn a_format_is_one_of_three_words() {
        assert_eq!("json".parse::<LogFormat>().unwrap(), LogFormat::Json);
        let error = "xml".parse::<LogFormat>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "log format \"xml\": allowed are auto, json and text"
        );
    }
}
