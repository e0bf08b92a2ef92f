//! More than there may be in a second: 429 on every way in, and nobody else notices.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use edge::RateLimits;
use facts::TrustedProxies;
use table::Table;
use tags::{Change, Limits, Workspace, WorkspaceId};

use crate::certificates::Secure;
use crate::fixture::{BRAND, CASELESS, Client, Edge, HOST, Response, destination, filling_table};
use crate::site::{Site, ok};
use crate::upstream;
use crate::ways_in::{Asked, over_http_1_1, over_http_2};

/// How many requests come at once: more than any limit here.
const MANY: usize = 40;

fn workspace(id: &str, redirects_per_second: Option<u32>) -> Change {
    let limits = Limits {
        redirects_per_second,
        ..Limits::default()
    };
    let id = WorkspaceId::parse(id).unwrap();
    let name = id.to_string();
    let workspace = Workspace::new(id, name, jiff::Timestamp::UNIX_EPOCH);
    Change::Workspace(Workspace {
        limits,
        fallback_url: Some(destination("https://brand.example.org/workspace")),
        ..workspace
    })
}

/// The fixture's table, where the workspace `acme` may have so many redirects a second.
fn acme_with(redirects_per_second: u32) -> Arc<Table> {
    let table = filling_table();
    table.apply(workspace("acme", Some(redirects_per_second)));
    table.complete();
    table
}

fn limited(limits: RateLimits) -> Edge {
    Edge::with(crate::fixture::table(), |options| {
        options.rate_limits = limits
    })
}

fn per_address(redirects: u32) -> RateLimits {
    RateLimits {
        redirects_per_address: redirects,
        ..RateLimits::NONE
    }
}

fn per_tag(redirects: u32) -> RateLimits {
    RateLimits {
        redirects_per_tag: redirects,
        ..RateLimits::NONE
    }
}

fn unknown_codes(per_address: u32) -> RateLimits {
    RateLimits {
        unknown_codes_per_address: per_address,
        ..RateLimits::NONE
    }
}

/// Asks for this many times, over one connection that has to stay; the answers, and within how many seconds they came.
fn ask(client: &mut Client, host: &str, path: &str) -> (Vec<Response>, f64) {
    let began = Instant::now();
    client.send(
        format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")
            .repeat(MANY)
            .as_bytes(),
    );
    let answers = (0..MANY).map(|_| client.response(false).unwrap());
    let answers: Vec<Response> = answers.collect();
    (answers, began.elapsed().as_secs_f64())
}

fn with_status(answers: &[Response], status: u16) -> usize {
    answers.iter().filter(|one| one.status == status).count()
}

/// A second's worth, and what came by while they were asked for; all others are refused by this limit.
#[track_caller]
fn check((answers, seconds): &(Vec<Response>, f64), limit: &str, rate: u32, status: u16) {
    let (answered, refused) = (with_status(answers, status), with_status(answers, 429));
    assert_eq!(answered + refused, MANY, "{answers:?}");
    let most = f64::from(rate) * (1.0 + seconds);
    let right = answered >= rate as usize && answered as f64 <= most;
    assert!(right, "{answered} in {seconds} s, at {rate} a second");
    let mut refusals = answers.iter().filter(|one| one.status == 429);
    assert!(refusals.all(|one| {
        let policy = format!("\"{limit}\";q={rate};w=1");
        one.field("RateLimit-Policy") == Some(&policy)
            && one.field("RateLimit") == Some(&format!("\"{limit}\";r=0;t=1"))
            && one.field("Retry-After") == Some("1")
    }));
}

/// Waits until so many refusals by a limit are shown.
#[track_caller]
fn counted(edge: &Edge, limit: &str, wanted: usize) {
    let series = format!("tagwire_edge_limited_total{{limit=\"{limit}\"}}");
    let deadline = Instant::now() + Duration::from_secs(20);
    while edge.shown(&series) != wanted as f64 {
        let shown = edge.shown(&series);
        assert!(Instant::now() < deadline, "{shown} instead of {wanted}");
        std::thread::yield_now();
    }
}

