//! The judge. It keeps its own books from what buyers, hosts and the show's log were told, from
//! what the ledger committed and from the provider's books, recounts, and complains. It shares no
//! decision with core: it uses core's types as messages only.

use std::collections::BTreeMap;

use vetrina_core::hot::HotOutput;
use vetrina_protocol::id::{ListingId, OrderId, ReservationId, UserId};
use vetrina_protocol::money::Money;
use vetrina_protocol::time::UnixMs;
use vetrina_protocol::view::{OrderState, Reservation, ReservationState, Stock, WaitlistPlace};

macro_rules! claim {
    ($holds:expr, $($complaint:tt)*) => {
        if !$holds {
            return Err(format!($($complaint)*));
        }
    };
}

mod orders;
mod recovery;

pub(crate) type Verdict = Result<(), String>;

pub(crate) struct Oracle {
    /// Nothing is ever lost or late in this run: every promise must be kept to the unit.
    strict: bool,
    fence_ms: i64,
    shelves: BTreeMap<ListingId, Shelf>,
    told: BTreeMap<ReservationId, Told>,
    queues: BTreeMap<ListingId, Vec<Waiter>>,
    departed: BTreeMap<(ListingId, UserId), Departure>,
    orders: BTreeMap<OrderId, ToldOrder>,
    units: BTreeMap<(ListingId, UserId), Units>,
    closed: bool,
    pub(crate) grants: u64,
    pub(crate) offers: u64,
    pub(crate) reclaims: u64,
}

struct Shelf {
    total: u32,
    per_buyer: u32,
    units: Units,
}

/// Units aside by open reservations, and in orders that hold them.
#[derive(Default, Clone, Copy)]
struct Units {
    open: u32,
    held: u32,
}

struct Told {
    buyer: UserId,
    listing: ListingId,
    quantity: u32,
    price: Money,
    state: ReservationState,
    expires_at: UnixMs,
    fenced_until: UnixMs,
    changed_at: UnixMs,
    /// The order that the ledger made of it.
    order: Option<OrderId>,
    /// Counted in `Units::open`.
    counted: bool,
    /// A crash lost it: its id may be granted again to a retry.
    lost: bool,
}

impl Told {
    fn is_open(&self) -> bool {
        matches!(
            self.state,
            ReservationState::Reserved | ReservationState::CheckingOut
        )
    }
}

struct Waiter {
    buyer: UserId,
    quantity: u32,
    joined_at: UnixMs,
}

struct Departure {
    at: UnixMs,
    was_head: bool,
    quantity: u32,
}

struct ToldOrder {
    buyer: UserId,
    lines: Vec<(ListingId, u32)>,
    state: OrderState,
    holds: bool,
    restock: Option<bool>,
    total: Money,
}

impl Oracle {
    pub(crate) fn new(strict: bool, fence_ms: i64) -> Self {
        Self {
            strict,
            fence_ms,
            shelves: BTreeMap::new(),
            told: BTreeMap::new(),
            queues: BTreeMap::new(),
            departed: BTreeMap::new(),
            orders: BTreeMap::new(),
            units: BTreeMap::new(),
            closed: false,
            grants: 0,
            offers: 0,
            reclaims: 0,
        }
    }

    pub(crate) fn stocked(&mut self, listing: ListingId, total: u32, per_buyer: u32) {
        self.queues.insert(listing, Vec::new());
        let units = Units::default();
        self.shelves.insert(
            listing,
            Shelf {
                total,
                per_buyer,
                units,
            },
        );
    }

    pub(crate) fn selling_closed(&mut self) {
        self.closed = true;
    }

    pub(crate) fn total_set(&mut self, listing: ListingId, total: u32) -> Verdict {
        let shelf = self.shelves.get_mut(&listing).ok_or("a total of nothing")?;
        shelf.total = total;
        let Units { open, held } = shelf.units;
        claim!(
            held <= total,
            "total of {listing} set to {total}, {held} are in orders"
        );
        claim!(
            !self.strict || open + held <= total,
            "total of {listing} set to {total}, {open} are reserved and {held} in orders"
        );
        Ok(())
    }

