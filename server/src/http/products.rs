//! The catalogue of one seller: `/v1/products`. Staff only; a host changes, the others read.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use vetrina_core::limits::STOCK_TOTAL_MAX;
use vetrina_core::text::clean;
use vetrina_protocol::id::{ProductId, SkuId};
use vetrina_protocol::money::Money;
use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::rest::{NewProduct, NewSku, Page, Problem, Product, ProductPatch, Sku};
use vetrina_protocol::view::Role;

use super::Shared;
use super::body::{Ids, JsonBody, Key, PageQuery, Paged};
use super::caller::Caller;
use super::error::HttpError;
use crate::refused::{Refused, invalid};
use vetrina_store::ledger::{NewSkuRow, ProductChange, ProductRow, SkuRow, map_page};

/// Who may read the catalogue.
const READERS: [Role; 3] = [Role::Host, Role::Moderator, Role::Fulfilment];
/// Variants of one product.
const SKUS_MAX: usize = 100;

/// The seller's products, newest first.
#[utoipa::path(
    get, path = "/v1/products", tag = "products", params(PageQuery),
    responses((status = 200, body = Page<Product>), (status = 403, body = Problem)),
)]
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Paged(page): Paged,
) -> Result<Json<Page<Product>>, HttpError> {
    let seller = caller.staff(&READERS)?;
    let page = shared.ledger.products(seller, page).await?;
    Ok(Json(map_page(page, ProductRow::view)))
}

/// Makes a product with its variants.
#[utoipa::path(
    post, path = "/v1/products", tag = "products", request_body = NewProduct,
    params(("Idempotency-Key" = Option<String>, Header, description = "Same key, same answer")),
    responses(
        (status = 201, body = Product), (status = 400, body = Problem),
        (status = 409, body = Problem),
    ),
)]
pub(super) async fn create(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    key: Key,
    body: JsonBody<NewProduct>,
) -> Result<(StatusCode, Json<Product>), HttpError> {
    let seller = caller.staff(&[Role::Host])?;
    let once = key.once(seller, "POST /v1/products", &body);
    let new = body.value;
    if new.skus.is_empty() || new.skus.len() > SKUS_MAX {
        return Err(invalid("skus", "from 1 to 100 variants").into());
    }
    let skus = new.skus.iter().enumerate();
    let skus = skus
        .map(|(at, sku)| new_sku(&format!("skus[{at}]."), sku))
        .collect::<Result<Vec<_>, _>>()?;
    let product = ProductRow {
        id: ProductId::now(),
        seller,
        title: title("title", &new.title)?,
        description: description(new.description.as_deref())?,
        picture: new.picture,
        skus: Vec::new(),
        created_at: shared.clock.now(),
    };
    let product = shared.ledger.create_product(once, product, skus).await?;
    Ok((StatusCode::CREATED, Json(product.view())))
}

/// One product.
#[utoipa::path(
    get, path = "/v1/products/{product}", tag = "products", params(("product" = ProductId, Path)),
    responses((status = 200, body = Product), (status = 404, body = Problem)),
)]
pub(super) async fn read(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Ids(product): Ids<ProductId>,
) -> Result<Json<Product>, HttpError> {
    let seller = caller.staff(&READERS)?;
    let product = shared
        .ledger
        .product(seller, product)
        .await?
        .ok_or_else(unknown)?;
    Ok(Json(product.view()))
}

/// Changes a product; listings of running shows take the new words.
#[utoipa::path(
    patch, path = "/v1/products/{product}", tag = "products", request_body = ProductPatch,
    params(("product" = ProductId, Path)),
    responses(
        (status = 200, body = Product), (status = 400, body = Problem),
        (status = 404, body = Problem),
    ),
)]
pub(super) async fn change(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Ids(product): Ids<ProductId>,
    body: JsonBody<ProductPatch>,
) -> Result<Json<Product>, HttpError> {
    let seller = caller.staff(&[Role::Host])?;
    let patch = body.value;
    let change = ProductChange {
        title: patch
            .title
            .as_deref()
            .map(|text| title("title", text))
            .transpose()?,
        description: description(patch.description.as_deref())?,
        picture: patch.picture,
    };
    let product = shared.shop.change_product(seller, product, change).await?;
    Ok(Json(product.view()))
}

