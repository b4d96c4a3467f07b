//! Deleting comments, muting people, slowing everybody down.

use vetrina_core::comment::check_slow_mode;
use vetrina_core::refused::Refused;
use vetrina_protocol::event::Event;
use vetrina_protocol::id::{CommentId, ShowId, UserId};
use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::server::Done;
use vetrina_protocol::time::Offset;

use super::Shop;

impl Shop {
    pub(super) async fn delete_comment(
        &self,
        show: ShowId,
        comment: CommentId,
    ) -> Result<Done, Refused> {
        let stage = self.stage(show).await?;
        if !stage.knows_comment(comment) {
            return Err(Refused::new(
                RefusalCode::CommentUnknown,
                "no such comment, or it is gone already",
            ));
        }
        self.append_durable(show, Event::CommentDeleted { comment })
            .await
    }

    pub(super) async fn mute_viewer(
        &self,
        show: ShowId,
        viewer: UserId,
        muted: bool,
    ) -> Result<Done, Refused> {
        let stage = self.stage(show).await?;
        if stage.fold.is_muted(viewer) == muted {
            return Ok(Done::default());
        }
        self.append_durable(show, Event::ViewerMuted { viewer, muted })
            .await
    }

    pub(super) async fn slow_mode(&self, show: ShowId, seconds: u32) -> Result<Done, Refused> {
        check_slow_mode(seconds)?;
        let stage = self.stage(show).await?;
        if stage.fold.slow_mode_s() == seconds {
            return Ok(Done::default());
        }
        self.append_durable(show, Event::SlowModeChanged { seconds })
            .await
    }

    /// Appends one event to the show's log.
    pub(super) async fn append(&self, show: ShowId, event: Event) -> Result<Offset, Refused> {
        let appended = self.hot().append(show, vec![event]).await;
        Ok(appended
            .map_err(|error| self.refusal(error))?
            .position
            .offset)
    }

    /// Appends one event and waits until it is on disk.
    pub(super) async fn append_durable(&self, show: ShowId, event: Event) -> Result<Done, Refused> {
        let offset = self.append(show, event).await?;
        self.hot()
            .durable(show, offset)
            .await
            .map_err(|error| self.refusal(error))?;
        Ok(Done {
            offset: Some(offset),
            ..Done::default()
        })
    }
}
