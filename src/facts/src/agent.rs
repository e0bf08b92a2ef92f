//! What a User-Agent tells, and the client hints beside it. The patterns are many and slow, and the same few thousand User-Agents come
//! again and again, so answers are kept. A scan's record carries no hints.

use std::sync::{Arc, OnceLock};

use isbot::Bots;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tags::{Browser, Device, Os};
use ua_parser::Extractor;

use crate::browser::browser;
use crate::device::device;
use crate::os::os;
use crate::{PatternError, bot, hints, patterns};

/// Longer User-Agents are judged by their beginning, which bounds the work that a hostile one causes. The longest of the 165,808
/// browsers in the test data of isbot 0.1.3 has 681 bytes.
const JUDGED_BYTES: usize = 1024;

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

/// What a browser says of itself, as sent; empty: nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Said<'a> {
    /// `User-Agent`.
    pub user_agent: &'a [u8],
    /// `Sec-CH-UA`.
    pub brands: &'a [u8],
    /// `Sec-CH-UA-Mobile`.
    pub mobile: &'a [u8],
    /// `Sec-CH-UA-Platform`.
    pub platform: &'a [u8],
}

impl<'a> Said<'a> {
    /// What of it is judged: the User-Agent's beginning, and hints that are no longer than a browser's. Whatever else is said changes no
    /// answer, so that answers are kept by this alone.
    pub(crate) fn judged(self) -> Self {
        let user_agent = self.user_agent.trim_ascii();
        let user_agent = match user_agent.get(..JUDGED_BYTES) {
            None => user_agent,
            Some(beginning) => {
                // Between characters, where it is UTF-8.
                let is_inside = |at: &usize| user_agent.get(*at).is_some_and(|b| b & 0xC0 == 0x80);
                let cuts = (JUDGED_BYTES - 3..=JUDGED_BYTES).rev();
                let cut = cuts.into_iter().find(|at| !is_inside(at));
                &beginning[..cut.unwrap_or(JUDGED_BYTES)]
            }
        };
        Self {
            user_agent,
            brands: hints::heard(self.brands),
            mobile: hints::heard(self.mobile),
            platform: hints::heard(self.platform),
        }
    }
}

/// [`Agents`] that are made when they are first asked for: an edge whose tags do not depend on devices need not spend the time and the
/// memory. To ask is to wait for them, so whoever brings in a tag that depends on them asks before requests do.
#[derive(Debug, Default)]
pub struct LazyAgents(OnceLock<Option<Arc<Agents>>>);

impl LazyAgents {
    /// Those that another part has made.
    pub fn made(agents: Arc<Agents>) -> Self {
        Self(OnceLock::from(Some(agents)))
    }

    /// The agents; none if they could not be made, which a test rules out.
    pub fn get(&self) -> Option<&Agents> {
        self.0
            .get_or_init(|| Agents::new().ok().map(Arc::new))
            .as_deref()
    }

    /// Whether they have been made.
    pub fn is_made(&self) -> bool {
        self.0.get().is_some()
    }
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

    /// What a browser says of itself, its hints before its User-Agent; keeping the answer is left to the caller.
    pub fn judge(&self, said: Said<'_>) -> Agent {
        let said = said.judged();
        let user_agent = String::from_utf8_lossy(said.user_agent);
        let text = beginning(user_agent.trim_ascii());
        let by_user_agent = match text {
            "" => Agent::default(),
            text => self.judge_user_agent(text),
        };
        let hinted_os = hints::os(said.platform);
        Agent {
            device: hints::device(hints::mobile(said.mobile), hinted_os, by_user_agent.device),
            os: hinted_os.or(by_user_agent.os),
            browser: hints::browser(said.brands).or(by_user_agent.browser),
            bot: by_user_agent.bot,
        }
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
        let agent = self.judge_user_agent(text);
        self.answers.insert(text.into(), agent);
        agent
    }

    fn judge_user_agent(&self, text: &str) -> Agent {
        let lower = text.to_ascii_lowercase();
        let family = self.extractor.os.extract(text);
        let system = os(family.as_ref().map(|found| &*found.os), &lower);
        let family = self.extractor.ua.extract(text);
        let browser = browser(family.as_ref().map(|found| &*found.family), &lower);
        let spider = self
            .extractor
            .dev
            .extract(text)
            .is_some_and(|found| found.device == "Spider");
        Agent {
            device: Some(device(system, &lower)),
            os: Some(system),
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
