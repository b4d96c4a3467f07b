//! Putting a listing on screen, stamped with the frame that it belongs to.

use vetrina_core::pin;
use vetrina_core::refused::Refused;
use vetrina_protocol::event::Event;
use vetrina_protocol::id::{ListingId, ShowId};
use vetrina_protocol::server::Done;
use vetrina_protocol::time::MediaTime;

use super::Shop;

impl Shop {
    pub(super) async fn pin(
        &self,
        show: ShowId,
        listing: ListingId,
        media_time: Option<MediaTime>,
    ) -> Result<Done, Refused> {
        // Read before anything waits: this is the frame that the host has just seen.
        let newest = self.inner.parts.media.newest_frame(show);
        let stage = self.stage(show).await?;
        let exists = stage.fold.listing(listing).is_some();
        let now = self.clock().now();
        let pin = pin::decide(now, stage.state(), listing, exists, media_time, newest)?;
        self.append_durable(show, Event::Pinned { pin }).await
    }

    pub(super) async fn unpin(&self, show: ShowId) -> Result<Done, Refused> {
        let newest = self.inner.parts.media.newest_frame(show);
        let stage = self.stage(show).await?;
        let media_time = pin::decide_unpin(stage.state(), newest)?;
        if stage.fold.pin().is_none() {
            return Ok(Done::default());
        }
        self.append_durable(show, Event::Unpinned { media_time })
            .await
    }
}
