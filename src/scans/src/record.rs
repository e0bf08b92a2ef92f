//! What a scan is, to those who read it. How a writer puts one into its scan log is in `new_scan`; who made it is in `identity`.

use jiff::Timestamp;
use prost::Message;
use tags::Outcome;

use crate::{IpPrefix, Visitor};

/// One request for a tag, as it was answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Scan {
    /// Its number among its writer's, from 0, without holes but for what was dropped.
    pub seq: u64,
    /// When it was answered, by the edge's clock, in microseconds.
    pub time: Timestamp,
    /// The tag's workspace, or its domain's for an unknown code; empty where neither has one.
    pub workspace: String,
    /// The domain that was asked.
    pub domain: String,
    /// The code that was asked for.
    pub code: String,
    /// The tag's campaign; empty for none.
    pub campaign: String,
    /// The tag's version that decided; 0 for an unknown code.
    pub tag_version: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// The name of the rule that decided; empty for none.
    pub rule: String,
    /// Which of the rule's weighted destinations, from 0.
    pub destination_index: u32,
    /// GET or HEAD.
    pub method: Method,
    /// What the client said that it wants the answer for.
    pub purpose: Purpose,
    /// The network of the scanner.
    pub ip_prefix: IpPrefix,
    /// The same for the same address and User-Agent within a day.
    pub visitor: Visitor,
    /// At most [`limits::USER_AGENT`] bytes of the header.
    pub user_agent: String,
    /// At most [`limits::LANGUAGE`] bytes of Accept-Language.
    pub language: String,
    /// The host that the Referer header names; empty for none.
    pub referrer_host: String,
    /// The protocol of the request.
    pub http_version: HttpVersion,
    /// The operator whose crawlers have the scanner's address; empty for none.
    pub bot_network: String,
}

/// The longest texts in a record, in bytes; what is longer is cut at a character. They keep every record below
/// [`limits::RECORD`], so that a batch holds dozens.
pub mod limits {
    /// An id of the admin's making.
    pub const WORKSPACE: usize = 64;
    /// A host name, RFC 1035 §2.3.4.
    pub const DOMAIN: usize = 253;
    /// A code.
    pub const CODE: usize = 64;
    /// A campaign's name.
    pub const CAMPAIGN: usize = 256;
    /// A rule's name.
    pub const RULE: usize = 256;
    /// User-Agent. The longest of real browsers' are below 400.
    pub const USER_AGENT: usize = 512;
    /// Accept-Language.
    pub const LANGUAGE: usize = 128;
    /// A host name.
    pub const REFERRER_HOST: usize = 253;
    /// An operator's name, as the file of their networks is called.
    pub const BOT_NETWORK: usize = 64;
    /// A whole record in protobuf: the above, with keys, lengths and numbers to spare.
    pub const RECORD: usize = 2_048;
}

/// The request methods that make a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// GET.
    Get,
    /// HEAD: recorded, and left out of the counts.
    Head,
}

/// What a client said that it wants an answer for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Nothing said: someone wants to go there.
    Navigation,
    /// To have it at hand, perhaps for nothing.
    Prefetch,
    /// To show a preview.
    Preview,
}

impl Purpose {
    /// Reads the value of a `Sec-Purpose`, `Purpose` or `X-Moz` header: `prefetch`, `prefetch;prerender`, `preview`, in any case.
    pub fn parse(value: &[u8]) -> Self {
        let word = value
            .split(|b| matches!(b, b';' | b','))
            .next()
            .unwrap_or_default()
            .trim_ascii();
        if word.eq_ignore_ascii_case(b"prefetch") {
            Self::Prefetch
        } else if word.eq_ignore_ascii_case(b"preview") {
            Self::Preview
        } else {
            Self::Navigation
        }
    }
}

/// The protocol of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HttpVersion {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
    /// HTTP/2
    Http2,
}

