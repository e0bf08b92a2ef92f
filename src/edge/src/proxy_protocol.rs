//! The header with which a proxy in front names the client of a connection, before anything else and before TLS: the PROXY protocol,
//! version 2 and, from proxies that know no other, version 1. Whose header is believed is `admission`'s.

use std::io;
use std::net::{IpAddr, SocketAddr};

use pingora_core::server::ShutdownWatch;
use ppp::{v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::timeout;

use crate::admission::{Admitted, Refusal};
use crate::conversation::Origin;
use crate::lane::{Lane, until_stopped};

/// As much as is common to both: the signature of version 2, or the beginning of version 1's line, which is 15 bytes at least.
const BEGINNING: usize = v2::PROTOCOL_PREFIX.len();
/// Version 2 as far as to the length of the rest.
const FIXED: usize = 16;
/// Version 2, and the command of a proxy that speaks for itself.
const LOCAL: u8 = 0x20;
/// Of the bits that begin the field about TLS, the one for a client that uses it.
const CLIENT_SSL: u8 = 1;
/// The longest line of version 1, with its end.
const LONGEST_LINE: usize = 107;
/// The most that version 2 may bring behind its first 16 bytes: the addresses, and what cloud balancers and a client's certificate add.
const LONGEST_PAYLOAD: usize = 4 * 1024;

/// What a header says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Announced {
    /// None: the proxy speaks for itself (a health check), or names no internet address.
    pub(crate) client: Option<SocketAddr>,
    /// Whether the client's connection to the proxy goes over TLS (§2.2.6, `PP2_CLIENT_SSL`).
    pub(crate) tls: bool,
}

/// Why a header is not one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProxyProtocolError {
    #[error("reading the PROXY protocol header: {0}")]
    Read(#[from] io::Error),
    #[error("the connection does not begin with a PROXY protocol header")]
    NoHeader,
    #[error("the PROXY protocol header is not valid")]
    Invalid,
    #[error("the PROXY protocol header is longer than {LONGEST_PAYLOAD} bytes")]
    TooLong,
}

impl Lane {
    /// Where a connection comes from that has to begin with a header; from the peer where the header names nobody. None: it is to be
    /// closed, which has been counted.
    pub(crate) async fn announced<S: AsyncRead + Unpin>(
        &self,
        stream: &mut S,
        admitted: &mut Admitted,
        peer: IpAddr,
        shutdown: &ShutdownWatch,
    ) -> Option<Origin> {
        let in_time = timeout(self.rules.limits.head, read(stream));
        let Announced { client, tls } = match until_stopped(in_time, shutdown).await {
            Some(Ok(Ok(announced))) => announced,
            Some(Ok(Err(error))) => {
                tracing::debug!(%error, "a connection of a proxy is closed");
                self.admission.refused(Refusal::ProxyProtocol);
                return None;
            }
            Some(Err(_)) | None => {
                self.admission.refused(Refusal::ProxyProtocol);
                return None;
            }
        };
        let Some(client) = client else {
            return Some(Origin { peer, tls });
        };
        let peer = client.ip().to_canonical();
        admitted.is_from(peer).then_some(Origin { peer, tls })
    }
}

/// Reads the header, and not a byte of what follows it.
pub(crate) async fn read<S: AsyncRead + Unpin>(
    stream: &mut S,
) -> Result<Announced, ProxyProtocolError> {
    let mut beginning = [0; BEGINNING];
    stream.read_exact(&mut beginning).await?;
    if beginning == v2::PROTOCOL_PREFIX {
        read_binary(stream).await
    } else if beginning.starts_with(v1::PROTOCOL_PREFIX.as_bytes()) {
        let client = read_line(stream, &beginning).await?;
        Ok(Announced { client, tls: false })
    } else {
        Err(ProxyProtocolError::NoHeader)
    }
}

