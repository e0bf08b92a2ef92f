//! The admin API: takes over as the journal's writer in the background, and serves.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Instant;

use admin::{Admin, AdminOptions, Visible};
use analytics::ScanStore;
use journal::{Edges, Journal, Salts};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::program::Program;

pub(crate) struct Api {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    ready: watch::Receiver<bool>,
    task: JoinHandle<()>,
}

impl Api {
    pub(crate) fn start(
        program: &Program,
        listener: TcpListener,
        options: AdminOptions,
        journal: Arc<impl Journal + Salts>,
        store: Arc<dyn ScanStore>,
        edges: Arc<dyn Edges>,
        also_visible: Vec<Visible>,
    ) -> anyhow::Result<Self> {
        let address = listener.local_addr()?;
        let (stop, mut stopping) = watch::channel(false);
        let (say_ready, ready) = watch::channel(false);
        let _entered = program.runtime.enter();
        let salts = journal.clone();
        let admin = Admin::new(options, journal, salts, store, edges, also_visible)?;
        admin.register_metrics(&program.registry)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let (check, failures) = (program.health.check("journal"), program.failures());

        let (taking_over, failed) = (admin.clone(), failures.clone());
        let take_over = program.runtime.spawn(async move {
            match taking_over
                .take_over(|what_for| check.not_ready(what_for))
                .await
            {
                Ok(()) => {
                    check.ready();
                    say_ready.send_replace(true);
                    taking_over.reader_ended().await;
                    // The log says why. It answers 503 from now on; a load balancer has to know.
                    check.not_ready("the admin no longer reads the journal; restart it");
                }
                Err(error) => failed.report(error),
            }
        });
        let task = program.runtime.spawn(async move {
            // An error means that the part was dropped without being drained: the same.
            let stop = async move { drop(stopping.wait_for(|stop| *stop).await) };
            if let Err(error) = ::admin::serve(listener, admin, stop).await {
                failures.report(error);
            }
            take_over.abort();
        });
        Ok(Self {
            address,
            stop,
            ready,
            task,
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Comes when the admin is ready; false: it never will be.
    pub(crate) fn ready(&self) -> impl Future<Output = bool> + Send + 'static {
        let mut ready = self.ready.clone();
        async move { ready.wait_for(|ready| *ready).await.is_ok() }
    }

    /// Answers what is being asked, and ends.
    pub(crate) fn drain(self, program: &Program, deadline: Instant) {
        self.stop.send_replace(true);
        let ended = program
            .runtime
            .block_on(async { tokio::time::timeout_at(deadline.into(), self.task).await });
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the admin API's task panicked"),
            Err(_) => {
                tracing::warn!("cut off requests to the admin API that did not finish in time")
            }
        }
    }
}
