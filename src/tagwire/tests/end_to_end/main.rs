//! From a printed code to a counted scan: the same cases against one standalone process, and against an admin, two edges and a sink on real
//! Kafka and ClickHouse, all of them the real binary.
//!
//! Cases of one deployment share its processes, which are killed and started again in the middle of some, so they run one after the other.

#![allow(missing_docs, clippy::unwrap_used)]

mod cases;
mod client;
mod deployment;
mod load;
mod stored;

use std::sync::{Arc, Mutex};

use deployment::{Deployment, Shape};
use libtest_mimic::{Arguments, Failed, Trial};

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let running: Arc<Mutex<Vec<Arc<Deployment>>>> = Arc::default();
    let mut trials = Vec::new();
    for shape in [Shape::Standalone, Shape::Cluster] {
        for (name, case) in cases::ALL {
            let running = Arc::clone(&running);
            trials.push(Trial::test(
                format!("{}::{name}", shape.name()),
                move || {
                    let deployment = shared(&running, shape)?;
                    let runtime = tokio::runtime::Runtime::new()?;
                    runtime
                        .block_on(case(Arc::clone(&deployment)))
                        .map_err(|error| {
                            Failed::from(format!(
                                "{error:?}\n\nlast lines of the processes' logs:\n{}",
                                deployment.last_log_lines()
                            ))
                        })
                },
            ));
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    // Before the exit, which drops nothing: this ends the processes.
    running.lock().unwrap().clear();
    conclusion.exit();
}

/// The deployment of this shape, started by the first case that needs it. The one of another shape is ended: two do not fit beside each
/// other on a small machine without disturbing each other.
fn shared(running: &Mutex<Vec<Arc<Deployment>>>, shape: Shape) -> Result<Arc<Deployment>, Failed> {
    let mut running = running.lock().unwrap();
    running.retain(|deployment| deployment.shape() == shape);
    if let Some(deployment) = running.first() {
        return Ok(Arc::clone(deployment));
    }
    let deployment = Arc::new(
        Deployment::start(shape)
            .map_err(|error| Failed::from(format!("starting it: {error:#}")))?,
    );
    running.push(Arc::clone(&deployment));
    Ok(deployment)
}
