//! The pages for people, and what operators read. Documents are fetched anew, assets carry a hash
//! in their name and are kept for good.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use vetrina_protocol::view::{Role, ShowState};

use super::Shared;
use super::caller::Caller;
use super::error::HttpError;
use crate::pages;
use crate::refused::forbidden;
use vetrina_store::ledger::PageRequest;

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// `/watch/{show}`: the page finds the show in its address.
pub(super) async fn watch(State(shared): State<Arc<Shared>>) -> Response {
    document(&shared, pages::page("watch"))
}

/// `/studio/{show}`.
pub(super) async fn studio(State(shared): State<Arc<Shared>>) -> Response {
    document(&shared, pages::page("studio"))
}

/// `/ops`, on the ops listener.
pub(super) async fn ops(State(shared): State<Arc<Shared>>) -> Response {
    document(&shared, pages::page("ops"))
}

/// `/`: what is on, for somebody who has no link.
pub(super) async fn front(State(shared): State<Arc<Shared>>) -> Result<Response, HttpError> {
    let page = PageRequest {
        cursor: None,
        limit: 50,
    };
    let mut shows = shared.ledger.shows(None, page).await?.items;
    shows.retain(|show| super::shows::is_on_or_announced(show.state));
    shows.sort_by_key(|show| show.state == ShowState::Scheduled);
    let entries: Vec<_> = shows
        .iter()
        .map(|show| pages::FrontEntry {
            path: format!("/watch/{}", show.id),
            title: &show.title,
            seller: &show.seller_name,
            on_air: show.state != ShowState::Scheduled,
        })
        .collect();
    Ok(document(&shared, pages::front(&entries).into()))
}

fn document(shared: &Shared, html: Bytes) -> Response {
    let headers: [(HeaderName, HeaderValue); 3] = [
        (CONTENT_TYPE, HTML),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (CONTENT_SECURITY_POLICY, shared.page_policy.clone()),
    ];
    (headers, html).into_response()
}

/// `/assets/...`.
pub(super) async fn asset(Path(path): Path<String>) -> Result<Response, HttpError> {
    let file = pages::file(&format!("assets/{path}")).ok_or_else(HttpError::not_found)?;
    let headers = [
        (CONTENT_TYPE, file.content_type.as_str()),
        (CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    Ok((headers, file.bytes.clone()).into_response())
}

/// `/ops/feed`: fifteen minutes of samples, then one a second.
pub(super) async fn ops_feed(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
) -> Result<Sse<impl Stream<Item = Result<Event, axum::Error>>>, HttpError> {
    if caller.0.role != Role::Ops {
        return Err(forbidden("the feed needs a token of the ops role").into());
    }
    let life_ms = caller.0.expires_at_ms.since(shared.clock.now()).max(0);
    let expired = tokio::time::sleep(std::time::Duration::from_millis(life_ms.unsigned_abs()));
    let samples = shared
        .feed
        .follow()
        .map(|sample| Ok(Event::default().data(&*sample)))
        .take_until(expired)
        .take_until(shared.shutdown.clone().cancelled_owned());
    Ok(Sse::new(samples).keep_alive(KeepAlive::default()))
}

/// `/metrics`.
pub(super) async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    shared.feed.refresh_gauges();
    let (content_type, text) = shared.metrics.render();
    ([(CONTENT_TYPE, content_type)], text).into_response()
}

/// `/health/live`: the process answers.
pub(super) async fn live() -> &'static str {
    "ok\n"
}

/// `/health/ready`: it can do its work, and each part says so.
pub(super) async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    let report = shared.health.check().await;
    let status = if report.ready() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, axum::Json(report)).into_response()
}
