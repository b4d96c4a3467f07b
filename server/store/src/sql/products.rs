//! Sellers, pictures, products and their variants; and creations that happen once.

use std::collections::BTreeMap;

use vetrina_core::limits::STOCK_TOTAL_MAX;
use vetrina_core::price;
use vetrina_core::refused::Refused;
use vetrina_protocol::id::{PictureId, ProductId, SellerId, SkuId};
use vetrina_protocol::money::Money;
use vetrina_protocol::refusal::RefusalCode;

use super::db::{Db, query, query_one_of};
use super::pages::Window;
use super::rows::{Row, hex};
use super::writer::Failure;
use crate::ledger::{NewSkuRow, Once, PictureRow, ProductChange, ProductRow, SellerRow, SkuRow};

/// Most variants of one product.
pub(super) const SKUS_MAX: usize = 100;

pub(super) async fn put_seller(db: &mut Db<'_>, seller: &SellerRow) -> Result<(), Failure> {
    query(
        "INSERT INTO sellers (id, name) VALUES ($1, $2)
         ON CONFLICT (id) DO UPDATE SET name = excluded.name",
    )
    .bind(seller.id)
    .bind(&seller.name)
    .execute(db)
    .await?;
    Ok(())
}

pub(super) async fn seller(db: &mut Db<'_>, seller: SellerId) -> sqlx::Result<Option<SellerRow>> {
    let row = query("SELECT id, name FROM sellers WHERE id = $1")
        .bind(seller)
        .fetch_optional(db)
        .await?;
    row.map(|row| {
        Ok(SellerRow {
            id: row.id("id")?,
            name: row.text("name")?,
        })
    })
    .transpose()
}

/// What this key made before, if it did.
pub(super) async fn made_before(db: &mut Db<'_>, once: &Once) -> Result<Option<String>, Failure> {
    let row = query("SELECT body, made FROM once WHERE seller = $1 AND key = $2")
        .bind(once.seller)
        .bind(&once.key)
        .fetch_optional(db)
        .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    if row.text("body")? == hex(&once.body.0) {
        return Ok(Some(row.text("made")?));
    }
    Err(Failure::Refused(Refused::new(
        RefusalCode::KeyReused,
        "this idempotency key made something else before; use a new key for a new request",
    )))
}

/// Remembers what this key made.
pub(super) async fn remember(db: &mut Db<'_>, once: &Once, made: &str) -> Result<(), Failure> {
    query("INSERT INTO once (seller, key, body, made) VALUES ($1, $2, $3, $4)")
        .bind(once.seller)
        .bind(&once.key)
        .bind(hex(&once.body.0))
        .bind(made)
        .execute(db)
        .await?;
    Ok(())
}

pub(super) async fn put_picture(db: &mut Db<'_>, picture: &PictureRow) -> Result<(), Failure> {
    require_seller(db, picture.seller).await?;
    query(
        "INSERT INTO pictures (id, seller, content_type, bytes, created_at)
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO NOTHING",
    )
    .bind(picture.id)
    .bind(picture.seller)
    .bind(&picture.content_type)
    .bind(picture.bytes)
    .bind(picture.created_at)
    .execute(db)
    .await?;
    Ok(())
}

pub(super) async fn picture(
    db: &mut Db<'_>,
    picture: PictureId,
) -> sqlx::Result<Option<PictureRow>> {
    let row = query("SELECT * FROM pictures WHERE id = $1")
        .bind(picture)
        .fetch_optional(db)
        .await?;
    row.map(|row| {
        Ok(PictureRow {
            id: row.id("id")?,
            seller: row.id("seller")?,
            content_type: row.text("content_type")?,
            bytes: row.count("bytes")?,
            created_at: row.at("created_at")?,
        })
    })
    .transpose()
}

