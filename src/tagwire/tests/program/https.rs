//! The clients that people and rehearsals have, over TLS: curl, phones of several ages, Chromium, wrk, h2load and k6 get their redirect.

use std::path::Path;
use std::process::Stdio;

use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::timeout;

use crate::support::{DEADLINE, Process, Start, data_dir, make_tag};

/// Runs a command to its end; what it says.
async fn run(program: &str, arguments: &[&str]) -> String {
    run_with(program, arguments, &[], "").await
}

/// The same with variables in its environment, and an input.
async fn run_with(
    program: &str,
    arguments: &[&str],
    variables: &[(&str, &str)],
    input: &str,
) -> String {
    let mut command = Command::new(program);
    command.args(arguments).envs(variables.iter().copied());
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let child = pipes.stderr(Stdio::piped()).kill_on_drop(true).spawn();
    let mut child =
        child.unwrap_or_else(|error| panic!("{program}: {error}; see tests/stack/packages"));
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).await.unwrap();
    }
    let done = timeout(2 * DEADLINE, child.wait_with_output()).await;
    let done = done.unwrap_or_else(|_| panic!("{program} does not end"));
    let done = done.unwrap();
    let said = String::from_utf8([done.stdout, done.stderr].concat()).unwrap();
    assert!(done.status.success(), "{program} {arguments:?}: {said}");
    said
}

/// A server with a certificate for 127.0.0.1 and example.com, and the port that speaks TLS.
async fn start(data: &Path) -> (Process, u16) {
    let folder = data.join("certificates");
    std::fs::create_dir(&folder).unwrap();
    let (certificate, key) = (folder.join("default.crt"), folder.join("default.key"));
    let making = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test \
                  -addext subjectAltName=IP:127.0.0.1,DNS:example.com -out";
    let mut arguments: Vec<&str> = making.split_whitespace().collect();
    arguments.extend([
        certificate.to_str().unwrap(),
        "-keyout",
        key.to_str().unwrap(),
    ]);
    run("openssl", &arguments).await;
    let process = Start::standalone(&data.join("data"))
        .env("TAGWIRE_EDGE__TLS_LISTEN", "127.0.0.1:0")
        .env("TAGWIRE_EDGE__TLS_CERTIFICATES", folder.to_str().unwrap())
        .run()
        .await;
    let started = process.logs("standalone started").await;
    let address = started["tls"].as_str().unwrap();
    let port = address.trim_matches(['[', ']']).rsplit(':').next().unwrap();
    let port = port.parse().unwrap();
    let tag = json!({"code": "spring", "destination": "https://example.com/"});
    make_tag(&process, &tag).await;
    (process, port)
}

#[tokio::test]
async fn curl_gets_its_redirect_by_every_version_of_http_and_tls() {
    let data = data_dir();
    let (process, port) = start(data.path()).await;
    let certificate = data.path().join("certificates/default.crt");
    let url = format!("https://127.0.0.1:{port}/spring");
    let shown = "%{http_code} %{http_version} %{redirect_url}";
    let asked = ["-sS", "-o", "/dev/null", "-w", shown, "--cacert"];
    let asked = [&asked[..], &[certificate.to_str().unwrap(), &url]].concat();
    for (options, version) in [
        (&["--http1.1"][..], "1.1"),
        (&["--http2"][..], "2"),
        (&["--tlsv1.2", "--tls-max", "1.2"][..], "2"),
        (&["--tlsv1.3"][..], "2"),
    ] {
        let said = run("curl", &[&asked[..], options].concat()).await;
        let expected = format!("302 {version} https://example.com/");
        assert_eq!(said, expected, "{options:?}");
    }
    process.end_with_every_scan_delivered().await;
}

