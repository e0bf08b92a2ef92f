//! A certificate with its key, read from their two files: everything that can be wrong with them is found here.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

use super::files::PairFiles;

/// A certificate that can be served.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) certified: Arc<CertifiedKey>,
    /// The DNS names that it is for, in lower case; perhaps with a wildcard as their first label.
    pub(crate) names: Vec<Box<str>>,
    /// From when on it is valid, in seconds since 1970.
    pub(crate) not_before: i64,
    /// When it expires, likewise.
    pub(crate) not_after: i64,
}

/// What is wrong with a certificate or its key.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    /// One of the two files is missing.
    #[error("{} has no {} beside it", file.display(), missing)]
    Alone {
        /// The file that is there.
        file: PathBuf,
        /// What the other one would be.
        missing: &'static str,
    },
    /// A file cannot be read.
    #[error("reading {}: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{} holds no {what} in PEM: {reason}", file.display())]
    Pem {
        /// The file.
        file: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// What the parser says.
        reason: String,
    },
    /// The certificate is malformed.
    #[error("{} holds a malformed certificate: {reason}", file.display())]
    Certificate {
        /// The file.
        file: PathBuf,
        /// What the parser says.
        reason: String,
    },
    /// The key is of no use, or belongs to another certificate.
    #[error("{} and {}: {reason}", certificate.display(), key.display())]
    Key {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What rustls says.
        reason: rustls::Error,
    },
}

impl Pair {
    /// Whether it is valid at that second.
    pub(crate) fn is_valid_at(&self, second: i64) -> bool {
        (self.not_before..=self.not_after).contains(&second)
    }

    pub(crate) fn read(files: &PairFiles, provider: &CryptoProvider) -> Result<Self, PairError> {
        let (certificate, key) = match (&files.certificate, &files.key) {
            (Some(certificate), Some(key)) => (certificate, key),
            (Some(file), None) => return Err(alone(file, "key (.key, or privkey.pem)")),
            (None, key) => {
                let file = key.as_deref().unwrap_or(Path::new(""));
                return Err(alone(file, "certificate (.crt, or fullchain.pem)"));
            }
        };
        let chain = CertificateDer::pem_slice_iter(&read(certificate)?)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| pem(certificate, "certificate", error.to_string()))?;
        let Some(leaf) = chain.first() else {
            return Err(pem(
                certificate,
                "certificate",
                "no section of this kind".to_owned(),
            ));
        };
        let (names, not_before, not_after) =
            describe(leaf).map_err(|reason| PairError::Certificate {
                file: certificate.clone(),
                reason,
            })?;
        let private = PrivateKeyDer::from_pem_slice(&read(key)?)
            .map_err(|error| pem(key, "private key", error.to_string()))?;
        let certified =
            CertifiedKey::from_der(chain, private, provider).map_err(|reason| PairError::Key {
                certificate: certificate.clone(),
                key: key.clone(),
                reason,
            })?;
        Ok(Self {
            certified: Arc::new(certified),
            names,
            not_before,
            not_after,
        })
    }
}

/// For which names a certificate is, from when on and until when. The subject's common name does not count, as it does not for any browser
/// (RFC 9525 §2).
fn describe(certificate: &CertificateDer<'_>) -> Result<(Vec<Box<str>>, i64, i64), String> {
    let (_, certificate) =
        parse_x509_certificate(certificate).map_err(|error| error.to_string())?;
    let alternative = certificate
        .subject_alternative_name()
        .map_err(|error| error.to_string())?;
    let names = alternative
        .iter()
        .flat_map(|extension| &extension.value.general_names);
    let names = names.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase().into()),
        _ => None,
    });
    let validity = certificate.validity();
    let (from, until) = (validity.not_before, validity.not_after);
    Ok((names.collect(), from.timestamp(), until.timestamp()))
}

fn read(file: &Path) -> Result<Vec<u8>, PairError> {
    std::fs::read(file).map_err(|source| PairError::Read {
        file: file.to_owned(),
        source,
    })
}

fn alone(file: &Path, missing: &'static str) -> PairError {
    PairError::Alone {
        file: file.to_owned(),
        missing,
    }
}

fn pem(file: &Path, what: &'static str, reason: String) -> PairError {
    PairError::Pem {
        file: file.to_owned(),
        what,
        reason,
    }
}
