//! The networks of crawlers, as operators publish them.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use facts::{CrawlerNetworks, CrawlersError};
use ipnet::IpNet;
use proptest::prelude::*;
use stamp::Reload;

/// As https://developers.google.com/static/search/apis/ipranges/googlebot.json is written.
const GOOGLEBOT: &str = r#"{
  "creationTime": "2026-11-20T15:46:12.000000",
  "prefixes": [{"ipv6Prefix": "2001:4860:4801:10::/64"}, {"ipv4Prefix": "66.249.64.0/27"}, {"ipv4Prefix": "66.249.64.224/27"}]
}"#;

fn written(folder: &Path, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let (file, new) = (folder.join(name), folder.join("new"));
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, &file).unwrap();
    file
}

fn operator(networks: &CrawlerNetworks, address: &str) -> Option<String> {
    let found = networks.operator(address.parse().unwrap());
    found.map(|operator| operator.to_string())
}

#[test]
fn an_address_is_of_the_operator_whose_file_has_its_network() {
    let folder = tempfile::tempdir().unwrap();
    let google = written(folder.path(), "GoogleBot.json", GOOGLEBOT);
    let plain = "# ours\r\n\r\n157.55.39.1/24 # the bits behind the mask say nothing\n203.0.113.9\n  2001:db8::/32";
    let plain = written(folder.path(), "monitor.txt", plain);
    let networks = CrawlerNetworks::default();
    assert_eq!(operator(&networks, "66.249.64.1"), None);
    networks.follow(networks.prepare(&[google, plain]).unwrap());
    let sizes = [("GoogleBot.json", 3), ("monitor.txt", 3)];
    assert_eq!(
        networks.sizes(),
        sizes.map(|(name, size)| (name.to_owned(), size))
    );
    for (address, expected) in [
        ("66.249.63.255", None),
        ("66.249.64.0", Some("googlebot")),
        ("66.249.64.31", Some("googlebot")),
        ("66.249.64.32", None),
        ("66.249.64.255", Some("googlebot")),
        ("66.249.65.0", None),
        ("::ffff:66.249.64.1", Some("googlebot")),
        ("2001:4860:4801:10::1", Some("googlebot")),
        ("2001:4860:4801:11::1", None),
        ("157.55.39.7", Some("monitor")),
        ("203.0.113.9", Some("monitor")),
        ("203.0.113.10", None),
        ("2001:db8:ffff::1", Some("monitor")),
        ("127.0.0.1", None),
        ("::1", None),
    ] {
        assert_eq!(
            operator(&networks, address).as_deref(),
            expected,
            "{address}"
        );
    }
}

#[test]
fn a_file_that_cannot_be_used_is_refused_and_the_last_good_one_counts() {
    let folder = tempfile::tempdir().unwrap();
    let file = written(folder.path(), "googlebot.json", GOOGLEBOT);
    let networks = CrawlerNetworks::default();
    let all = std::slice::from_ref(&file);
    networks.follow(networks.prepare(all).unwrap());
    let parts = (0..=255).map(|first| format!("{first}.0.0.0/8\n"));
    let everyone: String = parts.collect();
    let cut_off = &GOOGLEBOT[..GOOGLEBOT.len() - 9];
    for (text, reason) in [
        ("<html>Moved</html>", "not_a_network"),
        ("192.0.2.0/24\n192.0.2.0/33\n", "not_a_network"),
        (r#"{"prefixes": 1}"#, "malformed"),
        (cut_off, "malformed"),
        (
            r#"{"prefixes": [{"ipv4Prefix": "1.2.3.0/33"}]}"#,
            "malformed",
        ),
        (
            r#"{"prefixes": [{"ipv4Prefix": "2001::/32"}]}"#,
            "malformed",
        ),
        (
            r#"{"prefixes": [{"ipv4Prefix": "0.0.0.0/0"}]}"#,
            "too_large",
        ),
        (r#"{"prefixes": [{"ipv6Prefix": "::/0"}]}"#, "too_large"),
        ("10.0.0.0/7", "too_large"),
        (&everyone, "too_large"),
        ("2000::/15", "too_large"),
        (r#"{"prefixes": []}"#, "empty"),
        (r#"{"prefixes": [{"service": "of another form"}]}"#, "empty"),
        ("", "empty"),
        (&"# a comment\n".repeat(400_000), "too_long"),
    ] {
        written(folder.path(), "googlebot.json", text);
        let reloads = networks.reload_if_changed();
        let begin = &text[..text.len().min(50)];
        let [Reload::Refused(error)] = &reloads[..] else {
            panic!("{begin}: {reloads:?}");
        };
        assert_eq!(error.reason(), reason, "{begin}: {error}");
        assert!(CrawlersError::REASONS.contains(&reason));
        let message = error.to_string();
        assert!(message.contains(file.to_str().unwrap()), "{message}");
        assert_eq!(
            operator(&networks, "66.249.64.1").as_deref(),
            Some("googlebot")
        );
        assert!(CrawlerNetworks::default().prepare(all).is_err());
    }
    written(folder.path(), "googlebot.json", "10.0.0.0/8\n2000::/16\n");
    assert!(
        matches!(&networks.reload_if_changed()[..], [Reload::Taken { list }] if list == "googlebot.json")
    );
    assert_eq!(operator(&networks, "66.249.64.1"), None);
    assert_eq!(
        operator(&networks, "10.9.9.9").as_deref(),
        Some("googlebot")
    );
}

#[test]
fn what_is_refused_says_where_and_what_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    for (text, said) in [
        ("192.0.2.0/24\n\nnone\n", "line 3"),
        ("{\"prefixes\": [\n{\"ipv4Prefix\": \"none\"}]}", "line 2"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("0.0.0.0/0", "/8 is the most in IPv4, and /16 in IPv6"),
        ("none", "192.0.2.0/24"),
        ("{}", "{\"prefixes\": [{\"ipv4Prefix\": \"192.0.2.0/24\"}"),
    ] {
        let file = written(folder.path(), "list", text);
        let error = CrawlerNetworks::default().prepare(&[file]).unwrap_err();
        assert!(error.to_string().contains(said), "{text}: {error}");
    }
}

proptest! {
    /// Few bits are drawn, so that networks lie within each other, side by side and apart.
    #[test]
    fn an_address_is_found_where_any_network_has_it(
        listed in prop::collection::vec((any::<bool>(), 0_u8..16, 24_u8..33), 1..12),
        address in (any::<bool>(), 0_u8..16),
    ) {
        let of = |(is_v4, last): (bool, u8)| -> IpAddr {
            let last = last << 2;
            let text = if is_v4 { format!("10.0.0.{last}") } else { format!("2001:db8::{last:x}") };
            text.parse().unwrap()
        };
        let listed: Vec<IpNet> = listed
            .into_iter()
            .map(|(is_v4, last, length)| {
                let length = if is_v4 { length } else { length + 96 };
                IpNet::new(of((is_v4, last)), length).unwrap()
            })
            .collect();
        let folder = tempfile::tempdir().unwrap();
        let text: String = listed.iter().map(|network| format!("{network}\n")).collect();
        let file = written(folder.path(), "list", text);
        let networks = CrawlerNetworks::default();
        networks.follow(networks.prepare(&[file]).unwrap());
        let address = of(address);
        let expected = listed.iter().any(|network| network.contains(&address));
        prop_assert_eq!(networks.operator(address).is_some(), expected, "{}", address);
    }
}
