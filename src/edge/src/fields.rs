//! The header fields of a request: those that every scan needs are kept as they are read, what they say about the message itself is
//! judged, and all others can be looked for.

use scans::HttpVersion;

use crate::host::Host;
use crate::options::Limits;
use crate::pages::Page;
use crate::target::is_token;
use crate::upstream::ContentFraming;

/// The header fields of a request. The values are as sent, without the white space around them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fields<'b> {
    /// `User-Agent`, its first line.
    pub user_agent: &'b [u8],
    /// `Accept-Language`, its first line.
    pub accept_language: &'b [u8],
    /// `Referer`, its first line.
    pub referer: &'b [u8],
    /// `Sec-Purpose`, `Purpose`, `X-Purpose` and `X-Moz`, the first line of each.
    pub purpose: [&'b [u8]; 4],
    /// `Sec-CH-UA`, `Sec-CH-UA-Mobile` and `Sec-CH-UA-Platform`, the first line of each.
    pub hints: [&'b [u8]; 3],
    /// Whether `Accept-Language` has more lines.
    more_languages: bool,
    /// All of them, each with its CRLF.
    section: &'b [u8],
    count: usize,
}

impl<'b> Fields<'b> {
    /// The values of a field's lines, in their order. Looks at every line: what each request needs has a place of its own.
    pub fn lines(&self, name: &str) -> impl DoubleEndedIterator<Item = &'b [u8]> {
        self.all().filter_map(move |(found, value)| {
            found.eq_ignore_ascii_case(name.as_bytes()).then_some(value)
        })
    }

    /// All names and values, in their order.
    pub fn all(&self) -> impl DoubleEndedIterator<Item = (&'b [u8], &'b [u8])> {
        self.section.split(|b| *b == b'\n').filter_map(split)
    }

    /// The lines of `Accept-Language`.
    pub fn accept_languages(&self) -> impl Iterator<Item = &'b [u8]> {
        let one = (!self.more_languages).then_some(self.accept_language);
        let all = self.more_languages.then(|| self.lines("accept-language"));
        one.into_iter().chain(all.into_iter().flatten())
    }

    pub(crate) fn set_section(&mut self, section: &'b [u8]) {
        self.section = section;
    }

    /// Reads one more line, and keeps what is wanted of it.
    pub(crate) fn add(&mut self, line: &'b [u8], framing: &mut Framing<'b>) -> Result<(), Page> {
        self.count += 1;
        if self.count > Limits::FIELDS {
            return Err(Page::FieldsTooLarge);
        }
        // Also what an obs-fold begins with, and white space before the colon (RFC 9112 §5.1, §5.2), is no name.
        let (name, value) = split(line).ok_or(Page::BadRequest)?;
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        // By its length first: most are none of these.
        match name.len() {
            4 if is("host") => framing.host(value)?,
            5 if is("x-moz") => keep(&mut self.purpose[3], value),
            7 if is("referer") => keep(&mut self.referer, value),
            7 if is("purpose") => keep(&mut self.purpose[1], value),
            9 if is("x-purpose") => keep(&mut self.purpose[2], value),
            9 if is("sec-ch-ua") => keep(&mut self.hints[0], value),
            10 if is("user-agent") => keep(&mut self.user_agent, value),
            10 if is("connection") => framing.connection(value),
            11 if is("sec-purpose") => keep(&mut self.purpose[0], value),
            14 if is("content-length") => framing.content_length(value)?,
            15 if is("accept-language") => {
                self.more_languages = !self.accept_language.is_empty();
                keep(&mut self.accept_language, value);
            }
            16 if is("sec-ch-ua-mobile") => keep(&mut self.hints[1], value),
            17 if is("transfer-encoding") => framing.transfer_encoding(value),
            18 if is("sec-ch-ua-platform") => keep(&mut self.hints[2], value),
            _ => {}
        }
        Ok(())
    }
}

fn keep<'b>(place: &mut &'b [u8], value: &'b [u8]) {
    if place.is_empty() {
        *place = value;
    }
}

/// A line's name and value. None: it is no field (RFC 9112 §5).
fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let name = line.iter().take_while(|b| is_token(b)).count();
    match line.get(name) {
        Some(b':') if name > 0 => Some((&line[..name], line[name + 1..].trim_ascii())),
        _ => None,
    }
}

/// What the fields say about the message itself, while they are read.
#[derive(Default)]
pub(crate) struct Framing<'b> {
    host: Option<Host<'b>>,
    length: Option<u64>,
    /// Whether the one coding that there is, is known.
    coding: Option<bool>,
    close: bool,
    keep_alive: bool,
}

/// What came of it.
pub(crate) struct Framed<'b> {
    pub(crate) host: Option<Host<'b>>,
    pub(crate) keep_alive: bool,
    pub(crate) content: ContentFraming,
}

impl<'b> Framing<'b> {
    /// RFC 9112 §3.2: exactly one, and a valid one.
    fn host(&mut self, value: &'b [u8]) -> Result<(), Page> {
        let given = str::from_utf8(value).ok().and_then(Host::parse);
        match self.host.replace(given.ok_or(Page::BadRequest)?) {
            Some(_) => Err(Page::BadRequest),
            None => Ok(()),
        }
    }

    /// RFC 9112 §6.3: a repetition must say the same.
    fn content_length(&mut self, value: &[u8]) -> Result<(), Page> {
        let given = content_length(value).ok_or(Page::BadRequest)?;
        match self.length.replace(given) {
            Some(before) if before != given => Err(Page::BadRequest),
            _ => Ok(()),
        }
    }

    fn transfer_encoding(&mut self, value: &[u8]) {
        let known = value.eq_ignore_ascii_case(b"chunked") && self.coding.is_none();
        self.coding = Some(known);
    }

    fn connection(&mut self, value: &[u8]) {
        for option in value.split(|b| *b == b',').map(<[u8]>::trim_ascii) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    /// All lines have been read.
    pub(crate) fn finish(self, version: HttpVersion) -> Result<Framed<'b>, Page> {
        let is_1_0 = version == HttpVersion::Http10;
        match self.coding {
            // RFC 9112 §6.1: both together are how requests are smuggled, and HTTP/1.0 has no transfer codings.
            Some(_) if self.length.is_some() || is_1_0 => return Err(Page::BadRequest),
            Some(false) => return Err(Page::NotImplemented),
            _ => {}
        }
        if self.host.is_none() && !is_1_0 {
            return Err(Page::BadRequest);
        }
        Ok(Framed {
            host: self.host,
            keep_alive: (self.keep_alive || !is_1_0) && !self.close,
            content: match self.length {
                _ if self.coding.is_some() => ContentFraming::Chunked,
                None | Some(0) => ContentFraming::None,
                Some(length) => ContentFraming::Length(length),
            },
        })
    }
}

/// RFC 9110 §8.6: digits only; a list of equal lengths, which it lets pass, is refused too.
fn content_length(value: &[u8]) -> Option<u64> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    str::from_utf8(value).ok().filter(|_| digits)?.parse().ok()
}

/// The Accept lines of a request that was refused before its fields were read, as far as they can be made out.
pub(crate) fn accept_lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = bytes.split(|b| *b == b'\n').skip(1).take(Limits::FIELDS);
    lines
        .filter_map(split)
        .filter_map(|(name, value)| name.eq_ignore_ascii_case(b"accept").then_some(value))
}
