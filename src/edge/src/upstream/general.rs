//! The general lane: requests that are for a site behind a domain, one at a time, through Pingora's proxy. The connection comes back to
//! the express lane after each.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pingora_core::apps::HttpServerApp;
use pingora_core::protocols::Stream;
use pingora_core::protocols::http::ServerSession;
use pingora_core::server::ShutdownWatch;
use pingora_core::server::configuration::ServerConf;
use pingora_proxy::{HttpProxy, http_proxy};
use tokio::io::AsyncWriteExt;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::admission::Admission;
use super::content::{ContentFraming, ContentReader};
use super::failure::Failure;
use super::forward::Forward;
use super::metrics::{Outcome, UpstreamMetrics};
use super::options::UpstreamOptions;
use super::pace::PaceLimit;
use super::proxy::{ADDRESSES, Exchange, Sites};
use super::request_stream::{Paces, RequestStream};
use super::resolver::Resolver;
use crate::options::Limits;

/// How many unused connections to sites each worker thread keeps.
const KEPT_CONNECTIONS: usize = 128;

/// How long the rest of a request's content is read after the site has answered without it, in all.
const DRAIN: Duration = Duration::from_secs(2);

/// What all worker threads share.
pub(crate) struct Upstreams {
    options: Arc<UpstreamOptions>,
    resolver: Arc<Resolver>,
    admission: Admission,
    metrics: UpstreamMetrics,
    paces: Paces,
}

impl Upstreams {
    pub(crate) fn new(options: UpstreamOptions, limits: &Limits, metrics: UpstreamMetrics) -> Self {
        let pace = |grace| PaceLimit {
            grace,
            min_rate: limits.min_rate,
        };
        Self {
            resolver: Arc::new(Resolver::new(options.networks.clone())),
            admission: Admission::new(options.max_requests, options.max_total_requests),
            options: Arc::new(options),
            metrics,
            paces: Paces {
                content: pace(limits.body),
                answer: pace(limits.send),
            },
        }
    }
}

/// One worker thread's general lane. Connections to sites belong to the thread's runtime.
pub(crate) struct GeneralLane {
    upstreams: Arc<Upstreams>,
    proxy: OnceCell<Arc<HttpProxy<Sites>>>,
}

/// What became of a request.
pub(crate) struct Forwarded {
    /// The client's connection; none: it is gone.
    pub(crate) stream: Option<Stream>,
    /// What was received behind the request.
    pub(crate) input: Vec<u8>,
    pub(crate) end: End,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The site's answer has been sent, and another request may follow.
    Open,
    /// The site's answer has been sent, and the connection ends.
    Close,
    /// Nothing has been said yet. The connection may go on if the request's content has been read.
    Failed { failure: Failure, read: bool },
    /// The answer ended in the middle. The client sees so by the connection's end.
    CutOff,
}

impl GeneralLane {
    pub(crate) fn new(upstreams: Arc<Upstreams>) -> Self {
        Self {
            upstreams,
            proxy: OnceCell::new(),
        }
    }

    /// How slowly a client may take an answer.
    pub(super) fn answer_pace(&self) -> PaceLimit {
        self.upstreams.paces.answer
    }

    /// Gives the request to its site, and the site's answer to the client. `input` is what was received behind the head.
    pub(crate) async fn forward(
        &self,
        stream: Stream,
        input: Vec<u8>,
        request: &mut Forward,
        shutdown: &ShutdownWatch,
    ) -> Forwarded {
        let began = Instant::now();
        let forwarded = self.proxied(stream, input, request, shutdown).await;
        let metrics = &self.upstreams.metrics;
        metrics.count(match forwarded.end {
            End::Open | End::Close => Outcome::Answered,
            End::CutOff => Outcome::CutOff,
            End::Failed { failure, .. } => Outcome::Failed(failure),
        });
        if matches!(forwarded.end, End::Open | End::Close) {
            metrics.observe(began.elapsed());
        }
        forwarded
    }

