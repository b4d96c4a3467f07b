//! The journal's rows: reservations and queues as the hot store last told them.

use std::collections::BTreeMap;

use vetrina_core::hot::HotChange;
use vetrina_core::reservation::ReservationRow;
use vetrina_core::waitlist::WaitlistRow;
use vetrina_protocol::id::{ListingId, ReservationId, ShowId, UserId};
use vetrina_protocol::time::MediaTime;
use vetrina_protocol::view::ReservationState;

use super::db::{Db, query, query_either, query_one_of};
use super::rows::{Row, wrong};

/// Rows in one statement: bounds the text that SQLite parses at once.
const ROWS_PER_STATEMENT: usize = 1_000;

pub(super) async fn write(
    db: &mut Db<'_>,
    show: ShowId,
    changes: &[HotChange],
) -> sqlx::Result<()> {
    for chunk in changes.chunks(ROWS_PER_STATEMENT) {
        write_chunk(db, show, chunk).await?;
    }
    Ok(())
}

async fn write_chunk(db: &mut Db<'_>, show: ShowId, changes: &[HotChange]) -> sqlx::Result<()> {
    // The last word about each row; `None`: it is gone.
    let mut reservations: BTreeMap<ReservationId, Option<&ReservationRow>> = BTreeMap::new();
    let mut places: BTreeMap<(ListingId, UserId), Option<&WaitlistRow>> = BTreeMap::new();
    for change in changes {
        match change {
            HotChange::Reservation(row) => reservations.insert(row.id, Some(row)).is_some(),
            HotChange::ReservationGone(id) => reservations.insert(*id, None).is_some(),
            HotChange::Waiting(row) => places.insert((row.listing, row.buyer), Some(row)).is_some(),
            HotChange::WaitingGone { listing, buyer } => {
                places.insert((*listing, *buyer), None).is_some()
            }
        };
    }
    let (mut kept, mut gone, mut waiting, mut left) = (vec![], vec![], vec![], vec![]);
    for (id, row) in reservations {
        match row {
            Some(row) => kept.push(reservation_json(row)),
            None => gone.push(id),
        }
    }
    for (place, row) in places {
        match row {
            Some(row) => waiting.push(waiting_json(row)),
            None => left.push(place),
        }
    }
    keep_reservations(db, show, &kept).await?;
    forget_reservations(db, gone).await?;
    keep_places(db, show, &waiting).await?;
    forget_places(db, &left).await
}

async fn keep_reservations(
    db: &mut Db<'_>,
    show: ShowId,
    rows: &[serde_json::Value],
) -> sqlx::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    query_either(
        "INSERT OR REPLACE INTO journal_reservations (id, show, listing, buyer, buyer_name,
           quantity, price_minor, currency, state, expires_at, extensions_used, from_waitlist,
           media_time, order_id, fence_at, seated, closed_at)
         SELECT value ->> 0, $2, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5,
           value ->> 6, value ->> 7, value ->> 8, value ->> 9, value ->> 10, value ->> 11,
           value ->> 12, value ->> 13, value ->> 14, value ->> 15 FROM json_each($1)",
        "INSERT INTO journal_reservations (id, show, listing, buyer, buyer_name,
           quantity, price_minor, currency, state, expires_at, extensions_used, from_waitlist,
           media_time, order_id, fence_at, seated, closed_at)
         SELECT (j ->> 0)::uuid, $2, (j ->> 1)::uuid, (j ->> 2)::uuid, j ->> 3,
           (j ->> 4)::bigint, (j ->> 5)::bigint, j ->> 6, j ->> 7, (j ->> 8)::bigint,
           (j ->> 9)::bigint, (j ->> 10)::bigint, j ->> 11, (j ->> 12)::uuid,
           (j ->> 13)::bigint, (j ->> 14)::bigint, (j ->> 15)::bigint
         FROM jsonb_array_elements($1::jsonb) j
         ON CONFLICT (id) DO UPDATE SET (show, listing, buyer, buyer_name, quantity, price_minor,
           currency, state, expires_at, extensions_used, from_waitlist, media_time, order_id,
           fence_at, seated, closed_at)
         = (excluded.show, excluded.listing, excluded.buyer, excluded.buyer_name,
           excluded.quantity, excluded.price_minor, excluded.currency, excluded.state,
           excluded.expires_at, excluded.extensions_used, excluded.from_waitlist,
           excluded.media_time, excluded.order_id, excluded.fence_at, excluded.seated,
           excluded.closed_at)",
    )
    .bind_rows(&rows)
    .bind(show)
    .execute(db)
    .await?;
    Ok(())
}

