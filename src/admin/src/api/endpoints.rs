//! The only way to a route: each says here which permission it asks for, and is reached by nobody who has not got it.

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::Response;
use tags::Permission;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::{OpenApi, SecurityRequirement};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use super::document::KEY;
use crate::auth::Principal;
use crate::problem::Problem;
use crate::service::Admin;

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
            let requirement = SecurityRequirement::new(KEY, [permission.as_str()]);
            operation.security = Some(vec![requirement]);
        }
        let check = move |request, next| authorize(permission, request, next);
        let methods = methods.route_layer(middleware::from_fn(check));
        Self(self.0.routes((schemas, paths, methods)))
    }

    /// The routes, and the document that describes them.
    pub(super) fn into_parts(self) -> (Router<Admin>, OpenApi) {
        self.0.split_for_parts()
    }
}

/// 401, then 403. Whoever comes through is known to the handler as its `Principal`.
async fn authorize(
    permission: Permission,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let admin = Admin::serving(&request)?;
    let who = Principal::authenticate(&admin, request.headers(), request.extensions())?;
    who.require(permission)?;
    request.extensions_mut().insert(who);
    Ok(next.run(request).await)
}

/// The operations of a path, of the methods that this API has.
pub(super) fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem {
        get,
        post,
        patch,
        delete,
        ..
    } = item;
    [get, post, patch, delete].into_iter().flatten()
}