    async fn proxied(
        &self,
        mut stream: Stream,
        input: Vec<u8>,
        request: &mut Forward,
        shutdown: &ShutdownWatch,
    ) -> Forwarded {
        let Upstreams {
            options,
            admission,
            metrics,
            paces,
            ..
        } = &*self.upstreams;
        let has_content = !matches!(
            request.content,
            ContentFraming::None | ContentFraming::Length(0)
        );
        let refused = |stream, input, failure| Forwarded {
            stream: Some(stream),
            input,
            end: End::Failed {
                failure,
                read: !has_content,
            },
        };
        if request.is_loop {
            return refused(stream, input, Failure::Loop);
        }
        let Ok(content) = ContentReader::new(request.content, options.max_body) else {
            return refused(stream, input, Failure::BodyTooLarge);
        };
        let _admitted = match admission.admit(&request.site.domain) {
            Ok(admitted) => admitted,
            Err(failure) => return refused(stream, input, failure),
        };
        let _under_way = metrics.begin();
        let Some(proxy) = self.proxy().await else {
            return refused(stream, input, Failure::Unreachable);
        };
        if has_content && request.waits_to_continue && input.is_empty() {
            let said = timeout(paces.answer.grace, say_continue(&mut stream)).await;
            if !matches!(said, Ok(Ok(()))) {
                return refused(stream, input, Failure::Client);
            }
        }
        let head = std::mem::take(&mut request.head);
        let (stream, mut back) = RequestStream::new(stream, input, head, content, paces);
        let exchange = Arc::new(Exchange::new(request.site.clone()));
        let mut session = ServerSession::new_http1(Box::new(stream));
        session.set_connection_user_context(Some(Box::new(Arc::clone(&exchange))));
        // The stream has limits of its own for both, see `pace`.
        session.set_read_timeout(None);
        session.set_write_timeout(None);
        // A site that has answered without the rest of the content is not kept waiting for it.
        session.set_total_drain_timeout(Some(DRAIN));
        // A client that says nothing more still gets its answer (RFC 9112 §9.6); the stream does not tell the proxy anyway.
        session.set_abort_on_close(false);
        session.set_ignore_info_resp(true);
        let outcome = timeout(options.total, proxy.process_new_http(session, shutdown)).await;
        let (in_time, reusable) = (outcome.is_ok(), matches!(outcome, Ok(Some(_))));
        drop(outcome); // and with it the stream, which gives the connection back
        let Ok(parts) = back.try_recv() else {
            return Forwarded {
                stream: None,
                input: Vec::new(),
                end: End::CutOff,
            };
        };
        let failure = match (parts.fault, exchange.failure()) {
            (Some(fault), _) => Some(fault),
            (None, failure) => failure.or((!in_time).then_some(Failure::TimedOut)),
        };
        let end = match failure {
            None if reusable => End::Open,
            None if parts.answered => End::Close,
            Some(_) if parts.answered => End::CutOff,
            failure => End::Failed {
                failure: failure.unwrap_or(Failure::BadAnswer),
                read: parts.content.is_complete(),
            },
        };
        Forwarded {
            stream: Some(parts.stream),
            input: parts.input,
            end,
        }
    }

    /// Made when it is first needed, off the thread that answers scans: it reads the system's certificate authorities. None: that
    /// failed, and is tried again by the next request.
    async fn proxy(&self) -> Option<&Arc<HttpProxy<Sites>>> {
        let make = || async {
            let sites = Sites {
                options: Arc::clone(&self.upstreams.options),
                resolver: Arc::clone(&self.upstreams.resolver),
            };
            tokio::task::spawn_blocking(move || Arc::new(new_proxy(sites))).await
        };
        match self.proxy.get_or_try_init(make).await {
            Ok(proxy) => Some(proxy),
            Err(error) => {
                tracing::error!(%error, "the general lane cannot start: check that upstream.ca_file is a readable PEM file");
                None
            }
        }
    }
}

fn new_proxy(sites: Sites) -> HttpProxy<Sites> {
    let ca_file = sites.options.ca_file.as_ref();
    let configuration = ServerConf {
        threads: 1,
        max_retries: ADDRESSES + 1,
        upstream_keepalive_pool_size: KEPT_CONNECTIONS,
        ca_file: ca_file.map(|path| path.to_string_lossy().into_owned()),
        ..ServerConf::default()
    };
    http_proxy(&Arc::new(configuration), sites)
}

async fn say_continue(stream: &mut Stream) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    stream.flush().await
}
