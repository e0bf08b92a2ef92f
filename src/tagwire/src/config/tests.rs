//! How the layers come together, what is refused and in which words, and that `config/*.toml` tell the truth.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use super::{Config, ConfigError, Flag};

fn load(file: &str, environment: &[(&str, &str)], flags: &[Flag]) -> Result<Config, ConfigError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tagwire.toml");
    std::fs::write(&path, file).unwrap();
    let environment = environment
        .iter()
        .map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Config::load(Some(&path), environment, flags.to_vec())
}

fn refusal(file: &str, environment: &[(&str, &str)], flags: &[Flag]) -> String {
    let message = load(file, environment, flags).unwrap_err().to_string();
    assert!(!message.contains('\n'), "not one line: {message}");
    message
}

fn flag(flag: &'static str, key: &'static str, value: &str) -> Flag {
    Flag {
        flag,
        key,
        value: value.to_owned(),
    }
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn the_later_layer_wins_key_by_key() {
    let file = "[admin]\nlisten = '127.0.0.1:1'\n[metrics]\nlisten = '127.0.0.1:1'\n[edge]\nlisten = ['127.0.0.1:1']\nidle_timeout = 1.5";
    let environment = [
        ("TAGWIRE_METRICS__LISTEN", "127.0.0.1:2"),
        ("TAGWIRE_EDGE__LISTEN", "127.0.0.1:2, [::1]:2"),
    ];
    let config = load(
        file,
        &environment,
        &[flag("--listen", "edge.listen", "127.0.0.1:3")],
    )
    .unwrap();
    assert_eq!(config.admin.listen, address("127.0.0.1:1"));
    assert_eq!(config.metrics.listen, address("127.0.0.1:2"));
    assert_eq!(config.edge.listen, [address("127.0.0.1:3")]);
    assert_eq!(config.edge.idle_timeout, Duration::from_millis(1500));
    assert_eq!(config.drain.timeout, Duration::from_secs(10), "the default");
}

#[test]
fn lists_in_the_environment_are_separated_by_commas() {
    let variables = [
        ("TAGWIRE_EDGE__LISTEN", "127.0.0.1:1,[::1]:2"),
        (
            "TAGWIRE_EDGE__TRUSTED_PROXIES",
            " 10.0.0.0/8 , 2001:db8::/32 ",
        ),
    ];
    let config = load("", &variables, &[]).unwrap();
    assert_eq!(
        config.edge.listen,
        [address("127.0.0.1:1"), address("[::1]:2")]
    );
    assert_eq!(config.edge.trusted_proxies.len(), 2);
    let config = load(
        "[edge]\ntrusted_proxies = ['10.0.0.0/8']",
        &[("TAGWIRE_EDGE__TRUSTED_PROXIES", "")],
        &[],
    )
    .unwrap();
    assert!(
        config.edge.trusted_proxies.is_empty(),
        "an empty list is a list"
    );
}

#[test]
fn variables_without_a_double_underscore_are_not_ours() {
    let variables = [
        ("TAGWIRE_SERVICE_HOST", "10.0.0.1"),
        ("TAGWIRE_PORT", "tcp://10.0.0.1:80"),
        ("TAGWIRE_X", "1"),
        ("OTHER__KEY", "1"),
    ];
    load("", &variables, &[]).unwrap();
    let odd = (
        OsString::from_vec(b"TAGWIRE_\xff__X".to_vec()),
        OsString::from("1"),
    );
    Config::load(None, [odd], []).unwrap();
}

#[test]
fn an_empty_section_is_taken_if_there_is_such_a_one_and_else_named_with_those_that_there_are() {
    let empty = "[edge]\n[kafka]\n[kafka.options]\n[clickhouse]";
    let options = [("TAGWIRE_KAFKA__OPTIONS__CLIENT__RACK", "r1")];
    let config = load(empty, &options, &[]).unwrap();
    assert_eq!(config.kafka.options["client.rack"], "r1");
    let message = refusal("[edge]\n[foo]", &[], &[]);
    assert!(
        message.contains(
            "tagwire.toml: unknown section foo; the sections are admin, clickhouse, crawlers, drain, edge, "
        ),
        "{message}"
    );
    let message = refusal("[edge.foo]", &[], &[]);
    assert!(
        message.contains("tagwire.toml: unknown key edge.foo; section edge has "),
        "{message}"
    );
    let message = refusal("[edge.listen]", &[], &[]);
    assert!(
        message.contains("edge.listen is a table; it must be "),
        "{message}"
    );
}

#[test]
fn an_unknown_key_is_named_with_its_place_and_the_known_ones() {
    let message = refusal("[edge]\nlisen = ['127.0.0.1:1']", &[], &[]);
    assert!(
        message.contains("tagwire.toml: unknown key edge.lisen; section edge has "),
        "{message}"
    );
    assert!(message.contains("edge.listen"), "{message}");
    let message = refusal("[edgy]\nlisten = 1", &[], &[]);
    assert!(
        message.contains(
            "unknown key edgy.listen; the sections are admin, clickhouse, crawlers, drain, edge, "
        ),
        "{message}"
    );
    let message = refusal("listen = 1", &[], &[]);
    assert!(
        message.contains("unknown key listen; the sections are "),
        "{message}"
    );
    let message = refusal("", &[("TAGWIRE_EDGE__LISEN", "127.0.0.1:1")], &[]);
    assert!(
        message.starts_with("environment variable TAGWIRE_EDGE__LISEN: unknown key edge.lisen; "),
        "{message}"
    );
    let message = refusal("", &[("TAGWIRE_EDGE__LISTEN__X", "1")], &[]);
    assert!(message.contains("unknown key edge.listen.x"), "{message}");
}

#[test]
fn a_section_within_another_may_be_empty_and_its_keys_are_known() {
    let config = load("[edge.limits]", &[], &[]).unwrap();
    assert_eq!(config.edge.limits, edge::RateLimits::default());
    let variable = ("TAGWIRE_EDGE__LIMITS__REDIRECTS_PER_TAG_PER_SECOND", "7");
    let config = load("[edge.limits]", &[variable], &[]).unwrap();
    assert_eq!(config.edge.limits.redirects_per_tag, 7);
    for (file, key) in [
        ("[edge.limit]", "unknown key edge.limit;"),
        ("[edge.limits.more]", "unknown key edge.limits.more;"),
        (
            "[edge.limits]\nredirects_per_tag = 1",
            "unknown key edge.limits.redirects_per_tag;",
        ),
    ] {
        let message = refusal(file, &[], &[]);
        assert!(message.contains(key), "{message}");
    }
}

#[test]
fn an_invalid_value_is_shown_with_its_place_and_what_is_allowed() {
    let message = refusal("[admin]\nlisten = 'localhost'", &[], &[]);
    assert!(
        message.contains(
            "tagwire.toml: admin.listen is \"localhost\"; it must be an IP address with a port"
        ),
        "{message}"
    );
    let message = refusal("", &[("TAGWIRE_ADMIN__LISTEN", "8081")], &[]);
    assert!(
        message
            .starts_with("environment variable TAGWIRE_ADMIN__LISTEN: admin.listen is \"8081\"; "),
        "{message}"
    );
    let message = refusal(
        "",
        &[],
        &[flag("--admin-listen", "admin.listen", "here\nthere")],
    );
    assert!(
        message.starts_with("--admin-listen: admin.listen is \"here\\nthere\"; it must be "),
        "{message}"
    );
}

#[test]
fn every_kind_of_value_refuses_what_it_does_not_mean() {
    for file in [
        "[node]\nid = ''",
        "[node]\nid = 'a b'",
        "[node]\ndata_dir = ''",
        "[node]\ndata_dir = ['a']",
        "[node]\npublic_url = 'qr.example.com'",
        "[node]\npublic_url = 'https://qr.example.com/path'",
        "[edge]\nlisten = []",
        "[edge]\nlisten = ['127.0.0.1']",
        "[edge]\nlisten = [['127.0.0.1:1']]",
        "[edge]\nlisten = true",
        "[edge]\ntrusted_proxies = ['10.0.0.1/8']",
        "[edge]\ntrusted_proxies = ['10.0.0.1']",
        "[admin]\ntrusted_proxies = ['10.0.0.1']",
        "[edge]\nbacklog = 0",
        "[edge]\ndefer_accept = 1",
        "[edge]\nmax_connections = 0",
        "[edge]\nmax_connections_per_address = -1",
        "[edge]\nproxy_protocol_from = ['10.0.0.1']",
        "[edge]\nthreads = 0",
        "[edge]\nthreads = 1.5",
        "[edge]\nhealth_path = 'healthz'",
        "[edge]\nhealth_path = '/healthz?x'",
        "[edge]\ntls_listen = ['443']",
        "[edge]\ntls_certificates = ''",
        "[edge]\nh2c = 1",
        "[edge]\nhttps_port = 0",
        "[edge]\nhttps_port = 65536",
        "[edge]\nhead_timeout = 0",
        "[edge]\nhead_timeout = -1",
        "[edge]\nhead_timeout = nan",
        "[edge]\nhead_timeout = 1e9",
        "[edge]\nhead_timeout = '10s'",
        "[edge]\nmax_target_bytes = 1",
        "[edge]\nunknown_codes_per_second = -1",
        "[edge.limits]\nredirects_per_address_per_second = -1",
        "[edge.limits]\nredirects_per_tag_per_second = 0.5",
        "[edge.limits]\nunknown_codes_per_address_per_second = 'all'",
        "[admin]\nlisten = ['127.0.0.1:1', '127.0.0.1:2']",
        "[admin]\nrequests_per_second = 0.5",
        "[kafka]\nbrokers = ['kafka']",
        "[kafka]\nbrokers = ['kafka:0']",
        "[kafka]\nbrokers = ['kafka://kafka:9092']",
        "[kafka]\nbrokers = []",
        "[kafka]\nprefix = 'a/b'",
        "[clickhouse]\nurl = '127.0.0.1:8123'",
        "[clickhouse]\nurl = 'http://user:secret@127.0.0.1:8123'",
        "[clickhouse]\ndatabase = '1; DROP'",
        "[log]\nformat = 'xml'",
        "[drain]\ntimeout = 'soon'",
    ] {
        let message = refusal(file, &[], &[]);
        assert!(message.contains("; it must be "), "{file}: {message}");
    }
}

#[test]
fn settings_of_librdkafka_come_from_the_file_and_the_environment_alike() {
    let file = "[kafka.options]\n'security.protocol' = 'SSL'\nsasl.username = 'a'\n'linger.ms' = 5\n'debug' = 'broker,topic'";
    let environment = [
        (
            "TAGWIRE_KAFKA__OPTIONS",
            "sasl.username=b, client.rack = r1",
        ),
        ("TAGWIRE_KAFKA__OPTIONS__SASL__PASSWORD", "p,q=r"),
    ];
    let options = load(file, &environment, &[]).unwrap().kafka.options;
    let options: Vec<(&str, &str)> = options
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(
        options,
        [
            ("client.rack", "r1"),
            ("debug", "broker,topic"),
            ("linger.ms", "5"),
            ("sasl.password", "p,q=r"),
            ("sasl.username", "b"),
            ("security.protocol", "SSL"),
        ]
    );
}

#[test]
fn passwords_among_librdkafkas_settings_are_never_shown() {
    let message = refusal(
        "",
        &[("TAGWIRE_KAFKA__OPTIONS", "sasl.password=hunter,2secret")],
        &[],
    );
    assert!(
        message.contains("kafka.options is without = in entry 2") && !message.contains("secret"),
        "{message}"
    );
    let config = load("[kafka.options]\n'sasl.password' = 'secret'", &[], &[]).unwrap();
    assert!(!format!("{config:?}").contains("secret"));
}

#[test]
fn a_file_that_cannot_be_used_is_named() {
    let nowhere = Config::load(Some("/nowhere/tagwire.toml".as_ref()), [], [])
        .unwrap_err()
        .to_string();
    assert!(
        nowhere.starts_with("reading the config file /nowhere/tagwire.toml: "),
        "{nowhere}"
    );
    let message = refusal("[edge\nlisten = 1", &[], &[]);
    assert!(
        message.contains("tagwire.toml: not valid TOML: TOML parse error at line 1, column "),
        "{message}"
    );
    let message = refusal(
        "[edge]\nlisten = ['127.0.0.1:1']\nlisten = ['127.0.0.1:1']",
        &[],
        &[],
    );
    assert!(message.contains("duplicate key"), "{message}");
}

#[test]
fn what_a_cluster_needs_is_asked_for_by_name() {
    let config = Config::load(None, [], []).unwrap();
    let message = config.kafka.brokers("sink").unwrap_err().to_string();
    assert!(
        message.contains("kafka.brokers is not set, and the role sink needs it"),
        "{message}"
    );
    assert!(message.contains("TAGWIRE_KAFKA__BROKERS"), "{message}");
    let message = config.clickhouse.url("admin").unwrap_err().to_string();
    assert!(message.contains("TAGWIRE_CLICKHOUSE__URL"), "{message}");
}

#[test]
fn the_explained_files_show_every_key_of_their_role_with_its_default() {
    // Keys without a default, or with one that depends on the machine, show an example instead.
    let examples = [
        "node.id",
        "node.public_url",
        "edge.max_connections",
        "edge.max_connections_per_address",
        "edge.tls_listen",
        "edge.threads",
        "admin.trusted_proxies",
        "kafka.brokers",
        "kafka.options.security.protocol",
    ];
    let more = [
        "clickhouse.url",
        "clickhouse.user",
        "clickhouse.password_file",
        "edge.tls_certificates",
        "edge.tls_ticket_keys",
        "geoip.file",
        "scan_log.hot",
        "scan_log.max_bytes",
        "scan_log.spool",
        "upstream.ca_file",
    ];
    let defaults = format!("{:#?}", Config::load(None, [], []).unwrap());
    let all: [&[&str]; 4] = [
        &[
            "node", "edge", "upstream", "admin", "metrics", "geoip", "crawlers", "scan_log", "log",
            "drain",
        ],
        &[
            "node", "edge", "upstream", "metrics", "kafka", "snapshot", "crawlers", "scan_log",
            "log", "drain",
        ],
        &[
            "node",
            "metrics",
            "kafka",
            "clickhouse",
            "geoip",
            "log",
            "drain",
        ],
        &[
            "node",
            "admin",
            "metrics",
            "kafka",
            "clickhouse",
            "geoip",
            "crawlers",
            "log",
            "drain",
        ],
    ];
    for (role, sections) in ["standalone", "edge", "sink", "admin"].into_iter().zip(all) {
        let path = PathBuf::from(format!(
            "{}/../../config/{role}.toml",
            env!("CARGO_MANIFEST_DIR")
        ));
        let text = std::fs::read_to_string(&path).unwrap();
        let (mut keys, mut with_defaults, mut section) = (Vec::new(), String::new(), String::new());
        for line in text
            .lines()
            .filter(|line| !line.starts_with("# ") && *line != "#")
        {
            let line = line.strip_prefix('#').unwrap_or(line);
            let name = line
                .split(" = ")
                .next()
                .unwrap_or_default()
                .replace('"', "");
            if line.starts_with('[') {
                section = line.trim_matches(['[', ']']).to_owned();
            }
            let key = format!("{section}.{name}");
            if !examples.contains(&key.as_str()) && !more.contains(&key.as_str()) {
                with_defaults.push_str(line);
                with_defaults.push('\n');
            }
            if line.contains(" = ") {
                keys.push(key);
            }
        }
        load(&text.replace("\n#", "\n").replace("\n ", "\n# "), &[], &[])
            .unwrap_or_else(|error| panic!("{role}: {error}"));
        let config = load(&with_defaults, &[], &[]).unwrap();
        assert_eq!(
            format!("{config:#?}"),
            defaults,
            "{role}.toml shows other defaults than the code has"
        );
        let shown: Vec<&str> = keys.iter().map(String::as_str).collect();
        for key in known_keys()
            .iter()
            .filter(|key| sections.iter().any(|of| key.starts_with(&format!("{of}."))))
        {
            let listed = shown
                .iter()
                .any(|shown| shown == key || shown.starts_with(&format!("{key}.")));
            let needless = ["sink"].contains(&role)
                && ["node.data_dir", "node.public_url"].contains(&key.as_str())
                || role == "edge" && key == "node.public_url";
            assert!(listed != needless, "{role}.toml and {key}");
        }
    }
}

/// Every key, as the refusals of unknown ones list them.
fn known_keys() -> Vec<String> {
    let sections = [
        "node",
        "edge",
        "admin",
        "metrics",
        "kafka",
        "clickhouse",
        "geoip",
        "crawlers",
        "scan_log",
        "log",
        "drain",
    ];
    let lists = sections.map(|section| refusal(&format!("[{section}]\nno_such_key = 1"), &[], &[]));
    let keys = lists
        .iter()
        .flat_map(|list| list.split_once(" has ").unwrap().1.split(", "));
    keys.map(str::to_owned).collect()
}
