//! The OpenAPI document, but for the routes: what holds for all of them.

use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::Operation;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Content, Object, OpenApi, Ref, RefOr, Response, Type};
use utoipa::{Modify, ToSchema};

use super::endpoints::operations;
use crate::problem::ProblemDetails;
use crate::sessions::COOKIE;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Tagwire admin API",
        description = "Makes and changes tags, and tells what is being scanned. Errors are problem details (RFC 9457). Times are RFC 3339."
    ),
    tags(
        (name = "tags", description = "Printed codes and where they lead"),
        (name = "history", description = "Who changed what, and how it was before"),
        (name = "analytics", description = "What is being scanned"),
        (name = "settings", description = "Workspaces, domains and keys"),
        (name = "operations", description = "The edges, for who runs the installation")
    ),
    modifiers(&Schemes)
)]
pub(super) struct Document;

/// The names of the security schemes.
pub(super) const KEY: &str = "key";
pub(super) const SESSION: &str = "session";

struct Schemes;

impl Modify for Schemes {
    fn modify(&self, document: &mut OpenApi) {
        let key = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        let session = SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(COOKIE)));
        let components = document.components.get_or_insert_with(Default::default);
        components.add_security_scheme(KEY, key);
        components.add_security_scheme(SESSION, session);
    }
}

/// Adds to every operation what it may answer beside what is its own, and to every refusal its type.
pub(super) fn add_refusals(document: &mut OpenApi) {
    for item in document.paths.paths.values_mut() {
        for operation in operations(item) {
            add_refusals_to(operation);
        }
    }
}

fn add_refusals_to(operation: &mut Operation) {
    let everywhere = [
        ("400", "The body or a query parameter cannot be read"),
        (
            "401",
            "There is neither a key nor a session, or it is not valid",
        ),
        (
            "403",
            "The key's role or scopes, or the user's role, do not allow it; or a session's write lacks its X-CSRF-Token",
        ),
        ("503", "The admin cannot read or write now"),
    ];
    let with_body = [
        ("408", "The body did not arrive in time"),
        ("413", "The body is too large"),
        ("415", "The body is not JSON"),
    ];
    let takes_body = operation.request_body.is_some();
    let with_body = with_body.into_iter().filter(|_| takes_body);
    for (status, description) in everywhere.into_iter().chain(with_body) {
        let response = Response::new(description);
        add_response(operation, status, response);
    }
    let of = operation.security.as_deref().unwrap_or_default();
    if !of.is_empty() {
        add_rate_limit(operation);
    }
    let refusals = operation.responses.responses.iter_mut();
    for (_, response) in refusals.filter(|(status, _)| status.starts_with(['4', '5'])) {
        if let RefOr::T(response) = response {
            let details = Content::new(Some(Ref::from_schema_name(ProblemDetails::name())));
            let content = ("application/problem+json".to_owned(), RefOr::T(details));
            response.content = std::iter::once(content).collect();
        }
    }
}

/// Unless the operation says itself what it is.
fn add_response(operation: &mut Operation, status: &str, response: Response) {
    let responses = &mut operation.responses.responses;
    responses
        .entry(status.to_owned())
        .or_insert_with(|| response.into());
}

/// To every operation that knows who is asking; one that has another reason to answer 429 says both, and gets the fields.
fn add_rate_limit(operation: &mut Operation) {
    let limited = rate_limited();
    match operation.responses.responses.get_mut("429") {
        Some(RefOr::T(own)) => own.headers.extend(limited.headers),
        _ => add_response(operation, "429", limited),
    }
}

/// What every operation answers that knows who is asking.
fn rate_limited() -> Response {
    let text = |description: &str, example: &str| {
        HeaderBuilder::new()
            .schema(Some(Object::with_type(Type::String)))
            .description(Some(description))
            .example(Some(example.into()))
            .build()
    };
    ResponseBuilder::new()
        .description("The key, the user or all of the workspace have made as many requests as they may in a second")
        .header("Retry-After", Header::new(Object::with_type(Type::Integer)))
        .header(
            "RateLimit-Policy",
            text("Which limit it is: so many (`q`) in so many seconds (`w`)", "\"key\";q=1000;w=1"),
        )
        .header(
            "RateLimit",
            text("What is left of it (`r`), and for how many seconds (`t`)", "\"key\";r=0;t=1"),
        )
        .build()
}
