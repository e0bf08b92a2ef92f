//! Who comes from a crawler's network is a bot, whatever it calls itself, for rules and in what is recorded.

use std::sync::Arc;

use facts::CrawlerNetworks;
use tags::{Change, Rule, Rules, Tag, Targets, When};

use crate::fixture::{Edge, HOST, destination, table, tag};

fn for_bots() -> Change {
    let rule = Rule {
        name: "bots".to_owned(),
        when: When {
            bot: Some(true),
            ..When::default()
        },
        to: Targets::One(destination("https://example.com/bots")),
    };
    Change::Tag(Tag {
        rules: Rules::new(vec![rule]).unwrap(),
        ..tag(HOST, "ruled")
    })
}

#[test]
fn an_address_of_a_crawler_s_makes_a_bot_of_any_user_agent_and_of_none() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("searchbot.json");
    std::fs::write(&file, r#"{"prefixes": [{"ipv4Prefix": "127.0.0.0/24"}]}"#).unwrap();
    let networks = Arc::new(CrawlerNetworks::default());
    let table = table();
    table.apply(for_bots());
    let edge = Edge::with(table, |options| options.crawlers = Arc::clone(&networks));
    let person = "User-Agent: Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1\r\n";
    let leads_to = |said: &str| {
        let request = format!("GET /ruled HTTP/1.1\r\nHost: {HOST}\r\n{said}\r\n");
        edge.get(&request).field("location").unwrap().to_owned()
    };
    for said in [person, ""] {
        assert_ne!(leads_to(said), "https://example.com/bots");
    }
    networks.follow(networks.prepare(&[file]).unwrap());
    for said in [person, ""] {
        assert_eq!(leads_to(said), "https://example.com/bots");
    }
    let recorded = edge.scans.all();
    let by: Vec<&str> = recorded
        .iter()
        .map(|scan| scan.bot_network.as_str())
        .collect();
    assert_eq!(by, ["", "", "searchbot", "searchbot"]);
}
