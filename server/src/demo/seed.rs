//! The made-up stall: ceramics and textiles, a seller, and a show with its run. Sowing twice
//! changes nothing; when the show is over, the next start announces another.

use sha2::{Digest as _, Sha256};
use vetrina_core::checkout::BodyDigest;
use vetrina_protocol::id::{ListingId, ProductId, SellerId, ShowId, SkuId, UserId};
use vetrina_protocol::money::{Currency, Money};
use vetrina_protocol::time::UnixMs;
use vetrina_protocol::view::ShowState;

use super::drawings::{Drawing, draw};
use crate::app::{FIRST_SELLER, Records};
use crate::cli::Failure;
use crate::http::shows::is_on_or_announced;
use crate::pictures::{self, Kind};
use vetrina_store::ledger::{NewListingRow, NewSkuRow, Once, ProductRow, SellerRow, ShowRow};

/// Version 8 ids of our own scheme: the demo's things are the same on every machine.
const PREFIX: u128 = 0x7665_7472_696e_8000_8000_0000_0000_0000;
pub(super) const SELLER: SellerId = FIRST_SELLER;
pub(super) const HOST: UserId = UserId(PREFIX | 2);
pub(super) const HOST_NAME: &str = "Bottega Aurora";
const SHOW_TITLE: &str = "Ceramiche e tessuti: la tavola d’inverno";
/// Shows made one after another in one folder; a reader of a demo never gets there.
const SHOWS_MAX: u128 = 10_000;

struct Article {
    title: &'static str,
    description: &'static str,
    code: &'static str,
    variant: Option<&'static str>,
    price_minor: i64,
    inventory: u32,
    in_show: u32,
    per_buyer: u32,
    drawing: Drawing,
}

const fn article(
    (title, description): (&'static str, &'static str),
    (code, variant): (&'static str, Option<&'static str>),
    price_minor: i64,
    (inventory, in_show, per_buyer): (u32, u32, u32),
    drawing: Drawing,
) -> Article {
    Article {
        title,
        description,
        code,
        variant,
        price_minor,
        inventory,
        in_show,
        per_buyer,
        drawing,
    }
}

/// In the run of show's order. Few of some, so that selling out can be seen.
static ARTICLES: [Article; 9] = [
    article(
        (
            "Vaso “Onda”",
            "Gres tornito a mano, smalto blu cobalto. Alto 24 cm.",
        ),
        ("VAS-ONDA", Some("blu")),
        4_800,
        (40, 12, 2),
        Drawing::Vase,
    ),
    article(
        (
            "Ciotola “Luna”",
            "Porcellana bianca con bordo dorato a pennello. 16 cm.",
        ),
        ("CIO-LUNA", None),
        2_400,
        (60, 20, 4),
        Drawing::Bowl,
    ),
    article(
        (
            "Strofinaccio “Ulivo”",
            "Puro lino stampato a mano con foglie d’ulivo. 50 × 70 cm.",
        ),
        ("STR-ULIVO", Some("verde")),
        1_600,
        (100, 30, 6),
        Drawing::Towel,
    ),
    article(
        (
            "Brocca “Alba”",
            "Terracotta ingobbiata, becco largo. Un litro e mezzo.",
        ),
        ("BRO-ALBA", None),
        3_900,
        (10, 3, 1),
        Drawing::Jug,
    ),
    article(
        (
            "Runner “Ricamo”",
            "Lino grezzo con ricamo a punto croce. 40 × 150 cm.",
        ),
        ("RUN-RICAMO", Some("naturale")),
        5_500,
        (20, 8, 2),
        Drawing::Runner,
    ),
    article(
        (
            "Tazza “Mattina”",
            "Gres da tavola, smalto satinato color salvia. 30 cl.",
        ),
        ("TAZ-MATTINA", Some("salvia")),
        1_800,
        (80, 24, 6),
        Drawing::Mug,
    ),
    article(
        (
            "Cuscino “Marea”",
            "Cotone tessuto a telaio, righe blu e sabbia. 45 × 45 cm.",
        ),
        ("CUS-MAREA", None),
        3_200,
        (30, 10, 2),
        Drawing::Cushion,
    ),
    article(
        (
            "Piatto “Giardino”",
            "Maiolica dipinta a mano, pezzo unico. 32 cm.",
        ),
        ("PIA-GIARDINO", Some("pezzo unico")),
        7_800,
        (1, 1, 1),
        Drawing::Plate,
    ),
    article(
        (
            "Coperta “Collina”",
            "Lana merino e cotone, trama a onde. 130 × 170 cm.",
        ),
        ("COP-COLLINA", Some("terra")),
        12_900,
        (8, 4, 1),
        Drawing::Blanket,
    ),
];

