//! The hot store's state machine, command by command, through its public face. Whole lives under
//! chance are in `simulation/`.

mod buyers;
mod ledger;

use vetrina_core::hot::{
    BuyerUnits, CheckoutOutcome, HotAnswer, HotChange, HotCommand, HotOutput, Mirror, OrderedUnits,
    Reserve, Restore, Settled, ShowStock,
};
use vetrina_core::limits::{EXTENSIONS_MAX, RESERVATION_RETENTION_MS, STEP_MAX};
use vetrina_protocol::id::{ListingId, OrderId, ReservationId, UserId};
use vetrina_protocol::money::{Currency, Money};
use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::time::UnixMs;
use vetrina_protocol::view::{Reservation, ReservationState, Stock};

pub(crate) const VASE: ListingId = ListingId(1);
pub(crate) const ANNA: UserId = UserId(1);
pub(crate) const BEA: UserId = UserId(2);
pub(crate) const CARLA: UserId = UserId(3);
pub(crate) const TTL: i64 = 60_000;

/// A show at a moment.
pub(crate) struct Show {
    pub(crate) stock: ShowStock,
    pub(crate) now: i64,
    pub(crate) version: u64,
    pub(crate) outputs: Vec<HotOutput>,
}

impl Show {
    pub(crate) fn with(total: u32, per_buyer: u32) -> Self {
        let mut show = Self {
            stock: ShowStock::new(),
            now: 1_000_000,
            version: 0,
            outputs: Vec::new(),
        };
        show.mirror(|mirror| (mirror.total, mirror.per_buyer) = (total, per_buyer));
        show.restore(Vec::new());
        show.outputs.clear();
        show
    }

    pub(crate) fn run(&mut self, command: HotCommand) -> HotAnswer {
        let answer = self.stock.apply(UnixMs(self.now), command);
        self.outputs = self.stock.drain_outputs();
        self.stock.check().expect("the books add up");
        answer
    }

    pub(crate) fn mirror(&mut self, change: impl FnOnce(&mut Mirror)) {
        let stock = self.stock.stock(VASE).unwrap_or_default();
        self.version += 1;
        let mut mirror = Mirror {
            listing: VASE,
            total: stock.total,
            claimed: stock.claimed,
            paid: stock.paid,
            per_buyer: 9,
            unit_price: Money::new(500, Currency::EUR),
            version: self.version,
            buyer_units: Vec::new(),
            settled: Vec::new(),
        };
        change(&mut mirror);
        assert_eq!(self.run(HotCommand::Mirror(mirror)), HotAnswer::Done);
    }

    pub(crate) fn restore(&mut self, reservations: Vec<vetrina_core::reservation::ReservationRow>) {
        let restore = Restore {
            reservation_ttl_ms: TTL,
            selling_closed: false,
            reservations,
            waitlist: Vec::new(),
        };
        assert_eq!(self.run(HotCommand::Restore(restore)), HotAnswer::Done);
    }

    pub(crate) fn reserve(&mut self, id: u128, buyer: UserId, quantity: u32) -> HotAnswer {
        self.run(HotCommand::Reserve(Reserve {
            reservation: ReservationId(id),
            buyer,
            buyer_name: "name".to_owned(),
            listing: VASE,
            quantity,
            media_time: None,
        }))
    }

    pub(crate) fn join(&mut self, id: u128, buyer: UserId, quantity: u32) -> HotAnswer {
        self.run(HotCommand::JoinWaitlist {
            reservation: ReservationId(id),
            buyer,
            buyer_name: "name".to_owned(),
            listing: VASE,
            quantity,
        })
    }

    pub(crate) fn release(&mut self, id: u128, buyer: UserId) -> HotAnswer {
        let reservation = ReservationId(id);
        self.run(HotCommand::Release { reservation, buyer })
    }

    pub(crate) fn extend(&mut self, id: u128, buyer: UserId) -> HotAnswer {
        let reservation = ReservationId(id);
        self.run(HotCommand::Extend { reservation, buyer })
    }

    pub(crate) fn begin(&mut self, order: u128, buyer: UserId, bag: &[u128]) -> HotAnswer {
        self.run(HotCommand::BeginCheckout {
            order: OrderId(order),
            buyer,
            reservations: bag.iter().copied().map(ReservationId).collect(),
            fence_ms: 30_000,
        })
    }

    pub(crate) fn end(&mut self, order: u128, bag: &[u128], outcome: CheckoutOutcome) -> HotAnswer {
        self.run(HotCommand::EndCheckout {
            order: OrderId(order),
            reservations: bag.iter().copied().map(ReservationId).collect(),
            outcome,
        })
    }

    pub(crate) fn tick_after(&mut self, ms: i64) -> HotAnswer {
        self.now += ms;
        self.run(HotCommand::Tick)
    }

    pub(crate) fn units(&self) -> Stock {
        self.stock.stock(VASE).expect("it was mirrored")
    }

    pub(crate) fn state(&self, id: u128) -> Option<ReservationState> {
        self.stock
            .reservation(ReservationId(id))
            .map(|row| row.state)
    }

    pub(crate) fn offers(&self) -> Vec<(UserId, u128)> {
        let offer = |output: &HotOutput| match output {
            HotOutput::WaitlistOffer {
                buyer, reservation, ..
            } => Some((*buyer, reservation.id.0)),
            _ => None,
        };
        self.outputs.iter().filter_map(offer).collect()
    }
}

pub(crate) fn code(answer: &HotAnswer) -> Option<RefusalCode> {
    match answer {
        HotAnswer::Refused(refused) => Some(refused.code),
        _ => None,
    }
}

pub(crate) fn granted(answer: &HotAnswer) -> (&Reservation, bool) {
    match answer {
        HotAnswer::Reservation {
            reservation,
            repeated,
        } => (reservation, *repeated),
        other => panic!("expected a reservation, got {other:?}"),
    }
}
