//! Why a site did not answer a request, and what the visitor, the metrics and the log make of it.

use pingora_core::{Error, ErrorSource, ErrorType};

use crate::pages::Page;

/// Why there is no answer of the site's, or not all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The request has been here before: the site leads back to us.
    Loop,
    /// The domain has as many requests under way as it may.
    Limited,
    /// All domains together have.
    Overloaded,
    /// The body is longer than allowed.
    BodyTooLarge,
    /// The body is not what its framing says.
    BodyMalformed,
    /// The client went away.
    Client,
    /// The client sends its content, or takes the answer, too slowly.
    ClientTooSlow,
    /// The site's name has no address.
    Unresolved,
    /// The site has no address that an upstream may have.
    Refused,
    /// No connection, or no TLS.
    Unreachable,
    /// It took too long.
    TimedOut,
    /// The answer is not HTTP, or ended in the middle.
    BadAnswer,
}

impl Failure {
    /// All of them.
    pub(crate) const ALL: [Self; 12] = [
        Self::Loop,
        Self::Limited,
        Self::Overloaded,
        Self::BodyTooLarge,
        Self::BodyMalformed,
        Self::Client,
        Self::ClientTooSlow,
        Self::Unresolved,
        Self::Refused,
        Self::Unreachable,
        Self::TimedOut,
        Self::BadAnswer,
    ];

    /// The metric label.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Loop => "loop",
            Self::Limited => "limited",
            Self::Overloaded => "overloaded",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyMalformed => "body_malformed",
            Self::Client => "client_gone",
            Self::ClientTooSlow => "client_too_slow",
            Self::Unresolved => "unresolved",
            Self::Refused => "address_refused",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed_out",
            Self::BadAnswer => "bad_answer",
        }
    }

    /// What is said; none: nobody is there to be told.
    pub(crate) fn page(self) -> Option<Page> {
        match self {
            Self::Loop => Some(Page::Loop),
            Self::Limited | Self::Overloaded => Some(Page::SiteBusy),
            Self::BodyTooLarge => Some(Page::ContentTooLarge),
            Self::BodyMalformed => Some(Page::BadRequest),
            Self::Client => None,
            Self::ClientTooSlow => Some(Page::RequestTimeout),
            Self::TimedOut => Some(Page::GatewayTimeout),
            Self::Unresolved | Self::Refused | Self::Unreachable | Self::BadAnswer => {
                Some(Page::BadGateway)
            }
        }
    }

    /// Whether it is the site's, so that the domain's fallback may stand in for it.
    pub(crate) fn is_the_sites(self) -> bool {
        !matches!(
            self,
            Self::BodyTooLarge | Self::BodyMalformed | Self::Client | Self::ClientTooSlow
        )
    }

    /// What Pingora's error means.
    pub(super) fn of(error: &Error) -> Self {
        let upstream = *error.esource() == ErrorSource::Upstream;
        match error.etype() {
            ErrorType::ConnectTimedout => Self::TimedOut,
            ErrorType::ReadTimedout | ErrorType::WriteTimedout if upstream => Self::TimedOut,
            ErrorType::ConnectRefused
            | ErrorType::ConnectNoRoute
            | ErrorType::ConnectError
            | ErrorType::BindError
            | ErrorType::AcceptError
            | ErrorType::SocketError
            | ErrorType::TLSWantX509Lookup
            | ErrorType::TLSHandshakeFailure
            | ErrorType::TLSHandshakeTimedout
            | ErrorType::InvalidCert
            | ErrorType::HandshakeError => Self::Unreachable,
            _ if *error.esource() == ErrorSource::Downstream => Self::Client,
            _ => Self::BadAnswer,
        }
    }
}
