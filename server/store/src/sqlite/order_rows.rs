//! Orders as rows: reading them whole, by id, by owner, by page.

use std::collections::BTreeMap;

use sqlx::sqlite::SqliteRow;
use sqlx::{SqliteConnection, query};
use vetrina_core::order::{OrderLife, OrderPhase};
use vetrina_protocol::client::Delivery;
use vetrina_protocol::id::{OrderId, SellerId, ShowId, UserId};
use vetrina_protocol::money::Money;
use vetrina_protocol::time::UnixMs;

use super::pages::Window;
use super::rows::{Columns, json, wrong};
use crate::ledger::{OrderLineRow, OrderRow, PaymentRow};

pub(super) async fn order(
    db: &mut SqliteConnection,
    order: OrderId,
) -> sqlx::Result<Option<OrderRow>> {
    let row = query("SELECT * FROM orders WHERE id = ?1")
        .bind(order.to_string())
        .fetch_optional(&mut *db)
        .await?;
    let orders = with_lines(db, row.into_iter().collect()).await?;
    Ok(orders.into_iter().next())
}

/// The orders with these ids.
pub(super) async fn many(
    db: &mut SqliteConnection,
    ids: &[OrderId],
) -> sqlx::Result<BTreeMap<OrderId, OrderRow>> {
    let ids: Vec<String> = ids.iter().map(OrderId::to_string).collect();
    let rows = query("SELECT * FROM orders WHERE id IN (SELECT value FROM json_each(?1))")
        .bind(json(&ids))
        .fetch_all(&mut *db)
        .await?;
    let orders = with_lines(db, rows).await?;
    Ok(orders.into_iter().map(|order| (order.id, order)).collect())
}

pub(super) async fn of_buyer(
    db: &mut SqliteConnection,
    buyer: UserId,
    show: Option<ShowId>,
    limit: u32,
) -> sqlx::Result<Vec<OrderRow>> {
    let rows = query(
        "SELECT * FROM orders WHERE buyer = ?1 AND (?2 IS NULL OR show = ?2)
         ORDER BY created_at DESC, id DESC LIMIT ?3",
    )
    .bind(buyer.to_string())
    .bind(show.map(|show| show.to_string()))
    .bind(limit)
    .fetch_all(&mut *db)
    .await?;
    with_lines(db, rows).await
}

pub(super) async fn of_show(
    db: &mut SqliteConnection,
    show: ShowId,
    window: &Window,
) -> sqlx::Result<Vec<OrderRow>> {
    let rows = query(
        "SELECT * FROM orders WHERE show = ?1 AND (created_at, id) < (?2, ?3)
         ORDER BY created_at DESC, id DESC LIMIT ?4",
    )
    .bind(show.to_string())
    .bind(window.at)
    .bind(&window.id)
    .bind(window.rows)
    .fetch_all(&mut *db)
    .await?;
    with_lines(db, rows).await
}

pub(super) async fn of_seller(
    db: &mut SqliteConnection,
    seller: SellerId,
    window: &Window,
) -> sqlx::Result<Vec<OrderRow>> {
    let rows = query(
        "SELECT * FROM orders WHERE seller = ?1 AND (created_at, id) < (?2, ?3)
         ORDER BY created_at DESC, id DESC LIMIT ?4",
    )
    .bind(seller.to_string())
    .bind(window.at)
    .bind(&window.id)
    .bind(window.rows)
    .fetch_all(&mut *db)
    .await?;
    with_lines(db, rows).await
}

pub(super) async fn past_deadline(
    db: &mut SqliteConnection,
    now: UnixMs,
    limit: u32,
) -> sqlx::Result<Vec<OrderId>> {
    let rows = query(
        "SELECT id FROM orders WHERE phase IN ('pending', 'declined') AND pay_by <= ?1
         ORDER BY pay_by, id LIMIT ?2",
    )
    .bind(now.0)
    .bind(limit)
    .fetch_all(db)
    .await?;
    rows.iter().map(|row| row.parsed("id")).collect()
}

pub(super) async fn awaiting_provider(
    db: &mut SqliteConnection,
    made_before: UnixMs,
    after: Option<OrderId>,
    limit: u32,
) -> sqlx::Result<Vec<OrderRow>> {
    let rows = query(
        "SELECT * FROM orders
         WHERE phase NOT IN ('paid', 'expired', 'canceled', 'refunded')
           AND created_at < ?1 AND id > ?2 ORDER BY id LIMIT ?3",
    )
    .bind(made_before.0)
    .bind(after.map_or_else(String::new, |after| after.to_string()))
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

async fn with_lines(
    db: &mut SqliteConnection,
    rows: Vec<SqliteRow>,
) -> sqlx::Result<Vec<OrderRow>> {
    let mut orders: Vec<OrderRow> = rows.iter().map(order_of).collect::<Result<_, _>>()?;
    let ids: Vec<String> = orders.iter().map(|order| order.id.to_string()).collect();
    let currencies: BTreeMap<OrderId, Money> =
        orders.iter().map(|order| (order.id, order.total)).collect();
    let rows = query(
        "SELECT * FROM order_lines WHERE order_id IN (SELECT value FROM json_each(?1))
         ORDER BY order_id, place",
    )
    .bind(json(&ids))
    .fetch_all(db)
    .await?;
    let mut lines: BTreeMap<OrderId, Vec<OrderLineRow>> = BTreeMap::new();
    for row in &rows {
        let order: OrderId = row.parsed("order_id")?;
        if let Some(total) = currencies.get(&order) {
            lines.entry(order).or_default().push(line_of(row, *total)?);
        }
    }
    for order in &mut orders {
        order.lines = lines.remove(&order.id).unwrap_or_default();
    }
    Ok(orders)
}

fn line_of(row: &SqliteRow, total: Money) -> sqlx::Result<OrderLineRow> {
    Ok(OrderLineRow {
        reservation: row.parsed("reservation")?,
        listing: row.parsed("listing")?,
        title: row.text("title")?,
        variant: row.maybe_text("variant")?,
        quantity: row.count("quantity")?,
        unit_price: Money::new(row.int("price_minor")?, total.currency),
    })
}

fn order_of(row: &SqliteRow) -> sqlx::Result<OrderRow> {
    let delivery = row.maybe_text("delivery")?;
    let delivery = delivery
        .as_deref()
        .map(serde_json::from_str::<Delivery>)
        .transpose();
    Ok(OrderRow {
        id: row.parsed("id")?,
        number: number_name(row.int("number")?),
        seller: row.parsed("seller")?,
        show: row.parsed("show")?,
        buyer: row.parsed("buyer")?,
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

fn payment_of(row: &SqliteRow) -> sqlx::Result<Option<PaymentRow>> {
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