async fn read_binary<S: AsyncRead + Unpin>(
    stream: &mut S,
) -> Result<Announced, ProxyProtocolError> {
    let mut header = v2::PROTOCOL_PREFIX.to_vec();
    header.resize(FIXED, 0);
    stream.read_exact(&mut header[BEGINNING..]).await?;
    let payload = usize::from(u16::from_be_bytes([header[14], header[15]]));
    if payload > LONGEST_PAYLOAD {
        return Err(ProxyProtocolError::TooLong);
    }
    header.resize(FIXED + payload, 0);
    stream.read_exact(&mut header[FIXED..]).await?;
    if header[BEGINNING] == LOCAL {
        // §2.2: whatever else stands there is discarded, the family included.
        return Ok(Announced::default());
    }
    let header =
        v2::Header::try_from(header.as_slice()).map_err(|_| ProxyProtocolError::Invalid)?;
    let client = match header.addresses {
        v2::Addresses::IPv4(ip) => Some((ip.source_address, ip.source_port).into()),
        v2::Addresses::IPv6(ip) => Some((ip.source_address, ip.source_port).into()),
        _ => None,
    };
    Ok(Announced {
        client,
        tls: is_over_tls(&header),
    })
}

/// What the proxy says of TLS, if anything.
fn is_over_tls(header: &v2::Header<'_>) -> bool {
    let mut fields = header.tlvs().map_while(Result::ok);
    let ssl = fields.find(|field| field.kind == v2::Type::SSL as u8);
    ssl.is_some_and(|ssl| ssl.value.first().is_some_and(|bits| bits & CLIENT_SSL != 0))
}

