//! The programs that benches/scans/run drives: they record scans as an edge's worker threads do, and say as JSON what that cost.

mod append;
mod life;
mod ship;

use clap::{Parser, Subcommand};

/// Records scans as an edge does.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    program: Program,
}

#[derive(Subcommand)]
enum Program {
    /// Times each append, on a thread of its own.
    Append(append::Append),
    /// Appends at a rate and ships into Kafka.
    Ship(ship::Ship),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().program {
        Program::Append(append) => append.run(),
        Program::Ship(ship) => ship.run(),
    }
}
