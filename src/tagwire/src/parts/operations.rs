//! The operators' listener: ends after all other parts, so that `/readyz` tells of their end too.

use std::net::{SocketAddr, TcpListener};

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::program::Program;

pub(crate) struct Operations {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Operations {
    pub(crate) fn start(program: &Program, listener: TcpListener) -> std::io::Result<Self> {
        let address = listener.local_addr()?;
        let listener = {
            let _entered = program.runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let (registry, health) = (program.registry.clone(), program.health.clone());
        let task = program.runtime.spawn(async move {
            // An error means that the part was dropped without being ended: the same.
            let stopped = async { drop(stopped.await) };
            if let Err(error) = telemetry::ops::serve(listener, registry, health, stopped).await {
                tracing::error!(%error, "the metrics listener ended");
            }
        });
        Ok(Self {
            address,
            stop,
            task,
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn end(self, program: &Program) {
        let _ = self.stop.send(()); // fails when it has ended
        if let Err(error) = program.runtime.block_on(self.task) {
            tracing::error!(%error, "the metrics listener panicked");
        }
    }
}
