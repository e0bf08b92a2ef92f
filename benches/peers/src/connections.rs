//! A new connection for each request, plain or TLS, as after a spot on television: connect, ask, check the answer, close.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use clap::Args;
use rustls::{ClientConfig, HandshakeKind};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::scan::{HOST, Numbers, request};
use crate::{answers, tls};

#[derive(Args)]
pub(crate) struct Connect {
    /// The server.
    address: SocketAddr,
    /// For how many seconds.
    #[arg(long)]
    seconds: f64,
    /// How many connections at the same time.
    #[arg(long, default_value_t = 32)]
    at_once: usize,
    /// How many tags there are.
    #[arg(long)]
    tags: u64,
    /// The server's certificate (PEM), for TLS.
    #[arg(long)]
    certificate: Option<PathBuf>,
    /// The key agreement that is offered.
    #[arg(long, default_value = "x25519")]
    group: tls::Group,
    /// Whether every connection but the first of each line resumes by a ticket; otherwise none may.
    #[arg(long)]
    resume: bool,
}

/// What was seen.
#[derive(Default)]
struct Seen {
    requests: u64,
    full: u64,
    resumed: u64,
    tickets: u64,
    group: Option<String>,
}

impl Connect {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let seen = runtime.block_on(self.connect())?;
        ensure!(seen.requests > 0, "no request was answered");
        let report = serde_json::json!({
            "requests": seen.requests, "full": seen.full, "resumed": seen.resumed, "tickets": seen.tickets, "group": seen.group,
        });
        println!("{report}");
        Ok(())
    }

    async fn connect(&self) -> anyhow::Result<Seen> {
        let until = Instant::now() + Duration::from_secs_f64(self.seconds);
        let mut lines = tokio::task::JoinSet::new();
        for line in 0..self.at_once {
            let line = Line {
                address: self.address,
                // Each line its own, or one would take the other's ticket, which is for one use.
                tls: self
                    .certificate
                    .as_deref()
                    .map(|file| tls::client(file, self.group, self.resume))
                    .transpose()?,
                numbers: Numbers::below(self.tags).skip(line * 1009),
            };
            lines.spawn(line.ask(until));
        }
        let mut all = Seen::default();
        while let Some(line) = lines.join_next().await {
            let line = line??;
            all.requests += line.requests;
            all.full += line.full;
            all.resumed += line.resumed;
            all.tickets += line.tickets;
            all.group = all.group.or(line.group);
        }
        if self.certificate.is_some() {
            let first_ones = self.at_once as u64;
            match self.resume {
                true if all.full > first_ones => bail!(
                    "{} of {} connections did not resume",
                    all.full,
                    all.requests
                ),
                false if all.resumed > 0 => bail!("{} connections resumed", all.resumed),
                _ => {}
            }
        }
        Ok(all)
    }
}

struct Line<N> {
    address: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
    numbers: N,
}

impl<N: Iterator<Item = u64>> Line<N> {
    async fn ask(mut self, until: Instant) -> anyhow::Result<Seen> {
        let mut seen = Seen::default();
        let name = rustls::pki_types::ServerName::try_from(HOST)?;
        while Instant::now() < until {
            let number = self.numbers.next().context("numbers do not end")?;
            let mut stream = TcpStream::connect(self.address)
                .await
                .context("connecting")?;
            stream.set_nodelay(true)?;
            match &self.tls {
                None => one(&mut stream, number).await?,
                Some(config) => {
                    let connector = TlsConnector::from(Arc::clone(config));
                    let mut stream = connector
                        .connect(name.clone(), stream)
                        .await
                        .context("TLS handshake")?;
                    one(&mut stream, number).await?;
                    let session = stream.get_ref().1;
                    match session.handshake_kind() {
                        Some(HandshakeKind::Resumed) => seen.resumed += 1,
                        _ => seen.full += 1,
                    }
                    seen.tickets += u64::from(session.tls13_tickets_received());
                    if seen.group.is_none() {
                        seen.group = session
                            .negotiated_key_exchange_group()
                            .map(|group| format!("{:?}", group.name()));
                    }
                }
            }
            seen.requests += 1;
        }
        Ok(seen)
    }
}

/// One scan, to the end of the connection, which the answer announces.
async fn one(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    number: u64,
) -> anyhow::Result<()> {
    stream
        .write_all(&request(number, false))
        .await
        .context("asking")?;
    stream.flush().await?;
    let mut received = Vec::with_capacity(1024);
    loop {
        if answers::check(&received, number)?.is_some() {
            return Ok(());
        }
        ensure!(
            stream
                .read_buf(&mut received)
                .await
                .context("reading an answer")?
                > 0,
            "closed without an answer"
        );
    }
}
