//! All that the hot store decides about one show: [`ShowStock`] is the state machine that the
//! memory store wraps under a lock and that Redis Functions repeat. Its state is integers, rows and
//! ordered sets; its queues go by sequence number.
//!
//! It refuses to know where it is kept, who asks, and the ledger's tables. It only says who may
//! *try*: units are promised by the ledger's claim ([`crate::checkout`]), so whatever is lost or
//! late here, nothing is oversold.
//!
//! # From reservation to claim
//! A checkout fences its bag (`BeginCheckout`), asks the ledger, and tells the answer
//! (`EndCheckout`). A claimed reservation goes on counting as reserved until the mirror whose
//! `claimed` has its units names it in `settled`; that one step moves the units over, so that
//! `available` neither dips nor overshoots. When the claim's answer is unknown, the caller asks the
//! ledger again with the same key; the fence keeps the units meanwhile. Should nobody come back
//! before it passes (the node died), the reservation counts down again and may expire. If the
//! ledger had claimed it after all, the next mirror says so: until then as many units too many may
//! be granted here, and their claims will be refused in the ledger; after it [`Stock`] shows none
//! available until reservations fit again.
//!
//! # After a loss
//! Mirror every listing with all of `buyer_units`, and with `settled` for those rows of the journal
//! that the ledger knows; then `Restore` the journal's rows. Buyers hear [`HotAnswer::NotLoaded`]
//! before that. Rows that the journal lost are gone: their owners reserve again, with the same id
//! if they retry.

mod buyer;
mod check;
mod command;
mod ledger;
mod refusal;
mod turn;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use vetrina_protocol::id::{ListingId, OrderId, ReservationId, UserId};
use vetrina_protocol::time::UnixMs;
use vetrina_protocol::view::{DeskReservation, Reservation, Stock, WaitlistPlace};

use crate::limits::{
    RESERVATION_TTL_MS_DEFAULT, RESERVATION_TTL_MS_MAX, RESERVATION_TTL_MS_MIN, WAITLIST_NOTICED,
};
use crate::refused::Refused;
use crate::reservation::ReservationRow;
use crate::stock::ListingStock;

pub use command::{
    BuyerUnits, CheckoutOutcome, HotAnswer, HotChange, HotCommand, HotOutput, Mirror, OrderedUnits,
    Reserve, Restore, Settled,
};
pub use refusal::HotRefusal;

/// The stock, reservations and queues of one show.
#[derive(Debug, Clone)]
pub struct ShowStock {
    /// The newest time seen: a clock that goes back is not believed.
    now: UnixMs,
    loaded: bool,
    selling_closed: bool,
    reservation_ttl_ms: i64,
    listings: BTreeMap<ListingId, ListingStock>,
    reservations: BTreeMap<ReservationId, ReservationRow>,
    open_of: BTreeMap<UserId, BTreeSet<ReservationId>>,
    open_count: usize,
    /// What time will change, soonest first.
    due: BTreeSet<(UnixMs, ReservationId)>,
    /// Ends of fences of totals, soonest first.
    total_fences: BTreeSet<(UnixMs, ListingId)>,
    /// Closed reservations, first closed first, to be forgotten.
    closed: VecDeque<(UnixMs, ReservationId)>,
    /// Told as settled before their row was known: see `Restore`.
    settled_early: BTreeMap<ReservationId, OrderId>,
    /// Listings whose queue's head may have its turn.
    turns: BTreeSet<ListingId>,
    pending: Pending,
}

