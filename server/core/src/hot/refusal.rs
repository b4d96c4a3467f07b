//! Everything the hot store refuses, with its words: one table, so that a store which decides
//! elsewhere (Redis Functions) says the very same.

use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::view::ReservationState;
use vetrina_protocol::{BAG_LINES_MAX, QUANTITY_MAX};

use crate::limits::LISTINGS_MAX;
use crate::refused::Refused;

/// Why a command was not granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HotRefusal {
    /// The id was used for another request.
    KeyReused,
    /// Selling is closed.
    NotLive,
    /// Not from 1 to [`QUANTITY_MAX`].
    Quantity(u32),
    /// More than one buyer may have of a listing.
    BuyerLimit {
        /// That many.
        per_buyer: u32,
        /// What the buyer has.
        units: u32,
    },
    /// Others queue.
    WaitlistFirst {
        /// That many.
        waiting: u32,
    },
    /// Nothing is free.
    SoldOut,
    /// Less is free than was asked for.
    TooFew {
        /// That many.
        available: u32,
    },
    /// Too many open reservations in the show.
    ShowFull,
    /// Too many open reservations of one buyer.
    BuyerFull {
        /// That many.
        open: u32,
    },
    /// A bag is empty, too long, or names a reservation twice.
    Bag,
    /// No such reservation, or another buyer's: which of them is not told.
    Unknown,
    /// Extended as often as allowed.
    ExtensionLimit,
    /// Not simply reserved; the state says why.
    Closed(ReservationState),
    /// Units are free: no need to queue.
    UnitsFree {
        /// That many.
        available: u32,
    },
    /// The queue is full.
    QueueFull,
    /// In this queue with another wish.
    AlreadyWaiting,
    /// Not in this queue.
    NotWaiting,
    /// A total below what is reserved and sold.
    BelowCommitted {
        /// That many.
        committed: u64,
    },
    /// The show has too many listings.
    ListingsFull,
}

impl From<HotRefusal> for Refused {
    fn from(refusal: HotRefusal) -> Self {
        use RefusalCode as Code;
        match refusal {
            HotRefusal::KeyReused => Self::new(
                Code::KeyReused,
                "key: it was used for another request; use a new key for a new request",
            ),
            HotRefusal::NotLive => Self::new(
                Code::NotLive,
                "the show has ended; nothing is sold any more",
            ),
            HotRefusal::Quantity(quantity) => Self::new(
                Code::Invalid,
                format!("quantity: must be from 1 to {QUANTITY_MAX}, not {quantity}"),
            ),
            HotRefusal::BuyerLimit { per_buyer, units } => Self::new(
                Code::BuyerLimit,
                format!("one buyer may have {per_buyer} of this listing, and you have {units}"),
            ),
            HotRefusal::WaitlistFirst { waiting } => Self::new(
                Code::WaitlistFirst,
                format!("{waiting} buyers queue before you; join the waitlist"),
            ),
            HotRefusal::SoldOut => Self::new(Code::SoldOut, "sold out; join the waitlist"),
            HotRefusal::TooFew { available } => Self::new(
                Code::TooFew,
                format!("only {available} units are free; ask for at most {available}"),
            ),
            HotRefusal::ShowFull => Self::new(
                Code::Overloaded,
                "too many reservations are open in this show; try again when some are paid",
            ),
            HotRefusal::BuyerFull { open } => Self::new(
                Code::BuyerLimit,
                format!("you have {open} open reservations; check some out or release them"),
            ),
            HotRefusal::Bag => Self::new(
                Code::Invalid,
                format!("reservations: name from 1 to {BAG_LINES_MAX}, each once"),
            ),
            HotRefusal::Unknown => Self::new(
                Code::ReservationUnknown,
                "you have no such reservation in this show; read your reservations again",
            ),
            HotRefusal::ExtensionLimit => Self::new(
                Code::ExtensionLimit,
                "this reservation was extended as often as allowed; check out or let it go",
            ),
            HotRefusal::Closed(state) => closed(state),
            HotRefusal::UnitsFree { available } => Self::new(
                Code::Available,
                format!("{available} units are free: reserve instead of queueing"),
            ),
            HotRefusal::QueueFull => Self::new(Code::Overloaded, "this queue is full"),
            HotRefusal::AlreadyWaiting => Self::new(
                Code::AlreadyWaiting,
                "you are in this queue already; leave it first to ask for another number of units",
            ),
            HotRefusal::NotWaiting => Self::new(Code::NotWaiting, "you are not in this queue"),
            HotRefusal::BelowCommitted { committed } => Self::new(
                Code::BelowCommitted,
                format!("total: {committed} units are reserved or sold; set at least {committed}"),
            ),
            HotRefusal::ListingsFull => Self::new(
                Code::Overloaded,
                format!("a show has at most {LISTINGS_MAX} listings"),
            ),
        }
    }
}

fn closed(state: ReservationState) -> Refused {
    match state {
        ReservationState::Reserved | ReservationState::CheckingOut => Refused::new(
            RefusalCode::ReservationClosed,
            "this reservation is being checked out; wait for that order's answer",
        ),
        ReservationState::Claimed => Refused::new(
            RefusalCode::ReservationClosed,
            "this reservation became an order already",
        ),
        ReservationState::Released => Refused::new(
            RefusalCode::ReservationClosed,
            "this reservation was released; reserve again",
        ),
        ReservationState::Expired => Refused::new(
            RefusalCode::ReservationExpired,
            "this reservation's time ran out; reserve again",
        ),
    }
}
