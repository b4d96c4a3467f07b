//! Listings: what a show offers. Everybody may look, its host adds and changes; changes go through
//! the shop, so that stock and log agree.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use vetrina_protocol::id::{ListingId, ShowId};
use vetrina_protocol::rest::{ListingPatch, NewListing, Page, Problem};
use vetrina_protocol::view::{Listing, Role};

use super::Shared;
use super::body::{Ids, JsonBody, Key};
use super::caller::Caller;
use super::error::HttpError;
use super::products::price;
use crate::refused::{Refused, invalid};
use crate::shop::{Ask, Command};
use vetrina_store::ledger::{ListingChange, NewListingRow};

/// Units per buyer unless said otherwise.
const PER_BUYER_DEFAULT: u32 = 2;

/// The run of show with its stock. All of it is one page.
#[utoipa::path(
    get, path = "/v1/shows/{show}/listings", tag = "listings", params(("show" = ShowId, Path)),
    security((), ("token" = [])),
    responses((status = 200, body = Page<Listing>), (status = 404, body = Problem)),
)]
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    Ids(show): Ids<ShowId>,
) -> Result<Json<Page<Listing>>, HttpError> {
    let show = super::shows::find(&shared, show).await?;
    Ok(Json(Page {
        items: shared.shop.listings(show.id).await?,
        next_cursor: None,
    }))
}

/// Offers a sku in a show, at the end of the run of show.
#[utoipa::path(
    post, path = "/v1/shows/{show}/listings", tag = "listings", request_body = NewListing,
    params(
        ("show" = ShowId, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeat a request with its key"),
    ),
    responses(
        (status = 201, body = Listing), (status = 400, body = Problem),
        (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem),
    ),
)]
pub(super) async fn create(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Ids(show): Ids<ShowId>,
    key: Key,
    body: JsonBody<NewListing>,
) -> Result<(StatusCode, Json<Listing>), HttpError> {
    let show = super::shows::find(&shared, show).await?;
    caller.staff_of(show.seller, show.id, &[Role::Host])?;
    let once = key.once(
        show.seller,
        &format!("POST /v1/shows/{}/listings", show.id),
        &body,
    );
    let new = body.value;
    let listing = NewListingRow {
        id: ListingId::now(),
        show: show.id,
        sku: new.sku,
        price: new.price.map(|money| price("price", money)).transpose()?,
        total: new.total,
        per_buyer: per_buyer(new.per_buyer)?.unwrap_or(PER_BUYER_DEFAULT),
    };
    let listing = shared.shop.create_listing(once, listing).await?;
    Ok((StatusCode::CREATED, Json(listing)))
}

/// Changes price, units or limit of a listing.
#[utoipa::path(
    patch, path = "/v1/shows/{show}/listings/{listing}", tag = "listings",
    request_body = ListingPatch, params(("show" = ShowId, Path), ("listing" = ListingId, Path)),
    responses(
        (status = 200, body = Listing), (status = 400, body = Problem),
        (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem),
    ),
)]
pub(super) async fn change(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Ids((show, listing)): Ids<(ShowId, ListingId)>,
    body: JsonBody<ListingPatch>,
) -> Result<Json<Listing>, HttpError> {
    let show = super::shows::find(&shared, show).await?;
    caller.staff_of(show.seller, show.id, &[Role::Host])?;
    let patch = body.value;
    let change = ListingChange {
        price: patch.price.map(|money| price("price", money)).transpose()?,
        total: patch.total,
        per_buyer: per_buyer(patch.per_buyer)?,
    };
    let ask = Ask {
        show: show.id,
        by: caller.0,
        key: None,
    };
    let command = Command::ChangeListing { listing, change };
    shared.shop.carry_out(ask, command).await?;
    Ok(Json(shared.shop.listing(show.id, listing).await?))
}

fn per_buyer(units: Option<u32>) -> Result<Option<u32>, Refused> {
    match units {
        Some(units) if !(1..=100).contains(&units) => Err(invalid("per_buyer", "from 1 to 100")),
        units => Ok(units),
    }
}
