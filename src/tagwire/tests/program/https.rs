//! The clients that people have, over TLS: curl, OpenSSL's, h2load and Chromium get their redirect.

use std::path::Path;

use serde_json::json;
use tokio::process::Command;
use tokio::time::timeout;

use crate::support::{DEADLINE, Process, Start, data_dir, make_tag};

/// Runs a command to its end; what it says.
async fn run(program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    command.args(arguments).kill_on_drop(true);
    let done = timeout(2 * DEADLINE, command.output()).await;
    let done = done.unwrap_or_else(|_| panic!("{program} does not end"));
    let done = done.unwrap_or_else(|error| panic!("{program}: {error}; see tests/stack/packages"));
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
async fn curl_openssl_h2load_and_chromium_get_their_redirect() {
    let data = data_dir();
    let (process, port) = start(data.path()).await;
    let certificate = data.path().join("certificates/default.crt");
    let certificate = certificate.to_str().unwrap();
    let url = format!("https://127.0.0.1:{port}/spring");
    let shown = "%{http_code} %{http_version} %{redirect_url}";
    for (options, version) in [
        (&["--http1.1"][..], "1.1"),
        (&["--http2"][..], "2"),
        (&["--tlsv1.2", "--tls-max", "1.2"][..], "2"),
        (&["--tlsv1.3"][..], "2"),
    ] {
        let asked = [
            "--cacert",
            certificate,
            "-sS",
            "-o",
            "/dev/null",
            "-w",
            shown,
        ];
        let said = run("curl", &[&asked[..], options, &[&url]].concat()).await;
        assert_eq!(
            said,
            format!("302 {version} https://example.com/"),
            "{options:?}"
        );
    }

    let server = format!("127.0.0.1:{port}");
    for version in ["-tls1_2", "-tls1_3"] {
        for name in [&["-noservername"][..], &["-servername", "example.com"][..]] {
            let asked = ["s_client", "-connect", &server, "-CAfile", certificate];
            let asked = [&asked[..], &[version, "-verify_return_error"], name].concat();
            // It ends when its input does.
            let said = run("openssl", &asked).await;
            assert!(
                said.contains("Verify return code: 0 (ok)"),
                "{asked:?}: {said}"
            );
        }
    }

    let said = run("h2load", &["-n", "200", "-c", "2", "-m", "10", &url]).await;
    assert!(
        said.contains("0 failed") && said.contains("200 3xx"),
        "{said}"
    );

    // What example.com is stands behind the redirect: the server's own home page.
    let to_us = format!("--host-resolver-rules=MAP example.com:443 127.0.0.1:{port}");
    let profile = format!("--user-data-dir={}", data.path().join("chromium").display());
    let browser = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--ignore-certificate-errors",
    ];
    let asked = [&browser[..], &[&profile, &to_us, "--dump-dom", &url]].concat();
    let said = run("chromium", &asked).await;
    assert!(said.contains("<h1>Short links</h1>"), "{said}");

    let ended = process.terminate().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("every scan is delivered"),
        "{}",
        ended.stderr
    );
}
