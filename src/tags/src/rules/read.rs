//! Reads what `compile` wrote, in place, without allocating. Any bytes can be given: what is no rule holds for nobody.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use jiff::Timestamp;

use super::compile::{IPV6, NO_DAYS, NO_END, NO_START, bit};
use super::language::Named;
use super::model::{
    Dates, Day, Hours, Rule, ScanNumbers, Share, Target, Targets, TimeOfDay, Weight, When,
};
use super::network::is_parsed;
use super::{Condition, Country, LanguageTag, Region, Zone};
use crate::{Browser, Destination, Device, Os};

/// A tag's rules as the table keeps them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RulesView<'a> {
    bytes: &'a [u8],
}

impl<'a> RulesView<'a> {
    /// No rules.
    pub const NONE: Self = Self { bytes: &[] };

    /// The rules that these bytes are. What is damaged in them holds for nobody; [`super::Rules::from_compiled`] says whether anything is.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// The bytes.
    pub fn as_bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether a rule asks for what a User-Agent tells.
    pub fn ask_agent(self) -> bool {
        const OF_AGENT: u16 = bit(Condition::Device)
            | bit(Condition::Os)
            | bit(Condition::Browser)
            | bit(Condition::Bot);
        self.ask(OF_AGENT)
    }

    /// Whether a rule asks which scan of the tag it is.
    pub fn ask_scan_number(self) -> bool {
        self.ask(bit(Condition::ScanNumber))
    }

    /// Whether a rule has one of these conditions.
    fn ask(self, conditions: u16) -> bool {
        let Some((_, mut rest)) = self.parts() else {
            return false;
        };
        let asks = |mut rule: Cursor<'_>| {
            rule.text()?;
            Some(rule.u16()? & conditions != 0)
        };
        std::iter::from_fn(|| rest.rule()).any(|rule| asks(rule) == Some(true))
    }

    /// The language tags that the rules name, and the rules.
    pub(super) fn parts(self) -> Option<(Languages<'a>, Cursor<'a>)> {
        let mut rest = Cursor(self.bytes);
        let count = usize::from(rest.u16()?);
        let ends = rest.take(2 * count)?;
        let last = ends.last_chunk().map_or(0, |end| u16::from_le_bytes(*end));
        let texts = rest.take(last.into())?;
        Some((Languages { ends, texts }, rest))
    }
}

/// The language tags that rules name, in order.
#[derive(Clone, Copy)]
pub(super) struct Languages<'a> {
    ends: &'a [u8],
    texts: &'a [u8],
}

impl<'a> Languages<'a> {
    fn len(&self) -> usize {
        self.ends.len() / 2
    }

    fn end(&self, number: usize) -> usize {
        let end = self.ends.get(2 * number..).and_then(<[u8]>::first_chunk);
        end.map_or(0, |end| u16::from_le_bytes(*end).into())
    }

    fn tag(&self, number: usize) -> &'a [u8] {
        let start = number.checked_sub(1).map_or(0, |before| self.end(before));
        self.texts.get(start..self.end(number)).unwrap_or_default()
    }
}

impl Named for Languages<'_> {
    fn find(&self, tag: &[u8]) -> Option<u16> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            let wanted = tag.iter().map(u8::to_ascii_lowercase);
            match self.tag(middle).iter().copied().cmp(wanted) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return u16::try_from(middle).ok(),
            }
        }
        None
    }

    fn get(&self, number: u16) -> &[u8] {
        self.tag(number.into())
    }
}

/// What is still to be read. None of its answers: the bytes end too early, or are no text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    #[inline]
    pub(super) fn is_at_end(self) -> bool {
        self.0.is_empty()
    }

    #[inline]
    pub(super) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    #[inline]
    pub(super) fn rule(&mut self) -> Option<Self> {
        let len = self.varint()?;
        self.take(len).map(Self)
    }

    #[inline]
    pub(super) fn u8(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    #[inline]
    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    #[inline]
    pub(super) fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*bytes)
    }

    /// Nothing here is longer than four bytes of it can say.
    #[inline]
    pub(super) fn varint(&mut self) -> Option<usize> {
        let mut number = 0;
        for shift in (0..28).step_by(7) {
            let byte = self.u8()?;
            number |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    #[inline]
    pub(super) fn text(&mut self) -> Option<&'a [u8]> {
        let len = self.varint()?;
        self.take(len)
    }

    pub(super) fn utf8(&mut self) -> Option<&'a str> {
        str::from_utf8(self.text()?).ok()
    }

    pub(super) fn network(&mut self) -> Option<IpNet> {
        Some(match self.u8()? {
            IPV6 => {
                let mask = self.u8()?;
                IpNet::V6(Ipv6Net::new(Ipv6Addr::from(self.array::<16>()?), mask).ok()?)
            }
            mask => IpNet::V4(Ipv4Net::new(Ipv4Addr::from(self.array::<4>()?), mask).ok()?),
        })
    }

    /// A list's items, each of which must be one.
    fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.u8()?;
        (0..count).map(|_| item(self)).collect()
    }
}

