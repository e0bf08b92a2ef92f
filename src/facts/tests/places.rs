//! What GeoIP files of each layout tell, and that bad ones are refused and never take the place of a good one.

#![allow(clippy::unwrap_used)]

mod mmdb;

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use facts::{Place, Places, PlacesError, PlacesFile, Reload};
use mmdb::Value::{self, List, Map, Text};

/// A real GeoIP file, which `tests/run` fetches.
fn real(variable: &str) -> PathBuf {
    std::env::var_os(variable)
        .unwrap_or_else(|| panic!("{variable} is not set: run tests/run"))
        .into()
}

fn at<'a>(places: &'a Places, address: &str) -> Place<'a> {
    places.lookup(address.parse::<IpAddr>().unwrap())
}

fn country(places: &Places, address: &str) -> String {
    at(places, address)
        .country
        .map_or("unknown".to_owned(), |country| country.to_string())
}

/// MaxMind's layout of a city record.
fn maxmind_city() -> Value {
    let names = |name| {
        Map(vec![(
            "names",
            Map(vec![("de", Text("auf Deutsch")), ("en", Text(name))]),
        )])
    };
    Map(vec![
        ("city", names("Munich")),
        ("country", Map(vec![("iso_code", Text("DE"))])),
        (
            "subdivisions",
            List(vec![
                Map(vec![("iso_code", Text("BY"))]),
                Map(vec![("iso_code", Text("091"))]),
            ]),
        ),
    ])
}

/// ip-location-db's layout of a city record.
fn flat_city() -> Value {
    Map(vec![
        ("city", Text("Perth")),
        ("country_code", Text("AU")),
        ("state1", Text("Western Australia")),
    ])
}

fn cities() -> Vec<u8> {
    mmdb::database("Cities", maxmind_city(), flat_city())
}

fn written(folder: &tempfile::TempDir, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join("geoip.mmdb");
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn without_a_file_no_place_is_known() {
    assert_eq!(at(&Places::none(), "8.8.8.8"), Place::default());
}

#[test]
fn a_real_country_file_tells_the_countries_of_networks() {
    let places = Places::open(real("TAGWIRE_TEST_GEOIP_COUNTRY")).unwrap();
    assert_eq!(country(&places, "8.8.8.0"), "US");
    assert_eq!(country(&places, "193.99.144.0"), "DE");
    assert_eq!(country(&places, "::ffff:193.99.144.0"), "DE");
    assert_eq!(country(&places, "10.0.0.0"), "unknown");
    assert_eq!(at(&places, "193.99.144.0").city, None);
}

#[test]
fn a_real_city_file_tells_countries_and_cities() {
    let places = Places::open(real("TAGWIRE_TEST_GEOIP_CITY")).unwrap();
    let place = at(&places, "8.8.8.0");
    assert_eq!(country(&places, "8.8.8.0"), "US");
    assert_eq!(country(&places, "91.0.0.0"), "DE");
    assert!(place.city.is_some_and(|city| !city.is_empty()));
    assert_eq!(
        place.region, None,
        "this file names regions, but has no codes for them"
    );
    assert_eq!(at(&places, "127.0.0.1"), Place::default());
}

#[test]
fn both_layouts_are_read_by_what_the_record_has() {
    let folder = tempfile::tempdir().unwrap();
    let places = Places::open(written(&folder, &cities())).unwrap();
    let munich = at(&places, "1.2.3.0");
    assert_eq!(country(&places, "1.2.3.0"), "DE");
    assert_eq!(
        munich.region.map(|region| region.to_string()),
        Some("DE-BY".to_owned())
    );
    assert_eq!(munich.city, Some("Munich"));
    let perth = at(&places, "200.2.3.0");
    assert_eq!(country(&places, "200.2.3.0"), "AU");
    assert_eq!(perth.region, None);
    assert_eq!(perth.city, Some("Perth"));
    assert_eq!(
        at(&places, "2a02:8100::"),
        Place::default(),
        "the file has no IPv6"
    );
}

#[test]
fn what_a_record_lacks_or_spells_wrongly_is_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let low = Map(vec![("country_code", Text("AU")), ("city", Text(""))]);
    let high = Map(vec![
        ("country_code", Text("aus")),
        ("subdivisions", List(vec![])),
    ]);
    let places = Places::open(written(&folder, &mmdb::database("Odd", low, high))).unwrap();
    assert_eq!(at(&places, "1.2.3.0").city, None);
    assert_eq!(at(&places, "200.2.3.0"), Place::default());
}

#[test]
fn a_file_about_something_else_is_refused_by_its_type() {
    let folder = tempfile::tempdir().unwrap();
    let network = || Map(vec![("autonomous_system_organization", Text("Example"))]);
    let path = written(
        &folder,
        &mmdb::database("GeoLite2-ASN", network(), network()),
    );
    let error = Places::open(&path).unwrap_err();
    assert!(matches!(error, PlacesError::NoCountries { .. }));
    assert!(error.to_string().contains("GeoLite2-ASN"), "{error}");
}

#[test]
fn a_missing_file_and_a_folder_are_refused_with_their_names() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().join("absent.mmdb"), folder.path().to_owned()] {
        let error = Places::open(&path).unwrap_err();
        assert!(matches!(error, PlacesError::Read { .. }));
        assert!(
            error.to_string().contains(path.to_str().unwrap()),
            "{error}"
        );
    }
}

