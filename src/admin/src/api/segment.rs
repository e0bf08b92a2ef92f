//! The parts of a request's path that name something. What cannot be decoded names nothing.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;

use super::not_found;
use crate::problem::Problem;

/// The path's one variable segment, percent-decoded.
pub(crate) struct Segment(pub(crate) String);

/// The path's variable segments, in order.
pub(crate) struct Segments<const COUNT: usize>(pub(crate) [String; COUNT]);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Segments([segment]) = Segments::from_request_parts(parts, state).await?;
        Ok(Self(segment))
    }
}

impl<const COUNT: usize, S: Send + Sync> FromRequestParts<S> for Segments<COUNT> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let segments = Path::<Vec<String>>::from_request_parts(parts, state).await;
        match segments.map(|Path(segments)| segments.try_into()) {
            Ok(Ok(segments)) => Ok(Self(segments)),
            _ => Err(not_found().await),
        }
    }
}
