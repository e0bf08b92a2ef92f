//! How an edge says what it answered: borrowed from the request, and encoded straight to where it stays, without an allocation.

use jiff::Timestamp;
use prost::bytes::BufMut;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};
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
}

impl NewScan<'_> {
    /// Writes `message Scan` with this number. Never more than [`limits::RECORD`] bytes.
    pub fn encode(&self, seq: u64, to: &mut impl BufMut) {
        number(1, seq, to);
        number(2, self.time.as_microsecond() as u64, to); // int64 on the wire: two's complement
        text(3, self.workspace.as_bytes(), limits::WORKSPACE, to);
        text(4, self.domain.as_bytes(), limits::DOMAIN, to);
        text(5, self.code.as_bytes(), limits::CODE, to);
        text(6, self.campaign.as_bytes(), limits::CAMPAIGN, to);
        number(7, self.tag_version, to);
        number(8, outcome_number(self.outcome) as u64, to);
        text(9, self.rule.as_bytes(), limits::RULE, to);
        number(10, u64::from(self.destination_index), to);
        number(11, self.method.number() as u64, to);
        number(12, self.purpose.number() as u64, to);
        delimited(13, self.ip_prefix.as_bytes(), to);
        encode_key(14, WireType::SixtyFourBit, to);
        to.put_u64_le(self.visitor.as_u64());
        text(15, self.user_agent, limits::USER_AGENT, to);
        text(16, self.language, limits::LANGUAGE, to);
        text(17, self.referrer_host, limits::REFERRER_HOST, to);
        number(18, self.http_version.number() as u64, to);
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

fn number(tag: u32, value: u64, to: &mut impl BufMut) {
    if value != 0 {
        encode_key(tag, WireType::Varint, to);
        encode_varint(value, to);
    }
}

fn delimited(tag: u32, bytes: &[u8], to: &mut impl BufMut) {
    encode_key(tag, WireType::LengthDelimited, to);
    encode_varint(bytes.len() as u64, to);
    to.put_slice(bytes);
}

/// A text of at most `limit` bytes, cut at a character.
fn text(tag: u32, bytes: &[u8], limit: usize, to: &mut impl BufMut) {
    if bytes.is_empty() {
        return;
    }
    // A character that the cut splits is at most 4 bytes long, so these are enough to tell whether it is the cut that is at fault.
    let near = &bytes[..bytes.len().min(limit + 4)];
    match std::str::from_utf8(near) {
        Ok(text) => delimited(tag, &text.as_bytes()[..text.floor_char_boundary(limit)], to),
        Err(error) if error.valid_up_to() >= limit - 3 && error.error_len().is_none() => {
            let valid = String::from_utf8_lossy(&near[..error.valid_up_to()]); // borrowed: it is valid
            delimited(
                tag,
                &valid.as_bytes()[..valid.floor_char_boundary(limit)],
                to,
            );
        }
        Err(_) => repaired(tag, near, limit, to),
    }
}

/// As [`text`], each run of bytes that is not UTF-8 as one U+FFFD. For the rare client that sends such.
fn repaired(tag: u32, bytes: &[u8], limit: usize, to: &mut impl BufMut) {
    const REPLACEMENT: &str = "\u{fffd}";
    let pieces = || {
        let mut left = limit;
        let pieces = bytes.utf8_chunks().flat_map(|chunk| {
            [
                chunk.valid(),
                if chunk.invalid().is_empty() {
                    ""
                } else {
                    REPLACEMENT
                },
            ]
        });
        pieces.map_while(move |piece| {
            let cut = &piece[..piece.floor_char_boundary(left)];
            left = if cut.len() == piece.len() {
                left - cut.len()
            } else {
                0
            };
            (cut.len() == piece.len() || !cut.is_empty()).then_some(cut)
        })
    };
    let len: usize = pieces().map(str::len).sum();
    encode_key(tag, WireType::LengthDelimited, to);
    encode_varint(len as u64, to);
    pieces().for_each(|piece| to.put_slice(piece.as_bytes()));
}

/// How many bytes [`delimited`] writes.
pub(crate) fn delimited_len(tag: u32, len: usize) -> usize {
    prost::encoding::key_len(tag) + encoded_len_varint(len as u64) + len
}
