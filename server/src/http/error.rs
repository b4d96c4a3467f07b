//! Errors of REST, WHIP and WHEP: the only place that knows status codes. Every error leaves as
//! `application/problem+json` (RFC 9457); inner texts of the world's faults stay in the log.

use axum::body::Body;
use axum::http::header::{
    CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, TRANSFER_ENCODING, WWW_AUTHENTICATE,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use vetrina_protocol::refusal::{Advice, RefusalCode};
use vetrina_protocol::rest::Problem;

use crate::refused::Refused;
use vetrina_store::StoreError;

/// Where the codes are explained.
const CODES: &str = "/docs/problems#";

/// Why a request gets no answer of its own kind.
#[derive(Debug, Clone)]
pub struct HttpError {
    status: StatusCode,
    refused: Refused,
}

impl HttpError {
    /// Nothing at this address.
    pub fn not_found() -> Self {
        Refused::new(RefusalCode::NotFound, "nothing is at this address").into()
    }

    /// 405: the address exists, this method does not.
    pub fn method_not_allowed() -> Self {
        Self::with(
            StatusCode::METHOD_NOT_ALLOWED,
            "this address does not take this method; the Allow header lists those it takes",
        )
    }

    /// 408: the body did not come in time.
    pub fn too_slow() -> Self {
        Refused::for_now(
            RefusalCode::TryAgain,
            "this took longer than the server waits; try the same again, with the same \
             Idempotency-Key",
            1_000,
        )
        .into()
    }

    /// 413: the body is longer than this address takes.
    pub fn too_large(bytes_max: usize) -> Self {
        Self::with(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body is too long: this address takes at most {bytes_max} bytes"),
        )
    }

    /// 415: the body is of a kind that this address does not take.
    pub fn unsupported_media_type(wanted: &str) -> Self {
        Self::with(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!("Content-Type: this address takes {wanted}"),
        )
    }

    fn with(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            refused: Refused::new(RefusalCode::Invalid, message.into()),
        }
    }

    fn problem(&self) -> Problem {
        Problem {
            kind: format!("{CODES}{}", self.refused.code.as_str()),
            title: title(self.refused.code),
            status: self.status.as_u16(),
            detail: self.refused.message.clone().into_owned(),
            code: self.refused.code,
            request_id: None,
            retry_after_ms: self.refused.retry_after_ms,
        }
    }
}

/// "show_unknown" in words: "show unknown".
fn title(code: RefusalCode) -> String {
    code.as_str().replace('_', " ")
}

impl From<Refused> for HttpError {
    fn from(refused: Refused) -> Self {
        let status = StatusCode::from_u16(refused.code.http_status())
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, refused }
    }
}

impl From<StoreError> for HttpError {
    fn from(error: StoreError) -> Self {
        error.refusal().into()
    }
}

/// What the media engine refuses, as `checks` of WHIP and WHEP want it (RFC 9725).
impl From<vetrina_media::Refused> for HttpError {
    fn from(refused: vetrina_media::Refused) -> Self {
        use vetrina_media::Refused as M;
        let message = refused.to_string();
        match refused {
            M::MalformedOffer(_) | M::MalformedFragment(_) => {
                Self::with(StatusCode::BAD_REQUEST, message)
            }
            M::UnsupportedOffer(_) | M::UnsupportedPatch(_) => {
                Self::with(StatusCode::UNPROCESSABLE_ENTITY, message)
            }
            M::StaleTag => Self::with(StatusCode::PRECONDITION_FAILED, message),
            M::PreconditionRequired => Self::with(StatusCode::PRECONDITION_REQUIRED, message),
            M::NotLive => Refused::for_now(RefusalCode::NotLive, message, 2_000).into(),
            M::UnknownSession => Refused::new(RefusalCode::NotFound, message).into(),
            M::Overloaded => Refused::for_now(RefusalCode::Overloaded, message, 2_000).into(),
            M::Stopped => Refused::for_now(RefusalCode::TryAgain, message, 1_000).into(),
        }
    }
}

