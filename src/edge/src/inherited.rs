//! Listening sockets that another process has opened, and hands over with whoever waits in their queues.

use std::io;
use std::net::{SocketAddr, TcpListener};

use tokio::sync::watch;

/// What an edge begins with that takes the place of another process.
#[derive(Debug)]
pub struct Inherited {
    sockets: Vec<(SocketAddr, TcpListener)>,
    begin: watch::Receiver<bool>,
}

impl Inherited {
    /// Connections are accepted from the moment at which `begin` says true; never, if it is gone without.
    pub fn new(
        sockets: impl IntoIterator<Item = TcpListener>,
        begin: watch::Receiver<bool>,
    ) -> io::Result<Self> {
        let with_address = |socket: TcpListener| Ok((socket.local_addr()?, socket));
        let sockets = sockets.into_iter().map(with_address);
        Ok(Self {
            sockets: sockets.collect::<io::Result<_>>()?,
            begin,
        })
    }

    /// Nothing: every socket is opened by this process, which accepts at once.
    pub fn nothing() -> Self {
        let (_, begin) = watch::channel(true); // what was said holds without the one who said it
        Self {
            sockets: Vec::new(),
            begin,
        }
    }

    /// The socket that listens at an address, which is then not here any more.
    pub fn take(&mut self, address: SocketAddr) -> Option<TcpListener> {
        let at = self
            .sockets
            .iter()
            .position(|(listens, _)| *listens == address)?;
        Some(self.sockets.swap_remove(at).1)
    }

    /// Says when to begin.
    pub fn begin(&self) -> watch::Receiver<bool> {
        self.begin.clone()
    }
}
