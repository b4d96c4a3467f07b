//! A show's life: opened, interrupted and back with its video, ended; and its words and times.

use vetrina_core::hot::HotCommand;
use vetrina_core::refused::Refused;
use vetrina_core::show::ShowTransition;
use vetrina_protocol::event::Event;
use vetrina_protocol::id::ShowId;
use vetrina_protocol::server::Done;
use vetrina_protocol::view::{Show, ShowState};

use super::Shop;
use vetrina_store::ledger::ShowChange;

impl Shop {
    pub(super) async fn start_show(&self, show: ShowId) -> Result<Done, Refused> {
        self.move_show(show, ShowTransition::GoLive).await
    }

    pub(super) async fn end_show(&self, show: ShowId) -> Result<Done, Refused> {
        let done = self.move_show(show, ShowTransition::End).await?;
        self.apply(show, HotCommand::CloseSelling).await?;
        self.inner.parts.media.end(show);
        Ok(done)
    }

    /// A publisher's video is there (which opens a scheduled show), or is missing.
    ///
    /// # Errors
    /// `show_unknown`; `show_state` when the show has ended; `try_again` when a store does not
    /// answer.
    pub async fn video_changed(&self, show: ShowId, present: bool) -> Result<(), Refused> {
        let transition = if present {
            ShowTransition::VideoBack
        } else {
            ShowTransition::VideoLost
        };
        self.move_show(show, transition).await.map(|_| ())
    }

    /// Changes a show's words and times. They are not part of the log: who joins later sees them.
    ///
    /// # Errors
    /// As [`vetrina_store::ledger::Catalogue::change_show`].
    pub async fn change_show(&self, show: ShowId, change: ShowChange) -> Result<Show, Refused> {
        let ttl_s = change.reservation_ttl_s;
        let changed = self.ledger().change_show(show, change).await;
        changed.map_err(|error| self.refusal(error))?;
        if let Some(ttl_s) = ttl_s {
            let command = HotCommand::SetTimes {
                reservation_ttl_ms: i64::from(ttl_s) * 1_000,
            };
            self.apply(show, command).await?;
        }
        self.show_view(show).await
    }

    async fn move_show(&self, show: ShowId, transition: ShowTransition) -> Result<Done, Refused> {
        // The stage is kept, so that two moves reach the log as they reached the ledger.
        let stage = self.stage(show).await?;
        let moved = self
            .ledger()
            .move_show(show, transition, self.clock().now())
            .await;
        let (row, _) = moved.map_err(|error| self.refusal(error))?;
        // Compared with the log and not with the ledger: a crash between them is made up for.
        if stage.state() == row.state {
            return Ok(Done::default());
        }
        let state: ShowState = row.state;
        let offset = self.append(show, Event::ShowStateChanged { state }).await?;
        tracing::info!(%show, ?state, "the show moved on");
        Ok(Done {
            offset: Some(offset),
            ..Done::default()
        })
    }
}
