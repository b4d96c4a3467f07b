//! The judge. It keeps its own books from what buyers, hosts and the show's log were told, from
//! what the ledger committed and from the provider's books, recounts, and complains. It shares no
//! decision with core: it uses core's types as messages only.

use std::collections::BTreeMap;

use vetrina_core::hot::HotOutput;
use vetrina_core::reservation::ReservationRow;
use vetrina_core::waitlist::WaitlistRow;
use vetrina_protocol::id::{ListingId, OrderId, ReservationId, UserId};
use vetrina_protocol::money::Money;
use vetrina_protocol::time::UnixMs;
use vetrina_protocol::view::{OrderState, Reservation, ReservationState, Stock, WaitlistPlace};

use crate::journal::LAG_MS;
use crate::provider::{Intent, Provider};

/// How long a closed reservation's id repeats its answer.
const RETENTION_MS: i64 = 900_000;

pub(crate) type Verdict = Result<(), String>;

macro_rules! claim {
    ($holds:expr, $($complaint:tt)*) => {
        if !$holds {
            return Err(format!($($complaint)*));
        }
    };
}

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
        if std::env::var("DBG").is_ok() {
            eprintln!("{now:?} {output:?}");
        }
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

    /// The ledger committed an order.
    pub(crate) fn claimed(
        &mut self,
        order: OrderId,
        buyer: UserId,
        bag: &[ReservationId],
        total: Money,
    ) -> Verdict {
        claim!(!self.orders.contains_key(&order), "{order} was made twice");
        let mut lines = Vec::new();
        let mut sum = 0;
        for id in bag {
            let told = self
                .told
                .get(id)
                .ok_or_else(|| format!("{order} has {id}: never given"))?;
            claim!(
                told.buyer == buyer,
                "{order} has {id}, which is another buyer's"
            );
            claim!(
                told.order.is_none(),
                "{order} has {id}, which is in {:?}",
                told.order
            );
            lines.push((told.listing, told.quantity));
            sum += told.price.amount_minor * i64::from(told.quantity);
        }
        claim!(
            sum == total.amount_minor,
            "{order} costs {total:?}, its bag {sum}"
        );
        let state = OrderState::Pending;
        let made = ToldOrder {
            buyer,
            lines,
            state,
            holds: false,
            restock: None,
            total,
        };
        self.orders.insert(order, made);
        self.attach(order, bag);
        self.hold(order, true)
    }

    /// The ledger refused a claim of units that were reserved.
    pub(crate) fn claim_refused(&self, order: OrderId, why: &str) -> Verdict {
        claim!(
            !self.strict,
            "{order} had its units reserved and was refused: {why}"
        );
        Ok(())
    }

    /// The ledger gave an order its units again.
    pub(crate) fn reclaimed(&mut self, order: OrderId, bag: &[ReservationId]) -> Verdict {
        self.reclaims += 1;
        self.attach(order, bag);
        self.hold(order, true)
    }

    pub(crate) fn refund_asked(&mut self, order: OrderId, restock: bool) {
        if let Some(told) = self.orders.get_mut(&order)
            && told.state == OrderState::Paid
        {
            told.restock = Some(restock);
        }
    }

    /// A buyer was told of an order's new state.
    pub(crate) fn order_told(
        &mut self,
        order: OrderId,
        state: OrderState,
        intent: Option<&Intent>,
    ) -> Verdict {
        let told = self
            .orders
            .get_mut(&order)
            .ok_or_else(|| format!("{order}: never made"))?;
        let before = std::mem::replace(&mut told.state, state);
        let (holds, restock) = (told.holds, told.restock);
        let charged = intent.is_some_and(|intent| intent.charges > 0);
        let canceled = intent.is_none_or(|intent| intent.canceled);
        use OrderState as S;
        match (before, state) {
            (before, after) if before == after => Ok(()),
            (S::Pending, S::Declined) => Ok(()),
            (S::Pending | S::Declined, S::Expired | S::Canceled) => {
                claim!(canceled, "{order} is {state:?}, and may still be paid");
                self.hold(order, false)
            }
            (S::Pending | S::Declined | S::Expired, S::Paid) => {
                claim!(
                    charged,
                    "{order} is said to be paid, the provider has no money"
                );
                claim!(holds, "{order} is paid and has no units");
                Ok(())
            }
            (S::Expired | S::Canceled | S::Paid, S::Refunding) => {
                claim!(charged, "{order} is refunded, and was never charged");
                claim!(
                    holds == (before == S::Paid),
                    "{order}: units do not fit {before:?}"
                );
                Ok(())
            }
            (S::Refunding, S::Refunded) => match restock {
                Some(true) => self.hold(order, false),
                _ => Ok(()),
            },
            (before, after) => Err(format!("{order} went from {before:?} to {after:?}")),
        }
    }

    pub(crate) fn refunded(&self, order: OrderId, intent: &Intent) -> Verdict {
        let refunds = intent.refunds.len();
        claim!(
            refunds <= intent.charges as usize,
            "{order} was refunded {refunds} times"
        );
        Ok(())
    }

    /// What a restart brought back: the journal's rows, before anything else happens.
    pub(crate) fn recovered(
        &mut self,
        now: UnixMs,
        crashed_at: UnixMs,
        rows: &[ReservationRow],
        waiting: &[WaitlistRow],
    ) -> Verdict {
        if std::env::var("DBG").is_ok() {
            eprintln!("RECOVER {now:?} crashed {crashed_at:?} {rows:?}");
        }
        let may_be_lost = |changed_at: UnixMs| crashed_at.since(changed_at) < LAG_MS;
        let rows: BTreeMap<_, _> = rows.iter().map(|row| (row.id, row)).collect();
        let known: Vec<_> = self.told.keys().copied().collect();
        for id in known {
            let told = &self.told[&id];
            let open = told.is_open();
            let (state, expires_at) = match rows.get(&id) {
                _ if told.order.is_some() => (ReservationState::Claimed, told.expires_at),
                Some(row) => (row.state, row.expires_at),
                None if open => (ReservationState::Expired, told.expires_at),
                None => (told.state, told.expires_at),
            };
            let same = (state, expires_at) == (told.state, told.expires_at);
            claim!(
                same || told.order.is_some() || may_be_lost(told.changed_at),
                "{id} was {:?} for long, and after the crash it is {state:?}",
                told.state
            );
            let remembered = told.lost
                || rows.contains_key(&id)
                || (!told.is_open() && now.since(told.changed_at) >= RETENTION_MS);
            claim!(
                remembered || told.order.is_some() || may_be_lost(told.changed_at),
                "{id} was {:?}, and the crash forgot it",
                told.state
            );
            if !same {
                self.set(now, id, state, expires_at);
            }
            if let Some(told) = self.told.get_mut(&id) {
                told.lost = !rows.contains_key(&id);
            }
        }
        self.recovered_queues(may_be_lost, waiting)
    }

    fn recovered_queues(
        &mut self,
        may_be_lost: impl Fn(UnixMs) -> bool,
        waiting: &[WaitlistRow],
    ) -> Verdict {
        let mut rows: Vec<_> = waiting.iter().collect();
        rows.sort_by_key(|row| (row.listing, row.sequence));
        for (listing, queue) in &mut self.queues {
            let back: Vec<_> = rows.iter().filter(|row| row.listing == *listing).collect();
            let mut after = Vec::new();
            for row in &back {
                let before = queue.iter().find(|waiter| waiter.buyer == row.buyer);
                let departure = self.departed.get(&(*listing, row.buyer));
                claim!(
                    before.is_some() || departure.is_some_and(|left| may_be_lost(left.at)),
                    "{} is back in a queue it had left for long",
                    row.buyer
                );
                let joined_at = before.map_or(UnixMs(0), |waiter| waiter.joined_at);
                let (buyer, quantity) = (row.buyer, row.quantity);
                after.push(Waiter {
                    buyer,
                    quantity,
                    joined_at,
                });
            }
            let place = |buyer| after.iter().position(|waiter| waiter.buyer == buyer);
            let kept: Vec<_> = queue
                .iter()
                .filter_map(|waiter| place(waiter.buyer))
                .collect();
            claim!(
                kept.is_sorted(),
                "the queue for {listing} was shuffled by the crash"
            );
            let lost = queue
                .iter()
                .find(|waiter| place(waiter.buyer).is_none() && !may_be_lost(waiter.joined_at));
            claim!(
                lost.is_none(),
                "a queue lost a buyer who had waited for long"
            );
            *queue = after;
        }
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

    /// Everything has come to rest: money, units and words must agree.
    pub(crate) fn at_the_end(&self, provider: &Provider, stocks: &[(ListingId, Stock)]) -> Verdict {
        for (order, intent) in &provider.intents {
            let told = self
                .orders
                .get(order)
                .ok_or_else(|| format!("{order}: an intent alone"))?;
            let (charges, refunds) = (intent.charges, intent.refunds.len());
            claim!(charges <= 1, "{order} was charged {charges} times");
            claim!(
                intent.amount == told.total,
                "{order} has another price at the provider"
            );
            let fits = match told.state {
                OrderState::Paid => charges == 1 && refunds == 0 && told.holds,
                OrderState::Refunded => charges == 1 && refunds == 1,
                OrderState::Expired | OrderState::Canceled => charges == 0 && !told.holds,
                OrderState::Pending | OrderState::Declined | OrderState::Refunding => false,
            };
            claim!(
                fits,
                "{order} ends {:?} with {charges} charges and {refunds} refunds, units: {}",
                told.state,
                told.holds
            );
        }
        for (order, told) in &self.orders {
            let intent = provider.intents.contains_key(order);
            claim!(intent || !told.holds, "{order} has units and no intent");
        }
        for (listing, stock) in stocks {
            let Units { open, held } = self.shelves[listing].units;
            claim!(open == 0, "{open} of {listing} are reserved for ever");
            claim!(
                (stock.claimed, stock.reserved) == (held, 0),
                "{listing} ends as {stock:?}, orders hold {held}"
            );
        }
        Ok(())
    }

    pub(crate) fn paid_orders(&self) -> u64 {
        self.orders
            .values()
            .filter(|told| told.state == OrderState::Paid)
            .count() as u64
    }

    pub(crate) fn refunded_orders(&self) -> u64 {
        self.orders
            .values()
            .filter(|told| told.state == OrderState::Refunded)
            .count() as u64
    }

    fn attach(&mut self, order: OrderId, bag: &[ReservationId]) {
        for id in bag {
            if let Some(told) = self.told.get_mut(id) {
                told.order = Some(order);
                self.count(*id);
            }
        }
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

    /// The one place that counts units in orders, and the check that nothing is oversold.
    fn hold(&mut self, order: OrderId, holds: bool) -> Verdict {
        let told = self
            .orders
            .get_mut(&order)
            .ok_or("an order that was never made")?;
        if std::mem::replace(&mut told.holds, holds) == holds {
            return Ok(());
        }
        for (listing, quantity) in &told.lines {
            let own = self.units.entry((*listing, told.buyer)).or_default();
            let shelf = self.shelves.get_mut(listing).expect("it was stocked");
            if !holds {
                own.held -= quantity;
                shelf.units.held -= quantity;
                continue;
            }
            own.held += quantity;
            shelf.units.held += quantity;
            let (held, total) = (shelf.units.held, shelf.total);
            claim!(
                held <= total,
                "oversold: {held} of {listing} are in orders, there are {total}"
            );
            let (owned, limit) = (own.held, shelf.per_buyer);
            claim!(
                owned <= limit,
                "{} owns {owned} of {listing}, limit {limit}",
                told.buyer
            );
        }
        Ok(())
    }
}
