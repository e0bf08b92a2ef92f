//! How an edge says what it answered: borrowed from the request, and encoded straight to where it stays. Nothing is allocated, but to repair
//! a header that is not UTF-8.

use jiff::Timestamp;
use prost::bytes::BufMut;
use prost::encoding::{WireType, encoded_len_varint};
use tags::Outcome;

use crate::record::{limits, outcome_number};
use crate::{HttpVersion, IpPrefix, Method, Purpose, Visitor};

/// A scan that is about to be recorded. It has no field for the scanner's address, only for what is made of it.
#[derive(Clone, Copy, Debug)]
pub struct NewScan<'a> {
    /// When it is answered.
    pub time: Timestamp,
    /// The tag's workspace, or its domain's for an unknown code, or empty.
    pub workspace: &'a str,
    /// The domain that was asked, as it is configured.
    pub domain: &'a str,
    /// The code that was asked for.
    pub code: &'a str,
    /// The tag's campaign, or empty.
    pub campaign: &'a str,
    /// The tag's version; 0 for an unknown code.
    pub tag_version: u64,
    /// How it ends.
    pub outcome: Outcome,
    /// The name of the rule that decided, or empty.
    pub rule: &'a str,
    /// Which of the rule's weighted destinations.
    pub destination_index: u32,
    /// GET or HEAD.
    pub method: Method,
    /// What the client wants it for.
    pub purpose: Purpose,
    /// The network of the scanner.
    pub ip_prefix: IpPrefix,
    /// Made by [`Visitors`](crate::Visitors).
    pub visitor: Visitor,
    /// The User-Agent header as it came; what is not UTF-8 in it is replaced.
    pub user_agent: &'a [u8],
    /// The Accept-Language header as it came.
    pub language: &'a [u8],
    /// The host that the Referer header names: see [`referrer_host`].
    pub referrer_host: &'a [u8],
    /// The protocol of the request.
    pub http_version: HttpVersion,
    /// The operator whose crawlers have the scanner's address, or empty.
    pub bot_network: &'a str,
}

impl NewScan<'_> {
    /// Writes `message Scan` with this number. Never more than [`limits::RECORD`] bytes.
    pub fn encode(&self, seq: u64, to: &mut impl BufMut) {
        let mut room = [0; limits::RECORD];
        let len = self.encode_into(seq, &mut room);
        to.put_slice(&room[..len]);
    }

    /// The same into the beginning of `room`, which has at least [`limits::RECORD`] bytes. Returns how many it took.
    pub(crate) fn encode_into(&self, seq: u64, room: &mut [u8]) -> usize {
        let mut to = Encoder { room, at: 0 };
        to.number(1, seq);
        to.number(2, self.time.as_microsecond() as u64); // int64 on the wire: two's complement
        to.text(3, self.workspace.as_bytes(), limits::WORKSPACE);
        to.text(4, self.domain.as_bytes(), limits::DOMAIN);
        to.text(5, self.code.as_bytes(), limits::CODE);
        to.text(6, self.campaign.as_bytes(), limits::CAMPAIGN);
        to.number(7, self.tag_version);
        to.number(8, outcome_number(self.outcome) as u64);
        to.text(9, self.rule.as_bytes(), limits::RULE);
        to.number(10, u64::from(self.destination_index));
        to.number(11, self.method.number() as u64);
        to.number(12, self.purpose.number() as u64);
        to.delimited(13, self.ip_prefix.as_bytes());
        to.fixed(14, self.visitor.as_u64());
        to.text(15, self.user_agent, limits::USER_AGENT);
        to.text(16, self.language, limits::LANGUAGE);
        to.text(17, self.referrer_host, limits::REFERRER_HOST);
        to.number(18, self.http_version.number() as u64);
        to.text(19, self.bot_network.as_bytes(), limits::BOT_NETWORK);
        to.at
    }
}

/// The host that a Referer header's URL names, without scheme, credentials, port and path; empty if it names none.
pub fn referrer_host(referer: &[u8]) -> &[u8] {
    let Some(scheme) = referer.windows(3).position(|w| w == b"://") else {
        return b"";
    };
    let rest = &referer[scheme + 3..];
    let authority = rest
        .split(|b| matches!(b, b'/' | b'?' | b'#' | b'\\'))
        .next()
        .unwrap_or_default();
    let host = authority.rsplit(|b| *b == b'@').next().unwrap_or_default();
    match host.iter().position(|b| *b == b']') {
        Some(end) => &host[..=end],
        None => host.split(|b| *b == b':').next().unwrap_or_default(),
    }
}

/// Protobuf into a slice that is known to be long enough: less work than through `BufMut`, which moves the slice with every byte.
struct Encoder<'a> {
    room: &'a mut [u8],
    at: usize,
}

impl Encoder<'_> {
    fn number(&mut self, tag: u32, value: u64) {
        if value != 0 {
            self.key(tag, WireType::Varint);
            self.varint(value);
        }
    }

    fn fixed(&mut self, tag: u32, value: u64) {
        self.key(tag, WireType::SixtyFourBit);
        self.bytes(&value.to_le_bytes());
    }

    fn delimited(&mut self, tag: u32, bytes: &[u8]) {
        self.key(tag, WireType::LengthDelimited);
        self.varint(bytes.len() as u64);
        self.bytes(bytes);
    }

    /// A text of at most `limit` bytes, cut at a character.
    fn text(&mut self, tag: u32, bytes: &[u8], limit: usize) {
        if bytes.is_empty() {
            return;
        }
        // A character that the cut splits is at most 4 bytes long, so these are enough to tell whether it is the cut that is at fault.
        let near = &bytes[..bytes.len().min(limit + 4)];
        match std::str::from_utf8(near) {
            Ok(text) => self.delimited(tag, &near[..text.floor_char_boundary(limit)]),
            Err(_) => self.repaired(tag, near, limit),
        }
    }

    /// As [`Encoder::text`], what is not UTF-8 as U+FFFD. For the rare client that sends such, or a character across the look-ahead.
    #[cold]
    fn repaired(&mut self, tag: u32, bytes: &[u8], limit: usize) {
        let repaired = String::from_utf8_lossy(bytes);
        self.delimited(
            tag,
            &repaired.as_bytes()[..repaired.floor_char_boundary(limit)],
        );
    }

    fn key(&mut self, tag: u32, wire_type: WireType) {
        self.varint(u64::from(tag << 3 | wire_type as u32));
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.room[self.at] = value as u8 | 0x80;
            self.at += 1;
            value >>= 7;
        }
        self.room[self.at] = value as u8;
        self.at += 1;
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.room[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }
}

/// How many bytes a delimited field takes.
pub(crate) fn delimited_len(tag: u32, len: usize) -> usize {
    prost::encoding::key_len(tag) + encoded_len_varint(len as u64) + len
}
