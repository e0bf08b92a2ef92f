//! The roles. Each file reads top to bottom: which parts the role has, how they are built, and in which order they end.

mod admin;
mod edge;
mod sink;
mod standalone;

use std::time::Instant;

use crate::cli;
use crate::config::Config;
use crate::program::Program;

/// A role, built and running.
pub(crate) trait Role {
    /// Says to people and to the log where it is.
    fn announce(&self, program: &Program);
    /// Takes from a configuration what can change while it runs; which keys those are. Nothing of one that the role could not be
    /// built with.
    fn reload(&self, config: &Config) -> anyhow::Result<Vec<&'static str>>;
    /// Takes nothing more on, finishes what it has, and ends; at the deadline, as it is.
    fn drain(self: Box<Self>, program: &Program, deadline: Instant);
}

const NO_UPGRADE: &str = "--upgrade is for `tagwire edge`: a standalone's journal and scan store have one process at a time; stop the one that runs, and start this one without --upgrade";

/// Builds the role that was asked for. Nothing is left running when it fails: the process ends.
pub(crate) fn build(role: &cli::Role, program: &Program) -> anyhow::Result<Box<dyn Role>> {
    Ok(match role {
        cli::Role::Standalone(arguments) => {
            anyhow::ensure!(!arguments.upgrade, NO_UPGRADE);
            Box::new(standalone::Standalone::build(program, arguments.demo)?)
        }
        cli::Role::Edge(arguments) => Box::new(edge::Edge::build(program, arguments.upgrade)?),
        cli::Role::Sink(_) => Box::new(sink::Sink::build(program)?),
        cli::Role::Admin(_) => Box::new(admin::Admin::build(program)?),
    })
}