/// Byte by byte: nothing says how long the line is, and what follows is not ours.
async fn read_line<S: AsyncRead + Unpin>(
    stream: &mut S,
    beginning: &[u8],
) -> Result<Option<SocketAddr>, ProxyProtocolError> {
    let mut line = beginning.to_vec();
    while !line.ends_with(b"\r\n") {
        if line.len() == LONGEST_LINE {
            return Err(ProxyProtocolError::Invalid);
        }
        line.push(stream.read_u8().await?);
    }
    let line = v1::Header::try_from(line.as_slice()).map_err(|_| ProxyProtocolError::Invalid)?;
    Ok(match line.addresses {
        v1::Addresses::Tcp4(ip) => Some((ip.source_address, ip.source_port).into()),
        v1::Addresses::Tcp6(ip) => Some((ip.source_address, ip.source_port).into()),
        v1::Addresses::Unknown => None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::runtime::Builder;

    use super::*;

    /// What a header says, and what is left behind it.
    fn reading(bytes: &[u8]) -> (Result<Option<String>, String>, Vec<u8>) {
        let runtime = Builder::new_current_thread().build().unwrap();
        let mut rest = bytes;
        let outcome = runtime.block_on(read(&mut rest));
        let outcome = outcome.map(|announced| announced.client.map(|client| client.to_string()));
        (outcome.map_err(|error| error.to_string()), rest.to_vec())
    }

    fn binary(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
        let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
        header.extend([command, family]);
        header.extend((payload.len() as u16).to_be_bytes());
        header.extend(payload);
        header
    }

    const V4: [u8; 12] = [203, 0, 113, 7, 10, 0, 0, 1, 0x12, 0x67, 0, 80];

    #[test]
    fn the_client_is_the_source_and_not_a_byte_behind_the_header_is_read() {
        let mut v6 = [0; 36];
        v6[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        (v6[15], v6[33]) = (9, 99);
        let with_fields = [&V4[..], &[4, 0, 3, 0, 0, 0], &[0x20, 0, 1, 0xff]].concat();
        for (header, client) in [
            (binary(0x21, 0x11, &V4), Some("203.0.113.7:4711")),
            (binary(0x21, 0x11, &with_fields), Some("203.0.113.7:4711")),
            (binary(0x21, 0x21, &v6), Some("[2001:db8::9]:99")),
            (binary(0x21, 0x31, &[b'/'; 216]), None),
            (binary(0x21, 0x00, &[]), None),
            (binary(0x20, 0x11, &V4), None),
            (binary(0x20, 0x00, &[]), None),
            (
                b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 80\r\n".to_vec(),
                Some("203.0.113.7:4711"),
            ),
            (
                b"PROXY TCP6 2001:db8::9 2001:db8::1 99 80\r\n".to_vec(),
                Some("[2001:db8::9]:99"),
            ),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
        ] {
            let bytes = [&header, &b"GET / HTTP/1.1"[..]].concat();
            let (outcome, rest) = reading(&bytes);
            assert_eq!(outcome, Ok(client.map(str::to_owned)), "{header:x?}");
            assert_eq!(rest, b"GET / HTTP/1.1", "{header:x?}");
        }
    }

    #[test]
    fn what_is_no_whole_and_valid_header_is_refused() {
        let long_line = format!("PROXY TCP4 {}\r\n", "1".repeat(200));
        let cut = binary(0x21, 0x11, &V4);
        for (bytes, reason) in [
            (&b"GET /abc HTTP/1.1\r\n\r\n"[..], "does not begin"),
            (
                b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00",
                "does not begin",
            ),
            (b"PROXY TCP4 203.0.113.7\r\n", "not valid"),
            (b"PROXY TCP4 203.0.113.256 10.0.0.1 1 2\r\n", "not valid"),
            (b"PROXY NONSENSE\r\n", "not valid"),
            (long_line.as_bytes(), "not valid"),
            (&binary(0x11, 0x11, &V4), "not valid"),
            (&binary(0x22, 0x11, &V4), "not valid"),
            (&binary(0x21, 0x41, &V4), "not valid"),
            (&binary(0x21, 0x11, &V4[..11]), "not valid"),
            (&binary(0x21, 0x11, &[0; 4097]), "longer than"),
            (&cut[..cut.len() - 1], "reading"),
            (&cut[..5], "reading"),
            (b"", "reading"),
        ] {
            let refusal = reading(bytes).0.unwrap_err();
            assert!(refusal.contains(reason), "{bytes:x?}: {refusal}");
        }
    }

    #[test]
    fn a_proxy_that_speaks_for_itself_may_say_anything_else() {
        for (family, payload) in [(0x11, &V4[..5]), (0x47, b"x"), (0xff, b""), (0x21, &V4)] {
            let bytes = [&binary(0x20, family, payload)[..], b"GET"].concat();
            assert_eq!(reading(&bytes), (Ok(None), b"GET".to_vec()), "{family:x}");
        }
    }

    #[test]
    fn a_client_is_over_tls_where_the_proxy_says_so() {
        let over_tls = |fields: &[u8]| {
            let bytes = binary(0x21, 0x11, &[&V4, fields].concat());
            let runtime = Builder::new_current_thread().build().unwrap();
            runtime.block_on(read(&mut &bytes[..])).unwrap().tls
        };
        for (fields, tls) in [
            (&b""[..], false),
            (b"\x20\0\x05\x01\0\0\0\0", true),
            (b"\x20\0\x05\x07\0\0\0\0", true),
            (b"\xee\0\x01\x01\x20\0\x05\x01\0\0\0\0", true),
            (b"\x20\0\x05\x06\0\0\0\0", false),
            (b"\x20\0\0", false),
            (b"\x20\0\x09\x01", false),
            (b"\xee\0\x01\x20", false),
        ] {
            assert_eq!(over_tls(fields), tls, "{fields:x?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(command: u8, family: u8, payload in prop::collection::vec(any::<u8>(), 0..300), cut in 0..400_usize) {
            let mut bytes = binary(command, family, &payload);
            bytes.truncate(cut);
            let _ = reading(&bytes);
        }

        #[test]
        fn no_line_breaks_it(line in "PROXY [ -~]{0,120}", ended: bool) {
            let _ = reading(format!("{line}{}", if ended { "\r\n" } else { "" }).as_bytes());
        }
    }
}
