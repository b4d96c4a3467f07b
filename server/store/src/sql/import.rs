//! A whole file of products in one transaction: a few statements, however many rows.

use std::collections::{BTreeMap, BTreeSet};

use vetrina_core::price;
use vetrina_core::refused::Refused;
use vetrina_protocol::id::{ProductId, SellerId};
use vetrina_protocol::refusal::RefusalCode;

use super::db::{Db, query_either, query_one_of};
use super::products::{
    SKUS_MAX, check_inventory, invalid, require_picture, require_seller, sku_of,
};
use super::writer::Failure;
use crate::ledger::{Imported, NewSkuRow, ProductRow, SkuRow};

/// Makes and changes what the file says, or nothing.
pub(super) async fn import(
    db: &mut Db<'_>,
    seller: SellerId,
    wanted: &[(ProductRow, Vec<NewSkuRow>)],
) -> Result<Imported, Failure> {
    require_seller(db, seller).await?;
    let known = known_skus(db, seller, wanted).await?;
    let mut plan = Plan::default();
    for (product, skus) in wanted {
        plan.add(product, skus, &known)?;
    }
    for product in &plan.products {
        require_picture(db, seller, product.picture).await?;
    }
    let taken = places_taken(db, &plan.grown).await?;
    let rows = sku_rows(seller, &plan.skus, taken)?;
    change_skus(db, &plan.changed).await?;
    insert_products(db, seller, &plan.products).await?;
    insert_skus(db, &rows).await?;
    Ok(Imported {
        products: plan.products.len(),
        added: rows.len(),
        updated: plan.changed.len(),
    })
}

