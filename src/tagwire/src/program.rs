//! What every role is built with and ends by: configuration, runtime, metrics registry, readiness, signals. What the roles are made of
//! is in `roles`.

use std::future::pending;
use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use prometheus::Registry;
use telemetry::Health;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, mpsc};

use crate::config::Config;
use crate::parts::descriptors;

/// A supervisor may send one signal to the process and to its whole group, as GNU timeout does: within this time that is one wish.
const SAME_WISH: Duration = Duration::from_millis(500);

/// One process.
pub(crate) struct Program {
    pub(crate) config: Config,
    pub(crate) runtime: Runtime,
    pub(crate) registry: Registry,
    pub(crate) health: Health,
    signals: Signals,
    /// SIGHUP, which means to read the configuration anew.
    hangups: Hangups,
    failures: Failures,
    failed: mpsc::UnboundedReceiver<anyhow::Error>,
    replaced: Replaced,
}

/// Where it is said that another process serves in the place of this one, which ends it.
#[derive(Clone, Default)]
pub(crate) struct Replaced(Arc<Notify>);

impl Replaced {
    pub(crate) fn tell(&self) {
        self.0.notify_one();
    }
}

/// Why a process ends that can go on.
enum Wish {
    Signal(&'static str),
    Replaced,
}

/// Where a part says that it cannot go on, which ends the process.
#[derive(Clone)]
pub(crate) struct Failures(mpsc::UnboundedSender<anyhow::Error>);

impl Failures {
    pub(crate) fn report(&self, failure: impl Into<anyhow::Error>) {
        let _ = self.0.send(failure.into()); // fails when the process is ending already
    }
}

impl Program {
    pub(crate) fn new(config: Config) -> anyhow::Result<Self> {
        descriptors::raise();
        let runtime = Runtime::new().context("starting the threads of the runtime")?;
        let (signals, hangups) = {
            let _entered = runtime.enter();
            let hangups = Hangups::listen().context("listening for SIGHUP")?;
            let signals = Signals::listen().context("listening for signals")?;
            (signals, hangups)
        };
        let registry = telemetry::metrics::process_registry(env!("CARGO_PKG_VERSION"))?;
        let (failures, failed) = mpsc::unbounded_channel();
        let (health, failures) = (Health::new(), Failures(failures));
        Ok(Self {
            config,
            runtime,
            registry,
            health,
            signals,
            hangups,
            failures,
            failed,
            replaced: Replaced::default(),
        })
    }

    /// For the part that hears of another process.
    pub(crate) fn replaced(&self) -> Replaced {
        self.replaced.clone()
    }

    /// For parts on threads and tasks of their own.
    pub(crate) fn failures(&self) -> Failures {
        self.failures.clone()
    }

    /// Waits for a signal that ends, for another process that serves in the place of this one, or for a part that cannot go on, whose
    /// error it gives back; at a SIGHUP, which does not end it, it calls `reload` with the configuration of the start. The process is not
    /// ready from then on, unless another answers for it; a second signal ends it at once. The answer is also when draining has to be over.
    pub(crate) fn until_the_end(
        &mut self,
        mut reload: impl FnMut(&Config),
    ) -> (anyhow::Result<()>, Instant) {
        let (signals, failed, replaced) = (&mut self.signals, &mut self.failed, &self.replaced.0);
        let ended = loop {
            let woken = self.runtime.block_on(async {
                tokio::select! {
                    name = signals.next() => Some(Ok(Wish::Signal(name))),
                    () = replaced.notified() => Some(Ok(Wish::Replaced)),
                    Some(failure) = failed.recv() => Some(Err(failure)),
                    _ = self.hangups.next() => None,
                }
            });
            match woken {
                Some(ended) => break ended,
                None => reload(&self.config),
            }
        };
        if !matches!(ended, Ok(Wish::Replaced)) {
            self.health.draining();
        }
        let timeout = self.config.drain.timeout;
        let deadline = Instant::now() + timeout;
        match &ended {
            Ok(Wish::Signal(signal)) => tracing::info!(signal, ?timeout, "draining"),
            Ok(Wish::Replaced) => tracing::info!(?timeout, "draining: this process is replaced"),
            Err(error) => tracing::error!(%error, "ending: a part of this process cannot go on"),
        }
        (ended.map(|_| ()), deadline)
    }

    /// Ends the process at the next signal that is a second wish, and not the first one come twice.
    pub(crate) fn end_at_the_next_signal(&mut self) {
        let mut signals = std::mem::take(&mut self.signals);
        self.runtime.spawn(async move {
            let same_wish = tokio::time::sleep(SAME_WISH);
            tokio::pin!(same_wish);
            loop {
                tokio::select! {
                    () = &mut same_wish => break,
                    _ = signals.next() => {}
                }
            }
            tracing::info!("a further signal ends the process at once");
            let signal = signals.next().await;
            tracing::warn!(signal, "ended at once by a second signal; scans that were not delivered stay in the scan log");
            std::process::exit(1);
        });
    }

    /// Gives back nothing and waits for nobody.
    pub(crate) fn end(self) {
        tracing::info!("drained");
        self.runtime.shutdown_background();
    }
}

/// SIGHUP. On a terminal it means, as ever, that the terminal is gone, and ends the process.
struct Hangups(Option<Signal>);

impl Hangups {
    fn listen() -> std::io::Result<Self> {
        if std::io::stdin().is_terminal() {
            return Ok(Self(None));
        }
        signal(SignalKind::hangup()).map(|signal| Self(Some(signal)))
    }

    async fn next(&mut self) {
        match &mut self.0 {
            Some(signal) => drop(signal.recv().await),
            None => pending().await,
        }
    }
}

/// The signals that end a process.
#[derive(Default)]
struct Signals(Option<(Signal, Signal)>);

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self(Some((
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
        ))))
    }

    async fn next(&mut self) -> &'static str {
        let Some((terminate, interrupt)) = &mut self.0 else {
            return pending().await;
        };
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    }
}
