//! The task of a room: follows the log at the room's tick, brings private facts, counts viewers.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;
use vetrina_protocol::close::CloseCode;

use super::Room;
use crate::channel::limits::{
    AUDIENCE_EVERY, EVENTS_PER_READ, REFRESH_EVERY, REPORT_EVERY, ROOM_IDLE, ROOM_RETRY,
    TICK_MS_MAX, TICK_MS_MIN, VIEWERS_PER_TICK_MS,
};
use crate::ops::metrics::Part;
use crate::shop::Shop;
use vetrina_store::StoreError;
use vetrina_store::hot::{Entries, Notice, Position};

/// How a round of the task ended.
enum Round {
    Goes,
    Over,
}

/// Follows the log until the room is empty for a while, cannot go on, or is told to `end`; then
/// nobody can join it any more and all who are inside are told to come back.
pub(in crate::channel) async fn follow(
    room: Arc<Room>,
    shop: Shop,
    log_end: watch::Receiver<Position>,
    notices: broadcast::Receiver<Arc<Notice>>,
    end: CancellationToken,
) {
    let mut task = Follower {
        room,
        shop,
        empty_since: Some(Instant::now()),
        audience_round: 0,
        reported: None,
    };
    tokio::select! {
        () = task.run(log_end, notices) => {}
        () = end.cancelled() => {}
    }
    task.room.members.close(CloseCode::GoingAway);
    task.report(0).await;
}

struct Follower {
    room: Arc<Room>,
    shop: Shop,
    empty_since: Option<Instant>,
    audience_round: u32,
    reported: Option<u32>,
}

impl Follower {
    async fn run(
        &mut self,
        mut log_end: watch::Receiver<Position>,
        mut notices: broadcast::Receiver<Arc<Notice>>,
    ) {
        let mut audience = interval(AUDIENCE_EVERY);
        audience.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut next_tick = Instant::now();
        // Something may have been appended between the fold and the watch.
        let mut behind = true;
        loop {
            let round = tokio::select! {
                moved = log_end.changed(), if !behind => {
                    behind = true;
                    if moved.is_ok() { Round::Goes } else { Round::Over }
                }
                // At once when the room was idle, else when the tick has passed.
                () = sleep_until(next_tick), if behind => {
                    let (round, pause) = self.catch_up().await;
                    behind = pause.is_some();
                    next_tick = Instant::now() + pause.unwrap_or_else(|| self.tick());
                    round
                }
                notice = notices.recv() => self.bring(notice),
                _ = audience.tick() => self.count_audience().await,
            };
            if matches!(round, Round::Over) {
                return;
            }
        }
    }

    /// Grows with the room, so that one core can write to everybody within a tick.
    fn tick(&self) -> Duration {
        let viewers = self.room.members.sessions() as u64;
        Duration::from_millis((viewers / VIEWERS_PER_TICK_MS).clamp(TICK_MS_MIN, TICK_MS_MAX))
    }

    /// Publishes everything that the log has more than the room. With a pause when it must be tried
    /// again.
    async fn catch_up(&self) -> (Round, Option<Duration>) {
        loop {
            let position = {
                let log = self.room.log();
                Position {
                    epoch: log.epoch,
                    offset: log.ring.to(),
                }
            };
            let read = self
                .shop
                .hot()
                .read(self.room.facts.id, position, EVENTS_PER_READ)
                .await;
            match read {
                Ok(Entries::Next { epoch, .. }) if epoch != position.epoch => {
                    // A session's offsets are those of one epoch; the next Welcome names the new
                    // one, and goes on where this one ends.
                    let show = self.room.facts.id;
                    tracing::info!(%show, epoch = epoch.0, "the log goes on in another epoch");
                    return (Round::Over, None);
                }
                Ok(Entries::Next { events, .. }) => {
                    let news = self.room.publish(&events);
                    if news > 0 {
                        self.shop.metrics().room_ticked(news, self.tick());
                    }
                    if news == 0 || events.len() < EVENTS_PER_READ {
                        return (Round::Goes, None);
                    }
                }
                Ok(Entries::Reset(reason)) => {
                    let show = self.room.facts.id;
                    tracing::warn!(%show, ?reason, "the log was lost under its room; all rejoin");
                    return (Round::Over, None);
                }
                Err(error) => {
                    self.note(&error, "the log cannot be read; the room waits");
                    return (Round::Goes, Some(ROOM_RETRY));
                }
            }
        }
    }

    fn bring(&self, notice: Result<Arc<Notice>, broadcast::error::RecvError>) -> Round {
        match notice {
            Ok(notice) => {
                self.room.members.deliver(&notice);
                self.room.buyers.hear(&notice);
                Round::Goes
            }
            Err(error) => {
                // Who lost what is not known: everybody reads their own state anew.
                let show = self.room.facts.id;
                tracing::warn!(%show, %error, "private facts were lost on their way; all rejoin");
                Round::Over
            }
        }
    }

    async fn count_audience(&mut self) -> Round {
        if self.room.members.sessions() > 0 {
            self.empty_since = None;
        } else {
            let since = *self.empty_since.get_or_insert_with(Instant::now);
            if since.elapsed() >= ROOM_IDLE && self.room.members.close_if_empty() {
                return Round::Over;
            }
        }
        self.audience_round = self.audience_round.wrapping_add(1);
        let here = self.room.members.viewers();
        if self.reported != Some(here) || self.audience_round.is_multiple_of(REPORT_EVERY) {
            self.report(here).await;
        }
        match self.shop.hot().viewers(self.room.facts.id).await {
            Ok(viewers) => self.room.tell_audience(viewers),
            Err(error) => self.note(&error, "viewers cannot be counted"),
        }
        if self.audience_round.is_multiple_of(REFRESH_EVERY) && self.empty_since.is_none() {
            match self.shop.show_view(self.room.facts.id).await {
                Ok(show) => self.room.set_show(show),
                Err(refused) => tracing::warn!(%refused, "a show's words were not read again"),
            }
        }
        Round::Goes
    }

    async fn report(&mut self, viewers: u32) {
        match self
            .shop
            .hot()
            .report_viewers(self.room.facts.id, viewers)
            .await
        {
            Ok(()) => self.reported = Some(viewers),
            Err(error) => self.note(&error, "this node's viewers cannot be reported"),
        }
    }

    fn note(&self, error: &StoreError, what: &'static str) {
        self.shop.metrics().error(Part::Channel);
        tracing::warn!(show = %self.room.facts.id, %error, "{what}");
    }
}
