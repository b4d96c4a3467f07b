//! Shows: everybody may look at one, its host makes and changes it. Life-cycle changes go through
//! the shop, so that viewers hear of them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use vetrina_protocol::id::ShowId;
use vetrina_protocol::money::Currency;
use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::rest::{BroadcastHealth, NewShow, Page, Problem, ShowPatch};
use vetrina_protocol::view::{Role, Show, ShowState};

use super::Shared;
use super::body::{Ids, JsonBody, Key, PageQuery, Paged};
use super::caller::{Caller, MaybeCaller};
use super::error::HttpError;
use super::products::title;
use crate::auth::Shows;
use crate::refused::{Refused, forbidden, invalid};
use crate::shop::{Ask, Command};
use vetrina_store::ledger::{ShowChange, ShowRow};

/// Staff see their seller's shows; everybody else those that are on or announced.
#[utoipa::path(
    get, path = "/v1/shows", tag = "shows", params(PageQuery), security((), ("token" = [])),
    responses((status = 200, body = Page<Show>)),
)]
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    MaybeCaller(caller): MaybeCaller,
    Paged(page): Paged,
) -> Result<Json<Page<Show>>, HttpError> {
    let staff = caller.filter(crate::auth::Principal::is_staff);
    let mut shows = shared
        .ledger
        .shows(staff.as_ref().and_then(|who| who.seller), page)
        .await?;
    if staff.is_none() {
        shows.items.retain(|show| is_on_or_announced(show.state));
    }
    Ok(Json(Page {
        items: shared.origins.views(shows.items).await,
        next_cursor: shows.next_cursor,
    }))
}

pub(crate) const fn is_on_or_announced(state: ShowState) -> bool {
    state.is_on_air() || matches!(state, ShowState::Scheduled)
}

/// Makes a show. Needs a host's token for all shows of the seller.
#[utoipa::path(
    post, path = "/v1/shows", tag = "shows", request_body = NewShow,
    params(("Idempotency-Key" = Option<String>, Header, description = "Same key, same answer")),
    responses(
        (status = 201, body = Show), (status = 400, body = Problem),
        (status = 403, body = Problem),
        (status = 409, body = Problem),
    ),
)]
pub(super) async fn create(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    key: Key,
    body: JsonBody<NewShow>,
) -> Result<(StatusCode, Json<Show>), HttpError> {
    let seller = caller.staff(&[Role::Host])?;
    if caller.0.shows != Shows::All {
        return Err(forbidden("this token is for one show; making shows needs one for all").into());
    }
    let once = key.once(seller, "POST /v1/shows", &body);
    let new = body.value;
    currency("currency", new.currency)?;
    let show = ShowRow {
        id: ShowId::now(),
        seller,
        seller_name: String::new(),
        title: title("title", &new.title)?,
        state: ShowState::Scheduled,
        currency: new.currency,
        starts_at: new.starts_at_ms,
        live_at: None,
        ended_at: None,
        poster: new.poster,
        reservation_ttl_s: reservation_ttl(new.reservation_ttl_s)?.unwrap_or(120),
        order_deadline_s: order_deadline(new.order_deadline_s)?.unwrap_or(600),
        created_at: shared.clock.now(),
    };
    let show = shared.ledger.create_show(once, show).await?;
    let show = shared.origins.view(show).await;
    Ok((StatusCode::CREATED, Json(show)))
}

/// One show.
#[utoipa::path(
    get, path = "/v1/shows/{show}", tag = "shows", params(("show" = ShowId, Path)),
    security((), ("token" = [])),
    responses((status = 200, body = Show), (status = 404, body = Problem)),
)]
pub(super) async fn read(
    State(shared): State<Arc<Shared>>,
    Ids(show): Ids<ShowId>,
) -> Result<Json<Show>, HttpError> {
    let show = find(&shared, show).await?;
    Ok(Json(shared.origins.view(show).await))
}

/// Changes a show, or moves it along its life: `live`, `ended`.
#[utoipa::path(
    patch, path = "/v1/shows/{show}", tag = "shows", request_body = ShowPatch,
    params(("show" = ShowId, Path)),
    responses(
        (status = 200, body = Show), (status = 400, body = Problem),
        (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem),
    ),
)]
pub(super) async fn change(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Ids(show): Ids<ShowId>,
    body: JsonBody<ShowPatch>,
) -> Result<Json<Show>, HttpError> {
    let show = find(&shared, show).await?;
    caller.staff_of(show.seller, show.id, &[Role::Host])?;
    let patch = body.value;
    if !matches!(patch.state, None | Some(ShowState::Live | ShowState::Ended)) {
        return Err(invalid("state", "live or ended").into());
    }
    let change = ShowChange {
        title: patch
            .title
            .as_deref()
            .map(|text| title("title", text))
            .transpose()?,
        starts_at: patch.starts_at_ms,
        reservation_ttl_s: reservation_ttl(patch.reservation_ttl_s)?,
        order_deadline_s: order_deadline(patch.order_deadline_s)?,
        poster: None,
    };
    let mut view = None;
    if change != ShowChange::default() {
        view = Some(shared.shop.change_show(show.id, change).await?);
    }
    let command = match patch.state {
        Some(ShowState::Live) => Some(Command::StartShow),
        Some(ShowState::Ended) => Some(Command::EndShow),
        _ => None,
    };
    if let Some(command) = command {
        let ask = Ask {
            show: show.id,
            by: caller.0,
            key: None,
        };
        shared.shop.carry_out(ask, command).await?;
        view = None;
    }
    let view = match view {
        Some(view) => view,
        None => shared.shop.show_view(show.id).await?,
    };
    Ok(Json(view))
}

/// How the broadcast goes, for the studio.
#[utoipa::path(
    get, path = "/v1/shows/{show}/broadcast", tag = "shows", params(("show" = ShowId, Path)),
    responses((status = 200, body = BroadcastHealth), (status = 403, body = Problem)),
)]
pub(super) async fn broadcast(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Ids(show): Ids<ShowId>,
) -> Result<Json<BroadcastHealth>, HttpError> {
    let show = find(&shared, show).await?;
    caller.staff_of(
        show.seller,
        show.id,
        &[Role::Host, Role::Moderator, Role::Fulfilment],
    )?;
    Ok(Json(shared.broadcasts.health(show.id)))
}

/// The show, or 404.
pub(super) async fn find(shared: &Shared, show: ShowId) -> Result<ShowRow, HttpError> {
    let show = shared.ledger.show(show).await?.ok_or_else(|| {
        Refused::new(
            RefusalCode::ShowUnknown,
            "there is no such show; check the link",
        )
    })?;
    Ok(show)
}

/// A currency that is in use.
pub(super) fn currency(field: &str, currency: Currency) -> Result<(), Refused> {
    match iso_currency::Currency::from_code(currency.as_str()) {
        Some(_) => Ok(()),
        None => Err(invalid(field, "an ISO 4217 code in use, such as EUR")),
    }
}

fn reservation_ttl(seconds: Option<u32>) -> Result<Option<u32>, Refused> {
    within("reservation_ttl_s", seconds, 20, 3_600)
}

fn order_deadline(seconds: Option<u32>) -> Result<Option<u32>, Refused> {
    within("order_deadline_s", seconds, 60, 86_400)
}

fn within(field: &str, value: Option<u32>, least: u32, most: u32) -> Result<Option<u32>, Refused> {
    match value {
        Some(value) if !(least..=most).contains(&value) => {
            Err(invalid(field, format!("from {least} to {most}")))
        }
        value => Ok(value),
    }
}
