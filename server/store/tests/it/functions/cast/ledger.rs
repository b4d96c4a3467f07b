//! The ledger's, the journal's and the host's part of a random sequence.

use vetrina_core::hot::{BuyerUnits, HotCommand, Mirror, Restore, Settled};
use vetrina_core::reservation::ReservationRow;
use vetrina_core::waitlist::WaitlistRow;
use vetrina_protocol::event::Event;
use vetrina_protocol::id::{ListingId, OrderId, ReservationId};
use vetrina_protocol::time::UnixMs;
use vetrina_protocol::view::{ReservationState, ShowState};
use vetrina_store::ledger::ListingRow;

use super::{Cast, euros, signed, small};

impl Cast {
    /// The state that a show begins with: the ledger's word, and rows of the journal.
    pub(crate) fn beginning(&mut self) -> Vec<HotCommand> {
        let rows = self.rows.clone();
        let mut commands: Vec<_> = rows
            .iter()
            .map(|row| HotCommand::Mirror(row.mirror(Vec::new(), Vec::new())))
            .collect();
        if self.chance(50) {
            // Too early: nobody is served yet.
            let early = self.command(UnixMs(0));
            commands.insert(usize::try_from(self.below(2)).expect("small"), early);
        }
        commands
    }

    pub(crate) fn restore(&mut self, now: UnixMs) -> HotCommand {
        let mut reservations = Vec::new();
        for _ in 0..self.below(6) {
            reservations.push(self.journal_row(now));
        }
        let mut waitlist = Vec::new();
        for _ in 0..self.below(5) {
            let (listing, buyer) = (self.listing(), self.buyer());
            let row = WaitlistRow {
                listing,
                sequence: 1 + self.below(6),
                buyer,
                buyer_name: "Wanda".into(),
                quantity: 1 + small(self.below(2)),
                reservation: ReservationId(self.id()),
            };
            self.wishes
                .push((row.reservation, buyer, listing, row.quantity));
            waitlist.push(row);
        }
        HotCommand::Restore(Restore {
            reservation_ttl_ms: self.ttl(),
            selling_closed: false,
            reservations,
            waitlist,
        })
    }

    pub(super) fn ttl(&mut self) -> i64 {
        signed(self.below(200_000)) - 1
    }

    /// A row as a journal or another node may know it.
    pub(crate) fn journal_row(&mut self, now: UnixMs) -> ReservationRow {
        let known = self.chance(30) && !self.wishes.is_empty();
        let (id, buyer, listing, quantity) = if known {
            self.wish()
        } else {
            let wish = self.new_wish();
            self.wishes.push(wish);
            wish
        };
        let states = [
            ReservationState::Reserved,
            ReservationState::Reserved,
            ReservationState::CheckingOut,
            ReservationState::Claimed,
            ReservationState::Released,
            ReservationState::Expired,
        ];
        let state = states[usize::try_from(self.below(6)).expect("small")];
        let open = matches!(
            state,
            ReservationState::Reserved | ReservationState::CheckingOut
        );
        let ordered = matches!(
            state,
            ReservationState::CheckingOut | ReservationState::Claimed
        );
        ReservationRow {
            id,
            listing,
            buyer,
            buyer_name: "Jo".into(),
            quantity: quantity.max(1),
            unit_price: euros(1 + self.below(900)),
            state,
            expires_at: now.plus_ms(signed(self.below(100_000)) - 20_000),
            extensions_used: small(self.below(11)),
            from_waitlist: self.chance(20),
            media_time: self.media_time(),
            order: ordered.then(|| OrderId(self.id())),
            fence_at: (state == ReservationState::CheckingOut && self.chance(90))
                .then(|| now.plus_ms(signed(self.below(60_000)) - 9_000)),
            seated: open,
            closed_at: (!open).then(|| now.plus_ms(-signed(self.below(1_000_000)))),
        }
    }

    /// The ledger's word after some orders, a seller's change, or an old one once more.
    pub(super) fn mirror(&mut self) -> Mirror {
        if self.chance(25) && !self.old_mirrors.is_empty() {
            let index = self.below(self.old_mirrors.len() as u64);
            return self.old_mirrors[usize::try_from(index).expect("small")].clone();
        }
        let (index, listing) = self.row_index();
        let mut settled = Vec::new();
        let mut buyer_units = Vec::new();
        for _ in 0..self.below(3) {
            let (reservation, buyer, of, quantity) = self.wish();
            let order = OrderId(self.id());
            if of != listing || quantity > 100 {
                continue;
            }
            settled.push(Settled { reservation, order });
            let owned = self.owned.entry((listing, buyer)).or_default();
            *owned += quantity;
            buyer_units.push(BuyerUnits {
                buyer,
                units: *owned,
            });
            self.rows[index].claimed += quantity;
        }
        self.change_row(index);
        if self.chance(15) {
            // An order was cancelled.
            let buyer = self.buyer();
            self.owned.insert((listing, buyer), 0);
            buyer_units.push(BuyerUnits { buyer, units: 0 });
            self.rows[index].claimed = self.rows[index].claimed.saturating_sub(1);
        }
        if self.chance(5) {
            // Settled before its row was known, or after it was forgotten.
            let wish = self.new_wish();
            self.wishes.push(wish);
            let order = OrderId(self.id());
            settled.push(Settled {
                reservation: wish.0,
                order,
            });
        }
        let mirror = self.rows[index].mirror(buyer_units, settled);
        self.old_mirrors.push(mirror.clone());
        mirror
    }

    fn change_row(&mut self, index: usize) {
        let (total, paid) = (self.below(60), self.below(20));
        let (per_buyer, price) = (1 + self.below(9), 1 + self.below(10_000));
        let changes = (self.chance(25), self.chance(10), self.chance(10));
        let row = &mut self.rows[index];
        row.version += 1;
        row.paid = small(paid);
        if changes.0 {
            row.total = small(total);
        }
        if changes.1 {
            row.per_buyer = small(per_buyer);
        }
        if changes.2 {
            row.price = euros(price);
        }
    }

    /// A row to be published: with new words, an old one, or one that is new to the show.
    pub(crate) fn published(&mut self) -> ListingRow {
        if self.rows.len() < 6 && self.chance(30) {
            let position = self.rows.len() as u64;
            let row = self.new_row(position, 5);
            self.rows.push(row);
        }
        let (index, _) = self.row_index();
        if self.chance(70) {
            self.change_row(index);
        }
        if self.chance(40) {
            self.rows[index].title = format!("Title {}", self.below(5));
        }
        let mut row = self.rows[index].clone();
        if self.chance(20) {
            row.version = row.version.saturating_sub(2);
        }
        row
    }

    /// Events of others.
    pub(crate) fn events(&mut self, ends: bool) -> Vec<Event> {
        let mut events = Vec::new();
        for _ in 0..1 + self.below(3) {
            let seconds = small(self.below(30));
            events.push(Event::SlowModeChanged { seconds });
        }
        if self.chance(50) {
            let mut listings: Vec<_> = self.rows.iter().map(|row| row.id).collect();
            self.dice.shuffle(&mut listings);
            if self.chance(30) {
                listings.truncate(1);
            }
            if self.chance(10) {
                listings.push(listings[0]);
            }
            if self.chance(10) {
                listings.push(ListingId(self.id()));
            }
            events.push(Event::ListingsOrdered { listings });
        }
        if ends {
            let state = ShowState::Ended;
            events.insert(1, Event::ShowStateChanged { state });
        }
        events
    }
}