/// The list of rules that was compiled; none: these bytes are none. Limits are for the caller to judge. What a build knows of the world, such
/// as which time zones there are, says nothing about the bytes: those of another build must not be refused for it.
pub(super) fn decompile(bytes: &[u8]) -> Option<Vec<Rule>> {
    let mut rules = Vec::new();
    if bytes.is_empty() {
        return Some(rules);
    }
    let (languages, mut rest) = RulesView::new(bytes).parts()?;
    while !rest.is_at_end() {
        let mut cursor = rest.rule()?;
        let rule = Rule {
            name: cursor.utf8()?.to_owned(),
            when: when(&mut cursor, languages)?,
            to: targets(&mut cursor)?,
        };
        cursor.is_at_end().then_some(())?;
        rules.push(rule);
    }
    Some(rules)
}

fn when(cursor: &mut Cursor<'_>, languages: Languages<'_>) -> Option<When> {
    let present = cursor.u16()?;
    let has = |condition| present & bit(condition) != 0;
    let mut when = When::default();
    if has(Condition::Device) {
        when.device = of_bits(cursor.u8()?, Device::ALL);
    }
    if has(Condition::Os) {
        when.os = of_bits(cursor.u8()?, Os::ALL);
    }
    if has(Condition::Browser) {
        when.browser = of_bits(cursor.u8()?, Browser::ALL);
    }
    if has(Condition::Country) {
        when.country =
            cursor.list(|item| Country::from_stored(str::from_utf8(item.take(2)?).ok()?).ok())?;
    }
    if has(Condition::Region) {
        when.region = cursor.list(|item| Region::from_stored(item.utf8()?).ok())?;
    }
    if has(Condition::Language) {
        when.language = cursor.list(|item| {
            let tag = languages.get(item.u16()?);
            LanguageTag::from_stored(str::from_utf8(tag).ok()?).ok()
        })?;
    }
    if has(Condition::Dates) {
        let end = |micros, none| {
            (micros != none)
                .then(|| Timestamp::from_microsecond(micros))
                .transpose()
                .ok()
        };
        let (from, to) = (cursor.i64()?, cursor.i64()?);
        when.dates = Some(Dates::new(end(from, NO_START)?, end(to, NO_END)?).ok()?);
    }
    if has(Condition::Hours) {
        let days = match cursor.u8()? {
            NO_DAYS => Vec::new(),
            bits => of_bits(bits, Day::ALL),
        };
        let from = TimeOfDay::from_minutes(cursor.u16()?)?;
        let to = TimeOfDay::from_minutes(cursor.u16()?)?;
        let zone = Zone::from_stored(cursor.utf8()?).ok()?;
        when.hours = Some(Hours::new(days, from, to, zone).ok()?);
    }
    if has(Condition::Query) {
        when.query = cursor.list(|item| {
            let name = item.utf8()?.to_owned();
            let values = item.list(|value| value.utf8().map(str::to_owned))?;
            Some((name, (!values.is_empty()).then_some(values)))
        })?;
    }
    if has(Condition::Bot) {
        when.bot = Some(cursor.u8()? == 1);
    }
    if has(Condition::Network) {
        when.network = cursor.list(|item| item.network().filter(is_parsed))?;
    }
    if has(Condition::Share) {
        when.share = Some(Share::new(cursor.u8()?.into()).ok()?);
    }
    if has(Condition::ScanNumber) {
        let end = |number: i64, none| (number != none).then_some(number.cast_unsigned());
        let (from, to) = (cursor.i64()?, cursor.i64()?);
        when.scan_number = Some(ScanNumbers::new(end(from, NO_START), end(to, NO_END)).ok()?);
    }
    Some(when)
}

fn targets(cursor: &mut Cursor<'_>) -> Option<Targets> {
    let mut only = false;
    let targets = cursor.list(|item| {
        let weight = item.varint()?;
        let url = Destination::from_stored(item.utf8()?).ok()?;
        only |= weight == 0;
        let weight = Weight::new((weight as u64).max(1)).ok()?;
        Some(Target { url, weight })
    })?;
    match <[Target; 1]>::try_from(targets) {
        Ok([target]) if only => Some(Targets::One(target.url)),
        Ok(one) => Some(Targets::Weighted(one.into())),
        Err(several) => (!only && !several.is_empty()).then_some(Targets::Weighted(several)),
    }
}

fn of_bits<T: Copy>(bits: u8, all: &[T]) -> Vec<T> {
    let is_set = |number: &usize| bits & 1 << number != 0;
    let numbers = (0..all.len()).filter(is_set);
    numbers.map(|number| all[number]).collect()
}
