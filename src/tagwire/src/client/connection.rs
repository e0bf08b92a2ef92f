//! Requests to the admin API: where it is, the key that opens it, and its refusals.

use std::env;
use std::fs;
use std::io::Read;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use tracing::debug;
use ureq::http::{Method, Request, Response, StatusCode, header};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, AsSendBody, Body};
use url::{Host, Url};

use super::Failure;

const DEFAULT_URL: &str = "http://127.0.0.1:8081";
const CONNECT: Duration = Duration::from_secs(10);
/// Longer than an edit can wait for edges.
const ANSWER: Duration = Duration::from_secs(120);
/// How often a create is sent in all, when its answer was lost.
const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_secs(1);
/// The largest answer that is read as a whole: more than a page of tags with all that they may have.
const MAX_ANSWER: u64 = 256 * 1024 * 1024;

/// Query parameters, without those that were not given.
pub(super) type Query<'a> = [(&'static str, Option<String>)];

/// How the API may be reached.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct Reach {
    /// Send the key over http also to another machine, where all that are between can read it
    #[arg(long, global = true)]
    insecure_http: bool,
}

/// The API, with a key.
pub(super) struct Connection {
    agent: Agent,
    base: Url,
    key: String,
}

impl Connection {
    /// The one that the environment names.
    pub(super) fn from_environment(reach: Reach) -> Result<Self, Failure> {
        let base = match given("TAGWIRE_URL")? {
            Some(text) => parse_base(&text)?,
            None => Url::parse(DEFAULT_URL).map_err(Failure::new)?,
        };
        let is_here = is_loopback(&base);
        let key = key(is_here)?;
        if base.scheme() == "http" && !is_here && !reach.insecure_http {
            return Err(Failure::new(
                "TAGWIRE_URL leads to another machine over http, where all that are between can read the key: give an https URL, or --insecure-http if the way there is protected otherwise",
            ));
        }
        // The process has one provider of cryptography, which edges take too.
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(provider)
            .root_certs(RootCerts::PlatformVerifier);
        let config = Agent::config_builder()
            .tls_config(tls.build())
            .http_status_as_error(false)
            // The key is for this address alone.
            .max_redirects(0)
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(ANSWER))
            .user_agent(concat!("tagwire/", env!("CARGO_PKG_VERSION")));
        // A proxy of the environment cannot reach this machine's loopback.
        let config = if is_here { config.proxy(None) } else { config };
        Ok(Self {
            agent: config.build().into(),
            base,
            key,
        })
    }

    pub(super) fn get(&self, path: &[&str], query: &Query<'_>) -> Result<Value, Failure> {
        let request = self.request(Method::GET, path, query)?;
        self.answer(self.run(request, ())?)
    }

    pub(super) fn delete(
        &self,
        path: &[&str],
        query: &Query<'_>,
        if_match: Option<u64>,
    ) -> Result<Value, Failure> {
        let request = self.request(Method::DELETE, path, query)?;
        self.answer(self.run(matching(request, if_match), ())?)
    }

    /// A request with a JSON body, for the version that it names if it names one.
    pub(super) fn send(
        &self,
        method: Method,
        path: &[&str],
        query: &Query<'_>,
        body: &Value,
        if_match: Option<u64>,
    ) -> Result<Value, Failure> {
        let request = self
            .request(method, path, query)?
            .header(header::CONTENT_TYPE, "application/json");
        self.answer(self.run(matching(request, if_match), body.to_string())?)
    }

    /// A POST that makes something: sent again, with the same Idempotency-Key, when its answer was lost.
    pub(super) fn create(
        &self,
        path: &[&str],
        query: &Query<'_>,
        body: &Value,
    ) -> Result<Value, Failure> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(Failure::new)?;
        let key = format!("\"{:032x}\"", u128::from_be_bytes(random));
        for _ in 1..ATTEMPTS {
            let sent = self.create_once(path, query, body, &key)?;
            match sent {
                Ok(response) if !is_passing(&response) => return self.answer(response),
                // Read to its end, so that the connection is used again.
                Ok(response) => drop(self.answer(response)),
                Err(reason) => debug!(%reason, "sending it again"),
            }
            thread::sleep(PAUSE);
        }
        let sent = self.create_once(path, query, body, &key)?;
        self.answer(sent.map_err(|error| self.unreachable(&error))?)
    }

    fn create_once(
        &self,
        path: &[&str],
        query: &Query<'_>,
        body: &Value,
        key: &str,
    ) -> Result<Result<Response<Body>, ureq::Error>, Failure> {
        let request = self.request(Method::POST, path, query)?;
        let request = request
            .header(header::CONTENT_TYPE, "application/json")
            .header("Idempotency-Key", key);
        let request = request.body(body.to_string()).map_err(Failure::new)?;
        Ok(self.agent.run(request))
    }

    /// A POST whose body is read as it is sent.
    pub(super) fn upload(
        &self,
        path: &[&str],
        query: &Query<'_>,
        content_type: &str,
        body: impl AsSendBody,
    ) -> Result<Value, Failure> {
        let request = self.request(Method::POST, path, query)?;
        self.answer(self.run(request.header(header::CONTENT_TYPE, content_type), body)?)
    }

    /// An answer of any length, to be read as it comes.
    pub(super) fn download(
        &self,
        path: &[&str],
        query: &Query<'_>,
        accept: &str,
    ) -> Result<impl Read, Failure> {
        let request = self.request(Method::GET, path, query)?;
        let response = self.run(request.header(header::ACCEPT, accept), ())?;
        if !response.status().is_success() {
            return Err(match self.answer(response) {
                Err(refusal) => refusal,
                Ok(answer) => Failure::new(answer),
            });
        }
        Ok(response
            .into_body()
            .into_with_config()
            .limit(u64::MAX)
            .reader())
    }

    fn request(
        &self,
        method: Method,
        path: &[&str],
        query: &Query<'_>,
    ) -> Result<ureq::http::request::Builder, Failure> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| Failure::new("TAGWIRE_URL has no path to go on from"))?
            .pop_if_empty()
            .extend(["api", "v1"])
            .extend(path);
        let given = query
            .iter()
            .filter_map(|(name, value)| Some((*name, value.as_deref()?)));
        let given: Vec<_> = given.collect();
        if !given.is_empty() {
            url.query_pairs_mut().extend_pairs(given);
        }
        let request = Request::builder().method(method).uri(url.as_str());
        Ok(request.header(header::AUTHORIZATION, format!("Bearer {}", self.key)))
    }

    fn run(
        &self,
        request: ureq::http::request::Builder,
        body: impl AsSendBody,
    ) -> Result<Response<Body>, Failure> {
        let request = request.body(body).map_err(Failure::new)?;
        self.agent
            .run(request)
            .map_err(|error| self.unreachable(&error))
    }

    fn unreachable(&self, error: &ureq::Error) -> Failure {
        Failure::new(format!(
            "the admin API at {} does not answer: {error}; TAGWIRE_URL says where it is",
            self.base
        ))
    }

    /// The JSON of a success, null where there is none; else the problem.
    fn answer(&self, response: Response<Body>) -> Result<Value, Failure> {
        let (status, mut body) = (response.status(), response.into_body());
        let text = body.with_config().limit(MAX_ANSWER).read_to_string();
        let text = text.map_err(|error| self.unreachable(&error))?;
        let json = match text.as_str() {
            "" => Ok(Value::Null),
            text => serde_json::from_str(text),
        };
        match json {
            Ok(answer) if status.is_success() => Ok(answer),
            Ok(problem) if problem["detail"].is_string() => Err(Failure::Refused(problem)),
            _ => {
                let detail = format!(
                    "{} answered {status}, and not as the admin API does",
                    self.base
                );
                Err(Failure::Refused(
                    json!({"status": status.as_u16(), "detail": detail}),
                ))
            }
        }
    }
}