/// Makes what is missing and gives the show to open.
pub(super) async fn sow(records: &Records, now: UnixMs) -> Result<ShowId, Failure> {
    let ledger = &records.ledger;
    if let Some(show) = open_show(records).await? {
        return Ok(show);
    }
    let name = HOST_NAME.to_owned();
    ledger.put_seller(SellerRow { id: SELLER, name }).await?;
    for (at, article) in ARTICLES.iter().enumerate() {
        stock_up(records, at, article, now).await?;
    }
    let show = next_show(records, now).await?;
    for (at, article) in ARTICLES.iter().enumerate() {
        let sku = ledger.sku_by_code(SELLER, article.code).await?;
        let sku = sku.ok_or_else(|| Failure::new("the demo's products were not kept"))?;
        let listing = NewListingRow {
            id: ListingId::now(),
            show,
            sku: sku.id,
            price: None,
            total: article.in_show,
            per_buyer: article.per_buyer,
        };
        ledger
            .create_listing(once(&format!("{show}-{at}")), listing)
            .await?;
    }
    Ok(show)
}

/// The newest show of the stall that is not over and has its whole run: a start that was cut off is
/// made up for.
async fn open_show(records: &Records) -> Result<Option<ShowId>, Failure> {
    for number in 1..SHOWS_MAX {
        let id = show_id(number);
        match records.ledger.show(id).await? {
            None => return Ok(None),
            Some(show) if is_on_or_announced(show.state) => {
                let listings = records.ledger.listings(id).await?;
                return Ok((listings.len() >= ARTICLES.len()).then_some(id));
            }
            Some(_) => {}
        }
    }
    Ok(None)
}

async fn next_show(records: &Records, now: UnixMs) -> Result<ShowId, Failure> {
    for number in 1..SHOWS_MAX {
        let id = show_id(number);
        match records.ledger.show(id).await? {
            Some(show) if is_on_or_announced(show.state) => return Ok(id),
            Some(_) => {}
            None => {
                let poster = picture(records, Drawing::Poster, now).await?;
                let show = ShowRow {
                    id,
                    seller: SELLER,
                    seller_name: String::new(),
                    title: SHOW_TITLE.to_owned(),
                    state: ShowState::Scheduled,
                    currency: Currency::EUR,
                    starts_at: Some(now),
                    live_at: None,
                    ended_at: None,
                    poster: Some(poster),
                    reservation_ttl_s: 120,
                    order_deadline_s: 600,
                    created_at: now,
                };
                return Ok(records
                    .ledger
                    .create_show(once(&id.to_string()), show)
                    .await?
                    .id);
            }
        }
    }
    Err(Failure::new(
        "this folder holds too many demo shows; choose another with --data-dir",
    ))
}

/// Makes the article, or brings its inventory back up for another show.
async fn stock_up(
    records: &Records,
    at: usize,
    article: &Article,
    now: UnixMs,
) -> Result<(), Failure> {
    let price = Money::new(article.price_minor, Currency::EUR);
    if let Some(known) = records.ledger.sku_by_code(SELLER, article.code).await? {
        let wanted = known.allocated + article.in_show;
        if known.inventory < wanted {
            records
                .ledger
                .set_sku(SELLER, known.id, price, wanted)
                .await?;
        }
        return Ok(());
    }
    let number = at as u128;
    let product = ProductRow {
        id: ProductId(PREFIX | 0x100 | number),
        seller: SELLER,
        title: article.title.to_owned(),
        description: Some(article.description.to_owned()),
        picture: Some(picture(records, article.drawing, now).await?),
        skus: Vec::new(),
        // The list of products is newest first; this keeps the run of show's order in it.
        created_at: now.plus_ms(-i64::try_from(at).unwrap_or(0)),
    };
    let sku = NewSkuRow {
        id: SkuId(PREFIX | 0x200 | number),
        code: article.code.to_owned(),
        variant: article.variant.map(str::to_owned),
        price,
        inventory: article.inventory,
    };
    records
        .ledger
        .create_product(once(article.code), product, vec![sku])
        .await?;
    Ok(())
}

async fn picture(
    records: &Records,
    drawing: Drawing,
    now: UnixMs,
) -> Result<vetrina_protocol::id::PictureId, Failure> {
    let svg = draw(drawing).into_bytes().into();
    let (ledger, blobs) = (&*records.ledger, &*records.blobs);
    Ok(pictures::keep(ledger, blobs, now, SELLER, Kind::Svg, svg)
        .await?
        .id)
}

fn show_id(number: u128) -> ShowId {
    ShowId(PREFIX | 0x1_0000 | number)
}

fn once(what: &str) -> Once {
    let digest: [u8; 32] = Sha256::digest(what.as_bytes()).into();
    Once {
        seller: SELLER,
        key: format!("demo-{what}").chars().take(64).collect(),
        body: BodyDigest(digest),
    }
}
