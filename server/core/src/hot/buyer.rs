//! What buyers ask of the hot store: reserve, extend, release, check out, queue.

use std::collections::{BTreeMap, BTreeSet};

use vetrina_protocol::BAG_LINES_MAX;
use vetrina_protocol::id::{ListingId, OrderId, ReservationId, UserId};
use vetrina_protocol::time::UnixMs;
use vetrina_protocol::view::{ReservationState, WaitlistPlace};

use super::{
    CheckoutOutcome, HotAnswer, HotOutput, HotRefusal, OrderedUnits, Reserve, RowKey, ShowStock,
};
use crate::breakage::{self, Breakage};
use crate::limits::{
    CHECKOUT_FENCE_MS_MAX, RESERVATIONS_OPEN_MAX, RESERVATIONS_PER_BUYER_MAX, WAITLIST_MAX,
};
use crate::refused::Refused;
use crate::reservation::{ReservationRow, check_quantity, unknown};
use crate::stock::ListingStock;
use crate::waitlist::WaitlistRow;

impl ShowStock {
    pub(super) fn reserve(&mut self, wanted: &Reserve) -> Result<HotAnswer, Refused> {
        if let Some(row) = self.reservations.get(&wanted.reservation) {
            return repeated(row, wanted.buyer, wanted.listing, wanted.quantity);
        }
        check_quantity(wanted.quantity)?;
        let Some(stock) = self.listings.get(&wanted.listing) else {
            return Ok(HotAnswer::NotLoaded);
        };
        if let Some(order) = self.settled_early.get(&wanted.reservation).copied() {
            // The journal lost the row, the ledger has its order: no second reservation of it.
            let mut row = new_row(wanted, stock, self.now.plus_ms(self.reservation_ttl_ms));
            row.order = Some(order);
            row.seated = false;
            row.close(ReservationState::Claimed, self.now);
            let reservation = row.view();
            self.settled_early.remove(&wanted.reservation);
            self.add(row);
            return Ok(HotAnswer::Reservation {
                reservation,
                repeated: true,
            });
        }
        self.refuse_if_closed()?;
        refuse_beyond_limit(stock, wanted.buyer, wanted.quantity)?;
        refuse_unless_free(stock, wanted.quantity)?;
        self.refuse_if_full(wanted.buyer)?;
        let row = new_row(wanted, stock, self.now.plus_ms(self.reservation_ttl_ms));
        let reservation = row.view();
        self.tell_of(&row);
        self.add(row);
        Ok(HotAnswer::Reservation {
            reservation,
            repeated: false,
        })
    }

    pub(super) fn reserve_for_order(
        &mut self,
        order: OrderId,
        buyer: UserId,
        buyer_name: &str,
        lines: &[OrderedUnits],
        fence_ms: i64,
    ) -> Result<HotAnswer, Refused> {
        let bag: Vec<_> = lines.iter().map(|line| line.reservation).collect();
        check_bag(&bag)?;
        if lines
            .iter()
            .any(|line| !self.listings.contains_key(&line.listing))
        {
            return Ok(HotAnswer::NotLoaded);
        }
        if bag.iter().any(|id| self.reservations.contains_key(id)) {
            return self.begin_checkout(order, buyer, &bag, fence_ms);
        }
        let mut wanted: BTreeMap<ListingId, u32> = BTreeMap::new();
        for line in lines {
            check_quantity(line.quantity)?;
            let sum = wanted.entry(line.listing).or_default();
            *sum = sum.saturating_add(line.quantity);
        }
        for (listing, quantity) in &wanted {
            if let Some(stock) = self.listings.get(listing) {
                refuse_beyond_limit(stock, buyer, *quantity)?;
                refuse_unless_free(stock, *quantity)?;
            }
        }
        let fence_at = self.now.plus_ms(fence_ms.clamp(1, CHECKOUT_FENCE_MS_MAX));
        for line in lines {
            let row = ReservationRow {
                id: line.reservation,
                listing: line.listing,
                buyer,
                buyer_name: buyer_name.to_owned(),
                quantity: line.quantity,
                unit_price: line.unit_price,
                state: ReservationState::CheckingOut,
                // It has no time of its own: what the ledger does not claim returns at once.
                expires_at: self.now,
                extensions_used: 0,
                from_waitlist: false,
                media_time: None,
                order: Some(order),
                fence_at: Some(fence_at),
                seated: true,
                closed_at: None,
            };
            self.tell_of(&row);
            self.add(row);
        }
        Ok(self.bag(&bag))
    }