    /// Something that the hot store told.
    pub(crate) fn hear(&mut self, now: UnixMs, output: &HotOutput) -> Verdict {
        match output {
            HotOutput::StockChanged { listing, stock } => self.hear_stock(*listing, stock),
            HotOutput::ReservationChanged {
                buyer, reservation, ..
            } => self.hear_reservation(now, *buyer, reservation),
            HotOutput::WaitlistOffer {
                buyer, reservation, ..
            } => self.hear_offer(now, *buyer, reservation),
            HotOutput::WaitlistChanged {
                buyer,
                listing,
                place: Some(place),
            } => self.hear_place(now, *buyer, *listing, *place),
            HotOutput::WaitlistChanged {
                buyer,
                listing,
                place: None,
            } => self.hear_departure(now, *buyer, *listing),
        }
    }

    fn hear_stock(&mut self, listing: ListingId, stock: &Stock) -> Verdict {
        let shelf = &self.shelves[&listing];
        let sum = u64::from(stock.reserved) + u64::from(stock.claimed) + u64::from(stock.available);
        claim!(
            sum == u64::from(stock.total),
            "{listing}: {stock:?} does not add up"
        );
        claim!(
            stock.paid <= stock.claimed,
            "{listing}: {stock:?} has more paid than claimed"
        );
        let waiting = self.queues[&listing].len();
        claim!(
            stock.waiting as usize == waiting,
            "{listing}: {stock:?}, but {waiting} wait"
        );
        let Units { open, held } = shelf.units;
        claim!(
            !self.strict || stock.reserved + stock.claimed >= open + held,
            "{listing}: {stock:?} offers units that are gone: {open} reserved, {held} in orders"
        );
        Ok(())
    }

    fn hear_reservation(&mut self, now: UnixMs, buyer: UserId, heard: &Reservation) -> Verdict {
        let Some(told) = self.told.get(&heard.id).filter(|told| !told.lost) else {
            return self.hear_grant(now, buyer, heard);
        };
        let id = heard.id;
        claim!(told.buyer == buyer, "{id} went to another buyer");
        claim!(
            (told.listing, told.quantity, told.price)
                == (heard.listing, heard.quantity, heard.unit_price),
            "{id} became {heard:?}"
        );
        use ReservationState as S;
        match (told.state, heard.state) {
            (S::Reserved, S::Reserved) => {
                claim!(heard.expires_at_ms >= told.expires_at, "{id} was shortened");
            }
            (S::Reserved, S::Released) => {}
            (S::Reserved | S::CheckingOut, S::Expired) => {
                claim!(now >= told.expires_at, "{id} expired before its time");
                let fenced = told.state == S::CheckingOut && now < told.fenced_until;
                // A late payment's units have no time of their own.
                let returned = told.expires_at <= now && told.order.is_none();
                claim!(!fenced || returned, "{id} expired while being checked out");
            }
            (S::Reserved | S::CheckingOut, S::CheckingOut) => {}
            // Refused by the ledger or given up by the fence.
            (S::CheckingOut, S::Reserved) => {
                claim!(
                    !self.strict || told.order.is_none(),
                    "{id} is in an order and came back"
                );
            }
            (S::Reserved | S::CheckingOut | S::Expired | S::Released, S::Claimed) => {
                claim!(
                    told.order.is_some(),
                    "{id} is said to be claimed, no order has it"
                );
                claim!(
                    told.order == heard.order,
                    "{id} is in another order: {heard:?}"
                );
            }
            (before, after) => return Err(format!("{id} went from {before:?} to {after:?}")),
        }
        self.set(now, id, heard.state, heard.expires_at_ms);
        Ok(())
    }

    fn hear_grant(&mut self, now: UnixMs, buyer: UserId, heard: &Reservation) -> Verdict {
        let waiting = self.queues[&heard.listing].len();
        claim!(
            waiting == 0,
            "overtaken: {buyer} got {heard:?}, {waiting} queue before"
        );
        let late_payment = heard.state == ReservationState::CheckingOut;
        claim!(
            late_payment || !self.closed,
            "{buyer} got {heard:?} after the show's end"
        );
        self.record(now, buyer, heard)
    }

    fn hear_offer(&mut self, now: UnixMs, buyer: UserId, heard: &Reservation) -> Verdict {
        let again = self.told.get(&heard.id).is_some_and(|told| !told.lost);
        claim!(!again, "{} was offered twice", heard.id);
        let departure = self.departed.get(&(heard.listing, buyer));
        let first = departure.filter(|left| left.was_head && left.at == now);
        let Some(departure) = first else {
            return Err(format!(
                "overtaken: {buyer} was offered {heard:?} out of turn"
            ));
        };
        claim!(
            departure.quantity == heard.quantity,
            "{buyer} was offered {heard:?}"
        );
        self.offers += 1;
        self.record(now, buyer, heard)
    }

