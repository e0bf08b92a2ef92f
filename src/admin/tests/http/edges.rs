//! The list of edges, and edits that wait for them. The edges are the tests' own: they follow the real journal, and say what a test wants.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use journal::{
    EdgeRun, EdgeState, Edges, Event, Heartbeat, Journal, LocalEdges, Positions, RefusedRecord,
    Since, SqliteJournal,
};
use serde_json::{Value, json};
use tags::Topic;

use crate::support::{Api, Server};

fn heartbeat(edge: &str, boot: u64) -> Heartbeat {
    Heartbeat {
        run: EdgeRun::new(edge, boot).unwrap(),
        state: EdgeState::Serving,
        positions: Positions::default(),
        newest: None,
        refused: Vec::new(),
        tags: 3,
        version: "0.1.0".to_owned(),
        addresses: vec!["127.0.0.1:8080".to_owned()],
        started_at: Timestamp::now(),
        sent_at: Timestamp::now(),
    }
}

/// Says it, and waits until the admin has heard it.
async fn say(server: &Server, heartbeat: &Heartbeat) {
    let mut reporter = server.edges.reporter().unwrap();
    reporter.report(heartbeat).await.unwrap();
    let (id, boot) = (heartbeat.run.edge(), heartbeat.run.boot());
    let state = heartbeat.state.as_str();
    listed(server, |edges| {
        edges
            .iter()
            .any(|edge| edge["id"] == id && edge["boot"] == boot && edge["state"] == state)
    })
    .await;
}

