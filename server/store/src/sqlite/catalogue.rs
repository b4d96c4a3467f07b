//! [`Catalogue`] over the files beside this one: which connection, which transaction.

use async_trait::async_trait;
use vetrina_core::show::ShowTransition;
use vetrina_protocol::id::{ListingId, PictureId, ProductId, SellerId, ShowId, SkuId};
use vetrina_protocol::money::Money;
use vetrina_protocol::rest::Page;
use vetrina_protocol::time::UnixMs;

use super::pages::Window;
use super::{SqliteLedger, listings, products, shows, unavailable};
use crate::StoreError;
use crate::ledger::{
    Catalogue, ListingChange, ListingRow, NewListingRow, NewSkuRow, Once, PageRequest, PictureRow,
    ProductChange, ProductRow, SellerRow, ShowChange, ShowRow, SkuRow,
};

#[async_trait]
impl Catalogue for SqliteLedger {
    async fn put_seller(&self, seller: SellerRow) -> Result<(), StoreError> {
        self.writer
            .write(move |db| Box::pin(async move { products::put_seller(db, &seller).await }))
            .await
    }

    async fn seller(&self, seller: SellerId) -> Result<Option<SellerRow>, StoreError> {
        let mut db = self.reader().await?;
        products::seller(&mut db, seller)
            .await
            .map_err(|error| unavailable(&error))
    }

    async fn create_product(
        &self,
        once: Once,
        product: ProductRow,
        skus: Vec<NewSkuRow>,
    ) -> Result<ProductRow, StoreError> {
        self.writer
            .write(move |db| {
                Box::pin(async move { products::create_product(db, &once, &product, &skus).await })
            })
            .await
    }

    async fn product(
        &self,
        seller: SellerId,
        product: ProductId,
    ) -> Result<Option<ProductRow>, StoreError> {
        let mut db = self.reader().await?;
        products::product(&mut db, seller, product)
            .await
            .map_err(|error| unavailable(&error))
    }

    async fn products(
        &self,
        seller: SellerId,
        page: PageRequest,
    ) -> Result<Page<ProductRow>, StoreError> {
        let window = Window::of(&page)?;
        let mut db = self.reader().await?;
        let rows = products::products(&mut db, seller, &window).await;
        let rows = rows.map_err(|error| unavailable(&error))?;
        Ok(window.page(rows, |row| (row.created_at, row.id.to_string())))
    }

    async fn change_product(
        &self,
        seller: SellerId,
        product: ProductId,
        change: ProductChange,
    ) -> Result<ProductRow, StoreError> {
        self.writer
            .write(move |db| {
                Box::pin(
                    async move { products::change_product(db, seller, product, &change).await },
                )
            })
            .await
    }

    async fn add_sku(
        &self,
        seller: SellerId,
        product: ProductId,
        sku: NewSkuRow,
    ) -> Result<ProductRow, StoreError> {
        self.writer
            .write(move |db| {
                Box::pin(async move { products::add_sku(db, seller, product, &sku).await })
            })
            .await
    }

    async fn set_sku(
        &self,
        seller: SellerId,
        sku: SkuId,
        price: Money,
        inventory: u32,
    ) -> Result<SkuRow, StoreError> {
        self.writer
            .write(move |db| {
                Box::pin(async move { products::set_sku(db, seller, sku, price, inventory).await })
            })
            .await
    }

    async fn sku_by_code(
        &self,
        seller: SellerId,
        code: &str,
    ) -> Result<Option<SkuRow>, StoreError> {
        let mut db = self.reader().await?;
        products::sku_by_code(&mut db, seller, code)
            .await
            .map_err(|error| unavailable(&error))
    }

    async fn put_picture(&self, picture: PictureRow) -> Result<(), StoreError> {
        self.writer
            .write(move |db| Box::pin(async move { products::put_picture(db, &picture).await }))
            .await
    }

    async fn picture(&self, picture: PictureId) -> Result<Option<PictureRow>, StoreError> {
        let mut db = self.reader().await?;
        products::picture(&mut db, picture)
            .await
            .map_err(|error| unavailable(&error))
    }

    async fn create_show(&self, once: Once, show: ShowRow) -> Result<ShowRow, StoreError> {
        self.writer
            .write(move |db| Box::pin(async move { shows::create(db, &once, &show).await }))
            .await
    }

    async fn show(&self, show: ShowId) -> Result<Option<ShowRow>, StoreError> {
        let mut db = self.reader().await?;
        shows::show(&mut db, show)
            .await
            .map_err(|error| unavailable(&error))
    }

    async fn shows(
        &self,
        seller: Option<SellerId>,
        page: PageRequest,
    ) -> Result<Page<ShowRow>, StoreError> {
        let window = Window::of(&page)?;
        let mut db = self.reader().await?;
        let rows = shows::shows(&mut db, seller, &window).await;
        let rows = rows.map_err(|error| unavailable(&error))?;
        Ok(window.page(rows, |row| (row.created_at, row.id.to_string())))
    }

    async fn change_show(&self, show: ShowId, change: ShowChange) -> Result<ShowRow, StoreError> {
        self.writer
            .write(move |db| Box::pin(async move { shows::change(db, show, &change).await }))
            .await
    }

    async fn move_show(
        &self,
        show: ShowId,
        transition: ShowTransition,
        now: UnixMs,
    ) -> Result<(ShowRow, bool), StoreError> {
        self.writer
            .write(move |db| Box::pin(async move { shows::go(db, show, transition, now).await }))
            .await
    }

    async fn shows_to_open(&self) -> Result<Vec<ShowId>, StoreError> {
        let mut db = self.reader().await?;
        shows::to_open(&mut db)
            .await
            .map_err(|error| unavailable(&error))
    }

    async fn release_unsold(&self, show: ShowId) -> Result<Vec<ListingRow>, StoreError> {
        self.writer
            .write(move |db| Box::pin(async move { shows::release_unsold(db, show).await }))
            .await
    }

    async fn create_listing(
        &self,
        once: Once,
        listing: NewListingRow,
    ) -> Result<ListingRow, StoreError> {
        self.writer
            .write(move |db| Box::pin(async move { listings::create(db, &once, &listing).await }))
            .await
    }

    async fn listing(&self, listing: ListingId) -> Result<Option<ListingRow>, StoreError> {
        let mut db = self.reader().await?;
        listings::listing(&mut db, listing)
            .await
            .map_err(|error| unavailable(&error))
    }

    async fn listings(&self, show: ShowId) -> Result<Vec<ListingRow>, StoreError> {
        let mut db = self.reader().await?;
        listings::of_show(&mut db, show)
            .await
            .map_err(|error| unavailable(&error))
    }

    async fn listings_of_product(&self, product: ProductId) -> Result<Vec<ListingRow>, StoreError> {
        let mut db = self.reader().await?;
        listings::of_product(&mut db, product)
            .await
            .map_err(|error| unavailable(&error))
    }

    async fn change_listing(
        &self,
        show: ShowId,
        listing: ListingId,
        change: ListingChange,
    ) -> Result<ListingRow, StoreError> {
        self.writer
            .write(move |db| {
                Box::pin(async move { listings::change(db, show, listing, change).await })
            })
            .await
    }

    async fn order_listings(
        &self,
        show: ShowId,
        first: Vec<ListingId>,
    ) -> Result<Vec<ListingRow>, StoreError> {
        self.writer
            .write(move |db| Box::pin(async move { listings::reorder(db, show, &first).await }))
            .await
    }
}
