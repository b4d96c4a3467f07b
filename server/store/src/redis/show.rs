//! One show on this node, through all epochs of its log: the queue of its commands, what is
//! remembered of its reservations, and what is known of it in the present epoch.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Mutex as AsyncMutex;
use tokio::time::Instant;
use vetrina_core::hot::{HotAnswer, HotCommand};
use vetrina_core::reservation::ReservationRow;
use vetrina_core::waitlist::WaitlistRow;
use vetrina_protocol::id::ShowId;
use vetrina_protocol::time::Epoch;

use super::coalesce::Coalescer;
use super::functions::{self, Belief, Call, CallError, ShowStatus};
use super::keys::{Keys, ShowKeys};
use super::local::Local;
use super::opening::Outcome;
use super::remembered::Remembered;
use super::{Failure, Inner, opening};
use crate::StoreError;
use crate::hot::Applied;
use crate::ledger::{ArchiveBatch, ShowSeed};

/// How often a call starts over because the show was lost or opened under it.
const ATTEMPTS_MAX: usize = 8;

/// See the module's words.
pub(super) struct Show {
    pub(super) id: ShowId,
    pub(super) keys: ShowKeys,
    pub(super) commands: Arc<Coalescer<HotCommand, Applied, StoreError>>,
    /// Held while it is opened or closed.
    pub(super) changing: AsyncMutex<()>,
    /// The last opening, for all who wait for it; never held across an await.
    opening: Mutex<Option<Outcome>>,
    /// Replaced when an epoch ends; never held across an await.
    local: Mutex<Option<Arc<Local>>>,
    /// Looked into for a moment, never held across an await.
    remembered: Mutex<Remembered>,
    /// The end of a lost epoch that nobody had archived.
    leftover: Mutex<Option<ArchiveBatch>>,
    /// The newest notice of all epochs.
    heard: AtomicU64,
    /// The newest epoch that was joined.
    epoch: AtomicU64,
}

impl Show {
    pub(super) fn new(id: ShowId, keys: &Keys, inner: &Arc<Inner>) -> Self {
        let weak: Weak<Inner> = Arc::downgrade(inner);
        let commands = Coalescer::new(move |batch| {
            let weak = Weak::clone(&weak);
            async move {
                let inner = weak.upgrade().ok_or_else(gone)?;
                carry(&inner, id, batch).await
            }
        });
        Self {
            id,
            keys: keys.show(id),
            commands,
            changing: AsyncMutex::new(()),
            opening: Mutex::default(),
            local: Mutex::new(None),
            remembered: Mutex::default(),
            leftover: Mutex::default(),
            heard: AtomicU64::new(0),
            epoch: AtomicU64::new(0),
        }
    }

    /// What is known of it now, if it is open here.
    pub(super) fn local(&self) -> Option<Arc<Local>> {
        lock(&self.local).clone()
    }

    /// The opening that is under way, begun if there was none.
    pub(super) fn opening(&self, begin: impl FnOnce() -> Outcome) -> Outcome {
        let mut opening = lock(&self.opening);
        // One that panicked has dropped its end of the channel.
        let under_way =
            |outcome: &&Outcome| outcome.has_changed().is_ok() && outcome.borrow().is_none();
        if let Some(outcome) = opening.as_ref().filter(under_way) {
            return outcome.clone();
        }
        let begun = begin();
        *opening = Some(begun.clone());
        begun
    }

    /// A new epoch, or none: all who listen to the old one hear that it ended.
    pub(super) fn set_local(&self, local: Option<Arc<Local>>) {
        *lock(&self.local) = local;
    }

    /// This epoch is over, or nobody knows how it went on.
    pub(super) fn lose(&self, lost: &Arc<Local>) {
        let mut local = lock(&self.local);
        if local.as_ref().is_some_and(|local| Arc::ptr_eq(local, lost)) {
            tracing::info!(show = %self.id, epoch = lost.epoch.0, "the show is to be opened anew");
            *local = None;
            self.heard.fetch_max(lost.cursor().1, Ordering::Relaxed);
            if let Some(batch) = lost.batch(true) {
                self.put_leftover(batch);
            }
        }
    }

    /// The end of a lost epoch, to be archived; taken out.
    pub(super) fn leftover(&self) -> Option<ArchiveBatch> {
        lock(&self.leftover).take()
    }

    pub(super) fn put_leftover(&self, batch: ArchiveBatch) {
        *lock(&self.leftover) = Some(batch);
    }

    /// The newest notice that came here, in whatever epoch.
    pub(super) fn heard(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }

