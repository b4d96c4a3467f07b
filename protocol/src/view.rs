//! What a client sees of things: the nouns inside events, snapshots, answers and REST bodies.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

use crate::client::Delivery;
use crate::id::UserId;
use crate::id::{CommentId, ListingId, OrderId, ProductId, ReservationId, SellerId, ShowId, SkuId};
use crate::money::{Currency, Money};
use crate::time::{MediaTime, UnixMs};

/// What a person may do in a show.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    TS,
    JsonSchema,
    ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Watches, comments, buys. Guests are viewers.
    Viewer,
    /// Publishes, pins, prices, moderates.
    Host,
    /// Deletes comments, mutes, sets slow mode.
    Moderator,
    /// Sees orders with their delivery addresses.
    Fulfilment,
    /// Watches the machines, not the shoppers.
    Ops,
}

/// Where a show is in its life.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    TS,
    JsonSchema,
    ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ShowState {
    /// Announced; nothing can be reserved yet.
    Scheduled,
    /// On air and selling.
    Live,
    /// On air, but the publisher's video is missing; selling goes on.
    Interrupted,
    /// Over; what was reserved may still be paid.
    Ended,
    /// Over and watched from its recording.
    Replay,
}

impl ShowState {
    /// Whether it is going on, with its video or waiting for it.
    #[must_use]
    pub const fn is_on_air(self) -> bool {
        matches!(self, Self::Live | Self::Interrupted)
    }
}

/// A show as everybody sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS, JsonSchema, ToSchema)]
#[ts(optional_fields)]
pub struct Show {
    /// Id.
    pub id: ShowId,
    /// Whose.
    pub seller: SellerId,
    /// The seller's display name.
    pub seller_name: String,
    /// Title.
    pub title: String,
    /// Life cycle.
    pub state: ShowState,
    /// The one currency of its prices and orders.
    #[ts(type = "string")]
    #[schemars(with = "String")]
    #[schema(value_type = String, example = "EUR")]
    pub currency: Currency,
    /// Announced start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at_ms: Option<UnixMs>,
    /// When it first went live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live_at_ms: Option<UnixMs>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at_ms: Option<UnixMs>,
    /// Picture until the first frame: a path on this server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poster_url: Option<String>,
    /// How long a reservation lasts, seconds. Default 120.
    pub reservation_ttl_s: u32,
    /// How long an order may stay unpaid, seconds. Default 600.
    pub order_deadline_s: u32,
    /// Where to play its video (WHEP).
    pub whep_url: String,
    /// Where to publish its video (WHIP).
    pub whip_url: String,
}

/// Units of one listing. `available = total - reserved - claimed`; `paid` is part of `claimed`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, TS, JsonSchema, ToSchema,
)]
pub struct Stock {
    /// Units this show may sell.
    pub total: u32,
    /// Put aside by reservations.
    pub reserved: u32,
    /// Promised to orders, pending and paid.
    pub claimed: u32,
    /// Of the claimed, paid.
    pub paid: u32,
    /// Free now.
    pub available: u32,
    /// Buyers queueing in the waitlist.
    pub waiting: u32,
}

/// A sku offered in this show.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS, JsonSchema, ToSchema)]
#[ts(optional_fields)]
pub struct Listing {
    /// Id.
    pub id: ListingId,
    /// Of which product.
    pub product: ProductId,
    /// Which variant.
    pub sku: SkuId,
    /// The product's title.
    pub title: String,
    /// The variant, such as "blue, M".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// A few sentences.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// A path on this server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture_url: Option<String>,
    /// Price of one unit.
    pub price: Money,
    /// Most units one buyer may reserve and own together.
    pub per_buyer: u32,
    /// Place in the run of show, from 0.
    pub position: u32,
    /// Units.
    pub stock: Stock,
}

/// The listing on screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS, JsonSchema, ToSchema)]
#[ts(optional_fields)]
pub struct Pin {
    /// Which.
    pub listing: ListingId,
    /// When the server took the command.
    pub pinned_at_ms: UnixMs,
    /// The frame it belongs to. Show the card when this viewer's video reaches it; without it (no
    /// video) show the card at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_time: Option<MediaTime>,
}

/// Who said something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS, JsonSchema, ToSchema)]
pub struct Author {
    /// For muting; says nothing else about the person.
    pub id: UserId,
    /// Display name, cleaned of control and direction characters.
    pub name: String,
    /// So that a host's words can be marked.
    pub role: Role,
}