/// What phones of several ages offer, as OpenSSL's options: by their makers' documents and the handshakes that they are known by. Who
/// has an old one scans, too.
const PHONES: [(&str, &str); 6] = [
    (
        "Android 5, 2014",
        "-tls1_2 -curves P-256:P-384 -cipher ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-SHA",
    ),
    (
        "iOS 9, 2015",
        "-tls1_2 -curves P-256:P-384:P-521 -cipher ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-SHA384 -alpn http/1.1",
    ),
    (
        "Android 8, 2017",
        "-tls1_2 -curves X25519:P-256 -cipher ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256 -alpn http/1.1",
    ),
    (
        "iOS 13, 2019",
        "-min_protocol TLSv1.2 -max_protocol TLSv1.3 -curves X25519:P-256:P-384 -alpn http/1.1",
    ),
    (
        "Android 14, 2023",
        "-tls1_3 -curves X25519:P-256:P-384 -ciphersuites TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256 -alpn http/1.1",
    ),
    (
        "one that knows no elliptic curve but P-384",
        "-tls1_3 -curves P-384 -ciphersuites TLS_CHACHA20_POLY1305_SHA256",
    ),
];

#[tokio::test]
async fn phones_of_every_age_get_their_redirect_with_and_without_naming_the_server() {
    let data = data_dir();
    let (process, port) = start(data.path()).await;
    let certificate = data.path().join("certificates/default.crt");
    let server = format!("127.0.0.1:{port}");
    let asked = ["s_client", "-connect", &server, "-verify_return_error"];
    let asked = [&asked[..], &["-CAfile", certificate.to_str().unwrap()]].concat();
    // It reads on until the server closes.
    let request = "GET /spring HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n";
    for (phone, options) in PHONES {
        for name in ["-noservername", "-servername example.com"] {
            let options = options.split(' ').chain(name.split(' '));
            let asked: Vec<_> = asked.iter().copied().chain(options).collect();
            let asked = [&asked[..], &["-ign_eof"]].concat();
            let said = run_with("openssl", &asked, &[], request).await;
            let verified = said.contains("Verify return code: 0 (ok)");
            let redirected = said.contains("HTTP/1.1 302 Found")
                && said.contains("Location: https://example.com/\r\n");
            assert!(verified && redirected, "{phone}, {name}: {said}");
        }
    }
    process.end_with_every_scan_delivered().await;
}

#[tokio::test]
async fn chromium_follows_its_redirect() {
    let data = data_dir();
    let (process, port) = start(data.path()).await;
    // What example.com is stands behind the redirect: the server's own home page.
    let to_us = format!("--host-resolver-rules=MAP example.com:443 127.0.0.1:{port}");
    let profile = format!("--user-data-dir={}", data.path().join("chromium").display());
    let browser = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--ignore-certificate-errors",
    ];
    let url = format!("https://127.0.0.1:{port}/spring");
    let asked = [&browser[..], &[&profile, &to_us, "--dump-dom", &url]].concat();
    let said = run("chromium", &asked).await;
    assert!(said.contains("<h1>Short links</h1>"), "{said}");
    process.end_with_every_scan_delivered().await;
}

#[tokio::test]
async fn wrk_h2load_and_k6_get_nothing_but_redirects() {
    let data = data_dir();
    let (process, port) = start(data.path()).await;
    let base = format!("https://127.0.0.1:{port}");
    let url = format!("{base}/spring");

    let said = run("wrk", &["-t", "1", "-c", "4", "-d", "1s", &url]).await;
    // It counts redirects as good answers, and names the others.
    assert!(
        said.contains(" requests in ") && !said.contains("Non-2xx") && !said.contains("errors"),
        "{said}"
    );

    let said = run("h2load", &["-n", "200", "-c", "2", "-m", "10", &url]).await;
    assert!(
        said.contains("0 failed") && said.contains("200 3xx"),
        "{said}"
    );

    // It ends badly when an answer was wrong, see its thresholds.
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../loadtest/steady.js");
    let settings = [
        ("BASE_URL", &*base),
        ("CODES", "spring"),
        ("ITERATIONS", "200"),
        ("VUS", "4"),
        ("INSECURE", "true"),
        ("K6_NO_USAGE_REPORT", "true"),
    ];
    let k6 = std::env::var("TAGWIRE_TEST_K6").expect("TAGWIRE_TEST_K6: see tests/stack/up");
    let asked = ["run", "--quiet", script.to_str().unwrap()];
    run_with(&k6, &asked, &settings, "").await;
    process.end_with_every_scan_delivered().await;
}
