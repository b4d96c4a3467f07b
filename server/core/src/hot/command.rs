//! What the hot store can be asked, what it answers, what it tells others meanwhile, and the rows
//! that a journal keeps of it. Types only: [`super::ShowStock`] decides.

use vetrina_protocol::id::{ListingId, OrderId, ReservationId, UserId};
use vetrina_protocol::money::Money;
use vetrina_protocol::time::MediaTime;
use vetrina_protocol::view::{Reservation, Stock, WaitlistPlace};

use crate::refused::Refused;
use crate::reservation::ReservationRow;
use crate::waitlist::WaitlistRow;

/// Everything that can happen to one show's stock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HotCommand {
    /// Puts units aside. Refused with `sold_out`, `too_few`, `buyer_limit`, `waitlist_first`,
    /// `not_live` (selling closed), `key_reused`, `invalid`, `overloaded`. A listing without a
    /// mirror is [`HotAnswer::NotLoaded`].
    Reserve(Reserve),
    /// A late payment ([`crate::order::OrderOutput::Reclaim`]): puts the units of all lines aside
    /// for an order that had lost them, already checking out, or none of them. Refused as
    /// `Reserve` is, but allowed after the show's end. `EndCheckout` ends it; without a claim the
    /// units return at once. A retry with the same order repeats the first answer.
    ReserveForOrder {
        /// Which order.
        order: OrderId,
        /// Whose.
        buyer: UserId,
        /// For the seller's desk.
        buyer_name: String,
        /// New reservations, one for each line of the order.
        lines: Vec<OrderedUnits>,
        /// How long the units are kept without an answer of the ledger.
        fence_ms: i64,
    },
    /// Another reservation time from now on, never a shorter one. Refused with
    /// `reservation_unknown`, `reservation_expired`, `reservation_closed`, `extension_limit`.
    Extend {
        /// Which.
        reservation: ReservationId,
        /// Whose; another buyer's is unknown.
        buyer: UserId,
    },
    /// Gives the units back. A second release repeats the answer of the first.
    Release {
        /// Which.
        reservation: ReservationId,
        /// Whose.
        buyer: UserId,
    },
    /// Before the ledger is asked to claim: all or none of the bag stop expiring until the fence
    /// passes. The same order may begin again (a retry); another one is refused
    /// `reservation_closed`.
    BeginCheckout {
        /// The order that is being tried, chosen by the caller from buyer and idempotency key, so
        /// that a retry names the same one.
        order: OrderId,
        /// Whose.
        buyer: UserId,
        /// The bag.
        reservations: Vec<ReservationId>,
        /// For how long, at most [`crate::limits::CHECKOUT_FENCE_MS_MAX`].
        fence_ms: i64,
    },
    /// The ledger answered. `Failed` is ignored for reservations that this order is not checking
    /// out; `Claimed` is a fact and never is.
    EndCheckout {
        /// As in `BeginCheckout`.
        order: OrderId,
        /// As in `BeginCheckout`.
        reservations: Vec<ReservationId>,
        /// What the ledger said. When it said nothing, ask it again: an unknown outcome is not
        /// `Failed`.
        outcome: CheckoutOutcome,
    },
    /// Queues for a sold-out listing. Refused with `available`, `already_waiting`, `buyer_limit`,
    /// `not_live`, `key_reused`, `invalid`, `overloaded`. A retry after the turn came is answered
    /// with the reservation.
    JoinWaitlist {
        /// The reservation to make when the turn comes; chosen by the caller, so that a retry
        /// names the same one.
        reservation: ReservationId,
        /// Whose.
        buyer: UserId,
        /// For the seller's desk.
        buyer_name: String,
        /// For what.
        listing: ListingId,
        /// How many units.
        quantity: u32,
    },
    /// Leaves the queue. Refused with `not_waiting`.
    LeaveWaitlist {
        /// Who.
        buyer: UserId,
        /// Which queue.
        listing: ListingId,
    },
    /// The ledger's word about one listing. Adds the listing when it is new.
    Mirror(Mirror),
    /// Before the ledger is asked to lower a total: nothing beyond `total` is granted from now on,
    /// until a mirror with that total comes or the fence passes. Refused with `below_committed`.
    FenceTotal {
        /// Of what.
        listing: ListingId,
        /// The total that will be written to the ledger.
        total: u32,
        /// For how long at most.
        fence_ms: i64,
    },
    /// The show's reservation time for reservations and extensions from now on.
    SetTimes {
        /// Clamped to the limits.
        reservation_ttl_ms: i64,
    },
    /// The show ended: nothing new is reserved or queued, the queues are emptied, their people
    /// told. Reservations live on until they are checked out or expire.
    CloseSelling,
    /// After a start or a loss: what the show is and what the journal knew. Until it came, buyers'
    /// commands are answered [`HotAnswer::NotLoaded`]. Mirror every listing first.
    Restore(Restore),
    /// Time passed: expires what is due, at most [`crate::limits::STEP_MAX`].
    Tick,
}

