//! Rules and requests made at random, from so few values that they meet often.

use jiff::Timestamp;
use tags::{
    Browser, Code, Country, Dates, Day, Destination, Device, Domain, Hours, LanguageTag, Os,
    Region, Rule, Rules, ScanNumbers, Share, Tag, Target, Targets, TimeOfDay, Weight, When,
    WorkspaceId, Zone, parse_network,
};

use crate::facts::Told;

/// A generator of random numbers that is the same everywhere: SplitMix64.
pub struct Chance(pub u64);

impl Chance {
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.number() % end
    }

    /// True once in so many times.
    fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize].clone()
    }

    /// Some of these, in their order, at least one.
    fn some<T: Clone>(&mut self, of: &[T]) -> Vec<T> {
        let mut chosen: Vec<T> = of.iter().filter(|_| self.once_in(3)).cloned().collect();
        if chosen.is_empty() {
            chosen.push(self.one(of));
        }
        chosen
    }
}

pub fn tag(chance: &mut Chance) -> Tag {
    let count = 1 + chance.below(4);
    let rules = (0..count).map(|number| rule(chance, number)).collect();
    let code = chance.one(&["a", "abc", "Q-9"]);
    let domain = chance.one(&["qr.example.com", "b.example.org"]);
    Tag {
        rules: Rules::new(rules).unwrap(),
        ..Tag::new(
            WorkspaceId::default_workspace(),
            Domain::parse(domain).unwrap(),
            Code::parse(code).unwrap(),
            url("own"),
            Timestamp::UNIX_EPOCH,
        )
    }
}

fn url(path: &str) -> Destination {
    Destination::parse(&format!("https://example.com/{path}")).unwrap()
}

fn rule(chance: &mut Chance, number: u64) -> Rule {
    let mut when = When::default();
    // A few conditions each, so that many rules hold.
    for _ in 0..chance.below(4) {
        condition(chance, &mut when);
    }
    let to = match chance.below(3) {
        0 => {
            let target = |n| Target {
                url: url(&format!("{number}/{n}")),
                weight: Weight::new(1 + chance.below(9)).unwrap(),
            };
            Targets::Weighted(
                [0, 1, 2]
                    .map(target)
                    .into_iter()
                    .take(1 + number as usize % 3)
                    .collect(),
            )
        }
        _ => Targets::One(url(&format!("{number}"))),
    };
    let name = format!("rule {number}");
    Rule { name, when, to }
}

const COUNTRIES: [&str; 3] = ["DE", "AT", "FR"];
const REGIONS: [&str; 3] = ["DE-BY", "DE-BE", "FR-IDF"];
const LANGUAGES: [&str; 8] = [
    "de",
    "de-AT",
    "de-CH",
    "de-CH-1996",
    "en",
    "en-GB",
    "zh-Hant",
    "x-ours",
];
const ZONES: [&str; 5] = [
    "Europe/Berlin",
    "America/New_York",
    "Pacific/Kiritimati",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
];
const NAMES: [&str; 4] = ["ref", "beta", "straße", "a b"];
const VALUES: [&str; 5] = ["", "tv", "TV", "ä", "1+2"];
const NETWORKS: [&str; 5] = [
    "203.0.113.0/24",
    "203.0.113.128/25",
    "2001:db8::/32",
    "::ffff:198.51.100.0/120",
    "0.0.0.0/0",
];
const ADDRESSES: [&str; 6] = [
    "203.0.113.7",
    "203.0.113.200",
    "198.51.100.9",
    "::ffff:203.0.113.7",
    "2001:db8::1",
    "2001:db9::1",
];

