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
mod ground;
mod steady;

use std::sync::{Arc, Mutex, PoisonError};

use cases::{Case, Takes};
use ground::Ground;
use libtest_mimic::{Arguments, Failed, Trial};
use tokio::runtime::Runtime;

fn main() {
    let mut arguments = Arguments::from_args();
    // They share the ground, and would disturb each other's load.
    arguments.test_threads = Some(1);
    let stage = Arc::new(Mutex::new((Runtime::new().unwrap(), Ground::default())));
    let trial = |(name, takes, case): &(&str, Takes, Case)| {
        let (stage, case) = (Arc::clone(&stage), *case);
        let run = move || {
            // A case that panicked has failed; each has processes of its own.
            let mut stage = stage.lock().unwrap_or_else(PoisonError::into_inner);
            let (runtime, ground) = &mut *stage;
            let ended = runtime.block_on(case(ground));
            ended.map_err(|error| {
                // Beside the case's own lines too: the list of failures stands at the end of a long log.
                println!("{error:?}");
                Failed::from(format!("{error:?}"))
            })
        };
        Trial::test(*name, run).with_ignored_flag(*takes == Takes::Long)
    };
    let conclusion = libtest_mimic::run(&arguments, cases::ALL.iter().map(trial).collect());
    // Before the exit, which drops nothing.
    stage.lock().unwrap_or_else(PoisonError::into_inner).1.end();
    conclusion.exit();
}
