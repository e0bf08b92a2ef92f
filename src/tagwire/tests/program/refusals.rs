//! A process that cannot start says why in one line, and exits with 1; wrong usage with 2.

use std::net::TcpListener;
use std::path::Path;

use crate::support::{Ended, Start, data_dir};

/// One line, which is given back.
fn one_line(ended: Ended) -> String {
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let line = ended.stderr.strip_suffix('\n').unwrap();
    assert!(
        line.starts_with("tagwire: ") && !line.contains('\n'),
        "{}",
        ended.stderr
    );
    line.to_owned()
}

async fn refusal(start: Start) -> String {
    one_line(start.refused().await)
}

#[tokio::test]
async fn a_port_in_use_is_named_with_its_key() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (variable, key) in [
        ("TAGWIRE_EDGE__LISTEN", "edge.listen"),
        ("TAGWIRE_ADMIN__LISTEN", "admin.listen"),
        ("TAGWIRE_METRICS__LISTEN", "metrics.listen"),
    ] {
        let data = data_dir();
        // The data lies in memory, and a spool there would be warned of in a line of its own.
        let start = Start::standalone(data.path()).env("TAGWIRE_SCAN_LOG__SPOOL_MAX_BYTES", "0");
        let line = refusal(start.env(variable, &address)).await;
        assert!(
            line.contains(&address) && line.contains(key) && line.contains("in use"),
            "{line}"
        );
    }
}

#[tokio::test]
async fn a_data_directory_belongs_to_one_process() {
    let data = data_dir();
    let first = Start::standalone(data.path()).run().await;
    let line = refusal(Start::standalone(data.path())).await;
    assert_eq!(
        line,
        format!(
            "tagwire: data directory {} is used by another tagwire process; stop it, or set node.data_dir (--data-dir) to another",
            data.path().display()
        )
    );
    assert_eq!(first.terminate().await.code, Some(0));
}

#[tokio::test]
async fn a_data_directory_that_cannot_be_written_is_named() {
    let data = data_dir();
    let file = data.path().join("file");
    std::fs::write(&file, "").unwrap();
    // Not even root can make a directory in these.
    for path in [
        file.join("data"),
        file,
        Path::new("/proc/tagwire").to_owned(),
    ] {
        let line = refusal(Start::standalone(&path)).await;
        let named = format!("data directory {} cannot be used: ", path.display());
        assert!(
            line.contains(&named) && line.contains("--data-dir"),
            "{line}"
        );
    }
}

#[tokio::test]
async fn a_bad_configuration_is_named_by_file_variable_or_flag() {
    let data = data_dir();
    let file = data.path().join("tagwire.toml");
    std::fs::write(&file, "[edge]\nlisen = ['127.0.0.1:0']\n").unwrap();
    let line = refusal(Start::standalone(data.path()).arg("--config").arg(&file)).await;
    assert!(
        line.contains(&format!(
            "config file {}: unknown key edge.lisen",
            file.display()
        )),
        "{line}"
    );
    let line = refusal(Start::standalone(data.path()).env("TAGWIRE_EDGE__LISEN", "x")).await;
    assert!(
        line.contains("environment variable TAGWIRE_EDGE__LISEN: unknown key edge.lisen"),
        "{line}"
    );
    let line = refusal(Start::standalone(data.path()).arg("--listen=here")).await;
    assert!(
        line.contains("--listen: edge.listen is \"here\"; it must be "),
        "{line}"
    );
    let line = refusal(Start::standalone(data.path()).env("TAGWIRE_LOG__FILTER", "a=b=c")).await;
    assert!(
        line.contains("variable TAGWIRE_LOG__FILTER: log.filter is \"a=b=c\"; it must be a level "),
        "{line}"
    );
}

#[tokio::test]
async fn the_command_line_wins_over_the_environment_and_that_over_the_file() {
    let data = data_dir();
    let file = data.path().join("tagwire.toml");
    std::fs::write(
        &file,
        "[edge]\nhealth_path = '/up'\n[log]\nformat = 'text'\n",
    )
    .unwrap();
    let hot = data.path().join("hot").to_str().unwrap().to_owned();
    let start = Start::standalone(&data.path().join("not this one"));
    let start = start.env("TAGWIRE_SCAN_LOG__HOT", hot);
    let start = start
        .env("TAGWIRE_LOG__FORMAT", "json")
        .env("TAGWIRE_SERVICE_HOST", "10.0.0.1");
    let start = start
        .arg("--config")
        .arg(&file)
        .arg("--data-dir")
        .arg(data.path().join("data"));
    let process = start.run().await;
    assert!(
        data.path().join("data/admin.key").exists() && !data.path().join("not this one").exists()
    );
    let health = crate::support::client()
        .get(process.redirect_url("/up"))
        .send()
        .await
        .unwrap();
    assert_eq!(health.text().await.unwrap(), "ok");
    process.terminate().await;
}