    pub(super) fn extend(
        &mut self,
        id: ReservationId,
        buyer: UserId,
    ) -> Result<HotAnswer, Refused> {
        self.own(id, buyer)?;
        let (now, ttl_ms) = (self.now, self.reservation_ttl_ms);
        self.change(id, |row| row.extend(now, ttl_ms))
            .ok_or_else(unknown)??;
        self.answer(id, false)
    }

    pub(super) fn release(
        &mut self,
        id: ReservationId,
        buyer: UserId,
    ) -> Result<HotAnswer, Refused> {
        let row = self.own(id, buyer)?;
        if row.state == ReservationState::Released {
            return self.answer(id, true);
        }
        row.refuse_unless_reserved()?;
        let now = self.now;
        self.change(id, |row| row.close(ReservationState::Released, now));
        self.answer(id, false)
    }

    pub(super) fn begin_checkout(
        &mut self,
        order: OrderId,
        buyer: UserId,
        bag: &[ReservationId],
        fence_ms: i64,
    ) -> Result<HotAnswer, Refused> {
        check_bag(bag)?;
        for id in bag {
            self.own(*id, buyer)?.may_check_out(order)?;
        }
        let fence_at = self.now.plus_ms(fence_ms.clamp(1, CHECKOUT_FENCE_MS_MAX));
        for id in bag {
            self.change(*id, |row| row.begin_checkout(order, fence_at));
        }
        Ok(self.bag(bag))
    }

    pub(super) fn end_checkout(
        &mut self,
        order: OrderId,
        bag: &[ReservationId],
        outcome: CheckoutOutcome,
    ) -> HotAnswer {
        let now = self.now;
        for id in bag.iter().take(BAG_LINES_MAX) {
            self.change(*id, |row| match outcome {
                // The order is a fact, whatever was thought of the reservation meanwhile. Units
                // that are seated stay so until the mirror has them.
                CheckoutOutcome::Claimed if row.state != ReservationState::Claimed => {
                    row.order = Some(order);
                    row.close(ReservationState::Claimed, now);
                }
                CheckoutOutcome::Failed
                    if row.state == ReservationState::CheckingOut && row.order == Some(order) =>
                {
                    row.unfence();
                }
                CheckoutOutcome::Claimed | CheckoutOutcome::Failed => {}
            });
            self.expire_if_due(*id);
        }
        self.bag(bag)
    }

    pub(super) fn join_waitlist(
        &mut self,
        reservation: ReservationId,
        buyer: UserId,
        buyer_name: String,
        listing: ListingId,
        quantity: u32,
    ) -> Result<HotAnswer, Refused> {
        if let Some(row) = self.reservations.get(&reservation) {
            return repeated(row, buyer, listing, quantity);
        }
        check_quantity(quantity)?;
        let Some(stock) = self.listings.get_mut(&listing) else {
            return Ok(HotAnswer::NotLoaded);
        };
        if let Some(row) = stock.waitlist.of(buyer) {
            return already_waiting(row, stock.waitlist.place(buyer), reservation, quantity);
        }
        if self.selling_closed {
            return Err(HotRefusal::NotLive.into());
        }
        refuse_beyond_limit(stock, buyer, quantity)?;
        if stock.waitlist.is_empty() && stock.available() > 0 {
            let available = stock.available();
            return Err(HotRefusal::UnitsFree { available }.into());
        }
        if stock.waitlist.len() >= WAITLIST_MAX {
            return Err(HotRefusal::QueueFull.into());
        }
        stock.waitlist.join(WaitlistRow {
            listing,
            sequence: 0,
            buyer,
            buyer_name,
            quantity,
            reservation,
        });
        let place = WaitlistPlace {
            listing,
            quantity,
            position: u32::try_from(stock.waitlist.len()).unwrap_or(u32::MAX),
        };
        self.pending.changed.insert(RowKey::Waiting(listing, buyer));
        self.pending.outputs.push(HotOutput::WaitlistChanged {
            buyer,
            listing,
            place: Some(place),
        });
        self.touch(listing);
        Ok(HotAnswer::Waiting {
            place,
            repeated: false,
        })
    }

    pub(super) fn leave_waitlist(
        &mut self,
        buyer: UserId,
        listing: ListingId,
    ) -> Result<HotAnswer, Refused> {
        if self.take_out(listing, buyer).is_some() {
            return Ok(HotAnswer::Done);
        }
        Err(HotRefusal::NotWaiting.into())
    }