    /// Notes the epoch that is built or joined; true when it is another one than before.
    pub(super) fn begins(&self, epoch: Epoch) -> bool {
        let before = self.epoch.swap(epoch.0, Ordering::Relaxed);
        before != 0 && before != epoch.0
    }

    /// Reservations that would be missed if nobody opened the show.
    pub(super) fn is_remembered(&self) -> bool {
        self.remembered().open() > 0
    }

    /// What a lost show starts from: this node's memory, and the journal of a time without Redis.
    pub(super) fn remembered_rows(
        &self,
        seed: &ShowSeed,
    ) -> (Vec<ReservationRow>, Vec<WaitlistRow>) {
        let remembered = self.remembered();
        let mut rows = remembered.rows();
        rows.extend(seed.reservations.iter().cloned());
        let mut waiting = remembered.waiting();
        waiting.extend(seed.waitlist.iter().cloned());
        (rows, waiting)
    }

    pub(super) fn remembered(&self) -> MutexGuard<'_, Remembered> {
        lock(&self.remembered)
    }
}

impl Inner {
    /// The show in its present epoch, opened if it was not.
    pub(super) async fn local(
        self: &Arc<Self>,
        id: ShowId,
    ) -> Result<(Arc<Show>, Arc<Local>), StoreError> {
        self.local_within(id, self.options.patience.open).await
    }

    /// The same for who must be answered soon, if only with "try again".
    pub(super) async fn local_soon(
        self: &Arc<Self>,
        id: ShowId,
    ) -> Result<(Arc<Show>, Arc<Local>), StoreError> {
        self.local_within(id, self.options.patience.call).await
    }

    async fn local_within(
        self: &Arc<Self>,
        id: ShowId,
        patience: Duration,
    ) -> Result<(Arc<Show>, Arc<Local>), StoreError> {
        let show = self.show(id)?;
        if let Some(local) = show.local() {
            return Ok((show, local));
        }
        let local = opening::wait(self, &show, patience).await;
        if matches!(local, Err(StoreError::Refused(_))) {
            // The ledger does not know it: it takes no room here.
            self.shows.remove(&id);
        }
        Ok((show, local?))
    }

    /// Calls a function on an open show, in the epoch that this node knows; opens it anew when
    /// Redis knows better. What takes longer than one call may is told to try again.
    pub(super) async fn on_show<T>(
        self: &Arc<Self>,
        id: ShowId,
        write: bool,
        make: impl Fn(&ShowKeys, Belief<'_>) -> Result<Call<T>, CallError> + Sync,
    ) -> Result<(Arc<Show>, Arc<Local>, T), StoreError> {
        let patience = self.options.patience.call;
        let began = Instant::now();
        for _ in 0..ATTEMPTS_MAX {
            let left = patience.saturating_sub(began.elapsed());
            let (show, local) = self.local_within(id, left).await?;
            let epoch = Some(local.epoch);
            let made = |belief: Belief<'_>| make(&show.keys, Belief { epoch, ..belief });
            match self.call(&show.keys, write, made).await {
                Ok(value) => {
                    local.use_now();
                    return Ok((show, local, value));
                }
                Err(Failure::NotOpen(why)) => {
                    tracing::info!(show = %id, ?why, "Redis does not know the show");
                    show.lose(&local);
                }
                Err(failure) => return Err(failure.into()),
            }
        }
        Err(StoreError::Unavailable(
            "the show is lost again and again".into(),
        ))
    }
}

/// One batch of commands, to Redis and back.
pub(super) async fn carry(
    inner: &Arc<Inner>,
    id: ShowId,
    commands: Vec<HotCommand>,
) -> Result<Vec<Applied>, StoreError> {
    let make = |keys: &ShowKeys, belief: Belief<'_>| functions::apply(keys, belief, &commands);
    let (show, local, batch) = inner.on_show(id, true, make).await?;
    local.note(&batch.status);
    remember(&show, &commands, &batch.answers, &batch.status, batch.rows);
    let position = batch.status.position;
    let applied = |answer| Applied { answer, position };
    Ok(batch.answers.into_iter().map(applied).collect())
}

fn remember(
    show: &Show,
    commands: &[HotCommand],
    answers: &[HotAnswer],
    status: &ShowStatus,
    rows: Vec<ReservationRow>,
) {
    let mut remembered = show.remembered();
    remembered.answered(rows);
    for (command, answer) in commands.iter().zip(answers) {
        if matches!(answer, HotAnswer::Waiting { .. }) {
            remembered.joined(command, status.now);
        }
    }
}

fn gone() -> StoreError {
    StoreError::Unavailable("the store is gone".into())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whole after every statement, so a poisoned lock is usable.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