/// Whether the same request may be answered otherwise in a moment.
fn is_passing(response: &Response<Body>) -> bool {
    match response.status() {
        StatusCode::SERVICE_UNAVAILABLE => true,
        // Else it is no matter of time, such as a code that is taken.
        StatusCode::CONFLICT => response.headers().contains_key(header::RETRY_AFTER),
        _ => false,
    }
}

fn matching(
    request: ureq::http::request::Builder,
    version: Option<u64>,
) -> ureq::http::request::Builder {
    match version {
        Some(version) => request.header(header::IF_MATCH, format!("\"{version}\"")),
        None => request,
    }
}

fn parse_base(text: &str) -> Result<Url, Failure> {
    let wrong = || {
        Failure::new(
            "TAGWIRE_URL must be an http or https URL without user, query and fragment, such as https://admin.example.com",
        )
    };
    let url = Url::parse(text).map_err(|_| wrong())?;
    let is_plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if matches!(url.scheme(), "http" | "https") && is_plain {
        Ok(url)
    } else {
        Err(wrong())
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// The key. That of the data directory is not sent to another machine unless it is named.
fn key(is_here: bool) -> Result<String, Failure> {
    if let Some(file) = given("TAGWIRE_KEY_FILE")? {
        return read_key(&PathBuf::from(file), "TAGWIRE_KEY_FILE names");
    }
    if let Some(key) = given("TAGWIRE_KEY")? {
        return whole(&key, "TAGWIRE_KEY");
    }
    if !is_here {
        return Err(Failure::new(
            "the API is on another machine: name its key's file in TAGWIRE_KEY_FILE, or give the key in TAGWIRE_KEY",
        ));
    }
    let data = given("TAGWIRE_NODE__DATA_DIR")?.unwrap_or_else(|| "data".to_owned());
    let file = PathBuf::from(data).join("admin.key");
    read_key(
        &file,
        "without TAGWIRE_KEY_FILE and TAGWIRE_KEY, the key is looked for in",
    )
}

fn read_key(file: &PathBuf, why: &str) -> Result<String, Failure> {
    let shown = file.display();
    let text = fs::read_to_string(file)
        .map_err(|error| Failure::new(format!("{why} {shown}: {error}")))?;
    whole(&text, &shown.to_string())
}

fn whole(text: &str, place: &str) -> Result<String, Failure> {
    let key = text.trim();
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Failure::new(format!("{place} holds no key")));
    }
    Ok(key.to_owned())
}

/// An environment variable; an empty one is as none.
fn given(name: &str) -> Result<Option<String>, Failure> {
    match env::var(name) {
        Ok(text) => Ok(Some(text).filter(|text| !text.is_empty())),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(Failure::new(format!("{name} is not text"))),
    }
}
