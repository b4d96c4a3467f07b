//! [`Catalogue`] over the files beside this one: what is locked, which statements.

use async_trait::async_trait;
use vetrina_core::show::ShowTransition;
use vetrina_protocol::id::{ListingId, PictureId, ProductId, SellerId, ShowId, SkuId};
use vetrina_protocol::money::Money;
use vetrina_protocol::rest::Page;
use vetrina_protocol::time::UnixMs;

use super::locks::Locks;
use super::pages::Window;
use super::{Dialect, SqlLedger, import, listings, products, shows};
use crate::StoreError;
use crate::ledger::{
    Catalogue, Imported, ListingChange, ListingRow, NewListingRow, NewSkuRow, Once, PageRequest,
    PictureRow, ProductChange, ProductRow, SellerRow, ShowChange, ShowRow, SkuRow,
};

#[async_trait]
impl<D: Dialect> Catalogue for SqlLedger<D> {
    async fn put_seller(&self, seller: SellerRow) -> Result<(), StoreError> {
        self.write(Locks::seller(seller.id), seller, |db, seller| {
            Box::pin(products::put_seller(db, seller))
        })
        .await
    }

    async fn seller(&self, seller: SellerId) -> Result<Option<SellerRow>, StoreError> {
        self.read(seller, |db, seller| Box::pin(products::seller(db, *seller)))
            .await
    }

    async fn create_product(
        &self,
        once: Once,
        product: ProductRow,
        skus: Vec<NewSkuRow>,
    ) -> Result<ProductRow, StoreError> {
        let locks = Locks::seller(once.seller).and(&Locks::seller(product.seller));
        self.write(locks, (once, product, skus), |db, (once, product, skus)| {
            Box::pin(products::create_product(db, once, product, skus))
        })
        .await
    }

    async fn product(
        &self,
        seller: SellerId,
        product: ProductId,
    ) -> Result<Option<ProductRow>, StoreError> {
        self.read((seller, product), |db, (seller, product)| {
            Box::pin(products::product(db, *seller, *product))
        })
        .await
    }

    async fn products(
        &self,
        seller: SellerId,
        page: PageRequest,
    ) -> Result<Page<ProductRow>, StoreError> {
        let window = Window::of(&page)?;
        let rows = self
            .read((seller, window), |db, (seller, window)| {
                Box::pin(products::products(db, *seller, window))
            })
            .await?;
        Ok(window.page(rows, |row| (row.created_at, row.id.0)))
    }

    async fn change_product(
        &self,
        seller: SellerId,
        product: ProductId,
        change: ProductChange,
    ) -> Result<ProductRow, StoreError> {
        let input = (seller, product, change);
        self.write(
            Locks::seller(seller),
            input,
            |db, (seller, product, change)| {
                Box::pin(products::change_product(db, *seller, *product, change))
            },
        )
        .await
    }

    async fn import(
        &self,
        seller: SellerId,
        products: Vec<(ProductRow, Vec<NewSkuRow>)>,
    ) -> Result<Imported, StoreError> {
        let input = (seller, products);
        self.write(Locks::seller(seller), input, |db, (seller, products)| {
            Box::pin(import::import(db, *seller, products))
        })
        .await
    }

    async fn add_sku(
        &self,
        seller: SellerId,
        product: ProductId,
        sku: NewSkuRow,
    ) -> Result<ProductRow, StoreError> {
        let input = (seller, product, sku);
        self.write(
            Locks::seller(seller),
            input,
            |db, (seller, product, sku)| Box::pin(products::add_sku(db, *seller, *product, sku)),
        )
        .await
    }

    async fn set_sku(
        &self,
        seller: SellerId,
        sku: SkuId,
        price: Money,
        inventory: u32,
    ) -> Result<SkuRow, StoreError> {
        let input = (seller, sku, price, inventory);
        self.write(Locks::seller(seller), input, |db, input| {
            let (seller, sku, price, inventory) = *input;
            Box::pin(products::set_sku(db, seller, sku, price, inventory))
        })
        .await
    }

    async fn sku_by_code(
        &self,
        seller: SellerId,
        code: &str,
    ) -> Result<Option<SkuRow>, StoreError> {
        self.read((seller, code.to_owned()), |db, (seller, code)| {
            Box::pin(products::sku_by_code(db, *seller, code))
        })
        .await
    }