    /// The row, if it is this buyer's; expired here and now if its time has run out.
    fn own(&mut self, id: ReservationId, buyer: UserId) -> Result<&ReservationRow, Refused> {
        self.expire_if_due(id);
        self.reservations
            .get(&id)
            .filter(|row| row.buyer == buyer)
            .ok_or_else(unknown)
    }

    fn answer(&self, id: ReservationId, repeated: bool) -> Result<HotAnswer, Refused> {
        let reservation = self.reservations.get(&id).ok_or_else(unknown)?.view();
        Ok(HotAnswer::Reservation {
            reservation,
            repeated,
        })
    }

    fn bag(&self, bag: &[ReservationId]) -> HotAnswer {
        let rows = bag.iter().filter_map(|id| self.reservations.get(id));
        HotAnswer::Bag(rows.map(ReservationRow::view).collect())
    }

    fn refuse_if_closed(&self) -> Result<(), Refused> {
        if self.selling_closed {
            Err(HotRefusal::NotLive.into())
        } else {
            Ok(())
        }
    }

    fn refuse_if_full(&self, buyer: UserId) -> Result<(), Refused> {
        if self.open_count >= RESERVATIONS_OPEN_MAX {
            return Err(HotRefusal::ShowFull.into());
        }
        let open = self.open_of.get(&buyer).map_or(0, BTreeSet::len);
        if open >= RESERVATIONS_PER_BUYER_MAX {
            let open = u32::try_from(open).unwrap_or(u32::MAX);
            return Err(HotRefusal::BuyerFull { open }.into());
        }
        Ok(())
    }
}

fn new_row(wanted: &Reserve, stock: &ListingStock, expires_at: UnixMs) -> ReservationRow {
    ReservationRow {
        id: wanted.reservation,
        listing: wanted.listing,
        buyer: wanted.buyer,
        buyer_name: wanted.buyer_name.clone(),
        quantity: wanted.quantity,
        unit_price: stock.unit_price,
        state: ReservationState::Reserved,
        expires_at,
        extensions_used: 0,
        from_waitlist: false,
        media_time: wanted.media_time,
        order: None,
        fence_at: None,
        seated: true,
        closed_at: None,
    }
}

fn check_bag(bag: &[ReservationId]) -> Result<(), Refused> {
    let distinct: BTreeSet<_> = bag.iter().collect();
    if !bag.is_empty() && bag.len() <= BAG_LINES_MAX && distinct.len() == bag.len() {
        return Ok(());
    }
    Err(HotRefusal::Bag.into())
}

/// The same id again: the first answer, unless it was another request's.
fn repeated(
    row: &ReservationRow,
    buyer: UserId,
    listing: ListingId,
    quantity: u32,
) -> Result<HotAnswer, Refused> {
    if (row.buyer, row.listing, row.quantity) != (buyer, listing, quantity) {
        return Err(HotRefusal::KeyReused.into());
    }
    Ok(HotAnswer::Reservation {
        reservation: row.view(),
        repeated: true,
    })
}

fn already_waiting(
    row: &WaitlistRow,
    place: Option<WaitlistPlace>,
    reservation: ReservationId,
    quantity: u32,
) -> Result<HotAnswer, Refused> {
    match place {
        Some(place) if row.reservation == reservation && row.quantity == quantity => {
            Ok(HotAnswer::Waiting {
                place,
                repeated: true,
            })
        }
        _ if row.reservation == reservation => Err(HotRefusal::KeyReused.into()),
        _ => Err(HotRefusal::AlreadyWaiting.into()),
    }
}

fn refuse_beyond_limit(stock: &ListingStock, buyer: UserId, quantity: u32) -> Result<(), Refused> {
    let units = stock.units_of(buyer);
    if units.saturating_add(quantity) <= stock.per_buyer {
        return Ok(());
    }
    let per_buyer = stock.per_buyer;
    Err(HotRefusal::BuyerLimit { per_buyer, units }.into())
}

/// Nobody overtakes a queue, even when its head waits for more units than are free.
fn refuse_unless_free(stock: &ListingStock, quantity: u32) -> Result<(), Refused> {
    let available = stock.available();
    if !stock.waitlist.is_empty() && !breakage::is_on(Breakage::Overtake) {
        let waiting = u32::try_from(stock.waitlist.len()).unwrap_or(u32::MAX);
        return Err(HotRefusal::WaitlistFirst { waiting }.into());
    }
    if available == 0 {
        return Err(HotRefusal::SoldOut.into());
    }
    if available < quantity {
        return Err(HotRefusal::TooFew { available }.into());
    }
    Ok(())
}