/// What has to be written.
#[derive(Default)]
struct Plan<'a> {
    products: Vec<&'a ProductRow>,
    /// Known products that get variants.
    grown: BTreeSet<ProductId>,
    skus: Vec<(ProductId, &'a NewSkuRow)>,
    changed: Vec<(SkuRow, &'a NewSkuRow)>,
}

impl<'a> Plan<'a> {
    fn add(
        &mut self,
        product: &'a ProductRow,
        skus: &'a [NewSkuRow],
        known: &BTreeMap<String, SkuRow>,
    ) -> Result<(), Refused> {
        let mut home = None;
        let mut fresh = Vec::new();
        for sku in skus {
            price::check(sku.price, sku.price.currency)?;
            check_inventory(sku.inventory)?;
            let Some(row) = known.get(&sku.code) else {
                fresh.push(sku);
                continue;
            };
            home = Some(row.product);
            if sku.inventory < row.allocated {
                return Err(Refused::new(
                    RefusalCode::InventoryShort,
                    format!(
                        "inventory of {:?}: {} units are given to shows; set at least that",
                        sku.code, row.allocated
                    ),
                ));
            }
            if (row.price, row.inventory) != (sku.price, sku.inventory) {
                self.changed.push((row.clone(), sku));
            }
        }
        let home = home.unwrap_or_else(|| {
            self.products.push(product);
            product.id
        });
        if home != product.id && !fresh.is_empty() {
            self.grown.insert(home);
        }
        self.skus.extend(fresh.into_iter().map(|sku| (home, sku)));
        Ok(())
    }
}

async fn known_skus(
    db: &mut Db<'_>,
    seller: SellerId,
    wanted: &[(ProductRow, Vec<NewSkuRow>)],
) -> sqlx::Result<BTreeMap<String, SkuRow>> {
    let skus = wanted.iter().flat_map(|(_, skus)| skus);
    let codes: Vec<&str> = skus.map(|sku| sku.code.as_str()).collect();
    let rows = query_either(
        "SELECT s.* FROM json_each($2) j CROSS JOIN skus s
         ON s.seller = $1 AND s.code = j.value",
        "SELECT s.* FROM jsonb_array_elements_text($2::jsonb) wanted(code)
         JOIN skus s ON s.seller = $1 AND s.code = wanted.code",
    )
    .bind(seller)
    .bind_rows(&codes)
    .fetch_all(db)
    .await?;
    let skus = rows.iter().map(|row| {
        let sku = sku_of(row)?;
        Ok((sku.code.clone(), sku))
    });
    skus.collect()
}

/// How many variants these products have.
async fn places_taken(
    db: &mut Db<'_>,
    products: &BTreeSet<ProductId>,
) -> sqlx::Result<BTreeMap<ProductId, usize>> {
    let rows = query_one_of!("SELECT product FROM skus WHERE product", "")
        .bind_ids(products.iter().copied())
        .fetch_all(db)
        .await?;
    let mut taken = BTreeMap::new();
    for row in &rows {
        *taken.entry(row.id("product")?).or_default() += 1;
    }
    Ok(taken)
}

/// The rows of new variants, each product's behind those that it has.
fn sku_rows(
    seller: SellerId,
    skus: &[(ProductId, &NewSkuRow)],
    mut taken: BTreeMap<ProductId, usize>,
) -> Result<Vec<serde_json::Value>, Refused> {
    let mut rows = Vec::with_capacity(skus.len());
    for (product, sku) in skus {
        let place = taken.entry(*product).or_default();
        if *place >= SKUS_MAX {
            return Err(invalid(format!(
                "{:?}: a product has at most {SKUS_MAX} variants",
                sku.code
            )));
        }
        rows.push(serde_json::json!([
            sku.id,
            product,
            seller,
            *place,
            sku.code,
            sku.variant,
            sku.price.amount_minor,
            sku.price.currency.as_str(),
            sku.inventory,
        ]));
        *place += 1;
    }
    Ok(rows)
}

async fn change_skus(db: &mut Db<'_>, changed: &[(SkuRow, &NewSkuRow)]) -> sqlx::Result<()> {
    if changed.is_empty() {
        return Ok(());
    }
    let rows = changed.iter().map(|(row, sku)| {
        let price = (sku.price.amount_minor, sku.price.currency.as_str());
        (row.id, price.0, price.1, sku.inventory)
    });
    let rows: Vec<_> = rows.collect();
    query_either(
        "UPDATE skus SET price_minor = j.value ->> 1, currency = j.value ->> 2,
           inventory = j.value ->> 3
         FROM json_each($1) j WHERE skus.id = j.value ->> 0",
        "UPDATE skus SET price_minor = (j ->> 1)::bigint, currency = j ->> 2,
           inventory = (j ->> 3)::bigint
         FROM jsonb_array_elements($1::jsonb) j WHERE skus.id = (j ->> 0)::uuid",
    )
    .bind_rows(&rows)
    .execute(db)
    .await?;
    Ok(())
}

async fn insert_products(
    db: &mut Db<'_>,
    seller: SellerId,
    products: &[&ProductRow],
) -> sqlx::Result<()> {
    let rows = products.iter().map(|product| {
        (
            product.id,
            seller,
            &product.title,
            &product.description,
            product.picture,
            product.created_at,
        )
    });
    let rows: Vec<_> = rows.collect();
    query_either(
        "INSERT INTO products (id, seller, title, description, picture, created_at)
         SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5
         FROM json_each($1)",
        "INSERT INTO products (id, seller, title, description, picture, created_at)
         SELECT (j ->> 0)::uuid, (j ->> 1)::uuid, j ->> 2, j ->> 3, (j ->> 4)::uuid,
           (j ->> 5)::bigint
         FROM jsonb_array_elements($1::jsonb) j",
    )
    .bind_rows(&rows)
    .execute(db)
    .await?;
    Ok(())
}

async fn insert_skus(db: &mut Db<'_>, rows: &[serde_json::Value]) -> sqlx::Result<()> {
    query_either(
        "INSERT INTO skus (id, product, seller, place, code, variant, price_minor, currency,
           inventory)
         SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5,
           value ->> 6, value ->> 7, value ->> 8 FROM json_each($1)",
        "INSERT INTO skus (id, product, seller, place, code, variant, price_minor, currency,
           inventory)
         SELECT (j ->> 0)::uuid, (j ->> 1)::uuid, (j ->> 2)::uuid, (j ->> 3)::bigint, j ->> 4,
           j ->> 5, (j ->> 6)::bigint, j ->> 7, (j ->> 8)::bigint
         FROM jsonb_array_elements($1::jsonb) j",
    )
    .bind_rows(&rows)
    .execute(db)
    .await?;
    Ok(())
}
