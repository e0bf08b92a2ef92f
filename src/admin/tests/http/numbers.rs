//! What the admin counts.

use prometheus::{Registry, TextEncoder};
use reqwest::Method;

use crate::support::Server;

#[tokio::test]
async fn requests_are_counted_by_method_and_status_and_timed() {
    let server = Server::start().await;
    let registry = Registry::new();
    server.admin.register_metrics(&registry).unwrap();
    let owner = server.owner();
    owner.tag("spring").await;
    for _ in 0..3 {
        owner.get("/tags/spring").await.ok();
    }
    owner.get("/tags/none").await.problem(404);
    owner.get("/no/such/path").await.problem(404);
    for invented in ["PURGE", "X-1"] {
        let method: Method = invented.parse().unwrap();
        owner
            .send(owner.request(method, "/tags"))
            .await
            .problem(405);
    }
    let text = TextEncoder::new()
        .encode_to_string(&registry.gather())
        .unwrap();
    for line in [
        r#"tagwire_admin_requests_total{method="POST",status="201"} 1"#,
        r#"tagwire_admin_requests_total{method="GET",status="200"} 3"#,
        r#"tagwire_admin_requests_total{method="GET",status="404"} 2"#,
        r#"tagwire_admin_requests_total{method="other",status="405"} 2"#,
        "tagwire_admin_request_duration_seconds_count 8",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(server.admin.register_metrics(&registry).is_err(), "twice");
}