    async fn put_picture(&self, picture: PictureRow) -> Result<(), StoreError> {
        self.write(Locks::seller(picture.seller), picture, |db, picture| {
            Box::pin(products::put_picture(db, picture))
        })
        .await
    }

    async fn picture(&self, picture: PictureId) -> Result<Option<PictureRow>, StoreError> {
        self.read(picture, |db, picture| {
            Box::pin(products::picture(db, *picture))
        })
        .await
    }

    async fn create_show(&self, once: Once, show: ShowRow) -> Result<ShowRow, StoreError> {
        let locks = Locks::seller(once.seller).and(&Locks::seller(show.seller));
        self.write(locks, (once, show), |db, (once, show)| {
            Box::pin(shows::create(db, once, show))
        })
        .await
    }

    async fn show(&self, show: ShowId) -> Result<Option<ShowRow>, StoreError> {
        self.read(show, |db, show| Box::pin(shows::show(db, *show)))
            .await
    }

    async fn shows(
        &self,
        seller: Option<SellerId>,
        page: PageRequest,
    ) -> Result<Page<ShowRow>, StoreError> {
        let window = Window::of(&page)?;
        let rows = self
            .read((seller, window), |db, (seller, window)| {
                Box::pin(shows::shows(db, *seller, window))
            })
            .await?;
        Ok(window.page(rows, |row| (row.created_at, row.id.0)))
    }

    async fn change_show(&self, show: ShowId, change: ShowChange) -> Result<ShowRow, StoreError> {
        self.write(Locks::show(show), (show, change), |db, (show, change)| {
            Box::pin(shows::change(db, *show, change))
        })
        .await
    }

    async fn move_show(
        &self,
        show: ShowId,
        transition: ShowTransition,
        now: UnixMs,
    ) -> Result<(ShowRow, bool), StoreError> {
        self.write(Locks::show(show), (show, transition, now), |db, input| {
            let (show, transition, now) = *input;
            Box::pin(shows::go(db, show, transition, now))
        })
        .await
    }

    async fn shows_to_open(&self) -> Result<Vec<ShowId>, StoreError> {
        self.read((), |db, ()| Box::pin(shows::to_open(db))).await
    }

    async fn shows_with_video(&self) -> Result<Vec<ShowId>, StoreError> {
        self.read((), |db, ()| Box::pin(shows::with_video(db)))
            .await
    }

    async fn release_unsold(&self, show: ShowId) -> Result<Vec<ListingRow>, StoreError> {
        self.write(Locks::show(show), show, |db, show| {
            Box::pin(shows::release_unsold(db, *show))
        })
        .await
    }

    async fn create_listing(
        &self,
        once: Once,
        listing: NewListingRow,
    ) -> Result<ListingRow, StoreError> {
        let locks = Locks::show(listing.show).and(&Locks::seller(once.seller));
        self.write(locks, (once, listing), |db, (once, listing)| {
            Box::pin(listings::create(db, once, listing))
        })
        .await
    }

    async fn listing(&self, listing: ListingId) -> Result<Option<ListingRow>, StoreError> {
        self.read(listing, |db, listing| {
            Box::pin(listings::listing(db, *listing))
        })
        .await
    }

    async fn listings(&self, show: ShowId) -> Result<Vec<ListingRow>, StoreError> {
        self.read(show, |db, show| Box::pin(listings::of_show(db, *show)))
            .await
    }

    async fn listings_of_product(&self, product: ProductId) -> Result<Vec<ListingRow>, StoreError> {
        self.read(product, |db, product| {
            Box::pin(listings::of_product(db, *product))
        })
        .await
    }

    async fn change_listing(
        &self,
        show: ShowId,
        listing: ListingId,
        change: ListingChange,
    ) -> Result<ListingRow, StoreError> {
        self.write(Locks::show(show), (show, listing, change), |db, input| {
            let (show, listing, change) = *input;
            Box::pin(listings::change(db, show, listing, change))
        })
        .await
    }

    async fn order_listings(
        &self,
        show: ShowId,
        first: Vec<ListingId>,
    ) -> Result<Vec<ListingRow>, StoreError> {
        self.write(Locks::show(show), (show, first), |db, (show, first)| {
            Box::pin(listings::reorder(db, *show, first))
        })
        .await
    }
}
