//! HTTP: every route in one list. A noun has a file of its own; who asks is `caller`, what is read
//! of a request is `body`, status codes are `error`'s alone. What is decided, is decided elsewhere.

mod body;
mod caller;
mod channel;
mod docs;
pub mod error;
mod headers;
mod listings;
mod orders;
mod page;
mod pictures;
pub(crate) mod products;
mod prompt;
mod request;
pub mod serve;
pub(crate) mod shows;
mod tokens;
mod video;
mod webhooks;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName};
use axum::http::{HeaderValue, Method};
use axum::middleware::{from_fn_with_state, map_response};
use axum::routing::{MethodRouter, get, post};
use bytes::Bytes;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::CorsLayer;
use tower_http::timeout::TimeoutLayer;
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::Parts;
use body::Ids;
use caller::Caller;
use error::HttpError;
use video::Side;

/// What handlers share.
pub(crate) struct Shared {
    pub(crate) parts: Parts,
    openapi: Bytes,
    page_policy: HeaderValue,
    https_only: bool,
}

impl std::ops::Deref for Shared {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.parts
    }
}

/// The routers of the two listeners.
pub(crate) struct Routers {
    /// For everybody.
    pub(crate) public: Router,
    /// For operators.
    pub(crate) ops: Router,
    /// The webhooks alone, for a provider beside us.
    pub(crate) webhooks: Router,
}

/// All routes of the process.
pub(crate) fn routers(parts: Parts, pay_origin: Option<&str>) -> Routers {
    let (rest, document) = rest(parts.config.limits.picture_bytes).split_for_parts();
    let openapi = document
        .to_json()
        .expect("the document is made of plain values");
    let policy = headers::page_policy(&parts.config, pay_origin);
    let cors = cors(&parts);
    let shared = Arc::new(Shared {
        openapi: openapi.into(),
        page_policy: HeaderValue::from_str(&policy).expect("an origin is plain ASCII"),
        https_only: headers::insists_on_https(&parts.config),
        parts,
    });
    let public = Router::new()
        .merge(rest.layer(cors))
        .merge(video_routes())
        .merge(webhook_route())
        .merge(plain_routes());
    #[cfg(test)]
    let public = public.route("/test/echo", get(channel::echo));
    Routers {
        public: finish(public, &shared),
        ops: finish(ops_routes(), &shared),
        webhooks: finish(webhook_route(), &shared),
    }
}

/// REST, described by the OpenAPI document.
fn rest(picture_bytes: usize) -> OpenApiRouter<Arc<Shared>> {
    let pictures = OpenApiRouter::new()
        .routes(routes!(pictures::create))
        .layer(DefaultBodyLimit::max(picture_bytes));
    OpenApiRouter::with_openapi(docs::Document::openapi())
        .routes(routes!(tokens::create))
        .routes(routes!(shows::list, shows::create))
        .routes(routes!(shows::read, shows::change))
        .routes(routes!(shows::broadcast))
        .routes(routes!(listings::list, listings::create))
        .routes(routes!(listings::change))
        .routes(routes!(products::list, products::create))
        .routes(routes!(products::read, products::change))
        .routes(routes!(products::create_sku))
        .routes(routes!(pictures::read))
        .routes(routes!(orders::list))
        .routes(routes!(orders::read))
        .routes(routes!(orders::refund))
        .layer(DefaultBodyLimit::max(body::JSON_BYTES_MAX))
        .merge(pictures)
}

/// WHIP and WHEP.
fn video_routes() -> Router<Arc<Shared>> {
    let whip = get(video::endpoint)
        .post(video::publish)
        .options(video::endpoint_options);
    let whep = get(video::endpoint)
        .post(video::subscribe)
        .options(video::endpoint_options);
    Router::new()
        .route("/v1/shows/{show}/whip", whip)
        .route("/v1/shows/{show}/whep", whep)
        .route("/v1/whip/{session}", video_session(Side::Whip))
        .route("/v1/whep/{session}", video_session(Side::Whep))
        .layer(DefaultBodyLimit::max(video::SDP_BYTES_MAX))
        .layer(map_response(async |response| {
            video::open_to_pages(response)
        }))
}

