//! What a request is refused with: RFC 9457 problem details.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use journal::PublishError;
use serde::Serialize;
use utoipa::ToSchema;

use crate::index::IndexError;
use crate::rate_limits::Exceeded;
use crate::strict_json::escaped;

/// One field of the request that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// Which, as a JSON pointer (RFC 6901).
    #[schema(example = "/destination")]
    pub pointer: String,
    /// What is wrong with it, and what is allowed.
    pub detail: String,
}

impl FieldError {
    /// An error of a top-level field.
    pub fn new(field: &str, detail: impl ToString) -> Self {
        Self {
            pointer: format!("/{}", escaped(field)),
            detail: detail.to_string(),
        }
    }
}

/// The most errors told at once; more than a request can have that is meant seriously.
pub(crate) const MAX_ERRORS: usize = 100;

/// After how long it is worth a try to send again what could not be answered just now.
const MOMENT: Duration = Duration::from_secs(1);

/// The body of every refusal.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemDetails {
    /// `about:blank`: the status says what kind of problem it is.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The status in words.
    pub title: &'static str,
    /// The status code.
    pub status: u16,
    /// What is wrong with this request.
    pub detail: String,
    /// Which fields of the body are wrong, with 422.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// Which query parameter is wrong, with 400.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
}

/// A refusal.
#[derive(Debug)]
pub struct Problem {
    pub(crate) status: StatusCode,
    detail: String,
    pub(crate) errors: Vec<FieldError>,
    parameter: Option<String>,
    /// After how long the same request may be answered otherwise.
    retry_after: Option<Duration>,
    /// What there were too many of.
    exceeded: Option<Exceeded>,
}

impl Problem {
    /// A refusal with this status and reason.
    pub fn new(status: StatusCode, detail: impl ToString) -> Self {
        Self {
            status,
            detail: detail.to_string(),
            errors: Vec::new(),
            parameter: None,
            retry_after: (status == StatusCode::SERVICE_UNAVAILABLE).then_some(MOMENT),
            exceeded: None,
        }
    }

    /// 429: it may be tried again after this.
    pub fn too_many(wait: Duration) -> Self {
        // Whole seconds (RFC 9110 §10.2.3), and none too early.
        let wait = Duration::from_secs(wait.as_secs() + 1);
        let detail = format!("Too many attempts; try again in {} s.", wait.as_secs());
        Self {
            retry_after: Some(wait),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, detail)
        }
    }

    /// 429: there were as many requests as there may be in a second.
    pub(crate) fn rate_limited(exceeded: Exceeded) -> Self {
        Self {
            retry_after: Some(MOMENT),
            exceeded: Some(exceeded),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, exceeded.detail())
        }
    }

    /// 429: as much is under way as may be, and may be less in a moment.
    pub fn busy(detail: impl ToString) -> Self {
        Self {
            retry_after: Some(MOMENT),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, detail)
        }
    }

    /// The reason, for people.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// 409: the same request is being answered.
    pub fn under_way(detail: &str) -> Self {
        Self {
            retry_after: Some(MOMENT),
            ..Self::new(StatusCode::CONFLICT, detail)
        }
    }

    /// 404, the same for what does not exist and what is another tenant's.
    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("There is no such {what}."))
    }

    /// 422 for fields of the body.
    pub fn fields(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            // The whole body's pointer is empty.
            [one] if one.pointer.is_empty() => one.detail.clone(),
            [one] => format!("{}: {}", one.pointer, one.detail),
            _ => format!("{} fields are not valid.", errors.len()),
        };
        Self {
            errors,
            ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
        }
    }

    /// 422 for one field.
    pub fn field(field: &str, detail: impl ToString) -> Self {
        Self::fields(vec![FieldError::new(field, detail)])
    }

    /// 409 at a field whose value is taken.
    pub fn conflict(field: &str, detail: impl ToString) -> Self {
        let error = FieldError::new(field, detail);
        Self {
            detail: error.detail.clone(),
            errors: vec![error],
            ..Self::new(StatusCode::CONFLICT, "")
        }
    }

    /// 400 for a query parameter.
    pub fn parameter(name: &str, detail: impl ToString) -> Self {
        let detail = format!("Query parameter '{name}': {}", detail.to_string());
        Self {
            parameter: Some(name.to_owned()),
            ..Self::new(StatusCode::BAD_REQUEST, detail)
        }
    }

    /// 401: who is asking?
    pub fn unauthorized(detail: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, detail)
    }

    /// 503: it may work in a moment.
    pub fn unavailable(detail: impl ToString) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }

    /// 500, with the reason in the log and not in the answer.
    pub fn internal(error: &dyn std::error::Error) -> Self {
        tracing::error!(%error, "a request failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "Something failed here; the log says what.",
        )
    }
}

impl From<IndexError> for Problem {
    fn from(error: IndexError) -> Self {
        Self::internal(&error)
    }
}

impl From<PublishError> for Problem {
    fn from(error: PublishError) -> Self {
        tracing::warn!(%error, "a change was not published");
        match error {
            PublishError::TooLarge { .. } => Self::new(StatusCode::PAYLOAD_TOO_LARGE, error),
            PublishError::Fenced { .. } => Self::unavailable(
                "Another admin has taken over; this one no longer writes. Send the request there.",
            ),
            PublishError::InDoubt { .. } => Self::unavailable(
                "Whether the change was published is not known; read it before you try again.",
            ),
            _ => Self::unavailable(
                "The change could not be published and nothing was written; try again.",
            ),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let details = ProblemDetails {
            kind: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: self.detail,
            errors: self.errors,
            parameter: self.parameter,
        };
        let rate_limit = self.exceeded.map(Exceeded::fields);
        let mut response = (self.status, rate_limit, Json(details)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(wait) = self.retry_after {
            headers.insert(header::RETRY_AFTER, wait.as_secs().into());
        }
        match self.status {
            StatusCode::UNAUTHORIZED => {
                let challenge = HeaderValue::from_static("Bearer realm=\"tagwire\"");
                headers.insert(header::WWW_AUTHENTICATE, challenge);
            }
            // As RFC 9110 §15.5.22 wants it.
            StatusCode::UPGRADE_REQUIRED => {
                headers.insert(header::UPGRADE, HeaderValue::from_static("HTTP/1.1"));
                headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
            }
            // What is left of the request may still come, and must not be read as the next one (RFC 9110 §15.5.9).
            StatusCode::REQUEST_TIMEOUT => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}
