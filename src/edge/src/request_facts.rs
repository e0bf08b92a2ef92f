//! What is known about a request's visitor beyond its head: found out when a decision asks for it, once, and not otherwise. Which tags
//! depend on what is `tags`' matter.

use std::cell::OnceCell;
use std::net::IpAddr;
use std::sync::Arc;

use facts::{
    Agent, AgentCache, CountryCode, CrawlerNetworks, LazyAgents, PlacesFile, RegionCode, Said,
};
use scans::Purpose;
use tags::{Browser, Device, Facts, Os, TagView};

use crate::counting::Tallies;
use crate::fields::Fields;
use crate::record::purpose;
use crate::request::{Method, Request};

/// Where facts are looked up.
#[derive(Clone, Copy, Debug)]
pub struct FactSources<'a> {
    /// Where addresses are.
    pub places: &'a PlacesFile,
    /// Whose crawlers have which addresses.
    pub crawlers: &'a CrawlerNetworks,
    /// What browsers say of themselves.
    pub agents: &'a LazyAgents,
    /// What this thread remembers of them.
    pub known_agents: &'a AgentCache,
    /// How often tags have been scanned.
    pub tallies: &'a Tallies,
}

/// A request's facts. Nothing here outlives the request, and no answer to a question is allocated, but the first about a browser that this
/// thread does not remember.
#[derive(Debug)]
pub struct RequestFacts<'a> {
    method: Method,
    query: &'a str,
    fields: &'a Fields<'a>,
    client: IpAddr,
    sources: FactSources<'a>,
    place: OnceCell<(Option<CountryCode>, Option<RegionCode>)>,
    agent: OnceCell<Agent>,
    crawler: OnceCell<Option<Arc<str>>>,
}

impl<'a> RequestFacts<'a> {
    /// Of a request that came with these fields from this client.
    pub fn new(
        request: &Request<'a>,
        fields: &'a Fields<'a>,
        client: IpAddr,
        sources: FactSources<'a>,
    ) -> Self {
        Self {
            method: request.method,
            query: request.query,
            fields,
            client,
            sources,
            place: OnceCell::new(),
            agent: OnceCell::new(),
            crawler: OnceCell::new(),
        }
    }

    /// Whether the place was asked for, and so looked up.
    pub fn looked_up(&self) -> bool {
        self.place.get().is_some()
    }

    /// Where the request comes from.
    pub fn client(&self) -> IpAddr {
        self.client
    }

    /// The operator whose crawlers have this address; empty for none.
    pub fn bot_network(&self) -> &str {
        let find = || self.sources.crawlers.operator(self.client);
        self.crawler
            .get_or_init(find)
            .as_deref()
            .unwrap_or_default()
    }

    fn place(&self) -> &(Option<CountryCode>, Option<RegionCode>) {
        self.place.get_or_init(|| {
            let places = self.sources.places.peek();
            let place = places.lookup(self.client);
            (place.country, place.region)
        })
    }

    fn agent(&self) -> &Agent {
        self.agent.get_or_init(|| {
            let [brands, mobile, platform] = self.fields.hints;
            let said = Said {
                user_agent: self.fields.user_agent,
                brands,
                mobile,
                platform,
            };
            let sources = &self.sources;
            sources.known_agents.judge(said, || sources.agents.get())
        })
    }
}

impl Facts for RequestFacts<'_> {
    fn query(&self) -> &str {
        self.query
    }

    fn country(&self) -> Option<&str> {
        self.place().0.as_ref().map(CountryCode::as_str)
    }

    fn region(&self) -> Option<&str> {
        self.place().1.as_ref().map(RegionCode::as_str)
    }

    fn device(&self) -> Option<Device> {
        self.agent().device
    }

    fn os(&self) -> Option<Os> {
        self.agent().os
    }

    fn browser(&self) -> Option<Browser> {
        self.agent().browser
    }

    /// Who says nothing of itself may be anything, unless its network is a crawler's.
    fn bot(&self) -> Option<bool> {
        if !self.bot_network().is_empty() {
            return Some(true);
        }
        let is_silent = self.fields.user_agent.is_empty();
        (!is_silent).then(|| self.agent().bot)
    }

    fn languages(&self) -> impl Iterator<Item = &[u8]> {
        self.fields.accept_languages()
    }

    fn address(&self) -> Option<IpAddr> {
        Some(self.client)
    }

    fn user_agent(&self) -> &[u8] {
        self.fields.user_agent
    }

    /// People's GET requests are counted; who says nothing of itself may be one.
    fn scan_number(&self, tag: &TagView<'_>) -> Option<u64> {
        let counted = self.method == Method::Get
            && purpose(&self.fields.purpose) == Purpose::Navigation
            && self.bot() != Some(true);
        self.sources.tallies.number(tag, counted)
    }
}