#[test]
fn a_real_file_that_was_cut_off_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let whole = std::fs::read(real("TAGWIRE_TEST_GEOIP_COUNTRY")).unwrap();
    for length in [0, 1, 1000, whole.len() / 2, whole.len() - 1] {
        let path = written(&folder, &whole[..length]);
        let error = Places::open(&path).unwrap_err();
        assert!(
            matches!(error, PlacesError::Damaged { .. }),
            "{length}: {error}"
        );
        assert!(error.to_string().contains("download it again"), "{error}");
    }
    // Its first half is missing: the end is sound, but the tree is not where it should be.
    assert!(Places::open(written(&folder, &whole[whole.len() / 2..])).is_err());
}

#[test]
fn a_file_with_any_byte_changed_or_cut_anywhere_never_panics() {
    let folder = tempfile::tempdir().unwrap();
    let whole = cities();
    for position in 0..whole.len() {
        assert!(
            Places::open(written(&folder, &whole[..position])).is_err(),
            "cut at {position}"
        );
        for change in [0x01, 0x20, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[position] ^= change;
            if let Ok(places) = Places::open(written(&folder, &bytes)) {
                for address in [
                    "0.0.0.0",
                    "128.0.0.0",
                    "255.255.255.255",
                    "::",
                    "2001:db8::",
                ] {
                    at(&places, address);
                }
            }
        }
    }
}

#[test]
fn a_forged_tree_with_more_networks_than_nodes_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let error = Places::open(written(&folder, &mmdb::endless(flat_city()))).unwrap_err();
    assert!(
        error.to_string().contains("more networks than its nodes"),
        "{error}"
    );
}

/// Puts a new file in the place of the old one, as careful updaters do.
fn replace(path: &Path, bytes: &[u8]) {
    let new = path.with_extension("new");
    std::fs::write(&new, bytes).unwrap();
    std::fs::rename(&new, path).unwrap();
}

#[test]
fn a_replaced_file_answers_and_a_bad_one_leaves_the_last_good_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(&folder, &cities());
    let file = PlacesFile::open(&path).unwrap();
    assert!(matches!(file.reload_if_changed(), Reload::Unchanged));
    let held = file.places();

    replace(
        &path,
        &mmdb::database("Swapped", flat_city(), maxmind_city()),
    );
    assert!(matches!(file.reload_if_changed(), Reload::Reloaded));
    assert_eq!(country(&file.places(), "1.2.3.0"), "AU");
    assert_eq!(
        country(&held, "1.2.3.0"),
        "DE",
        "who holds the old one keeps it"
    );

    replace(&path, b"<html>Too many downloads</html>");
    assert!(matches!(
        file.reload_if_changed(),
        Reload::Refused(PlacesError::Damaged { .. })
    ));
    assert!(
        matches!(file.reload_if_changed(), Reload::Unchanged),
        "one bad file is reported once"
    );
    assert_eq!(country(&file.places(), "1.2.3.0"), "AU");

    std::fs::remove_file(&path).unwrap();
    assert!(matches!(
        file.reload_if_changed(),
        Reload::Refused(PlacesError::Read { .. })
    ));
    assert!(matches!(file.reload_if_changed(), Reload::Unchanged));
    assert_eq!(country(&file.places(), "1.2.3.0"), "AU");

    replace(&path, &cities());
    assert!(matches!(file.reload_if_changed(), Reload::Reloaded));
    assert_eq!(country(&file.places(), "1.2.3.0"), "DE");
}

#[test]
fn another_file_is_followed_when_it_is_named_unless_it_is_bad() {
    let folder = tempfile::tempdir().unwrap();
    let first = written(&folder, &cities());
    let [second, broken] = ["second.mmdb", "broken.mmdb"].map(|name| folder.path().join(name));
    std::fs::write(
        &second,
        mmdb::database("Second", flat_city(), maxmind_city()),
    )
    .unwrap();
    std::fs::write(&broken, b"nothing").unwrap();

    let file = PlacesFile::none();
    assert_eq!(country(&file.places(), "1.2.3.0"), "unknown");
    assert_eq!(file.places().built_at(), None);
    assert!(matches!(file.reload_if_changed(), Reload::Unchanged));
    file.follow(Some(&first)).unwrap();
    assert_eq!(country(&file.places(), "1.2.3.0"), "DE");
    assert_eq!(file.places().built_at(), Some(1));

    let error = file.follow(Some(&broken)).unwrap_err();
    assert_eq!(error.reason(), "damaged");
    replace(&broken, &cities());
    assert!(
        matches!(file.reload_if_changed(), Reload::Unchanged),
        "the refused one is not followed"
    );
    assert_eq!(country(&file.places(), "1.2.3.0"), "DE");

    file.follow(Some(&second)).unwrap();
    assert_eq!(country(&file.peek(), "1.2.3.0"), "AU");
    replace(&second, &cities());
    assert!(matches!(file.reload_if_changed(), Reload::Reloaded));
    assert_eq!(country(&file.peek(), "1.2.3.0"), "DE");

    file.follow(None).unwrap();
    assert_eq!(country(&file.places(), "1.2.3.0"), "unknown");
}

#[test]
fn a_file_that_is_bad_at_the_start_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    assert!(PlacesFile::open(written(&folder, b"")).is_err());
}
