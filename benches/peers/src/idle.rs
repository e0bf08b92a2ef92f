//! Connections that have had one answer and then stay open, so that a server's memory for them can be read.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, ensure};
use clap::Args;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::scan::{HOST, Numbers, request};
use crate::{answers, tls};

#[derive(Args)]
pub(crate) struct Idle {
    /// The server.
    address: SocketAddr,
    /// How many connections.
    #[arg(long)]
    connections: usize,
    /// How many tags there are.
    #[arg(long)]
    tags: u64,
    /// The server's certificate (PEM), for TLS.
    #[arg(long)]
    certificate: Option<PathBuf>,
}

impl Idle {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let config = match &self.certificate {
            Some(file) => Some(tls::client(file, tls::Group::X25519, false)?),
            None => None,
        };
        let mut open = Vec::with_capacity(self.connections);
        for number in Numbers::below(self.tags).take(self.connections) {
            open.push(connect(self.address, config.clone(), number)?);
        }
        println!("{}", serde_json::json!({"connections": open.len()}));
        std::io::stdout().flush()?;
        std::io::stdin().read_to_end(&mut Vec::new())?;
        Ok(())
    }
}

enum Open {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

fn connect(
    address: SocketAddr,
    config: Option<Arc<ClientConfig>>,
    number: u64,
) -> anyhow::Result<Open> {
    let socket = TcpStream::connect(address).context("connecting")?;
    // Else each request waits 40 ms for the acknowledgement of the handshake's end before it.
    socket.set_nodelay(true)?;
    let mut open = match config {
        None => Open::Plain(socket),
        Some(config) => {
            let session = ClientConnection::new(config, ServerName::try_from(HOST)?)?;
            Open::Tls(Box::new(StreamOwned::new(session, socket)))
        }
    };
    match &mut open {
        Open::Plain(stream) => one(stream, number)?,
        Open::Tls(stream) => one(stream, number)?,
    }
    Ok(open)
}

fn one(stream: &mut (impl Read + Write), number: u64) -> anyhow::Result<()> {
    stream.write_all(&request(number, true))?;
    stream.flush()?;
    let mut received = Vec::new();
    let mut buffer = [0; 4096];
    while answers::check(&received, number)?.is_none() {
        let count = stream.read(&mut buffer).context("reading an answer")?;
        ensure!(count > 0, "closed without an answer");
        received.extend_from_slice(&buffer[..count]);
    }
    Ok(())
}
