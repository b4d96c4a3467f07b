//! Pictures: uploaded by staff, seen by everybody. The kind is read from the bytes, never believed;
//! an SVG must be harmless or it is refused, and is served where it could not run anything anyway.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{FromRequest as _, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use vetrina_protocol::id::PictureId;
use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::rest::{Picture, Problem};
use vetrina_protocol::view::Role;

use super::Shared;
use super::body::{Ids, content_type, unread};
use super::caller::Caller;
use super::error::HttpError;
use crate::pictures::{self, Kind};
use crate::refused::Refused;

/// Uploads a picture: PNG, JPEG, WebP, or a plain SVG. The same bytes give the same picture.
#[utoipa::path(
    post, path = "/v1/pictures", tag = "pictures",
    request_body(content = Vec<u8>, content_type = "image/*"),
    responses(
        (status = 201, body = Picture), (status = 400, body = Problem),
        (status = 403, body = Problem),
        (status = 413, body = Problem), (status = 415, body = Problem),
    ),
)]
pub(super) async fn create(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    request: Request,
) -> Result<(StatusCode, Json<Picture>), HttpError> {
    let seller = caller.staff(&[Role::Host])?;
    let wanted = "image/png, image/jpeg, image/webp or image/svg+xml";
    if !content_type(&request).is_some_and(|kind| kind.starts_with("image/")) {
        return Err(HttpError::unsupported_media_type(wanted));
    }
    let most = shared.config.limits.picture_bytes;
    let bytes = Bytes::from_request(request, &())
        .await
        .map_err(|rejection| unread(&rejection, most))?;
    let kind = Kind::sniff(&bytes).ok_or_else(|| HttpError::unsupported_media_type(wanted))?;
    let picture = pictures::keep(
        &*shared.ledger,
        &*shared.blobs,
        shared.clock.now(),
        seller,
        kind,
        bytes,
    )
    .await?;
    Ok((StatusCode::CREATED, Json(picture)))
}

/// A picture's bytes. They never change.
#[utoipa::path(
    get, path = "/v1/pictures/{picture}", tag = "pictures", params(("picture" = PictureId, Path)),
    security(()),
    responses((status = 200, content_type = "image/*"), (status = 404, body = Problem)),
)]
pub(super) async fn read(
    State(shared): State<Arc<Shared>>,
    Ids(picture): Ids<PictureId>,
    headers: HeaderMap,
) -> Result<Response, HttpError> {
    let unknown = || Refused::new(RefusalCode::NotFound, "there is no such picture");
    let tag = format!("\"{picture}\"");
    let is_cached = headers
        .get(IF_NONE_MATCH)
        .is_some_and(|value| value.as_bytes() == tag.as_bytes());
    if is_cached {
        return Ok((StatusCode::NOT_MODIFIED, [(ETAG, tag)]).into_response());
    }
    let row = shared.ledger.picture(picture).await?.ok_or_else(unknown)?;
    let bytes = shared.blobs.get(picture).await?.ok_or_else(unknown)?;
    let headers = [
        (CONTENT_TYPE, row.content_type),
        (
            CACHE_CONTROL,
            "public, max-age=31536000, immutable".to_owned(),
        ),
        (ETAG, tag),
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; sandbox".to_owned(),
        ),
    ];
    Ok((headers, Body::from(bytes)).into_response())
}