async fn keep_places(
    db: &mut Db<'_>,
    show: ShowId,
    rows: &[serde_json::Value],
) -> sqlx::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    query_either(
        "INSERT OR REPLACE INTO journal_waitlist (listing, buyer, show, sequence, buyer_name,
           quantity, reservation)
         SELECT value ->> 0, value ->> 1, $2, value ->> 2, value ->> 3, value ->> 4,
           value ->> 5 FROM json_each($1)",
        "INSERT INTO journal_waitlist (listing, buyer, show, sequence, buyer_name,
           quantity, reservation)
         SELECT (j ->> 0)::uuid, (j ->> 1)::uuid, $2, (j ->> 2)::bigint, j ->> 3,
           (j ->> 4)::bigint, (j ->> 5)::uuid FROM jsonb_array_elements($1::jsonb) j
         ON CONFLICT (listing, buyer) DO UPDATE SET
           (show, sequence, buyer_name, quantity, reservation)
         = (excluded.show, excluded.sequence, excluded.buyer_name, excluded.quantity,
           excluded.reservation)",
    )
    .bind_rows(&rows)
    .bind(show)
    .execute(db)
    .await?;
    Ok(())
}

async fn forget_reservations(db: &mut Db<'_>, gone: Vec<ReservationId>) -> sqlx::Result<()> {
    if gone.is_empty() {
        return Ok(());
    }
    query_one_of!("DELETE FROM journal_reservations WHERE id", "")
        .bind_ids(gone)
        .execute(db)
        .await?;
    Ok(())
}

async fn forget_places(db: &mut Db<'_>, gone: &[(ListingId, UserId)]) -> sqlx::Result<()> {
    if gone.is_empty() {
        return Ok(());
    }
    query_either(
        "DELETE FROM journal_waitlist WHERE (listing, buyer) IN
           (SELECT value ->> 0, value ->> 1 FROM json_each($1))",
        "DELETE FROM journal_waitlist WHERE (listing, buyer) IN
           (SELECT (j ->> 0)::uuid, (j ->> 1)::uuid FROM jsonb_array_elements($1::jsonb) j)",
    )
    .bind_rows(&gone)
    .execute(db)
    .await?;
    Ok(())
}

fn reservation_json(row: &ReservationRow) -> serde_json::Value {
    serde_json::json!([
        row.id,
        row.listing,
        row.buyer,
        row.buyer_name,
        row.quantity,
        row.unit_price.amount_minor,
        row.unit_price.currency,
        state_name(row.state),
        row.expires_at,
        row.extensions_used,
        i64::from(row.from_waitlist),
        row.media_time.map(|time| time.0.to_string()),
        row.order,
        row.fence_at,
        i64::from(row.seated),
        row.closed_at,
    ])
}

fn waiting_json(row: &WaitlistRow) -> serde_json::Value {
    serde_json::json!([
        row.listing,
        row.buyer,
        row.sequence,
        row.buyer_name,
        row.quantity,
        row.reservation,
    ])
}

pub(super) async fn reservations(
    db: &mut Db<'_>,
    show: ShowId,
) -> sqlx::Result<Vec<ReservationRow>> {
    let rows = query("SELECT * FROM journal_reservations WHERE show = $1")
        .bind(show)
        .fetch_all(db)
        .await?;
    rows.iter().map(reservation_of).collect()
}

pub(super) async fn waitlist(db: &mut Db<'_>, show: ShowId) -> sqlx::Result<Vec<WaitlistRow>> {
    let rows = query("SELECT * FROM journal_waitlist WHERE show = $1")
        .bind(show)
        .fetch_all(db)
        .await?;
    rows.iter()
        .map(|row| {
            Ok(WaitlistRow {
                listing: row.id("listing")?,
                sequence: row.unsigned("sequence")?,
                buyer: row.id("buyer")?,
                buyer_name: row.text("buyer_name")?,
                quantity: row.count("quantity")?,
                reservation: row.id("reservation")?,
            })
        })
        .collect()
}

fn reservation_of(row: &Row) -> sqlx::Result<ReservationRow> {
    let media_time = row
        .maybe_text("media_time")?
        .map(|text| text.parse().map(MediaTime));
    Ok(ReservationRow {
        id: row.id("id")?,
        listing: row.id("listing")?,
        buyer: row.id("buyer")?,
        buyer_name: row.text("buyer_name")?,
        quantity: row.count("quantity")?,
        unit_price: row.money("price_minor")?,
        state: row.named("state", state_of)?,
        expires_at: row.at("expires_at")?,
        extensions_used: row.count("extensions_used")?,
        from_waitlist: row.flag("from_waitlist")?,
        media_time: media_time
            .transpose()
            .map_err(|error| wrong("media_time", error))?,
        order: row.maybe_id("order_id")?,
        fence_at: row.maybe_at("fence_at")?,
        seated: row.flag("seated")?,
        closed_at: row.maybe_at("closed_at")?,
    })
}

const fn state_name(state: ReservationState) -> &'static str {
    match state {
        ReservationState::Reserved => "reserved",
        ReservationState::CheckingOut => "checking_out",
        ReservationState::Claimed => "claimed",
        ReservationState::Released => "released",
        ReservationState::Expired => "expired",
    }
}

fn state_of(name: &str) -> Option<ReservationState> {
    use ReservationState as S;
    let all = [
        S::Reserved,
        S::CheckingOut,
        S::Claimed,
        S::Released,
        S::Expired,
    ];
    all.into_iter().find(|state| state_name(*state) == name)
}
