//! TLS as clients meet it: what is agreed on, which certificate is shown, how a client comes back, and what is not taken.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use edge::{Drained, Tls, TlsOptions};
use prometheus::Registry;
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
use rustls::crypto::aws_lc_rs::{self, kx_group};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, NamedGroup, ProtocolVersion, SupportedProtocolVersion};

use tags::{Change, DomainSettings, Hsts};

use crate::certificates::{Made, Secure};
use crate::fixture::{BRAND, HOST, domain};
use crate::site::{Reply, Site, ok};
use crate::tls_client::TlsClient;
use crate::upstream;

const VERSIONS: [&[&SupportedProtocolVersion]; 2] = [&[&TLS12], &[&TLS13]];

fn connect(secure: &Secure, config: ClientConfig, name: &str) -> TlsClient {
    let address = secure.edge.server.tls_addresses()[0];
    TlsClient::connect(address, config, name).unwrap()
}

/// Which certificate a client gets to see that asks for this name. Whether it is right is not the question.
fn shown(secure: &Secure, name: &str) -> Vec<u8> {
    let mut config = secure.authority.client(&[&TLS13]);
    let anyone = Arc::new(Anyone);
    config.dangerous().set_certificate_verifier(anyone);
    connect(secure, config, name).certificate()
}

fn der(made: &Made) -> Vec<u8> {
    let certificate = CertificateDer::from_pem_slice(made.certificate.as_bytes());
    certificate.unwrap().to_vec()
}

#[test]
fn a_scan_over_tls_1_2_and_1_3_is_answered_and_the_end_is_said() {
    let secure = Secure::start();
    for (versions, version) in VERSIONS
        .iter()
        .zip([ProtocolVersion::TLSv1_2, ProtocolVersion::TLSv1_3])
    {
        let client = connect(&secure, secure.authority.client(versions), HOST);
        assert_eq!(client.version(), version);
        let answer = client.ask("/abc", HOST);
        assert!(answer.starts_with("HTTP/1.1 302 Found\r\n"), "{answer}");
        assert!(
            answer.contains("\r\nLocation: https://example.com/abc\r\n"),
            "{answer}"
        );
    }
    assert_eq!(secure.edge.scans.all().len(), 2);
    secure.handshakes("full", 2.0);
}

#[test]
fn an_older_version_is_not_spoken() {
    let secure = Secure::start();
    let mut socket = TcpStream::connect(secure.edge.server.tls_addresses()[0]).unwrap();
    // RFC 4346 7.4.1.2: a client hello of TLS 1.1, with one cipher suite and no extension.
    let mut hello = vec![0x16, 3, 1, 0, 45, 1, 0, 0, 41, 3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0, 0x2f, 1, 0]);
    socket.write_all(&hello).unwrap();
    let mut alert = Vec::new();
    socket.read_to_end(&mut alert).unwrap();
    assert_eq!(alert[0], 21, "an alert: {alert:?}");
    // RFC 8446 6.2: fatal; handshake_failure, since it looks for a common cipher suite first, or protocol_version.
    assert!(alert[5] == 2 && [40, 70].contains(&alert[6]), "{alert:?}");
}

