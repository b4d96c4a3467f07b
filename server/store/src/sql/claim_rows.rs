//! The rows of a batch of claims: what it must know before deciding, and the orders it makes.

use std::collections::BTreeMap;

use vetrina_core::checkout::KnownOrder;
use vetrina_protocol::id::{OrderId, ReservationId, UserId};
use vetrina_protocol::money::Money;

use super::db::{Db, json, query_either, query_one_of};
use super::order_rows;
use super::rows::{digest, hex};
use crate::ledger::{Checkout, OrderLineRow, OrderRow, WorkKind};

/// What these keys made before.
pub(super) async fn known_orders(
    db: &mut Db<'_>,
    checkouts: &[Checkout],
) -> sqlx::Result<BTreeMap<(UserId, String), KnownOrder>> {
    let keys: Vec<_> = checkouts
        .iter()
        .map(|checkout| (checkout.claim.buyer, &checkout.claim.key))
        .collect();
    let rows = query_either(
        "SELECT o.id, o.buyer, o.key, o.body FROM json_each($1) j CROSS JOIN orders o
         ON o.buyer = j.value ->> 0 AND o.key = j.value ->> 1",
        "SELECT o.id, o.buyer, o.key, o.body FROM jsonb_array_elements($1::jsonb) j
         JOIN orders o ON o.buyer = (j ->> 0)::uuid AND o.key = j ->> 1",
    )
    .bind_rows(&keys)
    .fetch_all(db)
    .await?;
    rows.iter()
        .map(|row| {
            let known = KnownOrder {
                order: row.id("id")?,
                body: row.named("body", digest)?,
            };
            Ok(((row.id("buyer")?, row.text("key")?), known))
        })
        .collect()
}

/// The orders that these reservations are part of.
pub(super) async fn ordered(
    db: &mut Db<'_>,
    reservations: &[ReservationId],
) -> sqlx::Result<BTreeMap<ReservationId, OrderId>> {
    let rows = query_one_of!(
        "SELECT reservation, order_id FROM order_lines WHERE reservation",
        ""
    )
    .bind_ids(reservations.iter().copied())
    .fetch_all(db)
    .await?;
    rows.iter()
        .map(|row| Ok((row.id("reservation")?, row.id("order_id")?)))
        .collect()
}

/// Writes orders, their lines and their first work.
pub(super) async fn insert_orders(
    db: &mut Db<'_>,
    checkouts: &[Checkout],
    made: &[(usize, OrderId, Money)],
    orders: &[OrderRow],
) -> sqlx::Result<()> {
    if orders.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = made
        .iter()
        .zip(orders)
        .map(|((index, ..), order)| order_json(&checkouts[*index], order))
        .collect();
    query_either(
        "INSERT INTO orders (id, seller, number, show, buyer, buyer_name, key, body, phase,
           pay_by, version, total_minor, currency, created_at, delivery)
         SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5,
           value ->> 6, value ->> 7, value ->> 8, value ->> 9, value ->> 10, value ->> 11,
           value ->> 12, value ->> 13, value ->> 14 FROM json_each($1)",
        "INSERT INTO orders (id, seller, number, show, buyer, buyer_name, key, body, phase,
           pay_by, version, total_minor, currency, created_at, delivery)
         SELECT (j ->> 0)::uuid, (j ->> 1)::uuid, (j ->> 2)::bigint, (j ->> 3)::uuid,
           (j ->> 4)::uuid, j ->> 5, j ->> 6, j ->> 7, j ->> 8, (j ->> 9)::bigint,
           (j ->> 10)::bigint, (j ->> 11)::bigint, j ->> 12, (j ->> 13)::bigint, j ->> 14
         FROM jsonb_array_elements($1::jsonb) j",
    )
    .bind_rows(&rows)
    .execute(&mut *db)
    .await?;
    let lines: Vec<_> = orders
        .iter()
        .flat_map(|order| {
            (0..)
                .zip(&order.lines)
                .map(|(place, line)| line_json(order, place, line))
        })
        .collect();
    query_either(
        "INSERT INTO order_lines (reservation, order_id, place, listing, title, variant, quantity,
           price_minor)
         SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5,
           value ->> 6, value ->> 7 FROM json_each($1)",
        "INSERT INTO order_lines (reservation, order_id, place, listing, title, variant, quantity,
           price_minor)
         SELECT (j ->> 0)::uuid, (j ->> 1)::uuid, (j ->> 2)::bigint, (j ->> 3)::uuid, j ->> 4,
           j ->> 5, (j ->> 6)::bigint, (j ->> 7)::bigint FROM jsonb_array_elements($1::jsonb) j",
    )
    .bind_rows(&lines)
    .execute(&mut *db)
    .await?;
    let work: Vec<_> = orders
        .iter()
        .map(|order| (order.id, order.created_at.0))
        .collect();
    query_either(
        "INSERT INTO outbox (kind, order_id, due_at)
         SELECT $2, value ->> 0, value ->> 1 FROM json_each($1)",
        "INSERT INTO outbox (kind, order_id, due_at)
         SELECT $2, (j ->> 0)::uuid, (j ->> 1)::bigint FROM jsonb_array_elements($1::jsonb) j",
    )
    .bind_rows(&work)
    .bind(WorkKind::OpenIntent.as_str())
    .execute(db)
    .await?;
    Ok(())
}

fn order_json(checkout: &Checkout, order: &OrderRow) -> serde_json::Value {
    let delivery = order.delivery.as_ref().map(json);
    serde_json::json!([
        order.id,
        order.seller,
        order_rows::number_of(&order.number),
        order.show,
        order.buyer,
        order.buyer_name,
        checkout.claim.key,
        hex(&checkout.claim.body.0),
        order.life.phase.as_str(),
        order.life.pay_by,
        order.life.version,
        order.total.amount_minor,
        order.total.currency,
        order.created_at,
        delivery,
    ])
}

fn line_json(order: &OrderRow, place: u32, line: &OrderLineRow) -> serde_json::Value {
    serde_json::json!([
        line.reservation,
        order.id,
        place,
        line.listing,
        line.title,
        line.variant,
        line.quantity,
        line.unit_price.amount_minor,
    ])
}
