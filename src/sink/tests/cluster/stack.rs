//! Kafka and ClickHouse for one test: topics and a database of its own, batches to send, and a gate before ClickHouse.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use analytics::{ClickHouseOptions, Run};
use jiff::{SignedDuration, Timestamp};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use scans::{
    HttpVersion, IpPrefix, KafkaOutletOptions, Method, NewScan, Purpose, ScansTopic, Visitor,
    WriterKey,
};
use tags::Outcome;
use tokio::runtime::Runtime;

pub(crate) struct Stack {
    pub(crate) brokers: String,
    pub(crate) url: String,
    pub(crate) prefix: String,
    pub(crate) database: String,
    pub(crate) runtime: Arc<Runtime>,
    _end: Option<End>,
}

struct End {
    url: String,
    database: String,
}

impl Stack {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!(
            "sink_{}_{}_{number}",
            std::process::id(),
            Timestamp::now().as_microsecond()
        );
        let brokers = std::env::var("TAGWIRE_TEST_KAFKA")
            .expect("TAGWIRE_TEST_KAFKA names no Kafka broker: run tests/run, which starts one");
        let mut stack = Self::of(&brokers, &format!("{name}."), &name);
        stack._end = Some(End {
            url: stack.url.clone(),
            database: name,
        });
        stack
    }

    pub(crate) fn of(brokers: &str, prefix: &str, database: &str) -> Self {
        let url = std::env::var("TAGWIRE_TEST_CLICKHOUSE").expect(
            "TAGWIRE_TEST_CLICKHOUSE names no ClickHouse server: run tests/run, which starts one",
        );
        let runtime = Arc::new(Runtime::new().expect("a runtime"));
        let (brokers, prefix, database) =
            (brokers.to_owned(), prefix.to_owned(), database.to_owned());
        Self {
            brokers,
            url,
            prefix,
            database,
            runtime,
            _end: None,
        }
    }

    pub(crate) fn clickhouse(&self, url: &str) -> ClickHouseOptions {
        ClickHouseOptions {
            url: url.to_owned(),
            user: None,
            password: None,
            database: self.database.clone(),
        }
    }

    /// A query's one number; 0 while the table is not there yet.
    pub(crate) fn number(&self, query: &str) -> u64 {
        let body = format!(
            "POST /?database={} HTTP/1.0\r\nContent-Length: {}\r\n\r\n{query}",
            self.database,
            query.len()
        );
        let mut connection = TcpStream::connect(address(&self.url)).expect("ClickHouse listens");
        connection.write_all(body.as_bytes()).expect("it reads");
        let mut answer = String::new();
        connection.read_to_string(&mut answer).expect("it answers");
        let (head, number) = answer.split_once("\r\n\r\n").expect("HTTP");
        if head.contains("200 OK") {
            number.trim().parse().expect("one number")
        } else {
            0
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let query = format!("DROP DATABASE IF EXISTS {} SYNC", self.database);
        if let Ok(mut connection) = TcpStream::connect(address(&self.url)) {
            let request = format!(
                "POST / HTTP/1.0\r\nContent-Length: {}\r\n\r\n{query}",
                query.len()
            );
            // A test that failed has more to say than this.
            let _ = connection
                .write_all(request.as_bytes())
                .and_then(|()| connection.read_to_end(&mut Vec::new()));
        }
    }
}

fn address(url: &str) -> SocketAddr {
    url.trim_start_matches("http://")
        .trim_end_matches('/')
        .parse()
        .expect("http://ADDRESS:PORT")
}