/// What piled up during a step.
#[derive(Debug, Clone, Default)]
struct Pending {
    outputs: Vec<HotOutput>,
    changed: BTreeSet<RowKey>,
    /// Listings whose units may look different now.
    touched: BTreeSet<ListingId>,
    /// Queues that moved up, from this position (counted from 0) on.
    moved: BTreeMap<ListingId, usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum RowKey {
    Reservation(ReservationId),
    Waiting(ListingId, UserId),
}

impl Default for ShowStock {
    fn default() -> Self {
        Self::new()
    }
}

impl ShowStock {
    /// An empty show: answers buyers [`HotAnswer::NotLoaded`] until every listing was mirrored and
    /// [`HotCommand::Restore`] came.
    #[must_use]
    pub fn new() -> Self {
        Self {
            now: UnixMs(i64::MIN),
            loaded: false,
            selling_closed: false,
            reservation_ttl_ms: RESERVATION_TTL_MS_DEFAULT,
            listings: BTreeMap::new(),
            reservations: BTreeMap::new(),
            open_of: BTreeMap::new(),
            open_count: 0,
            due: BTreeSet::new(),
            total_fences: BTreeSet::new(),
            closed: VecDeque::new(),
            settled_early: BTreeMap::new(),
            turns: BTreeSet::new(),
            pending: Pending::default(),
        }
    }

    /// One command at `now`: first what time has changed, then the command, then the turns of
    /// those who queue. Outputs and changes pile up until they are drained: drain both after every
    /// command, and write the changes of one command together.
    pub fn apply(&mut self, now: UnixMs, command: HotCommand) -> HotAnswer {
        self.now = self.now.max(now);
        self.pass_time();
        self.give_turns();
        let answer = self.decide(command).unwrap_or_else(HotAnswer::Refused);
        self.give_turns();
        self.tell();
        match answer {
            HotAnswer::Ticked { .. } => HotAnswer::Ticked {
                more: self.next_due().is_some_and(|due| due <= self.now),
            },
            answer => answer,
        }
    }

    fn decide(&mut self, command: HotCommand) -> Result<HotAnswer, Refused> {
        match command {
            // From the ledger and the show: welcome before the state is loaded.
            HotCommand::Mirror(mirror) => return self.mirror(&mirror),
            HotCommand::Restore(restore) => return Ok(self.restore(restore)),
            HotCommand::CloseSelling => return Ok(self.close_selling()),
            HotCommand::SetTimes { reservation_ttl_ms } => {
                self.set_ttl(reservation_ttl_ms);
                return Ok(HotAnswer::Done);
            }
            HotCommand::Tick => return Ok(HotAnswer::Ticked { more: false }),
            _ if !self.loaded => return Ok(HotAnswer::NotLoaded),
            _ => {}
        }
        match command {
            HotCommand::Reserve(reserve) => self.reserve(&reserve),
            HotCommand::ReserveForOrder {
                order,
                buyer,
                buyer_name,
                lines,
                fence_ms,
            } => self.reserve_for_order(order, buyer, &buyer_name, &lines, fence_ms),
            HotCommand::Extend { reservation, buyer } => self.extend(reservation, buyer),
            HotCommand::Release { reservation, buyer } => self.release(reservation, buyer),
            HotCommand::BeginCheckout {
                order,
                buyer,
                reservations,
                fence_ms,
            } => self.begin_checkout(order, buyer, &reservations, fence_ms),
            HotCommand::EndCheckout {
                order,
                reservations,
                outcome,
            } => Ok(self.end_checkout(order, &reservations, outcome)),
            HotCommand::JoinWaitlist {
                reservation,
                buyer,
                buyer_name,
                listing,
                quantity,
            } => self.join_waitlist(reservation, buyer, buyer_name, listing, quantity),
            HotCommand::LeaveWaitlist { buyer, listing } => self.leave_waitlist(buyer, listing),
            HotCommand::FenceTotal {
                listing,
                total,
                fence_ms,
            } => self.fence_total(listing, total, fence_ms),
            HotCommand::Mirror(_)
            | HotCommand::Restore(_)
            | HotCommand::CloseSelling
            | HotCommand::SetTimes { .. }
            | HotCommand::Tick => unreachable!("answered above"),
        }
    }

    /// What others must hear of, oldest first.
    pub fn drain_outputs(&mut self) -> Vec<HotOutput> {
        std::mem::take(&mut self.pending.outputs)
    }

