//! What real User-Agents are classed as, and that hostile ones do no harm.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::sync::LazyLock;

use facts::{Agent, Agents, Browser, Device, Os};
use proptest::prelude::*;

static AGENTS: LazyLock<Agents> = LazyLock::new(|| Agents::new().unwrap());

/// The table: what is expected, and of which User-Agent.
fn table() -> Vec<(Agent, &'static str)> {
    let lines = include_str!("user_agents.tsv")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .skip(1);
    lines.map(row).collect()
}

fn row(line: &'static str) -> (Agent, &'static str) {
    let [device, os, browser, visitor, user_agent] = line.split('\t').collect::<Vec<_>>()[..]
    else {
        panic!("not five columns: {line}");
    };
    let bot = match visitor {
        "bot" => true,
        "person" => false,
        other => panic!("neither bot nor person: {other}"),
    };
    let agent = Agent {
        device: Some(device.parse().unwrap()),
        os: Some(os.parse().unwrap()),
        browser: Some(browser.parse().unwrap()),
        bot,
    };
    (agent, user_agent)
}

#[test]
fn real_user_agents_are_classed_as_the_table_says() {
    let wrong: Vec<_> = table()
        .into_iter()
        .map(|(expected, user_agent)| (expected, AGENTS.classify(user_agent), user_agent))
        .filter(|(expected, found, _)| expected != found)
        .collect();
    assert!(wrong.is_empty(), "expected, found, User-Agent: {wrong:#?}");
}

#[test]
fn the_table_has_every_value_of_every_fact() {
    let agents: Vec<Agent> = table().into_iter().map(|(agent, _)| agent).collect();
    let devices: BTreeSet<Device> = agents.iter().filter_map(|agent| agent.device).collect();
    let systems: BTreeSet<Os> = agents.iter().filter_map(|agent| agent.os).collect();
    let browsers: BTreeSet<Browser> = agents.iter().filter_map(|agent| agent.browser).collect();
    assert!(devices.iter().eq(Device::ALL));
    assert!(systems.iter().eq(Os::ALL));
    assert!(browsers.iter().eq(Browser::ALL));
}

#[test]
fn an_absent_user_agent_tells_nothing_and_a_strange_one_is_other() {
    for nothing in ["", " ", "\t  "] {
        assert_eq!(AGENTS.classify(nothing), Agent::default());
    }
    let strange = AGENTS.classify("näive 客户端 🦀");
    assert_eq!(
        (strange.device, strange.os),
        (Some(Device::Other), Some(Os::Other))
    );
    assert_eq!(
        (strange.browser, strange.bot),
        (Some(Browser::Other), false)
    );
}

#[test]
fn an_ipad_that_asks_for_desktop_pages_is_a_mac() {
    let ipad = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_6) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/14.0 \
                Safari/605.1.15";
    let agent = AGENTS.classify(ipad);
    assert_eq!(
        (agent.device, agent.os),
        (Some(Device::Desktop), Some(Os::Macos))
    );
}

#[test]
fn a_kept_answer_is_the_answer() {
    for (_, user_agent) in table() {
        assert_eq!(AGENTS.classify(user_agent), AGENTS.classify(user_agent));
    }
}

#[test]
fn a_very_long_user_agent_is_judged_by_its_beginning() {
    let (expected, user_agent) = table()[0];
    let long = format!("{user_agent} {}", "Googlebot/2.1 (+http://".repeat(5_000));
    assert!(long.len() > 100_000);
    // The text begins as an iPhone's does, and within what is judged it says that it is a bot.
    assert_eq!(AGENTS.classify(&long).os, expected.os);
    let far = format!("{user_agent}{}Googlebot/2.1", " ".repeat(100_000));
    assert_eq!(AGENTS.classify(&far), expected);
}

#[test]
fn shapes_that_make_patterns_slow_are_answered() {
    let shapes = [
        "a",
        "(",
        "; ",
        "Android ",
        "Mozilla/5.0 (Linux; Android 10; ",
        "\u{0}",
        "é",
        "🦀",
        "Build/",
        "1.",
    ];
    for shape in shapes {
        let text = shape.repeat(100_000 / shape.len());
        assert!(AGENTS.classify(&text).device.is_some());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..5_000)) {
        let text = String::from_utf8_lossy(&bytes);
        let agent = AGENTS.classify(&text);
        prop_assert_eq!(agent.device.is_none(), text.trim_ascii().is_empty());
    }

    #[test]
    fn a_user_agent_with_a_damaged_end_is_answered(at in 0usize..400, tail in "\\PC{0,40}") {
        for (_, user_agent) in table().into_iter().step_by(9) {
            let kept = &user_agent[..user_agent.floor_char_boundary(at)];
            AGENTS.classify(&format!("{kept}{tail}"));
        }
    }
}
