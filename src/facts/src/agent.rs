//! What a User-Agent tells. The patterns are many and slow, and the same few thousand User-Agents come again and again, so
//! answers are kept. Sec-CH-UA hints are left out: a scan's record does not carry them.

use isbot::Bots;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use ua_parser::Extractor;

use crate::{Browser, Device, Os, PatternError, bot, patterns};

/// Longer User-Agents are judged by their beginning, which bounds the work that a hostile one causes. The longest of the 165,808
/// browsers in the test data of isbot 0.1.3 has 681 bytes.
const JUDGED_BYTES: usize = 2048;

/// Room for some 100,000 ordinary answers.
const CACHE_BYTES: u64 = 32 << 20;

/// About what an entry costs beside its text.
const ENTRY_BYTES: u64 = 64;

/// What a User-Agent tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Agent {
    /// Class of the device; `None` when there was no User-Agent.
    pub device: Option<Device>,
    /// Operating system; `None` when there was no User-Agent.
    pub os: Option<Os>,
    /// Browser; `None` when there was no User-Agent.
    pub browser: Option<Browser>,
    /// Whether it says that no person is there. An absent User-Agent says nothing, so `false`.
    pub bot: bool,
}

/// Reads User-Agents. Expensive to build (compiles more than a thousand patterns), cheap to ask: build one and share it.
pub struct Agents {
    extractor: Extractor<'static>,
    bots: Bots,
    answers: Cache<Box<str>, Agent, TextWeighter>,
}

impl Agents {
    /// Compiles the built-in patterns.
    ///
    /// # Errors
    ///
    /// When they do not compile, which a test rules out for the patterns of this version.
    pub fn new() -> Result<Agents, PatternError> {
        let ordinary = CACHE_BYTES as usize / 320;
        Ok(Agents {
            extractor: patterns::compile()?,
            bots: bot::recogniser(),
            answers: Cache::with_weighter(ordinary, CACHE_BYTES, TextWeighter),
        })
    }

    /// What this User-Agent tells; an empty or blank one tells nothing.
    pub fn classify(&self, user_agent: &str) -> Agent {
        let text = beginning(user_agent.trim_ascii());
        if text.is_empty() {
            return Agent::default();
        }
        if let Some(agent) = self.answers.get(text) {
            return agent;
        }
        let agent = self.judge(text);
        self.answers.insert(text.into(), agent);
        agent
    }

    fn judge(&self, text: &str) -> Agent {
        let lower = text.to_ascii_lowercase();
        let family = self.extractor.os.extract(text);
        let os = Os::from_family(family.as_ref().map(|found| &*found.os), &lower);
        let family = self.extractor.ua.extract(text);
        let browser = Browser::from_family(family.as_ref().map(|found| &*found.family), &lower);
        let spider = self
            .extractor
            .dev
            .extract(text)
            .is_some_and(|found| found.device == "Spider");
        Agent {
            device: Some(Device::from_tokens(os, &lower)),
            os: Some(os),
            browser: Some(browser),
            bot: spider || self.bots.is_bot(text),
        }
    }
}

impl std::fmt::Debug for Agents {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Agents")
            .field("answers", &self.answers.len())
            .finish_non_exhaustive()
    }
}

/// The first [`JUDGED_BYTES`], cut between characters.
fn beginning(text: &str) -> &str {
    &text[..text.floor_char_boundary(JUDGED_BYTES)]
}

/// Weighs an answer by its memory, so that many long User-Agents cannot fill it.
#[derive(Clone)]
struct TextWeighter;

impl Weighter<Box<str>, Agent> for TextWeighter {
    fn weight(&self, text: &Box<str>, _: &Agent) -> u64 {
        text.len() as u64 + ENTRY_BYTES
    }
}
