//! A table with one tag of each kind, a real server over it, and a client that speaks bytes.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use edge::{
    CountExchange, Counting, EdgeMetrics, EdgeOptions, EdgeServer, FactSources, RateLimits, Tallies,
};
use facts::{AgentCache, CrawlerNetworks, LazyAgents, PlacesFile};
use jiff::Timestamp;
use journal::Counts;
use prometheus::Registry;
use scans::{
    Delivered, Delivery, DropReason, EncodedBatch, Full, Outlet, Scan, ScanBatch, ScanLog,
    ScanLogOptions, Shipper, ShipperOptions,
};
use table::Table;
use tags::{
    Change, Code, Destination, Domain, DomainSettings, RedirectStatus, Status, Tag, Workspace,
    WorkspaceId,
};
use tempfile::TempDir;

/// The default domain, without home or fallback.
pub const HOST: &str = "qr.example.com";
/// A domain with a home, a fallback, and a workspace.
pub const BRAND: &str = "go.example.org";
/// A domain on which case does not matter.
pub const CASELESS: &str = "ci.example.net";

pub fn destination(url: &str) -> Destination {
    Destination::parse(url).unwrap()
}

pub fn domain(name: &str) -> DomainSettings {
    DomainSettings {
        is_default: name == HOST,
        case_insensitive: name == CASELESS,
        ..DomainSettings::new(Domain::parse(name).unwrap(), Timestamp::UNIX_EPOCH)
    }
}

pub fn tag(domain: &str, code: &str) -> Tag {
    Tag {
        campaign: "spring".to_owned(),
        ..Tag::new(
            WorkspaceId::default_workspace(),
            Domain::parse(domain).unwrap(),
            Code::parse(code).unwrap(),
            destination(&format!("https://example.com/{code}")),
            Timestamp::UNIX_EPOCH,
        )
    }
}

/// The default domain's tags are named by what is special about them.
pub fn changes() -> Vec<Change> {
    let acme = WorkspaceId::parse("acme").unwrap();
    let brand = DomainSettings {
        workspace: Some(acme.clone()),
        home_url: Some(destination("https://brand.example.org/")),
        fallback_url: Some(destination("https://brand.example.org/lost")),
        ..domain(BRAND)
    };
    let workspace = Workspace {
        fallback_url: Some(destination("https://brand.example.org/workspace")),
        ..Workspace::new(acme.clone(), "Acme".to_owned(), Timestamp::UNIX_EPOCH)
    };
    let of_acme = |code| Tag {
        workspace: acme.clone(),
        ..tag(BRAND, code)
    };
    let long_ago = Some(Timestamp::from_second(1_000).unwrap());
    let far_ahead = Some(Timestamp::from_second(9_000_000_000).unwrap());
    let with_status = |code, redirect_status| Tag {
        redirect_status,
        ..tag(HOST, code)
    };
    let tags = [
        tag(HOST, "abc"),
        with_status("moved", RedirectStatus::MovedPermanently),
        Tag {
            cache_max_age: Some(60),
            ..with_status("kept", RedirectStatus::PermanentRedirect)
        },
        with_status("other", RedirectStatus::SeeOther),
        with_status("same", RedirectStatus::TemporaryRedirect),
        Tag {
            status: Status::Paused,
            ..tag(HOST, "paused")
        },
        Tag {
            starts_at: far_ahead,
            ..tag(HOST, "soon")
        },
        Tag {
            expires_at: long_ago,
            ..tag(HOST, "ended")
        },
        Tag {
            status: Status::Revoked,
            ..tag(HOST, "revoked")
        },
        Tag {
            expires_at: long_ago,
            fallback_url: Some(destination("https://example.com/instead")),
            ..tag(HOST, "instead")
        },
        Tag {
            status: Status::Paused,
            ..of_acme("paused")
        },
        of_acme("abc"),
        tag(CASELESS, "abc-9"),
        tag("2001:db8::1", "abc"),
    ];
    let settings =
        [domain(HOST), brand, domain(CASELESS), domain("2001:db8::1")].map(Change::Domain);
    settings
        .into_iter()
        .chain([Change::Workspace(workspace)])
        .chain(tags.map(Change::Tag))
        .collect()
}

