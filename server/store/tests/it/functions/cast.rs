//! Who does what at random, from a seed: buyers, a host, and a ledger that is sometimes late,
//! sometimes early and sometimes repeats itself.

mod ledger;

use std::collections::BTreeMap;

use vetrina_core::hot::{CheckoutOutcome, HotCommand, Mirror, OrderedUnits, Reserve};
use vetrina_protocol::id::{ListingId, OrderId, ProductId, ReservationId, ShowId, SkuId, UserId};
use vetrina_protocol::money::{Currency, Money};
use vetrina_protocol::time::{MediaTime, UnixMs};
use vetrina_store::ledger::ListingRow;

use crate::conformance::Dice;

/// What a random command may name.
pub(crate) struct Cast {
    pub(crate) dice: Dice,
    pub(crate) show: ShowId,
    pub(crate) rows: Vec<ListingRow>,
    /// Mirrors that were sent before, to be sent again.
    old_mirrors: Vec<Mirror>,
    pub(crate) buyers: Vec<UserId>,
    wishes: Vec<(ReservationId, UserId, ListingId, u32)>,
    orders: Vec<(OrderId, UserId, Vec<ReservationId>)>,
    owned: BTreeMap<(ListingId, UserId), u32>,
    quantity_max: u64,
    /// Ids are scattered, so that their order is not the order of their making.
    fresh: u64,
}