#[test]
fn keys_are_agreed_on_in_the_group_that_the_client_has() {
    let secure = Secure::start();
    let groups = [
        (kx_group::X25519MLKEM768, NamedGroup::X25519MLKEM768),
        (kx_group::X25519, NamedGroup::X25519),
        (kx_group::SECP256R1, NamedGroup::secp256r1),
        (kx_group::SECP384R1, NamedGroup::secp384r1),
    ];
    for (group, name) in groups {
        let mut provider = aws_lc_rs::default_provider();
        provider.kx_groups = vec![group];
        let mut roots = rustls::RootCertStore::empty();
        roots.add(secure.authority.root()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = connect(&secure, config, HOST);
        assert_eq!(client.group(), name);
        assert!(client.ask("/abc", HOST).starts_with("HTTP/1.1 302"));
    }
}

#[test]
fn the_protocol_is_agreed_on_and_an_unknown_one_alone_is_refused() {
    let secure = Secure::start();
    let offer = |protocols: &[&[u8]]| {
        let mut config = secure.authority.client(&[&TLS13]);
        config.alpn_protocols = protocols.iter().map(|p| p.to_vec()).collect();
        TlsClient::connect(secure.edge.server.tls_addresses()[0], config, HOST)
    };
    let agreed = |protocols: &[&[u8]]| offer(protocols).unwrap().alpn().map(<[u8]>::to_vec);
    assert_eq!(agreed(&[]), None);
    assert_eq!(agreed(&[b"http/1.1"]), Some(b"http/1.1".to_vec()));
    assert!(offer(&[b"imap"]).is_err(), "RFC 7301 3.2");
}

#[test]
fn a_certificate_is_shown_for_its_names_and_the_default_one_for_all_others() {
    let secure = Secure::start();
    let make = |names: &[&str], file: &str| {
        let made = secure.authority.make(names);
        made.write(&secure.folder, file);
        der(&made)
    };
    let default = der(&Made {
        certificate: std::fs::read_to_string(secure.folder.join("default.crt")).unwrap(),
        key: String::new(),
    });
    let exact = make(&["a.example.net"], "a");
    let wild = make(&["*.example.net", "Example.net"], "b");
    secure.tls.reload();
    let shown = |name: &str| shown(&secure, name);
    for (name, expected) in [
        ("a.example.net", &exact),
        ("A.EXAMPLE.net", &exact),
        ("b.example.net", &wild),
        ("example.net", &wild),
        ("c.b.example.net", &default),
        (HOST, &default),
        ("unknown.example", &default),
        ("127.0.0.1", &default), // RFC 6066 3: addresses are no server names, so that none is sent
    ] {
        assert!(&shown(name) == expected, "{name}");
    }
    assert_eq!(secure.metric("tagwire_edge_certificates", ""), 3.0);
}

#[test]
fn of_several_certificates_for_a_name_the_one_that_is_good_for_the_longest_is_shown() {
    let secure = Secure::start();
    let (name, wildcard) = ("a.example.net", "*.example.net");
    let mut made = Vec::new();
    for (file, years, of) in [
        ("a", 2020..2070, name),
        ("b", 2020..2080, name),
        ("c", 2010..2020, name),
        ("d", 2020..2075, wildcard),
        ("e", 2080..2090, name), // waits for its time
    ] {
        made.push(secure.authority.make_valid(years, &[of]));
        made.last().unwrap().write(&secure.folder, file);
    }
    secure.tls.reload();
    let shown = || shown(&secure, name);
    assert!(shown() == der(&made[1]));
    for file in ["b.crt", "b.key"] {
        std::fs::remove_file(secure.folder.join(file)).unwrap();
    }
    secure.tls.reload();
    assert!(shown() == der(&made[3]), "exact or not");
}

#[test]
fn in_the_place_of_a_default_certificate_that_is_not_valid_now_another_is_shown() {
    let secure = Secure::start();
    let make = |years, name: &str, file: &str| {
        let made = secure.authority.make_valid(years, &[name]);
        made.write(&secure.folder, file);
        der(&made)
    };
    let shown = || ["127.0.0.1", "unknown.example"].map(|name| shown(&secure, name));
    let expired = make(2000..2010, HOST, "default");
    secure.tls.reload();
    assert!(shown() == [expired.clone(), expired], "there is no other");
    make(2000..2010, "a.example.net", "a");
    let valid = make(2000..2090, "b.example.net", "b");
    secure.tls.reload();
    assert!(shown() == [valid.clone(), valid], "any that is valid");
    let for_its_name = make(2000..2090, HOST, "c");
    secure.tls.reload();
    assert!(shown() == [for_its_name.clone(), for_its_name]);
    let default = make(2000..2090, "d.example.net", "default");
    secure.tls.reload();
    assert!(shown() == [default.clone(), default], "it is valid again");
}

/// Without the rights of the administrator, who can look into everything.
fn without_rights(look: impl FnOnce() + Send) {
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut held = capabilities(None).unwrap();
            held.effective = CapabilitySet::empty();
            set_capabilities(None, held).unwrap();
            look();
        });
    });
}

