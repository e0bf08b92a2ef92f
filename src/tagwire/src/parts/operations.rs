//! The operators' listener: ends after all other parts, so that `/readyz` tells of their end too.

use std::net::{SocketAddr, TcpListener};

use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::program::Program;

pub(crate) struct Operations {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Operations {
    pub(crate) fn start(program: &Program, listener: TcpListener) -> std::io::Result<Self> {
        let (_, at_once) = watch::channel(true); // what was said holds without the one who said it
        Self::start_at(program, listener, at_once)
    }

    /// Serves from the moment at which `begin` says true.
    pub(crate) fn start_at(
        program: &Program,
        listener: TcpListener,
        mut begin: watch::Receiver<bool>,
    ) -> std::io::Result<Self> {
        let address = listener.local_addr()?;
        let (stop, mut stopped) = oneshot::channel::<()>();
        let (registry, health) = (program.registry.clone(), program.health.clone());
        let task = program.runtime.spawn(async move {
            let begun = tokio::select! {
                biased;
                _ = &mut stopped => false,
                begun = begin.wait_for(|begin| *begin) => begun.is_ok(),
            };
            // Not before: who waits in its queue would be taken from the process that serves.
            let listener = match begun.then(|| tokio::net::TcpListener::from_std(listener)) {
                None => return,
                Some(Ok(listener)) => listener,
                Some(Err(error)) => {
                    tracing::error!(%error, "the metrics listener cannot be watched");
                    return;
                }
            };
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