    /// What a journal must write; each row at most once, as it is now.
    pub fn drain_changes(&mut self) -> Vec<HotChange> {
        let changed = std::mem::take(&mut self.pending.changed);
        changed.into_iter().map(|key| self.change_of(key)).collect()
    }

    /// When the next `Tick` is due; none: not before another command.
    #[must_use]
    pub fn next_due(&self) -> Option<UnixMs> {
        if !self.turns.is_empty() {
            return Some(self.now);
        }
        let reservation = self.due.first().map(|(at, _)| *at);
        let fence = self.total_fences.first().map(|(at, _)| *at);
        reservation.into_iter().chain(fence).min()
    }

    /// The mirrors and the journal's rows are in.
    #[must_use]
    pub fn is_loaded(&self) -> bool {
        self.loaded
    }

    /// Units of one listing, if it was mirrored.
    #[must_use]
    pub fn stock(&self, listing: ListingId) -> Option<Stock> {
        self.listings.get(&listing).map(ListingStock::view)
    }

    /// Units of all listings that were mirrored.
    pub fn stocks(&self) -> impl Iterator<Item = (ListingId, Stock)> {
        self.listings
            .iter()
            .map(|(listing, stock)| (*listing, stock.view()))
    }

    /// One reservation, open or remembered.
    #[must_use]
    pub fn reservation(&self, reservation: ReservationId) -> Option<&ReservationRow> {
        self.reservations.get(&reservation)
    }

    /// Open reservations of one buyer, soonest to expire first.
    #[must_use]
    pub fn reservations_of(&self, buyer: UserId) -> Vec<Reservation> {
        let ids = self.open_of.get(&buyer).into_iter().flatten();
        let mut views: Vec<_> = ids
            .filter_map(|id| self.reservations.get(id))
            .map(ReservationRow::view)
            .collect();
        views.sort_by_key(|view| (view.expires_at_ms, view.id));
        views
    }

    /// Places of one buyer in queues.
    #[must_use]
    pub fn places_of(&self, buyer: UserId) -> Vec<WaitlistPlace> {
        self.listings
            .values()
            .filter_map(|stock| stock.waitlist.place(buyer))
            .collect()
    }

    /// Open reservations of all buyers, by buyer.
    pub fn desk(&self) -> impl Iterator<Item = DeskReservation> {
        let ids = self.open_of.values().flatten();
        ids.filter_map(|id| self.reservations.get(id))
            .map(|row| DeskReservation {
                buyer: row.buyer,
                buyer_name: row.buyer_name.clone(),
                reservation: row.view(),
            })
    }

    /// All rows, for a journal that starts afresh.
    #[must_use]
    pub fn export(&self) -> Restore {
        let waiting = self
            .listings
            .values()
            .flat_map(|stock| stock.waitlist.rows());
        Restore {
            reservation_ttl_ms: self.reservation_ttl_ms,
            selling_closed: self.selling_closed,
            reservations: self.reservations.values().cloned().collect(),
            waitlist: waiting.cloned().collect(),
        }
    }

    fn set_ttl(&mut self, reservation_ttl_ms: i64) {
        self.reservation_ttl_ms =
            reservation_ttl_ms.clamp(RESERVATION_TTL_MS_MIN, RESERVATION_TTL_MS_MAX);
    }

    fn close_selling(&mut self) -> HotAnswer {
        self.selling_closed = true;
        let waiting: Vec<_> = self
            .listings
            .iter()
            .flat_map(|(listing, stock)| stock.waitlist.rows().map(|row| (*listing, row.buyer)))
            .collect();
        for (listing, buyer) in waiting {
            self.take_out(listing, buyer);
        }
        HotAnswer::Done
    }

    fn change_of(&self, key: RowKey) -> HotChange {
        match key {
            RowKey::Reservation(id) => match self.reservations.get(&id) {
                Some(row) => HotChange::Reservation(Box::new(row.clone())),
                None => HotChange::ReservationGone(id),
            },
            RowKey::Waiting(listing, buyer) => {
                let row = self
                    .listings
                    .get(&listing)
                    .and_then(|stock| stock.waitlist.of(buyer));
                match row {
                    Some(row) => HotChange::Waiting(row.clone()),
                    None => HotChange::WaitingGone { listing, buyer },
                }
            }
        }
    }

