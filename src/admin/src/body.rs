//! A request's body before it is judged: whoever may not ask, or asks for what is not there, is not told what is wrong with their JSON.

use std::convert::Infallible;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};

use crate::api::Timeouts;
use crate::auth::Asks;
use crate::fields::Fields;
use crate::problem::Problem;
use crate::service::Admin;

const JSON: [&str; 2] = ["application/json", "application/merge-patch+json"];

/// A body as it came, or why it could not be taken.
pub(crate) struct Body(Result<Bytes, Problem>);

impl Body {
    /// The most bytes that it may have. A tag with every field but its rules at its limit has less than a tenth, and rules may have less
    /// than half as many ([`tags::Rules::MAX_BYTES`]).
    pub(crate) const MAX_BYTES: usize = 256 * 1024;

    /// What has come; none: it could not be taken.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        self.0.as_ref().ok().map(|bytes| &bytes[..])
    }

    /// The fields of the JSON object that it must be.
    pub(crate) fn fields(self) -> Result<Fields, Problem> {
        Fields::parse(&self.0?)
    }
}

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Infallible;

    async fn from_request(request: Request, state: &S) -> Result<Self, Infallible> {
        if !is_json(request.headers()) {
            let detail = "The body must be JSON: send 'Content-Type: application/json'.";
            return Ok(Self(Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                detail,
            ))));
        }
        let extensions = request.extensions();
        let limit = extensions.get::<Timeouts>().copied();
        let limit = limit.unwrap_or_default().body;
        let asks = extensions.get::<Asks>().cloned();
        let admin = extensions.get::<Admin>().cloned();
        let read = tokio::time::timeout(limit, Bytes::from_request(request, state)).await;
        let read = match read {
            Ok(body) => body.map_err(|error| {
                let detail = if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
                    format!(
                        "The body is too large: at most {} bytes are allowed.",
                        Self::MAX_BYTES
                    )
                } else {
                    "The body could not be read; send the request again.".to_owned()
                };
                Problem::new(error.status(), detail)
            }),
            Err(_) => Err(Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                "The body did not arrive in time; send the request again.",
            )),
        };
        // It may have taken its time to come, and whoever asked have lost their access meanwhile.
        let still_may = || match asks.zip(admin) {
            Some((asks, admin)) => asks.may_still(&admin),
            None => Ok(()),
        };
        Ok(Self(read.and_then(|body| still_may().map(|()| body))))
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
    else {
        return false;
    };
    let essence = value.split(';').next().unwrap_or_default().trim();
    JSON.iter().any(|json| essence.eq_ignore_ascii_case(json))
}