/// Waits for something that will come; a minute is for slow machines.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(90);
    while !holds() {
        assert!(Instant::now() < deadline, "did not happen: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What was sent: of two writers, each to a partition of its own, 25 scans a batch.
pub(crate) struct Produced {
    producer: BaseProducer,
    topic: String,
    sent: Mutex<Sent>,
}

#[derive(Default)]
struct Sent {
    batches: u64,
    extra: u64,
}

const SCANS: u64 = 25;

impl Produced {
    pub(crate) fn new(stack: &Stack) -> Self {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &stack.brokers);
        let mut options = KafkaOutletOptions::new(&stack.brokers, &stack.prefix);
        options.partitions = 2;
        let topic = ScansTopic::new(&config, &options).expect("valid settings");
        topic.partitions_or_create().expect("a broker");
        let producer = config.set("linger.ms", "0").create().expect("a producer");
        Self {
            producer,
            topic: topic.name().to_owned(),
            sent: Mutex::default(),
        }
    }

    fn writer(number: u32) -> WriterKey {
        WriterKey {
            edge: "edge-1".into(),
            boot: 77,
            writer: number,
        }
    }

    /// How many batches each writer has sent.
    pub(crate) fn next(&self) -> u64 {
        self.sent.lock().expect("no panic").batches
    }

    pub(crate) fn scans(&self) -> u64 {
        self.next() * SCANS * 2
    }

    pub(crate) fn records(&self) -> u64 {
        let sent = self.sent.lock().expect("no panic");
        sent.batches * 2 + sent.extra
    }

    pub(crate) fn runs(&self) -> Vec<Run> {
        (0..2)
            .map(|number| super::run_of(Self::writer(number), self.next() * SCANS))
            .collect()
    }

    /// So many batches more from each writer as the range has.
    pub(crate) fn batches(&self, range: Range<u64>) {
        for _ in range {
            let batch = self.next();
            for number in 0..2 {
                self.batch(number, batch);
            }
            self.sent.lock().expect("no panic").batches += 1;
        }
        self.flush();
    }

    /// Batches that were sent before, as a shipper does that lost an acknowledgement.
    pub(crate) fn replay_some(&self) {
        for batch in [0, self.next() / 2, self.next() - 1] {
            self.batch(0, batch);
            self.sent.lock().expect("no panic").extra += 1;
        }
        self.flush();
    }

    /// A record that is no batch.
    pub(crate) fn poison(&self) {
        self.send(0, &[0xff, 0x00, 0xff]);
        self.sent.lock().expect("no panic").extra += 1;
        self.flush();
    }

    fn batch(&self, number: u32, batch: u64) {
        let start: Timestamp = "2026-11-30T23:59:50Z".parse().expect("a time");
        let scan = |n: u64| NewScan {
            // Over the end of a month, so that blocks hold two of ClickHouse's partitions.
            time: start + SignedDuration::from_millis((batch * SCANS + n) as i64 * 5),
            workspace: "acme",
            domain: "qr.example.com",
            code: "c1",
            campaign: "",
            tag_version: 1,
            outcome: Outcome::Redirected,
            rule: "",
            destination_index: 0,
            method: Method::Get,
            purpose: Purpose::Navigation,
            ip_prefix: IpPrefix::of([203, 0, 113, 9].into()),
            visitor: Visitor::from_u64(n),
            user_agent: b"Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0",
            language: b"de",
            referrer_host: b"",
            http_version: HttpVersion::Http11,
            bot_network: "",
        };
        let bytes = scans::encode_batch(&Self::writer(number), batch * SCANS, (0..SCANS).map(scan));
        self.send(number as i32, &bytes);
    }

    fn send(&self, partition: i32, bytes: &[u8]) {
        let record = BaseRecord::<(), [u8]>::to(&self.topic)
            .partition(partition)
            .payload(bytes);
        self.producer
            .send(record)
            .map_err(|(error, _)| error)
            .expect("room in the queue");
    }

    fn flush(&self) {
        self.producer
            .flush(Duration::from_secs(30))
            .expect("the broker takes it");
    }
}

/// A port before ClickHouse that can be closed, with all that goes through it.
pub(crate) struct Gate {
    address: SocketAddr,
    open: Arc<AtomicBool>,
    through: Arc<Mutex<Vec<TcpStream>>>,
}

impl Gate {
    /// Closed at first.
    pub(crate) fn new(url: &str) -> Self {
        let behind = address(url);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let gate = Self {
            address: listener.local_addr().expect("bound"),
            open: Arc::default(),
            through: Arc::default(),
        };
        let (open, through) = (Arc::clone(&gate.open), Arc::clone(&gate.through));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if !open.load(Ordering::SeqCst) {
                    continue;
                }
                let server = TcpStream::connect(behind).expect("ClickHouse listens");
                let ends =
                    [client.try_clone(), server.try_clone()].map(|end| end.expect("a descriptor"));
                through.lock().expect("no panic").extend(ends);
                let ends =
                    [client.try_clone(), server.try_clone()].map(|end| end.expect("a descriptor"));
                let [client_end, server_end] = ends;
                std::thread::spawn(move || copy(client, server));
                std::thread::spawn(move || copy(server_end, client_end));
            }
        });
        gate
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn open(&self) {
        self.open.store(true, Ordering::SeqCst);
    }

    pub(crate) fn close(&self) {
        self.open.store(false, Ordering::SeqCst);
        for end in self.through.lock().expect("no panic").drain(..) {
            // It may be closed already.
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

/// One direction of a connection, until either end closes.
fn copy(mut from: TcpStream, mut to: TcpStream) {
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Both);
}
