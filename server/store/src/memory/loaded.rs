//! One loaded show: what is behind its lock, and who is told when it moves.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, broadcast, watch};
use vetrina_core::hot::{HotChange, HotCommand, HotOutput, Mirror, ShowStock};
use vetrina_core::presence::Presence;
use vetrina_core::show::{ShowFold, is_selling};
use vetrina_protocol::event::{Event, PrivateEvent};
use vetrina_protocol::id::{ListingId, ReservationId, ShowId, UserId};
use vetrina_protocol::time::{Offset, UnixMs};
use vetrina_protocol::view::{Listing, ShowState, Stock};

use crate::StoreError;
use crate::hot::{
    Appended, Applied, DESK_RESERVATIONS_MAX, HotDesk, HotMine, NOTICES_BEHIND_MAX, Notice,
    PRESENCE_LEASE_MS, Position,
};
use crate::ledger::{ArchiveBatch, ListingRow};
use crate::log::{Log, WAITING_EVENTS_MAX};

/// The journal promises 50 ms; when the disk is this far behind, nothing more is taken on credit.
const BEHIND_MAX: Duration = Duration::from_secs(2);
/// This process is the only node.
const NODE: u64 = 0;

/// The show was closed; load it anew.
#[derive(Debug)]
pub(super) struct Gone;

/// One show and those who listen to it.
pub(super) struct Loaded {
    pub(super) show: ShowId,
    /// Decisions, the log's numbers and the order of notices are one thing: held for one step,
    /// never across an await.
    hot: Mutex<Hot>,
    position: watch::Sender<Position>,
    archived: watch::Sender<Offset>,
    notices: broadcast::Sender<Arc<Notice>>,
}

/// What is behind the lock.
pub(super) struct Hot {
    pub(super) stock: ShowStock,
    pub(super) log: Log,
    pub(super) fold: ShowFold,
    now: UnixMs,
    /// Newest version of the ledger's rows.
    versions: BTreeMap<ListingId, u64>,
    notice_version: u64,
    notices: Vec<Arc<Notice>>,
    changes: BTreeMap<RowKey, HotChange>,
    /// Since when something waits for the disk.
    waiting_since: Option<Instant>,
    presence: Presence,
    closed: bool,
    pub(super) units_released: bool,
    pub(super) used_at: UnixMs,
}

/// Which row of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum RowKey {
    Reservation(ReservationId),
    Waiting(ListingId, UserId),
}

impl Loaded {
    pub(super) fn new(show: ShowId, hot: Hot) -> Self {
        Self {
            show,
            position: watch::Sender::new(hot.log.position()),
            archived: watch::Sender::new(hot.log.archived()),
            notices: broadcast::Sender::new(NOTICES_BEHIND_MAX),
            hot: Mutex::new(hot),
        }
    }

    /// One step: the work, then those who listen are told, still in order.
    pub(super) fn step<R>(
        &self,
        now: UnixMs,
        dirty: &Notify,
        work: &mut impl FnMut(&mut Hot) -> R,
    ) -> Result<R, Gone> {
        let mut hot = self.hot();
        if hot.closed {
            return Err(Gone);
        }
        hot.now = hot.now.max(now);
        hot.used_at = hot.now;
        let result = work(&mut hot);
        self.tell(&mut hot, dirty);
        Ok(result)
    }

    /// A step that is not a use: upkeep's.
    pub(super) fn keep<R>(
        &self,
        now: UnixMs,
        dirty: &Notify,
        work: impl FnOnce(&mut Hot) -> R,
    ) -> Result<R, Gone> {
        let mut hot = self.hot();
        if hot.closed {
            return Err(Gone);
        }
        hot.now = hot.now.max(now);
        let result = work(&mut hot);
        self.tell(&mut hot, dirty);
        Ok(result)
    }

    fn tell(&self, hot: &mut Hot, dirty: &Notify) {
        let position = hot.log.position();
        self.position.send_if_modified(|told| {
            let moved = *told != position;
            *told = position;
            moved
        });
        for notice in hot.notices.drain(..) {
            // Nobody listens: then nobody misses it, `mine` has it.
            drop(self.notices.send(notice));
        }
        if hot.waits() {
            hot.waiting_since.get_or_insert_with(Instant::now);
            dirty.notify_one();
        }
    }

    pub(super) fn watch(&self) -> watch::Receiver<Position> {
        self.position.subscribe()
    }

    pub(super) fn archived(&self) -> watch::Receiver<Offset> {
        self.archived.subscribe()
    }

    pub(super) fn notices(&self) -> broadcast::Receiver<Arc<Notice>> {
        self.notices.subscribe()
    }

    /// Somebody follows the log or the notices.
    pub(super) fn is_followed(&self) -> bool {
        self.position.receiver_count() + self.notices.receiver_count() > 0
    }

    /// No step is taken from now on. Gives the log's end.
    pub(super) fn shut(&self) -> Offset {
        let mut hot = self.hot();
        hot.closed = true;
        hot.log.position().offset
    }

    /// Steps are taken again.
    pub(super) fn reopen(&self) {
        self.hot().closed = false;
    }

