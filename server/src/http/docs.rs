//! `/docs`: the OpenAPI document and the Swagger UI that reads it, both from this binary; and the
//! page of problem codes.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_swagger_ui::Config;

use super::Shared;
use super::error::{HttpError, codes_page};

/// Swagger UI draws its icons from data URLs and styles its parts inline; nothing comes from
/// elsewhere.
const SWAGGER_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' \
    'unsafe-inline'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; \
    frame-ancestors 'none'";

/// The head of the document; the routes add themselves.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Vetrina",
        description = "REST of a live-shopping server. Errors are problem documents (RFC 9457); \
            lists are pages with a cursor; a POST with an `Idempotency-Key` may be repeated. Money \
            is integer minor units and an ISO 4217 code. The real-time channel is described by the \
            AsyncAPI document of the protocol; video is WHIP (RFC 9725) and WHEP.",
    ),
    modifiers(&Bearer),
    security(("token" = [])),
)]
pub(super) struct Document;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some("From POST /v1/tokens, or `vetrina token`."))
            .build();
        document
            .components
            .get_or_insert_default()
            .add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// The document.
pub(super) async fn openapi(State(shared): State<Arc<Shared>>) -> Response {
    ([(CONTENT_TYPE, "application/json")], shared.openapi.clone()).into_response()
}

/// `/docs` without the slash would break the page's relative links.
pub(super) async fn index() -> Redirect {
    Redirect::permanent("/docs/")
}

/// The codes that problems have.
pub(super) async fn problems() -> Html<String> {
    Html(codes_page())
}

/// The page itself.
pub(super) async fn root() -> Result<Response, HttpError> {
    swagger("index.html")
}

/// The page's files.
pub(super) async fn file(Path(path): Path<String>) -> Result<Response, HttpError> {
    swagger(&path)
}

fn swagger(path: &str) -> Result<Response, HttpError> {
    let config = Config::from("/docs/openapi.json").persist_authorization(false);
    let file = utoipa_swagger_ui::serve(path, Arc::new(config)).map_err(|error| {
        tracing::error!(%error, "the API documentation cannot be served");
        crate::refused::internal()
    })?;
    let file = file.ok_or_else(HttpError::not_found)?;
    let headers = [
        (CONTENT_TYPE, file.content_type),
        (CONTENT_SECURITY_POLICY, SWAGGER_POLICY.to_owned()),
    ];
    Ok((headers, file.bytes.into_owned()).into_response())
}
