//! A running admin for one test, and a client that says what it was answered.

#[path = "dns.rs"]
pub mod dns;

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use admin::{
    Admin, AdminOptions, BlocklistAction, DomainProof, PublicUrl, Timeouts, WebhookOptions,
};
use analytics::SqliteStore;
use blocklist::Blocklists;
use facts::{LazyAgents, PlacesFile, TrustedProxies};
use journal::{Journal, LocalEdges, Salts, SqliteJournal};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::mmdb::Value::{List, Map, Text};
use crate::mmdb::database;
use dns::Dns;

/// What short URLs begin with in tests.
pub const PUBLIC_URL: &str = "http://go.example.net:8080";
/// What is not public and may be an upstream all the same.
pub const UPSTREAM_NETWORK: &str = "10.1.0.0/16";

/// Everyone's password in tests.
pub const PASSWORD: &str = "correct horse battery";
/// Where a test's sites are, of which a proof is asked.
pub const SITE_NETWORK: &str = "127.0.0.2/32";
/// Made once for all tests of the process.
static AGENTS: LazyLock<Arc<LazyAgents>> = LazyLock::new(Arc::default);

/// Of all IPv4 addresses the lower half is in Bavaria, the upper in Australia.
static PLACES: LazyLock<Arc<PlacesFile>> = LazyLock::new(|| {
    let place = |country, region| {
        let code = |code| Map(vec![("iso_code", Text(code))]);
        Map(vec![
            ("country", code(country)),
            ("subdivisions", List(vec![code(region)])),
        ])
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("places.mmdb");
    std::fs::write(
        &file,
        database("Cities", place("DE", "BY"), place("AU", "WA")),
    )
    .unwrap();
    Arc::new(PlacesFile::open(file).unwrap()) // read to memory, so that the folder may go
});

/// An admin on a free port, which ends with the test.
pub struct Server {
    pub url: String,
    pub data_dir: PathBuf,
    pub admin: Admin,
    pub edges: LocalEdges,
    pub dns: Dns,
    pub blocklists: Arc<Blocklists>,
    folder: Arc<TempDir>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Server {
    /// A new installation.
    pub async fn start() -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        Self::start_in(folder, "admin", PUBLIC_URL).await
    }

    /// A new installation whose clients may take no longer than this to send a request.
    pub async fn start_within(timeouts: Timeouts) -> Self {
        Self::start_new(|journal| Arc::new(journal), timeouts, |_| {}).await
    }

    /// A new installation with other options.
    pub async fn start_configured(configure: impl FnOnce(&mut AdminOptions)) -> Self {
        let journal = |journal| -> Arc<dyn Journal> { Arc::new(journal) };
        Self::start_new(journal, Timeouts::default(), configure).await
    }

    /// A new installation on a journal that a test makes of the real one.
    pub async fn start_with(wrap: impl FnOnce(SqliteJournal) -> Arc<dyn Journal>) -> Self {
        Self::start_new(wrap, Timeouts::default(), |_| {}).await
    }

    /// A new installation that takes off the air what leads to a listed host.
    pub async fn start_pausing() -> Self {
        Self::start_configured(|options| options.blocklist_action = BlocklistAction::Pause).await
    }

    /// An admin with a data folder of its own on the journal of an installation that exists.
    pub async fn start_beside(other: &Self, data_dir: &str) -> Self {
        Self::start_in(Arc::clone(&other.folder), data_dir, PUBLIC_URL).await
    }

    /// Ends it and starts another in its place.
    pub async fn restart(self, public_url: &str) -> Self {
        let name = self
            .data_dir
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let folder = Arc::clone(&self.folder);
        self.stop().await;
        Self::start_in(folder, &name, public_url).await
    }

    /// Answers what is under way and ends.
    pub async fn stop(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap();
    }

    async fn start_new(
        wrap: impl FnOnce(SqliteJournal) -> Arc<dyn Journal>,
        timeouts: Timeouts,
        configure: impl FnOnce(&mut AdminOptions),
    ) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let journal = SqliteJournal::open(&folder.path().join("journal.sqlite")).unwrap();
        let data_dir = folder.path().join("admin");
        std::fs::create_dir_all(&data_dir).unwrap();
        let salts = Arc::new(journal.clone());
        let journal = (wrap(journal), salts as Arc<dyn Salts>);
        Self::start_on(journal, folder, data_dir, PUBLIC_URL, timeouts, configure).await
    }

    async fn start_in(folder: Arc<TempDir>, data_dir: &str, public_url: &str) -> Self {
        let data_dir = folder.path().join(data_dir);
        std::fs::create_dir_all(&data_dir).unwrap();
        let journal = SqliteJournal::open(&folder.path().join("journal.sqlite")).unwrap();
        let timeouts = Timeouts::default();
        let (journal, salts) = (Arc::new(journal.clone()), Arc::new(journal));
        let journal = (journal as Arc<dyn Journal>, salts as Arc<dyn Salts>);
        Self::start_on(journal, folder, data_dir, public_url, timeouts, |_| {}).await
    }

    async fn start_on(
        (journal, salts): (Arc<dyn Journal>, Arc<dyn Salts>),
        folder: Arc<TempDir>,
        data_dir: PathBuf,
        public_url: &str,
        timeouts: Timeouts,
        configure: impl FnOnce(&mut AdminOptions),
    ) -> Self {
        let (dns, blocklists) = (Dns::default(), Arc::default());
        let mut options = AdminOptions {
            data_dir: data_dir.clone(),
            public_url: PublicUrl::parse(public_url).unwrap(),
            upstream_networks: [UPSTREAM_NETWORK, SITE_NETWORK]
                .map(|network| network.parse().unwrap())
                .to_vec(),
            domain_proof: DomainProof::Required {
                resolver: Arc::new(dns.clone()),
            },
            requests_per_second: None,
            trusted_proxies: TrustedProxies::default(),
            places: Arc::clone(&PLACES),
            agents: Arc::clone(&AGENTS),
            crawlers: Arc::default(),
            blocklists: Arc::clone(&blocklists),
            blocklist_action: BlocklistAction::Report,
            unusual_alerts: true,
            webhooks: WebhookOptions {
                resolver: Arc::new(dns.clone()),
                networks: vec![SITE_NETWORK.parse().unwrap()],
            },
        };
        configure(&mut options);
        let store = SqliteStore::open(&data_dir.join("scans.sqlite")).unwrap();
        let edges = LocalEdges::new();
        let heard = Arc::new(edges.clone());
        let admin =
            Admin::new(options, journal, salts, Arc::new(store), heard, Vec::new()).unwrap();
        admin.take_over(|_| {}).await.unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel();
        let served = admin.clone();
        let task = tokio::spawn(async move {
            let stopped = async {
                let _ = stopped.await;
            };
            admin::serve_within(timeouts, listener, served, stopped).await;
        });
        Self {
            url,
            data_dir,
            admin,
            edges,
            dns,
            blocklists,
            folder,
            stop,
            task,
        }
    }

    /// From now on, these are the hosts that no tag may lead to, on a list of this name.
    pub fn block(&self, list: &str, hosts: &[&str]) {
        let file = self.folder().join(list);
        std::fs::write(&file, format!("# a list\n{}\n", hosts.join("\n"))).unwrap();
        self.blocklists
            .follow(self.blocklists.prepare(&[file]).unwrap());
        self.blocklists.reload_if_changed();
    }

    /// The first key's secret.
    pub fn first_key(&self) -> String {
        let text = std::fs::read_to_string(self.key_file()).unwrap();
        text.trim_end().to_owned()
    }

    pub fn key_file(&self) -> PathBuf {
        self.data_dir.join("admin.key")
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Waits for a condition.
    pub async fn until(&self, what: &str, condition: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !condition() {
            assert!(Instant::now() < deadline, "{what}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// A client with the first key, an owner's of workspace `default`.
    pub fn owner(&self) -> Api {
        self.with_key(&self.first_key())
    }

    pub fn with_key(&self, secret: &str) -> Api {
        Api {
            url: self.url.clone(),
            authorization: Some(format!("Bearer {secret}")),
        }
    }

    pub fn without_key(&self) -> Api {
        Api {
            url: self.url.clone(),
            authorization: None,
        }
    }

    /// A client in another workspace, as its owner.
    pub async fn other_tenant(&self) -> Api {
        let made = self
            .owner()
            .post("/workspaces", json!({"name": "Another"}))
            .await;
        self.with_key(made.created()["key"]["secret"].as_str().unwrap())
    }

    /// The workspace's id of who asks, who is not the operator.
    pub async fn workspace_of(&self, tenant: &Api) -> String {
        let workspaces = tenant.get("/workspaces").await.ok();
        let own = workspaces["items"].as_array().unwrap();
        assert_eq!(own.len(), 1);
        own[0]["id"].as_str().unwrap().to_owned()
    }

    /// Makes a domain a tenant's, who is not the operator.
    pub async fn verified(&self, tenant: &Api, name: &str) {
        let made = tenant.post("/domains", json!({"name": name})).await;
        self.dns.publish(&made.created()["challenge"]);
        let verify = format!("/domains/{name}/verify");
        tenant.post(&verify, Value::Null).await.ok();
    }

    /// Makes someone a user, with [`PASSWORD`], and says their id.
    pub async fn user(&self, owner: &Api, email: &str, role: &str) -> String {
        let invitation = json!({"email": email, "role": role});
        let invitation = owner.post("/invitations", invitation).await.created();
        let accepted =
            json!({"token": invitation["token"], "name": "A person", "password": PASSWORD});
        let accept = self.without_key();
        let user = accept.post("/invitations/accept", accepted).await.created();
        user["id"].as_str().unwrap().to_owned()
    }

    /// A client with a key of this role in the workspace of `owner`.
    pub async fn with_role(&self, owner: &Api, role: &str) -> Api {
        let made = owner
            .post("/keys", json!({"name": role, "role": role}))
            .await;
        self.with_key(made.created()["secret"].as_str().unwrap())
    }
}

/// A client of the API. Paths are below `/api/v1`.
#[derive(Clone)]
pub struct Api {
    url: String,
    authorization: Option<String>,
}

impl Api {
    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(self.request(Method::POST, path).json(&body))
            .await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(self.request(Method::PATCH, path).json(&body))
            .await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path)).await
    }

    /// A body that need not be JSON.
    pub async fn raw(&self, method: Method, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        let request = self.request(method, path).body(body);
        self.send(request.header(CONTENT_TYPE, "application/json"))
            .await
    }

    /// A file of some type.
    pub async fn upload(&self, path: &str, kind: &str, file: impl Into<reqwest::Body>) -> Answer {
        let request = self.request(Method::POST, path).body(file);
        self.send(request.header(CONTENT_TYPE, kind)).await
    }

    /// A job once it has ended.
    pub async fn job(&self, path: &str) -> Value {
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            let job = self.get(path).await.ok();
            if ["done", "failed"].contains(&job["status"].as_str().unwrap()) {
                return job;
            }
            assert!(Instant::now() < deadline, "{job}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A tag with this code.
    pub async fn tag(&self, code: &str) -> Value {
        let tag = json!({"code": code, "destination": format!("https://example.com/{code}")});
        self.post("/tags", tag).await.created()
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client.request(method, format!("{}/api/v1{path}", self.url));
        match &self.authorization {
            Some(value) => request.header(AUTHORIZATION, value),
            None => request,
        }
    }

    /// What is answered; of a stream of events, which has no end, the head alone.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let kind = headers.get(CONTENT_TYPE);
        let is_stream = kind.is_some_and(|kind| kind == "text/event-stream");
        let body = match is_stream {
            true => Vec::new(),
            false => response.bytes().await.unwrap().to_vec(),
        };
        Answer {
            status,
            headers,
            body,
        }
    }
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The body of a 200.
    pub fn ok(&self) -> Value {
        self.json(200)
    }

    /// The body of a 201.
    pub fn created(&self) -> Value {
        self.json(201)
    }

    /// The body of a 202.
    pub fn accepted(&self) -> Value {
        self.json(202)
    }

    /// Nothing but a 204.
    pub fn no_content(&self) {
        assert_eq!((self.status.as_u16(), self.text()), (204, String::new()));
    }

    /// A refusal, as RFC 9457 has it.
    pub fn problem(&self, status: u16) -> Value {
        let body = self.json(status);
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(body["status"], status);
        assert_eq!(body["type"], "about:blank");
        assert_ne!(body["title"], "");
        assert_ne!(body["detail"], "");
        body
    }

    /// The fields that a refusal points to.
    pub fn pointers(&self, status: u16) -> Vec<String> {
        let problem = self.problem(status);
        let errors = problem["errors"]
            .as_array()
            .unwrap_or_else(|| panic!("{problem}"));
        let pointer = |error: &Value| error["pointer"].as_str().unwrap().to_owned();
        errors.iter().map(pointer).collect()
    }

    /// The query parameter that a 400 names.
    pub fn parameter(&self) -> String {
        let problem = self.problem(400);
        problem["parameter"]
            .as_str()
            .unwrap_or_else(|| panic!("{problem}"))
            .to_owned()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn json(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// The codes of a list's items, in order.
pub fn codes(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().unwrap();
    items
        .iter()
        .map(|tag| tag["code"].as_str().unwrap().to_owned())
        .collect()
}

/// A tag as lists and versions have it: without its warnings.
pub fn listed(tag: &Value) -> Value {
    let mut tag = tag.clone();
    let warnings = tag.as_object_mut().unwrap().remove("warnings");
    assert!(warnings.is_some(), "{tag}");
    tag
}