    /// What waits for the disk, taken out.
    pub(super) fn take_batch(&self) -> Option<ArchiveBatch> {
        let mut hot = self.hot();
        if !hot.waits() {
            return None;
        }
        Some(ArchiveBatch {
            show: self.show,
            epoch: hot.log.position().epoch,
            events: hot.log.unarchived(),
            changes: std::mem::take(&mut hot.changes).into_values().collect(),
        })
    }

    /// The batch is on disk; it was taken at `taken_at`.
    pub(super) fn batch_written(&self, batch: &ArchiveBatch, taken_at: Instant) {
        let mut hot = self.hot();
        if let Some(last) = batch.events.last() {
            hot.log.set_archived(last.offset);
        }
        hot.waiting_since = hot.waits().then_some(taken_at);
        let archived = hot.log.archived();
        drop(hot);
        self.archived.send_if_modified(|told| {
            let moved = *told < archived;
            *told = archived.max(*told);
            moved
        });
    }

    /// The batch may not be on disk: its rows wait again, unless they changed meanwhile.
    pub(super) fn batch_failed(&self, batch: ArchiveBatch) {
        let mut hot = self.hot();
        for change in batch.changes {
            hot.changes.entry(RowKey::of(&change)).or_insert(change);
        }
    }

    fn hot(&self) -> MutexGuard<'_, Hot> {
        // A panic inside a step is a bug of core; what it left behind is still the best we know.
        self.hot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hot {
    pub(super) fn new(stock: ShowStock, log: Log, fold: ShowFold, now: UnixMs) -> Self {
        Self {
            stock,
            log,
            fold,
            now,
            versions: BTreeMap::new(),
            notice_version: 0,
            notices: Vec::new(),
            changes: BTreeMap::new(),
            waiting_since: None,
            presence: Presence::new(),
            closed: false,
            units_released: false,
            used_at: now,
        }
    }

    /// One command of core, with its outputs in the log and in the notices.
    pub(super) fn apply(&mut self, command: HotCommand) -> Applied {
        let mirror = match &command {
            HotCommand::Mirror(mirror) => Some(mirror.clone()),
            _ => None,
        };
        let answer = self.stock.apply(self.now, command);
        if let Some(mirror) = mirror {
            self.log_mirror(&mirror);
        }
        self.carry_out();
        Applied {
            answer,
            position: self.log.position(),
        }
    }

    /// The ledger's row of a listing: its stock for core, its words for the log.
    pub(super) fn publish(&mut self, row: &ListingRow) -> Option<Applied> {
        if self
            .versions
            .get(&row.id)
            .is_some_and(|known| *known > row.version)
        {
            return None;
        }
        let mirror = row.mirror(Vec::new(), Vec::new());
        self.versions.insert(row.id, row.version);
        let answer = self.stock.apply(self.now, HotCommand::Mirror(mirror));
        self.log_words(row);
        self.carry_out();
        Some(Applied {
            answer,
            position: self.log.position(),
        })
    }

    /// Events that others decided. The end of a show closes its selling in the same step.
    pub(super) fn append(&mut self, events: &[Event]) -> Appended {
        let first = self.log.position().offset.next();
        for event in events {
            self.push(event.clone());
        }
        let ended = |event: &Event| match event {
            Event::ShowStateChanged { state } => *state == ShowState::Ended,
            _ => false,
        };
        if events.iter().any(ended) {
            self.stock.apply(self.now, HotCommand::CloseSelling);
            self.carry_out();
        }
        Appended {
            first,
            position: self.log.position(),
            at: self.now,
        }
    }

    pub(super) fn push(&mut self, event: Event) {
        let logged = self.log.push(self.now, event);
        self.fold.apply(&logged);
    }

    /// Numbers a notice; it is sent at the end of the step.
    pub(super) fn notice(&mut self, buyer: UserId, buyer_name: String, event: PrivateEvent) -> u64 {
        // Microseconds of the clock: a restart continues above what was given before, unless more
        // than a million notices a second were.
        let by_clock = u64::try_from(self.now.0).unwrap_or(0).saturating_mul(1_000);
        self.notice_version = by_clock.max(self.notice_version + 1);
        self.notices.push(Arc::new(Notice {
            version: self.notice_version,
            buyer,
            buyer_name,
            event,
        }));
        self.notice_version
    }

    pub(super) fn mine(&self, buyer: UserId) -> HotMine {
        HotMine {
            reservations: self.stock.reservations_of(buyer),
            waitlist: self.stock.places_of(buyer),
            version: self.notice_version,
        }
    }

    pub(super) fn desk(&self) -> HotDesk {
        let mut reservations: Vec<_> = self.stock.desk().collect();
        reservations.sort_by_key(|entry| (entry.reservation.expires_at_ms, entry.reservation.id));
        reservations.truncate(DESK_RESERVATIONS_MAX);
        HotDesk {
            reservations,
            version: self.notice_version,
        }
    }

    pub(super) fn report_viewers(&mut self, viewers: u32) {
        self.presence
            .report(self.now, NODE, viewers, PRESENCE_LEASE_MS);
    }

    pub(super) fn viewers(&self) -> u32 {
        self.presence.viewers(self.now)
    }

    /// Refuses what would be granted on the credit of a disk that does not answer. What only
    /// repeats the ledger's word, or gives units back, is always welcome.
    pub(super) fn refuse_if_behind(&self, command: &HotCommand) -> Result<(), StoreError> {
        match command {
            // Nothing is free, so nothing would be granted: the answer needs no disk.
            HotCommand::Reserve(wish)
                if self
                    .stock
                    .stock(wish.listing)
                    .is_some_and(|it| it.available == 0) =>
            {
                Ok(())
            }
            HotCommand::Reserve(_)
            | HotCommand::Extend { .. }
            | HotCommand::BeginCheckout { .. }
            | HotCommand::JoinWaitlist { .. } => self.refuse_events_if_behind(),
            _ => Ok(()),
        }
    }

    pub(super) fn refuse_events_if_behind(&self) -> Result<(), StoreError> {
        let late = self
            .waiting_since
            .is_some_and(|since| since.elapsed() > BEHIND_MAX);
        if late || self.log.waiting() >= WAITING_EVENTS_MAX {
            return Err(StoreError::Busy("the archive does not keep up"));
        }
        Ok(())
    }

    /// Nobody can want anything of this show's stock.
    pub(super) fn is_quiet(&self) -> bool {
        !is_selling(self.fold.show().state)
            && self.stock.desk().next().is_none()
            && self.stock.stocks().all(|(_, stock)| stock.waiting == 0)
    }

    /// Puts core's outputs where they belong.
    pub(super) fn carry_out(&mut self) {
        for output in self.stock.drain_outputs() {
            match output {
                HotOutput::StockChanged { listing, stock } => self.log_stock(listing, stock),
                HotOutput::ReservationChanged {
                    buyer,
                    buyer_name,
                    reservation,
                } => {
                    self.notice(
                        buyer,
                        buyer_name,
                        PrivateEvent::ReservationChanged { reservation },
                    );
                }
                HotOutput::WaitlistOffer {
                    buyer,
                    buyer_name,
                    reservation,
                } => {
                    self.notice(
                        buyer,
                        buyer_name,
                        PrivateEvent::WaitlistOffer { reservation },
                    );
                }
                HotOutput::WaitlistChanged {
                    buyer,
                    listing,
                    place,
                } => {
                    let event = PrivateEvent::WaitlistChanged { listing, place };
                    self.notice(buyer, String::new(), event);
                }
            }
        }
        for change in self.stock.drain_changes() {
            self.changes.insert(RowKey::of(&change), change);
        }
    }

    /// A listing that the log does not know yet brings its stock with it when it is published.
    fn log_stock(&mut self, listing: ListingId, stock: Stock) {
        let known = self.fold.listing(listing).map(|known| known.stock);
        if known.is_some_and(|known| known != stock) {
            self.push(Event::StockChanged { listing, stock });
        }
    }

    fn log_mirror(&mut self, mirror: &Mirror) {
        let version = self.versions.entry(mirror.listing).or_default();
        if mirror.version <= *version {
            return;
        }
        *version = mirror.version;
        let Some(known) = self.fold.listing(mirror.listing) else {
            return;
        };
        let now = Listing {
            price: mirror.unit_price,
            per_buyer: mirror.per_buyer,
            ..known.clone()
        };
        self.log_difference(now);
    }

    /// Says what the ledger's row says otherwise than the log.
    pub(super) fn log_words(&mut self, row: &ListingRow) {
        let stock = self
            .stock
            .stock(row.id)
            .unwrap_or_else(|| row.stock_unreserved());
        self.log_difference(row.view(stock));
    }

    fn log_difference(&mut self, now: Listing) {
        let Some(known) = self.fold.listing(now.id) else {
            let position = u32::try_from(self.fold.run().len()).unwrap_or(u32::MAX);
            let listing = Listing { position, ..now };
            return self.push(Event::ListingChanged { listing });
        };
        let words = Listing {
            position: known.position,
            stock: known.stock,
            price: known.price,
            ..now.clone()
        };
        let (same_words, same_price) = (words == *known, now.price == known.price);
        let position = known.position;
        if !same_words {
            let stock = self.stock.stock(now.id).unwrap_or(now.stock);
            let listing = Listing {
                position,
                stock,
                ..now
            };
            self.push(Event::ListingChanged { listing });
        } else if !same_price {
            self.push(Event::PriceChanged {
                listing: now.id,
                price: now.price,
            });
        }
    }

    fn waits(&self) -> bool {
        self.log.waiting() > 0 || !self.changes.is_empty()
    }
}

impl RowKey {
    fn of(change: &HotChange) -> Self {
        match change {
            HotChange::Reservation(row) => Self::Reservation(row.id),
            HotChange::ReservationGone(id) => Self::Reservation(*id),
            HotChange::Waiting(row) => Self::Waiting(row.listing, row.buyer),
            HotChange::WaitingGone { listing, buyer } => Self::Waiting(*listing, *buyer),
        }
    }
}
