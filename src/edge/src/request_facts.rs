//! What is known about a request's visitor beyond its head: found out when a decision asks for it, once, and not otherwise. Which tags
//! depend on what is `tags`' matter.

use std::cell::OnceCell;
use std::net::IpAddr;

use facts::{CountryCode, PlacesFile, RegionCode};
use tags::Facts;

use crate::request::Request;

/// A request's facts. Nothing here outlives the request, and no answer to a question is allocated.
#[derive(Debug)]
pub struct RequestFacts<'a> {
    query: &'a str,
    client: IpAddr,
    places: &'a PlacesFile,
    place: OnceCell<(Option<CountryCode>, Option<RegionCode>)>,
}

impl<'a> RequestFacts<'a> {
    /// Of a request that came from this client.
    pub fn new(request: &Request<'a>, client: IpAddr, places: &'a PlacesFile) -> Self {
        Self {
            query: request.query,
            client,
            places,
            place: OnceCell::new(),
        }
    }

    /// Whether the place was asked for, and so looked up.
    pub fn looked_up(&self) -> bool {
        self.place.get().is_some()
    }

    fn place(&self) -> &(Option<CountryCode>, Option<RegionCode>) {
        self.place.get_or_init(|| {
            let places = self.places.peek();
            let place = places.lookup(self.client);
            (place.country, place.region)
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
}
