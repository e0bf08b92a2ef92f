//! A request's facts, told by a test.

use std::net::IpAddr;

use tags::{Browser, Device, Facts, Os, TagView};

#[derive(Clone, Debug, Default)]
pub struct Told {
    pub query: String,
    pub country: Option<String>,
    pub region: Option<String>,
    pub device: Option<Device>,
    pub os: Option<Os>,
    pub browser: Option<Browser>,
    pub bot: Option<bool>,
    pub languages: Vec<String>,
    pub address: Option<IpAddr>,
    pub user_agent: String,
    pub scan_number: Option<u64>,
}

impl Facts for Told {
    fn query(&self) -> &str {
        &self.query
    }

    fn country(&self) -> Option<&str> {
        self.country.as_deref()
    }

    fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    fn device(&self) -> Option<Device> {
        self.device
    }

    fn os(&self) -> Option<Os> {
        self.os
    }

    fn browser(&self) -> Option<Browser> {
        self.browser
    }

    fn bot(&self) -> Option<bool> {
        self.bot
    }

    fn languages(&self) -> impl Iterator<Item = &[u8]> {
        self.languages.iter().map(String::as_bytes)
    }

    fn address(&self) -> Option<IpAddr> {
        self.address
    }

    fn user_agent(&self) -> &[u8] {
        self.user_agent.as_bytes()
    }

    fn scan_number(&self, _: &TagView<'_>) -> Option<u64> {
        self.scan_number
    }
}
