//! A tag as it is kept: only what a redirect reads, in one run of bytes, the same in base, overlay and snapshot file.
//!
//! ```text
//! byte      status (bits 0-1), redirect status (2-4), query mode (5-6); bit 7: COUNTED
//! byte      which of the optional fields follow, those in capitals below; the other bits are 0
//! byte      length of the code, then the code
//! name      domain
//! varint    version
//! name      workspace
//! name      campaign                                 CAMPAIGN
//! varint    cache_max_age, seconds                   CACHE_MAX_AGE
//! 8 bytes   starts_at, µs since 1970                 STARTS_AT
//! 8 bytes   expires_at, µs since 1970                EXPIRES_AT
//! varint    max_scans; 0: none                       COUNTED
//! text      fallback URL                             FALLBACK
//! text      destination
//! text      compiled rules, as tags::RulesView       RULES
//! 8 bytes   when the tag becomes another, µs         SCHEDULED
//! bytes     their number, then that tag's record, every name spelt out
//! ```
//!
//! Numbers are little-endian, a varint is LEB128, a text is its length as a varint and its bytes. A name is a varint whose lowest
//! bit says what the others are: 0, a number in the list of [`Names`]; 1, the length of the text that follows.

use jiff::Timestamp;
use tags::{
    Code, Destination, MaxScans, QueryMode, RedirectStatus, Rules, RulesView, Status, Tag, TagView,
    Version,
};

use crate::key::Key;
use crate::names::{Names, SPELT_OUT};

const CAMPAIGN: u8 = 1;
const CACHE_MAX_AGE: u8 = 1 << 1;
const STARTS_AT: u8 = 1 << 2;
const EXPIRES_AT: u8 = 1 << 3;
const FALLBACK: u8 = 1 << 4;
/// From snapshot format 2 on, as the next. Whoever gives another bit a meaning raises that format, so that an older build refuses the file.
const RULES: u8 = 1 << 5;
const SCHEDULED: u8 = 1 << 6;
/// Of the first byte, from snapshot format 3 on: its scans are counted.
const COUNTED: u8 = 1 << 7;
const KNOWN: u8 = CAMPAIGN | CACHE_MAX_AGE | STARTS_AT | EXPIRES_AT | FALLBACK | RULES | SCHEDULED;

/// A tag by its key, with what a redirect reads of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a> {
    pub(crate) tag: TagView<'a>,
    pub(crate) scheduled: Option<Scheduled<'a>>,
}

/// What becomes of a tag by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scheduled<'a> {
    at: Timestamp,
    then: Then<'a>,
}

/// The tag that it becomes.
#[derive(Clone, Copy, Debug)]
enum Then<'a> {
    /// As the journal has it.
    Whole(&'a Tag),
    /// As a record, every name spelt out.
    Packed(&'a [u8]),
}

impl<'a> Then<'a> {
    fn record(self) -> Option<Record<'a>> {
        match self {
            Self::Whole(tag) => Some(Record::of(tag)),
            Self::Packed(bytes) => {
                let (record, len) = Record::read(bytes, &SPELT_OUT)?;
                (len == bytes.len() && record.scheduled.is_none()).then_some(record)
            }
        }
    }
}

impl<'a> Record<'a> {
    /// The fewest bytes that a record can have.
    pub(crate) const MIN_BYTES: usize = 8;

    /// The record of a tag. Of a revoked one only what its answer needs is kept, since it is kept for ever.
    pub(crate) fn of(tag: &'a Tag) -> Self {
        let mut view = tag.view();
        let mut scheduled = tag.scheduled.as_deref().map(|scheduled| Scheduled {
            at: scheduled.at,
            then: Then::Whole(&scheduled.tag),
        });
        if view.status == Status::Revoked {
            view.destination = "";
            view.rules = RulesView::NONE;
            (view.cache_max_age, view.starts_at, view.expires_at) = (None, None, None);
            (view.max_scans, view.is_counted) = (None, false);
            scheduled = None;
        }
        Self {
            tag: view,
            scheduled,
        }
    }

