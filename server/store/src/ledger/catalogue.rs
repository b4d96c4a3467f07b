//! Sellers, products, pictures, shows, and listings with their allocation of the inventory.

use async_trait::async_trait;
use vetrina_core::checkout::BodyDigest;
use vetrina_core::hot::{BuyerUnits, Mirror, Settled};
use vetrina_core::show::ShowTransition;
use vetrina_protocol::id::{ListingId, PictureId, ProductId, SellerId, ShowId, SkuId};
use vetrina_protocol::money::{Currency, Money};
use vetrina_protocol::rest::{Page, Product, Sku};
use vetrina_protocol::time::UnixMs;
use vetrina_protocol::view::{Listing, Show, ShowState, Stock};

use super::PageRequest;
use crate::StoreError;
use crate::blob::picture_path;

/// Makes a creation happen once: recorded in its transaction, kept for good. The same key with the
/// same body answers with what was made then, with another body `key_reused`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    /// Keys are the seller's own.
    pub seller: SellerId,
    /// From 1 to 64 bytes.
    pub key: String,
    /// Of the request's body, by the caller.
    pub body: BodyDigest,
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SellerRow {
    /// Id.
    pub id: SellerId,
    /// Display name.
    pub name: String,
}

/// A catalogue item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProductRow {
    /// Id.
    pub id: ProductId,
    /// Whose.
    pub seller: SellerId,
    /// Title.
    pub title: String,
    /// A few sentences.
    pub description: Option<String>,
    /// Picture.
    pub picture: Option<PictureId>,
    /// Its variants, in the order they were given.
    pub skus: Vec<SkuRow>,
    /// When it was made.
    pub created_at: UnixMs,
}

/// A variant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkuRow {
    /// Id.
    pub id: SkuId,
    /// Of which product.
    pub product: ProductId,
    /// The seller's own article code, unique within the seller.
    pub code: String,
    /// Such as "blue, M".
    pub variant: Option<String>,
    /// Price that a listing starts from.
    pub price: Money,
    /// Units the seller owns and has not sold in an ended show.
    pub inventory: u32,
    /// Of these, given to shows that have not given them back.
    pub allocated: u32,
}

/// A variant to be made. With [`ProductRow`]'s words it makes a product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSkuRow {
    /// Id.
    pub id: SkuId,
    /// As in [`SkuRow`].
    pub code: String,
    /// As in [`SkuRow`].
    pub variant: Option<String>,
    /// As in [`SkuRow`].
    pub price: Money,
    /// As in [`SkuRow`].
    pub inventory: u32,
}

/// Changes a product: `None` stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProductChange {
    /// New title.
    pub title: Option<String>,
    /// New description.
    pub description: Option<String>,
    /// New picture.
    pub picture: Option<PictureId>,
}

/// A picture's facts; its bytes are in the blob store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PictureRow {
    /// Id.
    pub id: PictureId,
    /// Whose.
    pub seller: SellerId,
    /// Such as `image/webp`.
    pub content_type: String,
    /// Size.
    pub bytes: u32,
    /// When it was uploaded.
    pub created_at: UnixMs,
}

/// A show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShowRow {
    /// Id.
    pub id: ShowId,
    /// Whose.
    pub seller: SellerId,
    /// The seller's display name; read only.
    pub seller_name: String,
    /// Title.
    pub title: String,
    /// Life cycle.
    pub state: ShowState,
    /// The one currency of its prices and orders.
    pub currency: Currency,
    /// Announced start.
    pub starts_at: Option<UnixMs>,
    /// When it first went live.
    pub live_at: Option<UnixMs>,
    /// When it ended.
    pub ended_at: Option<UnixMs>,
    /// Picture until the first frame.
    pub poster: Option<PictureId>,
    /// How long a reservation lasts.
    pub reservation_ttl_s: u32,
    /// How long an order may stay unpaid.
    pub order_deadline_s: u32,
    /// When it was made.
    pub created_at: UnixMs,
}

/// Changes a show: `None` stays. Its state is changed by [`Catalogue::move_show`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShowChange {
    /// New title.
    pub title: Option<String>,
    /// New announced start.
    pub starts_at: Option<UnixMs>,
    /// New reservation time.
    pub reservation_ttl_s: Option<u32>,
    /// New order deadline.
    pub order_deadline_s: Option<u32>,
    /// New poster.
    pub poster: Option<PictureId>,
}

/// A sku offered in a show, with the ledger's part of its stock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListingRow {
    /// Id.
    pub id: ListingId,
    /// In which show.
    pub show: ShowId,
    /// Of which product.
    pub product: ProductId,
    /// Which variant.
    pub sku: SkuId,
    /// The product's title.
    pub title: String,
    /// The variant.
    pub variant: Option<String>,
    /// A few sentences.
    pub description: Option<String>,
    /// The product's picture.
    pub picture: Option<PictureId>,
    /// Price of one unit.
    pub price: Money,
    /// Most units per buyer.
    pub per_buyer: u32,
    /// Place in the run of show, from 0.
    pub position: u32,
    /// Units the show may sell.
    pub total: u32,
    /// Promised to orders.
    pub claimed: u32,
    /// Of these, paid.
    pub paid: u32,
    /// Grows with every change of the fields above.
    pub version: u64,
}

