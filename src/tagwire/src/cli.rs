//! The command line: which role, which config file, and flags for the keys that are set by hand most often; what is asked of the admin API. Secrets never come as
//! arguments: everyone on the machine can read those.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory as _, Parser, Subcommand};

use crate::config::Flag;
use crate::{client, ledger, rebuild};

/// Answers the URL inside printed QR codes and broadcast short links.
#[derive(Debug, Parser)]
#[command(name = "tagwire", version, arg_required_else_help = true, after_help = CONFIGURATION)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What is wanted.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Role(Role),
    #[command(flatten)]
    Client(client::Command),
    /// Compare what was accepted with what is stored, scan by scan
    #[command(after_help = LEDGER)]
    Ledger(ledger::Ledger),
    /// What is derived from scans, by hand
    #[command(subcommand, after_help = ANALYTICS)]
    Analytics(rebuild::Command),
    /// Print a script by which a shell completes these commands
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

const CONFIGURATION: &str = "\
Configuration: a TOML file (--config; config/*.toml explain every key), then environment variables such as
TAGWIRE_EDGE__LISTEN for edge.listen, then flags; the later wins.
Exit codes: 0 drained, 1 could not start or run (standard error says why), 2 wrong usage.";

const LEDGER: &str = "\
Where the scans are: in ClickHouse, where clickhouse.url is configured, else in the standalone's file in the data directory. Configuration is
read as the roles read it: --config, then environment variables such as TAGWIRE_CLICKHOUSE__URL, then flags. docs/ledger.md explains every number.
Exit codes: 0 no difference, 1 a difference, or it could not be looked for (standard error says which), 2 wrong usage.";

const ANALYTICS: &str = "\
Rollups are computed by the sink, or by the standalone, without being asked for. A rebuild is for whoever does not trust what is there. It goes to
the store itself, as `tagwire ledger` does, and may run beside everything else.
Exit codes: 0 done, 1 failed, and what was done before holds (standard error says why), 2 wrong usage.";

/// What this process does.
#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// All roles in one process, on files in the data directory: needs no Kafka, no ClickHouse, no configuration
    #[command(after_help = CONFIGURATION)]
    Standalone(Standalone),
    /// Redirects: answers scans from memory, follows the journal, delivers scans to Kafka
    #[command(after_help = CONFIGURATION)]
    Edge(Edge),
    /// Analytics: stores scans from Kafka in ClickHouse
    #[command(after_help = CONFIGURATION)]
    Sink(Sink),
    /// The API: makes and changes tags, tells what is being scanned
    #[command(after_help = CONFIGURATION)]
    Admin(Admin),
}

#[derive(Debug, Args)]
pub(crate) struct Standalone {
    #[command(flatten)]
    every: EveryRole,
    #[command(flatten)]
    data: Data,
    #[command(flatten)]
    redirects: Redirects,
    #[command(flatten)]
    api: Api,
    /// Make a tag with the code demo, and show its QR code
    #[arg(long)]
    pub(crate) demo: bool,
    /// Refused, in words: its journal and its scan store have one process
    #[arg(long, hide = true)]
    pub(crate) upgrade: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Edge {
    #[command(flatten)]
    every: EveryRole,
    #[command(flatten)]
    data: Data,
    #[command(flatten)]
    redirects: Redirects,
    /// Take the place of the edge that runs with this data directory, with its listening sockets, once this one is ready; where none runs,
    /// start as usual
    #[arg(long)]
    pub(crate) upgrade: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Sink {
    #[command(flatten)]
    every: EveryRole,
}

#[derive(Debug, Args)]
pub(crate) struct Admin {
    #[command(flatten)]
    every: EveryRole,
    #[command(flatten)]
    data: Data,
    #[command(flatten)]
    api: Api,
}

#[derive(Debug, Args)]
struct EveryRole {
    /// TOML file with the configuration
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where /metrics, /livez and /readyz are [metrics.listen, default 127.0.0.1:9464]
    #[arg(long, value_name = "ADDRESS:PORT")]
    metrics_listen: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Data {
    /// Directory for what has to outlive the process [node.data_dir, default ./data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
}

#[derive(Debug, Args)]
struct Redirects {
    /// Where to answer scans; several comma-separated [edge.listen, default 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
}

#[derive(Debug, Args)]
struct Api {
    /// Where the admin API is [admin.listen, default 127.0.0.1:8081]
    #[arg(long, value_name = "ADDRESS:PORT")]
    admin_listen: Option<String>,
    /// What short URLs and QR codes begin with [node.public_url, default http:// and the first redirect address]
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
}

impl Role {
    /// The config file, if one was named.
    pub(crate) fn config_file(&self) -> Option<&Path> {
        self.every().config.as_deref()
    }

    /// The flags that set keys.
    pub(crate) fn flags(&self) -> Vec<Flag> {
        let mut flags = self.every().flags();
        match self {
            Self::Standalone(role) => {
                flags.extend(role.data.flags());
                flags.extend(role.redirects.flags());
                flags.extend(role.api.flags());
            }
            Self::Edge(role) => {
                flags.extend(role.data.flags());
                flags.extend(role.redirects.flags());
            }
            Self::Sink(_) => {}
            Self::Admin(role) => {
                flags.extend(role.data.flags());
                flags.extend(role.api.flags());
            }
        }
        flags
    }

    fn every(&self) -> &EveryRole {
        match self {
            Self::Standalone(role) => &role.every,
            Self::Edge(role) => &role.every,
            Self::Sink(role) => &role.every,
            Self::Admin(role) => &role.every,
        }
    }
}

impl EveryRole {
    fn flags(&self) -> Vec<Flag> {
        given("--metrics-listen", "metrics.listen", &self.metrics_listen)
            .into_iter()
            .collect()
    }
}

impl Data {
    pub(crate) fn flags(&self) -> Option<Flag> {
        given("--data-dir", "node.data_dir", &self.data_dir)
    }
}

impl Redirects {
    fn flags(&self) -> Option<Flag> {
        given("--listen", "edge.listen", &self.listen)
    }
}

impl Api {
    fn flags(&self) -> impl Iterator<Item = Flag> {
        let admin_listen = given("--admin-listen", "admin.listen", &self.admin_listen);
        admin_listen
            .into_iter()
            .chain(given("--public-url", "node.public_url", &self.public_url))
    }
}

/// Prints the script by which a shell completes commands.
pub(crate) fn print_completions(shell: clap_complete::Shell) {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "tagwire", &mut script);
    let _ = std::io::stdout().write_all(&script); // who does not read it to its end does not want it
}

fn given(flag: &'static str, key: &'static str, value: &Option<String>) -> Option<Flag> {
    value.clone().map(|value| Flag { flag, key, value })
}
