//! What handlers read of a request: JSON bodies, ids in the path, pages, idempotency keys. Whatever
//! cannot be read becomes a problem that names the field.

use axum::Json;
use axum::extract::rejection::{BytesRejection, JsonRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use utoipa::IntoParams;
use vetrina_core::checkout::BodyDigest;
use vetrina_protocol::id::SellerId;

use super::error::HttpError;
use crate::refused::invalid;
use vetrina_store::ledger::{Once, PageRequest};

/// Longest JSON body: a product with 100 variants is about 30 kB.
pub(super) const JSON_BYTES_MAX: usize = 64 * 1024;
/// Longest idempotency key.
const KEY_BYTES_MAX: usize = 64;
/// Items of a page unless asked otherwise.
const PAGE_ITEMS_DEFAULT: u32 = 50;
/// Longest cursor that is passed on.
const CURSOR_BYTES_MAX: usize = 512;

/// A JSON body.
pub(super) struct JsonBody<T> {
    /// As it was read.
    pub(super) value: T,
    /// Of its bytes, to compare repetitions.
    pub(super) digest: BodyDigest,
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = HttpError;

    async fn from_request(request: Request, state: &S) -> Result<Self, HttpError> {
        let is_json = content_type(&request) == Some("application/json");
        if !is_json {
            return Err(HttpError::unsupported_media_type("application/json"));
        }
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|rejection| unread(&rejection, JSON_BYTES_MAX))?;
        let Json(value) = Json::<T>::from_bytes(&bytes).map_err(|rejection| explain(&rejection))?;
        let hash: [u8; 32] = Sha256::digest(&bytes).into();
        Ok(Self {
            value,
            digest: body_digest(hash),
        })
    }
}

/// The media type without its parameters.
pub(super) fn content_type(request: &Request) -> Option<&str> {
    let value = request.headers().get("content-type")?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or(value).trim())
}

/// A body that could not be read: too long, or the connection broke.
pub(super) fn unread(rejection: &BytesRejection, bytes_max: usize) -> HttpError {
    if rejection.status().as_u16() == 413 {
        HttpError::too_large(bytes_max)
    } else {
        invalid("body", "it ended before it was complete; send it again").into()
    }
}

/// The library's text names the field and the place; its first words say nothing.
fn explain(rejection: &JsonRejection) -> HttpError {
    let text = rejection.body_text();
    let text = text
        .rsplit_once("target type: ")
        .map_or(text.as_str(), |(_, rest)| rest);
    invalid("body", text).into()
}

fn body_digest(hash: [u8; 32]) -> BodyDigest {
    BodyDigest(hash)
}

/// Ids in the path. What is no id names nothing: 404.
pub(super) struct Ids<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Ids<T> {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, HttpError> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(ids)) => Ok(Self(ids)),
            Err(_) => Err(HttpError::not_found()),
        }
    }
}

/// Which part of a list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// From 1 to 200; default 50.
    limit: Option<u32>,
}

/// The checked part of a list.
pub(super) struct Paged(pub(super) PageRequest);

impl<S: Send + Sync> FromRequestParts<S> for Paged {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, HttpError> {
        let Query(query) = Query::<PageQuery>::from_request_parts(parts, state)
            .await
            .map_err(|_| invalid("limit", "a whole number from 1 to 200"))?;
        let limit = query.limit.unwrap_or(PAGE_ITEMS_DEFAULT);
        if !(1..=vetrina_store::ledger::PAGE_ITEMS_MAX).contains(&limit) {
            return Err(invalid("limit", "a whole number from 1 to 200").into());
        }
        if query
            .cursor
            .as_ref()
            .is_some_and(|cursor| cursor.len() > CURSOR_BYTES_MAX)
        {
            return Err(invalid("cursor", "not one of ours").into());
        }
        Ok(Self(PageRequest {
            cursor: query.cursor,
            limit,
        }))
    }
}

/// The `Idempotency-Key` header; one is made up when the client sent none, and then repeating the
/// request makes another thing.
pub(super) struct Key(String);

impl Key {
    /// For the ledger: this seller's key for this body of this route. The route is part of the
    /// digest, so that a key used at two addresses is noticed.
    pub(super) fn once<T>(self, seller: SellerId, route: &str, body: &JsonBody<T>) -> Once {
        let mut hash = Sha256::new();
        hash.update(route.as_bytes());
        hash.update([0]);
        hash.update(body.digest.0);
        Once {
            seller,
            key: self.0,
            body: body_digest(hash.finalize().into()),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Key {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, HttpError> {
        let Some(value) = parts.headers.get("idempotency-key") else {
            return Ok(Self(format!("made-up-{:032x}", rand::random::<u128>())));
        };
        let key = value.to_str().unwrap_or_default();
        let printable = key.bytes().all(|byte| byte.is_ascii_graphic());
        if key.is_empty() || key.len() > KEY_BYTES_MAX || !printable {
            return Err(invalid(
                "Idempotency-Key",
                "1 to 64 printable characters without spaces",
            )
            .into());
        }
        Ok(Self(key.to_owned()))
    }
}
