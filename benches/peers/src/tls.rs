//! A TLS client for measurements: it takes one certificate and no other, and says whether a session was resumed. It leaves out the
//! check of the server's signature, which costs a client more than a handshake costs the server, so that the client is not what is measured.

use std::sync::Arc;

use anyhow::Context;
use clap::ValueEnum;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, TicketRequest, Tls12Resumption};
use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};

/// The key agreement that the client offers.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Group {
    X25519,
    X25519mlkem768,
}

impl Group {
    fn offered(self) -> &'static dyn SupportedKxGroup {
        match self {
            Self::X25519 => aws_lc_rs::kx_group::X25519,
            Self::X25519mlkem768 => aws_lc_rs::kx_group::X25519MLKEM768,
        }
    }
}

/// TLS 1.3 with that group alone, for the certificate in the file. Who does not resume asks for no tickets either (RFC 9149).
pub(crate) fn client(
    certificate: &std::path::Path,
    group: Group,
    resume: bool,
) -> anyhow::Result<Arc<ClientConfig>> {
    let only = CertificateDer::from_pem_file(certificate).context("reading the certificate")?;
    let provider = CryptoProvider {
        kx_groups: vec![group.offered()],
        ..aws_lc_rs::default_provider()
    };
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Only(only)))
        .with_no_client_auth();
    config.resumption = if resume {
        Resumption::in_memory_sessions(8).tls12_resumption(Tls12Resumption::Disabled)
    } else {
        Resumption::disabled()
    };
    config.send_ticket_request = Some(TicketRequest {
        new_session_count: resume.into(),
        resumption_count: resume.into(),
    });
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[derive(Debug)]
struct Only(CertificateDer<'static>);

impl ServerCertVerifier for Only {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if *end_entity == self.0 {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(rustls::Error::General(
                "the server has another certificate".to_owned(),
            ))
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General(
            "only TLS 1.3 is measured".to_owned(),
        ))
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}