    /// The tag as it is at this moment. What is scheduled ends what clients may keep of the answer before.
    pub(crate) fn at(self, now: Timestamp) -> TagView<'a> {
        let Some(scheduled) = self.scheduled else {
            return self.tag;
        };
        if scheduled.at <= now {
            return scheduled.then.record().map_or(self.tag, |then| then.tag);
        }
        let left = scheduled.at.duration_since(now).as_secs();
        let left = u32::try_from(left).unwrap_or(u32::MAX);
        let kept = self.tag.cache_max_age.unwrap_or(Tag::DEFAULT_CACHE_MAX_AGE);
        TagView {
            cache_max_age: Some(kept.min(left)),
            ..self.tag
        }
    }

    /// Whether scans of the tag are counted, now or once what is scheduled has taken place.
    pub(crate) fn is_counted(&self) -> bool {
        let later = |scheduled: Scheduled<'a>| scheduled.then.record();
        self.tag.is_counted
            || self
                .scheduled
                .and_then(later)
                .is_some_and(|then| then.tag.is_counted)
    }

    /// Whether this may stand where `known` is. A journal is read at least once, so what comes again must change nothing; and a
    /// revoked code stays revoked whatever version claims otherwise, since the print it is on was given up for good. Which of two comes
    /// first does not matter: a journal's tail and what is behind it may be read at once.
    pub(crate) fn supersedes(&self, known: &Self) -> bool {
        let revoked = |it: &Self| it.tag.status == Status::Revoked;
        match (revoked(self), revoked(known)) {
            (true, false) => true,
            (false, true) => false,
            _ => self.tag.version > known.tag.version,
        }
    }

    /// Appends the record's bytes to `out`. `number` gives a name's number, or none for it to be spelt out.
    pub(crate) fn write(&self, out: &mut Vec<u8>, mut number: impl FnMut(&str) -> Option<u64>) {
        let tag = &self.tag;
        let flag = |present: bool, flag: u8| if present { flag } else { 0 };
        out.push(
            status_bits(tag.status)
                | redirect_bits(tag.redirect_status)
                | query_bits(tag.query)
                | flag(tag.is_counted, COUNTED),
        );
        out.push(
            flag(!tag.campaign.is_empty(), CAMPAIGN)
                | flag(tag.cache_max_age.is_some(), CACHE_MAX_AGE)
                | flag(tag.starts_at.is_some(), STARTS_AT)
                | flag(tag.expires_at.is_some(), EXPIRES_AT)
                | flag(tag.fallback_url.is_some(), FALLBACK)
                | flag(!tag.rules.is_empty(), RULES)
                | flag(self.scheduled.is_some(), SCHEDULED),
        );
        out.push(tag.code.len() as u8); // a code has at most 64 bytes
        out.extend_from_slice(tag.code.as_bytes());
        let mut name = |out: &mut Vec<u8>, text: &str| match number(text) {
            Some(number) => put_varint(out, number << 1),
            None => {
                put_varint(out, (text.len() as u64) << 1 | 1);
                out.extend_from_slice(text.as_bytes());
            }
        };
        name(out, tag.domain);
        put_varint(out, tag.version.get());
        name(out, tag.workspace);
        if !tag.campaign.is_empty() {
            name(out, tag.campaign);
        }
        if let Some(seconds) = tag.cache_max_age {
            put_varint(out, seconds.into());
        }
        for time in [tag.starts_at, tag.expires_at].into_iter().flatten() {
            out.extend_from_slice(&time.as_microsecond().to_le_bytes());
        }
        if tag.is_counted {
            put_varint(out, tag.max_scans.map_or(0, MaxScans::get));
        }
        if let Some(url) = tag.fallback_url {
            put_text(out, url);
        }
        put_text(out, tag.destination);
        if !tag.rules.is_empty() {
            put_bytes(out, tag.rules.as_bytes());
        }
        if let Some(Scheduled { at, then }) = self.scheduled {
            out.extend_from_slice(&at.as_microsecond().to_le_bytes());
            match then {
                Then::Packed(bytes) => put_bytes(out, bytes),
                Then::Whole(tag) => {
                    let mut bytes = Vec::with_capacity(256);
                    // Not a closure, of which each call within would be of another type.
                    let spelt_out: fn(&str) -> Option<u64> = |_| None;
                    Record::of(tag).write(&mut bytes, spelt_out);
                    put_bytes(out, &bytes);
                }
            }
        }
    }

    /// Reads the record at the beginning of `bytes`, and says how long it is. None: these bytes are no record.
    pub(crate) fn read(bytes: &'a [u8], names: &'a Names) -> Option<(Self, usize)> {
        let mut cursor = Cursor { rest: bytes };
        let bits = cursor.byte()?;
        let fields = cursor.byte()?;
        if fields & !KNOWN != 0 {
            return None;
        }
        let code_len = cursor.byte()?;
        let code = str::from_utf8(cursor.take(code_len.into())?).ok()?;
        let has = |flag: u8| fields & flag != 0;
        let domain = cursor.name(names)?;
        let version = Version::new(cursor.varint()?)?;
        let workspace = cursor.name(names)?;
        let campaign = if has(CAMPAIGN) {
            cursor.name(names)?
        } else {
            ""
        };
        let cache_max_age = if has(CACHE_MAX_AGE) {
            Some(u32::try_from(cursor.varint()?).ok()?)
        } else {
            None
        };
        let starts_at = if has(STARTS_AT) {
            Some(cursor.time()?)
        } else {
            None
        };
        let expires_at = if has(EXPIRES_AT) {
            Some(cursor.time()?)
        } else {
            None
        };
        let is_counted = bits & COUNTED != 0;
        let max_scans = match is_counted {
            true => match cursor.varint()? {
                0 => None,
                scans => Some(MaxScans::new(scans).ok()?),
            },
            false => None,
        };
        let fallback_url = if has(FALLBACK) {
            Some(cursor.text()?)
        } else {
            None
        };
        let destination = cursor.text()?;
        let rules = if has(RULES) {
            RulesView::new(cursor.bytes()?)
        } else {
            RulesView::NONE
        };
        let scheduled = if has(SCHEDULED) {
            let at = cursor.time()?;
            let then = Then::Packed(cursor.bytes()?);
            Some(Scheduled { at, then })
        } else {
            None
        };
        let tag = TagView {
            domain,
            code,
            workspace,
            version,
            status: status(bits)?,
            destination,
            rules,
            redirect_status: redirect_status(bits)?,
            cache_max_age,
            starts_at,
            expires_at,
            max_scans,
            is_counted,
            fallback_url,
            query: query_mode(bits)?,
            campaign,
        };
        Some((Self { tag, scheduled }, bytes.len() - cursor.rest.len()))
    }

    /// Whether the record at the beginning of `bytes` has this key.
    pub(crate) fn has_key(bytes: &[u8], names: &Names, key: &Key<'_>) -> bool {
        let code_and_rest = || {
            let (_, rest) = bytes.split_at_checked(2)?;
            let (code_len, rest) = rest.split_first()?;
            rest.split_at_checked((*code_len).into())
        };
        code_and_rest().is_some_and(|(code, rest)| {
            code == key.code.as_bytes() && Cursor { rest }.name(names) == Some(key.domain)
        })
    }

    /// Whether a file's record keeps the rules by which tags are made, so that nothing from it can break an answer.
    pub(crate) fn is_sound(&self) -> bool {
        let url = |text: &str| Destination::check_stored(text).is_ok();
        let word = |text: &str, max: usize| {
            (1..=max).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
        };
        let tag = &self.tag;
        let rules = tag.rules.as_bytes();
        Code::is_well_formed(tag.code)
            && word(tag.domain, tags::Domain::MAX_LEN)
            && word(tag.workspace, 64)
            && (url(tag.destination) || tag.destination.is_empty() && tag.status == Status::Revoked)
            && tag.fallback_url.is_none_or(url)
            && (rules.is_empty() || Rules::from_compiled(rules).is_some())
            && self.scheduled.is_none_or(|scheduled| {
                let then = scheduled.then.record();
                then.is_some_and(|then| {
                    (then.tag.domain, then.tag.code) == (tag.domain, tag.code) && then.is_sound()
                })
            })
    }
}

