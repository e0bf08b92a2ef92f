//! Rules: where a tag leads for whom. A list, tried in order; the first whose conditions all hold decides, else the tag's destination
//! does. The model is here and in `model`; [`RulesView`] is the same compiled, as the table keeps it, and judges requests.

mod check;
mod compile;
mod judge;
mod language;
mod model;
mod nearest;
mod network;
mod place;
mod query;
mod read;
mod share;
mod warning;
mod zone;

use std::fmt;

use crate::spelling::spelled;

pub use judge::Judged;
pub(crate) use judge::Tried;
pub use language::LanguageTag;
pub use model::{
    Dates, Day, Hours, InvalidRuleValue, Rule, ScanNumbers, Share, Target, Targets, TimeOfDay,
    Weight, When,
};
pub use network::parse_network;
pub use place::{Country, Region};
pub use read::RulesView;
pub use warning::RuleWarning;
pub use zone::Zone;

spelled! {
    /// A condition of a rule, in the order in which they are judged.
    Condition, "condition", {
        /// The class of the device.
        Device = "device",
        /// The operating system.
        Os = "os",
        /// The browser.
        Browser = "browser",
        /// The country.
        Country = "country",
        /// The region.
        Region = "region",
        /// The language that the visitor prefers of those that the tag's rules name.
        Language = "language",
        /// Points in time.
        Dates = "dates",
        /// Days of the week and times of day.
        Hours = "hours",
        /// Parameters of the request.
        Query = "query",
        /// Whether it is a bot.
        Bot = "bot",
        /// The client's network.
        Network = "network",
        /// A part of the visitors.
        Share = "share",
        /// Which scan it is.
        ScanNumber = "scan_number",
    }
}

/// What is wrong with a list of rules, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError {
    /// Where in the list, as a JSON pointer (RFC 6901), as in `/0/when/query/ref`; empty: the list itself.
    pub pointer: String,
    /// What is wrong with it, and what is allowed.
    pub detail: String,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.pointer, self.detail)
    }
}

/// The rules of a tag: a list that keeps every limit, and what it compiles to. Two are equal when their lists are.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    list: Box<[Rule]>,
    compiled: Box<[u8]>,
}

impl Rules {
    /// The most rules of a tag.
    pub const MAX: usize = 32;
    /// The most values of a condition's list, and of a query parameter.
    pub const MAX_VALUES: usize = 16;
    /// The most query parameters of a rule.
    pub const MAX_QUERY_NAMES: usize = 16;
    /// The most destinations of a rule.
    pub const MAX_TARGETS: usize = 16;
    /// The longest name of a rule, in characters.
    pub const MAX_NAME: usize = 64;
    /// The longest name and value of a query parameter, in characters.
    pub const MAX_QUERY_TEXT: usize = 256;
    /// The most bytes that they may compile to: room for as many destinations as there may be, of 180 bytes each. A record of the journal may
    /// have 1 MiB, and an audit entry holds a tag twice, each with what is scheduled for it.
    pub const MAX_BYTES: usize = 96 << 10;

    /// Judges a list, and compiles it.
    pub fn new(list: Vec<Rule>) -> Result<Self, Vec<RuleError>> {
        let errors = check::check(&list);
        if !errors.is_empty() {
            return Err(errors);
        }
        let compiled = compile::compile(&list);
        if compiled.len() > Self::MAX_BYTES {
            let detail = format!(
                "the rules have {} bytes altogether, as they are stored: at most {} are allowed, so use fewer or shorter values",
                compiled.len(),
                Self::MAX_BYTES
            );
            let pointer = String::new();
            return Err(vec![RuleError { pointer, detail }]);
        }
        Ok(Self {
            list: list.into(),
            compiled: compiled.into(),
        })
    }

    /// The rules, in their order.
    pub fn list(&self) -> &[Rule] {
        &self.list
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// What judges requests.
    pub fn view(&self) -> RulesView<'_> {
        RulesView::new(&self.compiled)
    }

    /// Takes back what [`Rules::view`] showed; none: these bytes are no rules, or not those that they would be written as, or too many.
    pub fn from_compiled(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > Self::MAX_BYTES {
            return None;
        }
        let rules = Self::new(read::decompile(bytes)?).ok()?;
        (*rules.compiled == *bytes).then_some(rules)
    }
}

impl PartialEq for Rules {
    fn eq(&self, other: &Self) -> bool {
        self.list == other.list
    }
}
