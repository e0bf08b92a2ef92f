//! What is known about a scan beyond what its edge recorded: device, place, language, and whether its time can be true.

use std::sync::Arc;

use analytics::Row;
use facts::{Agents, BotReason, Places, PlacesFile};
use jiff::{SignedDuration, Timestamp};
use scans::{Method, Purpose, Scan, WriterKey};

/// How far ahead of the broker an edge's clock may be; beyond it, ClickHouse's monthly partitions would multiply.
const AHEAD: SignedDuration = SignedDuration::from_hours(24);

/// Adds the facts. Shared by all that store.
pub struct Enricher {
    agents: Arc<Agents>,
    places: Arc<PlacesFile>,
}

impl Enricher {
    /// Facts from these sources.
    pub fn new(agents: Arc<Agents>, places: Arc<PlacesFile>) -> Self {
        Self { agents, places }
    }

    /// One writer's scans as rows; `appended_at` is when the broker took them.
    pub fn enrich(
        &self,
        writer: &WriterKey,
        scans: impl IntoIterator<Item = Scan>,
        appended_at: Timestamp,
    ) -> Vec<Row> {
        let places = self.places.places();
        scans
            .into_iter()
            .map(|scan| self.row(writer, scan, appended_at, &places))
            .collect()
    }

    fn row(
        &self,
        writer: &WriterKey,
        mut scan: Scan,
        appended_at: Timestamp,
        places: &Places,
    ) -> Row {
        let agent = self.agents.classify(&scan.user_agent);
        let place = places.lookup(scan.ip_prefix.network());
        let bot = BotReason::of(&scan.bot_network, agent.bot);
        let bot_reason =
            bot.map_or_else(|| automated(&scan).to_owned(), |reason| reason.to_string());
        let time_replaced =
            scan.time < Timestamp::UNIX_EPOCH || scan.time.duration_since(appended_at) > AHEAD;
        if time_replaced {
            scan.time = appended_at;
        }
        // RFC 3986 §3.2.2: a host's case says nothing, and would split a site's count.
        scan.referrer_host.make_ascii_lowercase();
        Row {
            id: writer.scan(scan.seq),
            time_replaced,
            language: language(&scan.language),
            device: agent.device.map_or("", |device| device.as_str()),
            os: agent.os.map_or("", |os| os.as_str()),
            browser: agent.browser.map_or("", |browser| browser.as_str()),
            bot: bot.is_some(),
            bot_reason,
            country: place
                .country
                .map(|country| country.to_string())
                .unwrap_or_default(),
            region: place
                .region
                .map(|region| region.to_string())
                .unwrap_or_default(),
            city: place.city.unwrap_or_default().to_owned(),
            scan,
        }
    }
}

/// Why a scan that is no bot's is automated all the same; empty: it is not.
fn automated(scan: &Scan) -> &'static str {
    match (scan.purpose, scan.method) {
        (Purpose::Navigation, Method::Get) => "",
        (Purpose::Navigation, Method::Head) => scan.method.as_str(),
        (purpose, _) => purpose.as_str(),
    }
}

/// The primary subtag that Accept-Language (RFC 9110 §12.5.4) prefers: the highest weight, then the first; empty for none.
fn language(header: &str) -> String {
    let mut best: (u16, &str) = (0, "");
    for entry in header.split(',') {
        let mut parts = entry.split(';').map(str::trim);
        let primary = parts
            .next()
            .unwrap_or_default()
            .split('-')
            .next()
            .unwrap_or_default();
        let well_formed =
            (2..=8).contains(&primary.len()) && primary.bytes().all(|b| b.is_ascii_alphabetic());
        let weight = parts.next().map_or(Some(1000), weight);
        if let Some(weight) = weight.filter(|weight| well_formed && *weight > best.0) {
            best = (weight, primary);
        }
    }
    best.1.to_ascii_lowercase()
}

/// `q=0.8` in thousandths; none when it is malformed.
fn weight(parameter: &str) -> Option<u16> {
    let (name, value) = parameter.split_once('=')?;
    let value: f32 = value.trim().parse().ok()?;
    (name.trim().eq_ignore_ascii_case("q") && (0.0..=1.0).contains(&value))
        .then_some((value * 1000.0) as u16)
}

#[cfg(test)]
mod tests {
    use scans::{HttpVersion, IpPrefix, Visitor};
    use tags::Outcome;

    use super::*;

