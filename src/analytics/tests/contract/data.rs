//! Scans for tests: plain ones, and random ones from a seed.

use analytics::{BatchHeader, Block, BlockRange, Row, Source};
use jiff::{SignedDuration, Timestamp};
use scans::{HttpVersion, IpPrefix, Method, Purpose, Scan, Visitor, WriterKey};
use tags::Outcome;

pub(crate) const BASE: &str = "2026-11-25T10:00:00Z";

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().expect("a test's time")
}

pub(crate) fn key() -> WriterKey {
    WriterKey {
        edge: "edge-1".into(),
        boot: 7,
        writer: 0,
    }
}

pub(crate) fn source() -> Source {
    Source {
        cluster: "c".to_owned(),
        topic: "tagwire.scans".to_owned(),
        partition: 0,
    }
}

pub(crate) fn header(offset: i64) -> BatchHeader {
    BatchHeader {
        offset,
        writer: key(),
        first_seq: 0,
        count: 0,
        dropped: [("log_full".to_owned(), 3)].into(),
        appended_at: at(BASE),
    }
}

pub(crate) fn block(offset: i64, rows: Vec<Row>) -> Block {
    Block {
        range: BlockRange {
            source: source(),
            first: offset,
            last: offset,
        },
        token: format!("{}:{offset}", source()),
        rows,
        headers: Vec::new(),
        dead: Vec::new(),
        positions: None,
    }
}

pub(crate) fn row(seq: u64, time: Timestamp) -> Row {
    let scan = Scan {
        seq,
        time,
        workspace: "acme".to_owned(),
        domain: "qr.example.com".to_owned(),
        code: "c1".to_owned(),
        campaign: String::new(),
        tag_version: 1,
        outcome: Outcome::Redirected,
        rule: String::new(),
        destination_index: 0,
        method: Method::Get,
        purpose: Purpose::Navigation,
        ip_prefix: IpPrefix::of("203.0.113.9".parse().expect("an address")),
        visitor: Visitor::from_u64(u64::MAX - seq),
        user_agent: "curl/8".to_owned(),
        language: "de-AT,de;q=0.9".to_owned(),
        referrer_host: String::new(),
        http_version: HttpVersion::Http11,
        bot_network: String::new(),
    };
    Row {
        id: key().scan(seq),
        scan,
        time_replaced: false,
        language: "de".to_owned(),
        device: "mobile",
        os: "ios",
        browser: "safari",
        bot: false,
        bot_reason: String::new(),
        country: "AT".to_owned(),
        region: "AT-9".to_owned(),
        city: "Vienna".to_owned(),
    }
}

/// SplitMix64: a few lines, so that a failing seed replays on every machine.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }

    fn of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len() as u64) as usize]
    }
}

pub(crate) fn random_rows(random: &mut Random, count: u64) -> Vec<Row> {
    (0..count)
        .map(|seq| {
            // Most within two hours, some over two months, some on a boundary.
            let offset = match random.below(4) {
                0 => random.below(60 * 86_400) as i64 * 1_000_000 - 30 * 86_400_000_000,
                1 => random.of(&[0, 3_600_000_000, 3_599_999_999, -1, 86_400_000_000]),
                _ => random.below(7_200_000_000) as i64 - 3_600_000_000,
            };
            let mut row = row(seq, at(BASE) + SignedDuration::from_micros(offset));
            let scan = &mut row.scan;
            scan.workspace = random.of(&["acme", "acme", "other"]).to_owned();
            scan.domain = random.of(&["qr.example.com", "b.example"]).to_owned();
            scan.code = random.of(&["c1", "c2", "C1"]).to_owned();
            scan.campaign = random
                .of(&["", "summer 'x' \\ {y:String}", "winter"])
                .to_owned();
            scan.tag_version = random.of(&[0, 1, 2, 3]);
            scan.outcome = random.of(&Outcome::ALL);
            scan.rule = random.of(&["", "évening"]).to_owned();
            scan.destination_index = random.below(3) as u32;
            scan.method = random.of(&[Method::Get, Method::Get, Method::Get, Method::Head]);
            scan.purpose = random.of(&[
                Purpose::Navigation,
                Purpose::Navigation,
                Purpose::Navigation,
                Purpose::Prefetch,
                Purpose::Preview,
            ]);
            scan.referrer_host = random.of(&["", "a.example", "b.example"]).to_owned();
            row.language = random.of(&["", "de", "en"]).to_owned();
            row.device = random.of(&["", "mobile", "desktop"]);
            row.os = random.of(&["", "ios", "other"]);
            row.browser = random.of(&["", "safari", "other"]);
            row.bot = random.below(5) == 0;
            if row.bot {
                row.bot_reason = "user_agent".to_owned();
            }
            row.country = random.of(&["", "DE", "AT"]).to_owned();
            row.region = random.of(&["", "DE-BY"]).to_owned();
            row.city = random.of(&["", "München", "Zürich", "東京"]).to_owned();
            row
        })
        .collect()
}
