//! Why a client is taken for a program, in the words that are stored and answered.

use std::fmt;

/// The surest sign that a client is no person: what is known by its address, before what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BotReason<'a> {
    /// Its address is of this operator's crawlers ([`crate::CrawlerNetworks`]). Shown as `network:googlebot`.
    Network(&'a str),
    /// Its User-Agent says so ([`crate::Agent::bot`]). Shown as `user_agent`.
    UserAgent,
}

impl<'a> BotReason<'a> {
    /// By the operator whose crawlers have the address (empty: nobody's that is known), and by what the User-Agent says.
    pub fn of(operator: &'a str, says_so: bool) -> Option<Self> {
        match operator {
            "" => says_so.then_some(Self::UserAgent),
            operator => Some(Self::Network(operator)),
        }
    }
}

impl fmt::Display for BotReason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(operator) => write!(f, "network:{operator}"),
            Self::UserAgent => f.write_str("user_agent"),
        }
    }
}