impl Cast {
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let show = ShowId(u128::from(dice.next()) << 64 | u128::from(seed));
        let listings = 1 + dice.below(4);
        let (buyers, units) = (3 + dice.below(40), 1 + dice.below(60));
        let mut cast = Self {
            show,
            rows: Vec::new(),
            old_mirrors: Vec::new(),
            buyers: Vec::new(),
            wishes: Vec::new(),
            orders: Vec::new(),
            owned: BTreeMap::new(),
            quantity_max: 1 + dice.below(4),
            fresh: 0,
            dice,
        };
        cast.buyers = (0..buyers).map(|_| UserId(cast.id())).collect();
        for position in 0..listings {
            let total = 1 + cast.below(units);
            let row = cast.new_row(position, total);
            cast.rows.push(row);
        }
        cast
    }

    fn new_row(&mut self, position: u64, total: u64) -> ListingRow {
        let per_buyer = 1 + self.below(8);
        ListingRow {
            id: ListingId(self.id()),
            show: self.show,
            product: ProductId(self.id()),
            sku: SkuId(self.id()),
            title: format!("Listing {position}"),
            variant: (position == 1).then(|| "blue".to_owned()),
            description: None,
            picture: None,
            price: euros(1 + self.below(10_000)),
            per_buyer: small(per_buyer),
            position: small(position),
            total: small(total),
            claimed: 0,
            paid: 0,
            version: 1,
        }
    }

    /// From 0 to below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.dice.below(bound)
    }

    /// True in `percent` of a hundred cases.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn id(&mut self) -> u128 {
        self.fresh += 1;
        // Bytes of all values, those too that mean something in patterns.
        u128::from(self.dice.next()) << 75
            ^ u128::from(self.dice.next()) << 22
            ^ u128::from(self.fresh)
    }

    /// Milliseconds until the next batch; backwards at times.
    pub(crate) fn pause_ms(&mut self) -> i64 {
        let pause = match self.below(200) {
            0..=99 => 0,
            100..=169 => self.below(3_000),
            170..=187 => self.below(40_000),
            188..=192 => self.below(400_000),
            193 => self.below(2_000_000),
            _ => {
                let back = self.below(20_000);
                return -signed(back);
            }
        };
        signed(pause)
    }

    fn media_time(&mut self) -> Option<MediaTime> {
        self.chance(30)
            .then(|| MediaTime(u64::MAX - self.dice.next()))
    }

    fn buyer(&mut self) -> UserId {
        let index = self.below(self.buyers.len() as u64);
        self.buyers[usize::try_from(index).expect("small")]
    }

    fn listing(&mut self) -> ListingId {
        if self.chance(1) {
            return ListingId(self.id());
        }
        self.row_index().1
    }

    fn row_index(&mut self) -> (usize, ListingId) {
        let index = usize::try_from(self.below(self.rows.len() as u64)).expect("small");
        (index, self.rows[index].id)
    }

    fn new_wish(&mut self) -> (ReservationId, UserId, ListingId, u32) {
        let quantity = match self.below(60) {
            0 => 0,
            1 => 101,
            _ => 1 + small(self.below(self.quantity_max)),
        };
        let (buyer, listing) = (self.buyer(), self.listing());
        (ReservationId(self.id()), buyer, listing, quantity)
    }

    /// One that was made before, mostly a recent one; it need not have been granted.
    fn wish(&mut self) -> (ReservationId, UserId, ListingId, u32) {
        if self.wishes.is_empty() {
            return self.new_wish();
        }
        let known = self.wishes.len() as u64;
        let near = if self.chance(85) {
            known.min(30)
        } else {
            known
        };
        let back = self.below(near);
        self.wishes[usize::try_from(known - 1 - back).expect("small")]
    }

    fn bag(&mut self) -> (UserId, Vec<ReservationId>) {
        let (first, buyer, ..) = self.wish();
        let mut bag = vec![first];
        for _ in 0..self.below(3) {
            let (other, owner, ..) = self.wish();
            if (owner == buyer && !bag.contains(&other)) || self.chance(4) {
                bag.push(other);
            }
        }
        if self.chance(1) {
            bag.clear();
        }
        (buyer, bag)
    }

    /// One command of anybody.
    pub(crate) fn command(&mut self, now: UnixMs) -> HotCommand {
        match self.below(1_000) {
            0..=329 => self.reserve(),
            330..=399 => self.extend(),
            400..=519 => self.release(),
            520..=619 => self.begin(),
            620..=689 => self.end(),
            690..=719 => self.reserve_for_order(),
            720..=829 => self.join(),
            830..=869 => HotCommand::LeaveWaitlist {
                buyer: self.buyer(),
                listing: self.listing(),
            },
            870..=929 => HotCommand::Mirror(self.mirror()),
            930..=949 => HotCommand::FenceTotal {
                listing: self.listing(),
                total: small(self.below(50)),
                fence_ms: signed(self.below(150_000)),
            },
            950..=957 => HotCommand::SetTimes {
                reservation_ttl_ms: self.ttl(),
            },
            958..=961 => self.restore(now),
            _ => HotCommand::Tick,
        }
    }

    fn reserve(&mut self) -> HotCommand {
        let (reservation, mut buyer, listing, quantity) = if self.chance(12) {
            self.wish()
        } else {
            let wish = self.new_wish();
            self.wishes.push(wish);
            wish
        };
        if self.chance(2) {
            buyer = self.buyer();
        }
        HotCommand::Reserve(Reserve {
            reservation,
            buyer,
            buyer_name: if self.chance(10) {
                ""
            } else {
                "Ada Ängström"
            }
            .into(),
            listing,
            quantity,
            media_time: self.media_time(),
        })
    }

    fn extend(&mut self) -> HotCommand {
        let (reservation, buyer, ..) = self.wish();
        HotCommand::Extend { reservation, buyer }
    }

    fn release(&mut self) -> HotCommand {
        let (reservation, owner, ..) = self.wish();
        let buyer = if self.chance(5) { self.buyer() } else { owner };
        HotCommand::Release { reservation, buyer }
    }

    fn order(&mut self) -> Option<(OrderId, UserId, Vec<ReservationId>)> {
        let known = self.orders.len() as u64;
        if known == 0 {
            return None;
        }
        let back = self.below(known.min(12));
        let index = usize::try_from(known - 1 - back).expect("small");
        Some(self.orders[index].clone())
    }

    fn begin(&mut self) -> HotCommand {
        let again = if self.chance(20) { self.order() } else { None };
        let (order, buyer, reservations) = again.unwrap_or_else(|| {
            let (buyer, bag) = self.bag();
            (OrderId(self.id()), buyer, bag)
        });
        self.orders.push((order, buyer, reservations.clone()));
        HotCommand::BeginCheckout {
            order,
            buyer,
            reservations,
            fence_ms: signed(self.below(130_000)),
        }
    }

    fn end(&mut self) -> HotCommand {
        let Some((mut order, _, reservations)) = self.order() else {
            return HotCommand::Tick;
        };
        if self.chance(3) {
            order = OrderId(self.id());
        }
        let claimed = self.chance(50);
        HotCommand::EndCheckout {
            order,
            reservations,
            outcome: if claimed {
                CheckoutOutcome::Claimed
            } else {
                CheckoutOutcome::Failed
            },
        }
    }

    fn reserve_for_order(&mut self) -> HotCommand {
        let buyer = self.buyer();
        let order = OrderId(self.id());
        let mut lines = Vec::new();
        for _ in 0..1 + self.below(3) {
            let (reservation, _, listing, quantity) = if self.chance(10) {
                self.wish()
            } else {
                self.new_wish()
            };
            self.wishes.push((reservation, buyer, listing, quantity));
            lines.push(OrderedUnits {
                reservation,
                listing,
                quantity,
                unit_price: euros(1 + self.below(500)),
            });
        }
        let bag = lines.iter().map(|line| line.reservation).collect();
        self.orders.push((order, buyer, bag));
        HotCommand::ReserveForOrder {
            order,
            buyer,
            buyer_name: "Rosa".into(),
            lines,
            fence_ms: signed(self.below(130_000)),
        }
    }

    fn join(&mut self) -> HotCommand {
        let (reservation, buyer, listing, quantity) = if self.chance(12) {
            self.wish()
        } else {
            let wish = self.new_wish();
            self.wishes.push(wish);
            wish
        };
        HotCommand::JoinWaitlist {
            reservation,
            buyer,
            buyer_name: "Bea".into(),
            listing,
            quantity,
        }
    }
}

fn euros(amount_minor: u64) -> Money {
    Money::new(signed(amount_minor), Currency::EUR)
}

fn small(number: u64) -> u32 {
    u32::try_from(number).expect("small")
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).expect("small")
}