#[tokio::test]
async fn a_geoip_file_that_cannot_be_used_is_named() {
    let data = data_dir();
    let file = data.path().join("places.mmdb");
    std::fs::write(&file, "not a database").unwrap();
    let line =
        refusal(Start::standalone(data.path()).env("TAGWIRE_GEOIP__FILE", file.to_str().unwrap()))
            .await;
    assert!(
        line.contains("geoip.file: ") && line.contains(file.to_str().unwrap()),
        "{line}"
    );
}

#[tokio::test]
async fn a_blocklist_that_cannot_be_used_is_named() {
    let data = data_dir();
    let file = data.path().join("phishing.txt");
    std::fs::write(&file, "").unwrap();
    let files = file.to_str().unwrap();
    let start = Start::standalone(data.path()).env("TAGWIRE_ADMIN__BLOCKLISTS", files);
    let line = refusal(start).await;
    assert!(
        line.contains("admin.blocklists: ") && line.contains(files),
        "{line}"
    );
}

#[tokio::test]
async fn networks_of_crawlers_that_would_make_bots_of_people_are_named() {
    let data = data_dir();
    let file = data.path().join("googlebot.json");
    std::fs::write(&file, r#"{"prefixes": [{"ipv4Prefix": "0.0.0.0/0"}]}"#).unwrap();
    let file = file.to_str().unwrap();
    let start = Start::standalone(data.path()).env("TAGWIRE_CRAWLERS__NETWORKS", file);
    let line = refusal(start).await;
    for said in ["crawlers.networks: ", file, "0.0.0.0/0", "/8 is the most"] {
        assert!(line.contains(said), "{said}: {line}");
    }
}

#[tokio::test]
async fn what_a_role_of_a_cluster_needs_is_asked_for() {
    let data = data_dir();
    for role in ["edge", "sink", "admin"] {
        let line =
            refusal(Start::of(role).env("TAGWIRE_NODE__DATA_DIR", data.path().to_str().unwrap()))
                .await;
        assert!(
            line.contains("kafka.brokers is not set") && line.contains("TAGWIRE_KAFKA__BROKERS"),
            "{role}: {line}"
        );
    }
    let line = refusal(Start::of("sink").env("TAGWIRE_KAFKA__BROKERS", "127.0.0.1:1")).await;
    assert!(line.contains("clickhouse.url is not set"), "{line}");
    let start = Start::sink("127.0.0.1:1", "http://127.0.0.1:1");
    let line = refusal(start.env("TAGWIRE_CLICKHOUSE__PASSWORD_FILE", "/nowhere/password")).await;
    assert!(
        line.contains("clickhouse.password_file /nowhere/password: "),
        "{line}"
    );
}

#[tokio::test]
async fn a_setting_that_librdkafka_does_not_take_is_named_without_its_value() {
    let data = data_dir();
    let wrong = |start: Start| start.env("TAGWIRE_KAFKA__OPTIONS", "sasl.pasword=hunter2");
    let edge = wrong(Start::edge("edge-1", data.path(), "127.0.0.1:1"));
    let admin = wrong(Start::admin(
        data.path(),
        "127.0.0.1:1",
        "http://127.0.0.1:1",
        "https://qr.example.com",
    ));
    for start in [edge, admin] {
        let line = refusal(start).await;
        assert!(
            line.contains("sasl.pasword") && line.contains("kafka.options"),
            "{line}"
        );
        assert!(!line.contains("hunter2"), "{line}");
    }
    // The sink finds out on its own thread, when it has begun to log.
    let ended = wrong(Start::sink("127.0.0.1:1", "http://127.0.0.1:1"))
        .refused()
        .await;
    assert_eq!(ended.code, Some(1));
    let line = ended.stderr.lines().last().unwrap();
    assert!(
        line.starts_with("tagwire: ") && line.contains("sasl.pasword"),
        "{line}"
    );
    assert!(!ended.stderr.contains("hunter2"), "{}", ended.stderr);
}

#[tokio::test]
async fn wrong_usage_exits_with_2_and_help_and_version_with_0() {
    let ended = Start::of("standalone")
        .arg("--no-such-flag")
        .refused()
        .await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert_eq!(Start::of("no-such-role").refused().await.code, Some(2));
    let ended = Start::of("--version").refused().await;
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (
            Some(0),
            concat!("tagwire ", env!("CARGO_PKG_VERSION"), "\n")
        )
    );
    let ended = Start::of("standalone").arg("--help").refused().await;
    assert_eq!(ended.code, Some(0));
    for flag in [
        "--config",
        "--data-dir",
        "--listen",
        "--admin-listen",
        "--metrics-listen",
        "--public-url",
        "--demo",
    ] {
        assert!(ended.stdout.contains(flag), "{flag}: {}", ended.stdout);
    }
}
