//! Scans as they come in: streams of events, of the standalone's store.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use analytics::{Row, ScanStore, SqliteStore};
use jiff::{SignedDuration, Timestamp};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

use crate::scanned::{block, row};
use crate::support::{Api, PASSWORD, Server};

/// How long something may take that should come at once, or within seconds.
const DEADLINE: Duration = Duration::from_secs(60);

/// An event as it was received.
#[derive(Debug)]
struct Event {
    name: String,
    id: String,
    data: Value,
}

impl Event {
    /// Lines of a field and a value, as WHATWG HTML §9.2.6 has them.
    fn read(text: &str) -> Self {
        let field = |name: &str| {
            let mut values = text.lines().filter_map(|line| line.strip_prefix(name));
            let value = values.next().unwrap_or_default();
            assert_eq!(values.next(), None, "{text}");
            value.trim_start().to_owned()
        };
        Self {
            name: field("event:"),
            id: field("id:"),
            data: serde_json::from_str(&field("data:")).unwrap(),
        }
    }

    /// When its second began, and its scans.
    fn point(&self) -> (Timestamp, u64) {
        assert_eq!(self.name, "scans", "{self:?}");
        assert_eq!(self.data["start"], self.id);
        let start: Timestamp = self.id.parse().unwrap();
        assert_eq!(start.subsec_nanosecond(), 0);
        assert!(start + SignedDuration::from_secs(1) <= Timestamp::now());
        (start, self.data["scans"].as_u64().unwrap())
    }
}

/// A stream that is open.
struct Stream {
    response: Response,
    text: String,
}

impl Stream {
    async fn open(api: &Api, path: &str) -> Self {
        Self::begin(api.request(Method::GET, path)).await
    }

    async fn resume(api: &Api, path: &str, id: &str) -> Self {
        let request = api.request(Method::GET, path);
        Self::begin(request.header("Last-Event-ID", id)).await
    }

    async fn begin(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        let text = String::new();
        Self { response, text }
    }

    /// The next event; none: the stream has ended.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let event = Event::read(event);
                self.text = rest.to_owned();
                return Some(event);
            }
            let chunk = tokio::time::timeout(DEADLINE, self.response.chunk());
            let chunk = chunk.await.unwrap().unwrap()?;
            self.text += std::str::from_utf8(&chunk).unwrap();
        }
    }

    /// The next points, each a second behind the one before.
    async fn points(&mut self, count: usize) -> Vec<(Timestamp, u64)> {
        let mut points: Vec<(Timestamp, u64)> = Vec::new();
        for _ in 0..count {
            let point = self.next().await.unwrap().point();
            if let Some((before, _)) = points.last() {
                assert_eq!(point.0, *before + SignedDuration::from_secs(1));
            }
            points.push(point);
        }
        points
    }

    /// The first point after an outage.
    async fn until_available(&mut self) -> (Timestamp, u64) {
        loop {
            let event = self.next().await.unwrap();
            if event.name != "unavailable" {
                return event.point();
            }
        }
    }

    /// Reads what is left; the stream has an end.
    async fn ends(mut self) {
        while self.next().await.is_some() {}
    }
}

/// A scan of `spring` by a person.
fn scan(time: Timestamp) -> Row {
    static SEQ: AtomicU64 = AtomicU64::new(0);
    // Counting alone; nothing is ordered by it.
    let mut row = row(SEQ.fetch_add(1, Ordering::Relaxed), time);
    row.scan.workspace = "default".to_owned();
    row.scan.domain = "go.example.net".to_owned();
    row.scan.code = "spring".to_owned();
    row
}

/// Puts scans where the sink would.
async fn store(server: &Server, rows: Vec<Row>) {
    let store = SqliteStore::open(&server.data_dir.join("scans.sqlite")).unwrap();
    store.insert(&block(0, rows)).await.unwrap();
}

/// A whole second, so many from now.
fn second(from_now: i64) -> Timestamp {
    Timestamp::from_second(Timestamp::now().as_second() + from_now).unwrap()
}

fn total(points: &[(Timestamp, u64)]) -> u64 {
    points.iter().map(|(_, scans)| scans).sum()
}

