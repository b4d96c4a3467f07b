//! Listings: what a show offers, and its part of the seller's inventory. Two shows cannot sell the
//! same unit, because each unit of `total` is taken out of the sku's inventory here.

use std::collections::BTreeMap;

use vetrina_core::limits::LISTINGS_MAX;
use vetrina_core::price;
use vetrina_core::refused::Refused;
use vetrina_core::show::{order_listings, refuse_if_over};
use vetrina_core::stock::{allocate, can_set_total};
use vetrina_protocol::QUANTITY_MAX;
use vetrina_protocol::id::{ListingId, ProductId, ShowId, SkuId};
use vetrina_protocol::money::Money;
use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::view::Stock;

use super::db::{Db, query, query_either, query_one_of};
use super::products::{invalid, made_before, product_unknown, remember};
use super::rows::Row;
use super::shows;
use super::writer::Failure;
use crate::ledger::{ListingChange, ListingRow, NewListingRow, Once, ShowRow};

macro_rules! select_listings {
    ($rest:literal) => {
        concat!(
            "SELECT l.*, k.product, k.variant, p.title, p.description, p.picture
             FROM listings l JOIN skus k ON k.id = l.sku JOIN products p ON p.id = k.product ",
            $rest
        )
    };
}

pub(super) async fn create(
    db: &mut Db<'_>,
    once: &Once,
    new: &NewListingRow,
) -> Result<ListingRow, Failure> {
    if let Some(made) = made_before(db, once).await? {
        let made = made.parse().map_err(|_| unknown())?;
        return required(db, made).await;
    }
    let show = shows::required(db, new.show).await?;
    refuse_if_over(show.state)?;
    check_per_buyer(new.per_buyer)?;
    can_set_total(&Stock::default(), new.total)?;
    let sku = sku(db, &show, new.sku).await?;
    let price = new.price.unwrap_or(sku.price);
    price::check(price, show.currency)?;
    let others = of_show(db, new.show).await?;
    if others.len() >= LISTINGS_MAX {
        return Err(invalid(format!("a show has at most {LISTINGS_MAX} listings")).into());
    }
    if others.iter().any(|other| other.sku == new.sku) {
        return Err(invalid("sku: this show offers it already; change that listing").into());
    }
    give(db, &sku, 0, new.total).await?;
    query(
        "INSERT INTO listings (id, show, sku, place, price_minor, currency, per_buyer, total)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(new.id)
    .bind(new.show)
    .bind(new.sku)
    .bind(i64::try_from(others.len()).unwrap_or(i64::MAX))
    .bind(price.amount_minor)
    .bind(price.currency.as_str())
    .bind(new.per_buyer)
    .bind(new.total)
    .execute(&mut *db)
    .await?;
    remember(db, once, &new.id.to_string()).await?;
    required(db, new.id).await
}

pub(super) async fn listing(
    db: &mut Db<'_>,
    listing: ListingId,
) -> sqlx::Result<Option<ListingRow>> {
    let row = query(select_listings!("WHERE l.id = $1"))
        .bind(listing)
        .fetch_optional(db)
        .await?;
    row.as_ref().map(listing_of).transpose()
}

pub(super) async fn of_show(db: &mut Db<'_>, show: ShowId) -> sqlx::Result<Vec<ListingRow>> {
    let rows = query(select_listings!("WHERE l.show = $1 ORDER BY l.place, l.id"))
        .bind(show)
        .fetch_all(db)
        .await?;
    rows.iter().map(listing_of).collect()
}

pub(super) async fn of_product(
    db: &mut Db<'_>,
    product: ProductId,
) -> sqlx::Result<Vec<ListingRow>> {
    let rows = query(select_listings!(
        "JOIN shows s ON s.id = l.show
         WHERE k.product = $1 AND s.state NOT IN ('ended', 'replay') ORDER BY l.id"
    ))
    .bind(product)
    .fetch_all(db)
    .await?;
    rows.iter().map(listing_of).collect()
}

/// The rows of many, for a batch.
pub(super) async fn many(
    db: &mut Db<'_>,
    ids: impl Iterator<Item = ListingId>,
) -> sqlx::Result<BTreeMap<ListingId, ListingRow>> {
    let rows = query_one_of!(select_listings!("WHERE l.id"), "")
        .bind_ids(ids)
        .fetch_all(db)
        .await?;
    rows.iter()
        .map(|row| listing_of(row).map(|listing| (listing.id, listing)))
        .collect()
}

pub(super) async fn change(
    db: &mut Db<'_>,
    show: ShowId,
    id: ListingId,
    change: ListingChange,
) -> Result<ListingRow, Failure> {
    let show = shows::required(db, show).await?;
    let known = required(db, id).await?;
    if known.show != show.id {
        return Err(unknown().into());
    }
    refuse_if_over(show.state)?;
    let price = change.price.unwrap_or(known.price);
    price::check(price, show.currency)?;
    let per_buyer = change.per_buyer.unwrap_or(known.per_buyer);
    check_per_buyer(per_buyer)?;
    let total = change.total.unwrap_or(known.total);
    if total != known.total {
        can_set_total(&known.stock_unreserved(), total)?;
        let sku = sku(db, &show, known.sku).await?;
        give(db, &sku, known.total, total).await?;
    }
    if (price, per_buyer, total) == (known.price, known.per_buyer, known.total) {
        return Ok(known);
    }
    query(
        "UPDATE listings SET price_minor = $2, per_buyer = $3, total = $4, version = version + 1
         WHERE id = $1",
    )
    .bind(id)
    .bind(price.amount_minor)
    .bind(per_buyer)
    .bind(total)
    .execute(&mut *db)
    .await?;
    required(db, id).await
}

pub(super) async fn reorder(
    db: &mut Db<'_>,
    show: ShowId,
    first: &[ListingId],
) -> Result<Vec<ListingRow>, Failure> {
    let show = shows::required(db, show).await?;
    refuse_if_over(show.state)?;
    let known = of_show(db, show.id).await?;
    let current: Vec<ListingId> = known.iter().map(|listing| listing.id).collect();
    let run = order_listings(&current, first)?;
    if run == current {
        return Ok(known);
    }
    query_either(
        "UPDATE listings SET place = j.key, version = version + 1
         FROM json_each($1) j WHERE listings.id = j.value AND listings.place <> j.key",
        "UPDATE listings SET place = j.at - 1, version = version + 1
         FROM unnest($1) WITH ORDINALITY AS j (id, at)
         WHERE listings.id = j.id AND listings.place <> j.at - 1",
    )
    .bind_ids(run)
    .execute(&mut *db)
    .await?;
    Ok(of_show(db, show.id).await?)
}

pub(super) fn unknown() -> Refused {
    Refused::new(
        RefusalCode::ListingUnknown,
        "there is no such listing in this show",
    )
}

async fn required(db: &mut Db<'_>, id: ListingId) -> Result<ListingRow, Failure> {
    listing(db, id).await?.ok_or_else(|| unknown().into())
}

/// What a listing needs to know of its sku.
struct Sku {
    id: SkuId,
    price: Money,
    inventory: u32,
    allocated: u32,
}

async fn sku(db: &mut Db<'_>, show: &ShowRow, id: SkuId) -> Result<Sku, Failure> {
    let row = query(
        "SELECT price_minor, currency, inventory, allocated FROM skus
         WHERE id = $1 AND seller = $2",
    )
    .bind(id)
    .bind(show.seller)
    .fetch_optional(db)
    .await?
    .ok_or_else(product_unknown)?;
    Ok(Sku {
        id,
        price: row.money("price_minor")?,
        inventory: row.count("inventory")?,
        allocated: row.count("allocated")?,
    })
}

/// Moves this show's part of the inventory from `given` to `wanted` units.
async fn give(db: &mut Db<'_>, sku: &Sku, given: u32, wanted: u32) -> Result<(), Failure> {
    let allocated = allocate(sku.inventory, sku.allocated, given, wanted)?;
    query("UPDATE skus SET allocated = $2 WHERE id = $1")
        .bind(sku.id)
        .bind(allocated)
        .execute(db)
        .await?;
    Ok(())
}

fn check_per_buyer(per_buyer: u32) -> Result<(), Refused> {
    if (1..=QUANTITY_MAX).contains(&per_buyer) {
        return Ok(());
    }
    Err(invalid(format!(
        "per_buyer: must be from 1 to {QUANTITY_MAX}, not {per_buyer}"
    )))
}

fn listing_of(row: &Row) -> sqlx::Result<ListingRow> {
    Ok(ListingRow {
        id: row.id("id")?,
        show: row.id("show")?,
        product: row.id("product")?,
        sku: row.id("sku")?,
        title: row.text("title")?,
        variant: row.maybe_text("variant")?,
        description: row.maybe_text("description")?,
        picture: row.maybe_id("picture")?,
        price: row.money("price_minor")?,
        per_buyer: row.count("per_buyer")?,
        position: row.count("place")?,
        total: row.count("total")?,
        claimed: row.count("claimed")?,
        paid: row.count("paid")?,
        version: row.unsigned("version")?,
    })
}
