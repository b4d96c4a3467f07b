//! What must happen although nobody asks: shows go on after a start, those whose video is gone are
//! interrupted, the unsold units of ended shows return, and mirrors that were not taken are brought
//! again. Deadlines of orders are the payment worker's.

use std::collections::HashSet;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use vetrina_protocol::id::ShowId;
use vetrina_protocol::view::ShowState;

use super::Shop;
use super::limits::UPKEEP_EVERY;
use crate::ops::metrics::Part;
use crate::origins::Holder;
use vetrina_store::StoreError;

impl Shop {
    /// Keeps the house until `shutdown`. A failure is logged and tried again at the next turn.
    pub async fn keep_house(&self, shutdown: CancellationToken) {
        let mut turn = tokio::time::interval(UPKEEP_EVERY);
        turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut missed = HashSet::new();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = turn.tick() => {}
            }
            let kept = async {
                self.mirror_late_ones().await?;
                self.keep_shows().await?;
                self.miss_video(&mut missed).await
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

    /// A show whose video came to a node that is no more is interrupted. Among several nodes only
    /// when it is missed twice: a lease may be late, or lost with the hot store.
    async fn miss_video(&self, missed: &mut HashSet<ShowId>) -> Result<(), StoreError> {
        let before = std::mem::take(missed);
        for show in self.ledger().shows_with_video().await? {
            if self.inner.parts.origins.holder(show).await? != Holder::None {
                continue;
            }
            if self.shared().is_some() && !before.contains(&show) {
                missed.insert(show);
                continue;
            }
            if let Err(refused) = self.video_changed(show, false).await {
                let code = refused.code.as_str();
                tracing::warn!(%show, code, "a show without its video was not interrupted");
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
