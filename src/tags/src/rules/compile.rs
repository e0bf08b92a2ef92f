//! Rules as the table keeps them: one run of bytes, read in place, in which every value has the form in which a request is compared with
//! it. `read` reads it.
//!
//! ```text
//! u16       how many language tags all rules name; no more follows of them when there are none
//! u16 each  where each ends, from the end of these numbers
//! ...       the tags, in lower case, in order
//! rules, up to the end:
//!   varint    length of what follows
//!   text      name
//!   u16       which conditions follow, those in capitals below, from bit 0 on
//!   u8        devices, a bit each                            DEVICE
//!   u8        operating systems, a bit each                  OS
//!   u8        browsers, a bit each                           BROWSER
//!   list      countries: 2 bytes                             COUNTRY
//!   list      regions: text                                  REGION
//!   list      numbers of language tags: u16                  LANGUAGE
//!   i64 twice from and to, µs since 1970; see below          DATES
//!   u8        days, a bit each; all: none was named
//!   u16 twice from and to, minutes since midnight            HOURS
//!   text      time zone
//!   list      text and list of text; an empty list: absent   QUERY
//!   u8        0: no bot, 1: a bot                            BOT
//!   list      u8: length of the mask, 4 bytes: IPv4 address; or  NETWORK
//!             u8: 255, u8: length of the mask, 16 bytes: IPv6 address
//!   u8        per cent                                       SHARE
//!   i64 twice from and to                                    SCAN_NUMBER
//!   list      destinations: varint and text: weight and URL; a weight of 0, alone: the only one
//! ```
//!
//! Numbers are little-endian, a varint is LEB128, a text is its length as a varint and its bytes, a list is its length as u8 and its items.
//! An end that a range does not have is the lowest or highest number that there is. Lists keep the order in which they were written.
//!
//! The snapshot file holds these bytes: whoever changes what they mean raises its `FORMAT` (table, `snapshot/frames.rs`).
//!
//! Bits lose the order of values, so devices, operating systems, browsers and days come back in the order of their words.

use ipnet::IpNet;

use super::model::{Day, Hours, Rule, Targets, When};
use super::{Condition, LanguageTag};
use crate::{Browser, Destination, Device, Os};

/// What an IPv6 network begins with: no IPv4 one has such a mask.
pub(super) const IPV6: u8 = 255;
/// What stands for the end that a range does not have.
pub(super) const NO_START: i64 = i64::MIN;
pub(super) const NO_END: i64 = i64::MAX;
/// Every day, since none was named.
pub(super) const NO_DAYS: u8 = 0x80;

/// The bytes of a list that keeps all limits; none for an empty one.
pub(super) fn compile(list: &[Rule]) -> Vec<u8> {
    if list.is_empty() {
        return Vec::new();
    }
    let named = list.iter().flat_map(|rule| &rule.when.language);
    let mut languages: Vec<String> = named.map(lower).collect();
    languages.sort_unstable();
    languages.dedup();
    let mut out = Out(Vec::new());
    out.u16(languages.len());
    let mut end = 0;
    for language in &languages {
        end += language.len();
        out.u16(end);
    }
    languages
        .iter()
        .for_each(|language| out.0.extend(language.as_bytes()));
    let mut body = Out(Vec::new());
    for rule in list {
        body.0.clear();
        body.text(&rule.name);
        body.when(&rule.when, &languages);
        body.targets(&rule.to);
        out.varint(body.0.len());
        out.0.extend(&body.0);
    }
    out.0
}

fn lower(tag: &LanguageTag) -> String {
    tag.as_str().to_ascii_lowercase()
}

// Each value has a bit in a byte, each condition one of two bytes.
const _: () = assert!(Device::ALL.len() <= 8 && Os::ALL.len() <= 8 && Browser::ALL.len() <= 8);
const _: () = assert!(1 << Day::ALL.len() <= NO_DAYS as usize && Condition::ALL.len() <= 16);

/// The bit of a condition.
pub(super) const fn bit(condition: Condition) -> u16 {
    1 << condition as u16
}

struct Out(Vec<u8>);