pub(super) async fn create_product(
    db: &mut Db<'_>,
    once: &Once,
    product: &ProductRow,
    skus: &[NewSkuRow],
) -> Result<ProductRow, Failure> {
    if let Some(made) = made_before(db, once).await? {
        return existing(db, product.seller, &made).await;
    }
    require_seller(db, product.seller).await?;
    require_picture(db, product.seller, product.picture).await?;
    if skus.is_empty() || skus.len() > SKUS_MAX {
        return Err(invalid(format!("skus: a product has from 1 to {SKUS_MAX} variants")).into());
    }
    query(
        "INSERT INTO products (id, seller, title, description, picture, created_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(product.id)
    .bind(product.seller)
    .bind(&product.title)
    .bind(&product.description)
    .bind(product.picture)
    .bind(product.created_at)
    .execute(&mut *db)
    .await?;
    for (place, sku) in (0..).zip(skus) {
        insert_sku(db, product.seller, product.id, place, sku).await?;
    }
    remember(db, once, &product.id.to_string()).await?;
    required(db, product.seller, product.id).await
}

pub(super) async fn product(
    db: &mut Db<'_>,
    seller: SellerId,
    product: ProductId,
) -> sqlx::Result<Option<ProductRow>> {
    let row = query("SELECT * FROM products WHERE id = $1 AND seller = $2")
        .bind(product)
        .bind(seller)
        .fetch_optional(&mut *db)
        .await?;
    let products = with_skus(db, row.into_iter().collect()).await?;
    Ok(products.into_iter().next())
}

pub(super) async fn products(
    db: &mut Db<'_>,
    seller: SellerId,
    window: &Window,
) -> sqlx::Result<Vec<ProductRow>> {
    let rows = query(
        "SELECT * FROM products WHERE seller = $1 AND (created_at, id) < ($2, $3)
         ORDER BY created_at DESC, id DESC LIMIT $4",
    )
    .bind(seller)
    .bind_window(window)
    .fetch_all(&mut *db)
    .await?;
    with_skus(db, rows).await
}

pub(super) async fn change_product(
    db: &mut Db<'_>,
    seller: SellerId,
    product: ProductId,
    change: &ProductChange,
) -> Result<ProductRow, Failure> {
    required(db, seller, product).await?;
    require_picture(db, seller, change.picture).await?;
    query(
        "UPDATE products SET title = coalesce($2, title),
           description = coalesce($3, description), picture = coalesce($4, picture)
         WHERE id = $1",
    )
    .bind(product)
    .bind(&change.title)
    .bind(&change.description)
    .bind(change.picture)
    .execute(&mut *db)
    .await?;
    query(
        "UPDATE listings SET version = version + 1
         WHERE sku IN (SELECT id FROM skus WHERE product = $1)
           AND show IN (SELECT id FROM shows WHERE state NOT IN ('ended', 'replay'))",
    )
    .bind(product)
    .execute(&mut *db)
    .await?;
    required(db, seller, product).await
}

pub(super) async fn add_sku(
    db: &mut Db<'_>,
    seller: SellerId,
    product: ProductId,
    sku: &NewSkuRow,
) -> Result<ProductRow, Failure> {
    let known = required(db, seller, product).await?;
    if known.skus.len() >= SKUS_MAX {
        return Err(invalid(format!("skus: a product has at most {SKUS_MAX} variants")).into());
    }
    let place = i64::try_from(known.skus.len()).unwrap_or(i64::MAX);
    insert_sku(db, seller, product, place, sku).await?;
    required(db, seller, product).await
}

pub(super) async fn set_sku(
    db: &mut Db<'_>,
    seller: SellerId,
    sku: SkuId,
    price: Money,
    inventory: u32,
) -> Result<SkuRow, Failure> {
    price::check(price, price.currency)?;
    check_inventory(inventory)?;
    let row = query("SELECT * FROM skus WHERE id = $1 AND seller = $2")
        .bind(sku)
        .bind(seller)
        .fetch_optional(&mut *db)
        .await?;
    let mut known = sku_of(&row.ok_or_else(product_unknown)?)?;
    if inventory < known.allocated {
        return Err(Failure::Refused(Refused::new(
            RefusalCode::InventoryShort,
            format!(
                "inventory: {} units are given to shows; set at least that",
                known.allocated
            ),
        )));
    }
    query("UPDATE skus SET price_minor = $2, currency = $3, inventory = $4 WHERE id = $1")
        .bind(sku)
        .bind(price.amount_minor)
        .bind(price.currency.as_str())
        .bind(inventory)
        .execute(db)
        .await?;
    known.price = price;
    known.inventory = inventory;
    Ok(known)
}

pub(super) async fn sku_by_code(
    db: &mut Db<'_>,
    seller: SellerId,
    code: &str,
) -> sqlx::Result<Option<SkuRow>> {
    let row = query("SELECT * FROM skus WHERE seller = $1 AND code = $2")
        .bind(seller)
        .bind(code)
        .fetch_optional(db)
        .await?;
    row.as_ref().map(sku_of).transpose()
}

/// Refuses a picture that is not this seller's.
pub(super) async fn require_picture(
    db: &mut Db<'_>,
    seller: SellerId,
    picture: Option<PictureId>,
) -> Result<(), Failure> {
    let Some(picture) = picture else {
        return Ok(());
    };
    let row = query("SELECT 1 FROM pictures WHERE id = $1 AND seller = $2")
        .bind(picture)
        .bind(seller)
        .fetch_optional(db)
        .await?;
    match row {
        Some(_) => Ok(()),
        None => Err(invalid("picture: you have uploaded no such picture; upload it first").into()),
    }
}

/// Refuses a seller that does not exist.
pub(super) async fn require_seller(db: &mut Db<'_>, id: SellerId) -> Result<(), Failure> {
    match seller(db, id).await? {
        Some(_) => Ok(()),
        None => Err(invalid("seller: there is no such account").into()),
    }
}

pub(super) fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Refused {
    Refused::new(RefusalCode::Invalid, message)
}

pub(super) fn product_unknown() -> Refused {
    Refused::new(
        RefusalCode::ProductUnknown,
        "you have no such product or variant",
    )
}

async fn existing(db: &mut Db<'_>, seller: SellerId, made: &str) -> Result<ProductRow, Failure> {
    let made = made.parse().map_err(|_| product_unknown())?;
    required(db, seller, made).await
}

async fn required(db: &mut Db<'_>, seller: SellerId, id: ProductId) -> Result<ProductRow, Failure> {
    let found = product(db, seller, id).await?;
    found.ok_or_else(|| product_unknown().into())
}

async fn insert_sku(
    db: &mut Db<'_>,
    seller: SellerId,
    product: ProductId,
    place: i64,
    sku: &NewSkuRow,
) -> Result<(), Failure> {
    price::check(sku.price, sku.price.currency)?;
    check_inventory(sku.inventory)?;
    let done = query(
        "INSERT INTO skus (id, product, seller, place, code, variant, price_minor, currency,
           inventory)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (seller, code) DO NOTHING",
    )
    .bind(sku.id)
    .bind(product)
    .bind(seller)
    .bind(place)
    .bind(&sku.code)
    .bind(&sku.variant)
    .bind(sku.price.amount_minor)
    .bind(sku.price.currency.as_str())
    .bind(sku.inventory)
    .execute(db)
    .await?;
    if done == 1 {
        return Ok(());
    }
    Err(invalid(format!(
        "code: you have another variant with the code {:?}",
        sku.code
    ))
    .into())
}