fn status_bits(status: Status) -> u8 {
    match status {
        Status::Active => 0,
        Status::Paused => 1,
        Status::Revoked => 2,
    }
}

fn status(bits: u8) -> Option<Status> {
    match bits & 3 {
        0 => Some(Status::Active),
        1 => Some(Status::Paused),
        2 => Some(Status::Revoked),
        _ => None,
    }
}

fn redirect_bits(status: RedirectStatus) -> u8 {
    let number = match status {
        RedirectStatus::Found => 0,
        RedirectStatus::MovedPermanently => 1,
        RedirectStatus::SeeOther => 2,
        RedirectStatus::TemporaryRedirect => 3,
        RedirectStatus::PermanentRedirect => 4,
    };
    number << 2
}

fn redirect_status(bits: u8) -> Option<RedirectStatus> {
    match bits >> 2 & 7 {
        0 => Some(RedirectStatus::Found),
        1 => Some(RedirectStatus::MovedPermanently),
        2 => Some(RedirectStatus::SeeOther),
        3 => Some(RedirectStatus::TemporaryRedirect),
        4 => Some(RedirectStatus::PermanentRedirect),
        _ => None,
    }
}

fn query_bits(mode: QueryMode) -> u8 {
    let number = match mode {
        QueryMode::Drop => 0,
        QueryMode::Append => 1,
        QueryMode::Override => 2,
    };
    number << 5
}

