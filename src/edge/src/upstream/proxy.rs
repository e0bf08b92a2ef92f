//! What Pingora's proxy asks of us on a request's way: where to connect, and what may come back. What is said when nothing comes back is
//! said by who gave the request to it.

use std::any::Any;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use http::header::STRICT_TRANSPORT_SECURITY;
use http::{Method, Version};
use pingora_core::protocols::TcpKeepalive;
use pingora_core::upstreams::peer::{HttpPeer, HttpUpstreamRequestPolicy};
use pingora_core::{Error, ErrorType};
use pingora_http::ResponseHeader;
use pingora_proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};

use super::failure::Failure;
use super::forward::Site;
use super::options::UpstreamOptions;
use super::resolver::Resolver;
use super::response;

/// A request while it is with the proxy, for both who gave it and the proxy.
pub(super) struct Exchange {
    pub(super) site: Site,
    /// Set once, by what went wrong first.
    failure: OnceLock<Failure>,
}

impl Exchange {
    pub(super) fn new(site: Site) -> Self {
        Self {
            site,
            failure: OnceLock::new(),
        }
    }

    /// Why there is no answer, or not all of it.
    pub(super) fn failure(&self) -> Option<Failure> {
        self.failure.get().copied()
    }

    fn fail(&self, failure: Failure) {
        let _ = self.failure.set(failure); // the first is the cause
    }
}

/// All sites behind all domains.
pub(super) struct Sites {
    pub(super) options: Arc<UpstreamOptions>,
    pub(super) resolver: Arc<Resolver>,
}

/// A request's state between Pingora's questions.
#[derive(Default)]
pub(super) struct Visit {
    exchange: Option<Arc<Exchange>>,
    /// How many of the site's addresses could not be connected to.
    unreachable: usize,
    /// How many addresses there are.
    addresses: usize,
}

#[async_trait]
impl ProxyHttp for Sites {
    type CTX = Visit;

    fn new_ctx(&self) -> Visit {
        Visit::default()
    }

    /// The request's site comes along as the connection's context.
    fn on_connection_reuse(
        &self,
        _: &mut Session,
        visit: &mut Visit,
        context: Box<dyn Any + Send + Sync>,
    ) {
        visit.exchange = context
            .downcast::<Arc<Exchange>>()
            .ok()
            .map(|exchange| *exchange);
    }

    async fn upstream_peer(
        &self,
        _: &mut Session,
        visit: &mut Visit,
    ) -> pingora_core::Result<Box<HttpPeer>> {
        let Some(exchange) = &visit.exchange else {
            return Error::e_explain(ErrorType::InternalError, "a request without a site");
        };
        let url = &exchange.site.url;
        let addresses = match self.resolver.resolve(url.host(), url.port()).await {
            Ok(addresses) => addresses,
            Err(failure) => {
                exchange.fail(failure);
                return Error::e_explain(ErrorType::ConnectError, "no address to connect to");
            }
        };
        visit.addresses = addresses.len();
        let address = addresses[visit.unreachable % addresses.len()];
        // The name that the certificate has to be for. It is never empty: Pingora would not verify anything then.
        let mut peer = HttpPeer::new(address, url.is_https(), url.host().to_owned());
        // A tenant's requests do not share a connection with another's.
        let mut key = DefaultHasher::new();
        exchange.site.domain.hash(&mut key);
        peer.group_key = key.finish();
        peer.options.connection_timeout = Some(self.options.connect);
        peer.options.total_connection_timeout = Some(self.options.connect);
        peer.options.read_timeout = Some(self.options.read);
        peer.options.write_timeout = Some(self.options.send);
        peer.options.idle_timeout = Some(IDLE);
        peer.options.tcp_keepalive = Some(PROBES);
        peer.options.http_upstream_request_policy = HttpUpstreamRequestPolicy::deny_upgrades();
        Ok(Box::new(peer))
    }

    async fn upstream_response_filter(
        &self,
        _: &mut Session,
        response: &mut ResponseHeader,
        visit: &mut Visit,
    ) -> pingora_core::Result<()> {
        response::clean(response).map_err(|reason| {
            if let Some(exchange) = &visit.exchange {
                exchange.fail(Failure::BadAnswer);
            }
            Error::explain(ErrorType::InvalidHTTPHeader, reason).into_up()
        })?;
        let hsts = visit.exchange.as_ref().and_then(|it| it.site.hsts);
        match hsts {
            Some(hsts) if !response.headers.contains_key(STRICT_TRANSPORT_SECURITY) => {
                response.insert_header(STRICT_TRANSPORT_SECURITY, hsts.to_string())
            }
            _ => Ok(()),
        }
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        _: &mut Visit,
    ) -> pingora_core::Result<()> {
        if session.req_header().version == Version::HTTP_10
            && response
                .headers
                .contains_key(http::header::TRANSFER_ENCODING)
        {
            response::for_http_10(response);
            session.set_keepalive(None);
        }
        Ok(())
    }

    /// The next address is tried: nothing has been sent.
    fn fail_to_connect(
        &self,
        _: &mut Session,
        _: &HttpPeer,
        visit: &mut Visit,
        mut error: Box<Error>,
    ) -> Box<Error> {
        visit.unreachable += 1;
        error.set_retry(visit.unreachable < visit.addresses.min(ADDRESSES));
        error
    }

    /// Only what a kept connection did not take is sent again, and only if it may be (RFC 9110 §9.2.2): nothing reaches a site twice.
    fn error_while_proxy(
        &self,
        _: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        _: &mut Visit,
        reused: bool,
    ) -> Box<Error> {
        let safe = matches!(
            session.req_header().method,
            Method::GET | Method::HEAD | Method::OPTIONS
        );
        let untouched = session.response_written().is_none() && session.is_body_empty();
        if safe && untouched {
            error.retry.decide_reuse(reused);
        } else {
            error.set_retry(false);
        }
        error
    }

    /// Notes the reason, and says nothing.
    async fn fail_to_proxy(
        &self,
        _: &mut Session,
        error: &Error,
        visit: &mut Visit,
    ) -> FailToProxy {
        let failure = Failure::of(error);
        if let Some(exchange) = &visit.exchange {
            exchange.fail(failure);
            let (domain, host) = (&exchange.site.domain, exchange.site.url.host());
            tracing::debug!(%domain, host, failure = failure.as_str(), %error, "a site did not answer");
        }
        FailToProxy {
            error_code: 0,
            can_reuse_downstream: false,
        }
    }

    // They are counted. A site that is down would fill the log, and the errors name addresses.
    fn suppress_error_log(&self, _: &Session, _: &Visit, _: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _: &Session,
        _: &Visit,
        _: &Error,
        _: ProxyWarnLogContext,
    ) -> bool {
        true
    }
}

/// How long a connection to a site is kept for another request: below the usual 60 s and more of servers, so that they do not close it
/// when it is used.
const IDLE: Duration = Duration::from_secs(50);

/// Whether the site is still there is asked while a connection to it is kept: a request on one whose site has vanished would wait for
/// the whole read time-out. What was sent is the read time-out's matter, hence the system's own `user_timeout`.
const PROBES: TcpKeepalive = TcpKeepalive {
    idle: Duration::from_secs(10),
    interval: Duration::from_secs(5),
    count: 2,
    user_timeout: Duration::ZERO,
};

/// So many of a site's addresses are tried.
pub(super) const ADDRESSES: usize = 3;