pub fn table() -> Arc<Table> {
    let table = filling_table();
    table.complete();
    table
}

/// The same, before the journal's end has been seen.
pub fn filling_table() -> Arc<Table> {
    let table = Table::new();
    changes().into_iter().for_each(|change| {
        table.apply(change);
    });
    Arc::new(table)
}

/// Where a request's facts are looked up, without places.
#[derive(Default)]
pub struct Sources {
    places: PlacesFile,
    crawlers: CrawlerNetworks,
    agents: LazyAgents,
    known_agents: AgentCache,
    tallies: Tallies,
}

impl Sources {
    pub fn all(&self) -> FactSources<'_> {
        FactSources {
            places: &self.places,
            crawlers: &self.crawlers,
            agents: &self.agents,
            known_agents: &self.known_agents,
            tallies: &self.tallies,
        }
    }
}

/// A running server and what can be seen of it.
pub struct Edge {
    pub server: EdgeServer,
    pub table: Arc<Table>,
    pub scans: Scans,
    pub registry: Registry,
    pub metrics: EdgeMetrics,
}

impl Edge {
    pub fn start() -> Self {
        Self::with(table(), |_| {})
    }

    pub fn with(table: Arc<Table>, adjust: impl FnOnce(&mut EdgeOptions)) -> Self {
        let mut options = EdgeOptions::new(vec!["127.0.0.1:0".parse().unwrap()]);
        options.threads = std::num::NonZeroUsize::new(2);
        // What guesses codes by the dozen is no abuse here.
        options.rate_limits = RateLimits::NONE;
        adjust(&mut options);
        let registry = Registry::new();
        let scans = Scans::start(&registry);
        let metrics = EdgeMetrics::register(&registry).unwrap();
        let server = EdgeServer::start(options, Arc::clone(&table), &scans.log, &metrics).unwrap();
        Self {
            server,
            table,
            scans,
            registry,
            metrics,
        }
    }

    /// One that counts the scans of these tags, as the only one.
    pub fn counting(tags: Vec<Change>) -> (Self, CountExchange) {
        Self::counting_at("edge-1", tags, None)
    }

    /// One of this name that counts the scans of these tags with others at a place.
    pub fn counting_at(
        name: &str,
        tags: Vec<Change>,
        place: Option<Arc<dyn Counts>>,
    ) -> (Self, CountExchange) {
        let registry = Registry::new();
        let scans = Scans::start(&registry);
        let metrics = EdgeMetrics::register(&registry).unwrap();
        let file = scans._folder.path().join("counts.sqlite");
        let counting = Counting::open(name, &scans.log, &file, &metrics);
        let table = Arc::new(Table::with_counters(counting.prepare()));
        changes().into_iter().chain(tags).for_each(|change| {
            table.apply(change);
        });
        table.complete();
        let options = EdgeOptions {
            threads: std::num::NonZeroUsize::new(2),
            tallies: counting.tallies(),
            ..EdgeOptions::new(vec!["127.0.0.1:0".parse().unwrap()])
        };
        let server = EdgeServer::start(options, Arc::clone(&table), &scans.log, &metrics).unwrap();
        let exchange = counting.start(place, || {}).unwrap();
        let edge = Self {
            server,
            table,
            scans,
            registry,
            metrics,
        };
        (edge, exchange)
    }

    /// The value of a series of the registry.
    pub fn shown(&self, series: &str) -> f64 {
        shown(&self.registry, series)
    }

    pub fn connect(&self) -> Client {
        Client::connect(self.server.addresses()[0])
    }