/// Enumerations with their words and their numbers on the wire, where 0 is `UNSPECIFIED` and never written.
macro_rules! words {
    ($type:ty { $($variant:ident = $number:literal, $word:literal;)+ }) => {
        impl $type {
            /// The word in stores, metrics and the API.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
            pub(crate) fn number(self) -> i32 {
                match self { $(Self::$variant => $number,)+ }
            }
            pub(crate) fn from_number(number: i32) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}
words!(Method { Get = 1, "get"; Head = 2, "head"; });
words!(Purpose { Navigation = 1, "navigation"; Prefetch = 2, "prefetch"; Preview = 3, "preview"; });
words!(HttpVersion { Http10 = 1, "1.0"; Http11 = 2, "1.1"; Http2 = 3, "2"; });

/// An outcome's number on the wire.
pub(crate) fn outcome_number(outcome: Outcome) -> i32 {
    match outcome {
        Outcome::Redirected => 1,
        Outcome::Fallback => 2,
        Outcome::Paused => 3,
        Outcome::Scheduled => 4,
        Outcome::Expired => 5,
        Outcome::Revoked => 6,
        Outcome::Unknown => 7,
        Outcome::Limited => 8,
    }
}

/// Why the record of a scan was refused.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// Not protobuf, or other types in it.
    #[error("the scan is not a valid protobuf message: {0}")]
    Malformed(#[from] prost::DecodeError),
    /// A field's content is not allowed, or from a newer release.
    #[error(
        "field {field} of the scan holds {found}, which this build does not know: upgrade it if the edge is newer"
    )]
    Field {
        /// Its name in the `.proto` file.
        field: &'static str,
        /// What it holds.
        found: String,
    },
}

/// `message Scan` of `proto/scans.proto`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ScanRecord {
    #[prost(uint64, tag = "1")]
    seq: u64,
    #[prost(int64, tag = "2")]
    time: i64,
    #[prost(string, tag = "3")]
    workspace: String,
    #[prost(string, tag = "4")]
    domain: String,
    #[prost(string, tag = "5")]
    code: String,
    #[prost(string, tag = "6")]
    campaign: String,
    #[prost(uint64, tag = "7")]
    tag_version: u64,
    #[prost(int32, tag = "8")]
    outcome: i32,
    #[prost(string, tag = "9")]
    rule: String,
    #[prost(uint32, tag = "10")]
    destination_index: u32,
    #[prost(int32, tag = "11")]
    method: i32,
    #[prost(int32, tag = "12")]
    purpose: i32,
    #[prost(bytes = "vec", tag = "13")]
    ip_prefix: Vec<u8>,
    #[prost(fixed64, tag = "14")]
    visitor: u64,
    #[prost(string, tag = "15")]
    user_agent: String,
    #[prost(string, tag = "16")]
    language: String,
    #[prost(string, tag = "17")]
    referrer_host: String,
    #[prost(int32, tag = "18")]
    http_version: i32,
    #[prost(string, tag = "19")]
    bot_network: String,
}

impl Scan {
    /// Reads one record, as a writer put it into its log and as it lies in a batch.
    pub fn decode(bytes: &[u8]) -> Result<Self, ScanError> {
        let record = ScanRecord::decode(bytes)?;
        let unknown = |field, found: &dyn std::fmt::Debug| ScanError::Field {
            field,
            found: format!("{found:?}"),
        };
        let outcome = Outcome::ALL
            .into_iter()
            .find(|outcome| outcome_number(*outcome) == record.outcome);
        Ok(Self {
            seq: record.seq,
            time: Timestamp::from_microsecond(record.time)
                .map_err(|_| unknown("time", &record.time))?,
            outcome: outcome.ok_or_else(|| unknown("outcome", &record.outcome))?,
            method: Method::from_number(record.method)
                .ok_or_else(|| unknown("method", &record.method))?,
            purpose: Purpose::from_number(record.purpose)
                .ok_or_else(|| unknown("purpose", &record.purpose))?,
            ip_prefix: IpPrefix::from_bytes(&record.ip_prefix)
                .ok_or_else(|| unknown("ip_prefix", &record.ip_prefix))?,
            http_version: HttpVersion::from_number(record.http_version)
                .ok_or_else(|| unknown("http_version", &record.http_version))?,
            visitor: Visitor::from_u64(record.visitor),
            workspace: record.workspace,
            domain: record.domain,
            code: record.code,
            campaign: record.campaign,
            tag_version: record.tag_version,
            rule: record.rule,
            destination_index: record.destination_index,
            user_agent: record.user_agent,
            language: record.language,
            referrer_host: record.referrer_host,
            bot_network: record.bot_network,
        })
    }
}
