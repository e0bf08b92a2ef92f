//! What a scan costs the thread that answers: visitor hash, encoding and append, at 200,000 a second into segments on tmpfs.
//! `cargo run --release -p scans --example append_cost [FOLDER]`

use std::net::IpAddr;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use scans::{HttpVersion, IpPrefix, Method, NewScan, Purpose, ScanLog, ScanLogOptions, Visitors};

const SCANS: u32 = 400_000;
const PACE: Duration = Duration::from_micros(5);

fn main() -> anyhow::Result<()> {
    let parent = std::env::args().nth(1).unwrap_or_else(|| "/dev/shm".into());
    let folder = tempfile::tempdir_in(parent)?;
    let log = ScanLog::open(
        &ScanLogOptions::new("edge", folder.path()),
        &prometheus::Registry::new(),
    )?;
    let (mut writer, visitors, time) = (
        log.writer(),
        Visitors::new(prometheus::IntCounter::new("made", "keys")?)?,
        Timestamp::now(),
    );
    let user_agent = "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36";
    let (mut appends, mut clock) = (Vec::new(), Vec::new());
    let mut next = Instant::now();
    for n in 0..SCANS {
        next += PACE;
        while Instant::now() < next {
            std::hint::spin_loop();
        }
        let address = IpAddr::from(n.to_be_bytes());
        let start = Instant::now();
        let scan = NewScan {
            time,
            workspace: "default",
            domain: "qr.example.com",
            code: "Ab3dE5f",
            campaign: "Summer",
            tag_version: 3,
            outcome: tags::Outcome::Redirected,
            rule: "",
            destination_index: 0,
            method: Method::Get,
            purpose: Purpose::Navigation,
            ip_prefix: IpPrefix::of(address),
            visitor: visitors.visitor(time, address, user_agent.as_bytes()),
            user_agent: user_agent.as_bytes(),
            language: b"de-AT,de;q=0.9,en;q=0.5",
            referrer_host: b"",
            http_version: HttpVersion::Http11,
            bot_network: "",
        };
        writer.append(&scan)?;
        let end = Instant::now();
        appends.push(end - start);
        clock.push(end.elapsed());
    }
    for (name, mut times) in [("append", appends), ("the clock alone", clock)] {
        times.sort();
        let at = |share: f64| times[(times.len() as f64 * share) as usize].as_nanos();
        println!(
            "{name}: p50 {} ns, p99 {} ns, p99.9 {} ns",
            at(0.5),
            at(0.99),
            at(0.999)
        );
    }
    Ok(())
}
