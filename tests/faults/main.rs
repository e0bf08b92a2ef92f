//! What must survive: each case runs a steady load of scans, breaks one thing, and compares what was answered, what was stored, and
//! what should have been. Real processes, a real Kafka of their own that they may kill, real ClickHouse.
//!
//! A case's name begins with its row in docs/reliability.md. Those that take long run only when they are asked for: `tests/run --faults`.

#![allow(missing_docs, clippy::unwrap_used)]

#[path = "../../src/tagwire/tests/deployment/mod.rs"]
mod deployment;
#[path = "../../src/tagwire/tests/support/mod.rs"]
mod support;

mod cases;
mod disk;
mod figures;
mod ground;
mod own_kafka;
mod proxy;
mod soak;
mod steady;
mod table;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use cases::{Case, Takes};
use figures::Figures;
use ground::Ground;
use libtest_mimic::{Arguments, Failed, Trial};
use soak::Soak;
use table::Lines;
use tokio::runtime::Runtime;

/// What the cases share, one after the other.
struct Stage {
    runtime: Runtime,
    ground: Ground,
    lines: Lines,
}

type Run = Box<dyn FnOnce(&mut Stage) -> Result<(), Failed> + Send>;

impl Stage {
    fn run(
        &mut self,
        name: &str,
        case: impl AsyncFnOnce(&mut Ground) -> anyhow::Result<Figures>,
    ) -> Result<(), Failed> {
        // Until it has ended, it has failed: it may panic.
        self.lines.add(name, None);
        let found = self.runtime.block_on(case(&mut self.ground));
        let found = found.map_err(|error| {
            // Beside the case's own lines too: the list of failures stands at the end of a long log.
            println!("{error:?}");
            Failed::from(format!("{error:?}"))
        })?;
        self.lines.add(name, Some(&found));
        Ok(())
    }
}

fn main() {
    let mut arguments = Arguments::from_args();
    // They share the ground, and would disturb each other's load.
    arguments.test_threads = Some(1);
    let stage = Arc::new(Mutex::new(Stage {
        runtime: Runtime::new().unwrap(),
        ground: Ground::default(),
        lines: Lines::default(),
    }));
    let on_stage = |run: Run| {
        let stage = Arc::clone(&stage);
        // A case that panicked has failed; each has processes of its own.
        move || run(&mut stage.lock().unwrap_or_else(PoisonError::into_inner))
    };
    let trial = |(name, takes, case): &(&'static str, Takes, Case)| {
        let (name, case) = (*name, *case);
        let run = on_stage(Box::new(move |stage| stage.run(name, case)));
        Trial::test(name, run).with_ignored_flag(*takes == Takes::Long)
    };
    let mut trials: Vec<Trial> = cases::ALL.iter().map(trial).collect();
    if let Some(soak) = Soak::asked_for().unwrap() {
        let run = Box::new(move |stage: &mut Stage| {
            stage.run(soak::NAME, async |ground| soak.run(ground).await)
        });
        trials.push(Trial::test(soak::NAME, on_stage(run)));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    let mut stage = stage.lock().unwrap_or_else(PoisonError::into_inner);
    // Before the exit, which drops nothing.
    stage.ground.end();
    let lines = std::mem::take(&mut stage.lines);
    if !lines.is_empty() {
        lines.print();
        if let (Some(document), false) =
            (std::env::var_os(table::DOCUMENT), conclusion.has_failed())
        {
            let names: Vec<&str> = cases::ALL.iter().map(|(name, ..)| *name).collect();
            lines.write(Path::new(&document), &names).unwrap();
        }
    }
    conclusion.exit();
}
