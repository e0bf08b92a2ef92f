//! Carrying a request out that makes something: once for each `Idempotency-Key`.

use std::future::Future;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::to_the_end;
use crate::auth::Principal;
use crate::body::Body;
use crate::idempotency::{Answer, Keep, Repetition, key};
use crate::problem::Problem;
use crate::service::Admin;

/// What came of such a request.
pub(super) enum Once<T> {
    /// It has made this.
    Made(T),
    /// It had been carried out before, and was answered this JSON.
    Before(Vec<u8>),
}

/// Calls `make` unless the same request was carried out before. `request` names its method and path; `answer` says what it is answered.
pub(super) async fn once<T, M, F>(
    admin: &Admin,
    who: Principal,
    headers: &HeaderMap,
    request: &str,
    body: Body,
    answer: Answer<T>,
    make: impl FnOnce(Principal, Body, Keep<T>) -> F,
) -> Result<Once<M>, Problem>
where
    M: Send + 'static,
    F: Future<Output = Result<M, Problem>> + Send + 'static,
{
    let idempotency = admin.idempotency();
    match idempotency.begin(admin, &who, key(headers)?, request, &body)? {
        Repetition::Of(answer) => Ok(Once::Before(answer)),
        // The claim goes with the edit, which goes on when the client does not.
        Repetition::None(claim) => {
            let edit = make(who, body, Keep::new(claim, answer));
            to_the_end(admin.judging(), edit).await.map(Once::Made)
        }
    }
}

/// 201 with JSON as it was answered before.
pub(super) fn made_before(answer: Vec<u8>) -> Response {
    let mut response = (StatusCode::CREATED, answer).into_response();
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
