//! The request's body: JSON of the right type, as fields.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};

use crate::fields::Fields;
use crate::problem::Problem;

const JSON: [&str; 2] = ["application/json", "application/merge-patch+json"];

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            let detail = "The body must be JSON: send 'Content-Type: application/json'.";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
        }
        let body = Bytes::from_request(request, state)
            .await
            .map_err(|error: BytesRejection| {
                Problem::new(
                    error.status(),
                    "The body could not be read, or is too large.",
                )
            })?;
        Self::parse(&body)
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