#[test]
fn a_workspace_gets_what_it_may_have_and_others_all_that_they_ask_for() {
    let edge = Edge::with(acme_with(5), |_| {});
    let mut client = edge.connect();
    let of_acme = ask(&mut client, BRAND, "/abc");
    check(&of_acme, "workspace", 5, 302);
    let others = ask(&mut client, HOST, "/abc");
    assert_eq!(with_status(&others.0, 302), MANY);
    // Its other tags have no more, whatever becomes of them; its unknown codes are nobody's redirects.
    let paused = ask(&mut client, BRAND, "/paused");
    assert!(with_status(&paused.0, 429) > 0);
    let unknown = ask(&mut client, BRAND, "/nowhere");
    assert_eq!(
        with_status(&unknown.0, 302),
        MANY,
        "to the domain's fallback"
    );

    // As Retry-After says.
    sleep(Duration::from_secs(1));
    let again = ask(&mut client, BRAND, "/abc");
    check(&again, "workspace", 5, 302);

    // Refusals are no scans.
    let (refused, answered) = [&of_acme, &paused, &again]
        .iter()
        .map(|(answers, _)| {
            let refused = with_status(answers, 429);
            (refused, MANY - refused)
        })
        .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    let scans = edge.scans.all();
    let of_acme = scans
        .iter()
        .filter(|scan| scan.domain == BRAND && scan.code != "nowhere");
    assert_eq!(of_acme.count(), answered);
    assert_eq!(scans.len(), answered + 2 * MANY);
    counted(&edge, "workspace", refused);
    for limit in ["tag", "address", "unknown_code"] {
        counted(&edge, limit, 0);
    }

    // A limit that is taken away is gone.
    edge.table.apply(workspace("acme", None));
    let free = ask(&mut client, BRAND, "/abc");
    assert_eq!(with_status(&free.0, 302), MANY);
}

#[test]
fn a_refusal_is_a_small_page_or_problem_on_a_connection_that_stays() {
    let edge = Edge::with(acme_with(1), |_| {});
    let mut client = edge.connect();
    ask(&mut client, BRAND, "/abc");
    let mut refused = |method: &str, accept: &str| loop {
        let head = format!("{method} /abc HTTP/1.1\r\nHost: {BRAND}\r\nAccept: {accept}\r\n\r\n");
        client.send(head.as_bytes());
        // One is let through each second.
        let answer = client.response(method == "HEAD").unwrap();
        if answer.status == 429 {
            break answer;
        }
    };
    let page = refused("GET", "text/html");
    assert!(page.head.starts_with("HTTP/1.1 429 Too Many Requests\r\n"));
    assert_eq!(page.field("Content-Type"), Some("text/html; charset=utf-8"));
    assert_eq!(page.field("Cache-Control"), Some("no-store"));
    assert_eq!(page.field("Connection"), None);
    assert!(page.body.contains("Try again in a moment"), "{}", page.body);
    let problem = refused("GET", "application/json");
    assert_eq!(
        problem.field("Content-Type"),
        Some("application/problem+json")
    );
    let body: serde_json::Value = serde_json::from_str(&problem.body).unwrap();
    assert_eq!(body["status"], 429);
    let head = refused("HEAD", "text/html");
    assert_eq!(head.field("Content-Length"), page.field("Content-Length"));
}

#[test]
fn a_tag_has_a_limit_of_its_own_in_every_spelling_and_uses_up_no_more_of_its_workspace_s() {
    let edge = Edge::with(acme_with(20), |options| options.rate_limits = per_tag(3));
    let mut client = edge.connect();
    check(&ask(&mut client, BRAND, "/abc"), "tag", 3, 302);
    check(&ask(&mut client, HOST, "/abc"), "tag", 3, 302);
    // Of the workspace's 20, its first tag has had few.
    check(&ask(&mut client, BRAND, "/paused"), "tag", 3, 302);
    let spelt = ["/abc-9", "/ABC-9", "/Abc-9", "/q/aBC-9", "/%61bc-9"];
    let began = Instant::now();
    let answers: Vec<Response> = spelt
        .iter()
        .cycle()
        .take(MANY)
        .map(|path| {
            client.send(format!("GET {path} HTTP/1.1\r\nHost: {CASELESS}\r\n\r\n").as_bytes());
            client.response(false).unwrap()
        })
        .collect();
    let seconds = began.elapsed().as_secs_f64();
    check(&(answers, seconds), "tag", 3, 302);
}

#[test]
fn an_address_has_a_limit_of_its_own_and_uses_up_no_tag_s_share() {
    let limits = RateLimits {
        redirects_per_tag: 20,
        ..per_address(4)
    };
    let edge = limited(limits);
    let (a, b) = (Ipv4Addr::new(127, 1, 1, 1), Ipv4Addr::new(127, 1, 1, 2));
    for address in [a, b] {
        let mut client = Client::connect_from(IpAddr::V4(address), edge.server.addresses()[0]);
        check(&ask(&mut client, HOST, "/abc"), "address", 4, 302);
        // What has no tag is not limited by this.
        assert_eq!(
            with_status(&ask(&mut client, HOST, "/nowhere").0, 404),
            MANY
        );
    }
}

#[test]
fn guesses_are_limited_by_default_and_codes_that_exist_are_not() {
    let edge = limited(RateLimits::default());
    let mut client = edge.connect();
    let guesses = ask(&mut client, HOST, "/nowhere");
    check(&guesses, "unknown_code", 10, 404);
    for (path, status) in [
        ("/abc", 302),
        ("/revoked", 410),
        ("/", 200),
        ("/healthz", 200),
        ("/robots.txt", 200),
        ("/favicon.ico", 204),
        ("/no.code", 404),
    ] {
        let answers = ask(&mut client, HOST, path).0;
        assert_eq!(with_status(&answers, status), MANY, "{path}");
    }
    let mut other = Client::connect_from(
        Ipv4Addr::new(127, 1, 1, 3).into(),
        edge.server.addresses()[0],
    );
    check(&ask(&mut other, HOST, "/nowhere"), "unknown_code", 10, 404);
    let unknown = edge.scans.all();
    let unknown = unknown.iter().filter(|scan| scan.code == "nowhere").count();
    assert!(unknown < 2 * MANY, "{unknown} are recorded");
}