/// Adds a variant to a product.
#[utoipa::path(
    post, path = "/v1/products/{product}/skus", tag = "products", request_body = NewSku,
    params(("product" = ProductId, Path)),
    responses(
        (status = 201, body = Sku), (status = 400, body = Problem),
        (status = 404, body = Problem),
    ),
)]
pub(super) async fn create_sku(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Ids(product): Ids<ProductId>,
    body: JsonBody<NewSku>,
) -> Result<(StatusCode, Json<Sku>), HttpError> {
    let seller = caller.staff(&[Role::Host])?;
    let sku = new_sku("", &body.value)?;
    let code = sku.code.clone();
    // The code is unique within the seller, so a repetition finds what the first one made.
    if let Some(same) = shared.ledger.sku_by_code(seller, &code).await?
        && same.product == product
        && is_same(&same, &sku)
    {
        return Ok((StatusCode::CREATED, Json(same.view())));
    }
    shared.ledger.add_sku(seller, product, sku).await?;
    let made = shared
        .ledger
        .sku_by_code(seller, &code)
        .await?
        .ok_or_else(unknown)?;
    Ok((StatusCode::CREATED, Json(made.view())))
}

fn is_same(row: &SkuRow, new: &NewSkuRow) -> bool {
    (&row.code, &row.variant, row.price, row.inventory)
        == (&new.code, &new.variant, new.price, new.inventory)
}

fn unknown() -> Refused {
    Refused::new(
        RefusalCode::ProductUnknown,
        "this seller has no such product",
    )
}

/// Checks a variant; `prefix` says where it stands in the body.
pub(crate) fn new_sku(prefix: &str, sku: &NewSku) -> Result<NewSkuRow, Refused> {
    let code = clean(&sku.code);
    if code.is_empty() || sku.code.chars().count() > 64 {
        return Err(invalid(&format!("{prefix}code"), "from 1 to 64 characters"));
    }
    let variant = sku
        .variant
        .as_deref()
        .map(clean)
        .filter(|text| !text.is_empty());
    if variant
        .as_ref()
        .is_some_and(|text| text.chars().count() > 80)
    {
        return Err(invalid(
            &format!("{prefix}variant"),
            "at most 80 characters",
        ));
    }
    if sku.inventory > STOCK_TOTAL_MAX {
        let most = format!("at most {STOCK_TOTAL_MAX} units");
        return Err(invalid(&format!("{prefix}inventory"), most));
    }
    Ok(NewSkuRow {
        id: SkuId::now(),
        code,
        variant,
        price: price(&format!("{prefix}price"), sku.price)?,
        inventory: sku.inventory,
    })
}

/// A price in a currency that exists.
pub(crate) fn price(field: &str, price: Money) -> Result<Money, Refused> {
    super::shows::currency(&format!("{field}.currency"), price.currency)?;
    vetrina_core::price::check(price, price.currency)
        .map_err(|refused| Refused::new(refused.code, format!("{field}: {}", refused.message)))?;
    Ok(price)
}

/// From 1 to 120 visible characters.
pub(crate) fn title(field: &str, text: &str) -> Result<String, Refused> {
    let title = clean(text);
    if title.is_empty() || text.chars().count() > 120 {
        return Err(invalid(field, "from 1 to 120 characters that can be seen"));
    }
    Ok(title)
}

/// At most 2000 characters.
pub(crate) fn description(text: Option<&str>) -> Result<Option<String>, Refused> {
    match text {
        Some(text) if text.chars().count() > 2_000 => {
            Err(invalid("description", "at most 2000 characters"))
        }
        Some(text) => Ok(Some(clean(text))),
        None => Ok(None),
    }
}