#[test]
fn a_folder_that_cannot_be_looked_into_is_refused_alone() {
    let secure = Secure::start();
    let open_up = |folder: &Path, mode| {
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let inside = secure.folder.join("inside");
    std::fs::create_dir(&inside).unwrap();
    let served = secure.authority.make(&["a.example.net"]);
    served.write(&inside, "a");
    secure.tls.reload();
    let shown = |name: &str| shown(&secure, name);
    open_up(&inside, 0o000);
    let other = secure.authority.make(&["b.example.net"]);
    other.write(&secure.folder, "b");
    for _ in 0..3 {
        without_rights(|| secure.tls.look());
    }
    assert_eq!(secure.metric("tagwire_edge_certificates_refused", ""), 1.0);
    assert!(shown("b.example.net") == der(&other), "what is beside it");
    assert!(shown("a.example.net") == der(&served), "from before");
    without_rights(|| {
        let opened = Tls::open(&TlsOptions::new(&secure.folder), &Registry::new());
        assert!(opened.is_ok(), "a start goes on without it");
    });
    open_up(&inside, 0o755);
    secure.tls.look();
    assert_eq!(secure.metric("tagwire_edge_certificates_refused", ""), 0.0);
}

#[test]
fn a_client_comes_back_to_any_edge_that_has_the_keys() {
    let keys = tempfile::tempdir().unwrap();
    std::fs::write(keys.path().join("2026-11-24.key"), [1; 80]).unwrap();
    let shared = |options: &mut TlsOptions| options.ticket_keys = Some(keys.path().to_owned());
    let one = Secure::with(shared, |_| {});
    // The same certificates and the same keys: another edge of the cluster.
    let two = Secure::with(
        |options| {
            shared(options);
            options.certificates.clone_from(&one.folder);
        },
        |_| {},
    );
    for versions in VERSIONS {
        let config = Arc::new(one.authority.client(versions));
        let visit = |secure: &Secure| {
            let address = secure.edge.server.tls_addresses()[0];
            let client = TlsClient::with(address, &config, HOST).unwrap();
            let resumed = client.is_resumed();
            assert!(client.ask("/abc", HOST).starts_with("HTTP/1.1 302"));
            resumed
        };
        assert!(!visit(&one), "the first time");
        assert!(visit(&one), "to the same");
        assert!(visit(&two), "to another");
        // A newer key opens tickets from now on, and makes them when the others have had time to see it.
        std::fs::write(keys.path().join("2026-11-25.key"), [2; 48]).unwrap();
        two.tls.look();
        assert!(visit(&two), "by the older key");
        assert!(visit(&one), "who has not seen the newer key");
        one.tls.look();
        assert!(visit(&two) && visit(&one), "both have both");
        std::fs::remove_file(keys.path().join("2026-11-25.key")).unwrap();
        one.tls.look();
        two.tls.look();
    }
    assert_eq!(two.metric("tagwire_edge_ticket_keys", ""), 1.0);
    assert!(two.metric("tagwire_edge_tls_handshakes_total", "resumed") > 0.0);
}

#[test]
fn a_client_comes_back_where_keys_are_made_in_memory() {
    let secure = Secure::start();
    for versions in VERSIONS {
        let config = Arc::new(secure.authority.client(versions));
        let visits = [0; 3].map(|_| {
            let address = secure.edge.server.tls_addresses()[0];
            let client = TlsClient::with(address, &config, HOST).unwrap();
            let resumed = client.is_resumed();
            assert!(client.ask("/abc", HOST).starts_with("HTTP/1.1 302"));
            resumed
        });
        assert_eq!(visits, [false, true, true]);
    }
}

#[test]
fn a_key_that_is_none_is_refused_and_those_from_before_are_used() {
    let keys = tempfile::tempdir().unwrap();
    let open = || {
        let secure = Secure::start();
        let options = TlsOptions {
            ticket_keys: Some(keys.path().to_owned()),
            ..TlsOptions::new(&secure.folder)
        };
        Tls::open(&options, &Registry::new())
            .map(|_| ())
            .map_err(|e| e.to_string())
    };
    assert!(
        open().unwrap_err().contains("openssl rand -out"),
        "none at all"
    );
    std::fs::write(keys.path().join("a.key"), [1; 79]).unwrap();
    let message = open().unwrap_err();
    assert!(message.contains("a.key has 79 bytes"), "{message}");
    std::fs::write(keys.path().join("a.key"), [1; 80]).unwrap();
    let secure = Secure::with(
        |options| options.ticket_keys = Some(keys.path().to_owned()),
        |_| {},
    );
    std::fs::write(keys.path().join("b.key"), [1; 10]).unwrap();
    secure.tls.look();
    assert_eq!(secure.metric("tagwire_edge_ticket_keys_refused", ""), 1.0);
    assert_eq!(secure.metric("tagwire_edge_ticket_keys", ""), 1.0);
    std::fs::write(keys.path().join("b.key"), [1; 48]).unwrap();
    std::fs::create_dir(keys.path().join("lost+found")).unwrap();
    secure.tls.look();
    assert_eq!(secure.metric("tagwire_edge_ticket_keys_refused", ""), 0.0);
    assert_eq!(secure.metric("tagwire_edge_ticket_keys", ""), 2.0);
}

#[test]
fn a_certificate_is_replaced_without_a_connection_noticing() {
    let secure = Secure::start();
    let client = || connect(&secure, secure.authority.client(&[&TLS13]), HOST);
    let kept = client();
    let (old, new) = (kept.certificate(), secure.authority.make(&[HOST]));
    std::fs::write(secure.folder.join("default.crt"), &new.certificate).unwrap();
    // Between the two files: neither pair is whole, and it has not come to rest.
    secure.tls.look();
    assert!(client().certificate() == old);
    std::fs::write(secure.folder.join("default.key"), &new.key).unwrap();
    secure.tls.look();
    assert!(client().certificate() == old, "just written");
    secure.tls.look();
    assert!(client().certificate() == der(&new), "at rest");
    assert!(kept.ask("/abc", HOST).starts_with("HTTP/1.1 302"));
    assert_eq!(secure.metric("tagwire_edge_certificates_refused", ""), 0.0);
}

#[test]
fn a_broken_certificate_is_refused_and_the_one_before_stays() {
    let secure = Secure::start();
    let client = || connect(&secure, secure.authority.client(&[&TLS13]), HOST);
    let old = client().certificate();
    let good = std::fs::read(secure.folder.join("default.crt")).unwrap();
    let other = secure.authority.make(&[HOST]);
    let breakages: [(&str, &[u8]); 5] = [
        ("another's", other.certificate.as_bytes()),
        ("cut off", &good[..good.len() / 2]),
        ("empty", b""),
        ("no PEM", b"\x30\x82\x01\x01"),
        ("a key", other.key.as_bytes()),
    ];
    for (what, bytes) in breakages {
        std::fs::write(secure.folder.join("default.crt"), bytes).unwrap();
        secure.tls.reload();
        assert_eq!(
            secure.metric("tagwire_edge_certificates_refused", ""),
            1.0,
            "{what}"
        );
        assert!(client().certificate() == old, "{what}");
    }
    std::fs::remove_file(secure.folder.join("default.crt")).unwrap();
    secure.tls.reload();
    assert!(client().certificate() == old, "without its certificate");
    std::fs::remove_file(secure.folder.join("default.key")).unwrap();
    secure.tls.reload();
    assert!(client().certificate() == old, "an empty folder");
    std::fs::write(secure.folder.join("default.crt"), good).unwrap();
    std::fs::write(secure.folder.join("default.key"), other.key).unwrap();
    secure.tls.reload();
    assert!(client().certificate() == old, "with another's key");
    other_pair(&secure).write(&secure.folder, "default");
    secure.tls.reload();
    assert_eq!(secure.metric("tagwire_edge_certificates_refused", ""), 0.0);
    assert!(client().certificate() != old, "good again");
}

fn other_pair(secure: &Secure) -> Made {
    secure.authority.make(&[HOST])
}

#[test]
fn a_start_with_a_broken_certificate_names_the_file_and_the_reason() {
    let secure = Secure::start();
    let open = |folder: &Path| {
        let opened = Tls::open(&TlsOptions::new(folder), &Registry::new());
        opened.map(|_| ()).unwrap_err().to_string()
    };
    let folder = &secure.folder;
    std::fs::copy(folder.join("default.crt"), folder.join("lonely.crt")).unwrap();
    let message = open(folder);
    assert!(message.contains("lonely.crt has no key"), "{message}");
    std::fs::rename(folder.join("lonely.crt"), folder.join("z.crt")).unwrap();
    std::fs::write(folder.join("z.key"), other_pair(&secure).key).unwrap();
    let message = open(folder);
    assert!(
        message.contains("z.crt and ")
            && message.contains("z.key: ")
            && message.contains("KeyMismatch"),
        "{message}"
    );
    let message = open(&folder.join("nowhere"));
    assert!(
        message.contains("reading the folder ") && message.contains("nowhere"),
        "{message}"
    );
    let empty = tempfile::tempdir().unwrap();
    let message = open(empty.path());
    assert!(
        message.contains("holds no certificate; put NAME.crt"),
        "{message}"
    );
}

#[test]
fn what_is_no_handshake_is_closed_and_counted() {
    let secure = Secure::start();
    let garbage: [&[u8]; 5] = [
        b"GET /abc HTTP/1.1\r\nHost: qr.example.com\r\n\r\n",
        b"\x16\x03\x01\xff\xff\x01\x00\xff\xff",
        &[0; 64],
        &[0xff; 64],
        b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03",
    ];
    for bytes in garbage {
        let mut socket = TcpStream::connect(secure.edge.server.tls_addresses()[0]).unwrap();
        socket.write_all(bytes).unwrap();
        socket.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        // It may be a reset, as there may be bytes that nobody has read.
        let _ = socket.read_to_end(&mut answer);
        assert!(
            answer.is_empty() || answer[0] == 21,
            "an alert or nothing: {answer:?}"
        );
    }
    secure.handshakes("failed", 5.0);
    assert!(secure.edge.scans.all().is_empty());
}

#[test]
fn a_handshake_that_takes_too_long_is_closed() {
    let secure = Secure::with(
        |options| options.handshake = Duration::from_millis(300),
        |_| {},
    );
    let mut socket = TcpStream::connect(secure.edge.server.tls_addresses()[0]).unwrap();
    socket.write_all(b"\x16\x03\x01\x02\x00").unwrap();
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    assert!(answer.is_empty(), "{answer:?}");
    secure.handshakes("timed_out", 1.0);
}

#[test]
fn a_shutdown_says_the_end_to_idle_clients_and_answers_the_one_that_is_asking() {
    let secure = Secure::start();
    let connect = || connect(&secure, secure.authority.client(&[&TLS13]), HOST);
    let request = format!("GET /abc HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    let (mut idle, mut asking) = (connect(), connect());
    for client in [&mut idle, &mut asking] {
        client.send(request.as_bytes());
        assert!(client.receive().starts_with(b"HTTP/1.1 302"));
    }
    asking.send(&request.as_bytes()[..20]);
    // What was sent before has been taken in by both workers: each of these has been answered after it.
    for _ in 0..20 {
        assert!(connect().ask("/abc", HOST).starts_with("HTTP/1.1 302"));
    }
    let server = secure.edge.server;
    let ending = thread::spawn(move || server.shutdown(Duration::from_secs(20)));
    assert!(idle.receive().is_empty());
    asking.send(&request.as_bytes()[20..]);
    let last = asking.receive();
    assert!(
        String::from_utf8(last)
            .unwrap()
            .contains("\r\nConnection: close\r\n")
    );
    assert!(asking.receive().is_empty());
    drop((idle, asking));
    assert_eq!(ending.join().unwrap(), Drained::Finished);
}

#[test]
fn a_shutdown_does_not_wait_for_half_a_handshake() {
    let secure = Secure::with(
        |options| options.handshake = Duration::from_secs(60),
        |options| options.limits.head = Duration::from_secs(60),
    );
    let address = secure.edge.server.tls_addresses()[0];
    let mut socket = TcpStream::connect(address).unwrap();
    socket.write_all(b"\x16").unwrap();
    let drained = secure.edge.server.shutdown(Duration::from_secs(20));
    assert_eq!(drained, Drained::Finished);
}

#[test]
fn a_domain_sends_plain_http_to_https_and_says_hsts_there() {
    let secure = Secure::with(|_| {}, |options| options.site.https_port = 8443);
    secure.edge.table.apply(Change::Domain(DomainSettings {
        https_redirect: true,
        hsts: Some(Hsts {
            max_age: 300,
            include_subdomains: true,
        }),
        ..domain(BRAND)
    }));
    for (path, target) in [
        ("/abc?x=1", "/abc?x=1"),
        ("/", "/"),
        ("//evil.example/%2e", "//evil.example/%2e"),
        ("/robots.txt", "/robots.txt"),
    ] {
        let answer = secure
            .edge
            .get(&format!("GET {path} HTTP/1.1\r\nHost: {BRAND}:80\r\n\r\n"));
        assert_eq!(answer.status, 301, "{path}");
        assert_eq!(
            answer.field("Location"),
            Some(&*format!("https://{BRAND}:8443{target}"))
        );
        assert_eq!(answer.field("Cache-Control"), Some("no-store"));
        assert_eq!(
            answer.field("Strict-Transport-Security"),
            None,
            "RFC 6797 7.2"
        );
    }
    let health = secure
        .edge
        .get(&format!("GET /healthz HTTP/1.1\r\nHost: {BRAND}\r\n\r\n"));
    assert_eq!(health.status, 200, "load balancers ask without TLS");
    let posted = secure
        .edge
        .get(&format!("POST /abc HTTP/1.1\r\nHost: {BRAND}\r\n\r\n"));
    assert_eq!(posted.status, 405);
    let other = secure
        .edge
        .get(&format!("GET /abc HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    assert_eq!(other.status, 302, "another domain");
    let over_tls = connect(&secure, secure.authority.client(&[&TLS13]), BRAND).ask("/abc", BRAND);
    assert!(over_tls.starts_with("HTTP/1.1 302"), "{over_tls}");
    assert!(
        over_tls.contains("\r\nStrict-Transport-Security: max-age=300; includeSubDomains\r\n"),
        "{over_tls}"
    );
    // That of the redirect to HTTPS is no scan.
    assert_eq!(secure.edge.scans.all().len(), 2);
}

#[test]
fn what_a_site_answers_over_tls_says_hsts_too_unless_the_site_has() {
    let site = Site::start(|got| match got.path() {
        "/own" => Reply::Send(
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nStrict-Transport-Security: max-age=1\r\n\r\n"
                .to_vec(),
        ),
        "/broken" => Reply::SendAndClose(b"none".to_vec()),
        path => ok(path),
    });
    let secure = Secure::with(|_| {}, upstream::opened);
    secure.edge.table.apply(Change::Domain(DomainSettings {
        hsts: Some(Hsts {
            max_age: 300,
            include_subdomains: false,
        }),
        ..upstream::settings(BRAND, &site.url())
    }));
    for (path, status, said) in [
        ("/page/1", "200", "max-age=300"),
        ("/own", "200", "max-age=1"),
        ("/broken", "502", "max-age=300"),
    ] {
        let client = connect(&secure, secure.authority.client(&[&TLS13]), BRAND);
        let answer = client.ask(path, BRAND).to_ascii_lowercase();
        assert!(
            answer.starts_with(&format!("http/1.1 {status}")),
            "{answer}"
        );
        let field = format!("\r\nstrict-transport-security: {said}\r\n");
        assert_eq!(answer.matches("strict-transport").count(), 1, "{answer}");
        assert!(answer.contains(&field), "{path}: {answer}");
    }
    let plain = secure
        .edge
        .get(&format!("GET /page/1 HTTP/1.1\r\nHost: {BRAND}\r\n\r\n"));
    assert_eq!(
        (plain.status, plain.field("Strict-Transport-Security")),
        (200, None)
    );
}

/// Takes every certificate.
#[derive(Debug)]
struct Anyone;

impl rustls::client::danger::ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &rustls::pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        let provider = aws_lc_rs::default_provider();
        provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
