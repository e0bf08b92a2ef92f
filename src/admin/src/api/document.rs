//! The OpenAPI document, but for the routes: what holds for all of them.

use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Content, OpenApi, Ref, RefOr, Response, Responses};
use utoipa::{Modify, ToSchema};

use crate::problem::ProblemDetails;

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
    modifiers(&BearerKey),
    security(("key" = []))
)]
pub(super) struct Document;

struct BearerKey;

impl Modify for BearerKey {
    fn modify(&self, document: &mut OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        document
            .components
            .get_or_insert_with(Default::default)
            .add_security_scheme("key", scheme);
    }
}

/// Adds to every operation what it may answer beside what is its own, and to every refusal its type.
pub(super) fn add_refusals(document: &mut OpenApi) {
    for item in document.paths.paths.values_mut() {
        let operations = [
            &mut item.get,
            &mut item.post,
            &mut item.put,
            &mut item.patch,
            &mut item.delete,
        ];
        for operation in operations.into_iter().flatten() {
            add_refusals_to(&mut operation.responses, operation.request_body.is_some());
        }
    }
}

fn add_refusals_to(responses: &mut Responses, takes_body: bool) {
    let everywhere = [
        ("400", "The body or a query parameter cannot be read"),
        ("401", "There is no key, or it is not valid"),
        ("403", "The key's role does not allow it"),
        ("503", "The admin cannot read or write now"),
    ];
    let with_body = ("408", "The body did not arrive in time");
    for (status, description) in everywhere
        .into_iter()
        .chain(takes_body.then_some(with_body))
    {
        let response = Response::new(description);
        let responses = &mut responses.responses;
        responses
            .entry(status.to_owned())
            .or_insert_with(|| response.into());
    }
    let refusals = responses.responses.iter_mut();
    for (_, response) in refusals.filter(|(status, _)| status.starts_with(['4', '5'])) {
        if let RefOr::T(response) = response {
            let details = Content::new(Some(Ref::from_schema_name(ProblemDetails::name())));
            let content = ("application/problem+json".to_owned(), RefOr::T(details));
            response.content = std::iter::once(content).collect();
        }
    }
}
