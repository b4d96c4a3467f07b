//! Orders as rows: reading them whole, by id, by owner, by page.

use std::collections::BTreeMap;

use vetrina_core::order::{OrderLife, OrderPhase};
use vetrina_protocol::client::Delivery;
use vetrina_protocol::id::{OrderId, SellerId, ShowId, UserId};
use vetrina_protocol::money::Money;
use vetrina_protocol::time::UnixMs;

use super::db::{Db, query, query_one_of};
use super::pages::Window;
use super::rows::{Row, wrong};
use crate::ledger::{OrderLineRow, OrderRow, PaymentRow};

pub(super) async fn order(db: &mut Db<'_>, order: OrderId) -> sqlx::Result<Option<OrderRow>> {
    let row = query("SELECT * FROM orders WHERE id = $1")
        .bind(order)
        .fetch_optional(&mut *db)
        .await?;
    let orders = with_lines(db, row.into_iter().collect()).await?;
    Ok(orders.into_iter().next())
}

/// The orders with these ids.
pub(super) async fn many(
    db: &mut Db<'_>,
    ids: &[OrderId],
) -> sqlx::Result<BTreeMap<OrderId, OrderRow>> {
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows = query_one_of!("SELECT * FROM orders WHERE id", "")
        .bind_ids(ids.iter().copied())
        .fetch_all(&mut *db)
        .await?;
    let orders = with_lines(db, rows).await?;
    Ok(orders.into_iter().map(|order| (order.id, order)).collect())
}

pub(super) async fn of_buyer(
    db: &mut Db<'_>,
    buyer: UserId,
    show: Option<ShowId>,
    limit: u32,
) -> sqlx::Result<Vec<OrderRow>> {
    let rows = query(
        "SELECT * FROM orders WHERE buyer = $1 AND ($2 IS NULL OR show = $2)
         ORDER BY created_at DESC, id DESC LIMIT $3",
    )
    .bind(buyer)
    .bind(show)
    .bind(limit)
    .fetch_all(&mut *db)
    .await?;
    with_lines(db, rows).await
}

pub(super) async fn buyers_of(db: &mut Db<'_>, show: ShowId) -> sqlx::Result<Vec<UserId>> {
    let rows = query("SELECT DISTINCT buyer FROM orders WHERE show = $1")
        .bind(show)
        .fetch_all(db)
        .await?;
    rows.iter().map(|row| row.id("buyer")).collect()
}

pub(super) async fn of_show(
    db: &mut Db<'_>,
    show: ShowId,
    window: &Window,
) -> sqlx::Result<Vec<OrderRow>> {
    let rows = query(
        "SELECT * FROM orders WHERE show = $1 AND (created_at, id) < ($2, $3)
         ORDER BY created_at DESC, id DESC LIMIT $4",
    )
    .bind(show)
    .bind_window(window)
    .fetch_all(&mut *db)
    .await?;
    with_lines(db, rows).await
}

pub(super) async fn of_seller(
    db: &mut Db<'_>,
    seller: SellerId,
    window: &Window,
) -> sqlx::Result<Vec<OrderRow>> {
    let rows = query(
        "SELECT * FROM orders WHERE seller = $1 AND (created_at, id) < ($2, $3)
         ORDER BY created_at DESC, id DESC LIMIT $4",
    )
    .bind(seller)
    .bind_window(window)
    .fetch_all(&mut *db)
    .await?;
    with_lines(db, rows).await
}

pub(super) async fn past_deadline(
    db: &mut Db<'_>,
    now: UnixMs,
    limit: u32,
) -> sqlx::Result<Vec<OrderId>> {
    let rows = query(
        "SELECT id FROM orders WHERE phase IN ('pending', 'declined') AND pay_by <= $1
         ORDER BY pay_by, id LIMIT $2",
    )
    .bind(now)
    .bind(limit)
    .fetch_all(db)
    .await?;
    rows.iter().map(|row| row.id("id")).collect()
}

