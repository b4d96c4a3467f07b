//! What a client says on the channel. The first message is `Hello`; every other one is a command
//! with an `id` (echoed in the answer) and, where it has an effect, an idempotency `key`: the same
//! key with the same command repeats the first answer, with another command it is refused.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

use crate::id::{CommentId, ListingId, OrderId, ReservationId, UserId};
use crate::money::Money;
use crate::time::{Epoch, MediaTime, Offset};

/// Chosen by the client, unique among its commands in flight; echoed in `Ok`, `Refused`, `Pong`.
pub type CommandId = u32;

/// One message from a client; a frame is an array of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS, JsonSchema)]
#[serde(tag = "type")]
#[ts(optional_fields)]
pub enum ClientMessage {
    /// Opens the session; must come first, within 5 s of the upgrade.
    Hello {
        /// A JWT of this server for this show.
        token: String,
        /// Where to continue, when this client was here before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        resume: Option<Resume>,
    },
    /// Puts units aside for this buyer for the show's reservation time.
    Reserve {
        /// Echoed in the answer.
        id: CommandId,
        /// Idempotency key.
        key: String,
        /// What.
        listing: ListingId,
        /// How many, from 1 to the listing's limit per buyer.
        quantity: u32,
        /// The frame on this buyer's screen when they asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        media_time: Option<MediaTime>,
    },
    /// Asks for another reservation time, counted from now.
    ExtendReservation {
        /// Echoed in the answer.
        id: CommandId,
        /// Idempotency key.
        key: String,
        /// Which.
        reservation: ReservationId,
    },
    /// Gives the units back.
    ReleaseReservation {
        /// Echoed in the answer.
        id: CommandId,
        /// Idempotency key.
        key: String,
        /// Which.
        reservation: ReservationId,
    },
    /// Queues for a sold-out listing; the head of the queue is offered a reservation when units
    /// return.
    JoinWaitlist {
        /// Echoed in the answer.
        id: CommandId,
        /// Idempotency key.
        key: String,
        /// For what.
        listing: ListingId,
        /// How many units.
        quantity: u32,
    },
    /// Leaves that queue.
    LeaveWaitlist {
        /// Echoed in the answer.
        id: CommandId,
        /// Idempotency key.
        key: String,
        /// Which queue.
        listing: ListingId,
    },
    /// Turns reservations into one order and opens its payment.
    Checkout {
        /// Echoed in the answer.
        id: CommandId,
        /// Idempotency key.
        key: String,
        /// The bag: from 1 to 20 reservations of this buyer.
        reservations: Vec<ReservationId>,
        /// Where to send it. Seen by this buyer and the fulfilment role only.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        delivery: Option<Delivery>,
    },
    /// `Reserve` and `Checkout` of that one reservation in one step.
    BuyNow {
        /// Echoed in the answer.
        id: CommandId,
        /// Idempotency key.
        key: String,
        /// What.
        listing: ListingId,
        /// How many.
        quantity: u32,
        /// Where to send it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        delivery: Option<Delivery>,
        /// The frame on this buyer's screen when they asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        media_time: Option<MediaTime>,
    },
    /// Gives up an unpaid order; its units return once the provider confirmed the cancellation.
    CancelOrder {
        /// Echoed in the answer.
        id: CommandId,
        /// Idempotency key.
        key: String,
        /// Which.
        order: OrderId,
    },
    /// Says something to everybody.
    Comment {
        /// Echoed in the answer.
        id: CommandId,
        /// Idempotency key.
        key: String,
        /// From 1 to 300 characters after trimming.
        text: String,
        /// The frame on this viewer's screen when they said it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        media_time: Option<MediaTime>,
    },
    /// A heart or the like; counted, not logged, never answered with more than `Ok`.
    React {
        /// Echoed in the answer.
        id: CommandId,
        /// Which.
        reaction: Reaction,
    },
    /// Asks for the server's time.
    Ping {
        /// Echoed in `Pong`.
        id: CommandId,
    },
    /// Replaces the token of this session before it expires. Same person, same show.
    RefreshToken {
        /// Echoed in the answer.
        id: CommandId,
        /// The new JWT.
        token: String,
    },
    /// Host: opens the show for sale. Publishing video does the same.
    StartShow {
        /// Echoed in the answer.
        id: CommandId,
        /// Idempotency key.
        key: String,
    },
    /// Host: puts a listing on screen.
    Pin {
        /// Echoed in the answer.
        id: CommandId,
        /// Idempotency key.
        key: String,
        /// Which.
        listing: ListingId,
        /// Back-dates the pin to a frame already shown; without it the newest frame at the server.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        media_time: Option<MediaTime>,
    },
    /// Host: takes the pinned listing off the screen.
    Unpin {
        /// Echoed in the answer.
        id: CommandId,
        /// Idempotency key.
        key: String,
    },
    /// Host: sets how many units the show may sell in all. Refused below reserved + claimed.
    SetStock {
        /// Echoed in the answer.
        id: CommandId,
        /// Idempotency key.
        key: String,
        /// Which.
        listing: ListingId,
        /// The new total.
        total: u32,
    },
    /// Host: sets the price of future reservations.
    SetPrice {
        /// Echoed in the answer.
        id: CommandId,
        /// Idempotency key.
        key: String,
        /// Which.
        listing: ListingId,
        /// The new price, in the show's currency.
        price: Money,
    },
    /// Host: orders the run of show. Listings not named keep their order after the named ones.
    OrderListings {
        /// Echoed in the answer.
        id: CommandId,
        /// Idempotency key.
        key: String,
        /// In this order.
        listings: Vec<ListingId>,
    },
    /// Host: ends the show for good. Reservations may still be paid until they expire.
    EndShow {
        /// Echoed in the answer.
        id: CommandId,
        /// Idempotency key.
        key: String,
    },
    /// Host or moderator: removes a comment everywhere.
    DeleteComment {
        /// Echoed in the answer.
        id: CommandId,
        /// Idempotency key.
        key: String,
        /// Which.
        comment: CommentId,
    },
    /// Host or moderator: stops a person's comments in this show, or allows them again.
    MuteViewer {
        /// Echoed in the answer.
        id: CommandId,
        /// Idempotency key.
        key: String,
        /// Whom.
        viewer: UserId,
        /// `true` mutes (the default), `false` allows again.
        #[serde(default = "yes")]
        muted: bool,
    },
    /// Host or moderator: least time between two comments of one viewer; 0 turns it off.
    SlowMode {
        /// Echoed in the answer.
        id: CommandId,
        /// Idempotency key.
        key: String,
        /// From 0 to 300.
        seconds: u32,
    },
}

