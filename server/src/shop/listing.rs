//! What is on sale in a show: price, stock, limit, order, new listings, and new words of a product.

use vetrina_core::hot::HotCommand;
use vetrina_core::refused::Refused;
use vetrina_core::stock::can_set_total;
use vetrina_protocol::event::Event;
use vetrina_protocol::id::{ListingId, ProductId, SellerId, ShowId};
use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::server::Done;
use vetrina_protocol::view::Listing;

use super::Shop;
use super::limits::TOTAL_FENCE_MS;
use crate::ops::metrics::Part;
use vetrina_store::ledger::{
    ListingChange, ListingRow, NewListingRow, Once, ProductChange, ProductRow,
};

impl Shop {
    pub(super) async fn change_listing(
        &self,
        show: ShowId,
        listing: ListingId,
        change: ListingChange,
    ) -> Result<Done, Refused> {
        let stage = self.stage(show).await?;
        let Some(now) = stage.fold.listing(listing) else {
            return Err(Refused::new(
                RefusalCode::ListingUnknown,
                "listing: not part of this show; add it to the run of show first",
            ));
        };
        if let Some(total) = change.total.filter(|total| *total < now.stock.total) {
            can_set_total(&now.stock, total)?;
            // The ledger knows claims, only the hot store knows reservations: nothing beyond the
            // lower total is granted while it is being written.
            let fence = HotCommand::FenceTotal {
                listing,
                total,
                fence_ms: TOTAL_FENCE_MS,
            };
            self.apply(show, fence).await?;
        }
        let changed = self.ledger().change_listing(show, listing, change).await;
        let row = changed.map_err(|error| self.refusal(error))?;
        self.published(show, &row).await
    }

    pub(super) async fn order_listings(
        &self,
        show: ShowId,
        first: Vec<ListingId>,
    ) -> Result<Done, Refused> {
        // The stage is kept, so that two orders reach the log as they reached the ledger.
        let _stage = self.stage(show).await?;
        let ordered = self.ledger().order_listings(show, first).await;
        let rows = ordered.map_err(|error| self.refusal(error))?;
        let listings = rows.iter().map(|row| row.id).collect();
        self.append_durable(show, Event::ListingsOrdered { listings })
            .await
    }

    /// Offers a sku in a show, and tells everybody.
    ///
    /// # Errors
    /// As [`vetrina_store::ledger::Catalogue::create_listing`].
    pub async fn create_listing(
        &self,
        once: Once,
        listing: NewListingRow,
    ) -> Result<Listing, Refused> {
        let show = listing.show;
        let created = self.ledger().create_listing(once, listing).await;
        let row = created.map_err(|error| self.refusal(error))?;
        self.published(show, &row).await?;
        self.listing_view(&row).await
    }

    /// Changes a product, and tells the viewers of every show that sells it.
    ///
    /// # Errors
    /// As [`vetrina_store::ledger::Catalogue::change_product`].
    pub async fn change_product(
        &self,
        seller: SellerId,
        product: ProductId,
        change: ProductChange,
    ) -> Result<ProductRow, Refused> {
        let changed = self.ledger().change_product(seller, product, change).await;
        let changed = changed.map_err(|error| self.refusal(error))?;
        let listings = self.ledger().listings_of_product(product).await;
        for row in listings.map_err(|error| self.refusal(error))? {
            self.published(row.show, &row).await?;
        }
        Ok(changed)
    }

    /// A show's listings as everybody sees them, in the run of show's order.
    ///
    /// # Errors
    /// `show_unknown`; `try_again` when a store does not answer.
    pub async fn listings(&self, show: ShowId) -> Result<Vec<Listing>, Refused> {
        Ok(self.stage(show).await?.fold.listings().cloned().collect())
    }

    /// One listing as everybody sees it.
    ///
    /// # Errors
    /// `listing_unknown`, `show_unknown`; `try_again` when a store does not answer.
    pub async fn listing(&self, show: ShowId, listing: ListingId) -> Result<Listing, Refused> {
        let stage = self.stage(show).await?;
        stage.fold.listing(listing).cloned().ok_or_else(|| {
            Refused::new(RefusalCode::ListingUnknown, "no such listing in this show")
        })
    }

    async fn listing_view(&self, row: &ListingRow) -> Result<Listing, Refused> {
        let stage = self.stage(row.show).await?;
        let seen = stage.fold.listing(row.id).cloned();
        Ok(seen.unwrap_or_else(|| row.view(row.stock_unreserved())))
    }

    /// Tells the hot store, and so everybody, what the ledger has written.
    pub(super) async fn published(&self, show: ShowId, row: &ListingRow) -> Result<Done, Refused> {
        match self.hot().publish(show, row).await {
            Ok(applied) => Ok(Done {
                offset: Some(applied.position.offset),
                ..Done::default()
            }),
            Err(error) => {
                // It is in the ledger, and the next load or mirror tells it.
                self.metrics().error(Part::Store);
                tracing::warn!(%error, %show, listing = %row.id, "a changed listing was not told");
                Err(error.refusal())
            }
        }
    }
}
