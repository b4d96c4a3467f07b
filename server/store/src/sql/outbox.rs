//! Work that must not be forgotten: stored with the decision it follows from, leased to one worker
//! at a time, kept until it is done.

use vetrina_protocol::id::OrderId;
use vetrina_protocol::time::UnixMs;

use super::db::{Db, query, query_either, query_one_of};
use super::writer::Failure;
use crate::ledger::{Work, WorkKind};

/// Most work given at once.
const TAKE_MAX: u32 = 256;

/// Adds work that is due at once. The same work of an order waits once.
pub(super) async fn add(db: &mut Db<'_>, order: OrderId, work: &[WorkKind]) -> sqlx::Result<()> {
    for kind in work {
        query(
            "INSERT INTO outbox (kind, order_id, due_at) VALUES ($1, $2, 0)
             ON CONFLICT (order_id, kind) DO NOTHING",
        )
        .bind(kind.as_str())
        .bind(order)
        .execute(&mut *db)
        .await?;
    }
    Ok(())
}

/// How much there is, done by nobody yet.
pub(super) async fn waiting(db: &mut Db<'_>) -> sqlx::Result<u64> {
    let row = query("SELECT count(*) AS waiting FROM outbox")
        .fetch_one(db)
        .await?;
    Ok(u64::try_from(row.int("waiting")?).unwrap_or(0))
}

pub(super) async fn any_due(
    db: &mut Db<'_>,
    kinds: &[WorkKind],
    now: UnixMs,
) -> sqlx::Result<bool> {
    let row = query_one_of!(
        "SELECT 1 FROM outbox WHERE due_at <= $2 AND leased_until <= $2 AND kind",
        "LIMIT 1"
    )
    .bind(names(kinds))
    .bind(now)
    .fetch_optional(db)
    .await?;
    Ok(row.is_some())
}

pub(super) async fn take(
    db: &mut Db<'_>,
    worker: &str,
    kinds: &[WorkKind],
    now: UnixMs,
    lease_ms: i64,
    limit: u32,
) -> Result<Vec<Work>, Failure> {
    let rows = query_either(
        "UPDATE outbox SET worker = $3, leased_until = $4, attempts = attempts + 1
         WHERE id IN (SELECT id FROM outbox WHERE due_at <= $2 AND leased_until <= $2
             AND kind IN (SELECT value FROM json_each($1)) ORDER BY due_at, id LIMIT $5)
         RETURNING id, kind, order_id, attempts, leased_until",
        // What another node is taking now is passed over.
        "WITH due AS MATERIALIZED (SELECT id FROM outbox WHERE due_at <= $2 AND leased_until <= $2
             AND kind = ANY ($1) ORDER BY due_at, id LIMIT $5 FOR UPDATE SKIP LOCKED)
         UPDATE outbox o SET worker = $3, leased_until = $4, attempts = attempts + 1
         FROM due WHERE o.id = due.id
         RETURNING o.id, o.kind, o.order_id, o.attempts, o.leased_until",
    )
    .bind(names(kinds))
    .bind(now)
    .bind(worker)
    .bind(now.plus_ms(lease_ms.max(1)).0)
    .bind(limit.min(TAKE_MAX))
    .fetch_all(db)
    .await?;
    let mut work: Vec<Work> = rows
        .iter()
        .map(|row| {
            Ok(Work {
                id: row.int("id")?,
                kind: row.named("kind", WorkKind::from_name)?,
                order: row.id("order_id")?,
                attempts: row.count("attempts")?,
                leased_until: row.at("leased_until")?,
            })
        })
        .collect::<sqlx::Result<_>>()?;
    // RETURNING promises no order.
    work.sort_by_key(|work| work.id);
    Ok(work)
}

pub(super) async fn finish(db: &mut Db<'_>, worker: &str, work: i64) -> Result<bool, Failure> {
    let done = query("DELETE FROM outbox WHERE id = $1 AND worker = $2")
        .bind(work)
        .bind(worker)
        .execute(db)
        .await?;
    Ok(done == 1)
}

pub(super) async fn retry(
    db: &mut Db<'_>,
    worker: &str,
    work: i64,
    not_before: UnixMs,
) -> Result<bool, Failure> {
    let done = query(
        "UPDATE outbox SET due_at = $3, leased_until = 0, worker = NULL
         WHERE id = $1 AND worker = $2",
    )
    .bind(work)
    .bind(worker)
    .bind(not_before.0)
    .execute(db)
    .await?;
    Ok(done == 1)
}

fn names(kinds: &[WorkKind]) -> Vec<&'static str> {
    kinds.iter().map(|kind| kind.as_str()).collect()
}