fn yes() -> bool {
    true
}

/// The last position a client has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS, JsonSchema)]
pub struct Resume {
    /// From the last `Welcome`.
    pub epoch: Epoch,
    /// `to` of the last `Events` seen, or `offset` of the last `Welcome`.
    pub offset: Offset,
}

/// Reactions are counted per kind and shown as a flow, not as a list.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, TS, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Reaction {
    /// A heart.
    Heart,
    /// Applause.
    Clap,
    /// Fire.
    Fire,
    /// Laughter.
    Laugh,
}

/// Where an order goes. Never part of a broadcast; given back to its buyer and to fulfilment only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, TS, JsonSchema, ToSchema)]
#[ts(optional_fields)]
pub struct Delivery {
    /// Name on the parcel, at most 100 characters.
    pub name: String,
    /// For the receipt, at most 254 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Street, number and so on: from 1 to 4 lines of at most 100 characters.
    pub lines: Vec<String>,
    /// At most 20 characters.
    pub postcode: String,
    /// At most 100 characters.
    pub city: String,
    /// ISO 3166-1 alpha-2, such as IT.
    pub country: String,
}

/// A delivery address is personal: debug output, and so every log, shows only that there is one.
impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Delivery(withheld)")
    }
}

impl ClientMessage {
    /// The id to echo; `None` for `Hello`.
    #[must_use]
    pub fn id(&self) -> Option<CommandId> {
        match self {
            Self::Hello { .. } => None,
            Self::Reserve { id, .. }
            | Self::ExtendReservation { id, .. }
            | Self::ReleaseReservation { id, .. }
            | Self::JoinWaitlist { id, .. }
            | Self::LeaveWaitlist { id, .. }
            | Self::Checkout { id, .. }
            | Self::BuyNow { id, .. }
            | Self::CancelOrder { id, .. }
            | Self::Comment { id, .. }
            | Self::React { id, .. }
            | Self::Ping { id }
            | Self::RefreshToken { id, .. }
            | Self::StartShow { id, .. }
            | Self::Pin { id, .. }
            | Self::Unpin { id, .. }
            | Self::SetStock { id, .. }
            | Self::SetPrice { id, .. }
            | Self::OrderListings { id, .. }
            | Self::EndShow { id, .. }
            | Self::DeleteComment { id, .. }
            | Self::MuteViewer { id, .. }
            | Self::SlowMode { id, .. } => Some(*id),
        }
    }

    /// Replaces the id; `Hello` has none. For comparing messages but for their ids.
    pub fn set_id(&mut self, new: CommandId) {
        match self {
            Self::Hello { .. } => {}
            Self::Reserve { id, .. }
            | Self::ExtendReservation { id, .. }
            | Self::ReleaseReservation { id, .. }
            | Self::JoinWaitlist { id, .. }
            | Self::LeaveWaitlist { id, .. }
            | Self::Checkout { id, .. }
            | Self::BuyNow { id, .. }
            | Self::CancelOrder { id, .. }
            | Self::Comment { id, .. }
            | Self::React { id, .. }
            | Self::Ping { id }
            | Self::RefreshToken { id, .. }
            | Self::StartShow { id, .. }
            | Self::Pin { id, .. }
            | Self::Unpin { id, .. }
            | Self::SetStock { id, .. }
            | Self::SetPrice { id, .. }
            | Self::OrderListings { id, .. }
            | Self::EndShow { id, .. }
            | Self::DeleteComment { id, .. }
            | Self::MuteViewer { id, .. }
            | Self::SlowMode { id, .. } => *id = new,
        }
    }

    /// The idempotency key; `None` for messages without a lasting effect.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Hello { .. }
            | Self::React { .. }
            | Self::Ping { .. }
            | Self::RefreshToken { .. } => None,
            Self::Reserve { key, .. }
            | Self::ExtendReservation { key, .. }
            | Self::ReleaseReservation { key, .. }
            | Self::JoinWaitlist { key, .. }
            | Self::LeaveWaitlist { key, .. }
            | Self::Checkout { key, .. }
            | Self::BuyNow { key, .. }
            | Self::CancelOrder { key, .. }
            | Self::Comment { key, .. }
            | Self::StartShow { key, .. }
            | Self::Pin { key, .. }
            | Self::Unpin { key, .. }
            | Self::SetStock { key, .. }
            | Self::SetPrice { key, .. }
            | Self::OrderListings { key, .. }
            | Self::EndShow { key, .. }
            | Self::DeleteComment { key, .. }
            | Self::MuteViewer { key, .. }
            | Self::SlowMode { key, .. } => Some(key),
        }
    }
}
