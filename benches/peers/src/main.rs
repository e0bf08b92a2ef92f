//! The programs that benches/peers/run drives: one fills the journal, the others ask for redirects and say what they saw, as JSON.

mod answers;
mod connections;
mod edits;
mod idle;
mod open_loop;
mod scan;
mod tls;

use clap::{Parser, Subcommand};

/// Fills the journal with tags, and asks servers for them.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    program: Program,
}

#[derive(Subcommand)]
enum Program {
    /// Writes the tags, and the domain that they are on, into Kafka.
    Seed(edits::Seed),
    /// Changes tags at a rate.
    Edit(edits::Edit),
    /// A new connection for each request.
    Connect(connections::Connect),
    /// Requests at the times of a schedule, whether or not earlier ones are answered.
    Schedule(open_loop::Schedule),
    /// Connections that have had one answer and then stay open, until standard input ends.
    Idle(idle::Idle),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().program {
        Program::Seed(seed) => seed.run(),
        Program::Edit(edit) => edit.run(),
        Program::Connect(connect) => connect.run(),
        Program::Schedule(schedule) => schedule.run(),
        Program::Idle(idle) => idle.run(),
    }
}