    fn record(&mut self, now: UnixMs, buyer: UserId, heard: &Reservation) -> Verdict {
        self.grants += 1;
        let before = self.told.get(&heard.id);
        let told = Told {
            buyer,
            listing: heard.listing,
            quantity: heard.quantity,
            price: heard.unit_price,
            state: heard.state,
            expires_at: heard.expires_at_ms,
            fenced_until: now,
            changed_at: now,
            // A claim that was under way during the loss may have found its order meanwhile.
            order: before.and_then(|told| told.order),
            counted: false,
            lost: false,
        };
        self.told.insert(heard.id, told);
        self.set(now, heard.id, heard.state, heard.expires_at_ms);
        let shelf = &self.shelves[&heard.listing];
        let Units { open, held } = self.units[&(heard.listing, buyer)];
        claim!(
            !self.strict || open + held <= shelf.per_buyer,
            "{buyer} has {open} + {held} of {}, the limit is {}",
            heard.listing,
            shelf.per_buyer
        );
        let Units { open, held } = shelf.units;
        claim!(
            !self.strict || open + held <= shelf.total,
            "{open} + {held} of {} are given away, there are {}",
            heard.listing,
            shelf.total
        );
        Ok(())
    }

    fn hear_place(
        &mut self,
        now: UnixMs,
        buyer: UserId,
        listing: ListingId,
        place: WaitlistPlace,
    ) -> Verdict {
        let queue = self.queues.get_mut(&listing).ok_or("a queue for nothing")?;
        let index = queue
            .iter()
            .position(|waiter| waiter.buyer == buyer)
            .unwrap_or(queue.len());
        claim!(
            place.position as usize == index + 1,
            "{buyer} is told {place:?}, and stands at {index} of {}",
            queue.len()
        );
        if index == queue.len() {
            claim!(!self.closed, "{buyer} may queue after the show's end");
            queue.push(Waiter {
                buyer,
                quantity: place.quantity,
                joined_at: now,
            });
        }
        Ok(())
    }

    fn hear_departure(&mut self, now: UnixMs, buyer: UserId, listing: ListingId) -> Verdict {
        let queue = self.queues.get_mut(&listing).ok_or("a queue for nothing")?;
        let Some(index) = queue.iter().position(|waiter| waiter.buyer == buyer) else {
            return Err(format!("{buyer} left a queue it was not in"));
        };
        let waiter = queue.remove(index);
        let departure = Departure {
            at: now,
            was_head: index == 0,
            quantity: waiter.quantity,
        };
        self.departed.insert((listing, buyer), departure);
        Ok(())
    }

    /// What a buyer who reads the own state anew is told.
    pub(crate) fn mine(&self, buyer: UserId, mine: &[Reservation]) -> Verdict {
        for heard in mine {
            let told = self.told.get(&heard.id);
            let same = told.is_some_and(|told| {
                told.buyer == buyer
                    && !told.lost
                    && (told.state, told.expires_at) == (heard.state, heard.expires_at_ms)
            });
            claim!(same, "{buyer} reads {heard:?}, which was never told");
        }
        Ok(())
    }

    /// How many reservations should be open.
    pub(crate) fn open(&self) -> usize {
        let open = [ReservationState::Reserved, ReservationState::CheckingOut];
        self.told
            .values()
            .filter(|told| open.contains(&told.state))
            .count()
    }

    fn set(&mut self, now: UnixMs, id: ReservationId, state: ReservationState, expires_at: UnixMs) {
        let told = self.told.get_mut(&id).expect("only known ones are set");
        if state == ReservationState::CheckingOut {
            told.fenced_until = now.plus_ms(self.fence_ms);
        }
        told.state = state;
        told.expires_at = expires_at;
        told.changed_at = now;
        self.count(id);
    }

    /// The one place that counts open units.
    fn count(&mut self, id: ReservationId) {
        let told = self.told.get_mut(&id).expect("only known ones are counted");
        let counts = told.is_open() && told.order.is_none();
        let (listing, buyer, quantity) = (told.listing, told.buyer, told.quantity);
        let counted = std::mem::replace(&mut told.counted, counts);
        let own = self.units.entry((listing, buyer)).or_default();
        let all = &mut self
            .shelves
            .get_mut(&listing)
            .expect("it was stocked")
            .units;
        for units in [own, all] {
            match (counted, counts) {
                (false, true) => units.open += quantity,
                (true, false) => units.open -= quantity,
                _ => {}
            }
        }
    }
}
