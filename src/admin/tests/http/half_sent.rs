//! A request that its client does not finish: the server has its head, has let it through, and waits for its body.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::Server;

pub struct HalfSent {
    connection: TcpStream,
    rest: Vec<u8>,
}

impl HalfSent {
    /// Sends the head, with these header fields, and the first byte of the body. `request` is a method and a path below `/api/v1`.
    pub async fn begin(server: &Server, request: &str, fields: &str, body: &str) -> Self {
        let mut connection = connect(server).await;
        let (method, path) = request.split_once(' ').unwrap();
        let head = format!(
            "{method} /api/v1{path} HTTP/1.1\r\nHost: a\r\n{fields}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Expect: 100-continue\r\n\r\n",
            body.len()
        );
        connection.write_all(head.as_bytes()).await.unwrap();
        let go_on = b"HTTP/1.1 100 Continue\r\n\r\n";
        let mut came = [0; 25];
        connection.read_exact(&mut came).await.unwrap();
        assert_eq!(&came, go_on);
        let (first, rest) = body.as_bytes().split_at(1);
        connection.write_all(first).await.unwrap();
        let rest = rest.to_vec();
        Self { connection, rest }
    }

    /// Sends the rest, and takes what comes until the server closes the connection.
    pub async fn finish(mut self) -> String {
        self.connection.write_all(&self.rest).await.unwrap();
        until_closed(self.connection).await
    }

    /// Sends nothing more, and takes what comes until the server closes the connection.
    pub async fn give_up(self) -> String {
        until_closed(self.connection).await
    }
}

pub async fn connect(server: &Server) -> TcpStream {
    let address = server.url.strip_prefix("http://").unwrap();
    TcpStream::connect(address).await.unwrap()
}

pub async fn until_closed(mut connection: TcpStream) -> String {
    let mut came = String::new();
    connection.read_to_string(&mut came).await.unwrap();
    came
}
