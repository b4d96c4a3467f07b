//! Headers that every answer carries, so that a page of ours is not framed, sniffed or made to load
//! from elsewhere. Handlers may set a policy of their own.

use axum::http::header::{
    CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;

use crate::config::Config;

/// Whoever only serves data needs nothing.
const DATA_POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; base-uri 'none'");
static PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");
/// The studio's camera, microphone and screen are ours alone; a framed pay page gets none.
const PERMISSIONS: HeaderValue = HeaderValue::from_static(
    "camera=(self), microphone=(self), display-capture=(self), geolocation=(), usb=()",
);
/// Two years, as browsers' preload lists ask.
const HTTPS_ONLY: HeaderValue = HeaderValue::from_static("max-age=63072000");

/// Whether browsers may be told to insist on HTTPS: not in a demo, whose certificate they do not
/// trust and would then refuse for good.
pub(super) fn insists_on_https(config: &Config) -> bool {
    let secure_url = config
        .public_url
        .as_ref()
        .is_some_and(crate::config::Origin::is_secure);
    !config.demo && (config.tls.is_some() || secure_url)
}

/// Adds what is missing.
pub(super) fn secure(mut response: Response, https_only: bool) -> Response {
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(PERMISSIONS_POLICY.clone(), PERMISSIONS);
    headers
        .entry(CONTENT_SECURITY_POLICY)
        .or_insert(DATA_POLICY);
    if https_only {
        headers.insert(STRICT_TRANSPORT_SECURITY, HTTPS_ONLY);
    }
    response
}

/// What pages may do: load our own files, talk to us, frame the pay page. Video may come from
/// another node, whose origin is not known before: then pages may talk to any, by our own scheme.
pub(crate) fn page_policy(config: &Config, pay_origin: Option<&str>) -> String {
    let frames = pay_origin.unwrap_or("'none'");
    let own = config.node_url.as_ref().or(config.public_url.as_ref());
    let is_secure = own.map_or(config.tls.is_some(), crate::config::Origin::is_secure);
    let nodes = match (&config.redis, is_secure) {
        (None, _) => "",
        (Some(_), true) => " https:",
        (Some(_), false) => " http:",
    };
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
         img-src 'self' data: blob:; media-src 'self' blob:; connect-src 'self'{nodes}; \
         font-src 'self'; worker-src 'self' blob:; manifest-src 'self'; frame-src {frames}; \
         frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )
}