/// A listing to be made, at the end of the run of show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewListingRow {
    /// Id.
    pub id: ListingId,
    /// In which show.
    pub show: ShowId,
    /// Which sku of the show's seller.
    pub sku: SkuId,
    /// In the show's currency; `None`: the sku's price.
    pub price: Option<Money>,
    /// Units to allocate.
    pub total: u32,
    /// Most units per buyer, from 1 to 100.
    pub per_buyer: u32,
}

/// Changes a listing: `None` stays. All of it or nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ListingChange {
    /// Price of future reservations.
    pub price: Option<Money>,
    /// Units allocated.
    pub total: Option<u32>,
    /// Most units per buyer, from 1 to 100.
    pub per_buyer: Option<u32>,
}

impl ProductRow {
    /// As REST shows it.
    #[must_use]
    pub fn view(self) -> Product {
        Product {
            id: self.id,
            title: self.title,
            description: self.description,
            picture_url: self.picture.map(picture_path),
            skus: self.skus.into_iter().map(SkuRow::view).collect(),
            created_at_ms: self.created_at,
        }
    }
}

impl SkuRow {
    /// As REST shows it.
    #[must_use]
    pub fn view(self) -> Sku {
        Sku {
            id: self.id,
            code: self.code,
            variant: self.variant,
            price: self.price,
            inventory: self.inventory,
            allocated: self.allocated,
        }
    }
}

impl ShowRow {
    /// As everybody sees it, once somebody who knows the addresses of its video adds them.
    #[must_use]
    pub fn view(self, whep_url: String, whip_url: String) -> Show {
        Show {
            id: self.id,
            seller: self.seller,
            seller_name: self.seller_name,
            title: self.title,
            state: self.state,
            currency: self.currency,
            starts_at_ms: self.starts_at,
            live_at_ms: self.live_at,
            ended_at_ms: self.ended_at,
            poster_url: self.poster.map(picture_path),
            reservation_ttl_s: self.reservation_ttl_s,
            order_deadline_s: self.order_deadline_s,
            whep_url,
            whip_url,
        }
    }
}

impl ListingRow {
    /// As everybody sees it, with the hot store's stock.
    #[must_use]
    pub fn view(&self, stock: Stock) -> Listing {
        Listing {
            id: self.id,
            product: self.product,
            sku: self.sku,
            title: self.title.clone(),
            variant: self.variant.clone(),
            description: self.description.clone(),
            picture_url: self.picture.map(picture_path),
            price: self.price,
            per_buyer: self.per_buyer,
            position: self.position,
            stock,
        }
    }

    /// The stock if nothing is reserved: for shows that are not loaded.
    #[must_use]
    pub fn stock_unreserved(&self) -> Stock {
        Stock {
            total: self.total,
            reserved: 0,
            claimed: self.claimed,
            paid: self.paid,
            available: self.total.saturating_sub(self.claimed),
            waiting: 0,
        }
    }

    /// The ledger's word for the hot store.
    #[must_use]
    pub fn mirror(&self, buyer_units: Vec<BuyerUnits>, settled: Vec<Settled>) -> Mirror {
        Mirror {
            listing: self.id,
            total: self.total,
            claimed: self.claimed,
            paid: self.paid,
            per_buyer: self.per_buyer,
            unit_price: self.price,
            version: self.version,
            buyer_units,
            settled,
        }
    }
}

/// What an import came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Imported {
    /// Products that were made.
    pub products: usize,
    /// Variants that were added to new and known ones.
    pub added: usize,
    /// Variants whose price or inventory changed.
    pub updated: usize,
}

/// What sellers own and offer. Lists are stable: newest first, ties by id.
#[async_trait]
pub trait Catalogue: Send + Sync {
    /// Makes or renames a seller.
    async fn put_seller(&self, seller: SellerRow) -> Result<(), StoreError>;
    /// A seller.
    async fn seller(&self, seller: SellerId) -> Result<Option<SellerRow>, StoreError>;

    /// Takes over a whole file of products, all of it or nothing. Variants are known by their code:
    /// a known one gets price and inventory, its product is the one that it has; the others are
    /// added to it, or make the product. Refused `inventory_short` below what shows were given,
    /// `invalid` for too many variants of one product.
    async fn import(
        &self,
        seller: SellerId,
        products: Vec<(ProductRow, Vec<NewSkuRow>)>,
    ) -> Result<Imported, StoreError>;

