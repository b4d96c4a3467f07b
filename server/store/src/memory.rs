//! The hot store of one process: core's state machine, the log's ring and the notices of each show
//! behind one lock, written behind to the ledger by the journal.
//!
//! What a crash may take is what the journal has not written: at most the last 50 ms of
//! reservations and comments. Whoever promises more waits with `durable`.

mod journal;
mod loaded;
mod opening;
mod upkeep;

use std::sync::Arc;

use async_trait::async_trait;
use dashmap::DashMap;
use tokio::sync::{Mutex, Notify, broadcast, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use vetrina_core::hot::HotCommand;
use vetrina_core::show::ShowFold;
use vetrina_protocol::event::{Event, PrivateEvent};
use vetrina_protocol::id::{ShowId, UserId};
use vetrina_protocol::time::Offset;

use super::hot::{
    self, Appended, Applied, Entries, HotDesk, HotMine, HotStore, Notice, Position, READ_EVENTS_MAX,
};
use super::ledger::{Ledger, ListingRow};
use super::{Now, StoreError};
use loaded::{Gone, Hot, Loaded};

/// Shows in memory at once: each takes a few kilobytes when idle. Idle ones are forgotten.
const SHOWS_MAX: usize = 10_000;
/// How often a call starts over because the show was closed under it.
const ATTEMPTS_MAX: usize = 8;

/// See the module's words. Clones share one store.
#[derive(Clone)]
pub struct MemoryStore {
    inner: Arc<Inner>,
}

struct Inner {
    ledger: Arc<dyn Ledger>,
    now: Now,
    shows: DashMap<ShowId, Arc<Loaded>>,
    /// Held while a show is loaded or closed, so that its log never has two writers here.
    opening: Mutex<()>,
    /// Something waits for the journal.
    dirty: Notify,
    stopping: CancellationToken,
    tasks: std::sync::Mutex<Vec<JoinHandle<()>>>,
}

impl MemoryStore {
    /// A store on this ledger, with its tasks running.
    #[must_use]
    pub fn start(ledger: Arc<dyn Ledger>, now: Now) -> Self {
        let inner = Arc::new(Inner {
            ledger,
            now,
            shows: DashMap::new(),
            opening: Mutex::new(()),
            dirty: Notify::new(),
            stopping: CancellationToken::new(),
            tasks: std::sync::Mutex::default(),
        });
        let tasks = [
            tokio::spawn(journal::run(Arc::clone(&inner))),
            tokio::spawn(upkeep::run(Arc::clone(&inner))),
        ];
        // Taken here and at shutdown only; a poisoned list of handles is still a list.
        inner
            .tasks
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .extend(tasks);
        Self { inner }
    }
}

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryStore")
            .field("shows", &self.inner.shows.len())
            .finish()
    }
}

impl Inner {
    /// The show, loaded if it was not.
    async fn loaded(&self, show: ShowId) -> Result<Arc<Loaded>, StoreError> {
        if let Some(loaded) = self.shows.get(&show) {
            return Ok(Arc::clone(&loaded));
        }
        let _one_at_a_time = self.opening.lock().await;
        if let Some(loaded) = self.shows.get(&show) {
            return Ok(Arc::clone(&loaded));
        }
        if self.stopping.is_cancelled() {
            return Err(StoreError::Unavailable("the store is shutting down".into()));
        }
        if self.shows.len() >= SHOWS_MAX {
            return Err(StoreError::Busy("too many shows are loaded"));
        }
        let loaded = Arc::new(opening::open(self, show).await?);
        self.shows.insert(show, Arc::clone(&loaded));
        self.dirty.notify_one();
        Ok(loaded)
    }

    /// One step on a show, under its lock.
    async fn step<R>(
        &self,
        show: ShowId,
        mut work: impl FnMut(&mut Hot) -> Result<R, StoreError> + Send,
    ) -> Result<R, StoreError> {
        for _ in 0..ATTEMPTS_MAX {
            let loaded = self.loaded(show).await?;
            match loaded.step((self.now)(), &self.dirty, &mut work) {
                Ok(outcome) => return outcome,
                // It is being closed: wait for the end of that, then load it anew.
                Err(Gone) => drop(self.opening.lock().await),
            }
        }
        Err(StoreError::Busy("the show is being closed again and again"))
    }

    async fn close(&self, show: ShowId) -> Result<(), StoreError> {
        let _nobody_opens = self.opening.lock().await;
        let Some(loaded) = self.shows.get(&show).map(|loaded| Arc::clone(&loaded)) else {
            return Ok(());
        };
        let end = loaded.shut();
        self.dirty.notify_one();
        match hot::until_archived(loaded.archived(), end).await {
            Ok(()) => {
                self.shows.remove(&show);
                Ok(())
            }
            Err(error) => {
                loaded.reopen();
                Err(error)
            }
        }
    }
}