    /// One request, on a connection of its own.
    pub fn get(&self, head: &str) -> Response {
        let mut client = self.connect();
        client.send(head.as_bytes());
        client.response(head.starts_with("HEAD")).unwrap()
    }
}

/// The value of a series of a registry.
pub fn shown(registry: &Registry, series: &str) -> f64 {
    let text = prometheus::TextEncoder::new()
        .encode_to_string(&registry.gather())
        .unwrap();
    let mut lines = text.lines();
    let value = lines.find_map(|line| line.strip_prefix(series)?.trim().parse().ok());
    value.unwrap_or_else(|| panic!("no {series} in {text}"))
}

/// A scan log, shipped to memory.
pub struct Scans {
    pub log: Arc<ScanLog>,
    delivered: Arc<Mutex<Vec<Scan>>>,
    _shipper: Shipper,
    _folder: TempDir,
}

impl Scans {
    fn start(registry: &Registry) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = ScanLogOptions {
            segment_bytes: 256 << 10,
            max_bytes: 4 << 20,
            ..ScanLogOptions::new("edge-1", folder.path().join("hot"))
        };
        let log = ScanLog::open(&options, registry).unwrap();
        let delivered = Arc::default();
        let outlet = Memory {
            delivered: Arc::clone(&delivered),
            stored: Vec::new(),
        };
        let shipper =
            Shipper::start(log.clone(), Box::new(outlet), ShipperOptions::default()).unwrap();
        Self {
            log,
            delivered,
            _shipper: shipper,
            _folder: folder,
        }
    }

    /// All that have been recorded, in order of time, once they have been delivered.
    pub fn all(&self) -> Vec<Scan> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let ledger = self.log.ledger();
            let mut all = self.delivered.lock().unwrap().clone();
            if all.len() as u64 == ledger.accepted - ledger.dropped.iter().sum::<u64>() {
                all.sort_by_key(|scan| (scan.time, scan.seq));
                return all;
            }
            assert!(
                Instant::now() < deadline,
                "{} of {ledger:?} were delivered",
                all.len()
            );
            std::thread::yield_now();
        }
    }

    pub fn unknown_dropped(&self) -> u64 {
        self.log.ledger().dropped[DropReason::UnknownCap as usize]
    }
}

/// An outlet that keeps everything.
struct Memory {
    delivered: Arc<Mutex<Vec<Scan>>>,
    stored: Vec<Delivery>,
}

impl Outlet for Memory {
    fn send(&mut self, batch: EncodedBatch) -> Result<(), Full> {
        let read = ScanBatch::decode(&batch.bytes).unwrap();
        assert!(read.refused.is_empty(), "{read:?}");
        self.delivered.lock().unwrap().extend(read.scans);
        let outcome = Delivered::Stored { partition: None };
        self.stored.push(Delivery {
            writer: batch.writer,
            first_seq: batch.first_seq,
            count: batch.count,
            outcome,
        });
        Ok(())
    }

    fn poll(&mut self, wait: Duration) -> Vec<Delivery> {
        if self.stored.is_empty() {
            std::thread::sleep(wait); // this is where the shipper rests
        }
        std::mem::take(&mut self.stored)
    }
}

/// A connection, and what was received beyond the last response.
pub struct Client {
    stream: TcpStream,
    received: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Response {
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (field, value) = line.split_once(": ")?;
            field.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        Self::new(TcpStream::connect(address).unwrap())
    }

    /// From an address of this machine's, such as any of 127.0.0.0/8.
    pub fn connect_from(from: IpAddr, address: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .unwrap();
        let stream = runtime.block_on(async {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind((from, 0).into()).unwrap();
            socket.connect(address).await.unwrap().into_std().unwrap()
        });
        stream.set_nonblocking(false).unwrap();
        Self::new(stream)
    }