    /// Changes one row and keeps everything that hangs on it in step: counters, indexes, what is
    /// due, the journal, and who must hear of it. The only way a known row changes.
    fn change<R>(
        &mut self,
        id: ReservationId,
        change: impl FnOnce(&mut ReservationRow) -> R,
    ) -> Option<R> {
        let row = self.reservations.get_mut(&id)?;
        let before = row.clone();
        let result = change(row);
        let row = row.clone();
        if row == before {
            return Some(result);
        }
        self.pending.changed.insert(RowKey::Reservation(id));
        if let Some(due) = before.due_at() {
            self.due.remove(&(due, id));
        }
        if let Some(due) = row.due_at() {
            self.due.insert((due, id));
        }
        if before.is_open() && !row.is_open() {
            self.forget_open(row.buyer, id);
            self.closed.push_back((self.now, id));
        }
        if before.seated && !row.seated {
            if let Some(stock) = self.listings.get_mut(&row.listing) {
                stock.unseat(row.buyer, row.quantity);
            }
            self.touch(row.listing);
        }
        if row.view() != before.view() {
            self.tell_of(&row);
        }
        Some(result)
    }

    fn tell_of(&mut self, row: &ReservationRow) {
        self.pending.outputs.push(HotOutput::ReservationChanged {
            buyer: row.buyer,
            buyer_name: row.buyer_name.clone(),
            reservation: row.view(),
        });
    }

    /// Adds a row that was not there, open or closed.
    fn add(&mut self, row: ReservationRow) {
        let id = row.id;
        self.pending.changed.insert(RowKey::Reservation(id));
        if let Some(due) = row.due_at() {
            self.due.insert((due, id));
        }
        if row.is_open() {
            self.open_of.entry(row.buyer).or_default().insert(id);
            self.open_count += 1;
        } else {
            self.closed
                .push_back((row.closed_at.unwrap_or(self.now), id));
        }
        if row.seated {
            if let Some(stock) = self.listings.get_mut(&row.listing) {
                stock.seat(row.buyer, row.quantity);
            }
            self.touch(row.listing);
        }
        self.reservations.insert(id, row);
    }

    fn forget_open(&mut self, buyer: UserId, id: ReservationId) {
        if let Some(ids) = self.open_of.get_mut(&buyer) {
            if ids.remove(&id) {
                self.open_count -= 1;
            }
            if ids.is_empty() {
                self.open_of.remove(&buyer);
            }
        }
    }

    fn touch(&mut self, listing: ListingId) {
        self.pending.touched.insert(listing);
        if self
            .listings
            .get(&listing)
            .is_some_and(|stock| !stock.waitlist.is_empty())
        {
            self.turns.insert(listing);
        }
    }

    /// Ends a step: the stock that looks different, and the places of the first in queues that
    /// moved. Before the state is loaded, half a truth would be told: nothing is.
    fn tell(&mut self) {
        if !self.loaded {
            return;
        }
        for listing in std::mem::take(&mut self.pending.touched) {
            let Some(stock) = self.listings.get_mut(&listing) else {
                continue;
            };
            let view = stock.view();
            if stock.told != Some(view) {
                stock.told = Some(view);
                let stock = view;
                self.pending
                    .outputs
                    .push(HotOutput::StockChanged { listing, stock });
            }
        }
        for (listing, from) in std::mem::take(&mut self.pending.moved) {
            let Some(stock) = self.listings.get(&listing) else {
                continue;
            };
            let noticed = stock.waitlist.places().take(WAITLIST_NOTICED).skip(from);
            self.pending
                .outputs
                .extend(noticed.map(|(buyer, place)| HotOutput::WaitlistChanged {
                    buyer,
                    listing,
                    place: Some(place),
                }));
        }
    }
}