#[tokio::test]
async fn each_second_comes_once_and_in_order_with_what_was_scanned_in_it() {
    let server = Server::start().await;
    let owner = server.owner();
    owner.tag("spring").await;
    let (before, next) = (second(-20), second(5));
    let within = |second: Timestamp, millis| second + SignedDuration::from_millis(millis);
    let rows = [
        (before, 0),
        (before, 999),
        (next, 0),
        (next, 500),
        (next, 999),
    ];
    let rows = rows.map(|(second, millis)| scan(within(second, millis)));
    store(&server, rows.to_vec()).await;
    let mut stream = Stream::open(&owner, "/analytics/live?code=spring").await;
    let points = stream.points(70).await;
    let scanned: Vec<_> = points.iter().filter(|(_, scans)| *scans > 0).collect();
    assert_eq!(scanned, [&(before, 2), &(next, 3)]);
}

#[tokio::test]
async fn it_counts_what_was_asked_for_and_no_more() {
    let server = Server::start().await;
    let owner = server.owner();
    owner.tag("spring").await;
    let moment = second(-20);
    let one = || scan(moment);
    let mut rows = vec![one(), one(), Row { bot: true, ..one() }];
    let mut of_campaign = one();
    of_campaign.scan.campaign = "cans".to_owned();
    let mut of_another_code = one();
    of_another_code.scan.code = "autumn".to_owned();
    let mut head = one();
    head.scan.method = scans::Method::Head;
    let mut of_another_tenant = one();
    of_another_tenant.scan.workspace = "ws_other".to_owned();
    rows.extend([of_campaign, of_another_code, head, of_another_tenant]);
    store(&server, rows).await;
    for (query, expected) in [
        ("", 4),
        ("?bots=include", 6),
        ("?bots=only", 2),
        ("?code=spring", 3),
        ("?code=spring&domain=go.example.net", 3),
        ("?campaign=cans", 1),
        ("?campaign=none", 0),
    ] {
        let mut stream = Stream::open(&owner, &format!("/analytics/live{query}")).await;
        assert_eq!(total(&stream.points(60).await), expected, "{query}");
    }
    let other = server.other_tenant().await;
    let mut stream = Stream::open(&other, "/analytics/live").await;
    assert_eq!(total(&stream.points(60).await), 0);
}

#[tokio::test]
async fn who_was_cut_off_goes_on_behind_the_last_event_that_they_have() {
    let server = Server::start().await;
    let owner = server.owner();
    store(&server, vec![scan(second(-300))]).await;
    let path = "/analytics/live";
    let seen = Stream::open(&owner, path).await.points(60).await;
    let id = seen[9].0.to_string();
    let resumed = Stream::resume(&owner, path, &id).await.points(52).await;
    assert_eq!(resumed[..50], seen[10..]);

    // Ten minutes are kept, whatever is asked for.
    let asked = Timestamp::now();
    let id = "1970-01-01T00:00:00Z";
    let kept = Stream::resume(&owner, path, id).await.points(602).await;
    assert_eq!(total(&kept), 1);
    assert!(kept[0].0 > asked - SignedDuration::from_secs(604));

    // Of a client that has received none.
    let anew = Stream::resume(&owner, path, "").await.points(60).await;
    assert!(anew[0].0 >= seen[0].0);

    // What is yet to come nobody has received.
    let id = "2999-01-01T00:00:00Z";
    let future = Stream::resume(&owner, path, id).await.points(2).await;
    assert!(future[0].0 > seen[59].0);
}

#[tokio::test]
async fn a_request_that_is_wrong_is_told_what_is() {
    let server = Server::start().await;
    let owner = server.owner();
    owner.tag("spring").await;
    for (query, parameter) in [
        ("bots=yes", "bots"),
        ("code=spring&campaign=c", "campaign"),
        ("domain=go.example.net", "domain"),
        ("from=2026-01-01T00:00:00Z", "from"),
        ("code=spring&code=spring", "code"),
    ] {
        let answer = owner.get(&format!("/analytics/live?{query}")).await;
        assert_eq!(answer.parameter(), parameter, "{query}");
    }
    for code in ["none", "", "a%20b", "%FF"] {
        let answer = owner.get(&format!("/analytics/live?code={code}")).await;
        answer.problem(404);
    }
    let other = server.other_tenant().await;
    let answer = other.get("/analytics/live?code=spring").await;
    answer.problem(404);
    for id in ["7", "yesterday", "2026-01-01"] {
        let request = owner.request(Method::GET, "/analytics/live");
        let answer = owner.send(request.header("Last-Event-ID", id)).await;
        let problem = answer.problem(400);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.starts_with("Last-Event-ID must be"), "{detail}");
    }
}

