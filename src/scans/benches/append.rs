//! What a scan costs the thread that answers it. `benches/micro`.

use divan::{Bencher, black_box};
use jiff::Timestamp;
use scans::{
    HttpVersion, IpPrefix, Method, NewScan, Purpose, ScanLog, ScanLogOptions, VisitorKey,
    referrer_host,
};
use tags::Outcome;

const USER_AGENT: &[u8] = b"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1";

fn main() {
    divan::main();
}

fn scan(key: &VisitorKey) -> NewScan<'static> {
    let address = [203, 0, 113, 77].into();
    NewScan {
        time: Timestamp::UNIX_EPOCH,
        workspace: "default",
        domain: "qr.example.com",
        code: "c0000042",
        campaign: "spring",
        tag_version: 3,
        outcome: Outcome::Redirected,
        rule: "",
        destination_index: 0,
        method: Method::Get,
        purpose: Purpose::Navigation,
        ip_prefix: IpPrefix::of(address),
        visitor: key.visitor(address, USER_AGENT),
        user_agent: USER_AGENT,
        language: b"de-DE,de;q=0.9,en;q=0.8",
        referrer_host: referrer_host(b""),
        http_version: HttpVersion::Http11,
        bot_network: "",
    }
}

#[divan::bench]
fn visitor(bencher: Bencher<'_, '_>) {
    let key = VisitorKey::random().expect("random numbers");
    let address = [203, 0, 113, 77].into();
    bencher.bench(|| key.visitor(black_box(address), black_box(USER_AGENT)));
}

#[divan::bench]
fn encode(bencher: Bencher<'_, '_>) {
    let scan = scan(&VisitorKey::random().expect("random numbers"));
    let mut bytes = Vec::with_capacity(4096);
    bencher.bench_local(|| {
        bytes.clear();
        black_box(&scan).encode(7, &mut bytes);
        bytes.len()
    });
}

/// So many that they fit into the log's first segments: nobody ships them.
#[divan::bench(sample_count = 100, sample_size = 200)]
fn append(bencher: Bencher<'_, '_>) {
    let folder = tempfile::tempdir_in("/dev/shm").expect("a folder");
    let options = ScanLogOptions::new("bench", folder.path().join("hot"));
    let log = ScanLog::open(&options, &prometheus::Registry::new()).expect("a scan log");
    let mut writer = log.writer();
    let scan = scan(&VisitorKey::random().expect("random numbers"));
    bencher.bench_local(|| writer.append(black_box(&scan)).is_ok());
}