pub(super) async fn awaiting_provider(
    db: &mut Db<'_>,
    made_before: UnixMs,
    after: Option<OrderId>,
    limit: u32,
) -> sqlx::Result<Vec<OrderRow>> {
    let rows = query(
        "SELECT * FROM orders
         WHERE phase NOT IN ('paid', 'expired', 'canceled', 'refunded')
           AND created_at < $1 AND id > $2 ORDER BY id LIMIT $3",
    )
    .bind(made_before.0)
    .bind(after.unwrap_or(OrderId(0)))
    .bind(limit)
    .fetch_all(&mut *db)
    .await?;
    with_lines(db, rows).await
}

/// The short number as people read it.
pub(super) fn number_name(number: i64) -> String {
    format!("V-{number}")
}

/// The number in such a name.
pub(super) fn number_of(name: &str) -> Option<i64> {
    name.strip_prefix("V-")?.parse().ok()
}

async fn with_lines(db: &mut Db<'_>, rows: Vec<Row>) -> sqlx::Result<Vec<OrderRow>> {
    let mut orders: Vec<OrderRow> = rows.iter().map(order_of).collect::<Result<_, _>>()?;
    if orders.is_empty() {
        return Ok(orders);
    }
    let currencies: BTreeMap<OrderId, Money> =
        orders.iter().map(|order| (order.id, order.total)).collect();
    let rows = query_one_of!(
        "SELECT * FROM order_lines WHERE order_id",
        "ORDER BY order_id, place"
    )
    .bind_ids(orders.iter().map(|order| order.id))
    .fetch_all(db)
    .await?;
    let mut lines: BTreeMap<OrderId, Vec<OrderLineRow>> = BTreeMap::new();
    for row in &rows {
        let order: OrderId = row.id("order_id")?;
        if let Some(total) = currencies.get(&order) {
            lines.entry(order).or_default().push(line_of(row, *total)?);
        }
    }
    for order in &mut orders {
        order.lines = lines.remove(&order.id).unwrap_or_default();
    }
    Ok(orders)
}

fn line_of(row: &Row, total: Money) -> sqlx::Result<OrderLineRow> {
    Ok(OrderLineRow {
        reservation: row.id("reservation")?,
        listing: row.id("listing")?,
        title: row.text("title")?,
        variant: row.maybe_text("variant")?,
        quantity: row.count("quantity")?,
        unit_price: Money::new(row.int("price_minor")?, total.currency),
    })
}

fn order_of(row: &Row) -> sqlx::Result<OrderRow> {
    let delivery = row.maybe_text("delivery")?;
    let delivery = delivery
        .as_deref()
        .map(serde_json::from_str::<Delivery>)
        .transpose();
    Ok(OrderRow {
        id: row.id("id")?,
        number: number_name(row.int("number")?),
        seller: row.id("seller")?,
        show: row.id("show")?,
        buyer: row.id("buyer")?,
        buyer_name: row.text("buyer_name")?,
        life: OrderLife {
            phase: row.named("phase", OrderPhase::from_name)?,
            pay_by: row.at("pay_by")?,
            paid_at: row.maybe_at("paid_at")?,
            version: row.unsigned("version")?,
        },
        lines: Vec::new(),
        total: row.money("total_minor")?,
        created_at: row.at("created_at")?,
        payment: payment_of(row)?,
        delivery: delivery.map_err(|error| wrong("delivery", error))?,
    })
}

fn payment_of(row: &Row) -> sqlx::Result<Option<PaymentRow>> {
    let (provider, intent, pay_url) = (
        row.maybe_text("provider")?,
        row.maybe_text("intent")?,
        row.maybe_text("pay_url")?,
    );
    Ok(match (provider, intent, pay_url) {
        (Some(provider), Some(intent), Some(pay_url)) => Some(PaymentRow {
            provider,
            intent,
            pay_url,
        }),
        _ => None,
    })
}