fn query_mode(bits: u8) -> Option<QueryMode> {
    match bits >> 5 & 3 {
        0 => Some(QueryMode::Drop),
        1 => Some(QueryMode::Append),
        2 => Some(QueryMode::Override),
        _ => None,
    }
}

fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_bytes(out, text.as_bytes());
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*byte)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn utf8(&mut self, len: u64) -> Option<&'a str> {
        str::from_utf8(self.take(usize::try_from(len).ok()?)?).ok()
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = self.varint()?;
        self.take(usize::try_from(len).ok()?)
    }

    fn text(&mut self) -> Option<&'a str> {
        let len = self.varint()?;
        self.utf8(len)
    }

    fn name(&mut self, names: &'a Names) -> Option<&'a str> {
        let name = self.varint()?;
        match name & 1 {
            0 => names.get(name >> 1),
            _ => self.utf8(name >> 1),
        }
    }

    fn time(&mut self) -> Option<Timestamp> {
        let (bytes, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Timestamp::from_microsecond(i64::from_le_bytes(*bytes)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two language tags; one rule, `a`, for both; one destination.
    const RULES_OF_ONE: &[u8] =
        b"\x02\0\x02\0\x04\0deen\x20\x01a\x20\0\x02\0\0\x01\0\x01\0\x14https://example.com/";

    fn full() -> Record<'static> {
        Record {
            tag: TagView {
                domain: "a.example.com",
                code: "abc",
                workspace: "w",
                version: Version::new(u64::MAX).expect("not 0"),
                status: Status::Paused,
                destination: "https://example.com/",
                rules: RulesView::new(RULES_OF_ONE),
                redirect_status: RedirectStatus::PermanentRedirect,
                cache_max_age: Some(u32::MAX),
                starts_at: Some(Timestamp::from_microsecond(-1).expect("a time")),
                expires_at: Some(Timestamp::from_microsecond(1).expect("a time")),
                max_scans: MaxScans::new(MaxScans::MAX).ok(),
                is_counted: true,
                fallback_url: Some("https://example.com/fallback"),
                query: QueryMode::Override,
                campaign: "Sommer ü",
            },
            scheduled: None,
        }
    }

    fn tag(version: u64) -> Tag {
        Tag {
            version: Version::new(version).expect("not 0"),
            campaign: format!("campaign {version}"),
            ..Tag::new(
                tags::WorkspaceId::default_workspace(),
                tags::Domain::parse("qr.example.com").expect("valid"),
                Code::parse("a").expect("valid"),
                Destination::parse(&format!("https://example.com/{version}")).expect("valid"),
                Timestamp::UNIX_EPOCH,
            )
        }
    }

    /// Version 1, which is version 2 from the second 100 on.
    fn scheduled() -> Tag {
        Tag {
            scheduled: Some(Box::new(tags::Scheduled {
                at: second(100),
                set: String::new(),
                by: String::new(),
                tag: tag(2),
            })),
            redirect_status: RedirectStatus::PermanentRedirect,
            ..tag(1)
        }
    }

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    #[test]
    fn what_is_scheduled_takes_the_place_of_the_tag_at_its_moment() {
        let (tag, mut bytes, mut again) = (scheduled(), Vec::new(), Vec::new());
        Record::of(&tag).write(&mut bytes, |_| None);
        let (read, len) = Record::read(&bytes, &SPELT_OUT).expect("a record");
        assert!(read.is_sound() && len == bytes.len());
        // As when a base is made of another.
        read.write(&mut again, |_| None);
        assert_eq!(again, bytes);
        for record in [Record::of(&tag), read] {
            let at = |now: Timestamp| {
                let tag = record.at(now);
                (
                    tag.version.get(),
                    tag.destination,
                    tag.campaign,
                    tag.cache_max_age,
                )
            };
            let before = |seconds| (1, "https://example.com/1", "campaign 1", Some(seconds));
            assert_eq!(at(second(-10_000)), before(Tag::DEFAULT_CACHE_MAX_AGE));
            assert_eq!(at(second(70)), before(30));
            let just_before = Timestamp::from_microsecond(99_999_999).expect("a time");
            assert_eq!(at(just_before), before(0));
            let after = (2, "https://example.com/2", "campaign 2", None);
            assert_eq!((at(second(100)), at(second(200))), (after, after));
        }
    }

    #[test]
    fn what_is_scheduled_is_judged_like_the_rest() {
        let mut bytes = Vec::new();
        Record::of(&scheduled()).write(&mut bytes, |_| None);
        for len in 0..bytes.len() {
            let read = Record::read(&bytes[..len], &SPELT_OUT);
            assert!(read.is_none(), "{len}");
        }
        let of_another = Tag {
            scheduled: scheduled().scheduled,
            code: Code::parse("b").expect("valid"),
            ..tag(1)
        };
        assert!(!Record::of(&of_another).is_sound());
        let within = Tag {
            scheduled: Some(Box::new(tags::Scheduled {
                at: second(1),
                set: String::new(),
                by: String::new(),
                tag: scheduled(),
            })),
            ..tag(0x7f)
        };
        let mut bytes = Vec::new();
        Record::of(&within).write(&mut bytes, |_| None);
        let (read, _) = Record::read(&bytes, &SPELT_OUT).expect("a record");
        assert!(!read.is_sound());
        assert_eq!(
            read.at(second(50)).version.get(),
            0x7f,
            "what cannot be read does not take place"
        );
    }

    #[test]
    fn what_was_written_is_read_back_and_says_its_length() {
        let mut bytes = Vec::new();
        full().write(&mut bytes, |_| None);
        let len = bytes.len();
        bytes.extend(b"the next record");
        let (read, read_len) = Record::read(&bytes, &SPELT_OUT).expect("a record");
        assert_eq!(format!("{read:?}"), format!("{:?}", full()));
        assert_eq!(read_len, len);
        assert!(read.is_sound());
    }

    #[test]
    fn a_record_that_is_cut_anywhere_is_none() {
        let mut bytes = Vec::new();
        full().write(&mut bytes, |_| None);
        for len in 0..bytes.len() {
            assert!(Record::read(&bytes[..len], &SPELT_OUT).is_none(), "{len}");
        }
    }

    #[test]
    fn a_record_with_content_that_this_build_does_not_know_is_none() {
        let mut bytes = Vec::new();
        full().write(&mut bytes, |_| None);
        bytes[1] |= 1 << 7;
        assert!(Record::read(&bytes, &SPELT_OUT).is_none());
    }

    #[test]
    fn what_could_break_an_answer_is_not_sound() {
        let with = |change: fn(&mut Record<'static>)| {
            let mut record = full();
            change(&mut record);
            record.is_sound()
        };
        assert!(!with(|r| r.tag.code = "a b"));
        assert!(!with(|r| r.tag.domain = ""));
        assert!(!with(|r| r.tag.rules = RulesView::new(&RULES_OF_ONE[..20])));
        assert!(!with(|r| r.tag.workspace = "a\nb"));
        assert!(!with(
            |r| r.tag.destination = "https://example.com/\r\nSet-Cookie: a=b"
        ));
        assert!(!with(|r| r.tag.destination = "javascript:alert(1)"));
        assert!(!with(|r| r.tag.destination = ""));
        assert!(!with(|r| r.tag.fallback_url = Some("")));
        assert!(with(
            |r| (r.tag.destination, r.tag.status) = ("", Status::Revoked)
        ));
    }
}
