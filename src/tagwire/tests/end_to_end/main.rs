//! Whole deployments: the same cases against one standalone process, and against an admin, three edges and a sink on real
//! Kafka and ClickHouse, all of them the real binary.
//!
//! Cases of one deployment share its processes, which are killed and started again in the middle of some, so they run one after the other.

#![allow(missing_docs, clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

#[path = "../deployment/mod.rs"]
mod deployment;

mod cases;

use std::sync::{Arc, Mutex, PoisonError};

use cases::Case;
use deployment::{Deployment, Plan, Shape};
use libtest_mimic::{Arguments, Failed, Trial};
use tokio::runtime::Runtime;

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let stage = Arc::new(Mutex::new(Stage {
        runtime: Runtime::new().unwrap(),
        deployment: None,
    }));
    let mut trials = Vec::new();
    for shape in [Shape::Standalone, Shape::Cluster] {
        for (name, case) in cases::ALL {
            let (stage, name) = (Arc::clone(&stage), format!("{}::{name}", shape.name()));
            // A case that panicked has failed; what it left is for the next to judge.
            let run = move || {
                let mut stage = stage.lock().unwrap_or_else(PoisonError::into_inner);
                stage.run(shape, *case)
            };
            trials.push(Trial::test(name, run));
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    // Before the exit, which drops nothing.
    let mut stage = stage.lock().unwrap_or_else(PoisonError::into_inner);
    stage.clear();
    conclusion.exit();
}

/// The deployment that cases run on, and the runtime that reads what its processes write.
struct Stage {
    runtime: Runtime,
    deployment: Option<Deployment>,
}

impl Stage {
    /// Runs a case on the deployment of this shape, started by the first case that needs it. The one of another shape is ended: two do
    /// not fit beside each other on a small machine without disturbing each other.
    fn run(&mut self, shape: Shape, case: Case) -> Result<(), Failed> {
        if self.deployment.as_ref().map(Deployment::shape) != Some(shape) {
            self.clear();
            let plan = Plan::given(shape).map_err(|error| Failed::from(error.to_string()))?;
            let started = self.runtime.block_on(Deployment::start(&plan));
            let started = started.map_err(|error| Failed::from(format!("starting it: {error:#}")));
            self.deployment = Some(started?);
        }
        let deployment = self.deployment.as_mut().ok_or("it has just been started")?;
        let outcome = self.runtime.block_on(case(deployment));
        outcome.map_err(|error| {
            let log = deployment.last_log_lines();
            Failed::from(format!(
                "{error:?}\n\nlast lines of the processes' logs:\n{log}"
            ))
        })
    }

    fn clear(&mut self) {
        if let Some(deployment) = self.deployment.take() {
            self.runtime.block_on(deployment.end());
        }
    }
}
