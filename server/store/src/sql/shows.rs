//! Shows: their rows, their life cycle, and giving back what an ended one did not sell.

use vetrina_core::refused::Refused;
use vetrina_core::show::{ShowTransition, next};
use vetrina_protocol::id::{SellerId, ShowId};
use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::time::UnixMs;
use vetrina_protocol::view::ShowState;

use super::db::{Db, query};
use super::listings::of_show;
use super::pages::Window;
use super::products::{made_before, remember, require_picture, require_seller};
use super::rows::{Row, state_name, state_of};
use super::writer::Failure;
use crate::ledger::{ListingRow, Once, ShowChange, ShowRow};

macro_rules! select_shows {
    ($rest:literal) => {
        concat!(
            "SELECT s.*, a.name AS seller_name FROM shows s JOIN sellers a ON a.id = s.seller ",
            $rest
        )
    };
}

pub(super) async fn create(
    db: &mut Db<'_>,
    once: &Once,
    show: &ShowRow,
) -> Result<ShowRow, Failure> {
    if let Some(made) = made_before(db, once).await? {
        let made = made.parse().map_err(|_| unknown())?;
        return required(db, made).await;
    }
    require_seller(db, show.seller).await?;
    require_picture(db, show.seller, show.poster).await?;
    query(
        "INSERT INTO shows (id, seller, title, state, currency, starts_at, live_at, ended_at,
           poster, reservation_ttl_s, order_deadline_s, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(show.id)
    .bind(show.seller)
    .bind(&show.title)
    .bind(state_name(show.state))
    .bind(show.currency.as_str())
    .bind(show.starts_at)
    .bind(show.live_at)
    .bind(show.ended_at)
    .bind(show.poster)
    .bind(show.reservation_ttl_s)
    .bind(show.order_deadline_s)
    .bind(show.created_at)
    .execute(&mut *db)
    .await?;
    remember(db, once, &show.id.to_string()).await?;
    required(db, show.id).await
}

pub(super) async fn show(db: &mut Db<'_>, show: ShowId) -> sqlx::Result<Option<ShowRow>> {
    let row = query(select_shows!("WHERE s.id = $1"))
        .bind(show)
        .fetch_optional(db)
        .await?;
    row.as_ref().map(show_of).transpose()
}

pub(super) async fn required(db: &mut Db<'_>, id: ShowId) -> Result<ShowRow, Failure> {
    show(db, id).await?.ok_or_else(|| unknown().into())
}

pub(super) async fn shows(
    db: &mut Db<'_>,
    seller: Option<SellerId>,
    window: &Window,
) -> sqlx::Result<Vec<ShowRow>> {
    let select = match seller {
        Some(seller) => query(select_shows!(
            "WHERE s.seller = $1 AND (s.created_at, s.id) < ($2, $3)
             ORDER BY s.created_at DESC, s.id DESC LIMIT $4"
        ))
        .bind(seller),
        None => query(select_shows!(
            "WHERE $1 IS NULL AND (s.created_at, s.id) < ($2, $3)
             ORDER BY s.created_at DESC, s.id DESC LIMIT $4"
        ))
        .bind(None::<SellerId>),
    };
    let rows = select.bind_window(window).fetch_all(db).await?;
    rows.iter().map(show_of).collect()
}

pub(super) async fn change(
    db: &mut Db<'_>,
    show: ShowId,
    change: &ShowChange,
) -> Result<ShowRow, Failure> {
    let known = required(db, show).await?;
    require_picture(db, known.seller, change.poster).await?;
    query(
        "UPDATE shows SET title = coalesce($2, title), starts_at = coalesce($3, starts_at),
           reservation_ttl_s = coalesce($4, reservation_ttl_s),
           order_deadline_s = coalesce($5, order_deadline_s), poster = coalesce($6, poster)
         WHERE id = $1",
    )
    .bind(show)
    .bind(&change.title)
    .bind(change.starts_at)
    .bind(change.reservation_ttl_s)
    .bind(change.order_deadline_s)
    .bind(change.poster)
    .execute(&mut *db)
    .await?;
    required(db, show).await
}

pub(super) async fn go(
    db: &mut Db<'_>,
    show: ShowId,
    transition: ShowTransition,
    now: UnixMs,
) -> Result<(ShowRow, bool), Failure> {
    let mut known = required(db, show).await?;
    let state = next(known.state, transition)?;
    note_video(db, show, transition).await?;
    if state == known.state {
        return Ok((known, false));
    }
    known.state = state;
    match state {
        ShowState::Live => known.live_at = known.live_at.or(Some(now)),
        ShowState::Ended => known.ended_at = known.ended_at.or(Some(now)),
        ShowState::Scheduled | ShowState::Interrupted | ShowState::Replay => {}
    }
    query("UPDATE shows SET state = $2, live_at = $3, ended_at = $4 WHERE id = $1")
        .bind(show)
        .bind(state_name(state))
        .bind(known.live_at)
        .bind(known.ended_at)
        .execute(db)
        .await?;
    Ok((known, true))
}

/// Remembers whether the show has video, where the transition says so.
async fn note_video(
    db: &mut Db<'_>,
    show: ShowId,
    transition: ShowTransition,
) -> Result<(), Failure> {
    let has_video = match transition {
        ShowTransition::VideoBack => 1_u32,
        ShowTransition::VideoLost | ShowTransition::End => 0,
        ShowTransition::GoLive | ShowTransition::OfferReplay => return Ok(()),
    };
    query("UPDATE shows SET has_video = $2 WHERE id = $1 AND has_video <> $2")
        .bind(show)
        .bind(has_video)
        .execute(db)
        .await?;
    Ok(())
}

pub(super) async fn with_video(db: &mut Db<'_>) -> sqlx::Result<Vec<ShowId>> {
    let rows = query("SELECT id FROM shows WHERE has_video = 1 AND released = 0")
        .fetch_all(db)
        .await?;
    rows.iter().map(|row| row.id("id")).collect()
}

pub(super) async fn to_open(db: &mut Db<'_>) -> sqlx::Result<Vec<ShowId>> {
    let rows = query("SELECT id FROM shows WHERE released = 0 AND state <> 'scheduled'")
        .fetch_all(db)
        .await?;
    rows.iter().map(|row| row.id("id")).collect()
}

pub(super) async fn release_unsold(
    db: &mut Db<'_>,
    show: ShowId,
) -> Result<Vec<ListingRow>, Failure> {
    let known = required(db, show).await?;
    if !matches!(known.state, ShowState::Ended | ShowState::Replay) {
        return Err(Failure::Refused(Refused::new(
            RefusalCode::ShowState,
            "the show has not ended; its units are still for sale",
        )));
    }
    if !is_released(db, show).await? {
        // Sold units leave the seller's inventory, unsold ones only the show's part of it.
        query(
            "UPDATE skus SET allocated = allocated - l.total, inventory = inventory - l.claimed
             FROM listings l WHERE l.sku = skus.id AND l.show = $1",
        )
        .bind(show)
        .execute(&mut *db)
        .await?;
        query("UPDATE listings SET total = claimed, version = version + 1 WHERE show = $1")
            .bind(show)
            .execute(&mut *db)
            .await?;
        query("UPDATE shows SET released = 1 WHERE id = $1")
            .bind(show)
            .execute(&mut *db)
            .await?;
    }
    Ok(of_show(db, show).await?)
}

/// Units that come back to this listing go to the inventory, because its show is over and done.
pub(super) async fn is_released(db: &mut Db<'_>, show: ShowId) -> sqlx::Result<bool> {
    let row = query("SELECT released FROM shows WHERE id = $1")
        .bind(show)
        .fetch_optional(db)
        .await?;
    row.map_or(Ok(false), |row| row.flag("released"))
}

pub(super) fn unknown() -> Refused {
    Refused::new(RefusalCode::ShowUnknown, "there is no such show")
}

fn show_of(row: &Row) -> sqlx::Result<ShowRow> {
    Ok(ShowRow {
        id: row.id("id")?,
        seller: row.id("seller")?,
        seller_name: row.text("seller_name")?,
        title: row.text("title")?,
        state: row.named("state", state_of)?,
        currency: row.currency()?,
        starts_at: row.maybe_at("starts_at")?,
        live_at: row.maybe_at("live_at")?,
        ended_at: row.maybe_at("ended_at")?,
        poster: row.maybe_id("poster")?,
        reservation_ttl_s: row.count("reservation_ttl_s")?,
        order_deadline_s: row.count("order_deadline_s")?,
        created_at: row.at("created_at")?,
    })
}
