//! Judges a request by compiled rules, one after the other. Each fact is asked for when the first condition needs it; whatever is found
//! out about the request for one rule is kept for the next. Nothing is allocated (but for a query of very many parameters, see `query`).

use std::cell::{Cell, OnceCell};
use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;

use super::compile::NO_DAYS;
use super::query::Query;
use super::read::{Cursor, Languages, RulesView};
use super::share::{self, Purpose, TagName, number, scaled};
use super::{Condition, language, zone};
use crate::Facts;

/// What became of a rule.
#[derive(Clone, Copy, Debug)]
pub struct Judged<'a> {
    /// Its name.
    pub name: &'a str,
    /// The first condition that does not hold; none: the rule holds.
    pub failed: Option<Condition>,
}

/// What became of a rule, of which nobody has read the name yet.
pub(crate) struct Tried<'a> {
    name: &'a [u8],
    /// The first condition that does not hold.
    pub(crate) failed: Option<Condition>,
    targets: Cursor<'a>,
}

impl<'a> Tried<'a> {
    /// Its name; none: these bytes are no rule.
    pub(crate) fn name(&self) -> Option<&'a str> {
        str::from_utf8(self.name).ok()
    }

    /// For those who are told.
    pub(crate) fn judged(self) -> Option<Judged<'a>> {
        Some(Judged {
            name: self.name()?,
            failed: self.failed,
        })
    }
}

/// Judges a tag's rules in their order.
pub(crate) struct Judging<'a, 'f, F> {
    rest: Cursor<'a>,
    request: Asked<'a, 'f, F>,
}

/// What has been found out about a request.
struct Asked<'a, 'f, F> {
    tag: TagName<'a>,
    facts: &'f F,
    scan_number: Option<u64>,
    now: Timestamp,
    languages: Languages<'a>,
    language: Cell<Option<Option<u16>>>,
    query: OnceCell<Query<'f>>,
    visitor: OnceCell<Option<u64>>,
}

impl<'a> RulesView<'a> {
    /// Judges the rules of the tag of these names; none if there are none.
    pub(crate) fn judge<'f, F: Facts>(
        self,
        domain: &'a str,
        code: &'a str,
        facts: &'f F,
        scan_number: Option<u64>,
        now: Timestamp,
    ) -> Option<Judging<'a, 'f, F>> {
        let (languages, rest) = self.parts()?;
        let request = Asked {
            tag: TagName { domain, code },
            facts,
            scan_number,
            now,
            languages,
            language: Cell::new(None),
            query: OnceCell::new(),
            visitor: OnceCell::new(),
        };
        Some(Judging { rest, request })
    }
}

impl<'a, F: Facts> Iterator for Judging<'a, '_, F> {
    type Item = Tried<'a>;

    fn next(&mut self) -> Option<Tried<'a>> {
        let mut rule = self.rest.rule()?;
        let name = rule.text()?;
        let failed = self.request.first_failed(&mut rule, name)?.err();
        Some(Tried {
            name,
            failed,
            targets: rule,
        })
    }
}

impl<'a, F: Facts> Judging<'a, '_, F> {
    /// Where a rule that holds leads, and which of its destinations that is.
    pub(crate) fn target(&self, rule: &Tried<'a>) -> Option<(&'a str, u32)> {
        let mut targets = rule.targets;
        let count = targets.u8()?;
        if count == 1 {
            targets.varint()?;
            return Some((targets.utf8()?, 0));
        }
        let (mut summed, mut all) = (targets, 0);
        for _ in 0..count {
            all += summed.varint()?;
            summed.text()?;
        }
        // Whoever is not known is sent to the first.
        let of_visitor = self.request.number(Purpose::Weights, rule.name);
        let mut place = scaled(of_visitor.unwrap_or(0), all as u64) as usize; // below the sum
        for index in 0..count {
            let weight = targets.varint()?;
            let url = targets.text()?;
            match place.checked_sub(weight) {
                Some(beyond) => place = beyond,
                None => return Some((str::from_utf8(url).ok()?, index.into())),
            }
        }
        None
    }
}