/// Waits until the list of edges is as wanted.
async fn listed(server: &Server, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let list = server.owner().get("/edges?limit=500").await.ok();
        let edges = list["items"].as_array().unwrap();
        if wanted(edges) {
            return edges.clone();
        }
        assert!(Instant::now() < deadline, "{list}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// How long an edge is silent at most.
const IDLE: Duration = Duration::from_secs(1);

/// An edge that applies what is published, and says so.
struct TestEdge {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl TestEdge {
    async fn start(server: &Server, edge: &str) -> Self {
        let journal = SqliteJournal::open(&server.folder().join("journal.sqlite")).unwrap();
        let mut follower = journal.follow(&Topic::EDGE, Since::default()).unwrap();
        let (edges, mut said) = (server.edges.clone(), heartbeat(edge, 1));
        let ended = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ended);
        let runtime = tokio::runtime::Handle::current();
        let thread = std::thread::spawn(move || {
            let (mut caught_up, mut spoke) = (false, Instant::now());
            while !end.load(Ordering::SeqCst) {
                let event = follower.next(Duration::from_millis(10)).unwrap();
                caught_up |= event == Some(Event::CaughtUp);
                let position = event.as_ref().and_then(Event::position);
                if let Some((topic, partition, next_offset)) = position {
                    said.positions.advance(topic, partition, next_offset);
                }
                if caught_up && (event.is_some() || spoke.elapsed() > IDLE) {
                    runtime.block_on(report(&edges, &said));
                    spoke = Instant::now();
                }
            }
        });
        let id = edge.to_owned();
        listed(server, |edges| edges.iter().any(|edge| edge["id"] == id)).await;
        Self {
            ended,
            thread: Some(thread),
        }
    }
}

async fn report(edges: &LocalEdges, said: &Heartbeat) {
    let mut reporter = edges.reporter().unwrap();
    reporter.report(said).await.unwrap();
}

impl Drop for TestEdge {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap();
    }
}

fn propagation(answer: &Value) -> (&Value, &Value, &Value) {
    let propagation = &answer["propagation"];
    (
        &propagation["edges"],
        &propagation["applied"],
        &propagation["waiting"],
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_edit_can_wait_for_all_live_edges() {
    let server = Server::start().await;
    let owner = server.owner();
    let _edges = [
        TestEdge::start(&server, "edge-1").await,
        TestEdge::start(&server, "edge-2").await,
    ];
    let tag = json!({"code": "spring", "destination": "https://example.com/1"});
    let edit = json!({"destination": "https://example.com/2"});
    let home = json!({"home_url": "https://example.com/"});
    let domain = json!({"name": "qr.example.org"});
    let answers = [
        owner.post("/tags?wait=edges", tag).await.created(),
        owner
            .patch("/tags/spring?wait=edges", edit.clone())
            .await
            .ok(),
        // What changes nothing waits for what was changed before.
        owner.patch("/tags/spring?wait=edges", edit).await.ok(),
        owner
            .raw(
                reqwest::Method::POST,
                "/tags/spring/rollback?wait=edges&wait_timeout=60",
                r#"{"version": 1}"#,
            )
            .await
            .ok(),
        owner.post("/domains?wait=edges", domain).await.created(),
        owner
            .patch("/domains/qr.example.org?wait=edges", home)
            .await
            .ok(),
        owner.delete("/tags/spring?wait=edges").await.ok(),
        owner.delete("/tags/spring?wait=edges").await.ok(),
    ];
    for answer in answers {
        let wanted = (&json!(2), &json!(2), &json!([]));
        assert_eq!(propagation(&answer), wanted, "{answer}");
        let slowest = answer["propagation"]["slowest_ms"].as_f64().unwrap();
        assert!(slowest >= 0.0, "{answer}");
        assert_eq!(
            answer["propagation"]["detail"],
            "All 2 live edges have applied it."
        );
    }
    let lags = listed(&server, |edges| edges.iter().all(|edge| edge["lag"] == 0)).await;
    assert_eq!(lags.len(), 2);
}

#[tokio::test]
async fn an_edit_that_does_not_wait_says_nothing_of_edges() {
    let server = Server::start().await;
    let owner = server.owner();
    let tag = owner.tag("spring").await;
    assert_eq!(tag.get("propagation"), None);
    owner.delete("/tags/spring").await.no_content();
}

#[tokio::test]
async fn an_edge_that_has_not_applied_it_in_time_is_named_and_the_edit_is_made() {
    let server = Server::start().await;
    let owner = server.owner();
    owner.tag("spring").await;
    say(&server, &heartbeat("stuck-1", 1)).await;
    let began = Instant::now();
    let answer = owner
        .patch(
            "/tags/spring?wait=edges&wait_timeout=1",
            json!({"name": "n"}),
        )
        .await;
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(answer.header("etag"), "\"2\"");
    let tag = answer.ok();
    let wanted = (&json!(1), &json!(0), &json!(["stuck-1"]));
    assert_eq!(propagation(&tag), wanted);
    assert_eq!(tag["propagation"]["slowest_ms"], Value::Null);
    let detail = tag["propagation"]["detail"].as_str().unwrap();
    assert!(
        detail.contains("The edit is made") && detail.contains("stuck-1"),
        "{detail}"
    );
    assert_eq!(owner.get("/tags/spring").await.ok()["name"], "n");
    assert!(listed(&server, |_| true).await[0]["lag"].as_u64() > Some(0));
}

#[tokio::test]
async fn an_edge_that_waits_holds_up_no_other_edit_of_the_tag() {
    let server = Server::start().await;
    let owner = server.owner();
    owner.tag("spring").await;
    say(&server, &heartbeat("stuck", 1)).await;
    let waiting = tokio::spawn({
        let owner = owner.clone();
        async move {
            let path = "/tags/spring?wait=edges&wait_timeout=60";
            owner.patch(path, json!({"name": "waits"})).await.ok()
        }
    });
    let deadline = Instant::now() + Duration::from_secs(60);
    while owner.get("/tags/spring").await.ok()["name"] != "waits" {
        assert!(Instant::now() < deadline, "the edit is not made");
    }
    owner
        .patch("/tags/spring", json!({"name": "does not wait"}))
        .await
        .ok();
    assert!(!waiting.is_finished());
    // The edge ends as it should, and is waited for no longer.
    let mut reporter = server.edges.reporter().unwrap();
    let run = EdgeRun::new("stuck", 1).unwrap();
    reporter.farewell(&run).await.unwrap();
    let answer = waiting.await.unwrap();
    assert_eq!(propagation(&answer), (&json!(0), &json!(0), &json!([])));
    assert!(listed(&server, <[Value]>::is_empty).await.is_empty());
}

#[tokio::test]
async fn that_no_edge_is_live_is_said_at_once_and_plainly() {
    let server = Server::start().await;
    let answer = server
        .owner()
        .post(
            "/tags?wait=edges&wait_timeout=60",
            json!({"destination": "https://example.com/"}),
        )
        .await
        .created();
    assert_eq!(propagation(&answer), (&json!(0), &json!(0), &json!([])));
    let detail = answer["propagation"]["detail"].as_str().unwrap();
    assert!(detail.starts_with("No edge is live"), "{detail}");
}

#[tokio::test]
async fn an_edge_that_has_refused_an_edit_is_named_with_its_reason_at_once() {
    let server = Server::start().await;
    let owner = server.owner();
    owner.tag("spring").await;
    // It is the journal's only tag, and its edit the next record.
    let next = 1;
    let older = Heartbeat {
        positions: Positions::from_iter([(Topic::Tags, 0, next + 1)]),
        refused: vec![RefusedRecord::new(
            Topic::Tags,
            0,
            next,
            "it is of format 2\nand this build reads 1",
        )],
        ..heartbeat("older", 1)
    };
    say(&server, &older).await;
    let path = "/tags/spring?wait=edges&wait_timeout=60";
    let tag = owner.patch(path, json!({"name": "n"})).await.ok();
    let wanted = (&json!(1), &json!(0), &json!(["older"]));
    assert_eq!(propagation(&tag), wanted);
    let reason = "it is of format 2 and this build reads 1";
    assert_eq!(
        tag["propagation"]["refused"],
        json!([{"edge": "older", "reason": reason}])
    );
    let detail = tag["propagation"]["detail"].as_str().unwrap();
    assert!(detail.contains(reason), "{detail}");
}

#[tokio::test]
async fn an_edge_that_starts_is_listed_and_not_waited_for() {
    let server = Server::start().await;
    let starting = Heartbeat {
        state: EdgeState::Starting,
        ..heartbeat("new", 1)
    };
    say(&server, &starting).await;
    let answer = server
        .owner()
        .post(
            "/tags?wait=edges&wait_timeout=60",
            json!({"destination": "https://example.com/"}),
        )
        .await
        .created();
    assert_eq!(propagation(&answer).0, &json!(0));
}

#[tokio::test]
async fn what_cannot_be_waited_for_is_refused_and_nothing_is_changed() {
    let server = Server::start().await;
    let owner = server.owner();
    owner.tag("spring").await;
    let edit = json!({"name": "n"});
    for (query, parameter) in [
        ("wait=everyone", "wait"),
        ("wait=", "wait"),
        ("wait=Edges", "wait"),
        ("wait=edges&wait=edges", "wait"),
        ("wait=edges&wait_timeout=0", "wait_timeout"),
        ("wait=edges&wait_timeout=61", "wait_timeout"),
        ("wait=edges&wait_timeout=1.5", "wait_timeout"),
        ("wait_timeout=5", "wait_timeout"),
    ] {
        for path in ["/tags/spring", "/domains/go.example.net"] {
            let answer = owner.patch(&format!("{path}?{query}"), edit.clone()).await;
            assert_eq!(answer.parameter(), parameter, "{path}?{query}");
        }
        for path in ["/tags", "/domains", "/tags/spring/rollback"] {
            let answer = owner.post(&format!("{path}?{query}"), edit.clone()).await;
            assert_eq!(answer.parameter(), parameter, "{path}?{query}");
        }
        let answer = owner.delete(&format!("/tags/spring?{query}")).await;
        assert_eq!(answer.parameter(), parameter, "{query}");
    }
    assert_eq!(owner.get("/tags?wait=edges").await.parameter(), "wait");
    assert_eq!(owner.get("/tags/spring").await.ok()["version"], 1);
}

#[tokio::test]
async fn the_list_says_of_each_edge_what_it_said_and_when() {
    let server = Server::start().await;
    let said = Heartbeat {
        // Its clock is two hours ahead, which is its own matter.
        started_at: Timestamp::now() + SignedDuration::from_hours(2),
        sent_at: Timestamp::now() + SignedDuration::from_hours(2),
        ..heartbeat("Edge.1_a-B", 0xfeed)
    };
    say(&server, &said).await;
    let edges = listed(&server, |_| true).await;
    let [edge] = &edges[..] else {
        panic!("{edges:?}")
    };
    let seen: Timestamp = edge["last_seen"].as_str().unwrap().parse().unwrap();
    let age = Timestamp::now().duration_since(seen);
    assert!(age.abs() < SignedDuration::from_mins(10), "{seen}");
    let mut edge = edge.clone();
    edge.as_object_mut().unwrap().remove("last_seen");
    let lag = edge.as_object_mut().unwrap().remove("lag").unwrap();
    assert!(
        lag.as_u64().unwrap() > 0,
        "it has said that it applied nothing"
    );
    assert_eq!(
        edge,
        json!({
            "id": "Edge.1_a-B", "boot": "000000000000feed", "live": true, "state": "serving", "version": "0.1.0",
            "addresses": ["127.0.0.1:8080"], "tags": 3, "started_at": said.started_at,
        })
    );
}

#[tokio::test]
async fn the_list_comes_in_pages_and_by_liveness() {
    let server = Server::start().await;
    for (edge, boot) in [("b", 1), ("a", 2), ("a", 1), ("c", 1)] {
        say(&server, &heartbeat(edge, boot)).await;
    }
    let owner = server.owner();
    let (mut path, mut seen) = ("/edges?limit=3&live=true".to_owned(), Vec::new());
    loop {
        let page = owner.get(&path).await.ok();
        for edge in page["items"].as_array().unwrap() {
            seen.push(format!("{}{}", edge["id"], edge["boot"]).replace(['"', '0'], ""));
        }
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("/edges?limit=3&live=true&cursor={cursor}");
    }
    assert_eq!(seen, ["a1", "a2", "b1", "c1"]);
    let dead = owner.get("/edges?live=false").await.ok();
    assert_eq!(dead, json!({"items": [], "next_cursor": null}));
    for (query, parameter) in [
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("cursor=x", "cursor"),
        ("cursor=YS8x", "cursor"),
        ("live=yes", "live"),
        ("unknown=1", "unknown"),
    ] {
        let answer = owner.get(&format!("/edges?{query}")).await;
        assert_eq!(answer.parameter(), parameter);
    }
}

#[tokio::test]
async fn only_who_runs_the_installation_sees_its_edges_and_every_tenant_may_wait_for_them() {
    let server = Server::start().await;
    say(&server, &heartbeat("edge-1", 1)).await;
    let tenant = server.other_tenant().await;
    tenant.get("/edges").await.problem(403);
    let editor = server.with_role(&server.owner(), "editor").await;
    editor.get("/edges").await.problem(403);
    server.without_key().get("/edges").await.problem(401);
    let made = tenant_tag(&tenant).await;
    // How many there are and which is in trouble, but nothing of what they hold.
    let wanted = (&json!(1), &json!(0), &json!(["edge-1"]));
    assert_eq!(propagation(&made), wanted);
}

async fn tenant_tag(tenant: &Api) -> Value {
    let tag = json!({"destination": "https://example.com/"});
    let answer = tenant.post("/tags?wait=edges&wait_timeout=1", tag).await;
    answer.created()
}
