//! What real User-Agents are classed as, and that hostile ones do no harm.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::sync::LazyLock;

use facts::{Agent, AgentCache, Agents, Browser, Device, Os, Said};
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

const IPHONE: &[u8] = b"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1";
const WINDOWS: &[u8] = b"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36";
const ANDROID: &[u8] = b"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Mobile Safari/537.36";
const TELEVISION: &[u8] = b"Mozilla/5.0 (SMART-TV; LINUX; Tizen 8.0) AppleWebKit/537.36 (KHTML, like Gecko) 120.0.6099.5/8.0 TV Safari/537.36";

/// Device, system and browser in one word each; `-` for unknown.
fn brief(user_agent: &[u8], [brands, mobile, platform]: [&str; 3]) -> String {
    let said = Said {
        user_agent,
        brands: brands.as_bytes(),
        mobile: mobile.as_bytes(),
        platform: platform.as_bytes(),
    };
    let agent = AGENTS.judge(said);
    let words = [
        agent.device.map(Device::as_str),
        agent.os.map(Os::as_str),
        agent.browser.map(Browser::as_str),
    ];
    words.map(|word| word.unwrap_or("-")).join(" ")
}

#[test]
fn client_hints_come_before_the_user_agent_and_what_they_leave_out_is_its() {
    let chrome = r#""Not)A;Brand";v="8", "Chromium";v="138", "Google Chrome";v="138""#;
    let edge = r#""Chromium";v="138", "Microsoft Edge";v="138", "Not.A/Brand";v="24""#;
    for (user_agent, hints, expected) in [
        (IPHONE, ["", "", ""], "mobile ios safari"),
        (b"", ["", "", ""], "- - -"),
        (b"  ", ["", "", ""], "- - -"),
        // All of them, and with nothing else.
        (b"", [chrome, "?1", r#""Android""#], "mobile android chrome"),
        (
            IPHONE,
            [chrome, "?1", r#""Android""#],
            "mobile android chrome",
        ),
        (
            IPHONE,
            [chrome, "?0", r#""Windows""#],
            "desktop windows chrome",
        ),
        (WINDOWS, [edge, "?0", r#""macOS""#], "desktop macos edge"),
        (
            WINDOWS,
            [edge, "?0", r#""Chrome OS""#],
            "desktop chromeos edge",
        ),
        (WINDOWS, [edge, "?0", r#""Linux""#], "desktop linux edge"),
        // A device that is no phone and runs a phone's system is a tablet, whatever page it asks for.
        (
            WINDOWS,
            [chrome, "?0", r#""Android""#],
            "tablet android chrome",
        ),
        (
            ANDROID,
            [chrome, "?0", r#""Android""#],
            "tablet android chrome",
        ),
        (TELEVISION, [chrome, "?0", r#""Tizen""#], "tv other chrome"),
        // One alone.
        (WINDOWS, ["", "?1", ""], "mobile windows chrome"),
        (ANDROID, ["", "?0", ""], "other android chrome"),
        (WINDOWS, ["", "", r#""macOS""#], "desktop macos chrome"),
        (WINDOWS, [edge, "", ""], "desktop windows edge"),
        // Brands.
        (
            b"",
            [r#""Chromium";v="138", "Not?A_Brand";v="24""#, "", ""],
            "- - chrome",
        ),
        (
            b"",
            [
                r#""Chromium";v="138", "Brave";v="138", "Not?A_Brand";v="24""#,
                "",
                "",
            ],
            "- - other",
        ),
        (
            b"",
            [r#""Samsung Internet";v="28.0", "Chromium";v="130""#, "", ""],
            "- - samsung",
        ),
        (
            b"",
            [r#""Opera";v="120", "Chromium";v="135""#, "", ""],
            "- - opera",
        ),
        (
            b"",
            [r#""Android WebView";v="138", "Chromium";v="138""#, "", ""],
            "- - in_app",
        ),
        (b"", [r#""Somebody's";v="1""#, "", ""], "- - other"),
        // What is not recognised is other, what is not known nothing, what is malformed as if it were not there.
        (WINDOWS, ["", "", r#""Plan 9""#], "desktop other chrome"),
        (WINDOWS, ["", "", r#""Unknown""#], "desktop windows chrome"),
        (WINDOWS, ["", "", r#""""#], "desktop windows chrome"),
        (WINDOWS, ["", "", "Android"], "desktop windows chrome"),
        (WINDOWS, ["", "1", ""], "desktop windows chrome"),
        (WINDOWS, ["", "true", ""], "desktop windows chrome"),
        (
            IPHONE,
            [r#""Google Chrome"#, "?", "\""],
            "mobile ios safari",
        ),
        (IPHONE, ["()", "", ""], "mobile ios safari"),
    ] {
        assert_eq!(
            brief(user_agent, hints),
            expected,
            "{hints:?} and {}",
            String::from_utf8_lossy(user_agent)
        );
    }
}

#[test]
fn a_thread_remembers_what_it_was_told_and_forgets_rather_than_grow() {
    let cache = AgentCache::new();
    fn said(user_agent: &[u8]) -> Said<'_> {
        Said {
            user_agent,
            ..Said::default()
        }
    }
    let asked = std::cell::Cell::new(0);
    let judge = |said: Said<'_>| -> Agent {
        cache.judge(said, || {
            asked.set(asked.get() + 1);
            Some(&AGENTS)
        })
    };
    for _ in 0..3 {
        assert_eq!(judge(said(IPHONE)).os, Some(Os::Ios));
    }
    assert_eq!(asked.get(), 1);
    // The same User-Agent with a hint is another thing to be told.
    let hinted = Said {
        mobile: b"?1",
        ..said(WINDOWS)
    };
    assert_eq!(judge(hinted).device, Some(Device::Mobile));
    assert_eq!(judge(said(WINDOWS)).device, Some(Device::Desktop));
    assert_eq!(asked.get(), 3);
    let nothing = AgentCache::new().judge(said(IPHONE), || None);
    assert_eq!(nothing, Agent::default());
    // Far more than there is room for.
    for number in 0..20_000 {
        let user_agent = format!("phone {number} {}", "x".repeat(900));
        judge(said(user_agent.as_bytes()));
    }
    let kept = format!("{cache:?}");
    let kept: usize = kept
        .trim_matches(|c: char| !c.is_ascii_digit())
        .parse()
        .unwrap();
    assert!(kept < 5_000, "{kept}");
    // What is not judged is not kept by: whatever else is said, it is the same answer.
    let before = asked.get();
    for padding in 0..50 {
        let long = format!(" {}{padding}", "é".repeat(3_000));
        let hint = format!("\"{}{padding}\"", "x".repeat(1_100));
        judge(Said {
            brands: hint.as_bytes(),
            mobile: hint.as_bytes(),
            platform: hint.as_bytes(),
            ..said(long.as_bytes())
        });
    }
    assert_eq!(asked.get(), before + 1);
}

#[test]
fn a_hint_without_a_name_or_longer_than_any_browsers_says_nothing() {
    let said = |brands: &str, platform: &str| {
        AGENTS.judge(Said {
            user_agent: IPHONE,
            brands: brands.as_bytes(),
            platform: platform.as_bytes(),
            ..Said::default()
        })
    };
    let by_user_agent = said("", "");
    assert_eq!(by_user_agent.browser, Some(Browser::Safari));
    assert_eq!(said(r#""""#, r#""""#), by_user_agent);
    assert_eq!(said(r#"""; v="1", """#, ""), by_user_agent);
    let brands = |unknown: usize| format!(r#""Google Chrome", "{}""#, "x".repeat(unknown));
    assert_eq!(said(&brands(900), "").browser, Some(Browser::Chrome));
    assert_eq!(said(&brands(1_100), ""), by_user_agent);
    assert_eq!(
        AGENTS
            .judge(Said {
                brands: br#""""#,
                ..Said::default()
            })
            .browser,
        None
    );
}

#[test]
fn a_user_agent_is_cut_between_characters() {
    for before in 1_015..1_030 {
        let text = format!("{}🦀🦀🦀 Googlebot/2.1", "x".repeat(before));
        let said = Said {
            user_agent: text.as_bytes(),
            ..Said::default()
        };
        assert_eq!(AGENTS.judge(said), AGENTS.classify(&text));
    }
}
