//! What time and returning units bring about: expiry, ends of fences, forgetting, and the turns of
//! those who queue.

use vetrina_protocol::id::{ListingId, ReservationId, UserId};
use vetrina_protocol::view::ReservationState;

use super::{HotOutput, RowKey, ShowStock};
use crate::limits::{
    RESERVATION_RETENTION_MS, RESERVATIONS_CLOSED_MAX, STEP_MAX, WAITLIST_NOTICED,
};
use crate::reservation::ReservationRow;
use crate::waitlist::WaitlistRow;

/// Whether the head of a queue has its turn.
enum Turn {
    Wait,
    /// It may not have that many any more.
    Drop(UserId),
    Offer(WaitlistRow),
}

impl ShowStock {
    /// Expires what is due, at most [`STEP_MAX`] of it.
    pub(super) fn pass_time(&mut self) {
        for _ in 0..STEP_MAX {
            match self.due.first() {
                Some((at, id)) if *at <= self.now => {
                    let id = *id;
                    self.expire_if_due(id);
                }
                _ => break,
            }
        }
        while let Some((at, listing)) = self.total_fences.first().copied() {
            if at > self.now {
                break;
            }
            self.total_fences.remove(&(at, listing));
            if let Some(stock) = self.listings.get_mut(&listing)
                && stock.fence.is_some_and(|fence| fence.until <= self.now)
            {
                stock.fence = None;
                self.touch(listing);
            }
        }
        self.forget_closed();
    }

    /// Ends a fence that passed, and expires a reservation whose time has run out.
    pub(super) fn expire_if_due(&mut self, id: ReservationId) {
        let now = self.now;
        self.change(id, |row| {
            if row.due_at().is_none_or(|due| due > now) {
                return;
            }
            if row.state == ReservationState::CheckingOut {
                row.unfence();
            }
            if row.expires_at <= now {
                row.close(ReservationState::Expired, now);
            }
        });
    }

    /// Gives turns, at most [`STEP_MAX`] in one step; what is left over is due at once.
    pub(super) fn give_turns(&mut self) {
        let mut budget = STEP_MAX;
        while let Some(listing) = self.turns.first().copied() {
            loop {
                if budget == 0 {
                    return;
                }
                match self.turn(listing) {
                    Turn::Wait => break,
                    Turn::Drop(buyer) => {
                        self.take_out(listing, buyer);
                    }
                    Turn::Offer(row) => self.offer(row),
                }
                budget -= 1;
            }
            self.turns.remove(&listing);
        }
    }

    fn turn(&self, listing: ListingId) -> Turn {
        let Some(stock) = self.listings.get(&listing) else {
            return Turn::Wait;
        };
        let Some(head) = stock.waitlist.head() else {
            return Turn::Wait;
        };
        let beyond = stock.units_of(head.buyer).saturating_add(head.quantity) > stock.per_buyer;
        if beyond || self.reservations.contains_key(&head.reservation) {
            return Turn::Drop(head.buyer);
        }
        // Strictly first in, first out: a head that needs more than is free blocks those behind.
        if stock.available() < head.quantity {
            return Turn::Wait;
        }
        Turn::Offer(head.clone())
    }

    fn offer(&mut self, waited: WaitlistRow) {
        self.take_out(waited.listing, waited.buyer);
        let Some(stock) = self.listings.get(&waited.listing) else {
            return;
        };
        let row = ReservationRow {
            id: waited.reservation,
            listing: waited.listing,
            buyer: waited.buyer,
            buyer_name: waited.buyer_name,
            quantity: waited.quantity,
            unit_price: stock.unit_price,
            state: ReservationState::Reserved,
            expires_at: self.now.plus_ms(self.reservation_ttl_ms),
            extensions_used: 0,
            from_waitlist: true,
            media_time: None,
            order: None,
            fence_at: None,
            seated: true,
            closed_at: None,
        };
        self.pending.outputs.push(HotOutput::WaitlistOffer {
            buyer: row.buyer,
            buyer_name: row.buyer_name.clone(),
            reservation: row.view(),
        });
        self.add(row);
    }

    /// Takes a buyer out of a queue and tells them; those behind move up.
    pub(super) fn take_out(&mut self, listing: ListingId, buyer: UserId) -> Option<WaitlistRow> {
        let (row, before) = self.listings.get_mut(&listing)?.waitlist.leave(buyer)?;
        self.pending.changed.insert(RowKey::Waiting(listing, buyer));
        self.pending.outputs.push(HotOutput::WaitlistChanged {
            buyer,
            listing,
            place: None,
        });
        if before < WAITLIST_NOTICED {
            let from = self.pending.moved.entry(listing).or_insert(before);
            *from = before.min(*from);
        }
        self.touch(listing);
        Some(row)
    }

    fn forget_closed(&mut self) {
        for _ in 0..STEP_MAX {
            let Some((closed_at, id)) = self.closed.front().copied() else {
                return;
            };
            let old = self.now.since(closed_at) >= RESERVATION_RETENTION_MS;
            if !old && self.closed.len() <= RESERVATIONS_CLOSED_MAX {
                return;
            }
            self.closed.pop_front();
            let Some(row) = self.reservations.get(&id) else {
                continue;
            };
            if row.seated {
                // Claimed, and the mirror has not come: without the ledger's word its units stay.
                self.closed.push_back((self.now, id));
                continue;
            }
            if !row.is_open() {
                self.reservations.remove(&id);
                self.pending.changed.insert(RowKey::Reservation(id));
            }
        }
    }
}
