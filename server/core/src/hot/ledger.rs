//! What the ledger and the journal tell the hot store: mirrors, fences of totals, restored rows.

use vetrina_protocol::id::ListingId;
use vetrina_protocol::view::ReservationState;

use super::{HotAnswer, HotRefusal, Mirror, Restore, RowKey, Settled, ShowStock};
use crate::limits::{
    CHECKOUT_FENCE_MS_MAX, LISTINGS_MAX, RESERVATION_RETENTION_MS, RESERVATIONS_OPEN_MAX,
};
use crate::refused::Refused;
use crate::reservation::ReservationRow;
use crate::stock::{ListingStock, TotalFence, refuse_total};
use crate::waitlist::WaitlistRow;

impl ShowStock {
    pub(super) fn mirror(&mut self, mirror: &Mirror) -> Result<HotAnswer, Refused> {
        let known = self.listings.len();
        match self.listings.get_mut(&mirror.listing) {
            Some(stock) => stock.take_mirror(mirror),
            None if known < LISTINGS_MAX => {
                let mut stock = ListingStock::new(mirror);
                stock.take_mirror(mirror);
                self.listings.insert(mirror.listing, stock);
            }
            None => {
                return Err(HotRefusal::ListingsFull.into());
            }
        }
        for settled in &mirror.settled {
            self.settle(*settled);
        }
        self.touch(mirror.listing);
        Ok(HotAnswer::Done)
    }

    /// The units of a reservation are in `claimed` now: they leave `reserved` in the same step.
    fn settle(&mut self, settled: Settled) {
        let now = self.now;
        let known = self.change(settled.reservation, |row| {
            row.order = Some(settled.order);
            row.seated = false;
            row.close(ReservationState::Claimed, now);
        });
        if known.is_none() {
            self.settled_early
                .insert(settled.reservation, settled.order);
            if self.settled_early.len() > RESERVATIONS_OPEN_MAX {
                self.settled_early.pop_first();
            }
        }
    }

    pub(super) fn fence_total(
        &mut self,
        listing: ListingId,
        total: u32,
        fence_ms: i64,
    ) -> Result<HotAnswer, Refused> {
        let Some(stock) = self.listings.get_mut(&listing) else {
            return Ok(HotAnswer::NotLoaded);
        };
        refuse_total(stock.committed(), total)?;
        let until = self.now.plus_ms(fence_ms.clamp(1, CHECKOUT_FENCE_MS_MAX));
        stock.fence = Some(TotalFence { total, until });
        self.total_fences.insert((until, listing));
        self.touch(listing);
        Ok(HotAnswer::Done)
    }

    pub(super) fn restore(&mut self, restore: Restore) -> HotAnswer {
        self.set_ttl(restore.reservation_ttl_ms);
        self.selling_closed |= restore.selling_closed;
        let mut rows = restore.reservations;
        rows.sort_by_key(|row| (row.closed_at, row.id));
        for row in rows {
            self.restore_reservation(row);
        }
        let mut waiting = restore.waitlist;
        waiting.sort_by_key(|row| (row.listing, row.sequence));
        for row in waiting {
            self.restore_waiting(row);
        }
        self.loaded = true;
        let listings: Vec<_> = self.listings.keys().copied().collect();
        for listing in listings {
            self.touch(listing);
        }
        HotAnswer::Done
    }

    /// What this state knows already is newer than the journal.
    fn restore_reservation(&mut self, mut row: ReservationRow) {
        if self.reservations.contains_key(&row.id) {
            return;
        }
        let old = row
            .closed_at
            .is_some_and(|closed_at| self.now.since(closed_at) >= RESERVATION_RETENTION_MS);
        if old || !self.listings.contains_key(&row.listing) {
            self.pending.changed.insert(RowKey::Reservation(row.id));
            return;
        }
        if let Some(order) = self.settled_early.remove(&row.id) {
            row.order = Some(order);
            row.close(ReservationState::Claimed, self.now);
        }
        // The mirror that came before has every claim in `claimed`.
        row.seated = row.is_open();
        self.add(row);
    }

    fn restore_waiting(&mut self, row: WaitlistRow) {
        let (listing, buyer) = (row.listing, row.buyer);
        let offered = self.reservations.contains_key(&row.reservation);
        let seated = match self.listings.get_mut(&listing) {
            Some(stock) if !self.selling_closed && !offered => stock.waitlist.restore(row),
            _ => false,
        };
        if !seated {
            self.pending.changed.insert(RowKey::Waiting(listing, buyer));
        }
    }
}
