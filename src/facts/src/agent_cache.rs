//! What a thread remembers of browsers: the same few thousand come again and again, and judging one costs a hundred times as much as
//! finding it here. A thread's own, so that none waits for another.

use std::cell::{OnceCell, RefCell};

use quick_cache::unsync::Cache;
use quick_cache::{Equivalent, Weighter};

use crate::{Agent, Agents, Said};

/// Room for some 8,000 ordinary answers.
const CACHE_BYTES: u64 = 4 << 20;
/// About what an entry costs beside its texts.
const ENTRY_BYTES: u64 = 128;

/// A thread's answers of [`Agents`]. Takes no room before the first.
pub struct AgentCache(OnceCell<RefCell<Cache<Kept, Agent, BytesWeighter>>>);

impl AgentCache {
    /// An empty one.
    pub fn new() -> Self {
        Self(OnceCell::new())
    }

    fn cache(&self) -> &RefCell<Cache<Kept, Agent, BytesWeighter>> {
        let ordinary = CACHE_BYTES as usize / 512;
        self.0.get_or_init(|| {
            RefCell::new(Cache::with_weighter(ordinary, CACHE_BYTES, BytesWeighter))
        })
    }

    /// What a browser says of itself. `agents` are asked for where that is not remembered; none: nothing is known of it, nor kept.
    pub fn judge<'a>(&self, said: Said<'_>, agents: impl FnOnce() -> Option<&'a Agents>) -> Agent {
        // Nothing that is not judged tells one answer from another, so that no padding has the same browser judged anew.
        let said = said.judged();
        if let Some(agent) = self.cache().borrow().get(&said) {
            return *agent;
        }
        let Some(agents) = agents() else {
            return Agent::default();
        };
        let agent = agents.judge(said);
        self.cache().borrow_mut().insert(Kept::of(said), agent);
        agent
    }
}

impl Default for AgentCache {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for AgentCache {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_tuple("AgentCache")
            .field(&self.0.get().map_or(0, |cache| cache.borrow().len()))
            .finish()
    }
}

/// What was said, kept. Hashes as [`Said`] does: field by field, bytes as bytes.
#[derive(PartialEq, Eq, Hash)]
struct Kept {
    user_agent: Box<[u8]>,
    brands: Box<[u8]>,
    mobile: Box<[u8]>,
    platform: Box<[u8]>,
}

impl Kept {
    fn of(said: Said<'_>) -> Self {
        Self {
            user_agent: said.user_agent.into(),
            brands: said.brands.into(),
            mobile: said.mobile.into(),
            platform: said.platform.into(),
        }
    }

    fn said(&self) -> Said<'_> {
        Said {
            user_agent: &self.user_agent,
            brands: &self.brands,
            mobile: &self.mobile,
            platform: &self.platform,
        }
    }
}

impl Equivalent<Kept> for Said<'_> {
    fn equivalent(&self, kept: &Kept) -> bool {
        *self == kept.said()
    }
}

impl Said<'_> {
    fn bytes(&self) -> usize {
        self.user_agent.len() + self.brands.len() + self.mobile.len() + self.platform.len()
    }
}

#[derive(Clone)]
struct BytesWeighter;

impl Weighter<Kept, Agent> for BytesWeighter {
    fn weight(&self, kept: &Kept, _: &Agent) -> u64 {
        kept.said().bytes() as u64 + ENTRY_BYTES
    }
}
