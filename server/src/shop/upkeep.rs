//! What must happen although nobody asks: shows go on after a start, the unsold units of ended shows
//! return, and mirrors that were not taken are brought again. Deadlines of orders are the payment
//! worker's.

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use vetrina_protocol::id::ShowId;
use vetrina_protocol::view::ShowState;

use super::Shop;
use super::limits::UPKEEP_EVERY;
use crate::ops::metrics::Part;
use vetrina_store::StoreError;

impl Shop {
    /// Keeps the house until `shutdown`. A failure is logged and tried again at the next turn.
    pub async fn keep_house(&self, shutdown: CancellationToken) {
        let mut turn = tokio::time::interval(UPKEEP_EVERY);
        turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = turn.tick() => {}
            }
            let kept = async {
                self.mirror_late_ones().await?;
                self.keep_shows().await
            };
            if let Err(error) = kept.await {
                self.metrics().error(Part::Shop);
                tracing::warn!(%error, "the shop's upkeep has to wait");
            }
        }
    }

    /// Opens what must be kept going, and settles what has ended.
    async fn keep_shows(&self) -> Result<(), StoreError> {
        for show in self.ledger().shows_to_open().await? {
            self.hot().open(show).await?;
            let Some(row) = self.ledger().show(show).await? else {
                continue;
            };
            if row.state == ShowState::Ended {
                self.settle_ended(show).await?;
            }
        }
        Ok(())
    }

    /// Once nothing is reserved any more, the unsold units go back to the seller's inventory.
    async fn settle_ended(&self, show: ShowId) -> Result<(), StoreError> {
        if !self.hot().desk(show).await?.reservations.is_empty() {
            return Ok(());
        }
        for row in self.ledger().release_unsold(show).await? {
            self.hot().publish(show, &row).await?;
        }
        tracing::info!(%show, "the ended show gave its unsold units back");
        Ok(())
    }
}
