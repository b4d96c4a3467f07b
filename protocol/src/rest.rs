//! The bodies of the REST interface. Errors are [`Problem`] (RFC 9457); lists are [`Page`]s with a
//! cursor; every POST that makes something takes an `Idempotency-Key` header.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

use crate::id::{PictureId, ProductId, ShowId, SkuId, UserId};
use crate::money::{Currency, Money};
use crate::refusal::RefusalCode;
use crate::time::UnixMs;
use crate::view::{Role, ShowState};

/// An error answer, `application/problem+json` (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS, JsonSchema, ToSchema)]
#[ts(optional_fields)]
pub struct Problem {
    /// A reference to the code's documentation: `/docs/problems#<code>`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The code in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened and what to do next.
    pub detail: String,
    /// The code for programs, the same as on the channel.
    pub code: RefusalCode,
    /// Find the request in the log by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// When to try again, if that can help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

/// Part of a list. Ask again with `cursor=next_cursor` for what follows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS, JsonSchema, ToSchema)]
#[ts(optional_fields)]
pub struct Page<T> {
    /// In the list's order.
    pub items: Vec<T>,
    /// Absent on the last page. Opaque.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// Makes a show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields)]
pub struct NewShow {
    /// From 1 to 120 characters.
    pub title: String,
    /// The one currency of its prices and orders.
    #[ts(type = "string")]
    #[schemars(with = "String")]
    #[schema(value_type = String, example = "EUR")]
    pub currency: Currency,
    /// Announced start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at_ms: Option<UnixMs>,
    /// Seconds, from 20 to 3600; default 120.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reservation_ttl_s: Option<u32>,
    /// Seconds, from 60 to 86400; default 600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_deadline_s: Option<u32>,
    /// Picture until the first frame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poster: Option<PictureId>,
}

/// Changes a show: fields that are absent stay.
#[derive(
    Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, TS, JsonSchema, ToSchema,
)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields)]
pub struct ShowPatch {
    /// From 1 to 120 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// `live` or `ended`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<ShowState>,
    /// Announced start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at_ms: Option<UnixMs>,
    /// Seconds, from 20 to 3600. Holds for reservations made afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reservation_ttl_s: Option<u32>,
    /// Seconds, from 60 to 86400. Holds for orders made afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_deadline_s: Option<u32>,
}

/// A catalogue item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS, JsonSchema, ToSchema)]
#[ts(optional_fields)]
pub struct Product {
    /// Id.
    pub id: ProductId,
    /// Title.
    pub title: String,
    /// A few sentences.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// A path on this server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture_url: Option<String>,
    /// Its variants.
    pub skus: Vec<Sku>,
    /// When it was made.
    pub created_at_ms: UnixMs,
}

/// A variant of a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS, JsonSchema, ToSchema)]
#[ts(optional_fields)]
pub struct Sku {
    /// Id.
    pub id: SkuId,
    /// The seller's own article code, unique within the seller.
    pub code: String,
    /// Such as "blue, M".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Price that a listing starts from.
    pub price: Money,
    /// Units the seller owns.
    pub inventory: u32,
    /// Of these, given to shows that have not ended.
    pub allocated: u32,
}

/// Makes a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields)]
pub struct NewProduct {
    /// From 1 to 120 characters.
    pub title: String,
    /// At most 2000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Uploaded before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<PictureId>,
    /// From 1 to 100 variants.
    pub skus: Vec<NewSku>,
}

/// Makes a variant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields)]
pub struct NewSku {
    /// The seller's own article code, from 1 to 64 characters, unique within the seller.
    pub code: String,
    /// At most 80 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Price that a listing starts from.
    pub price: Money,
    /// Units the seller owns.
    pub inventory: u32,
}

/// Changes a product: fields that are absent stay.
#[derive(
    Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, TS, JsonSchema, ToSchema,
)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields)]
pub struct ProductPatch {
    /// From 1 to 120 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// At most 2000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Uploaded before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<PictureId>,
}

/// Offers a sku in a show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields)]
pub struct NewListing {
    /// Which sku of this seller.
    pub sku: SkuId,
    /// In the show's currency; without it the sku's price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Money>,
    /// Units allocated from the inventory to this show.
    pub total: u32,
    /// Most units per buyer, from 1 to 100; default 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_buyer: Option<u32>,
}

/// Changes a listing: fields that are absent stay.
#[derive(
    Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, TS, JsonSchema, ToSchema,
)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields)]
pub struct ListingPatch {
    /// Price of future reservations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Money>,
    /// Units allocated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u32>,
    /// Most units per buyer, from 1 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_buyer: Option<u32>,
}

/// A picture that was uploaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS, JsonSchema, ToSchema)]
pub struct Picture {
    /// To name it in products and shows.
    pub id: PictureId,
    /// A path on this server.
    pub url: String,
}

/// Asks for a token: exactly one way of being somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS, JsonSchema, ToSchema)]
#[serde(tag = "grant", rename_all = "snake_case")]
#[ts(optional_fields)]
pub enum TokenRequest {
    /// A new guest viewer of one show.
    Guest {
        /// Which show.
        show: ShowId,
        /// Display name, from 1 to 40 characters; without it a made-up one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    },
    /// A code that was printed or sent, good once and for 60 s.
    Code {
        /// The code.
        code: String,
    },
    /// A token that is still good, for a fresh one of the same person and role.
    Refresh {
        /// The token.
        token: String,
    },
}

/// A token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, TS, JsonSchema, ToSchema)]
#[ts(optional_fields)]
pub struct TokenGrant {
    /// The JWT: `Authorization: Bearer` in REST, WHIP and WHEP; `Hello.token` on the channel.
    pub token: String,
    /// Who it is.
    pub user: UserId,
    /// Display name.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// For which show; absent: for all shows of the seller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub show: Option<ShowId>,
    /// When it runs out; refresh before.
    pub expires_at_ms: UnixMs,
}

/// A token is a secret: debug output, and so every log, leaves it out.
impl std::fmt::Debug for TokenGrant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "TokenGrant({:?} {}, token withheld)",
            self.role, self.user
        )
    }
}

/// Figures of a live broadcast for the studio's health line.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, TS, JsonSchema, ToSchema)]
#[ts(optional_fields)]
pub struct BroadcastHealth {
    /// A publisher is connected and sends.
    pub publishing: bool,
    /// Video and audio received from it, kilobits per second over the last second.
    pub kilobits_per_second: u32,
    /// Of its packets lost on the way to the server and not repaired, per cent over the last five
    /// seconds. What was lost earlier is forgotten.
    pub loss_percent: f32,
    /// Round trip to the publisher.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round_trip_ms: Option<u32>,
    /// Video frames per second received.
    pub frames_per_second: f32,
    /// Viewers with video.
    pub subscribers: u32,
}
