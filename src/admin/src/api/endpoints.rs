//! The only way to a route: each says here which permission it asks for, and is reached by nobody who has not got it.

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use tags::Permission;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::{OpenApi, SecurityRequirement};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use super::document::{KEY, SESSION};
use crate::auth::{Actor, Asks, Principal};
use crate::problem::Problem;
use crate::service::Admin;
use crate::sessions::SignedIn;

/// The API's endpoints, with their documentation.
pub(super) struct Endpoints(OpenApiRouter<Admin>);

impl Endpoints {
    pub(super) fn new(document: OpenApi) -> Self {
        Self(OpenApiRouter::with_openapi(document))
    }

    /// Endpoints of one path that ask for a permission. Who has it not is told so before anything else of the request is looked at.
    #[must_use]
    pub(super) fn needs(
        self,
        permission: Permission,
        (schemas, mut paths, methods): UtoipaMethodRouter<Admin>,
    ) -> Self {
        for operation in paths.paths.values_mut().flat_map(operations) {
            // Of a scheme that is not OAuth 2, these are the roles that it takes (OpenAPI 3.1, Security Requirement Object).
            let by = |scheme| SecurityRequirement::new(scheme, [permission.as_str()]);
            operation.security = Some(vec![by(KEY), by(SESSION)]);
        }
        let check = move |request, next| authorize(permission, request, next);
        let methods = methods.route_layer(middleware::from_fn(check));
        Self(self.0.routes((schemas, paths, methods)))
    }

    /// Endpoints of one path that are open to everyone: what they ask for is in the request itself.
    #[must_use]
    pub(super) fn open(self, (schemas, mut paths, methods): UtoipaMethodRouter<Admin>) -> Self {
        for operation in paths.paths.values_mut().flat_map(operations) {
            operation.security = Some(Vec::new());
        }
        let methods = methods.route_layer(middleware::from_fn(serve));
        Self(self.0.routes((schemas, paths, methods)))
    }

    /// Endpoints of one path that are for who has signed in, whatever they may.
    #[must_use]
    pub(super) fn signed_in(
        self,
        (schemas, mut paths, methods): UtoipaMethodRouter<Admin>,
    ) -> Self {
        for operation in paths.paths.values_mut().flat_map(operations) {
            let requirement = SecurityRequirement::new(SESSION, [""; 0]);
            operation.security = Some(vec![requirement]);
        }
        let methods = methods.route_layer(middleware::from_fn(recognise));
        Self(self.0.routes((schemas, paths, methods)))
    }

    /// The routes, and the document that describes them.
    pub(super) fn into_parts(self) -> (Router<Admin>, OpenApi) {
        self.0.split_for_parts()
    }
}

/// Endpoints of one path whose answers depend on `Accept`, and say so (RFC 9110 §12.5.5), refusals by the handler too. What is refused before,
/// by who asks, does not depend on it.
pub(super) fn by_accept(
    (schemas, paths, methods): UtoipaMethodRouter<Admin>,
) -> UtoipaMethodRouter<Admin> {
    let methods = methods.route_layer(middleware::map_response(vary));
    (schemas, paths, methods)
}

async fn vary(mut response: Response) -> Response {
    let accept = HeaderValue::from_static("Accept");
    response.headers_mut().insert(header::VARY, accept);
    response
}

/// 401, then 429, then 403. Whoever comes through is known to the handler as its `Principal`.
async fn authorize(
    permission: Permission,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let admin = Admin::serving(&request)?;
    let (method, headers) = (request.method(), request.headers());
    let who = Principal::authenticate(&admin, method, headers, request.extensions())?;
    admin.admit(&who.actor, &who.workspace)?;
    who.require(permission)?;
    let asks = Asks { who, permission };
    request.extensions_mut().insert(asks.who.clone());
    request.extensions_mut().insert(asks);
    Ok(next.run(request).await)
}

/// 401, or 403 for what their page has not sent, then 429. Whoever comes through is known to the handler as `SignedIn`.
async fn recognise(mut request: Request, next: Next) -> Result<Response, Problem> {
    let admin = Admin::serving(&request)?;
    let who = SignedIn::find(&admin, request.method(), request.headers())?;
    admin.admit(&Actor::User(who.user.id.clone()), &who.user.workspace)?;
    request.extensions_mut().insert(who);
    Ok(next.run(request).await)
}

/// As soon as there is someone to answer.
async fn serve(request: Request, next: Next) -> Result<Response, Problem> {
    Admin::serving(&request)?;
    Ok(next.run(request).await)
}

/// The operations of a path, of the methods that this API has.
pub(super) fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem {
        get,
        post,
        put,
        patch,
        delete,
        ..
    } = item;
    [get, post, put, patch, delete].into_iter().flatten()
}
