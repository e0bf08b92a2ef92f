//! Scans as uneven as in life: few tags have most of them, and few of many User-Agents too.

use std::net::IpAddr;

use fastrand::Rng;
use jiff::Timestamp;
use scans::{HttpVersion, IpPrefix, Method, NewScan, Purpose, Visitors};

/// How many User-Agents there are; the most frequent one is one scan's in sixteen.
const AGENTS: usize = 4_000;
const TAGS: usize = 10_000;
const CAMPAIGNS: usize = 50;
const LANGUAGES: [&str; 8] = [
    "de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7",
    "en-GB,en;q=0.9",
    "en-US,en;q=0.9",
    "fr-FR,fr;q=0.9,en;q=0.8",
    "it-IT,it;q=0.9",
    "es-ES,es;q=0.9",
    "de-AT,de;q=0.9",
    "nl-NL,nl;q=0.9,en;q=0.8",
];

/// What scans are made of, prepared.
pub(crate) struct Life {
    visitors: Visitors,
    agents: Vec<String>,
    codes: Vec<String>,
    campaigns: Vec<String>,
}

/// What of a scan is drawn by lot.
#[derive(Clone, Copy)]
pub(crate) struct Drawn {
    agent: usize,
    tag: usize,
    language: usize,
    address: [u8; 4],
    from_a_site: bool,
}

impl Life {
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self {
            visitors: Visitors::new(prometheus::IntCounter::new("made", "keys")?)?,
            agents: (0..AGENTS).map(agent).collect(),
            codes: (0..TAGS).map(|tag| format!("c{tag:07}")).collect(),
            campaigns: (0..CAMPAIGNS)
                .map(|campaign| format!("campaign-{campaign}"))
                .collect(),
        })
    }

    pub(crate) fn draw(rng: &mut Rng) -> Drawn {
        let mut rare = |of: usize| (rng.f64().powi(3) * of as f64) as usize;
        let (agent, tag) = (rare(AGENTS), rare(TAGS));
        // Not the networks of which no GeoIP file knows anything: 11.0.0.0 and up, without multicast.
        let address = [rng.u8(11..=223), rng.u8(..), rng.u8(..), rng.u8(1..=254)];
        Drawn {
            agent,
            tag,
            language: rng.usize(..LANGUAGES.len()),
            address,
            from_a_site: rng.u8(..8) == 0,
        }
    }

    /// Looks at each byte of what is written of a request.
    pub(crate) fn read(&self, drawn: &Drawn) {
        let texts = [
            &self.agents[drawn.agent],
            &self.codes[drawn.tag],
            &self.campaigns[drawn.tag % CAMPAIGNS],
        ];
        let bytes = texts.iter().flat_map(|text| text.bytes());
        std::hint::black_box(bytes.fold(0_u8, |all, byte| all ^ byte));
    }

    /// What an edge does for a scan before it appends it: the visitor's pseudonym is computed here.
    pub(crate) fn scan(&self, drawn: &Drawn, time: Timestamp) -> NewScan<'_> {
        let (address, user_agent) = (IpAddr::from(drawn.address), &self.agents[drawn.agent]);
        NewScan {
            time,
            workspace: "default",
            domain: "qr.example.com",
            code: &self.codes[drawn.tag],
            campaign: &self.campaigns[drawn.tag % CAMPAIGNS],
            tag_version: 3,
            outcome: tags::Outcome::Redirected,
            rule: "",
            destination_index: 0,
            method: Method::Get,
            purpose: Purpose::Navigation,
            ip_prefix: IpPrefix::of(address),
            visitor: self.visitors.visitor(time, address, user_agent.as_bytes()),
            user_agent: user_agent.as_bytes(),
            language: LANGUAGES[drawn.language].as_bytes(),
            referrer_host: if drawn.from_a_site {
                b"www.instagram.com"
            } else {
                b""
            },
            http_version: HttpVersion::Http2,
            bot_network: "",
        }
    }
}

/// The number-th most frequent: browsers of phones first, whose versions say little; apps name the device and their own version, of which
/// there are many; then computers, and programs.
fn agent(number: usize) -> String {
    let (one, other, rest) = (number % 7, number / 7 % 25, number / 175);
    match number {
        0..40 => format!(
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_{one} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.{} Mobile/15E148 Safari/604.1",
            other % 7
        ),
        40..80 => format!(
            "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.0.0 Mobile Safari/537.36",
            100 + number % 40
        ),
        _ => match one {
            0..3 => format!(
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_{} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/22G86 Instagram 39{other}.{one}.0.{rest}.90 (iPhone15,{rest}; iOS 18_{}; de_DE; de; scale=3.00; 1179x2556; 75{number})",
                other % 7,
                other % 7
            ),
            3 | 4 => format!(
                "Mozilla/5.0 (Linux; Android 15; SM-S9{other}{one}B Build/AP3A.{number}; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/{}.0.7444.{rest} Mobile Safari/537.36",
                120 + other
            ),
            5 => format!(
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.{number}.0 Safari/537.36",
                118 + other
            ),
            _ => format!(
                "Mozilla/5.0 (compatible; Bytespider/{other}.{rest}; +https://crawler.example/{number})"
            ),
        },
    }
}
