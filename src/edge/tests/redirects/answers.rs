//! `answer`, in every case that a request can be.

use std::net::Ipv4Addr;

use edge::{Answer, Body, Fields, Host, Method, Page, Request, RequestFacts, Site, answer};
use jiff::Timestamp;
use tags::Outcome;

use crate::fixture::{BRAND, CASELESS, HOST, Sources, filling_table, table};

/// What of an answer the table tells: status, Location, body, and outcome and version of the scan that it is.
type Row<'a> = (u16, Option<&'a str>, Body, Option<(Outcome, u64)>);

const NOW: &str = "2026-11-25T10:00:00Z";

fn site() -> Site {
    Site::default()
}

fn facts<'a>(
    request: &Request<'a>,
    fields: &'a Fields<'a>,
    sources: &'a Sources,
) -> RequestFacts<'a> {
    RequestFacts::new(request, fields, Ipv4Addr::LOCALHOST.into(), sources.all())
}

fn with_answer<R>(
    table: &table::Table,
    site: &Site,
    method: Method,
    host: Option<&str>,
    target: &str,
    look: impl FnOnce(Answer<'_>) -> R,
) -> R {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let request = Request {
        method,
        host: host.map(|host| Host::parse(host).unwrap()),
        tls: false,
        path,
        query,
    };
    let state = table.load();
    let view = state.pin();
    let (fields, sources) = (Fields::default(), Sources::default());
    look(answer(
        &request,
        &facts(&request, &fields, &sources),
        &view,
        NOW.parse::<Timestamp>().unwrap(),
        site,
        false,
        |_| None,
    ))
}

#[track_caller]
fn check(method: Method, host: &str, target: &str, expected: Row<'_>) {
    with_answer(&table(), &site(), method, Some(host), target, |answer| {
        let scan = answer
            .scan
            .as_ref()
            .map(|scan| (scan.outcome, scan.tag_version));
        assert_eq!(
            (answer.status, answer.location.as_deref(), answer.body, scan),
            expected,
            "{method:?} {host}{target}"
        );
    });
}

#[track_caller]
fn get(host: &str, target: &str, expected: Row<'_>) {
    check(Method::Get, host, target, expected);
    check(Method::Head, host, target, expected);
}

fn page(page: Page) -> Body {
    Body::Page(page)
}

#[test]
fn an_active_tag_redirects_with_its_own_status() {
    for (code, status) in [
        ("abc", 302),
        ("moved", 301),
        ("kept", 308),
        ("other", 303),
        ("same", 307),
    ] {
        let location = format!("https://example.com/{code}");
        get(
            HOST,
            &format!("/{code}"),
            (
                status,
                Some(&location),
                Body::Empty,
                Some((Outcome::Redirected, 1)),
            ),
        );
    }
}

#[test]
fn a_code_is_found_under_each_of_its_paths() {
    for path in ["/abc", "/abc/", "/q/abc", "/q/abc/", "/%61b%63"] {
        get(
            HOST,
            path,
            (
                302,
                Some("https://example.com/abc"),
                Body::Empty,
                Some((Outcome::Redirected, 1)),
            ),
        );
    }
}

#[test]
fn only_a_permanent_redirect_may_be_kept_and_only_by_the_client() {
    for (code, max_age) in [
        ("abc", None),
        ("moved", Some(3600)),
        ("kept", Some(60)),
        ("paused", None),
        ("nowhere", None),
    ] {
        let given = with_answer(
            &table(),
            &site(),
            Method::Get,
            Some(HOST),
            &format!("/{code}"),
            |answer| answer.max_age,
        );
        assert_eq!(given, max_age, "{code}");
    }
}

#[test]
fn the_visitors_query_goes_along() {
    get(
        HOST,
        "/abc?a=1",
        (
            302,
            Some("https://example.com/abc?a=1"),
            Body::Empty,
            Some((Outcome::Redirected, 1)),
        ),
    );
}

#[test]
fn an_unknown_code_is_not_found_or_gets_its_domains_fallback() {
    get(
        HOST,
        "/nowhere",
        (404, None, page(Page::NotFound), Some((Outcome::Unknown, 0))),
    );
    get(
        BRAND,
        "/nowhere",
        (
            302,
            Some("https://brand.example.org/lost"),
            Body::Empty,
            Some((Outcome::Fallback, 0)),
        ),
    );
}

#[test]
fn what_may_come_back_is_not_found_and_what_will_not_is_gone() {
    get(
        HOST,
        "/paused",
        (404, None, page(Page::Paused), Some((Outcome::Paused, 1))),
    );
    get(
        HOST,
        "/soon",
        (
            404,
            None,
            page(Page::Scheduled),
            Some((Outcome::Scheduled, 1)),
        ),
    );
    get(
        HOST,
        "/ended",
        (410, None, page(Page::Expired), Some((Outcome::Expired, 1))),
    );
    get(
        HOST,
        "/revoked",
        (410, None, page(Page::Revoked), Some((Outcome::Revoked, 1))),
    );
}

#[test]
fn a_fallback_is_the_tags_or_the_workspaces() {
    get(
        HOST,
        "/instead",
        (
            302,
            Some("https://example.com/instead"),
            Body::Empty,
            Some((Outcome::Fallback, 1)),
        ),
    );
    get(
        BRAND,
        "/paused",
        (
            302,
            Some("https://brand.example.org/workspace"),
            Body::Empty,
            Some((Outcome::Fallback, 1)),
        ),
    );
}

#[test]
fn what_is_no_code_is_answered_as_an_unknown_one_and_is_no_scan() {
    for path in [
        "/a.b",
        "/a/b",
        "//",
        "//abc",
        "/../abc",
        "/%zz",
        "/%2e%2e/abc",
        "/q",
        "/q/",
        "/abc%00",
        "/*",
    ] {
        get(HOST, path, (404, None, page(Page::NotFound), None));
        get(
            BRAND,
            path,
            (
                302,
                Some("https://brand.example.org/lost"),
                Body::Empty,
                None,
            ),
        );
    }
    get(
        HOST,
        &format!("/{}", "x".repeat(65)),
        (404, None, page(Page::NotFound), None),
    );
}

#[test]
fn an_unknown_host_is_misdirected_whatever_it_asks_for() {
    for path in ["/", "/abc", "/robots.txt", "/a.b"] {
        get(
            "unknown.example",
            path,
            (421, None, page(Page::Misdirected), None),
        );
    }
    check(
        Method::Registered,
        "unknown.example",
        "/abc",
        (421, None, page(Page::Misdirected), None),
    );
}

#[test]
fn a_host_is_the_same_in_every_spelling() {
    for host in [
        "QR.EXAMPLE.COM",
        "qr.example.com:8080",
        "qr.example.com.",
        "qr.example.com.:80",
    ] {
        get(
            host,
            "/abc",
            (
                302,
                Some("https://example.com/abc"),
                Body::Empty,
                Some((Outcome::Redirected, 1)),
            ),
        );
    }
    get(
        "[2001:DB8:0::1]:8080",
        "/abc",
        (
            302,
            Some("https://example.com/abc"),
            Body::Empty,
            Some((Outcome::Redirected, 1)),
        ),
    );
}

#[test]
fn no_host_means_the_default_domain() {
    let status = with_answer(&table(), &site(), Method::Get, None, "/abc", |answer| {
        answer.status
    });
    assert_eq!(status, 302);
}

#[test]
fn the_default_domain_answers_any_host_where_it_may_and_as_long_as_it_is_the_only_one() {
    let alone = table::Table::new();
    alone.apply(tags::Change::Domain(crate::fixture::domain(HOST)));
    alone.apply(tags::Change::Tag(crate::fixture::tag(HOST, "abc")));
    alone.complete();
    let (strict, any_host) = (
        site(),
        Site {
            any_host: true,
            ..site()
        },
    );
    let status = |table: &table::Table, site: &Site| {
        with_answer(
            table,
            site,
            Method::Get,
            Some("192.168.1.7:8080"),
            "/abc",
            |answer| answer.status,
        )
    };
    assert_eq!(status(&alone, &any_host), 302);
    assert_eq!(status(&alone, &strict), 421);
    assert_eq!(status(&table(), &any_host), 421);
}

#[test]
fn other_methods_are_not_allowed_and_unknown_ones_not_implemented() {
    for path in ["/abc", "/", "/nowhere", "/robots.txt", "/healthz", "*", ""] {
        check(
            Method::Registered,
            HOST,
            path,
            (405, None, page(Page::MethodNotAllowed), None),
        );
        check(
            Method::Unknown,
            HOST,
            path,
            (501, None, page(Page::NotImplemented), None),
        );
    }
}

#[test]
fn a_domain_answers_its_own_paths_itself_and_they_are_no_scans() {
    get(HOST, "/", (200, None, page(Page::Home), None));
    get(
        BRAND,
        "/",
        (302, Some("https://brand.example.org/"), Body::Empty, None),
    );
    get(
        HOST,
        "/robots.txt",
        (200, None, Body::Text("User-agent: *\nDisallow: /\n"), None),
    );
    get(HOST, "/favicon.ico", (204, None, Body::Empty, None));
    get(
        "unknown.example",
        "/healthz",
        (200, None, Body::Text("ok"), None),
    );
}

#[test]
fn while_draining_the_health_check_alone_says_so() {
    let state = table();
    let state = state.load();
    let view = state.pin();
    for (path, status) in [("/healthz", 503), ("/abc", 302)] {
        let request = Request {
            tls: false,
            method: Method::Get,
            host: Host::parse(HOST),
            path,
            query: "",
        };
        let (fields, sources, now) = (Fields::default(), Sources::default(), Timestamp::UNIX_EPOCH);
        let facts = facts(&request, &fields, &sources);
        let given = answer(&request, &facts, &view, now, &site(), true, |_| None);
        assert_eq!(given.status, status);
    }
}

#[test]
fn before_the_table_is_complete_no_code_and_no_host_is_said_to_be_unknown() {
    for (host, path) in [
        (HOST, "/abc"),
        (HOST, "/nowhere"),
        (HOST, "/a.b"),
        ("unknown.example", "/abc"),
    ] {
        let given = with_answer(
            &filling_table(),
            &site(),
            Method::Get,
            Some(host),
            path,
            |answer| (answer.status, answer.retry_after, answer.scan.is_some()),
        );
        assert_eq!(given, (503, Some(1), false), "{host}{path}");
    }
    for (path, status) in [("/healthz", 200), ("/robots.txt", 200), ("/", 200)] {
        let given = with_answer(
            &filling_table(),
            &site(),
            Method::Get,
            Some(HOST),
            path,
            |answer| answer.status,
        );
        assert_eq!(given, status, "{path}");
    }
}

#[test]
fn before_anything_has_been_set_up_nothing_is_said_to_be_unknown() {
    let empty = table::Table::new();
    empty.complete();
    for host in [Some("any.example"), None] {
        assert_eq!(
            with_answer(&empty, &site(), Method::Get, host, "/abc", |answer| answer
                .status),
            503
        );
    }
}

#[test]
fn on_a_case_insensitive_domain_a_code_is_found_and_recorded_in_one_case() {
    for path in ["/abc-9", "/ABC-9", "/q/aBc-9/"] {
        with_answer(
            &table(),
            &site(),
            Method::Get,
            Some(CASELESS),
            path,
            |answer| {
                assert_eq!(answer.status, 302, "{path}");
                assert_eq!(
                    answer.scan.map(|scan| scan.code.into_owned()).as_deref(),
                    Some("abc-9")
                );
            },
        );
    }
    get(
        HOST,
        "/ABC",
        (404, None, page(Page::NotFound), Some((Outcome::Unknown, 0))),
    );
}

#[test]
fn an_unknown_codes_workspace_is_its_domains_or_the_default_one() {
    for (host, workspace) in [(HOST, "default"), (BRAND, "acme")] {
        with_answer(
            &table(),
            &site(),
            Method::Get,
            Some(host),
            "/nowhere",
            |answer| {
                assert_eq!(answer.scan.map(|scan| scan.workspace), Some(workspace));
            },
        );
    }
}