    fn scan(time: &str) -> Scan {
        Scan {
            seq: 4,
            time: time.parse().expect("a test's time"),
            workspace: "acme".to_owned(),
            domain: "qr.example.com".to_owned(),
            code: "c".to_owned(),
            campaign: String::new(),
            tag_version: 1,
            outcome: Outcome::Redirected,
            rule: String::new(),
            destination_index: 0,
            method: Method::Get,
            purpose: Purpose::Navigation,
            ip_prefix: IpPrefix::of("203.0.113.9".parse().expect("an address")),
            visitor: Visitor::from_u64(1),
            user_agent: "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                         Version/17.5 Mobile/15E148 Safari/604.1"
                .to_owned(),
            language: "fr;q=0.5, de-AT, en;q=0.9".to_owned(),
            referrer_host: String::new(),
            http_version: HttpVersion::Http2,
            bot_network: String::new(),
        }
    }

    fn enriched(scan: Scan) -> Row {
        let writer = WriterKey {
            edge: "e".into(),
            boot: 1,
            writer: 2,
        };
        let agents = Arc::new(Agents::new().expect("patterns"));
        let enricher = Enricher::new(agents, Arc::new(PlacesFile::none()));
        let appended_at = "2026-11-25T10:00:00Z".parse().expect("a time");
        enricher.enrich(&writer, [scan], appended_at).remove(0)
    }

    #[test]
    fn a_scan_gets_its_device_and_language_and_unknown_places_stay_empty() {
        let row = enriched(scan("2026-11-25T09:59:59Z"));
        assert_eq!(
            (row.device, row.os, row.browser, row.bot),
            ("mobile", "ios", "safari", false)
        );
        assert_eq!(
            (row.language.as_str(), row.country.as_str(), row.id.seq),
            ("de", "", 4)
        );
        let silent = enriched(Scan {
            user_agent: String::new(),
            ..scan("2026-11-25T09:59:59Z")
        });
        assert_eq!((silent.device, silent.os, silent.browser), ("", "", ""));
    }

    #[test]
    fn what_is_no_person_s_says_why_by_the_surest_sign() {
        let at = "2026-11-25T09:59:59Z";
        let googlebot = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
        let by = |network: &str, user_agent: &str, purpose, method| {
            let row = enriched(Scan {
                bot_network: network.to_owned(),
                user_agent: user_agent.to_owned(),
                purpose,
                method,
                ..scan(at)
            });
            assert_eq!(row.bot_reason.is_empty(), !row.is_automated());
            (row.bot, row.bot_reason)
        };
        use {Method::*, Purpose::*};
        let browser = scan(at).user_agent;
        for (given, bot, reason) in [
            (by("", &browser, Navigation, Get), false, ""),
            (by("", "", Navigation, Get), false, ""),
            (by("bing", googlebot, Prefetch, Head), true, "network:bing"),
            (by("bing", &browser, Navigation, Get), true, "network:bing"),
            (by("", googlebot, Prefetch, Head), true, "user_agent"),
            (by("", &browser, Prefetch, Head), false, "prefetch"),
            (by("", &browser, Preview, Get), false, "preview"),
            (by("", &browser, Navigation, Head), false, "head"),
        ] {
            assert_eq!(given, (bot, reason.to_owned()));
        }
    }

    #[test]
    fn a_referrer_is_one_site_however_its_host_is_written() {
        let row = enriched(Scan {
            referrer_host: "WWW.Example.com".to_owned(),
            ..scan("2026-11-25T09:59:59Z")
        });
        assert_eq!(row.scan.referrer_host, "www.example.com");
    }

    #[test]
    fn a_time_more_than_a_day_ahead_or_before_1970_is_the_brokers_and_flagged() {
        for (given, kept, replaced) in [
            ("2026-11-26T10:00:00Z", "2026-11-26T10:00:00Z", false),
            ("2026-11-26T10:00:00.000001Z", "2026-11-25T10:00:00Z", true),
            ("2026-11-01T00:00:00Z", "2026-11-01T00:00:00Z", false),
            ("1969-12-31T23:59:59Z", "2026-11-25T10:00:00Z", true),
        ] {
            let row = enriched(scan(given));
            assert_eq!(
                (row.scan.time.to_string().as_str(), row.time_replaced),
                (kept, replaced),
                "{given}"
            );
        }
    }

    #[test]
    fn the_language_is_the_most_wanted_ones_primary_subtag() {
        for (header, primary) in [
            ("de-DE,de;q=0.9,en;q=0.8", "de"),
            ("en;q=0.3, pt-BR;q=0.7", "pt"),
            ("*", ""),
            ("", ""),
            ("de;q=0, EN", "en"),
            ("de;q=high, fr;q=0.1", "fr"),
            ("x, 12-34, zh-Hant", "zh"),
        ] {
            assert_eq!(language(header), primary, "{header}");
        }
    }
}
