//! Certificates that change while phones connect.

use std::collections::HashSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::tag;
use crate::deployment::load::{Sent, mark};
use crate::deployment::{Deployment, Node, Plan, Shape};
use crate::figures::{self, Figures};
use crate::ground::Ground;
use crate::support::DEADLINE;

pub async fn row_31_the_certificate_is_replaced_and_then_by_a_broken_one(
    _: &mut Ground,
) -> anyhow::Result<Figures> {
    let folder = tempfile::tempdir()?;
    let authority = Authority::new()?;
    let first = authority.write(folder.path())?;
    let mut plan = Plan::given(Shape::Standalone)?;
    plan.edge_environment.extend([
        ("TAGWIRE_EDGE__TLS_LISTEN", "127.0.0.1:0".to_owned()),
        (
            "TAGWIRE_EDGE__TLS_CERTIFICATES",
            folder.path().display().to_string(),
        ),
    ]);
    let mut deployment = Deployment::start(&plan).await?;
    let node = deployment.edges().next().context("an edge")?;
    let address = tls_address(node).await?;
    tag(&deployment, "sealed").await?;

    let phones = Phones::start(address, authority.trusted()?);
    phones.see(&first)?;
    let second = authority.write(folder.path())?;
    phones.see(&second)?;
    fs::write(folder.path().join("default.crt"), "no certificate")?;
    let deadline = Instant::now() + DEADLINE;
    while node.metric("tagwire_edge_certificates_refused").await == 0.0 {
        ensure!(Instant::now() < deadline, "it does not say that it refuses");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    phones.forget();
    phones.see(&second)?;
    let sent = phones.finish()?;
    let found = figures::exact(&mut deployment, "sealed", &sent).await?;
    deployment.end().await;
    Ok(found)
}

/// Where a process listens for TLS.
pub(super) async fn tls_address(node: &Node) -> anyhow::Result<SocketAddr> {
    let started = node.process().logs(" started").await;
    let address = started["tls"].as_str().context("its TLS address")?;
    Ok(address.trim_matches(['[', ']']).parse()?)
}

/// Who signs the certificates.
pub(super) struct Authority {
    certificate: rcgen::Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(super) fn new() -> anyhow::Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        Ok(Self {
            certificate,
            issuer: Issuer::new(params, key),
        })
    }

    pub(super) fn trusted(&self) -> anyhow::Result<Arc<ClientConfig>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone())?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        // A resumed session shows no certificate.
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
    }

    /// Puts a new certificate and its key into the folder, in the place of those before; the certificate.
    pub(super) fn write(&self, folder: &Path) -> anyhow::Result<Vec<u8>> {
        let key = KeyPair::generate()?;
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()])?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        for (name, content) in [
            ("default.key", key.serialize_pem()),
            ("default.crt", certificate.pem()),
        ] {
            fs::write(folder.join(name), content)?;
        }
        Ok(certificate.der().to_vec())
    }
}

/// Phones that each scan once on a connection of its own, again and again. None of them asks twice.
pub(super) struct Phones {
    ended: Arc<AtomicBool>,
    seen: Arc<Mutex<HashSet<Vec<u8>>>>,
    threads: Vec<JoinHandle<anyhow::Result<Vec<u64>>>>,
}

impl Phones {
    pub(super) fn start(address: SocketAddr, config: Arc<ClientConfig>) -> Self {
        let (ended, seen) = (
            Arc::<AtomicBool>::default(),
            Arc::<Mutex<HashSet<Vec<u8>>>>::default(),
        );
        let thread = |phone: u64| {
            let (ended, seen, config) = (Arc::clone(&ended), Arc::clone(&seen), config.clone());
            thread::spawn(move || {
                let mut numbers = Vec::new();
                while !ended.load(Ordering::Relaxed) {
                    let number = phone << 32 | numbers.len() as u64;
                    let shown = scan(address, &config, number)?;
                    seen.lock().unwrap().extend(shown);
                    numbers.push(number);
                }
                Ok(numbers)
            })
        };
        let threads = (0..4).map(thread).collect();
        Self {
            ended,
            seen,
            threads,
        }
    }

    /// Waits until a certificate has been shown.
    fn see(&self, certificate: &[u8]) -> anyhow::Result<()> {
        let deadline = Instant::now() + DEADLINE;
        while !self.seen.lock().unwrap().contains(certificate) {
            ensure!(Instant::now() < deadline, "a certificate is not shown");
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn forget(&self) {
        self.seen.lock().unwrap().clear();
    }

    /// What was scanned; an error, if one scan was not answered as it has to be.
    pub(super) fn finish(self) -> anyhow::Result<Sent> {
        self.ended.store(true, Ordering::Relaxed);
        let mut sent = Sent::default();
        for thread in self.threads {
            sent.answered.extend(thread.join().unwrap()?);
        }
        Ok(sent)
    }
}

/// One new connection with one scan; the certificate that was shown.
fn scan(
    address: SocketAddr,
    config: &Arc<ClientConfig>,
    number: u64,
) -> anyhow::Result<Option<Vec<u8>>> {
    let name = ServerName::from(address.ip());
    let connection = ClientConnection::new(Arc::clone(config), name)?;
    let mut stream = StreamOwned::new(connection, TcpStream::connect(address)?);
    let request = format!(
        "GET /sealed HTTP/1.1\r\nHost: {address}\r\nUser-Agent: {}\r\nConnection: close\r\n\r\n",
        mark(number)
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    ensure!(answer.starts_with("HTTP/1.1 302 "), "{answer}");
    let shown = stream.conn.peer_certificates();
    Ok(shown.and_then(|chain| Some(chain.first()?.to_vec())))
}