    fn new(stream: TcpStream) -> Self {
        // Only a server that hangs ever meets this.
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            received: Vec::new(),
        }
    }

    /// Whom it is connected to.
    pub fn server(&self) -> SocketAddr {
        self.stream.peer_addr().unwrap()
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// For a server that may have stopped listening to this: what it has said still counts.
    pub fn try_send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Sends a byte, waits for an answer for so long, and again, until the server closes; how many it was.
    pub fn trickle(&mut self, byte: u8, pause: Duration) -> usize {
        self.stream.set_read_timeout(Some(pause)).unwrap();
        let mut sent = 0;
        loop {
            self.try_send(&[byte]);
            sent += 1;
            match self.stream.read(&mut [0; 64]) {
                Ok(0) => return sent,
                Ok(_) => panic!("an answer to half a request"),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return sent,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
            }
            assert!(sent < 1_000, "the server listens to this for ever");
        }
    }

    /// Says that nothing more comes from here.
    pub fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// As [`Client::response`], where the server may have closed without reading what was sent.
    pub fn try_response(&mut self) -> Option<Response> {
        match self.stream.peek(&mut [0]) {
            Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
            _ => self.response(false),
        }
    }

    /// The next response; none: the server has closed before one began.
    pub fn response(&mut self, to_head: bool) -> Option<Response> {
        let end = loop {
            if let Some(end) = self.received.windows(4).position(|w| w == b"\r\n\r\n") {
                break end + 4;
            }
            if !self.receive() {
                assert!(
                    self.received.is_empty(),
                    "cut off: {:?}",
                    String::from_utf8_lossy(&self.received)
                );
                return None;
            }
        };
        let head = String::from_utf8(self.received.drain(..end).collect()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let response = Response {
            status,
            head,
            body: String::new(),
        };
        if response.field("Transfer-Encoding") == Some("chunked") {
            let body = if to_head {
                String::new()
            } else {
                self.chunks()
            };
            return Some(Response { body, ..response });
        }
        let len: usize = response
            .field("Content-Length")
            .map_or(0, |len| len.parse().unwrap());
        let len = if to_head { 0 } else { len };
        while self.received.len() < len {
            assert!(self.receive(), "the body is cut off");
        }
        let body = String::from_utf8(self.received.drain(..len).collect()).unwrap();
        Some(Response { body, ..response })
    }

    /// A chunked body.
    fn chunks(&mut self) -> String {
        let mut body = Vec::new();
        loop {
            let end = loop {
                if let Some(end) = self.received.windows(2).position(|w| w == b"\r\n") {
                    break end;
                }
                assert!(self.receive(), "the body is cut off");
            };
            let line: Vec<u8> = self.received.drain(..end + 2).collect();
            let line = String::from_utf8(line).unwrap();
            let size = usize::from_str_radix(line.trim_end(), 16).unwrap();
            while self.received.len() < size + 2 {
                assert!(self.receive(), "the body is cut off");
            }
            body.extend(self.received.drain(..size));
            assert_eq!(self.received.drain(..2).collect::<Vec<_>>(), b"\r\n");
            if size == 0 {
                return String::from_utf8(body).unwrap();
            }
        }
    }

    /// Another that sends on the same connection.
    pub fn sender(&self) -> Self {
        Self {
            stream: self.stream.try_clone().unwrap(),
            received: Vec::new(),
        }
    }

    /// Everything until the server closes.
    pub fn rest(&mut self) -> String {
        while self.receive() {}
        String::from_utf8(std::mem::take(&mut self.received)).unwrap()
    }

    /// Whether the server has closed, having said nothing more.
    pub fn is_closed(&mut self) -> bool {
        self.received.is_empty() && !self.receive()
    }

    fn receive(&mut self) -> bool {
        let some = self.some();
        self.received.extend_from_slice(&some);
        !some.is_empty()
    }

    /// What has come, at least a byte of it; nothing: the server has closed.
    pub fn some(&mut self) -> Vec<u8> {
        let mut buffer = [0; 4096];
        let len = self
            .stream
            .read(&mut buffer)
            .expect("the server neither answers nor closes");
        buffer[..len].to_vec()
    }
}
