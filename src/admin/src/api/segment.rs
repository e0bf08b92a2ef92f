//! The part of a request's path that names something. What cannot be decoded names nothing.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;

use super::not_found;
use crate::problem::Problem;

/// The path's one variable segment, percent-decoded.
pub(crate) struct Segment(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(text)) => Ok(Self(text)),
            Err(_) => Err(not_found().await),
        }
    }
}