fn video_session(side: Side) -> MethodRouter<Arc<Shared>> {
    get(
        async move |State(shared): State<Arc<Shared>>,
                    caller: Caller,
                    Ids(session): Ids<String>| {
            video::session(&shared, side, &caller, &session).await
        },
    )
    .patch(
        async move |State(shared): State<Arc<Shared>>,
                    caller: Caller,
                    Ids(session): Ids<String>,
                    request: axum::extract::Request| {
            video::patch(&shared, side, &caller, &session, request).await
        },
    )
    .delete(
        async move |State(shared): State<Arc<Shared>>,
                    caller: Caller,
                    Ids(session): Ids<String>| {
            video::close(&shared, side, &caller, &session).await
        },
    )
    .options(video::session_options)
}

/// What payment providers tell.
fn webhook_route() -> Router<Arc<Shared>> {
    Router::new()
        .route("/v1/webhooks/{provider}", post(webhooks::receive))
        .layer(DefaultBodyLimit::max(body::JSON_BYTES_MAX))
}

/// Channel, documentation, pages.
fn plain_routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/v1/shows/{show}/channel", get(channel::open))
        .route("/docs", get(docs::index))
        .route("/docs/", get(docs::root))
        .route("/docs/openapi.json", get(docs::openapi))
        .route("/docs/problems", get(docs::problems))
        .route("/docs/{*file}", get(docs::file))
        .route("/", get(page::front))
        .route("/watch/{show}", get(page::watch))
        .route("/studio/{show}", get(page::studio))
        .route("/assets/{*file}", get(page::asset))
        .layer(DefaultBodyLimit::max(body::JSON_BYTES_MAX))
}

/// Ops page, its feed, metrics, health. Never on the public listener.
fn ops_routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/ops", get(page::ops))
        .route("/ops/feed", get(page::ops_feed))
        .route("/assets/{*file}", get(page::asset))
        .route("/v1/tokens", post(tokens::create_for_ops))
        .route("/metrics", get(page::metrics))
        .route("/health/live", get(page::live))
        .route("/health/ready", get(page::ready))
        .layer(DefaultBodyLimit::max(body::JSON_BYTES_MAX))
}

/// What every route of a listener gets, from the inside out.
fn finish(router: Router<Arc<Shared>>, shared: &Arc<Shared>) -> Router {
    let https_only = shared.https_only;
    router
        .fallback(async || HttpError::not_found())
        .layer(TimeoutLayer::with_status_code(
            StatusCode::SERVICE_UNAVAILABLE,
            shared.config.request_timeout,
        ))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(map_response(move |response| async move {
            headers::secure(response, https_only)
        }))
        .layer(from_fn_with_state(shared.clone(), request::observe))
        .with_state(shared.clone())
}

fn panicked(panic: Box<dyn std::any::Any + Send>) -> axum::response::Response {
    use axum::response::IntoResponse as _;
    // The panic hook has logged where; the text may hold anything.
    drop(panic);
    tracing::error!("a handler panicked");
    HttpError::from(crate::refused::internal()).into_response()
}

/// Pages of other origins, if the operator named any, may use REST with bearer tokens.
fn cors(parts: &Parts) -> CorsLayer {
    let origins = parts.config.allowed_origins.iter();
    let origins: Vec<HeaderValue> = origins
        .filter_map(|origin| HeaderValue::from_str(origin.as_str()).ok())
        .collect();
    if origins.is_empty() {
        return CorsLayer::new();
    }
    CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST, Method::PATCH])
        .allow_headers([
            AUTHORIZATION,
            CONTENT_TYPE,
            HeaderName::from_static("idempotency-key"),
            request::REQUEST_ID.clone(),
        ])
        .expose_headers([
            request::REQUEST_ID.clone(),
            HeaderName::from_static("retry-after"),
        ])
}