#[async_trait]
impl hot::Attempt for Inner {
    fn ledger(&self) -> &dyn Ledger {
        &*self.ledger
    }

    async fn try_apply(&self, show: ShowId, command: HotCommand) -> Result<Applied, StoreError> {
        let apply = |hot: &mut Hot| {
            hot.refuse_if_behind(&command)?;
            Ok(hot.apply(command.clone()))
        };
        self.step(show, apply).await
    }

    async fn try_publish(
        &self,
        show: ShowId,
        row: &ListingRow,
    ) -> Result<Option<Applied>, StoreError> {
        self.step(show, |hot| Ok(hot.publish(row))).await
    }
}

#[async_trait]
impl HotStore for MemoryStore {
    async fn open(&self, show: ShowId) -> Result<Position, StoreError> {
        self.position(show).await
    }

    async fn close(&self, show: ShowId) -> Result<(), StoreError> {
        self.inner.close(show).await
    }

    async fn apply(&self, show: ShowId, command: HotCommand) -> Result<Applied, StoreError> {
        hot::apply(&*self.inner, show, command).await
    }

    async fn publish(&self, show: ShowId, listing: &ListingRow) -> Result<Applied, StoreError> {
        hot::publish(&*self.inner, show, listing).await
    }

    async fn append(&self, show: ShowId, events: Vec<Event>) -> Result<Appended, StoreError> {
        hot::refuse_unless_appendable(&events)?;
        let append = |hot: &mut Hot| {
            hot.refuse_events_if_behind()?;
            Ok(hot.append(&events))
        };
        self.inner.step(show, append).await
    }

    async fn read(
        &self,
        show: ShowId,
        after: Position,
        limit: usize,
    ) -> Result<Entries, StoreError> {
        let limit = limit.clamp(1, READ_EVENTS_MAX);
        let look = |hot: &mut Hot| Ok((hot.log.position().epoch, hot.log.after(after, limit)));
        let found = self.inner.step(show, look).await?;
        hot::entries(&*self.inner.ledger, show, after.offset, limit, found).await
    }

    async fn position(&self, show: ShowId) -> Result<Position, StoreError> {
        self.inner.step(show, |hot| Ok(hot.log.position())).await
    }

    async fn watch(&self, show: ShowId) -> Result<watch::Receiver<Position>, StoreError> {
        Ok(self.inner.loaded(show).await?.watch())
    }

    async fn fold(&self, show: ShowId) -> Result<(Position, ShowFold), StoreError> {
        self.inner
            .step(show, |hot| Ok((hot.log.position(), hot.fold.clone())))
            .await
    }

    async fn notices(&self, show: ShowId) -> Result<broadcast::Receiver<Arc<Notice>>, StoreError> {
        Ok(self.inner.loaded(show).await?.notices())
    }

    async fn notify(
        &self,
        show: ShowId,
        buyer: UserId,
        buyer_name: String,
        event: PrivateEvent,
    ) -> Result<u64, StoreError> {
        let tell = |hot: &mut Hot| Ok(hot.notice(buyer, buyer_name.clone(), event.clone()));
        self.inner.step(show, tell).await
    }

    async fn mine(&self, show: ShowId, buyer: UserId) -> Result<HotMine, StoreError> {
        self.inner.step(show, |hot| Ok(hot.mine(buyer))).await
    }

    async fn desk(&self, show: ShowId) -> Result<HotDesk, StoreError> {
        self.inner.step(show, |hot| Ok(hot.desk())).await
    }

    async fn durable(&self, show: ShowId, offset: Offset) -> Result<(), StoreError> {
        let loaded = self.inner.loaded(show).await?;
        hot::until_archived(loaded.archived(), offset).await
    }

    async fn report_viewers(&self, show: ShowId, viewers: u32) -> Result<(), StoreError> {
        self.inner
            .step(show, |hot| {
                hot.report_viewers(viewers);
                Ok(())
            })
            .await
    }

    async fn viewers(&self, show: ShowId) -> Result<u32, StoreError> {
        self.inner.step(show, |hot| Ok(hot.viewers())).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn shutdown(&self) {
        self.inner.stopping.cancel();
        let tasks = {
            let mut tasks = self
                .inner
                .tasks
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            std::mem::take(&mut *tasks)
        };
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task of the hot store failed");
            }
        }
        self.inner.shows.clear();
    }
}
