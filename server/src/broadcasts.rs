//! Broadcasts as the server sees them: who made which WHIP or WHEP session, and what a publisher's
//! coming and going means for its show. It refuses to know SDP and HTTP.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use vetrina_media::{BroadcastId, Media, Phase, SessionId};
use vetrina_protocol::id::{ShowId, UserId};
use vetrina_protocol::rest::BroadcastHealth;
use vetrina_protocol::time::MediaTime;

use crate::ops::metrics::{Metrics, Part};
use crate::origins::{Origins, RENEW_EVERY};
use crate::refused::Refused;
use crate::shop::{MediaClock, Shop};

/// Who made a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The person.
    pub user: UserId,
    /// Of which show's broadcast.
    pub show: ShowId,
}

/// Owners are swept when this many were added since the last sweep, so that sessions that ended by
/// themselves do not pile up: at most this many more than there are sessions.
const SWEEP_EVERY: usize = 1_024;

/// The engine as the shop needs it: pins are stamped with its newest frame.
#[derive(Debug, Clone)]
pub struct Frames(pub Media);

impl MediaClock for Frames {
    fn newest_frame(&self, show: ShowId) -> Option<MediaTime> {
        Some(MediaTime(self.0.newest_frame(BroadcastId(show.0))?.0))
    }

    fn end(&self, show: ShowId) {
        let media = self.0.clone();
        tokio::spawn(async move {
            if let Err(refused) = media.end(BroadcastId(show.0)).await {
                tracing::warn!(%show, %refused, "the ended show's broadcast goes on");
            }
        });
    }
}

/// All broadcasts of this node. Clones share it. The lock guards plain maps, for a look-up only.
#[derive(Clone)]
pub struct Broadcasts {
    inner: Arc<Inner>,
}

struct Inner {
    media: Media,
    shop: Shop,
    origins: Origins,
    metrics: Metrics,
    shutdown: CancellationToken,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    owners: HashMap<SessionId, Owner>,
    added: usize,
    followed: HashSet<ShowId>,
}

impl std::fmt::Debug for Broadcasts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Broadcasts")
    }
}

impl Broadcasts {
    /// None yet.
    #[must_use]
    pub fn new(
        media: Media,
        shop: Shop,
        origins: Origins,
        metrics: Metrics,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                media,
                shop,
                origins,
                metrics,
                shutdown,
                state: Mutex::default(),
            }),
        }
    }

    /// Remembers who made a session.
    pub fn opened(&self, session: SessionId, owner: Owner) {
        let mut state = self.lock();
        state.owners.insert(session, owner);
        state.added += 1;
        if state.added >= SWEEP_EVERY {
            state.added = 0;
            let media = &self.inner.media;
            state
                .owners
                .retain(|session, _| media.session(*session).is_some());
        }
    }

    /// Forgets a session.
    pub fn closed(&self, session: SessionId) {
        self.lock().owners.remove(&session);
    }

    /// Who made it.
    #[must_use]
    pub fn owner(&self, session: SessionId) -> Option<Owner> {
        self.lock().owners.get(&session).copied()
    }

    /// Lets the show follow its broadcast: live when media flows, interrupted when it does not.
    /// One task per show, until the broadcast ends.
    ///
    /// # Errors
    /// More broadcasts than the engine takes.
    pub fn follow(&self, show: ShowId) -> Result<(), Refused> {
        if !self.lock().followed.insert(show) {
            return Ok(());
        }
        let status = match self.inner.media.watch(BroadcastId(show.0)) {
            Ok(status) => status,
            Err(refused) => {
                self.lock().followed.remove(&show);
                return Err(Refused::for_now(
                    vetrina_protocol::refusal::RefusalCode::Overloaded,
                    refused.to_string(),
                    5_000,
                ));
            }
        };
        let this = self.clone();
        tokio::spawn(async move {
            let follow = this.follow_until_idle(show, status);
            tokio::select! {
                () = follow => {}
                () = this.inner.shutdown.cancelled() => {}
            }
            this.lock().followed.remove(&show);
            if let Err(error) = this.inner.origins.let_go(show).await {
                tracing::info!(%error, %show, "the lease of a show's video ends by itself");
            }
        });
        Ok(())
    }

    async fn follow_until_idle(
        &self,
        show: ShowId,
        mut status: tokio::sync::watch::Receiver<vetrina_media::BroadcastStatus>,
    ) {
        let mut told = None;
        let mut renew = tokio::time::interval(RENEW_EVERY);
        renew.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let phase = status.borrow_and_update().phase;
            let on_air = match phase {
                Phase::Live => Some(true),
                Phase::Interrupted => Some(false),
                Phase::Connecting => None,
                Phase::Idle => return,
            };
            if let Some(on_air) = on_air
                && told != Some(on_air)
            {
                if on_air && let Err(error) = self.inner.origins.seize(show).await {
                    tracing::warn!(%error, %show, "viewers of other nodes are not sent here yet");
                }
                told = Some(on_air);
                self.tell(show, on_air).await;
            }
            tokio::select! {
                changed = status.changed() => if changed.is_err() {
                    return;
                },
                _ = renew.tick(), if told.is_some() => if !self.still_ours(show).await {
                    return;
                },
            }
        }
    }

    /// Keeps the lease of a show's video. When the seller has gone on from another node, what is
    /// left of the broadcast here ends, so that its viewers look for the new one.
    async fn still_ours(&self, show: ShowId) -> bool {
        match self.inner.origins.renew(show).await {
            Ok(true) => true,
            Ok(false) => {
                tracing::info!(%show, "the show's video goes to another node now");
                if let Err(refused) = self.inner.media.end(BroadcastId(show.0)).await {
                    tracing::warn!(%show, %refused, "the old broadcast goes on");
                }
                false
            }
            Err(error) => {
                tracing::warn!(%error, %show, "the lease of a show's video was not renewed");
                true
            }
        }
    }

    async fn tell(&self, show: ShowId, on_air: bool) {
        if let Err(refused) = self.inner.shop.video_changed(show, on_air).await {
            self.inner.metrics.error(Part::Media);
            let code = refused.code.as_str();
            tracing::warn!(%show, on_air, code, "a show did not follow its video");
        }
    }

    /// How a show's broadcast goes.
    #[must_use]
    pub fn health(&self, show: ShowId) -> BroadcastHealth {
        let Some(stats) = self.inner.media.broadcast_stats(BroadcastId(show.0)) else {
            return BroadcastHealth::default();
        };
        let publishing = self
            .inner
            .media
            .watch(BroadcastId(show.0))
            .is_ok_and(|status| status.borrow().phase == Phase::Live);
        BroadcastHealth {
            publishing,
            kilobits_per_second: u32::try_from(stats.bitrate_in_bps / 1_000).unwrap_or(u32::MAX),
            loss_percent: (100.0 * stats.lost_in_ratio) as f32,
            round_trip_ms: stats.publisher_rtt_ms.map(|ms| ms.round() as u32),
            frames_per_second: stats.frames_per_second as f32,
            subscribers: stats.subscribers,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Whole after every statement, so a poisoned lock is usable.
        self.inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