impl<F: Facts> Asked<'_, '_, F> {
    /// The first condition that does not hold, in their order, as an error. Where all hold, the cursor is behind them. None: this is no
    /// rule.
    fn first_failed(&self, rule: &mut Cursor<'_>, name: &[u8]) -> Option<Result<(), Condition>> {
        let mut present = rule.u16()?;
        let facts = self.facts;
        while present != 0 {
            let condition = Condition::ALL.get(present.trailing_zeros() as usize)?; // below 16
            present &= present - 1;
            let holds = match condition {
                Condition::Device => has_bit(rule.u8()?, facts.device().map(|value| value as u8)),
                Condition::Os => has_bit(rule.u8()?, facts.os().map(|value| value as u8)),
                Condition::Browser => has_bit(rule.u8()?, facts.browser().map(|value| value as u8)),
                Condition::Country => {
                    let countries = usize::from(rule.u8()?);
                    let countries = rule.take(2 * countries)?;
                    let country = facts.country().map(str::as_bytes);
                    country
                        .is_some_and(|country| countries.chunks_exact(2).any(|one| one == country))
                }
                Condition::Region => {
                    let region = facts.region().map(str::as_bytes);
                    any(rule, Cursor::text, |item| Some(item) == region)?
                }
                Condition::Language => {
                    let language = self.language();
                    any(rule, Cursor::u16, |item| Some(item) == language)?
                }
                Condition::Dates => {
                    let now = self.now.as_microsecond();
                    let (from, to) = (rule.i64()?, rule.i64()?);
                    from <= now && now < to
                }
                Condition::Hours => {
                    let days = rule.u8()?;
                    let (from, to) = (rule.u16()?, rule.u16()?);
                    self.is_at(rule.utf8()?, days, from, to)
                }
                Condition::Query => {
                    let query = self.query.get_or_init(|| Query::new(facts.query()));
                    all(rule, Parameter::read, |item| item.matches(query))?
                }
                Condition::Bot => {
                    let wanted = rule.u8()? == 1;
                    facts.bot() == Some(wanted)
                }
                Condition::Network => {
                    let address = facts.address().map(|address| address.to_canonical());
                    any(rule, Cursor::network, |item| contains(item, address))?
                }
                Condition::Share => {
                    let per_cent = u64::from(rule.u8()?);
                    let of_visitor = self.number(Purpose::Share, name);
                    of_visitor.is_some_and(|number| scaled(number, 100) < per_cent)
                }
                Condition::ScanNumber => {
                    let (from, to) = (rule.i64()?, rule.i64()?);
                    let number = self.scan_number;
                    let number = number.and_then(|number| i64::try_from(number).ok());
                    number.is_some_and(|number| from <= number && number < to)
                }
            };
            if !holds {
                return Some(Err(*condition));
            }
        }
        Some(Ok(()))
    }

    /// The visitor's number in a rule.
    fn number(&self, purpose: Purpose, rule: &[u8]) -> Option<u64> {
        let visitor = *self.visitor.get_or_init(|| share::visitor(self.facts));
        Some(number(purpose, self.tag, rule, visitor?))
    }

    fn language(&self) -> Option<u16> {
        if let Some(known) = self.language.get() {
            return known;
        }
        let found = language::preferred(self.facts.languages(), &self.languages);
        self.language.set(Some(found));
        found
    }

    /// Whether the wall clock of a zone shows one of these hours. What is behind midnight belongs to the day before.
    fn is_at(&self, zone: &str, days: u8, from: u16, to: u16) -> bool {
        let Some(local) = zone::local(zone, self.now) else {
            return false;
        };
        let minute = local.hour() as u16 * 60 + local.minute() as u16; // neither is below 0
        let today = local.weekday().to_monday_zero_offset() as u8;
        let is_on = |day: u8| days == NO_DAYS || days & 1 << day != 0;
        if from < to {
            return (from..to).contains(&minute) && is_on(today);
        }
        let yesterday = (today + 6) % 7;
        minute >= from && is_on(today) || minute < to && is_on(yesterday)
    }
}

fn has_bit(bits: u8, number: Option<u8>) -> bool {
    number.is_some_and(|number| bits & 1 << number != 0)
}

/// Whether something holds for an item of a list. All of it is read, but no more judged than has to be.
fn any<'a, T>(
    list: &mut Cursor<'a>,
    read: impl Fn(&mut Cursor<'a>) -> Option<T>,
    holds: impl Fn(T) -> bool,
) -> Option<bool> {
    let mut any = false;
    for _ in 0..list.u8()? {
        let item = read(list)?;
        any = any || holds(item);
    }
    Some(any)
}

/// The same for all items.
fn all<'a, T>(
    list: &mut Cursor<'a>,
    read: impl Fn(&mut Cursor<'a>) -> Option<T>,
    holds: impl Fn(T) -> bool,
) -> Option<bool> {
    any(list, read, |item| !holds(item)).map(|any_fails| !any_fails)
}

/// A parameter that is asked for.
struct Parameter<'a> {
    name: &'a [u8],
    /// A list; an empty one: it must not be there.
    values: Cursor<'a>,
}

impl<'a> Parameter<'a> {
    fn read(item: &mut Cursor<'a>) -> Option<Self> {
        let name = item.text()?;
        let values = *item;
        any(item, Cursor::text, |_| true)?;
        Some(Self { name, values })
    }

    fn matches(mut self, query: &Query<'_>) -> bool {
        let mut rest = self.values;
        if rest.u8() == Some(0) {
            return !query.has_name(self.name);
        }
        let has = |value| query.has(self.name, value);
        any(&mut self.values, Cursor::text, has) == Some(true)
    }
}

fn contains(net: IpNet, address: Option<IpAddr>) -> bool {
    address.is_some_and(|address| net.contains(&address))
}