fn condition(chance: &mut Chance, when: &mut When) {
    match chance.below(13) {
        0 => when.device = chance.some(Device::ALL),
        1 => when.os = chance.some(Os::ALL),
        2 => when.browser = chance.some(Browser::ALL),
        3 => when.country = chance.some(&COUNTRIES.map(|it| Country::parse(it).unwrap())),
        4 => when.region = chance.some(&REGIONS.map(|it| Region::parse(it).unwrap())),
        5 => when.language = chance.some(&LANGUAGES.map(|it| LanguageTag::parse(it).unwrap())),
        6 => {
            let (one, other) = (moment(chance), moment(chance));
            let (from, to) = (
                one.min(other),
                one.max(other) + jiff::SignedDuration::from_secs(1),
            );
            let (from, to) = match chance.below(3) {
                0 => (Some(from), None),
                1 => (None, Some(to)),
                _ => (Some(from), Some(to)),
            };
            when.dates = Some(Dates::new(from, to).unwrap());
        }
        7 => {
            let days = if chance.once_in(2) {
                Vec::new()
            } else {
                chance.some(Day::ALL)
            };
            let minute = |chance: &mut Chance| {
                TimeOfDay::from_minutes(chance.below(24 * 60) as u16).unwrap()
            };
            let (from, to) = (minute(chance), minute(chance));
            let zone = Zone::parse(chance.one(&ZONES)).unwrap();
            when.hours = Hours::new(days, from, to, zone).ok();
        }
        8 => {
            let names = chance.some(&NAMES);
            let with_values = |name: &str, chance: &mut Chance| {
                let values = chance
                    .some(&VALUES)
                    .into_iter()
                    .map(str::to_owned)
                    .collect();
                (name.to_owned(), (!chance.once_in(3)).then_some(values))
            };
            when.query = names
                .into_iter()
                .map(|name| with_values(name, chance))
                .collect();
        }
        9 => when.bot = Some(chance.once_in(2)),
        10 => when.network = chance.some(&NETWORKS.map(|it| parse_network(it).unwrap())),
        11 => when.share = Some(Share::new(1 + chance.below(100)).unwrap()),
        _ => {
            let from = 1 + chance.below(5);
            let to = from + 1 + chance.below(5);
            let (from, to) = match chance.below(3) {
                0 => (Some(from), None),
                1 => (None, Some(to)),
                _ => (Some(from), Some(to)),
            };
            when.scan_number = Some(ScanNumbers::new(from, to).unwrap());
        }
    }
}

/// Around the changes of the clocks in Europe, America and Lord Howe, and at any other time of two years.
pub fn moment(chance: &mut Chance) -> Timestamp {
    let begin = 1_767_225_600; // 2026-01-01T00:00:00Z
    let second = match chance.below(3) {
        0 => 1_774_746_000 + chance.below(10_800), // 2026-03-29T01:00:00Z: Europe
        1 => 1_793_494_800 + chance.below(14_400), // 2026-11-01T01:00:00Z and after: America
        _ => begin + chance.below(2 * 365 * 86_400),
    };
    Timestamp::from_microsecond((second * 1_000_000 + chance.below(3) * 500_000) as i64).unwrap()
}

pub fn request(chance: &mut Chance) -> Told {
    let known = |chance: &mut Chance| !chance.once_in(8);
    let region = known(chance).then(|| chance.one(&REGIONS).to_owned());
    Told {
        query: query(chance),
        country: known(chance).then(|| chance.one(&COUNTRIES).to_owned()),
        region,
        device: known(chance).then(|| chance.one(Device::ALL)),
        os: known(chance).then(|| chance.one(Os::ALL)),
        browser: known(chance).then(|| chance.one(Browser::ALL)),
        bot: known(chance).then(|| chance.once_in(2)),
        languages: (0..chance.below(3)).map(|_| languages(chance)).collect(),
        address: known(chance).then(|| chance.one(&ADDRESSES).parse().unwrap()),
        user_agent: chance.one(&["", "a", "b", "c"]).to_owned(),
        scan_number: known(chance).then(|| 1 + chance.below(9)),
    }
}

fn query(chance: &mut Chance) -> String {
    let pieces = [
        "ref",
        "beta",
        "stra%C3%9Fe",
        "%72ef",
        "a%20b",
        "x",
        "tv",
        "%74v",
        "TV",
        "%c3%a4",
        "1+2",
        "=",
        "=",
        "=",
        "&",
        "&",
        "&",
    ];
    let length = match chance.once_in(10) {
        true => 300, // a long one is read in another way
        false => chance.below(12),
    };
    (0..length).map(|_| chance.one(&pieces)).collect()
}

fn languages(chance: &mut Chance) -> String {
    let ranges = [
        "de",
        "DE-at",
        "de-AT-1901",
        "de-CH",
        "de-CH-1996",
        "en",
        "en-US",
        "en-GB-x-a",
        "zh-Hant-TW",
        "zh",
        "x-ours-a",
        "*",
        "de--AT",
        "i",
        "",
    ];
    let weights = [
        "",
        "",
        "",
        ";q=0",
        ";q=0.000",
        ";q=0.5",
        "; q=0.5",
        ";Q=0.55",
        " ;q=1.000",
        ";q=1.1",
        ";q=0.1234",
        ";q",
        ";q=.5",
    ];
    let entry = |chance: &mut Chance| format!("{}{}", chance.one(&ranges), chance.one(&weights));
    let entries: Vec<String> = (0..1 + chance.below(5)).map(|_| entry(chance)).collect();
    entries.join(chance.one(&[",", ", ", " ,\t"]))
}
