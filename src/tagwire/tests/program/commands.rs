//! The commands that talk to the admin API, from the shell's side: what they print, where they look for a key, how they end.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

use crate::support::{Process, Start, client, data_dir};

/// How a command ended.
pub struct Done {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Done {
    /// What it printed, having succeeded.
    pub fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self.stdout
    }

    pub fn json(self) -> Value {
        serde_json::from_str(&self.ok()).unwrap()
    }

    /// What it told, having failed.
    pub fn failed(self) -> String {
        assert_eq!(self.code, Some(1), "{}{}", self.stdout, self.stderr);
        self.stderr
    }
}

/// Runs a command with this environment alone.
pub async fn run(environment: &[(&str, &str)], arguments: &[&str]) -> Done {
    run_with(environment, arguments, b"").await
}

/// The same with standard input.
async fn run_with(environment: &[(&str, &str)], arguments: &[&str], input: &[u8]) -> Done {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tagwire"));
    command
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    // A command that does not read it may have ended.
    let _ = child.stdin.take().unwrap().write_all(input).await;
    let output = child.wait_with_output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Done {
        code: output.status.code(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// A standalone, and its data, where the key is.
pub struct Installation {
    pub process: Process,
    pub data: tempfile::TempDir,
}

impl Installation {
    pub async fn start() -> Self {
        let data = data_dir();
        let process = Start::standalone(data.path()).run().await;
        Self { process, data }
    }

    fn url(&self) -> String {
        format!("http://{}", self.api())
    }

    fn api(&self) -> SocketAddr {
        self.process.addresses.api.unwrap()
    }

    pub async fn run(&self, arguments: &[&str]) -> Done {
        self.run_with(arguments, b"").await
    }

    /// The same with standard input.
    pub async fn run_with(&self, arguments: &[&str], input: &[u8]) -> Done {
        let (url, data) = (self.url(), self.data.path().to_str().unwrap());
        let environment = [
            ("TAGWIRE_URL", url.as_str()),
            ("TAGWIRE_NODE__DATA_DIR", data),
        ];
        run_with(&environment, arguments, input).await
    }
}

#[tokio::test]
async fn a_tag_is_made_changed_compared_and_brought_back() {
    let here = Installation::start().await;
    let made = here
        .run(&[
            "tags",
            "create",
            "https://example.com/1",
            "--code",
            "spring",
            "name=Can",
            "labels:=[\"a\",\"b\"]",
        ])
        .await
        .ok();
    assert!(made.contains("\nlabels") && made.contains("a, b"), "{made}");
    let set = here
        .run(&[
            "tags",
            "set",
            "spring",
            "destination=https://example.com/2",
            "name=",
            "--if-version",
            "1",
            "--json",
        ])
        .await
        .json();
    assert_eq!((&set["version"], &set["name"]), (&2.into(), &Value::Null));
    let difference = here.run(&["tags", "diff", "spring"]).await;
    assert!(
        difference.stderr.contains("From version 1 to 2"),
        "{}",
        difference.stderr
    );
    let difference = difference.ok();
    let row = difference
        .lines()
        .find(|line| line.starts_with("/destination"))
        .unwrap();
    let cells: Vec<_> = row.split_whitespace().collect();
    assert_eq!(
        cells,
        [
            "/destination",
            "https://example.com/1",
            "https://example.com/2"
        ]
    );
    let back = here
        .run(&["tags", "rollback", "spring", "1", "--wait"])
        .await;
    assert!(back.stderr.contains("has applied it"), "{}", back.stderr);
    // As it was then, without what is warned of now.
    let mut then = set.clone();
    then.as_object_mut().unwrap().remove("warnings").unwrap();
    assert_eq!(
        here.run(&["tags", "get", "spring", "--version", "2", "--json"])
            .await
            .json(),
        then
    );
    let listed = here.run(&["tags", "list", "--label", "a"]).await.ok();
    assert!(
        listed.starts_with("CODE") && listed.lines().count() == 2,
        "{listed}"
    );
    let versions = here
        .run(&["tags", "versions", "spring", "--json", "--all"])
        .await
        .json();
    assert_eq!(versions["items"].as_array().unwrap().len(), 3);
    let some = here
        .run(&["tags", "versions", "spring", "--limit", "2"])
        .await;
    assert!(
        some.stderr.contains("The first 2 are listed"),
        "{}",
        some.stderr
    );
    let at = "2090-01-01T00:00:00Z";
    let scheduled = [
        "tags",
        "schedule",
        "spring",
        "--at",
        at,
        "name=Later",
        "--json",
    ];
    let scheduled = here.run(&scheduled).await.json();
    assert_eq!(scheduled["scheduled"]["at"], at);
    let back = here.run(&["tags", "unschedule", "spring"]).await;
    assert!(
        back.stderr.contains("Nothing is scheduled"),
        "{}",
        back.stderr
    );
    assert_eq!(here.run(&["tags", "revoke", "spring"]).await.code, Some(2));
    here.run(&["tags", "revoke", "spring", "--yes"]).await.ok();
    let audit = here
        .run(&["audit", "--code", "spring", "--action", "revoke"])
        .await
        .ok();
    assert!(audit.lines().nth(1).unwrap().contains("/status"), "{audit}");
}

#[tokio::test]
async fn a_refusal_names_each_field_and_ends_with_1() {
    let here = Installation::start().await;
    here.run(&["tags", "create", "https://example.com/", "--code", "spring"])
        .await
        .ok();
    let wrong = [
        "tags",
        "set",
        "spring",
        "destination=ftp://example.com/",
        "colour=red",
    ];
    let told = here.run(&wrong).await.failed();
    let lines: Vec<_> = told.lines().collect();
    assert_eq!(lines[0], "tagwire: 2 fields are not valid. (422)");
    assert!(
        lines[1].starts_with("  /destination: 'ftp:' is not allowed"),
        "{told}"
    );
    assert!(lines[2].starts_with("  /colour: "), "{told}");
    let as_json = here.run(&[&wrong[..], &["--json"]].concat()).await.failed();
    let problem: Value = serde_json::from_str(&as_json).unwrap();
    assert_eq!(problem["errors"].as_array().unwrap().len(), 2);
    let stale = here
        .run(&["tags", "set", "spring", "name=x", "--if-version", "7"])
        .await;
    assert!(stale.failed().contains("(412)"));
    let taken = here
        .run(&["tags", "create", "https://example.com/", "--code", "spring"])
        .await;
    assert!(taken.failed().contains("/code"));
    for usage in [
        &["tags"][..],
        &["tags", "set", "spring", "name"],
        &["tags", "list", "--limit", "0"],
        &["colours"],
    ] {
        assert_eq!(here.run(usage).await.code, Some(2), "{usage:?}");
    }
}

#[tokio::test]
async fn a_key_is_made_used_and_revoked_and_comes_from_no_argument() {
    let here = Installation::start().await;
    let made = here
        .run(&["keys", "create", "ci", "--role", "editor", "--json"])
        .await
        .json();
    let (id, secret) = (
        made["id"].as_str().unwrap(),
        made["secret"].as_str().unwrap(),
    );
    let file = here.data.path().join("ci.key");
    std::fs::write(&file, format!("{secret}\n")).unwrap();
    let (url, file) = (here.url(), file.to_str().unwrap().to_owned());
    // The file wins over the variable.
    let with_key = [
        ("TAGWIRE_URL", url.as_str()),
        ("TAGWIRE_KEY_FILE", &file),
        ("TAGWIRE_KEY", "wrong"),
    ];
    run(
        &with_key,
        &["tags", "create", "https://example.com/", "--code", "spring"],
    )
    .await
    .ok();
    assert!(
        run(&with_key, &["keys", "list"])
            .await
            .failed()
            .contains("(403)")
    );
    let list = here.run(&["keys", "list"]).await.ok();
    assert!(list.contains(id) && !list.contains(secret), "{list}");
    let rotate = ["keys", "rotate", id, "--overlap", "0", "--json"];
    let rotated = here.run(&rotate).await.json();
    run(&with_key, &["tags", "list"]).await.failed();
    std::fs::write(&file, rotated["secret"].as_str().unwrap()).unwrap();
    run(&with_key, &["tags", "list"]).await.ok();
    here.run(&["keys", "revoke", id]).await.ok();
    let revoked = run(&with_key, &["tags", "list"]).await.failed();
    assert!(
        revoked.contains("(401)") && !revoked.contains(secret),
        "{revoked}"
    );
    let set = ["workspaces", "set", "default", "retention_days:=30"];
    here.run(&set).await.ok();
    let workspaces = here.run(&["workspaces", "list"]).await.ok();
    assert!(workspaces.contains("30"), "{workspaces}");
    let theirs = here.run(&["workspaces", "create", "Acme"]).await.ok();
    let secret = theirs
        .lines()
        .find_map(|line| line.strip_prefix("key.secret"))
        .unwrap();
    let as_them = [
        ("TAGWIRE_URL", url.as_str()),
        ("TAGWIRE_KEY", secret.trim()),
    ];
    assert_eq!(
        run(&as_them, &["workspaces", "list"])
            .await
            .ok()
            .lines()
            .count(),
        2
    );
}

#[tokio::test]
async fn where_there_is_no_key_it_says_where_one_is_looked_for() {
    let here = Installation::start().await;
    let (url, nowhere) = (here.url(), here.data.path().join("none"));
    let nowhere = nowhere.to_str().unwrap();
    let told = run(
        &[("TAGWIRE_URL", &url), ("TAGWIRE_NODE__DATA_DIR", nowhere)],
        &["tags", "list"],
    )
    .await
    .failed();
    assert!(
        told.contains("none/admin.key") && told.contains("TAGWIRE_KEY_FILE"),
        "{told}"
    );
    // The key of this machine's data directory goes to no other machine.
    let data = here.data.path().to_str().unwrap();
    let elsewhere = [
        ("TAGWIRE_URL", "http://192.0.2.1"),
        ("TAGWIRE_NODE__DATA_DIR", data),
    ];
    let told = run(&elsewhere, &["tags", "list"]).await.failed();
    assert!(told.contains("on another machine"), "{told}");
    // Nor does any key go there where it can be read on the way.
    let open = [("TAGWIRE_URL", "http://192.0.2.1"), ("TAGWIRE_KEY", "k")];
    let told = run(&open, &["tags", "list"]).await.failed();
    assert!(told.contains("--insecure-http"), "{told}");
    // Unless that is said to be meant: then it is tried, here where nobody is.
    let nobody = [
        ("TAGWIRE_URL", "http://nobody.invalid"),
        ("TAGWIRE_KEY", "k"),
    ];
    let told = run(&nobody, &["tags", "list", "--insecure-http"]).await;
    let told = told.failed();
    assert!(told.contains("does not answer"), "{told}");
    for wrong in [
        "admin.example.com",
        "ftp://example.com",
        "https://a:b@example.com",
    ] {
        let told = run(
            &[("TAGWIRE_URL", wrong), ("TAGWIRE_KEY", "k")],
            &["tags", "list"],
        )
        .await;
        assert!(told.failed().contains("TAGWIRE_URL must be"), "{wrong}");
    }
}

#[tokio::test]
async fn a_create_whose_answer_is_lost_is_sent_again_and_made_once() {
    let here = Installation::start().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (between, api) = (listener.local_addr().unwrap(), here.api());
    tokio::spawn(async move {
        for connection in 0.. {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut server = tokio::net::TcpStream::connect(api).await.unwrap();
            if connection == 0 {
                // The request goes on, and its answer does not come back.
                let (mut from_client, _) = client.split();
                let (mut from_server, mut to_server) = server.split();
                let mut answer = [0; 1];
                tokio::select! {
                    _ = tokio::io::copy(&mut from_client, &mut to_server) => {}
                    _ = from_server.read(&mut answer) => {}
                }
                continue;
            }
            tokio::spawn(
                async move { tokio::io::copy_bidirectional(&mut client, &mut server).await },
            );
        }
    });
    let (url, key) = (format!("http://{between}"), here.process.key());
    let environment = [("TAGWIRE_URL", url.as_str()), ("TAGWIRE_KEY", &key)];
    let mut made = run(
        &environment,
        &["tags", "create", "https://example.com/", "--json"],
    )
    .await
    .json();
    // Lists do not have them.
    made.as_object_mut().unwrap().remove("warnings");
    let list = client()
        .get(here.process.api_url("/tags"))
        .bearer_auth(key)
        .send()
        .await
        .unwrap();
    let list: Value = list.json().await.unwrap();
    assert_eq!(list["items"], Value::from(vec![made]));
}

#[tokio::test]
async fn an_export_is_a_file_that_appears_whole() {
    let here = Installation::start().await;
    here.run(&[
        "tags",
        "create",
        "https://example.com/",
        "--code",
        "spring",
        "name==1+1",
    ])
    .await
    .ok();
    let file = here.data.path().join("audit.csv");
    here.run(&[
        "audit",
        "--export",
        "csv",
        "--output",
        file.to_str().unwrap(),
    ])
    .await
    .ok();
    let table = std::fs::read_to_string(&file).unwrap();
    assert!(
        table.starts_with("at,actor,") && table.lines().count() == 2,
        "{table}"
    );
    let lines = here.run(&["audit", "--export", "ndjson"]).await.ok();
    let entry: Value = serde_json::from_str(&lines).unwrap();
    assert_eq!(entry["code"], "spring");
    let nowhere = here.data.path().join("none/audit.csv");
    let told = here
        .run(&[
            "audit",
            "--export",
            "csv",
            "--output",
            nowhere.to_str().unwrap(),
        ])
        .await
        .failed();
    assert!(told.contains("none/audit.csv"), "{told}");
}

#[tokio::test]
async fn over_https_the_server_s_certificate_is_checked() {
    let folder = data_dir();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let trusted = folder.path().join("trusted.pem");
    std::fs::write(&trusted, made.cert.pem()).unwrap();
    let untrusted = folder.path().join("untrusted.pem");
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&untrusted, other.cert.pem()).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let port = https_server(made.cert.der().clone(), key);
    let url = format!("https://localhost:{port}");
    let list = async |certificates: &Path| {
        let certificates = certificates.to_str().unwrap();
        let environment = [
            ("TAGWIRE_URL", url.as_str()),
            ("TAGWIRE_KEY", "k"),
            ("SSL_CERT_FILE", certificates),
        ];
        run(&environment, &["keys", "list"]).await
    };
    assert!(list(&trusted).await.ok().starts_with("ID"));
    let refused = list(&untrusted).await.failed();
    assert!(refused.contains("does not answer"), "{refused}");
}

/// Answers every request with an empty list, over TLS, until the process ends.
fn https_server(
    certificate: rustls::pki_types::CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
) -> u16 {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let (config, listener) = (Arc::new(config), TcpListener::bind("127.0.0.1:0").unwrap());
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let tls = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = BufReader::new(StreamOwned::new(tls, stream.unwrap()));
            let mut line = String::new();
            // To the end of the head; a client that does not trust us has gone.
            while stream.read_line(&mut line).is_ok_and(|read| read > 2) {
                line.clear();
            }
            let body = r#"{"items": []}"#;
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream
                .get_mut()
                .write_all(format!("{head}{body}").as_bytes());
        }
    });
    port
}

#[tokio::test]
async fn a_shell_learns_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&[], &["completions", shell]).await.ok();
        assert!(
            script.contains("rollback") && script.contains("if-version"),
            "{shell}"
        );
    }
    assert_eq!(run(&[], &["completions", "ksh"]).await.code, Some(2));
}
