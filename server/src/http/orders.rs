//! Orders: the buyer sees theirs, staff those of their shows, and delivery addresses go to the
//! buyer and to fulfilment only.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use vetrina_core::order::OrderInput;
use vetrina_protocol::id::{OrderId, ShowId};
use vetrina_protocol::rest::{Page, Problem};
use vetrina_protocol::view::{DeskOrder, Order, OrderState, Role};

use super::Shared;
use super::body::{Ids, PageQuery, Paged};
use super::caller::Caller;
use super::error::HttpError;
use crate::payment::OrderDesk as _;
use vetrina_store::ledger::{OrderRequest, map_page};

const STAFF: [Role; 3] = [Role::Host, Role::Moderator, Role::Fulfilment];

/// Orders of a show, newest first. Delivery addresses are there for the fulfilment role only.
#[utoipa::path(
    get, path = "/v1/shows/{show}/orders", tag = "orders",
    params(("show" = ShowId, Path), PageQuery),
    responses((status = 200, body = Page<DeskOrder>), (status = 403, body = Problem)),
)]
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Ids(show): Ids<ShowId>,
    Paged(page): Paged,
) -> Result<Json<Page<DeskOrder>>, HttpError> {
    let show = super::shows::find(&shared, show).await?;
    caller.staff_of(show.seller, show.id, &STAFF)?;
    let fulfilment = caller.0.role == Role::Fulfilment;
    let orders = shared.ledger.orders_of_show(show.id, page).await?;
    Ok(Json(map_page(orders, |order| DeskOrder {
        buyer: order.buyer,
        buyer_name: order.buyer_name.clone(),
        order: order.staff_view(fulfilment),
    })))
}

/// One order, for its buyer or for staff of its show.
#[utoipa::path(
    get, path = "/v1/orders/{order}", tag = "orders", params(("order" = OrderId, Path)),
    responses((status = 200, body = Order), (status = 404, body = Problem)),
)]
pub(super) async fn read(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Ids(order): Ids<OrderId>,
) -> Result<Json<Order>, HttpError> {
    Ok(Json(shared.shop.order(&caller.0, order).await?))
}

/// Gives the whole amount of a paid order back, once; its units return to the show. Asking again
/// changes nothing.
#[utoipa::path(
    post, path = "/v1/orders/{order}/refund", tag = "orders", params(("order" = OrderId, Path)),
    responses(
        (status = 200, body = Order), (status = 403, body = Problem),
        (status = 404, body = Problem),
        (status = 409, description = "The order is not paid", body = Problem),
    ),
)]
pub(super) async fn refund(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Ids(order): Ids<OrderId>,
) -> Result<Json<Order>, HttpError> {
    let view = shared.shop.order(&caller.0, order).await?;
    let facts = shared.shop.facts(view.show).await?;
    caller.staff_of(facts.seller, view.show, &[Role::Host])?;
    if matches!(view.state, OrderState::Refunding | OrderState::Refunded) {
        return Ok(Json(view));
    }
    let request = OrderRequest {
        order,
        input: OrderInput::RefundAsked { restock: true },
        webhook: None,
        seats: Vec::new(),
    };
    let change = shared.ledger.order_input(request).await?;
    let view = change.order.staff_view(false);
    shared.shop.order_changed(change).await;
    Ok(Json(view))
}