/// Units to put aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reserve {
    /// Chosen by the caller from show, buyer and idempotency key: the same id is the same request,
    /// and its first grant is repeated for [`crate::limits::RESERVATION_RETENTION_MS`] after the
    /// reservation closed. A refusal leaves no trace: a retry of it is decided anew.
    pub reservation: ReservationId,
    /// Whose.
    pub buyer: UserId,
    /// For the seller's desk.
    pub buyer_name: String,
    /// Of what. Its price is the mirror's at this moment.
    pub listing: ListingId,
    /// How many, from 1 to [`vetrina_protocol::QUANTITY_MAX`].
    pub quantity: u32,
    /// The frame on the buyer's screen.
    pub media_time: Option<MediaTime>,
}

/// Units that an order wants back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderedUnits {
    /// Chosen by the caller from order and line.
    pub reservation: ReservationId,
    /// Of what.
    pub listing: ListingId,
    /// How many.
    pub quantity: u32,
    /// Price of one in the order.
    pub unit_price: Money,
}

/// How a checkout ended in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckoutOutcome {
    /// The order exists. The units stay counted as reserved until the mirror that has them in
    /// `claimed` names the reservation in `settled`.
    Claimed,
    /// The ledger refused: the reservations count down as before.
    Failed,
}

/// The ledger's state of one listing: absolute, so that it may be lost, repeated and reordered.
/// Totals are taken from the newest version only. `buyer_units` and `settled` are facts that do
/// not become wrong with age, and are taken from every mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// Which.
    pub listing: ListingId,
    /// Units the show may sell.
    pub total: u32,
    /// Units promised to orders.
    pub claimed: u32,
    /// Of the claimed, paid.
    pub paid: u32,
    /// Most units of one buyer, reserved and owned together.
    pub per_buyer: u32,
    /// Price of one unit for reservations made from now on.
    pub unit_price: Money,
    /// Grows with every change of the fields above in the ledger, the price included.
    pub version: u64,
    /// Units that buyers own (pending and paid), absolute as of `version`, for those that changed;
    /// for all after a loss.
    pub buyer_units: Vec<BuyerUnits>,
    /// Reservations whose units are in `claimed`, or were before their order was cancelled: those
    /// that became order lines since the last mirror; after a loss, those of the journal's rows
    /// that the ledger knows.
    pub settled: Vec<Settled>,
}

/// Units of one listing that one buyer owns by orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuyerUnits {
    /// Who.
    pub buyer: UserId,
    /// How many.
    pub units: u32,
}

/// A reservation that became an order line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settled {
    /// Which.
    pub reservation: ReservationId,
    /// Of which order.
    pub order: OrderId,
}

/// What a show's hot state starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restore {
    /// The show's reservation time.
    pub reservation_ttl_ms: i64,
    /// The show ended.
    pub selling_closed: bool,
    /// What the journal knew; any order.
    pub reservations: Vec<ReservationRow>,
    /// What the journal knew; any order.
    pub waitlist: Vec<WaitlistRow>,
}

/// The answer to one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HotAnswer {
    /// `Reserve`, `Extend`, `Release`.
    Reservation {
        /// As it is now.
        reservation: Reservation,
        /// This command had been carried out before; nothing was done now.
        repeated: bool,
    },
    /// `BeginCheckout`, `ReserveForOrder`, `EndCheckout`: the bag as it is now, in the order asked.
    /// `EndCheckout` leaves out what is unknown.
    Bag(Vec<Reservation>),
    /// `JoinWaitlist`.
    Waiting {
        /// Where.
        place: WaitlistPlace,
        /// Was there already by the same command.
        repeated: bool,
    },
    /// Done, and nothing more to say.
    Done,
    /// `Tick`.
    Ticked {
        /// More is due already: tick again, after letting others in.
        more: bool,
    },
    /// Not granted.
    Refused(Refused),
    /// The listing's mirror or the show's `Restore` is missing: mirror, restore, and send the same
    /// command again.
    NotLoaded,
}

/// What others must hear of because of a command. In the order to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HotOutput {
    /// For the show's public log, appended in the same step. At most one per listing and command.
    StockChanged {
        /// Of what.
        listing: ListingId,
        /// Now.
        stock: Stock,
    },
    /// For the buyer and the seller's desk.
    ReservationChanged {
        /// Whose.
        buyer: UserId,
        /// Display name.
        buyer_name: String,
        /// As it is now.
        reservation: Reservation,
    },
    /// For the buyer (`WaitlistOffer`) and the seller's desk (`ReservationChanged`).
    WaitlistOffer {
        /// Whose turn came.
        buyer: UserId,
        /// Display name.
        buyer_name: String,
        /// To be checked out in time.
        reservation: Reservation,
    },
    /// For the buyer.
    WaitlistChanged {
        /// Who.
        buyer: UserId,
        /// Which queue.
        listing: ListingId,
        /// Now; none: not in it any more.
        place: Option<WaitlistPlace>,
    },
}

/// What a journal must write so that `Restore` brings this state back. The last change of a row
/// wins; changes of different rows may be written in any order, but a journal that loses its end
/// must lose a suffix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HotChange {
    /// Insert or replace. Closed reservations are rows too, until they are forgotten.
    Reservation(Box<ReservationRow>),
    /// Forgotten: delete.
    ReservationGone(ReservationId),
    /// Insert or replace.
    Waiting(WaitlistRow),
    /// Delete.
    WaitingGone {
        /// Which queue.
        listing: ListingId,
        /// Who.
        buyer: UserId,
    },
}
