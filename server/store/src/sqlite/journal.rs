//! The journal's rows: reservations and queues as the hot store last told them.

use sqlx::sqlite::SqliteRow;
use sqlx::{SqliteConnection, query};
use vetrina_core::hot::HotChange;
use vetrina_core::reservation::ReservationRow;
use vetrina_core::waitlist::WaitlistRow;
use vetrina_protocol::id::ShowId;
use vetrina_protocol::time::MediaTime;
use vetrina_protocol::view::ReservationState;

use super::rows::{Columns, json, wrong};

/// Rows in one statement: bounds the text that SQLite parses at once.
const ROWS_PER_STATEMENT: usize = 1_000;

pub(super) async fn write(
    db: &mut SqliteConnection,
    show: ShowId,
    changes: &[HotChange],
) -> sqlx::Result<()> {
    for chunk in changes.chunks(ROWS_PER_STATEMENT) {
        write_chunk(db, show, chunk).await?;
    }
    Ok(())
}

async fn write_chunk(
    db: &mut SqliteConnection,
    show: ShowId,
    changes: &[HotChange],
) -> sqlx::Result<()> {
    let (mut kept, mut gone, mut waiting, mut left) = (vec![], vec![], vec![], vec![]);
    for change in changes {
        match change {
            HotChange::Reservation(row) => kept.push(reservation_json(row)),
            HotChange::ReservationGone(id) => gone.push(id.to_string()),
            HotChange::Waiting(row) => waiting.push(waiting_json(row)),
            HotChange::WaitingGone { listing, buyer } => {
                left.push((listing.to_string(), buyer.to_string()));
            }
        }
    }
    if !kept.is_empty() {
        keep_reservations(db, show, &json(&kept)).await?;
    }
    if !gone.is_empty() {
        query("DELETE FROM journal_reservations WHERE id IN (SELECT value FROM json_each(?1))")
            .bind(json(&gone))
            .execute(&mut *db)
            .await?;
    }
    if !left.is_empty() {
        query(
            "DELETE FROM journal_waitlist WHERE (listing, buyer) IN
               (SELECT value ->> 0, value ->> 1 FROM json_each(?1))",
        )
        .bind(json(&left))
        .execute(&mut *db)
        .await?;
    }
    if !waiting.is_empty() {
        query(
            "INSERT OR REPLACE INTO journal_waitlist (listing, buyer, show, sequence, buyer_name,
               quantity, reservation)
             SELECT value ->> 0, value ->> 1, ?2, value ->> 2, value ->> 3, value ->> 4,
               value ->> 5 FROM json_each(?1)",
        )
        .bind(json(&waiting))
        .bind(show.to_string())
        .execute(db)
        .await?;
    }
    Ok(())
}

async fn keep_reservations(
    db: &mut SqliteConnection,
    show: ShowId,
    rows: &str,
) -> sqlx::Result<()> {
    query(
        "INSERT OR REPLACE INTO journal_reservations (id, show, listing, buyer, buyer_name,
           quantity, price_minor, currency, state, expires_at, extensions_used, from_waitlist,
           media_time, order_id, fence_at, seated, closed_at)
         SELECT value ->> 0, ?2, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5,
           value ->> 6, value ->> 7, value ->> 8, value ->> 9, value ->> 10, value ->> 11,
           value ->> 12, value ->> 13, value ->> 14, value ->> 15 FROM json_each(?1)",
    )
    .bind(rows)
    .bind(show.to_string())
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
    db: &mut SqliteConnection,
    show: ShowId,
) -> sqlx::Result<Vec<ReservationRow>> {
    let rows = query("SELECT * FROM journal_reservations WHERE show = ?1")
        .bind(show.to_string())
        .fetch_all(db)
        .await?;
    rows.iter().map(reservation_of).collect()
}

pub(super) async fn waitlist(
    db: &mut SqliteConnection,
    show: ShowId,
) -> sqlx::Result<Vec<WaitlistRow>> {
    let rows = query("SELECT * FROM journal_waitlist WHERE show = ?1")
        .bind(show.to_string())
        .fetch_all(db)
        .await?;
    rows.iter()
        .map(|row| {
            Ok(WaitlistRow {
                listing: row.parsed("listing")?,
                sequence: row.unsigned("sequence")?,
                buyer: row.parsed("buyer")?,
                buyer_name: row.text("buyer_name")?,
                quantity: row.count("quantity")?,
                reservation: row.parsed("reservation")?,
            })
        })
        .collect()
}

fn reservation_of(row: &SqliteRow) -> sqlx::Result<ReservationRow> {
    let media_time = row
        .maybe_text("media_time")?
        .map(|text| text.parse().map(MediaTime));
    Ok(ReservationRow {
        id: row.parsed("id")?,
        listing: row.parsed("listing")?,
        buyer: row.parsed("buyer")?,
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
        order: row.maybe_parsed("order_id")?,
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