pub(super) fn check_inventory(inventory: u32) -> Result<(), Refused> {
    if inventory <= STOCK_TOTAL_MAX {
        return Ok(());
    }
    Err(invalid(format!(
        "inventory: must be from 0 to {STOCK_TOTAL_MAX}, not {inventory}"
    )))
}

async fn with_skus(db: &mut Db<'_>, products: Vec<Row>) -> sqlx::Result<Vec<ProductRow>> {
    let mut found: Vec<ProductRow> = products.iter().map(product_of).collect::<Result<_, _>>()?;
    if found.is_empty() {
        return Ok(found);
    }
    let rows = query_one_of!(
        "SELECT * FROM skus WHERE product",
        "ORDER BY product, place"
    )
    .bind_ids(found.iter().map(|product| product.id))
    .fetch_all(db)
    .await?;
    let mut skus: BTreeMap<ProductId, Vec<SkuRow>> = BTreeMap::new();
    for row in &rows {
        let sku = sku_of(row)?;
        skus.entry(sku.product).or_default().push(sku);
    }
    for product in &mut found {
        product.skus = skus.remove(&product.id).unwrap_or_default();
    }
    Ok(found)
}

fn product_of(row: &Row) -> sqlx::Result<ProductRow> {
    Ok(ProductRow {
        id: row.id("id")?,
        seller: row.id("seller")?,
        title: row.text("title")?,
        description: row.maybe_text("description")?,
        picture: row.maybe_id("picture")?,
        skus: Vec::new(),
        created_at: row.at("created_at")?,
    })
}

pub(super) fn sku_of(row: &Row) -> sqlx::Result<SkuRow> {
    Ok(SkuRow {
        id: row.id("id")?,
        product: row.id("product")?,
        code: row.text("code")?,
        variant: row.maybe_text("variant")?,
        price: row.money("price_minor")?,
        inventory: row.count("inventory")?,
        allocated: row.count("allocated")?,
    })
}
