//! Certificates for tests, made on the spot, and clients that trust them.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use edge::{EdgeOptions, Tls, TlsOptions};
use prometheus::Registry;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, IsCa, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256,
};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use table::Table;
use tempfile::TempDir;

use crate::fixture::{BRAND, CASELESS, Edge, HOST, table};

/// Who signs what a test's server shows.
pub struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, in PEM.
pub struct Made {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        Self {
            certificate,
            issuer,
        }
    }

    /// What a client has to trust.
    pub fn root(&self) -> CertificateDer<'static> {
        CertificateDer::from(self.certificate.der().to_vec())
    }

    pub fn make(&self, names: &[&str]) -> Made {
        self.make_valid(1975..2090, names)
    }

    /// One that is valid in those years.
    pub fn make_valid(&self, years: Range<i32>, names: &[&str]) -> Made {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = rcgen::date_time_ymd(years.start, 1, 1);
        params.not_after = rcgen::date_time_ymd(years.end, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Made {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }

    /// A client that trusts this authority alone.
    pub fn client(&self, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.root()).unwrap();
        ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth()
    }
}

impl Made {
    /// Puts it into a folder under a name.
    pub fn write(&self, folder: &Path, name: &str) {
        std::fs::write(folder.join(format!("{name}.crt")), &self.certificate).unwrap();
        std::fs::write(folder.join(format!("{name}.key")), &self.key).unwrap();
    }
}

/// A server with TLS, its folder of certificates, and who signed them.
pub struct Secure {
    pub edge: Edge,
    pub tls: Arc<Tls>,
    pub authority: Authority,
    pub folder: PathBuf,
    _temporary: TempDir,
}

impl Secure {
    pub fn start() -> Self {
        Self::with(|_| {}, |_| {})
    }

    /// One pair, `default`, for the hosts of the fixture.
    pub fn with(tls: impl FnOnce(&mut TlsOptions), edge: impl FnOnce(&mut EdgeOptions)) -> Self {
        Self::over(table(), tls, edge)
    }

    /// The same, over another table.
    pub fn over(
        table: Arc<Table>,
        tls: impl FnOnce(&mut TlsOptions),
        edge: impl FnOnce(&mut EdgeOptions),
    ) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().join("certificates");
        std::fs::create_dir(&folder).unwrap();
        let authority = Authority::new();
        authority
            .make(&[HOST, BRAND, CASELESS])
            .write(&folder, "default");
        let mut options = TlsOptions::new(&folder);
        options.handshake = Duration::from_secs(20);
        tls(&mut options);
        // Its metrics are the edge's, see `Secure::metric`.
        let registry = Registry::new();
        let tls = Arc::new(Tls::open(&options, &registry).unwrap());
        let mut running = Edge::with(table, |options| {
            options.tls_listen = vec!["127.0.0.1:0".parse().unwrap()];
            options.tls = Some(Arc::clone(&tls));
            edge(options);
        });
        running.registry = registry;
        Self {
            edge: running,
            tls,
            authority,
            folder,
            _temporary: temporary,
        }
    }

    /// Waits until the server has counted so many handshakes that ended like this.
    pub fn handshakes(&self, result: &str, count: f64) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.metric("tagwire_edge_tls_handshakes_total", result) != count {
            assert!(Instant::now() < deadline, "not {count} {result}");
            std::thread::yield_now();
        }
    }

    /// The sum of a metric's series that have this text among their labels.
    pub fn metric(&self, name: &str, label: &str) -> f64 {
        let families = self.edge.registry.gather();
        let family = families.iter().find(|family| family.name() == name);
        let series = family.unwrap_or_else(|| panic!("no {name}")).get_metric();
        let labelled = series.iter().filter(|one| {
            label.is_empty() || one.get_label().iter().any(|pair| pair.value() == label)
        });
        labelled
            .map(|one| one.get_counter().get_value() + one.get_gauge().get_value())
            .sum()
    }
}
