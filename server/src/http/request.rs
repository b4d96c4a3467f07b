//! What happens to every request: a request id, one log line, one measurement, a body for errors.
//! Log lines hold the route's template, never the path, the query, an address or a token.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::HeaderName;
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument as _;

use super::Shared;
use super::error;
use crate::ops::metrics::Part;

/// Read and answered; joins log lines of several machines.
pub(super) static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Ids of others are taken over if they cannot do harm in a log.
const REQUEST_ID_BYTES_MAX: usize = 64;

/// The outermost layer.
pub(super) async fn observe(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let request_id = request_id(request.headers());
    let method = request.method().clone();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "unmatched".to_owned(), |path| path.as_str().to_owned());
    let span = tracing::info_span!("request", %request_id);
    let response = next.run(request).instrument(span.clone()).await;
    let mut response = error::finish(response, &request_id);
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert(REQUEST_ID.clone(), value);
    }
    let status = response.status().as_u16();
    let took = started.elapsed();
    shared
        .metrics
        .request(method.as_str(), &route, status, took);
    let took_ms = took.as_secs_f64() * 1_000.0;
    let _entered = span.enter();
    if response.status().is_server_error() {
        shared.metrics.error(Part::Http);
        tracing::warn!(%method, route, status, took_ms, "a request failed");
    } else {
        tracing::debug!(%method, route, status, took_ms, "a request was answered");
    }
    response
}

fn request_id(headers: &HeaderMap) -> String {
    let plain = |id: &&str| {
        !id.is_empty()
            && id.len() <= REQUEST_ID_BYTES_MAX
            && id
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    headers
        .get(&REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(plain)
        .map_or_else(|| format!("{:016x}", rand::random::<u64>()), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_request_id_is_taken_if_it_is_harmless() {
        let id = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(&REQUEST_ID, HeaderValue::from_static(text));
            request_id(&headers)
        };
        assert_eq!(id("edge-7.abc_1"), "edge-7.abc_1");
        assert_ne!(id("a b"), "a b");
        assert_eq!(request_id(&HeaderMap::new()).len(), 16);
    }
}
