//! What a node remembers of reservations, for the day when Redis forgets them. Bounded in count and
//! in time. It refuses to know whether they are still true: whoever seats them again decides that.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use vetrina_core::hot::HotCommand;
use vetrina_core::limits::{
    RESERVATION_RETENTION_MS, RESERVATIONS_CLOSED_MAX, RESERVATIONS_OPEN_MAX, WAITLIST_MAX,
};
use vetrina_core::reservation::ReservationRow;
use vetrina_core::waitlist::WaitlistRow;
use vetrina_protocol::event::PrivateEvent;
use vetrina_protocol::id::{ListingId, ReservationId, UserId};
use vetrina_protocol::time::UnixMs;

use super::functions::PrivateNotice;

/// See the module's words.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    rows: BTreeMap<ReservationId, ReservationRow>,
    /// Closed ones, to be forgotten.
    closed: BTreeSet<(UnixMs, ReservationId)>,
    /// Open ones, oldest first; some of them have closed since.
    opened: VecDeque<ReservationId>,
    waiting: BTreeMap<(ListingId, UserId), WaitlistRow>,
    last_sequence: u64,
}

impl Remembered {
    /// Rows that an answer to this node spoke of. The tail may have brought newer ones already:
    /// what is known stays, unless the row has closed, which is for ever.
    pub(super) fn answered(&mut self, rows: Vec<ReservationRow>) {
        for row in rows {
            if row.closed_at.is_some() || !self.rows.contains_key(&row.id) {
                self.put(row);
            }
        }
    }

    /// These are open, and no others: what a loss or other nodes closed meanwhile must not be
    /// seated after the next loss, in the place of what is still true.
    pub(super) fn refresh(&mut self, open: Vec<ReservationRow>) {
        let ids: BTreeSet<ReservationId> = open.iter().map(|row| row.id).collect();
        self.rows
            .retain(|id, row| !row.is_open() || ids.contains(id));
        for row in open {
            self.put(row);
        }
    }

    /// What the tail brought: always newer than what is known.
    pub(super) fn told(&mut self, private: &PrivateNotice) {
        let buyer = private.notice.buyer;
        match &private.notice.event {
            PrivateEvent::WaitlistOffer { reservation } => {
                self.waiting.remove(&(reservation.listing, buyer));
            }
            PrivateEvent::WaitlistChanged {
                listing,
                place: None,
            } => {
                self.waiting.remove(&(*listing, buyer));
            }
            _ => {}
        }
        if let Some(row) = &private.row
            // Mostly this node was answered with it a moment ago.
            && self.rows.get(&row.id) != Some(row)
        {
            self.put(row.clone());
        }
    }

    /// A place that this node was granted in a queue, at this moment.
    pub(super) fn joined(&mut self, command: &HotCommand, now: UnixMs) {
        let HotCommand::JoinWaitlist {
            reservation,
            buyer,
            buyer_name,
            listing,
            quantity,
        } = command
        else {
            return;
        };
        if self.waiting.len() >= WAITLIST_MAX {
            return;
        }
        // By time, so that the places of several nodes fall into their order.
        let by_clock = u64::try_from(now.0).unwrap_or(0).saturating_mul(1_000);
        self.last_sequence = by_clock.max(self.last_sequence + 1);
        let row = WaitlistRow {
            listing: *listing,
            sequence: self.last_sequence,
            buyer: *buyer,
            buyer_name: buyer_name.clone(),
            quantity: *quantity,
            reservation: *reservation,
        };
        self.waiting.entry((*listing, *buyer)).or_insert(row);
    }

    /// The open ones, to be seated again.
    pub(super) fn rows(&self) -> Vec<ReservationRow> {
        let open = self.rows.values().filter(|row| row.is_open());
        open.cloned().collect()
    }

    /// Places in queues.
    pub(super) fn waiting(&self) -> Vec<WaitlistRow> {
        self.waiting.values().cloned().collect()
    }

    /// How many open ones there are.
    pub(super) fn open(&self) -> usize {
        self.rows.len() - self.closed.len()
    }

    fn put(&mut self, row: ReservationRow) {
        let known = self.rows.get(&row.id);
        if let Some(closed_at) = known.and_then(|known| known.closed_at) {
            self.closed.remove(&(closed_at, row.id));
        }
        match row.closed_at {
            Some(closed_at) => {
                self.closed.insert((closed_at, row.id));
                self.forget_closed(closed_at);
            }
            None if known.is_none() => self.opened.push_back(row.id),
            None => {}
        }
        self.rows.insert(row.id, row);
        while self.opened.len() > RESERVATIONS_OPEN_MAX {
            let oldest = self.opened.pop_front();
            if let Some(oldest) = oldest
                && self.rows.get(&oldest).is_some_and(ReservationRow::is_open)
            {
                self.rows.remove(&oldest);
            }
        }
    }

    fn forget_closed(&mut self, now: UnixMs) {
        while let Some((closed_at, id)) = self.closed.first().copied() {
            let old = now.since(closed_at) >= RESERVATION_RETENTION_MS;
            if !old && self.closed.len() <= RESERVATIONS_CLOSED_MAX {
                return;
            }
            self.closed.pop_first();
            self.rows.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use vetrina_protocol::money::{Currency, Money};
    use vetrina_protocol::view::ReservationState;

    use super::*;

    fn row(id: u128, closed_at: Option<UnixMs>) -> ReservationRow {
        ReservationRow {
            id: ReservationId(id),
            listing: ListingId(1),
            buyer: UserId(id),
            buyer_name: "Ada".into(),
            quantity: 1,
            unit_price: Money::new(1_990, Currency::EUR),
            state: closed_at.map_or(ReservationState::Reserved, |_| ReservationState::Released),
            expires_at: UnixMs(60_000),
            extensions_used: 0,
            from_waitlist: false,
            media_time: None,
            order: None,
            fence_at: None,
            seated: closed_at.is_none(),
            closed_at,
        }
    }

    fn open(remembered: &Remembered) -> Vec<u128> {
        let rows = remembered.rows();
        assert_eq!(remembered.open(), rows.len());
        rows.iter().map(|row| row.id.0).collect()
    }

    #[test]
    fn what_has_closed_is_not_seated_again() {
        let mut remembered = Remembered::default();
        remembered.answered((1..=4).map(|id| row(id, None)).collect());
        remembered.answered(vec![row(2, Some(UnixMs(5)))]);
        assert_eq!(open(&remembered), [1, 3, 4]);
        // What the tail brought is newer than what an answer repeats.
        remembered.answered(vec![row(2, None)]);
        assert_eq!(open(&remembered), [1, 3, 4]);
        // 3 was closed while nobody here followed; another node made 5.
        remembered.refresh(vec![row(1, None), row(4, None), row(5, None)]);
        assert_eq!(open(&remembered), [1, 4, 5]);
    }
}
