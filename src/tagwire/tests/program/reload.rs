//! SIGHUP: what a running process takes from a configuration that has changed.

use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::mmdb::Value::{Map, Text};
use crate::mmdb::database;
use crate::support::{DEADLINE, Process, Start, client, data_dir, make_tag};

/// Nobody listens there: ports below 1024 take a privilege, and this one has no service that anyone runs.
const KAFKA: &str = "127.0.0.1:1";
const CLICKHOUSE: &str = "http://127.0.0.1:1";

const TAKEN: &str = "the configuration was read anew and taken";
const REFUSED: &str = "is refused; all stays as it was";

/// A process with a configuration file that changes.
struct Configured {
    process: Process,
    file: PathBuf,
    data: TempDir,
}

impl Configured {
    /// Started, with what it needs of a folder for its data.
    async fn spawn(text: &str, start: impl FnOnce(&Path) -> Start) -> Self {
        let data = data_dir();
        let file = data.path().join("tagwire.toml");
        std::fs::write(&file, text).unwrap();
        let start = start(&data.path().join("data"));
        let process = start.arg("--config").arg(&file).spawn().await;
        Self {
            process,
            file,
            data,
        }
    }

    async fn edge(text: &str) -> Self {
        Self::spawn(text, |data| Start::edge("edge-1", data, KAFKA)).await
    }

    async fn standalone(text: &str) -> Self {
        let server = Self::spawn(text, Start::standalone).await;
        server.process.ready().await;
        server
    }

    /// Another file, and SIGHUP.
    fn reads(&self, text: &str) {
        std::fs::write(&self.file, text).unwrap();
        self.process.signal(Signal::HUP);
    }

    async fn health(&self) -> reqwest::Result<u16> {
        let request = client().get(self.process.redirect_url("/healthz"));
        Ok(request.send().await?.status().as_u16())
    }

    async fn ends(self) {
        let ended = self.process.terminate().await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    }
}

/// A GeoIP file that was built at 1, and the configuration that names it.
fn places(folder: &TempDir) -> String {
    let file = folder.path().join("places.mmdb");
    let country = || Map(vec![("country_code", Text("DE"))]);
    std::fs::write(&file, database("Countries", country(), country())).unwrap();
    named(&file)
}

fn named(file: &Path) -> String {
    format!("[geoip]\nfile = '{}'\n", file.display())
}

