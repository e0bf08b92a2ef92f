//! A brand's own site on a real web server, nginx, beside its codes on one host name.

use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{
    CONTENT_RANGE, ETAG, HeaderMap, IF_NONE_MATCH, LOCATION, RANGE, TRANSFER_ENCODING,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::support::{DEADLINE, Process, Start, client, data_dir, make_tag};

const BIG: usize = 3_000_000;

/// nginx with a few pages, on one port for as long as the test takes.
struct Nginx {
    folder: TempDir,
    port: u16,
    child: Option<Child>,
}

impl Nginx {
    async fn start() -> Self {
        let folder = data_dir();
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let pages = folder.path().join("pages");
        std::fs::create_dir_all(pages.join("shop")).unwrap();
        std::fs::write(pages.join("index.html"), "the brand's home").unwrap();
        std::fs::write(pages.join("about"), "about the brand").unwrap();
        std::fs::write(pages.join("shop/shoes.html"), "shoes").unwrap();
        std::fs::write(pages.join("big.bin"), "0123456789".repeat(BIG / 10)).unwrap();
        std::fs::write(
            folder.path().join("nginx.conf"),
            configuration(folder.path(), port),
        )
        .unwrap();
        let mut nginx = Self {
            folder,
            port,
            child: None,
        };
        nginx.run().await;
        nginx
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    async fn run(&mut self) {
        let child = Command::new("nginx")
            .arg("-c")
            .arg(self.folder.path().join("nginx.conf"))
            .arg("-e")
            .arg(self.folder.path().join("error.log"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("nginx is installed (tests/stack/packages)");
        self.child = Some(child);
        let up = async {
            while client().get(self.url()).send().await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(DEADLINE, up).await.expect("nginx answers");
    }

    async fn stop(&mut self) {
        let mut child = self.child.take().unwrap();
        child.start_kill().unwrap();
        child.wait().await.unwrap();
    }
}

fn configuration(folder: &Path, port: u16) -> String {
    let folder = folder.display();
    format!(
        "daemon off; master_process off; pid {folder}/nginx.pid;\n\
         events {{}}\n\
         http {{\n\
           access_log off; gzip on; gzip_types *; gzip_min_length 1;\n\
           client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;\n\
           uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;\n\
           server {{\n\
             listen 127.0.0.1:{port}; root {folder}/pages;\n\
             location = /who {{ return 200 \"$request_method $host $http_x_forwarded_for $http_x_forwarded_proto $http_cdn_loop\"; }}\n\
             location = /moved {{ return 301 /shop/shoes.html; }}\n\
           }}\n\
         }}\n"
    )
}

async fn page(process: &Process, path: &str, headers: HeaderMap) -> reqwest::Response {
    let request = client().get(process.redirect_url(path)).headers(headers);
    request.send().await.unwrap()
}

async fn text(process: &Process, path: &str) -> (u16, String) {
    let answer = page(process, path, HeaderMap::new()).await;
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn status(process: &Process, path: &str) -> u16 {
    page(process, path, HeaderMap::new())
        .await
        .status()
        .as_u16()
}

#[tokio::test]
async fn a_site_on_a_real_web_server_and_the_codes_share_one_host_name() {
    let mut nginx = Nginx::start().await;
    let data = data_dir();
    let process = Start::standalone(data.path())
        .env("TAGWIRE_UPSTREAM__NETWORKS", "127.0.0.0/8")
        .env("TAGWIRE_NODE__PUBLIC_URL", "http://brand.example.org")
        .run()
        .await;
    make_tag(
        &process,
        &json!({"code": "spring", "destination": "https://example.com/spring"}),
    )
    .await;
    assert_eq!(status(&process, "/about").await, 404, "before");
    let domains = client()
        .get(process.api_url("/domains"))
        .bearer_auth(process.key());
    let domains: Value = domains.send().await.unwrap().json().await.unwrap();
    let path = format!("/domains/{}", domains["items"][0]["name"].as_str().unwrap());
    let patched = client()
        .patch(process.api_url(&path))
        .bearer_auth(process.key())
        .json(&json!({"upstream_url": nginx.url()}));
    assert_eq!(patched.send().await.unwrap().status(), StatusCode::OK);

    for (path, expected) in [
        ("/", "the brand's home"),
        ("/about", "about the brand"),
        ("/shop/shoes.html", "shoes"),
        (
            "/who",
            "GET 127.0.0.1 127.0.0.1 http brand.example.org; by=tagwire",
        ),
    ] {
        assert_eq!(text(&process, path).await, (200, expected.to_owned()));
    }
    assert_eq!(status(&process, "/spring").await, 302);
    assert_eq!(status(&process, "/no/such/page").await, 404);
    let moved = page(&process, "/moved", HeaderMap::new()).await;
    let location = moved.headers()[LOCATION].to_str().unwrap();
    assert!(location.ends_with("/shop/shoes.html"), "{location}");

    let big = page(&process, "/big.bin", HeaderMap::new()).await;
    let (etag, big) = (big.headers()[ETAG].clone(), big.bytes().await.unwrap());
    assert_eq!(big.len(), BIG);
    let range = HeaderMap::from_iter([(RANGE, "bytes=5-14".parse().unwrap())]);
    let range = page(&process, "/big.bin", range).await;
    assert_eq!(
        (
            range.status().as_u16(),
            range.headers()[CONTENT_RANGE].to_str().unwrap()
        ),
        (206, "bytes 5-14/3000000")
    );
    assert_eq!(range.text().await.unwrap(), "5678901234");
    let same = HeaderMap::from_iter([(IF_NONE_MATCH, etag)]);
    assert_eq!(page(&process, "/big.bin", same).await.status(), 304);
    let gzip = HeaderMap::from_iter([(reqwest::header::ACCEPT_ENCODING, "gzip".parse().unwrap())]);
    let gzip = page(&process, "/shop/shoes.html", gzip).await;
    assert_eq!(gzip.headers()[TRANSFER_ENCODING], "chunked");
    assert_eq!(gzip.headers()["content-encoding"], "gzip");
    let posted = client()
        .post(process.redirect_url("/who"))
        .body("x".repeat(100_000));
    let posted = posted.send().await.unwrap().text().await.unwrap();
    assert!(posted.starts_with("POST "), "{posted}");

    nginx.stop().await;
    let (down, body) = text(&process, "/about").await;
    assert!(down == 502 && body.contains("Site unavailable"), "{body}");
    assert_eq!(status(&process, "/spring").await, 302);
    nginx.run().await;
    assert_eq!(status(&process, "/about").await, 200);
    let ended = process.terminate().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}
