//! A brand's own site for tests: a server that speaks bytes, notes every request that reaches it whole, and answers as it is told.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

/// A request as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Got {
    pub head: String,
    /// Chunks are joined.
    pub body: Vec<u8>,
    /// Which connection it came on.
    pub connection: usize,
}

impl Got {
    pub fn line(&self) -> &str {
        self.head.lines().next().unwrap()
    }

    pub fn path(&self) -> &str {
        self.line().split(' ').nth(1).unwrap()
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }
}

/// What it does with one.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Sends this and waits for the next request.
    Send(Vec<u8>),
    /// Sends this and closes.
    SendAndClose(Vec<u8>),
    /// Says nothing until the test lets it, and closes then.
    Hang,
}

/// 200 with this text.
pub fn ok(text: &str) -> Reply {
    let len = text.len();
    Reply::Send(format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n{text}").into_bytes())
}

/// A running site. It ends with the test's process.
pub struct Site {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    requests: Mutex<Vec<Got>>,
    came: Condvar,
    connections: AtomicUsize,
    released: (Mutex<bool>, Condvar),
    reply: Box<dyn Fn(&Got) -> Reply + Send + Sync>,
}

impl Site {
    pub fn start(reply: impl Fn(&Got) -> Reply + Send + Sync + 'static) -> Self {
        Self::over(reply, |stream| Box::new(stream))
    }

    /// Over what is made of each connection.
    pub fn over(
        reply: impl Fn(&Got) -> Reply + Send + Sync + 'static,
        wrap: impl Fn(TcpStream) -> Box<dyn Connection> + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            requests: Mutex::default(),
            came: Condvar::new(),
            connections: AtomicUsize::new(0),
            released: (Mutex::new(false), Condvar::new()),
            reply: Box::new(reply),
        });
        let served = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (connection, served) = (wrap(stream.unwrap()), Arc::clone(&served));
                let number = served.connections.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || served.serve(connection, number));
            }
        });
        Self { address, shared }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every request that has come whole.
    pub fn requests(&self) -> Vec<Got> {
        self.shared.requests.lock().unwrap().clone()
    }

    pub fn paths(&self) -> Vec<String> {
        let requests = self.requests();
        requests.iter().map(|got| got.path().to_owned()).collect()
    }

    /// Waits until so many have come.
    pub fn wait_for(&self, count: usize) {
        let requests = self.shared.requests.lock().unwrap();
        let limit = Duration::from_secs(20);
        let (requests, waited) = self
            .shared
            .came
            .wait_timeout_while(requests, limit, |requests| requests.len() < count)
            .unwrap();
        assert!(!waited.timed_out(), "only {} came", requests.len());
    }

    /// How many connections there have been.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Ends the silence of those that hang.
    pub fn release(&self) {
        *self.shared.released.0.lock().unwrap() = true;
        self.shared.released.1.notify_all();
    }
}

pub trait Connection: Read + Write + Send {
    /// Says that nothing more comes.
    fn end(&mut self);
}

impl Connection for TcpStream {
    fn end(&mut self) {
        let _ = self.shutdown(Shutdown::Both);
    }
}

impl Shared {
    fn serve(&self, mut stream: Box<dyn Connection>, number: usize) {
        let mut received = Vec::new();
        while let Some(got) = read_request(&mut stream, &mut received, number) {
            let reply = (self.reply)(&got);
            self.requests.lock().unwrap().push(got);
            self.came.notify_all();
            match reply {
                Reply::Send(bytes) if stream.write_all(&bytes).is_ok() => {
                    let _ = stream.flush();
                }
                Reply::Send(_) => return,
                Reply::SendAndClose(bytes) => {
                    let _ = stream.write_all(&bytes).and_then(|()| stream.flush());
                    stream.end();
                    return;
                }
                Reply::Hang => {
                    let released = self.released.0.lock().unwrap();
                    let wait = self.released.1.wait_while(released, |released| !*released);
                    drop(wait.unwrap());
                    stream.end();
                    return;
                }
            }
        }
    }
}

fn read_request(
    stream: &mut Box<dyn Connection>,
    received: &mut Vec<u8>,
    connection: usize,
) -> Option<Got> {
    let end = read_until(stream, received, b"\r\n\r\n")?;
    let head: Vec<u8> = received.drain(..end).collect();
    let head = String::from_utf8_lossy(&head).into_owned(); // values may have bytes beyond ASCII
    let mut body = Vec::new();
    if field(&head, "transfer-encoding").is_some() {
        loop {
            let end = read_until(stream, received, b"\r\n")?;
            let line = String::from_utf8(received.drain(..end).collect()).unwrap();
            let size = usize::from_str_radix(line.trim_end(), 16).unwrap();
            take(stream, received, size, &mut body)?;
            take(stream, received, 2, &mut Vec::new())?;
            if size == 0 {
                break;
            }
        }
    } else if let Some(length) = field(&head, "content-length") {
        take(stream, received, length.parse().unwrap(), &mut body)?;
    }
    Some(Got {
        head,
        body,
        connection,
    })
}

fn read_until(
    stream: &mut Box<dyn Connection>,
    received: &mut Vec<u8>,
    end: &[u8],
) -> Option<usize> {
    loop {
        if let Some(at) = received.windows(end.len()).position(|bytes| bytes == end) {
            return Some(at + end.len());
        }
        receive(stream, received)?;
    }
}

fn take(
    stream: &mut Box<dyn Connection>,
    received: &mut Vec<u8>,
    len: usize,
    into: &mut Vec<u8>,
) -> Option<()> {
    while received.len() < len {
        receive(stream, received)?;
    }
    into.extend(received.drain(..len));
    Some(())
}

fn receive(stream: &mut Box<dyn Connection>, received: &mut Vec<u8>) -> Option<()> {
    let mut buffer = [0; 64 * 1024];
    match stream.read(&mut buffer) {
        Ok(len) if len > 0 => received.extend_from_slice(&buffer[..len]),
        _ => return None,
    }
    Some(())
}

/// A field's first value.
pub fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (field, value) = line.split_once(':')?;
        field.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}
