//! A client that speaks TLS and then bytes, and tells what was agreed on.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, ProtocolVersion, StreamOwned};

/// A connection after its handshake.
pub struct TlsClient {
    stream: StreamOwned<ClientConnection, TcpStream>,
}

impl TlsClient {
    /// Shakes hands; the error is rustls's.
    pub fn connect(
        address: SocketAddr,
        config: ClientConfig,
        name: &str,
    ) -> Result<Self, std::io::Error> {
        Self::with(address, &Arc::new(config), name)
    }

    /// The same with a configuration that may remember sessions.
    pub fn with(
        address: SocketAddr,
        config: &Arc<ClientConfig>,
        name: &str,
    ) -> Result<Self, std::io::Error> {
        Self::over(TcpStream::connect(address).unwrap(), config, name)
    }

    /// The same on a connection that has been used before.
    pub fn over(
        socket: TcpStream,
        config: &Arc<ClientConfig>,
        name: &str,
    ) -> Result<Self, std::io::Error> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let connection = ClientConnection::new(Arc::clone(config), name).unwrap();
        // Only a server that hangs ever meets this.
        socket
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        socket.set_nodelay(true).unwrap();
        let mut stream = StreamOwned::new(connection, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Self { stream })
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
        self.stream.flush().unwrap();
    }

    /// What has come, at least a byte of it; nothing: the server has said that it closes.
    pub fn receive(&mut self) -> Vec<u8> {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(len) => buffer[..len].to_vec(),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                panic!("closed without close_notify (RFC 8446 6.1)")
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Sends a request that closes, and returns all that is answered.
    pub fn ask(mut self, path: &str, host: &str) -> String {
        self.send(
            format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes(),
        );
        let mut answer = Vec::new();
        loop {
            match self.receive() {
                more if more.is_empty() => return String::from_utf8(answer).unwrap(),
                more => answer.extend(more),
            }
        }
    }

    pub fn version(&self) -> ProtocolVersion {
        self.stream.conn.protocol_version().unwrap()
    }

    pub fn is_resumed(&self) -> bool {
        self.stream.conn.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    pub fn alpn(&self) -> Option<&[u8]> {
        self.stream.conn.alpn_protocol()
    }

    /// The group that keys were agreed in.
    pub fn group(&self) -> rustls::NamedGroup {
        let group = self.stream.conn.negotiated_key_exchange_group();
        group.unwrap().name()
    }

    /// The certificate that the server showed.
    pub fn certificate(&self) -> Vec<u8> {
        self.stream.conn.peer_certificates().unwrap()[0].to_vec()
    }
}
