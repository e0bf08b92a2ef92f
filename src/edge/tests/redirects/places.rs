//! Where a client is: known to a decision that asks, and looked up for no other.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use edge::{FactSources, Head, Limits, Reading, RequestFacts, Site, answer};
use facts::{PlacesFile, Reload};
use jiff::Timestamp;
use tags::Facts;

use crate::fixture::{BRAND, CASELESS, Edge, HOST, Sources, shown, table};
use crate::mmdb::Value::{self, List, Map, Text};
use crate::mmdb::database;

/// In the lower half of all addresses.
const LOW: &str = "1.2.3.4";

fn place(country: &'static str, region: &'static str) -> Value {
    Map(vec![
        ("country", Map(vec![("iso_code", Text(country))])),
        (
            "subdivisions",
            List(vec![Map(vec![("iso_code", Text(region))])]),
        ),
    ])
}

/// A file that places the lower half of all addresses.
pub fn cities(folder: &tempfile::TempDir, country: &'static str, region: &'static str) -> PathBuf {
    let (new, path) = (folder.path().join("new"), folder.path().join("places.mmdb"));
    let bytes = database("Cities", place(country, region), place("AU", "WA"));
    std::fs::write(&new, bytes).unwrap();
    std::fs::rename(&new, &path).unwrap();
    path
}

fn with_facts<R>(
    places: &PlacesFile,
    client: &str,
    code: &str,
    look: impl FnOnce(u16, &RequestFacts<'_>) -> R,
) -> R {
    let bytes = format!("GET /{code}?ref=tv HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    let Reading::Complete(head) = Head::read(bytes.as_bytes(), &Limits::default()) else {
        panic!("the head is complete");
    };
    let (table, site, now) = (table(), Site::default(), Timestamp::UNIX_EPOCH);
    let (client, state) = (client.parse::<IpAddr>().unwrap(), table.load());
    let sources = Sources::default();
    let sources = FactSources {
        places,
        ..sources.all()
    };
    let facts = RequestFacts::new(&head.request, &head.fields, client, sources);
    let view = state.pin();
    let status = answer(&head.request, &facts, &view, now, &site, false, |_| None).status;
    look(status, &facts)
}

#[test]
fn a_redirect_looks_no_place_up_and_whoever_asks_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let places = PlacesFile::open(cities(&folder, "DE", "BY")).unwrap();
    with_facts(&places, LOW, "abc", |status, facts| {
        assert_eq!((status, facts.looked_up()), (302, false));
        assert_eq!(facts.query(), "ref=tv");
        assert_eq!(facts.country(), Some("DE"));
        assert!(facts.looked_up());
        assert_eq!(facts.region(), Some("DE-BY"));
    });
    with_facts(&places, "2001:db8::1", "abc", |_, facts| {
        assert_eq!((facts.country(), facts.region()), (None, None));
    });
    with_facts(&PlacesFile::none(), LOW, "abc", |_, facts| {
        assert_eq!((facts.country(), facts.region()), (None, None));
    });
}

#[test]
fn a_request_has_one_place_although_the_file_is_replaced_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let places = PlacesFile::open(cities(&folder, "DE", "BY")).unwrap();
    with_facts(&places, LOW, "abc", |_, facts| {
        assert_eq!(facts.region(), Some("DE-BY"));
        cities(&folder, "FR", "IDF");
        assert!(matches!(places.reload_if_changed(), Reload::Reloaded));
        assert_eq!(
            (facts.country(), facts.region()),
            (Some("DE"), Some("DE-BY"))
        );
    });
    with_facts(&places, LOW, "abc", |_, facts| {
        assert_eq!(facts.region(), Some("FR-IDF"));
    });
}

#[test]
fn an_edge_whose_tags_depend_on_no_place_looks_none_up() {
    let folder = tempfile::tempdir().unwrap();
    let places = Arc::new(PlacesFile::open(cities(&folder, "DE", "BY")).unwrap());
    let edge = Edge::with(table(), |options| options.places = Arc::clone(&places));
    for (host, path, status) in [
        (HOST, "/abc", 302),
        (HOST, "/moved", 301),
        (HOST, "/paused", 404),
        (HOST, "/revoked", 410),
        (HOST, "/instead", 302),
        (HOST, "/unknown", 404),
        (BRAND, "/", 302),
        (BRAND, "/paused", 302),
        (CASELESS, "/ABC-9?x=1", 302),
        (HOST, "/healthz", 200),
    ] {
        let response = edge.get(&format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(response.status, status, "{host}{path}");
    }
    assert_eq!(edge.scans.all().len(), 8);
    edge.server.shutdown(Duration::from_secs(10)); // with it, the workers' last numbers are there
    assert_eq!(
        shown(&edge.registry, "tagwire_edge_geoip_lookups_total"),
        0.0
    );
}