    /// Makes a product (its `skus` field is ignored) with its variants. Refused: `invalid` (a code
    /// is taken, a picture is not this seller's, no variant or more than 100), `key_reused`.
    async fn create_product(
        &self,
        once: Once,
        product: ProductRow,
        skus: Vec<NewSkuRow>,
    ) -> Result<ProductRow, StoreError>;
    /// One product of a seller.
    async fn product(
        &self,
        seller: SellerId,
        product: ProductId,
    ) -> Result<Option<ProductRow>, StoreError>;
    /// A seller's products.
    async fn products(
        &self,
        seller: SellerId,
        page: PageRequest,
    ) -> Result<Page<ProductRow>, StoreError>;
    /// Changes a product. Listings of shows that have not ended take its new words with a newer
    /// version: publish them ([`Catalogue::listings_of_product`]). Refused: `product_unknown`,
    /// `invalid` (picture).
    async fn change_product(
        &self,
        seller: SellerId,
        product: ProductId,
        change: ProductChange,
    ) -> Result<ProductRow, StoreError>;
    /// Adds a variant. Refused: `product_unknown`, `invalid` (the code is taken, over 100).
    async fn add_sku(
        &self,
        seller: SellerId,
        product: ProductId,
        sku: NewSkuRow,
    ) -> Result<ProductRow, StoreError>;
    /// Sets the price that future listings start from and the units the seller owns. Refused:
    /// `product_unknown`, `inventory_short` (below what is allocated to shows).
    async fn set_sku(
        &self,
        seller: SellerId,
        sku: SkuId,
        price: Money,
        inventory: u32,
    ) -> Result<SkuRow, StoreError>;
    /// The variant with this article code.
    async fn sku_by_code(&self, seller: SellerId, code: &str)
    -> Result<Option<SkuRow>, StoreError>;

    /// Records a picture whose bytes are stored already. Repeating it is harmless.
    async fn put_picture(&self, picture: PictureRow) -> Result<(), StoreError>;
    /// A picture's facts.
    async fn picture(&self, picture: PictureId) -> Result<Option<PictureRow>, StoreError>;

    /// Makes a show (its `seller_name` is ignored). Refused: `invalid` (no such seller, poster),
    /// `key_reused`.
    async fn create_show(&self, once: Once, show: ShowRow) -> Result<ShowRow, StoreError>;
    /// One show.
    async fn show(&self, show: ShowId) -> Result<Option<ShowRow>, StoreError>;
    /// Shows of one seller, or of all.
    async fn shows(
        &self,
        seller: Option<SellerId>,
        page: PageRequest,
    ) -> Result<Page<ShowRow>, StoreError>;
    /// Changes a show. Refused: `show_unknown`, `invalid` (poster).
    async fn change_show(&self, show: ShowId, change: ShowChange) -> Result<ShowRow, StoreError>;
    /// Moves a show along its life cycle by core's rules ([`vetrina_core::show::next`]). Gives the
    /// show and whether its state is another one now. Refused: `show_unknown`, `show_state`.
    async fn move_show(
        &self,
        show: ShowId,
        transition: ShowTransition,
        now: UnixMs,
    ) -> Result<(ShowRow, bool), StoreError>;
    /// Shows whose hot state must be kept going (reservations expire, queues move) after a start:
    /// live, interrupted, and those that ended and have not given back their unsold units.
    async fn shows_to_open(&self) -> Result<Vec<ShowId>, StoreError>;

    /// Shows on air whose publisher's video was there by the last word about it
    /// ([`ShowTransition::VideoBack`]). A crash leaves them behind: whether the video still comes,
    /// its node knows.
    async fn shows_with_video(&self) -> Result<Vec<ShowId>, StoreError>;
    /// Once an ended show has no open reservation left: its unsold units return to the inventory,
    /// the sold ones leave it. Later cancellations of its orders return theirs by themselves.
    /// Repeating it is harmless; before the end it is refused `show_state`.
    async fn release_unsold(&self, show: ShowId) -> Result<Vec<ListingRow>, StoreError>;

    /// Offers a sku in a show. Refused: `show_unknown`, `product_unknown`, `show_state` (ended),
    /// `currency`, `inventory_short`, `invalid` (offered already, price, limit), `key_reused`.
    async fn create_listing(
        &self,
        once: Once,
        listing: NewListingRow,
    ) -> Result<ListingRow, StoreError>;
    /// One listing.
    async fn listing(&self, listing: ListingId) -> Result<Option<ListingRow>, StoreError>;
    /// A show's listings in the run of show's order.
    async fn listings(&self, show: ShowId) -> Result<Vec<ListingRow>, StoreError>;
    /// Listings of a product in shows that have not ended.
    async fn listings_of_product(&self, product: ProductId) -> Result<Vec<ListingRow>, StoreError>;
    /// Changes a listing. Refused: `listing_unknown`, `show_state` (ended), `currency`, `invalid`,
    /// `below_committed` (total below claimed; of reservations only the hot store knows: send it
    /// `FenceTotal` first), `inventory_short`.
    async fn change_listing(
        &self,
        show: ShowId,
        listing: ListingId,
        change: ListingChange,
    ) -> Result<ListingRow, StoreError>;
    /// Puts these listings first, in this order; the others keep theirs after them. Gives all of
    /// them. Refused: `listing_unknown`, `invalid` (named twice).
    async fn order_listings(
        &self,
        show: ShowId,
        first: Vec<ListingId>,
    ) -> Result<Vec<ListingRow>, StoreError>;
}