/// The problem rides along as an extension; [`finish`] writes it once the request id is known.
impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Gives every error its body and headers. An error that no handler made (a wrong method, a bug
/// that panicked) becomes a problem too.
pub(super) fn finish(response: Response, request_id: &str) -> Response {
    let (mut parts, body) = response.into_parts();
    let error = match parts.extensions.remove::<HttpError>() {
        Some(error) => error,
        None if is_bare_error(parts.status, &parts.headers) => bare(parts.status),
        None => return Response::from_parts(parts, body),
    };
    let mut problem = error.problem();
    problem.request_id = Some(request_id.to_owned());
    let json = serde_json::to_vec(&problem).expect("plain text and numbers always become JSON");
    // What a layer said (CORS, Allow) stays; what described the old body goes.
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.remove(TRANSFER_ENCODING);
    let mut response = Response::from_parts(parts, Body::from(json));
    *response.status_mut() = error.status;
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    if error.status == StatusCode::UNAUTHORIZED {
        headers.insert(
            WWW_AUTHENTICATE,
            HeaderValue::from_static("Bearer realm=\"vetrina\""),
        );
    }
    if let Some(ms) = problem.retry_after_ms {
        headers.insert(RETRY_AFTER, HeaderValue::from(ms.div_ceil(1_000)));
    }
    response
}

/// An error that a layer or an extractor made: plain text or nothing. JSON is a handler's own word.
fn is_bare_error(status: StatusCode, headers: &HeaderMap) -> bool {
    let is_json = headers.get(CONTENT_TYPE).is_some_and(|kind| {
        let kind = kind.as_bytes();
        kind.starts_with(b"application/json") || kind.starts_with(b"application/problem+json")
    });
    (status.is_client_error() || status.is_server_error()) && !is_json
}

fn bare(status: StatusCode) -> HttpError {
    match status {
        StatusCode::NOT_FOUND => HttpError::not_found(),
        StatusCode::METHOD_NOT_ALLOWED => HttpError::method_not_allowed(),
        StatusCode::REQUEST_TIMEOUT | StatusCode::SERVICE_UNAVAILABLE => HttpError::too_slow(),
        status if status.is_client_error() => {
            HttpError::with(status, "the request cannot be understood; see /docs")
        }
        _ => crate::refused::internal().into(),
    }
}

/// The page that a problem's `type` points at: every code, what it means and what to do.
pub(super) fn codes_page() -> String {
    let rows: String = RefusalCode::ALL
        .iter()
        .map(|code| {
            let advice = match code.advice() {
                Advice::Stop => "show it; the same will be refused again",
                Advice::Change => "change the request as it says",
                Advice::Retry => "try the same again, with the same key",
                Advice::Authenticate => "get a new token first",
            };
            let (name, status) = (code.as_str(), code.http_status());
            let cells = format!("<td><code>{name}</code></td><td>{status}</td><td>{advice}</td>");
            format!("<tr id=\"{name}\">{cells}</tr>\n")
        })
        .collect();
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Problems</title>\
         <h1>Problems</h1><p>The same codes in REST (RFC 9457) and in <code>Refused</code> on the \
         channel.</p><table><tr><th>code</th><th>status</th><th>what to do</th></tr>\n{rows}\
         </table></html>"
    )
}

#[cfg(test)]
mod tests {
    use axum::http::header::ALLOW;

    use super::*;

    fn problem_of(response: Response) -> (StatusCode, HeaderMap, Problem) {
        let (parts, body) = finish(response, "r-1").into_parts();
        let bytes = tokio::runtime::Runtime::new()
            .expect("a runtime")
            .block_on(axum::body::to_bytes(body, 10_000))
            .expect("a body");
        (
            parts.status,
            parts.headers,
            serde_json::from_slice(&bytes).expect("a problem"),
        )
    }

    #[test]
    fn a_refusal_becomes_a_problem() {
        let refused = Refused::for_now(RefusalCode::RateLimited, "slower, please", 1_500);
        let (status, headers, problem) = problem_of(HttpError::from(refused).into_response());
        assert_eq!(status.as_u16(), 429);
        assert_eq!(headers[RETRY_AFTER], "2");
        assert_eq!(headers[CONTENT_TYPE], "application/problem+json");
        assert_eq!(problem.kind, "/docs/problems#rate_limited");
        assert_eq!(problem.detail, "slower, please");
        assert_eq!(problem.request_id.as_deref(), Some("r-1"));
    }

    #[test]
    fn errors_that_no_handler_made_become_problems_too() {
        let mut response = StatusCode::METHOD_NOT_ALLOWED.into_response();
        response
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET"));
        let (status, headers, problem) = problem_of(response);
        assert_eq!((status.as_u16(), problem.status), (405, 405));
        assert_eq!(headers[ALLOW], "GET");
        let (_, headers, problem) = problem_of(StatusCode::UNAUTHORIZED.into_response());
        assert!(headers.contains_key(WWW_AUTHENTICATE));
        assert_eq!(problem.status, 401);
        let (_, _, problem) =
            problem_of((StatusCode::INTERNAL_SERVER_ERROR, "secret").into_response());
        assert_eq!(problem.code, RefusalCode::Internal);
        assert!(!problem.detail.contains("secret"));
    }

    #[test]
    fn good_answers_stay_as_they_are() {
        let response = finish((StatusCode::CREATED, "made").into_response(), "r-1");
        assert_eq!(response.status(), StatusCode::CREATED);
        assert_ne!(response.headers()[CONTENT_TYPE], "application/problem+json");
    }

    #[test]
    fn every_code_is_explained() {
        let page = codes_page();
        assert!(
            RefusalCode::ALL
                .iter()
                .all(|code| page.contains(&format!("id=\"{}\"", code.as_str())))
        );
    }
}