#[tokio::test]
async fn a_workspace_has_so_many_streams_and_leaves_others_theirs() {
    let server = Server::start().await;
    let owner = server.owner();
    let mut open = Vec::new();
    for _ in 0..32 {
        open.push(Stream::open(&owner, "/analytics/live").await);
    }
    let refused = owner.get("/analytics/live").await;
    refused.problem(429);
    assert_eq!(refused.header("retry-after"), "1");
    let other = server.other_tenant().await;
    Stream::open(&other, "/analytics/live").await;
    // Whoever goes away makes room, which the server learns of a moment later.
    drop(open.pop());
    let again = async {
        while owner.get("/analytics/live").await.status == 429 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, again).await.unwrap();
}

#[tokio::test]
async fn a_stream_ends_with_the_access_of_who_opened_it() {
    let server = Server::start().await;
    let owner = server.owner();
    let key = json!({"name": "k", "role": "analyst"});
    let key = owner.post("/keys", key).await.created();
    let key_holder = server.with_key(key["secret"].as_str().unwrap());
    let mut by_key = Stream::open(&key_holder, "/analytics/live").await;

    server.user(&owner, "ada@example.com", "analyst").await;
    let credentials = json!({"email": "ada@example.com", "password": PASSWORD});
    let anyone = server.without_key();
    let session = anyone.post("/session", credentials).await;
    let cookie = session.header("set-cookie").split(';').next().unwrap();
    let request = |method, path| anyone.request(method, path).header("Cookie", cookie);
    let mut by_session = Stream::begin(request(Method::GET, "/analytics/live")).await;

    let mut staying = Stream::open(&owner, "/analytics/live").await;
    for stream in [&mut by_key, &mut by_session, &mut staying] {
        stream.points(61).await;
    }
    let key = format!("/keys/{}", key["id"].as_str().unwrap());
    owner.delete(&key).await.no_content();
    by_key.ends().await;
    by_session.points(1).await;
    let token = session.created()["csrf_token"].as_str().unwrap().to_owned();
    let sign_out = request(Method::DELETE, "/session").header("X-CSRF-Token", token);
    anyone.send(sign_out).await.no_content();
    by_session.ends().await;
    staying.points(1).await;
}

#[tokio::test]
async fn while_the_store_does_not_answer_that_is_said_and_what_was_missed_follows() {
    let server = Server::start().await;
    let owner = server.owner();
    store(&server, vec![scan(second(-20))]).await;
    let file = rusqlite::Connection::open(server.data_dir.join("scans.sqlite")).unwrap();
    let mut stream = Stream::open(&owner, "/analytics/live").await;
    let before = stream.points(60).await;
    assert_eq!(total(&before), 1);
    file.execute_batch("ALTER TABLE scans RENAME TO away")
        .unwrap();
    let (mut last, mut told) = (before[59].0, 0);
    while told < 3 {
        let event = stream.next().await.unwrap();
        if event.name == "unavailable" {
            assert_eq!(event.id, "", "a client resumes behind what it has");
            assert_ne!(event.data["reason"], "");
            told += 1;
        } else {
            assert_eq!(told, 0);
            last = event.point().0;
        }
    }
    // Who comes now is told so too.
    let mut later = Stream::open(&owner, "/analytics/live?campaign=none").await;
    assert_eq!(later.next().await.unwrap().name, "unavailable");
    file.execute_batch("ALTER TABLE away RENAME TO scans")
        .unwrap();
    let missed = stream.until_available().await;
    assert_eq!(missed.0, last + SignedDuration::from_secs(1));
    let next = stream.points(3).await;
    assert_eq!(next[0].0, missed.0 + SignedDuration::from_secs(1));
    later.until_available().await;
    later.points(59).await;
}

#[tokio::test]
async fn a_drain_does_not_wait_for_streams() {
    let server = Server::start().await;
    let mut stream = Stream::open(&server.owner(), "/analytics/live").await;
    stream.points(60).await;
    tokio::time::timeout(DEADLINE, server.stop()).await.unwrap();
    stream.ends().await;
}