#[test]
fn whom_a_trusted_proxy_names_is_who_asks_and_nobody_stands_for_all() {
    let edge = Edge::with(crate::fixture::table(), |options| {
        options.rate_limits = unknown_codes(2);
        options.trust.proxies = TrustedProxies::new(vec!["127.0.0.0/8".parse().unwrap()]);
    });
    let mut proxy = edge.connect();
    let mut ask_for = |fields: &str| {
        let began = Instant::now();
        let head = format!("GET /nowhere HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n");
        proxy.send(head.repeat(MANY).as_bytes());
        let answers = (0..MANY).map(|_| proxy.response(false).unwrap());
        let answers: Vec<Response> = answers.collect();
        (answers, began.elapsed().as_secs_f64())
    };
    for client in [
        "198.51.100.7",
        "198.51.100.8",
        "2001:db8:7::1",
        "2001:db8:7:1::1",
    ] {
        let answers = ask_for(&format!("X-Forwarded-For: {client}\r\n"));
        check(&answers, "unknown_code", 2, 404);
    }
    // An IPv6 /64 is one customer's: there is nothing left but what has come by since.
    let (answers, _) = ask_for("X-Forwarded-For: 2001:db8:7:1::2\r\n");
    assert!(with_status(&answers, 429) > MANY / 2, "{answers:?}");
    for fields in [
        "",
        "X-Forwarded-For: 127.0.0.9\r\n",
        "Forwarded: for=unknown\r\n",
    ] {
        let (answers, _) = ask_for(fields);
        assert_eq!(with_status(&answers, 404), MANY, "{fields}");
    }
    // Who has the headers contradict each other does not get away by it.
    let answers = ask_for("X-Forwarded-For: 198.51.100.9\r\nForwarded: for=198.51.100.10\r\n");
    check(&answers, "unknown_code", 2, 404);
}

#[test]
fn over_tls_and_http_2_it_is_the_same() {
    let secure = Secure::over(acme_with(1), |_| {}, |_| {});
    let fields = vec![("accept", "application/json")];
    let asked: Vec<Asked> = vec![("GET", "/abc", BRAND, fields); MANY];
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let by_http_2 = runtime.block_on(over_http_2(&secure, &asked));
    let by_tls = asked.iter().map(|one| over_http_1_1(&secure, true, one));
    let by_plain = asked.iter().map(|one| over_http_1_1(&secure, false, one));
    let ways = [by_http_2, by_tls.collect(), by_plain.collect()];
    let mut refusals = ways.map(|answers| {
        let refused = answers.into_iter().find(|(status, ..)| *status == 429);
        refused.expect("more than one a second")
    });
    for (_, fields, _) in &mut refusals {
        fields.remove("date");
        fields.remove("connection");
    }
    assert_eq!(refusals[0].1["ratelimit-policy"], "\"workspace\";q=1;w=1");
    assert_eq!(refusals[0].1["ratelimit"], "\"workspace\";r=0;t=1");
    assert_eq!(refusals[1], refusals[0], "TLS");
    assert_eq!(refusals[2], refusals[0], "plain");
}

#[test]
fn a_site_behind_a_domain_has_its_own_limits_and_the_tags_beside_it_have_these() {
    let site = Site::start(|_| ok("about"));
    let table = upstream::table_with([upstream::settings(upstream::BRAND, &site.url())]);
    let edge = Edge::with(table, |options| {
        upstream::opened(options);
        options.rate_limits = RateLimits {
            unknown_codes_per_address: 1,
            ..per_tag(1)
        };
    });
    let mut client = edge.connect();
    check(&ask(&mut client, upstream::BRAND, "/abc"), "tag", 1, 302);
    // What is no tag is a page of the site.
    for _ in 0..5 {
        client.send(format!("GET /about HTTP/1.1\r\nHost: {}\r\n\r\n", upstream::BRAND).as_bytes());
        assert_eq!(client.response(false).unwrap().status, 200);
    }
}

#[test]
fn limits_that_change_hold_from_the_next_request_on() {
    let edge = limited(RateLimits::NONE);
    let mut client = edge.connect();
    let free = ask(&mut client, HOST, "/abc");
    assert_eq!(with_status(&free.0, 302), MANY);
    edge.server.limit_rates(per_tag(2));
    check(&ask(&mut client, HOST, "/abc"), "tag", 2, 302);
    edge.server.limit_rates(RateLimits::NONE);
    let free = ask(&mut client, HOST, "/abc");
    assert_eq!(with_status(&free.0, 302), MANY);
}
