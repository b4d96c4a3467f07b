//! Identifiers: one newtype per thing, so that an order is never taken for a reservation.
//!
//! On the wire an id is a lower-case hyphenated UUID string in both encodings. This module does not
//! create ids: whoever owns a clock or a random source does.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u128);

        impl $name {
            /// A fresh, time-ordered id (UUID version 7). For the edges only: it reads a clock.
            #[must_use]
            pub fn now() -> Self {
                Self(Uuid::now_v7().as_u128())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&Uuid::from_u128(self.0).hyphenated(), f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                if text.len() != 36 {
                    return Err(InvalidId);
                }
                Uuid::try_parse(text).map(|id| Self(id.as_u128())).map_err(|_| InvalidId)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut buffer = Uuid::encode_buffer();
                serializer
                    .serialize_str(Uuid::from_u128(self.0).hyphenated().encode_lower(&mut buffer))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl ts_rs::TS for $name {
            type WithoutGenerics = Self;
            type OptionInnerType = Self;
            fn name(_: &ts_rs::Config) -> String {
                "string".into()
            }
            fn inline(config: &ts_rs::Config) -> String {
                <Self as ts_rs::TS>::name(config)
            }
        }

        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "format": "uuid" })
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                use utoipa::openapi::schema::{ObjectBuilder, SchemaFormat, Type};
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .format(Some(SchemaFormat::Custom("uuid".into())))
                    .into()
            }
        }

        impl utoipa::ToSchema for $name {
            fn name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
        }
    };
}

/// A text that should be an id and is not a lower-case hyphenated UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidId;

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id is a hyphenated UUID, such as 0190b3c4-7a2e-7c31-9f00-3d2f6f1c8a55")
    }
}

impl std::error::Error for InvalidId {}

id!(
    /// A selling event: one broadcast and one channel.
    ShowId
);
id!(
    /// The account that owns shows and products: a tenant.
    SellerId
);
id!(
    /// A person, guest or signed in. The same id is the buyer of orders and the author of comments.
    UserId
);
id!(
    /// A catalogue item.
    ProductId
);
id!(
    /// A variant of a product: what is counted and sold.
    SkuId
);
id!(
    /// A sku offered in one show at a price and with a limit.
    ListingId
);
id!(
    /// Units put aside for one buyer until a moment.
    ReservationId
);
id!(
    /// The ledger's record of a sale.
    OrderId
);
id!(
    /// One comment.
    CommentId
);
id!(
    /// One WebSocket of one person.
    SessionId
);
id!(
    /// A picture kept by the server.
    PictureId
);
