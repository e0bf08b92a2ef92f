//! The process whose place this one takes: what it has handed over, and when it is gone.

use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::timeout;

use super::message::{Channel, Descriptor, HearingError, Message, PROTOCOL};
use super::socket;

/// How long the running process may take to answer: it writes a snapshot first, for which it has half of this.
const ANSWER: Duration = Duration::from_secs(60);

/// Why the place of the running process cannot be taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpgradeError {
    #[error("connecting to the running edge by {}: {source}", path.display())]
    Connect { path: PathBuf, source: io::Error },
    #[error("{} belongs to a process of another user: run the new edge as the same user as the old one", path.display())]
    OtherUser { path: PathBuf },
    #[error("asking the running edge (process {process}) to hand over: {source}; it goes on")]
    Hear { process: i32, source: HearingError },
    #[error(
        "the running edge (process {process}) has not answered within {ANSWER:?}; stop it, and start this one without --upgrade"
    )]
    NoAnswer { process: i32 },
    #[error("the running edge (process {process}) does not hand over: {reason}")]
    Refused { process: i32, reason: String },
    #[error("what the running edge (process {process}) hands over cannot be used: {source}")]
    Listener { process: i32, source: io::Error },
}

/// The process that runs, until it has ended.
#[derive(Debug)]
pub(crate) struct Predecessor {
    pub(crate) process: i32,
    pub(crate) version: String,
    channel: Channel,
}

/// What it has handed over.
#[derive(Debug, Default)]
pub(crate) struct Handed {
    pub(crate) listeners: Vec<TcpListener>,
    pub(crate) data_dir_lock: Option<OwnedFd>,
    pub(crate) scan_log_lock: Option<OwnedFd>,
}

impl Predecessor {
    /// Asks the process that runs with this data directory, if there is one. From then on it waits for this one to serve or to be gone,
    /// and goes on as before.
    pub(crate) async fn ask(data: &Path) -> Result<Option<(Self, Handed)>, UpgradeError> {
        let path = socket::path(data);
        let failed = |source| UpgradeError::Connect {
            path: path.clone(),
            source,
        };
        let Some(stream) = socket::connect(data).await.map_err(failed)? else {
            return Ok(None);
        };
        let mut channel = Channel::new(stream);
        let peer = channel.peer().map_err(failed)?;
        if peer.uid() != rustix::process::geteuid().as_raw() {
            return Err(UpgradeError::OtherUser { path });
        }
        let process = peer.pid().unwrap_or_default();
        let not_heard = |source| UpgradeError::Hear { process, source };
        let hello = Message::Hello {
            protocol: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let said = channel.send(&hello, &[]).await;
        said.map_err(|error| not_heard(error.into()))?;
        let answered = timeout(ANSWER, channel.receive_offer()).await;
        let answered = answered.map_err(|_| UpgradeError::NoAnswer { process })?;
        let (answer, descriptors) = answered.map_err(not_heard)?;
        let (version, named) = match answer {
            Message::Offer {
                version,
                descriptors,
            } => (version, descriptors),
            Message::Refused { reason } => return Err(UpgradeError::Refused { process, reason }),
            Message::Ending => {
                let reason = "it is ending".to_owned();
                return Err(UpgradeError::Refused { process, reason });
            }
            _ => return Err(not_heard(HearingError::Garbage)),
        };
        if named.len() != descriptors.len() {
            return Err(not_heard(HearingError::Garbage));
        }
        let handed = Handed::new(named.into_iter().zip(descriptors));
        let handed = handed.map_err(|source| UpgradeError::Listener { process, source })?;
        let predecessor = Self {
            process,
            version,
            channel,
        };
        Ok(Some((predecessor, handed)))
    }

    /// Waits until it ends or has ended, by itself.
    pub(crate) async fn is_ending(&mut self) {
        // Whatever else it says is not of this protocol, and so no reason to rely on it.
        let _ = self.channel.receive().await;
    }

    /// Tells it that this process serves.
    pub(crate) async fn told_to_end(&self) -> io::Result<()> {
        self.channel.send(&Message::Serving, &[]).await
    }

    /// Waits until it has ended: the kernel closes its end of the connection.
    pub(crate) async fn has_ended(mut self) {
        while self.channel.receive().await.is_ok() {}
    }
}

impl Handed {
    fn new(named: impl Iterator<Item = (Descriptor, OwnedFd)>) -> io::Result<Self> {
        let mut handed = Self::default();
        for (what, descriptor) in named {
            match what {
                Descriptor::Listener(_) => handed.listeners.push(listener(descriptor)?),
                Descriptor::DataDirLock => handed.data_dir_lock = Some(descriptor),
                Descriptor::ScanLogLock => handed.scan_log_lock = Some(descriptor),
            }
        }
        Ok(handed)
    }
}

/// Where it listens is asked of the socket itself.
fn listener(descriptor: OwnedFd) -> io::Result<TcpListener> {
    if !rustix::net::sockopt::socket_acceptconn(&descriptor)? {
        return Err(io::Error::other("a socket does not listen"));
    }
    let listener = TcpListener::from(descriptor);
    listener.set_nonblocking(true)?;
    listener.local_addr()?;
    Ok(listener)
}
