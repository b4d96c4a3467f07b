//! The facts of a show's log, and the private facts of one buyer and of the seller's desk.
//! A client ignores events and fields that it does not know.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::id::{CommentId, ListingId, UserId};
use crate::money::Money;
use crate::time::{MediaTime, Offset, UnixMs};
use crate::view::{
    Comment, DeskOrder, DeskReservation, Listing, Order, Pin, Reservation, ShowState, Stock,
    WaitlistPlace,
};

/// One numbered fact that all viewers of a show agree on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS, JsonSchema)]
pub struct LoggedEvent {
    /// Its number.
    pub offset: Offset,
    /// When it was decided.
    pub at_ms: UnixMs,
    /// What.
    pub event: Event,
}

/// What happened. Stock and price may be conflated (only the latest within the batch is sent);
/// comments, pins, moderation and show state never are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS, JsonSchema)]
#[serde(tag = "type")]
#[ts(optional_fields)]
pub enum Event {
    /// The show went live, was interrupted, ended...
    ShowStateChanged {
        /// Now.
        state: ShowState,
    },
    /// A listing was added or replaced as a whole.
    ListingChanged {
        /// As it is now.
        listing: Listing,
    },
    /// The run of show has a new order.
    ListingsOrdered {
        /// All of them, first to last.
        listings: Vec<ListingId>,
    },
    /// A listing is on screen.
    Pinned {
        /// Which, and from which frame on.
        pin: Pin,
    },
    /// Nothing is on screen.
    Unpinned {
        /// From which frame on; none: at once.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        media_time: Option<MediaTime>,
    },
    /// Units changed.
    StockChanged {
        /// Of what.
        listing: ListingId,
        /// Now, absolute.
        stock: Stock,
    },
    /// The price of future reservations changed.
    PriceChanged {
        /// Of what.
        listing: ListingId,
        /// Now.
        price: Money,
    },
    /// Somebody said something.
    Commented {
        /// What.
        comment: Comment,
    },
    /// A comment is gone; take it off the screen.
    CommentDeleted {
        /// Which.
        comment: CommentId,
    },
    /// A person may no longer comment, or may again. Their earlier comments go off the screen.
    ViewerMuted {
        /// Whom.
        viewer: UserId,
        /// `false`: may again.
        muted: bool,
    },
    /// Least time between two comments of one viewer.
    SlowModeChanged {
        /// Seconds; 0: off.
        seconds: u32,
    },
}

/// A fact for one buyer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS, JsonSchema)]
#[serde(tag = "type")]
#[ts(optional_fields)]
#[expect(
    clippy::large_enum_variant,
    reason = "short-lived: encoded once and dropped"
)]
pub enum PrivateEvent {
    /// A reservation was made, extended, released, checked out, or expired.
    ReservationChanged {
        /// As it is now.
        reservation: Reservation,
    },
    /// An order changed.
    OrderChanged {
        /// As it is now.
        order: Order,
    },
    /// Units returned and this buyer is the head of the queue: here is a reservation.
    WaitlistOffer {
        /// To be checked out before it expires.
        reservation: Reservation,
    },
    /// The buyer's place in a queue changed; none: not in it any more.
    WaitlistChanged {
        /// For what.
        listing: ListingId,
        /// Now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        place: Option<WaitlistPlace>,
    },
}

/// A fact for the seller's desk: hosts, moderators and fulfilment of the show.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS, JsonSchema)]
#[serde(tag = "type")]
#[expect(
    clippy::large_enum_variant,
    reason = "short-lived: encoded once and dropped"
)]
pub enum DeskEvent {
    /// Some buyer's reservation changed.
    ReservationChanged {
        /// Whose, and as it is now.
        entry: DeskReservation,
    },
    /// Some buyer's order changed.
    OrderChanged {
        /// Whose, and as it is now.
        entry: DeskOrder,
    },
}
