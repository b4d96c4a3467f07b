//! The real-time half of a show: WebSocket sessions in rooms. `session` is one WebSocket, `room`
//! one show on this node, `translate` the border between wire and shop, `admission` the door.
//!
//! It refuses to decide anything about shops: commands go to [`Shop::carry_out`], events come from
//! the hot store's log.

mod admission;
mod batch;
mod limits;
mod mailbox;
mod room;
mod session;
mod socket;
mod translate;
mod welcome;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OnceCell};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use vetrina_core::refused::Refused;
use vetrina_protocol::close::CloseCode;
use vetrina_protocol::id::{ShowId, UserId};

pub use admission::AdmissionLimits;

use crate::auth::Tokens;
use crate::ops::metrics::Part;
use crate::rates::SharedRates;
use crate::shop::Shop;
use admission::Admission;
use limits::{GO_AWAY_SPREAD_MS, PEOPLE_MAX, PERSON_RATE};
use room::{Buyers, Room, follow};

/// What an operator decides about the channel.
#[derive(Debug, Clone, Default)]
pub struct ChannelConfig {
    /// Bounds at the door.
    pub admission: AdmissionLimits,
    /// Origins, as browsers write them, whose pages may open a session, besides the server's own.
    pub allowed_origins: Vec<String>,
}

/// All sessions of this node. Clones share them.
#[derive(Debug, Clone)]
pub struct Channel {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shop: Shop,
    tokens: Arc<Tokens>,
    allowed_origins: Vec<String>,
    admission: Arc<Admission>,
    people: SharedRates<UserId>,
    /// Rooms by show. The lock is taken for a look-up; opening one happens outside of it, once.
    rooms: Mutex<HashMap<ShowId, Arc<OnceCell<Arc<Room>>>>>,
    leaving: AtomicBool,
    /// Told whenever a session ends.
    session_ended: Notify,
    /// The rooms' tasks, and what ends them while the stores still answer.
    room_tasks: TaskTracker,
    rooms_end: CancellationToken,
}

impl Channel {
    /// A channel without sessions.
    #[must_use]
    pub fn new(shop: Shop, tokens: Arc<Tokens>, config: ChannelConfig) -> Self {
        Self {
            inner: Arc::new(Inner {
                tokens,
                allowed_origins: config.allowed_origins,
                admission: Admission::new(config.admission),
                people: SharedRates::new(
                    "commands",
                    PERSON_RATE,
                    PEOPLE_MAX,
                    shop.shared().cloned(),
                    shop.clock().clone(),
                ),
                rooms: Mutex::default(),
                leaving: AtomicBool::new(false),
                session_ended: Notify::new(),
                room_tasks: TaskTracker::new(),
                rooms_end: CancellationToken::new(),
                shop,
            }),
        }
    }

    /// Ends all sessions of a person, in all shows, at once: they were sent away, or logged out.
    pub fn close_person(&self, user: UserId, code: CloseCode) {
        for room in self.inner.open_rooms() {
            room.members.close_person(user, code);
        }
    }

    /// Tells other nodes how quick people are, for ever.
    pub(crate) async fn settle_rates(&self) {
        self.inner.people.run().await;
    }

    /// Sessions of one show on this node.
    #[must_use]
    pub fn sessions_of(&self, show: ShowId) -> usize {
        let rooms = self.inner.rooms();
        let room = rooms.get(&show).and_then(|room| room.get());
        room.map_or(0, |room| room.members.sessions())
    }

    /// Lets nobody in any more, asks every session to come back spread over some seconds, and waits
    /// until they are gone, at most `grace`. Then the rooms take back what they told the stores:
    /// end those after this.
    pub async fn drain(&self, grace: Duration) {
        self.inner.leaving.store(true, Ordering::Release);
        let ended = async {
            loop {
                let ended = self.inner.session_ended.notified();
                // Again after each end: somebody may have joined while the door was closing.
                for room in self.inner.open_rooms() {
                    room.members
                        .go_away(|| rand::random_range(0..GO_AWAY_SPREAD_MS));
                }
                if self.inner.admission.sessions() == 0 {
                    return;
                }
                ended.await;
            }
        };
        if tokio::time::timeout(grace, ended).await.is_err() {
            let left = self.inner.admission.sessions();
            tracing::warn!(left, "sessions were still open when the grace period ended");
        }
        self.inner.rooms_end.cancel();
        self.inner.room_tasks.close();
        self.inner.room_tasks.wait().await;
    }
}

impl Inner {
    /// The room of a show, opened if this node has none.
    async fn room(self: &Arc<Self>, show: ShowId) -> Result<Arc<Room>, Refused> {
        // Before a place is made for it, so that made-up ids leave no trace.
        self.shop.facts(show).await?;
        let cell = self.rooms().entry(show).or_default().clone();
        cell.get_or_try_init(|| self.open_room(show)).await.cloned()
    }

    async fn open_room(self: &Arc<Self>, show: ShowId) -> Result<Arc<Room>, Refused> {
        let facts = self.shop.facts(show).await?;
        let view = self.shop.show_view(show).await?;
        let hot = self.shop.hot();
        let opened = async {
            // Receivers before the fold: what comes in between is in one of them.
            let log_end = hot.watch(show).await?;
            let notices = hot.notices(show).await?;
            Ok((log_end, notices, hot.fold(show).await?))
        };
        let (log_end, notices, (position, mut fold)) =
            opened.await.map_err(|error: vetrina_store::StoreError| {
                self.shop.metrics().error(Part::Channel);
                error.refusal()
            })?;
        fold.set_show(view);
        let (version, buyers) = self.shop.buyers(show).await?;
        let buyers = Buyers::new(version, buyers);
        let room = Arc::new(Room::new(facts, position.epoch, fold, buyers));
        let end = self.rooms_end.clone();
        let task = follow(room.clone(), self.shop.clone(), log_end, notices, end);
        let inner = self.clone();
        let over = room.clone();
        self.room_tasks.spawn(async move {
            task.await;
            inner.forget(&over);
        });
        Ok(room)
    }

    /// The room is closed: the next who wants it opens a new one.
    fn forget(&self, room: &Arc<Room>) {
        let mut rooms = self.rooms();
        let kept = rooms.get(&room.facts.id).and_then(|cell| cell.get());
        if kept.is_some_and(|kept| Arc::ptr_eq(kept, room)) {
            rooms.remove(&room.facts.id);
        }
    }

    fn open_rooms(&self) -> Vec<Arc<Room>> {
        self.rooms()
            .values()
            .filter_map(|room| room.get().cloned())
            .collect()
    }

    fn rooms(&self) -> MutexGuard<'_, HashMap<ShowId, Arc<OnceCell<Arc<Room>>>>> {
        // Whole after every statement, so a poisoned lock is usable.
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