impl Out {
    fn when(&mut self, when: &When, languages: &[String]) {
        let all = Condition::ALL.iter().copied();
        let bits = all
            .filter(|condition| when.has(*condition))
            .map(bit)
            .sum::<u16>();
        self.0.extend(bits.to_le_bytes());
        self.bits(when.device.iter().map(|value| *value as u8));
        self.bits(when.os.iter().map(|value| *value as u8));
        self.bits(when.browser.iter().map(|value| *value as u8));
        self.list(&when.country, |out, country| {
            out.0.extend(country.as_str().as_bytes())
        });
        self.list(&when.region, |out, region| out.text(region.as_str()));
        self.list(&when.language, |out, language| {
            // All of them are in the list, which is in order.
            let number = languages.binary_search(&lower(language));
            out.u16(number.unwrap_or_else(|place| place));
        });
        if let Some(dates) = when.dates {
            let micros = |end: Option<jiff::Timestamp>, none| {
                end.map_or(none, jiff::Timestamp::as_microsecond)
            };
            self.i64(micros(dates.from(), NO_START));
            self.i64(micros(dates.to(), NO_END));
        }
        if let Some(hours) = &when.hours {
            self.hours(hours);
        }
        self.list(&when.query, |out, (name, values)| {
            out.text(name);
            let values = values.as_deref().unwrap_or_default();
            out.0.push(values.len() as u8); // at most 16
            values.iter().for_each(|value| out.text(value));
        });
        if let Some(bot) = when.bot {
            self.0.push(bot.into());
        }
        self.list(&when.network, |out, net| match net {
            IpNet::V4(net) => {
                out.0.push(net.prefix_len());
                out.0.extend(net.addr().octets());
            }
            IpNet::V6(net) => {
                out.0.push(IPV6);
                out.0.push(net.prefix_len());
                out.0.extend(net.addr().octets());
            }
        });
        if let Some(share) = when.share {
            self.0.push(share.per_cent());
        }
        if let Some(numbers) = when.scan_number {
            let number = |end: Option<u64>, none| end.map_or(none, u64::cast_signed);
            self.i64(number(numbers.from(), NO_START));
            self.i64(number(numbers.to(), NO_END));
        }
    }

    fn hours(&mut self, hours: &Hours) {
        match hours.days() {
            [] => self.0.push(NO_DAYS),
            days => self.bits(days.iter().map(|day| *day as u8)),
        }
        self.u16(hours.from().minutes().into());
        self.u16(hours.to().minutes().into());
        self.text(hours.zone().as_str());
    }

    fn targets(&mut self, targets: &Targets) {
        let target = |out: &mut Self, weight: u64, url: &Destination| {
            out.varint(weight as usize); // at most 1,000
            out.text(url.as_str());
        };
        match targets {
            Targets::One(url) => {
                self.0.push(1);
                target(self, 0, url);
            }
            Targets::Weighted(targets) => {
                self.0.push(targets.len() as u8); // at most 16
                for it in targets {
                    target(self, it.weight.get(), &it.url);
                }
            }
        }
    }

    /// A bit for each number; nothing for none.
    fn bits(&mut self, numbers: impl Iterator<Item = u8>) {
        match numbers.fold(0, |bits, number| bits | 1 << number) {
            0 => {}
            bits => self.0.push(bits),
        }
    }

    /// Nothing for an empty list, of which its condition's bit tells.
    fn list<T>(&mut self, items: &[T], mut put: impl FnMut(&mut Self, &T)) {
        if !items.is_empty() {
            self.0.push(items.len() as u8); // at most 16
            items.iter().for_each(|item| put(self, item));
        }
    }

    fn text(&mut self, text: &str) {
        self.varint(text.len());
        self.0.extend(text.as_bytes());
    }

    fn varint(&mut self, mut number: usize) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    /// Numbers and offsets of language tags: at most 512, of 64 bytes.
    fn u16(&mut self, number: usize) {
        self.0.extend((number as u16).to_le_bytes());
    }

    fn i64(&mut self, number: i64) {
        self.0.extend(number.to_le_bytes());
    }
}
