//! The process's metrics registry, with what every role shows: which build it is and what it uses.
//!
//! The registry is passed to whoever counts; there is no global one. Roles name theirs `tagwire_<role>_<thing>_<unit>`.

use prometheus::{IntGauge, Opts, Registry};

use crate::process::ProcessCollector;

/// A registry that holds `tagwire_build_info{version}` (always 1) and, on Linux, the conventional metrics of a
/// process: `process_cpu_seconds_total`, `process_resident_memory_bytes`, `process_open_fds`, `process_max_fds`,
/// `process_threads`, `process_start_time_seconds`.
///
/// # Errors
///
/// None in practice: the names are constants and the registry is empty.
pub fn process_registry(version: &str) -> prometheus::Result<Registry> {
    let registry = Registry::new();
    let build = Opts::new(
        "tagwire_build_info",
        "The build that runs, by its version; always 1.",
    );
    let build = IntGauge::with_opts(build.const_label("version", version))?;
    build.set(1);
    registry.register(Box::new(build))?;
    registry.register(Box::new(ProcessCollector::new()?))?;
    Ok(registry)
}
