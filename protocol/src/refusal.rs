//! Refusals: requests that were understood and not granted. One table says for each code what the
//! client should do next and which HTTP status stands for it; nobody else maps them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

/// What a client should do with a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Advice {
    /// Show it; the same request will be refused again.
    Stop,
    /// Change the request as the message says.
    Change,
    /// Try the same request with the same key again, after `retry_after_ms` if given.
    Retry,
    /// Get a new token first.
    Authenticate,
}

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident = $wire:literal, $status:literal, $advice:ident;)*) => {
        /// Why a request was not granted.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
                 TS, JsonSchema, ToSchema)]
        pub enum RefusalCode {
            $($(#[$doc])* #[serde(rename = $wire)] $name,)*
        }

        impl RefusalCode {
            /// Every code, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The code on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $wire,)* }
            }

            /// The HTTP status that stands for it in REST.
            #[must_use]
            pub const fn http_status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// What the client should do next.
            #[must_use]
            pub const fn advice(self) -> Advice {
                match self { $(Self::$name => Advice::$advice,)* }
            }
        }
    };
}

refusals! {
    /// Fields are missing, of the wrong kind or out of range; the message names the field.
    Invalid = "invalid", 400, Change;
    /// No token, or one that is expired or not ours.
    Unauthenticated = "unauthenticated", 401, Authenticate;
    /// This role may not do that.
    Forbidden = "forbidden", 403, Stop;
    /// No such show.
    ShowUnknown = "show_unknown", 404, Stop;
    /// No such product or sku.
    ProductUnknown = "product_unknown", 404, Stop;
    /// No such listing in this show.
    ListingUnknown = "listing_unknown", 404, Stop;
    /// No such reservation of this buyer.
    ReservationUnknown = "reservation_unknown", 404, Stop;
    /// No such order of this buyer.
    OrderUnknown = "order_unknown", 404, Stop;
    /// No such comment, or it is gone already.
    CommentUnknown = "comment_unknown", 404, Stop;
    /// Nothing else at this address.
    NotFound = "not_found", 404, Stop;
    /// The idempotency key was used for another request.
    KeyReused = "key_reused", 409, Change;
    /// The show is not live.
    NotLive = "not_live", 409, Stop;
    /// The show cannot go from its state to that one.
    ShowState = "show_state", 409, Stop;
    /// No unit is free; join the waitlist.
    SoldOut = "sold_out", 409, Stop;
    /// Fewer units are free than asked for; ask for fewer.
    TooFew = "too_few", 409, Change;
    /// This buyer has as many as one buyer may have.
    BuyerLimit = "buyer_limit", 409, Stop;
    /// Others queue before; join the waitlist.
    WaitlistFirst = "waitlist_first", 409, Stop;
    /// Units are free; reserve instead of queueing.
    Available = "available", 409, Change;
    /// In that queue already.
    AlreadyWaiting = "already_waiting", 409, Stop;
    /// Not in that queue.
    NotWaiting = "not_waiting", 409, Stop;
    /// The reservation's time has run out.
    ReservationExpired = "reservation_expired", 409, Stop;
    /// The reservation was released or checked out already.
    ReservationClosed = "reservation_closed", 409, Stop;
    /// It was extended as often as allowed.
    ExtensionLimit = "extension_limit", 409, Stop;
    /// The order is not open for that any more.
    OrderClosed = "order_closed", 409, Stop;
    /// Total below reserved + claimed.
    BelowCommitted = "below_committed", 409, Change;
    /// More than the seller's inventory has left to allocate.
    InventoryShort = "inventory_short", 409, Change;
    /// Not the show's currency.
    Currency = "currency", 409, Change;
    /// The same text from the same person a moment ago.
    DuplicateComment = "duplicate_comment", 409, Stop;
    /// This person may not comment in this show.
    Muted = "muted", 403, Stop;
    /// Slow mode: wait `retry_after_ms`.
    SlowMode = "slow_mode", 429, Retry;
    /// Too many requests: wait `retry_after_ms`.
    RateLimited = "rate_limited", 429, Retry;
    /// A part of the server is not answering; nothing was changed as far as we know.
    TryAgain = "try_again", 503, Retry;
    /// More work than this node takes.
    Overloaded = "overloaded", 503, Retry;
    /// The payment provider does not answer; the order and its units are kept.
    PaymentUnavailable = "payment_unavailable", 503, Retry;
    /// Our bug; it was logged with the request id.
    Internal = "internal", 500, Retry;
}