/// One comment. Text is plain: a client shows it as text, never as markup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS, JsonSchema, ToSchema)]
#[ts(optional_fields)]
pub struct Comment {
    /// Id.
    pub id: CommentId,
    /// Who.
    pub author: Author,
    /// What.
    pub text: String,
    /// When.
    pub at_ms: UnixMs,
    /// The frame on the author's screen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_time: Option<MediaTime>,
}

/// Where a reservation is in its life.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    TS,
    JsonSchema,
    ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ReservationState {
    /// Units are aside until `expires_at_ms`.
    Reserved,
    /// A checkout of it is being recorded; it cannot expire meanwhile.
    CheckingOut,
    /// Became an order line.
    Claimed,
    /// Given back by the buyer.
    Released,
    /// Time ran out.
    Expired,
}

/// Units put aside for one buyer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS, JsonSchema, ToSchema)]
#[ts(optional_fields)]
pub struct Reservation {
    /// Id.
    pub id: ReservationId,
    /// Of what.
    pub listing: ListingId,
    /// How many.
    pub quantity: u32,
    /// The price that was shown when it was made, and that an order made of it will have.
    pub unit_price: Money,
    /// Life cycle.
    pub state: ReservationState,
    /// When the units return, unless extended or checked out.
    pub expires_at_ms: UnixMs,
    /// How often it may still be extended.
    pub extensions_left: u32,
    /// Made by the waitlist's turn rather than by a command.
    pub from_waitlist: bool,
    /// The order it became.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<OrderId>,
    /// The frame on the buyer's screen when they asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_time: Option<MediaTime>,
}

/// A place in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS, JsonSchema, ToSchema)]
pub struct WaitlistPlace {
    /// For what.
    pub listing: ListingId,
    /// How many units.
    pub quantity: u32,
    /// From 1.
    pub position: u32,
}

/// Where an order is in its life.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    TS,
    JsonSchema,
    ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum OrderState {
    /// Units are claimed, payment is open until `pay_by_ms`.
    Pending,
    /// The last try was declined; another may be made until `pay_by_ms`.
    Declined,
    /// Paid.
    Paid,
    /// Not paid in time; the provider confirmed that it cannot be paid any more.
    Expired,
    /// Given up by the buyer before it was paid.
    Canceled,
    /// Money is on its way back.
    Refunding,
    /// Money is back.
    Refunded,
}

/// One reservation inside an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS, JsonSchema, ToSchema)]
#[ts(optional_fields)]
pub struct OrderLine {
    /// The reservation it was.
    pub reservation: ReservationId,
    /// Of what.
    pub listing: ListingId,
    /// Title at the time of sale.
    pub title: String,
    /// Variant at the time of sale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Units.
    pub quantity: u32,
    /// Price of one.
    pub unit_price: Money,
    /// `unit_price` times `quantity`.
    pub total: Money,
}

/// How to pay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS, JsonSchema, ToSchema)]
pub struct PaymentPage {
    /// The provider's name, such as `sandbox`.
    pub provider: String,
    /// The provider's page for this order, in the provider's own origin. It may be opened again
    /// after a decline.
    pub url: String,
}

/// An order as its buyer sees it. Others get it without `delivery` and `payment`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS, JsonSchema, ToSchema)]
#[ts(optional_fields)]
pub struct Order {
    /// Id.
    pub id: OrderId,
    /// Short number for people, unique within the seller, such as "V-1042".
    pub number: String,
    /// In which show.
    pub show: ShowId,
    /// Life cycle.
    pub state: OrderState,
    /// What.
    pub lines: Vec<OrderLine>,
    /// Sum to pay.
    pub total: Money,
    /// When it was made.
    pub created_at_ms: UnixMs,
    /// Until when it may be paid.
    pub pay_by_ms: UnixMs,
    /// When it was paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paid_at_ms: Option<UnixMs>,
    /// Where to pay; missing until the provider answered, and once there is nothing to pay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment: Option<PaymentPage>,
    /// Where it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Delivery>,
    /// Grows with every change of this order.
    pub version: u64,
}

/// A reservation as the seller's desk sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS, JsonSchema, ToSchema)]
pub struct DeskReservation {
    /// Whose.
    pub buyer: UserId,
    /// The buyer's display name.
    pub buyer_name: String,
    /// What.
    pub reservation: Reservation,
}

/// An order as the seller's desk sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS, JsonSchema, ToSchema)]
pub struct DeskOrder {
    /// Whose.
    pub buyer: UserId,
    /// The buyer's display name.
    pub buyer_name: String,
    /// What; with `delivery` for the fulfilment role only.
    pub order: Order,
}