#[tokio::test]
async fn limits_and_the_log_filter_are_taken_and_what_needs_a_restart_is_named() {
    let edge = Configured::edge("[edge]\nmax_connections = 100\n").await;
    edge.reads(
        "[edge]\nmax_connections = 1\nthreads = 1\n[log]\nfilter = \"warn\"\n[drain]\ntimeout = 9\n",
    );
    let restart = edge.process.logs("only a restart takes it").await;
    let keys = restart["keys"].as_str().unwrap();
    assert_eq!(keys, r#"["drain.timeout", "edge.threads"]"#);
    let address = edge.process.addresses.redirects.unwrap();
    let holding = TcpStream::connect(address).await.unwrap();
    holding.writable().await.unwrap();
    holding
        .try_write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    holding.readable().await.unwrap();
    assert!(edge.health().await.is_err(), "there is one already");
    drop(holding);

    edge.reads("[edge]\nmax_connections = 100\n");
    let taken = edge.process.logs(TAKEN).await;
    assert_eq!(
        taken["taken"].as_str().unwrap(),
        r#"["edge.max_connections", "log.filter"]"#,
        "the first of them, as the filter hid what was said before"
    );
    assert_eq!(edge.health().await.unwrap(), 200);
    edge.ends().await;
}

#[tokio::test]
async fn limits_of_rates_are_taken_and_given_up() {
    let server = Configured::standalone("").await;
    let guess = async || {
        let request = client().get(server.process.redirect_url("/no-such-code"));
        request.send().await.unwrap().status().as_u16()
    };
    let key = "edge.limits.unknown_codes_per_address_per_second";
    let taken = async |nth, per_second: u32| {
        server.reads(&format!("{key} = {per_second}\n"));
        let taken = server.process.logs_again(nth, TAKEN).await;
        assert_eq!(taken["taken"], format!("[{key:?}]"));
    };
    taken(1, 1).await;
    let deadline = Instant::now() + DEADLINE;
    while guess().await != 429 {
        assert!(Instant::now() < deadline, "as many guesses as it likes");
    }
    taken(2, 0).await;
    for _ in 0..20 {
        assert_eq!(guess().await, 404);
    }
    server.ends().await;
}

#[tokio::test]
async fn a_configuration_with_anything_wrong_in_it_is_refused_whole() {
    let edge = Configured::edge("").await;
    let (limits, absent) = (
        "[edge]\nmax_connections = 1\n",
        edge.data.path().join("absent.mmdb"),
    );
    let broken = [
        (
            "max_connections_per_address = 0\n".to_owned(),
            "edge.max_connections_per_address is",
        ),
        (
            "trusted_proxies = ['10.0.0.1']\n".to_owned(),
            "edge.trusted_proxies is",
        ),
        (
            "trusted_proxy = []\n".to_owned(),
            "unknown key edge.trusted_proxy",
        ),
        (
            "tls_listen = ['127.0.0.1:0']\n".to_owned(),
            "edge.tls_certificates",
        ),
        ("[log]\nfilter = 'edge=loud'\n".to_owned(), "log.filter is"),
        (
            format!("[geoip]\nfile = '{}'\n", absent.display()),
            "geoip.file: cannot read",
        ),
        ("[edge]".to_owned(), "not valid TOML"),
    ];
    for (nth, (rest, words)) in (1..).zip(&broken) {
        edge.reads(&format!("{limits}{rest}"));
        let refused = edge.process.logs_again(nth, REFUSED).await;
        let error = refused["error"].as_str().unwrap();
        assert!(error.contains(words), "{rest}: {error}");
    }
    std::fs::remove_file(&edge.file).unwrap();
    edge.process.signal(Signal::HUP);
    let refused = edge.process.logs_again(broken.len() + 1, REFUSED).await;
    assert!(
        refused["error"]
            .as_str()
            .unwrap()
            .contains("reading the config file")
    );

    let address = edge.process.addresses.redirects.unwrap();
    let holding = TcpStream::connect(address).await.unwrap();
    assert_eq!(edge.health().await.unwrap(), 200, "more than one is let in");
    drop(holding);
    edge.ends().await;
}

#[tokio::test]
async fn a_proxy_is_believed_once_it_is_trusted_and_no_longer_than_that() {
    let server = Configured::standalone("").await;
    make_tag(
        &server.process,
        &json!({"code": "spring", "destination": "https://example.com/"}),
    )
    .await;
    let domain = client()
        .patch(server.process.api_url("/domains/127.0.0.1"))
        .bearer_auth(server.process.key())
        .json(&json!({"https_redirect": true}));
    assert_eq!(domain.send().await.unwrap().status(), 200);
    // On a connection that outlives every change.
    let proxy = client();
    let status = async || {
        let request = proxy.get(server.process.redirect_url("/spring"));
        let request = request.header("x-forwarded-proto", "https");
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(status().await, 301, "to HTTPS");
    for (nth, (text, expected)) in (1..).zip([
        ("[edge]\ntrusted_proxies = ['127.0.0.0/8']\n", 302),
        ("", 301),
    ]) {
        server.reads(text);
        let taken = server.process.logs_again(nth, TAKEN).await;
        assert_eq!(taken["taken"], r#"["edge.trusted_proxies"]"#);
        assert_eq!(status().await, expected, "{text}");
    }
    server.ends().await;
}

#[tokio::test]
async fn another_geoip_file_is_taken_and_a_broken_one_refused() {
    let server = Configured::standalone("").await;
    let broken = server.data.path().join("broken.mmdb");
    std::fs::write(&broken, "no database").unwrap();
    let built = async || {
        let edge = "tagwire_edge_geoip_build_timestamp_seconds";
        let sink = "tagwire_sink_geoip_build_timestamp_seconds";
        let process = &server.process;
        (process.metric(edge).await, process.metric(sink).await)
    };
    assert_eq!(built().await, (0.0, 0.0));
    server.reads(&places(&server.data));
    let taken = server.process.logs(TAKEN).await;
    assert_eq!(taken["taken"], r#"["geoip.file"]"#);
    assert_eq!(built().await, (1.0, 1.0));
    server.reads(&named(&broken));
    let refused = server.process.logs(REFUSED).await;
    let error = refused["error"].as_str().unwrap();
    assert!(
        error.contains("geoip.file: ") && error.contains("broken.mmdb"),
        "{error}"
    );
    assert_eq!(built().await, (1.0, 1.0));
    let damaged = "tagwire_edge_geoip_refused_total{reason=\"damaged\"}";
    assert_eq!(server.process.metric(damaged).await, 1.0);
    server.reads("");
    server.process.logs_again(2, TAKEN).await;
    assert_eq!(built().await, (0.0, 0.0), "no file is configured any more");
    server.ends().await;
}

#[tokio::test]
async fn blocklists_are_taken_and_a_configuration_with_one_that_is_none_changes_nothing() {
    let server = Configured::standalone("").await;
    let hosts = "tagwire_admin_blocklist_hosts";
    assert_eq!(server.process.metric(hosts).await, 0.0);
    let write = |name: &str, text: &str| {
        let file = server.data.path().join(name);
        std::fs::write(&file, text).unwrap();
        file.display().to_string()
    };
    let list = write("phishing.txt", "bad.example.com\nworse.example.com\n");
    let with = |lists: &str| format!("[admin]\nblocklists = [{lists}]\n");
    server.reads(&with(&format!("'{list}'")));
    let taken = server.process.logs(TAKEN).await;
    assert_eq!(taken["taken"], r#"["admin.blocklists"]"#);
    assert_eq!(server.process.metric(hosts).await, 2.0);

    let page = write("page.txt", "<html>\n<p>This list has moved\n");
    server.reads(&(with(&format!("'{list}', '{page}'")) + &places(&server.data)));
    let refused = server.process.logs(REFUSED).await;
    let error = refused["error"].as_str().unwrap();
    assert!(
        error.contains("admin.blocklists: ") && error.contains("page.txt"),
        "{error}"
    );
    assert_eq!(server.process.metric(hosts).await, 2.0);
    let no_list = "tagwire_admin_blocklists_refused_total{reason=\"not_a_list\"}";
    assert_eq!(server.process.metric(no_list).await, 1.0);
    let built = "tagwire_admin_geoip_build_timestamp_seconds";
    assert_eq!(server.process.metric(built).await, 0.0, "all or nothing");

    // The file itself is followed too: here at SIGHUP, else within 10 s.
    write("phishing.txt", "bad.example.com\n");
    server.reads(&with(&format!("'{list}'")));
    server.process.logs_again(2, TAKEN).await;
    assert_eq!(server.process.metric(hosts).await, 1.0);
    write("phishing.txt", "");
    server.reads(&with(&format!("'{list}'")));
    server.process.logs_again(3, TAKEN).await;
    assert_eq!(server.process.metric(hosts).await, 1.0);
    let empty = "tagwire_admin_blocklists_refused_total{reason=\"empty\"}";
    assert_eq!(server.process.metric(empty).await, 1.0);
    server.ends().await;
}

#[tokio::test]
async fn networks_of_crawlers_are_taken_and_who_comes_from_there_is_counted_as_a_bot_with_the_reason()
 {
    let server = Configured::standalone("").await;
    let process = &server.process;
    let file = server.data.path().join("searchbot.json");
    let write = |prefix: &str| {
        let published = json!({"prefixes": [{"ipv4Prefix": prefix}]});
        std::fs::write(&file, published.to_string()).unwrap();
        server.reads(&format!("[crawlers]\nnetworks = ['{}']\n", file.display()));
    };
    write("127.0.0.0/8");
    let taken = process.logs(TAKEN).await;
    assert_eq!(taken["taken"], r#"["crawlers.networks"]"#);
    write("0.0.0.0/0");
    process.logs_again(2, TAKEN).await;
    for (role, networks) in [("edge", 1.0), ("admin", 1.0)] {
        let held = format!("tagwire_{role}_crawler_networks");
        assert_eq!(process.metric(&held).await, networks);
        let refused = format!("tagwire_{role}_crawler_lists_refused_total{{reason=\"too_large\"}}");
        assert_eq!(process.metric(&refused).await, 1.0);
    }

    let bots = json!([{"name": "bots", "when": {"bot": true}, "to": "https://example.com/bots"}]);
    let tag = json!({"code": "spring", "destination": "https://example.com/", "rules": bots});
    make_tag(process, &tag).await;
    let iphone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1";
    let scan = client()
        .get(process.redirect_url("/spring"))
        .header("User-Agent", iphone);
    let answer = scan.send().await.unwrap();
    assert_eq!(answer.headers()["location"], "https://example.com/bots");
    let report = async |bots: &str| {
        let path = format!("/analytics/scans?code=spring&by=bot_reason&bots={bots}");
        let ask = client()
            .get(process.api_url(&path))
            .bearer_auth(process.key());
        ask.send().await.unwrap().json::<Value>().await.unwrap()
    };
    let deadline = Instant::now() + DEADLINE;
    while report("only").await["total"] != 1 {
        assert!(Instant::now() < deadline, "the scan is not stored");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(
        report("only").await["breakdown"]["bot_reason"],
        json!([{"value": "network:searchbot", "scans": 1}])
    );
    assert_eq!(report("exclude").await["total"], 0);
    server.ends().await;
}

#[tokio::test]
async fn a_sink_and_an_admin_take_what_they_have_and_refuse_what_they_could_not_start_with() {
    let sink = Configured::spawn("", |_| Start::sink(KAFKA, CLICKHOUSE)).await;
    let admin = Configured::spawn("", |data| {
        Start::admin(data, KAFKA, CLICKHOUSE, "https://qr.example.com")
    })
    .await;
    let wrong = "[clickhouse]\npassword_file = '/nowhere/password'\n";
    for role in [&sink, &admin] {
        let changed = places(&role.data) + "[log]\nfilter = \"debug\"\n";
        role.reads(&format!("{changed}{wrong}"));
        let refused = role.process.logs(REFUSED).await;
        let error = refused["error"].as_str().unwrap();
        assert!(
            error.starts_with("clickhouse.password_file /nowhere/password: "),
            "{error}"
        );
        role.reads(&changed);
        let line = role.process.logs(TAKEN).await;
        assert_eq!(line["taken"], r#"["geoip.file", "log.filter"]"#);
    }
    let built = "tagwire_sink_geoip_build_timestamp_seconds";
    assert_eq!(sink.process.metric(built).await, 1.0);
    sink.ends().await;
    admin.ends().await;
}
